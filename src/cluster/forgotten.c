/* cluster/forgotten.c
 *
 * Whom an operator had us forget: for a minute no hearsay brings him back. The word is passed on to nodes of our kind, so that it need not be
 * given to each. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#define FORGOTTEN_MAX 16u /* told in one packet; the next one begins elsewhere */

bool blacklist_has(const struct cluster *c, const char *id, int64_t now_ms)
{
    for (size_t i = 0; i < c->blacklist_count; i++)
        if (c->blacklist[i].until_ms > now_ms && memcmp(c->blacklist[i].id, id, NODE_ID_BYTES) == 0) return true;
    return false;
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
        blacklist_add(c, id, now_ms, for_ms, true);
        emit_log(e, LOG_NOTICE, "node %.40s: forgotten, as %.40s asks", id, sender->id);
        node_remove(c, node, now_ms, e);
        cluster_save_later(c, SAVE_SOON);
    }
}
