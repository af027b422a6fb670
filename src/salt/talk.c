/* salt/talk.c
 *
 * The queue of what home and helper ask of the world. */
#include "salt/talk.h"

#include "base/alloc.h"

#include <string.h>

/* What one event asks for, but for the rare ones that speak to everybody. */
#define EFFECTS_KEPT 512u

struct salt_effect *salt_effect_add(struct salt_effects *effects, enum salt_effect_kind kind, struct bytes base)
{
    struct salt_effect *effect;

    if (effects->count == effects->cap) {
        effects->cap = effects->cap ? effects->cap * 2 : 16;
        effects->items = alloc_resize(effects->items, effects->cap * sizeof(*effects->items));
    }
    effect = &effects->items[effects->count++];
    *effect = (struct salt_effect){ .kind = kind };
    if (base.len > 0) {
        char *copy = alloc(base.len);

        memcpy(copy, base.data, base.len);
        effect->message.base = (struct bytes){ copy, base.len };
    }
    return effect;
}

void salt_send(struct salt_effects *effects, salt_link link, const struct salt_message *message)
{
    struct salt_effect *effect = salt_effect_add(effects, SALT_SEND, message->base);
    struct bytes base = effect->message.base;

    effect->link = link;
    effect->message = *message;
    effect->message.base = base;
}

void salt_effects_clear(struct salt_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) alloc_free((void *)(uintptr_t)effects->items[i].message.base.data);
    effects->count = 0;
    if (effects->cap <= EFFECTS_KEPT) return;
    alloc_free(effects->items);
    *effects = (struct salt_effects){ 0 };
}

void salt_effects_free(struct salt_effects *effects)
{
    salt_effects_clear(effects);
    alloc_free(effects->items);
    *effects = (struct salt_effects){ 0 };
}
