/* cluster/effects.c
 *
 * The queue of what an event asks of the world. */
#include "cluster/cluster_internal.h"

#include "base/alloc.h"

/* What one event asks for, but for the rare ones that speak to every node. */
#define EFFECTS_KEPT 512u

static struct effect *add(struct effects *effects, enum effect_kind kind)
{
    struct effect *effect;

    if (effects->count == effects->cap) {
        effects->cap = effects->cap ? effects->cap * 2 : 16;
        effects->items = alloc_resize(effects->items, effects->cap * sizeof(*effects->items));
    }
    effect = &effects->items[effects->count++];
    *effect = (struct effect){ .kind = kind };
    return effect;
}

void effects_clear(struct effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) alloc_free((void *)(uintptr_t)effects->items[i].data.data);
    effects->count = effects->owners = effects->drops = 0;
    if (effects->cap <= EFFECTS_KEPT) return;
    alloc_free(effects->items);
    *effects = (struct effects){ 0 };
}

void effects_free(struct effects *effects)
{
    effects_clear(effects);
    alloc_free(effects->items);
    *effects = (struct effects){ 0 };
}

void emit_connect(struct effects *effects, const struct node *node)
{
    struct effect *effect = add(effects, EFFECT_CONNECT);

    effect->node = node->index;
    memcpy(effect->ip, node->ip, sizeof(effect->ip));
    effect->port = node->cport;
}

void emit_close(struct effects *effects, cluster_link link)
{
    add(effects, EFFECT_CLOSE)->link = link;
}

void emit_send(struct effects *effects, cluster_link link, struct buf *message)
{
    struct effect *effect = add(effects, EFFECT_SEND);

    effect->link = link;
    effect->data = buf_bytes(message);
    *message = (struct buf){ 0 };
}

/* Marks a slot in the one effect of its kind, whose place is kept. */
static void mark_slot(struct effects *effects, enum effect_kind kind, size_t *place, uint16_t slot)
{
    if (*place == 0) {
        add(effects, kind)->data = (struct bytes){ alloc_zeroed(SLOT_BITMAP_BYTES), SLOT_BITMAP_BYTES };
        *place = effects->count;
    }
    bitmap_set((uint8_t *)(uintptr_t)effects->items[*place - 1].data.data, slot);
}

void emit_owner(struct effects *effects, uint16_t slot)
{
    mark_slot(effects, EFFECT_OWNERS, &effects->owners, slot);
}

void emit_drop_keys(struct effects *effects, uint16_t slot)
{
    mark_slot(effects, EFFECT_DROP_KEYS, &effects->drops, slot);
}

unsigned effect_next_slot(const struct effect *effect, unsigned from)
{
    const uint8_t *bitmap = (const uint8_t *)effect->data.data;

    while (from < SLOT_COUNT && !bitmap_has(bitmap, from)) from += bitmap[from / 8] == 0 ? 8 - from % 8 : 1;
    return from;
}

void emit_persist(struct effects *effects, struct buf *content, uint64_t sequence, bool sync)
{
    struct effect *effect = add(effects, EFFECT_PERSIST);

    effect->data = buf_bytes(content);
    effect->sequence = sequence;
    effect->sync = sync;
    *content = (struct buf){ 0 };
}

void emit_publish(struct effects *effects, bool shard, struct bytes channel, struct bytes text)
{
    struct effect *effect = add(effects, EFFECT_PUBLISH);
    char *data = alloc(channel.len + text.len + 1); /* fits: of one packet */

    if (channel.len > 0) memcpy(data, channel.data, channel.len);
    if (text.len > 0) memcpy(data + channel.len, text.data, text.len);
    effect->data = (struct bytes){ data, channel.len + text.len };
    effect->channel_bytes = channel.len;
    effect->shard = shard;
}

void emit_view(struct effects *effects)
{
    add(effects, EFFECT_VIEW);
}

void emit_shared_item(struct effects *effects, const struct shared_item *item)
{
    struct effect *effect = add(effects, EFFECT_SHARED_ITEM);
    char *data = alloc(item->name.len + item->text.len + 1); /* fits: of one packet */

    if (item->name.len > 0) memcpy(data, item->name.data, item->name.len);
    if (item->text.len > 0) memcpy(data + item->name.len, item->text.data, item->text.len);
    effect->data = (struct bytes){ data, item->name.len + item->text.len };
    effect->item = *item;
    effect->item.name.data = data;
    effect->item.text.data = data + item->name.len;
}

void emit_log(struct effects *effects, enum log_level level, const char *format, ...)
{
    struct effect *effect = add(effects, EFFECT_LOG);
    struct buf line = { 0 };
    va_list args;

    va_start(args, format);
    buf_vprintf(&line, format, args);
    va_end(args);
    effect->data = buf_bytes(&line);
    effect->log_level = (int)level;
}
