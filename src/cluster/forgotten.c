/* cluster/forgotten.c
 *
 * Whom an operator had us forget: for a minute no hearsay brings him back. The word is passed on to nodes of our kind, so that it need not be
 * given to each.
 *
 * An operator who has him met in that minute takes it back. Redis takes him in where that was said, and the others refuse him until their
 * minutes are over; by the word that is passed on he would be forgotten there, too. So of two words the later one counts: who was met after he was
 * forgotten stays, and nodes of our kind that hear of him all the same ask who speaks of him.
 *
 *     FORGOTTEN  him I have forgotten, so long ago   ->  MET  where he was met since, so long ago: the other has heard nothing then
 */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#define FORGOTTEN_MAX 16u /* told in one packet; the next one begins elsewhere */
#define ASK_AGAIN_MS 1000
#define WORD_BYTES (NODE_ID_BYTES + 8u) /* id, and milliseconds since */

static struct forgotten *find(struct cluster *c, const char *id, int64_t now_ms)
{
    for (size_t i = 0; i < c->blacklist_count; i++)
        if (c->blacklist[i].until_ms > now_ms && memcmp(c->blacklist[i].id, id, NODE_ID_BYTES) == 0)
            return &c->blacklist[i];
    return NULL;
}

/* When an operator said so, here or to whom we have it from. */
static int64_t since_ms(const struct forgotten *entry)
{
    return entry->until_ms - BLACKLIST_MS;
}

static void lift(struct cluster *c, struct forgotten *entry)
{
    *entry = c->blacklist[--c->blacklist_count];
}

bool blacklist_has(const struct cluster *c, const char *id, int64_t now_ms)
{
    return find((struct cluster *)(uintptr_t)c, id, now_ms) != NULL;
}

void blacklist_add(struct cluster *c, const char *id, int64_t now_ms, int64_t for_ms, bool on_word)
{
    struct forgotten *entry = NULL, *first_to_end = &c->blacklist[0];
    size_t kept = 0;

    for (size_t i = 0; i < c->blacklist_count; i++)
        if (c->blacklist[i].until_ms > now_ms) c->blacklist[kept++] = c->blacklist[i];
    c->blacklist_count = kept;
    for (size_t i = 0; i < kept; i++) {
        if (memcmp(c->blacklist[i].id, id, NODE_ID_BYTES) == 0) entry = &c->blacklist[i];
        if (c->blacklist[i].until_ms < first_to_end->until_ms) first_to_end = &c->blacklist[i];
    }
    /* Where there is no room the one that is nearest its end makes it: the newest word of an operator counts. */
    if (entry != NULL && !entry->on_word) on_word = false;
    if (entry == NULL) entry = kept < BLACKLIST_MAX ? &c->blacklist[c->blacklist_count++] : first_to_end;
    entry->on_word = on_word;
    entry->asked_ms = 0;
    memcpy(entry->id, id, NODE_ID_BYTES);
    entry->until_ms = now_ms + for_ms;
}

/* Whom an operator had us forget, so that the word need not be given to every node. Neither those of whom we were told by others are
 * among them, nor who was met again since. */
uint16_t forgotten_put(struct cluster *c, int64_t now_ms, struct buf *out)
{
    size_t first = c->blacklist_count > FORGOTTEN_MAX ? random_below(&c->random, c->blacklist_count) : 0;
    uint16_t count = 0;

    for (size_t i = 0; i < c->blacklist_count && count < FORGOTTEN_MAX; i++) {
        const struct forgotten *entry = &c->blacklist[(first + i) % c->blacklist_count];
        int64_t left_s = (entry->until_ms - now_ms) / 1000;
        if (left_s <= 0 || entry->on_word || node_find(c, entry->id) != NULL) continue;
        message_forgotten_write(out, entry->id, (uint64_t)left_s);
        count++;
    }
    return count;
}

void forgotten_told(struct cluster *c, struct node *sender, const struct message *message, int64_t now_ms,
                    struct effects *e)
{
    char id[NODE_ID_BYTES + 1];
    uint64_t ttl_s;
    size_t at = 0;

    while (message_forgotten(message, &at, id, &ttl_s)) {
        struct node *node = node_find(c, id);
        int64_t for_ms = ttl_s < BLACKLIST_MS / 1000 ? (int64_t)ttl_s * 1000 : BLACKLIST_MS;

        /* The sender itself is spared: the rest of this packet is about it. */
        if (node == NULL || node == c->myself || node == sender || node_is(node, FLAG_HANDSHAKE)) continue;
        if (node->met_ms != 0 && now_ms + for_ms - BLACKLIST_MS < node->met_ms) continue;
        blacklist_add(c, id, now_ms, for_ms, true);
        emit_log(e, LOG_NOTICE, "node %.40s: forgotten, as %.40s asks", id, sender->id);
        node_remove(c, node, now_ms, e);
        cluster_save_later(c, SAVE_SOON);
    }
}

void forgotten_met(struct cluster *c, struct node *node, int64_t met_ms, int64_t now_ms)
{
    struct forgotten *entry = find(c, node->id, now_ms);

    node->met_ms = met_ms;
    if (entry != NULL) lift(c, entry);
}

static void say(struct cluster *c, cluster_link link, enum kin what, const char *id, int64_t ago_ms, struct effects *e)
{
    struct buf word = { 0 };

    buf_append(&word, id, NODE_ID_BYTES);
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(&word, (char)((uint64_t)ago_ms >> shift));
    kin_send(c, link, what, buf_bytes(&word), e);
    buf_free(&word);
}

void forgotten_ask(struct cluster *c, const struct node *sender, const char *id, int64_t now_ms, struct effects *e)
{
    struct forgotten *entry = find(c, id, now_ms);

    if (entry == NULL || !sender->is_ours || sender->outbound == 0 || now_ms - entry->asked_ms < ASK_AGAIN_MS) return;
    entry->asked_ms = now_ms;
    say(c, sender->outbound, KIN_FORGOTTEN, id, now_ms - since_ms(entry), e);
}

void forgotten_word(struct cluster *c, cluster_link link, enum kin what, const struct message *message, int64_t now_ms,
                    struct effects *e)
{
    const char *id = message->module_payload.data;
    struct forgotten *entry;
    const struct node *node;
    uint64_t ago_ms = 0;

    if (message->module_payload.len != WORD_BYTES || !id_is_valid(id)) return;
    for (unsigned i = NODE_ID_BYTES; i < WORD_BYTES; i++) ago_ms = ago_ms << 8 | (uint8_t)id[i];
    if (ago_ms > BLACKLIST_MS) return;
    if (what == KIN_FORGOTTEN) {
        node = node_find(c, id);
        if (node != NULL && node->met_ms > now_ms - (int64_t)ago_ms)
            say(c, link, KIN_MET, id, now_ms - node->met_ms, e);
        return;
    }
    entry = find(c, id, now_ms);
    if (entry == NULL || since_ms(entry) >= now_ms - (int64_t)ago_ms) return;
    emit_log(e, LOG_NOTICE, "node %.40s: was met again since it was forgotten, says %.40s", id, message->sender);
    lift(c, entry);
}
