/* cluster/shared.c
 *
 * How our nodes come to have the same shared set (cluster/shared.h). Every message says a digest of what its sender has (cluster/message.h), so
 * those who differ find out whatever else is lost, and those who agree say nothing more. What is said more, in MODULE messages:
 *
 *     SAY    "mine has changed": its header says to what. By whoever it was set on, to all; by whoever took it over, to a few
 *     ASK    for what differs, with the digests of our buckets
 *     TELL   all items in the buckets that differ, a page of them; the next one is asked for
 *
 * A node asks one other at a time, and takes what is later than its own. Who is found to differ without having said so is asked once that has been so
 * for a second, since whoever is behind asks by itself. Where an exchange changes nothing, as where somebody has no room, the same two do not
 * go on with it. So what a node hears and tells is bounded, however many there are and whatever they hold. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#include <stdio.h>

#define QUIET_MS 1000        /* so long two may differ before somebody asks who was not told */
#define ANSWER_MS 1000       /* then another one is asked */
#define ASK_AGAIN_MS 30000   /* of two that have not changed since it was of no use */
#define SAID_IN_TICK 8u      /* so many hear of a change in one tick */
#define SAID_ON 3u           /* so many hear of it from one that was told */
#define PAGES_IN_TICK 8u     /* so many are asked for without a pause */
#define PAGE_BYTES 32768u    /* and at most one item more */
#define TOLD_IN_TICK 262144u /* to all together; who is not answered asks again, or somebody else */

static const char module_id[8] = { 'r', 's', 'h', 'd', 's', 'e', 't', '1' };
enum { SHARED_SAY = 1, SHARED_ASK = 2, SHARED_TELL = 3 };

static void put16(struct buf *out, size_t value)
{
    buf_append_byte(out, (char)(value >> 8));
    buf_append_byte(out, (char)value);
}

static void put64(struct buf *out, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(out, (char)(value >> shift));
}

static size_t get16(const char *at)
{
    return (size_t)(uint8_t)at[0] << 8 | (uint8_t)at[1];
}

static uint64_t get64(const char *at)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++) value = value << 8 | (uint8_t)at[i];
    return value;
}

static void send(struct cluster *c, cluster_link link, uint8_t type, struct bytes payload, struct effects *e)
{
    struct buf out = { 0 };

    header_begin(c, MESSAGE_MODULE, &out);
    message_module_write(&out, module_id, type, payload);
    message_send(c, link, &out, e);
}

uint32_t shared_digest(const struct cluster *c)
{
    return (uint32_t)(c->shared.set.digest ^ c->shared.set.digest >> 32);
}

static bool is_like_us(const struct cluster *c, const struct node *node)
{
    return node->shared.digest == shared_digest(c);
}

static bool is_reached(const struct node *node)
{
    return node->is_ours && node->outbound != 0 && !node_is(node, FLAG_MYSELF | FLAG_HANDSHAKE);
}

bool cluster_shared_is_everywhere(const struct cluster *c)
{
    for (size_t i = 0; i < c->node_count; i++)
        if (is_reached(c->nodes[i]) && !is_like_us(c, c->nodes[i])) return false;
    return true;
}

/* --- Items --- */

/* So many are to hear of it from us. */
static void changed(struct cluster *c, size_t listeners, int64_t now_ms)
{
    c->shared.changed_ms = now_ms;
    c->shared.say_at = random_below(&c->random, c->node_count);
    if (c->shared.to_say < listeners) c->shared.to_say = listeners;
}

static bool is_as_wanted(const struct shared_entry *entry, const struct shared_item *item)
{
    struct shared_item here;

    if (entry == NULL) return item->is_gone;
    here = shared_entry_item(entry);
    return here.is_gone == item->is_gone && bytes_equal(here.text, item->text);
}

bool cluster_share_item(struct cluster *c, enum share_as as, struct shared_item *item, int64_t now_ms,
                        cluster_error error)
{
    struct shared_set *set = &c->shared.set;
    const struct shared_entry *entry = shared_set_find(set, item->kind, item->name);
    uint32_t former = shared_digest(c);
    enum shared_put put = SHARED_NOT_LATER;

    error[0] = '\0';
    item->version = as == SHARE_LATEST ? shared_set_next_version(set, item, now_ms)
                                       : (struct shared_version){ .time_ms = 1, .digest = shared_digest_of(item) };
    if (!shared_item_is_valid(item)) {
        snprintf(error, CLUSTER_ERROR_BYTES, "ERR It is longer than what nodes tell each other");
        return false;
    }
    if (!is_as_wanted(entry, item)) put = shared_set_put(set, item, SHARED_ITEMS_MAX, SHARED_BYTES_MAX, now_ms);
    if (put == SHARED_NO_ROOM) {
        snprintf(error, CLUSTER_ERROR_BYTES, "ERR Nodes tell each other no more than %u items of %u bytes together",
                 SHARED_ITEMS_MAX, SHARED_BYTES_MAX);
        return false;
    }
    if (put == SHARED_NOT_LATER) item->version = entry != NULL ? entry->version : (struct shared_version){ 0 };
    if (shared_digest(c) != former) changed(c, c->node_count, now_ms);
    return true;
}

bool cluster_shared_find(const struct cluster *c, enum shared_kind kind, struct bytes name, struct shared_item *item)
{
    const struct shared_entry *entry = shared_set_find(&c->shared.set, (uint8_t)kind, name);

    if (entry != NULL) *item = shared_entry_item(entry);
    return entry != NULL;
}

void cluster_shared_each(const struct cluster *c, enum shared_kind kind,
                         void (*visit)(void *context, const struct shared_item *item), void *context)
{
    for (size_t i = 0; i < c->shared.set.count; i++) {
        struct shared_item item = shared_entry_item(c->shared.set.entries[i]);

        if (item.kind == kind && !item.is_gone) visit(context, &item);
    }
}

void cluster_shared_save(const struct cluster *c, struct buf *out)
{
    shared_set_save(&c->shared.set, out);
}

bool cluster_shared_load(struct cluster *c, struct bytes text, int64_t now_ms, char error[256])
{
    return shared_set_load(&c->shared.set, text, now_ms, error);
}

uint64_t cluster_shared_changes(const struct cluster *c)
{
    return c->shared.set.changes;
}

/* --- Asking --- */

/*     from 8 | the digests of our buckets, 8 each; left out where we have nothing */
#define ASK_BYTES 8u
#define ASK_WHOLE_BYTES (ASK_BYTES + SHARED_BUCKETS * 8)

static void ask(struct cluster *c, const struct node *node, uint64_t from, int64_t now_ms, struct effects *e)
{
    struct buf payload = { 0 };

    put64(&payload, from);
    if (c->shared.set.digest != 0)
        for (unsigned i = 0; i < SHARED_BUCKETS; i++) put64(&payload, c->shared.set.buckets[i]);
    c->shared.is_asking = true;
    c->shared.page_is_due = false;
    c->shared.asked = node->index;
    c->shared.asked_ms = now_ms;
    c->shared.asked_from = from;
    send(c, node->outbound, SHARED_ASK, buf_bytes(&payload), e);
    buf_free(&payload);
}

static void begin_asking(struct cluster *c, const struct node *node, int64_t now_ms, struct effects *e)
{
    c->shared.asked_digest = node->shared.digest;
    ask(c, node, 0, now_ms, e);
}

/* Nothing comes of it, and it is not done again for a while, unless one of us changes. */
static void leave(const struct cluster *c, struct node *node, int64_t until_ms)
{
    node->shared.left_ours = shared_digest(c);
    node->shared.left_theirs = node->shared.digest;
    node->shared.left_until_ms = until_ms;
}

static bool is_left(const struct cluster *c, const struct node *node, int64_t now_ms)
{
    return node->shared.left_ours == shared_digest(c) && node->shared.left_theirs == node->shared.digest &&
           now_ms < node->shared.left_until_ms;
}

static bool is_to_be_asked(const struct cluster *c, const struct node *node, int64_t now_ms)
{
    if (!is_reached(node) || node->shared.digest == 0 || is_like_us(c, node) || is_left(c, node, now_ms)) return false;
    return node->shared.has_said ||
           (now_ms - node->shared.since_ms >= QUIET_MS && now_ms - c->shared.changed_ms >= QUIET_MS);
}

static void ask_somebody(struct cluster *c, int64_t now_ms, struct effects *e)
{
    size_t first = random_below(&c->random, c->node_count);

    for (size_t i = 0; i < c->node_count; i++) {
        const struct node *node = c->nodes[(first + i) % c->node_count];

        if (!is_to_be_asked(c, node, now_ms)) continue;
        begin_asking(c, node, now_ms, e);
        return;
    }
}

static void go_on_asking(struct cluster *c, int64_t now_ms, struct effects *e)
{
    struct node *node = node_at_index(c, c->shared.asked);

    if (node == NULL || !is_reached(node)) {
        c->shared.is_asking = false;
    } else if (c->shared.page_is_due) {
        ask(c, node, c->shared.asked_from, now_ms, e);
    } else if (now_ms - c->shared.asked_ms >= ANSWER_MS) {
        c->shared.is_asking = false;
        leave(c, node, now_ms + ANSWER_MS);
    }
}

static void say(struct cluster *c, const struct node *node, struct effects *e)
{
    send(c, node->outbound, SHARED_SAY, BYTES_NONE, e);
}

static void say_to_some(struct cluster *c, struct effects *e)
{
    size_t said = 0, seen = 0;

    for (; seen < c->node_count && said < SAID_IN_TICK && said < c->shared.to_say; seen++) {
        const struct node *node = c->nodes[c->shared.say_at++ % c->node_count];

        if (!is_reached(node) || is_like_us(c, node) || node->shared.has_said) continue;
        say(c, node, e);
        said++;
    }
    c->shared.to_say = seen == c->node_count ? 0 : c->shared.to_say - said;
}

void shared_tick(struct cluster *c, int64_t now_ms, struct effects *e)
{
    uint32_t former = shared_digest(c);

    shared_set_age(&c->shared.set, now_ms);
    /* What has come of age here does so on the others. */
    if (shared_digest(c) != former) c->shared.changed_ms = now_ms;
    c->shared.told_bytes = c->shared.pages = 0;
    if (c->solo || !announce_may_speak(c)) return;
    if (c->shared.is_asking) go_on_asking(c, now_ms, e);
    if (!c->shared.is_asking) ask_somebody(c, now_ms, e);
    say_to_some(c, e);
}

/* --- Telling --- */

/*     from 8, as it was asked | next 8, 0 where that was all | items: kind 1, gone 1, name's length 2, text's 2, time 8, number 8, name, text */
#define TELL_BYTES 16u
#define ITEM_BYTES 22u

static void put_item(struct buf *out, const struct shared_item *item)
{
    buf_append_byte(out, (char)item->kind);
    buf_append_byte(out, item->is_gone);
    put16(out, item->name.len);
    put16(out, item->text.len);
    put64(out, item->version.time_ms);
    put64(out, item->version.number);
    buf_append_bytes(out, item->name);
    buf_append_bytes(out, item->text);
}

/* The items from a hash on within buckets that differ from those given (NULL: of a node that has nothing). Returns where the next page begins. */
static uint64_t put_page(const struct shared_set *set, uint64_t from, const char *theirs, struct buf *out)
{
    uint64_t last = from;

    for (unsigned bucket = shared_bucket(from); bucket < SHARED_BUCKETS; bucket++) {
        uint64_t first = (uint64_t)bucket << 56;

        if (set->buckets[bucket] == (theirs != NULL ? get64(theirs + (size_t)bucket * 8) : 0)) continue;
        for (size_t i = shared_set_place(set, first > from ? first : from); i < set->count; i++) {
            const struct shared_entry *entry = set->entries[i];
            struct shared_item item = shared_entry_item(entry);

            if (shared_bucket(entry->hash) != bucket) break;
            if (entry->kind >= SHARED_OWN) continue;
            /* Those of one hash stay together. */
            if (out->len >= PAGE_BYTES && entry->hash > last) return entry->hash;
            last = entry->hash;
            put_item(out, &item);
        }
    }
    return 0;
}

static void tell(struct cluster *c, cluster_link link, struct bytes asked, struct effects *e)
{
    struct buf items = { 0 }, payload = { 0 };
    uint64_t from, next;

    if (asked.len != ASK_BYTES && asked.len != ASK_WHOLE_BYTES) return;
    if (c->shared.told_bytes >= TOLD_IN_TICK) return;
    from = get64(asked.data);
    next = put_page(&c->shared.set, from, asked.len == ASK_BYTES ? NULL : asked.data + ASK_BYTES, &items);
    put64(&payload, from);
    put64(&payload, next);
    buf_append_bytes(&payload, buf_bytes(&items));
    c->shared.told_bytes += payload.len;
    send(c, link, SHARED_TELL, buf_bytes(&payload), e);
    buf_free(&items);
    buf_free(&payload);
}

/* --- Being told --- */

/* Takes an item off the front; false where there is none that anybody may tell. */
static bool next_item(struct bytes *rest, struct shared_item *item)
{
    const char *at = rest->data;
    size_t name_bytes, text_bytes;

    if (rest->len < ITEM_BYTES) return false;
    name_bytes = get16(at + 2);
    text_bytes = get16(at + 4);
    if (rest->len - ITEM_BYTES < name_bytes + text_bytes || (uint8_t)at[1] > 1) return false;
    *item = (struct shared_item){ .kind = (uint8_t)at[0],
                                  .is_gone = at[1] != 0,
                                  .name = { at + ITEM_BYTES, name_bytes },
                                  .text = { at + ITEM_BYTES + name_bytes, text_bytes },
                                  .version = { .time_ms = get64(at + 6), .number = get64(at + 14) } };
    item->version.digest = shared_digest_of(item);
    rest->data += ITEM_BYTES + name_bytes + text_bytes;
    rest->len -= ITEM_BYTES + name_bytes + text_bytes;
    return item->kind < SHARED_OWN && shared_item_is_valid(item);
}

/* False where what was told makes no sense from some place on. */
static bool take(struct cluster *c, const struct node *node, struct bytes items, int64_t now_ms, struct effects *e)
{
    uint32_t former = shared_digest(c);
    struct shared_item item;
    size_t refused = 0;
    bool ok = true;

    while (items.len > 0 && (ok = next_item(&items, &item))) {
        enum shared_put put =
            shared_set_put(&c->shared.set, &item, SHARED_TAKEN_ITEMS_MAX, SHARED_TAKEN_BYTES_MAX, now_ms);

        if (put == SHARED_TAKEN) emit_shared_item(e, &item);
        if (put == SHARED_NO_ROOM) refused++;
    }
    if (refused > 0)
        emit_log(e, LOG_WARNING, "shared set: no room for %zu items that node %.40s has", refused, node->id);
    if (shared_digest(c) != former) changed(c, SAID_ON, now_ms);
    return ok;
}

static void told(struct cluster *c, struct node *node, struct bytes payload, int64_t now_ms, struct effects *e)
{
    uint64_t from, next;
    bool ok;

    if (payload.len < TELL_BYTES) return;
    from = get64(payload.data);
    next = get64(payload.data + 8);
    /* Only what was asked for is listened to, and once. */
    if (!c->shared.is_asking || c->shared.page_is_due || c->shared.asked != node->index || c->shared.asked_from != from)
        return;
    ok = take(c, node, (struct bytes){ payload.data + TELL_BYTES, payload.len - TELL_BYTES }, now_ms, e);
    if (ok && next > from && is_reached(node)) {
        c->shared.asked_from = next;
        c->shared.page_is_due = true;
        if (++c->shared.pages < PAGES_IN_TICK) ask(c, node, next, now_ms, e);
        return;
    }
    c->shared.is_asking = false;
    /* What has changed there meanwhile may be in a page that was before it. */
    node->shared.has_said = node->shared.digest != c->shared.asked_digest && !is_like_us(c, node);
    if (node->shared.has_said || is_like_us(c, node)) return;
    /* It has nothing more for us. We have something for it, then, unless one of us can take no more. */
    leave(c, node, now_ms + ASK_AGAIN_MS);
    if (ok && is_reached(node)) say(c, node, e);
}

/* --- What comes --- */

void shared_heard(const struct cluster *c, struct node *node, const struct mark *mark, int64_t now_ms)
{
    struct node_shared *heard = &node->shared;

    if (!mark->is_ours) return;
    if (heard->incarnation == mark->incarnation && mark->sequence < heard->sequence) return;
    heard->incarnation = mark->incarnation;
    heard->sequence = mark->sequence;
    if (heard->digest != mark->shared) {
        heard->digest = mark->shared;
        heard->since_ms = now_ms;
    }
    if (is_like_us(c, node)) heard->has_said = false;
}

void shared_module(struct cluster *c, struct node *node, cluster_link link, const struct message *message,
                   int64_t now_ms, struct effects *e)
{
    if (memcmp(message->module, module_id, sizeof(module_id)) != 0 || c->solo) return;
    switch (message->module_type) {
    case SHARED_SAY:
        node->shared.has_said = !is_like_us(c, node);
        if (!c->shared.is_asking && is_to_be_asked(c, node, now_ms)) begin_asking(c, node, now_ms, e);
        return;
    case SHARED_ASK:
        tell(c, link, message->module_payload, e);
        return;
    case SHARED_TELL:
        told(c, node, message->module_payload, now_ms, e);
        return;
    default:
        return;
    }
}
