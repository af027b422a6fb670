#include "transfer/slot_peer.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "store/account.h"
#include "store/keyspace.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

/* So many at once: what a tool asks MIGRATE for, too, so that whoever wants to end it waits for no more. */
#define SOME_KEYS 100u
/* The nodes of a large cluster with their slots. */
#define REPLY_BYTES_MAX ((size_t)16 << 20)

/* --- Asking --- */

/* The reply, to be freed; NULL, with the reason in error, where there is none or it is an error. */
static struct redisReply *ask(const struct slot_peer *peer, struct target *target, const struct bytes *words,
                              size_t count, char error[TARGET_ERROR_BYTES])
{
    struct target_patience patience = { peer->timeout_ms, peer->site->ending };
    struct redisReply *reply = NULL;

    if (target_ask(target, words, count, &patience) != TARGET_FINE ||
        target_read(target, REPLY_BYTES_MAX, &patience, &reply) != TARGET_FINE) {
        snprintf(error, TARGET_ERROR_BYTES, "no answer");
        return NULL;
    }
    if (reply->type != REDIS_REPLY_ERROR) return reply;
    target_error_text(reply, error);
    target_reply_free(reply);
    return NULL;
}

static struct target *open_target(const struct slot_peer *peer, char error[TARGET_ERROR_BYTES])
{
    struct target_patience patience = { peer->timeout_ms, peer->site->ending };
    enum target_fault fault;
    struct target *target = target_open(peer->site->targets, &peer->address, &patience, &fault, error);

    if (target == NULL && error[0] == '\0') snprintf(error, TARGET_ERROR_BYTES, "cannot be reached");
    return target;
}

static struct bytes slot_text(uint16_t slot, char text[I64_TEXT_BYTES])
{
    return (struct bytes){ text, i64_to_text(text, slot) };
}

void slot_peer_account(const struct slot_peer *peer, const char *their_id, const char *our_id, struct open_account *out,
                       char error[TARGET_ERROR_BYTES])
{
    char number[I64_TEXT_BYTES];
    const struct bytes nodes[] = { BYTES("CLUSTER"), BYTES("NODES") };
    const struct bytes count[] = { BYTES("CLUSTER"), BYTES("COUNTKEYSINSLOT"), slot_text(peer->slot, number) };
    struct target *target = open_target(peer, error);
    struct redisReply *reply;

    *out = (struct open_account){ .is_heard = false };
    if (target == NULL) return;
    reply = ask(peer, target, nodes, 2, error);
    if (reply != NULL &&
        (reply->type != REDIS_REPLY_STRING ||
         !open_account_read((struct bytes){ reply->str, (size_t)reply->len }, peer->slot, their_id, our_id, out)))
        snprintf(error, TARGET_ERROR_BYTES, "another node answers at its address");
    target_reply_free(reply);
    if (out->is_heard) {
        reply = ask(peer, target, count, 3, error);
        out->is_heard = reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0;
        if (out->is_heard) out->keys = (uint64_t)reply->integer;
        target_reply_free(reply);
    }
    target_keep(peer->site->targets, &target);
}

bool slot_peer_setslot(const struct slot_peer *peer, struct bytes verb, const char *id, char error[TARGET_ERROR_BYTES])
{
    char number[I64_TEXT_BYTES];
    const struct bytes words[] = { BYTES("CLUSTER"), BYTES("SETSLOT"), slot_text(peer->slot, number), verb,
                                   bytes_of(id) };
    struct target *target = open_target(peer, error);
    struct redisReply *reply;

    if (target == NULL) return false;
    reply = ask(peer, target, words, 5, error);
    target_keep(peer->site->targets, &target);
    if (reply == NULL) return false;
    target_reply_free(reply);
    return true;
}

/* --- Keys --- */

struct gathered {
    struct buf text; /* of all of them */
    size_t count;
    size_t ends[SOME_KEYS];
};

static void gather(void *context, struct entry *entry)
{
    struct gathered *gathered = context;

    if (gathered->count == SOME_KEYS) return;
    buf_append_bytes(&gathered->text, entry_key(entry));
    gathered->ends[gathered->count++] = gathered->text.len;
}

/* Copies the names of some keys. */
static void gather_some(const struct slot_peer *peer, struct gathered *gathered)
{
    struct slot *slot = keyspace_slot(peer->site->keyspace, peer->slot);
    uint32_t cursor = 0;

    slot_lock(slot);
    do cursor = slot_scan(slot, cursor, gather, gathered);
    while (cursor != 0 && gathered->count < SOME_KEYS);
    slot_unlock(slot);
}

static struct bytes gathered_key(const struct gathered *gathered, size_t i)
{
    size_t begin = i == 0 ? 0 : gathered->ends[i - 1];

    return (struct bytes){ gathered->text.data + begin, gathered->ends[i] - begin };
}

struct outcome {
    enum migration_end end;
    char error[TARGET_ERROR_BYTES];
};

void slot_peer_ended(void *context, void *ticket, enum migration_end end, const char *error)
{
    struct outcome *outcome = ticket;

    (void)context;
    outcome->end = end;
    snprintf(outcome->error, sizeof(outcome->error), "%s", error);
}

static uint64_t keys_here(const struct slot_peer *peer)
{
    return slot_counts(keyspace_slot(peer->site->keyspace, peer->slot)).keys;
}

/* What is gone of the slot afterwards counts as sent, expired keys with the others. */
static bool send(const struct slot_peer *peer, const struct migration_options *options, uint64_t *sent,
                 char error[TARGET_ERROR_BYTES])
{
    struct outcome outcome = { .end = MIGRATION_NOT_CONNECTED };
    struct migration_options with_ticket = *options;
    struct migration *migration;
    uint64_t before = keys_here(peer), after;

    with_ticket.address = peer->address;
    with_ticket.timeout_ms = peer->timeout_ms;
    with_ticket.to_kin = true;
    with_ticket.ticket = &outcome;
    migration = migration_new(&with_ticket);
    migration_run(&migration, peer->site);
    account_settle();
    after = keys_here(peer); /* others may come meanwhile */
    if (before > after) *sent += before - after;
    if (outcome.end == MIGRATION_DONE || outcome.end == MIGRATION_NO_KEY) return true;
    snprintf(error, TARGET_ERROR_BYTES, "%s", outcome.end == MIGRATION_REFUSED ? outcome.error : "the link broke");
    return false;
}

bool slot_peer_send_some(const struct slot_peer *peer, uint64_t *sent, char error[TARGET_ERROR_BYTES])
{
    struct gathered gathered = { .count = 0 };
    struct bytes keys[SOME_KEYS];
    struct migration_options options = { .replaces = true, .asks = true, .keys = keys };
    bool ok = true;

    gather_some(peer, &gathered);
    for (size_t i = 0; i < gathered.count; i++) keys[i] = gathered_key(&gathered, i);
    options.key_count = gathered.count;
    if (gathered.count > 0) ok = send(peer, &options, sent, error);
    buf_free(&gathered.text);
    return ok;
}

/* One on its way, or not there any more, is left to the next time. */
static void drop(const struct slot_peer *peer, struct bytes key, uint64_t *dropped)
{
    struct slot *slot = keyspace_slot(peer->site->keyspace, peer->slot);
    int64_t now_ms = clock_now_ms();

    slot_lock(slot);
    if (!slot_is_in_flight(slot, key) && slot_remove(slot, key, now_ms)) ++*dropped;
    slot_unlock(slot);
}

enum has { HAS, LACKS, NOBODY_SAYS };

static enum has peer_has(const struct slot_peer *peer, struct target *target, struct bytes key,
                         char error[TARGET_ERROR_BYTES])
{
    const struct bytes words[] = { BYTES("EXISTS"), key };
    struct redisReply *reply = ask(peer, target, words, 2, error);
    enum has has = NOBODY_SAYS;

    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) has = reply->integer > 0 ? HAS : LACKS;
    target_reply_free(reply);
    return has;
}

/* Without REPLACE: what was written at the owner since is newer. */
bool slot_peer_return_some(const struct slot_peer *peer, uint64_t *sent, uint64_t *dropped,
                           char error[TARGET_ERROR_BYTES])
{
    struct gathered gathered = { .count = 0 };
    struct bytes keys[SOME_KEYS];
    struct migration_options options = { .keys = keys };
    struct target *target = open_target(peer, error);
    bool ok = true;

    if (target == NULL) return false;
    gather_some(peer, &gathered);
    for (size_t i = 0; ok && i < gathered.count; i++) {
        struct bytes key = gathered_key(&gathered, i);

        switch (peer_has(peer, target, key, error)) {
        case HAS:
            drop(peer, key, dropped);
            break;
        case LACKS:
            keys[options.key_count++] = key;
            break;
        case NOBODY_SAYS:
            ok = false;
            break;
        }
    }
    target_keep(peer->site->targets, &target);
    if (ok && options.key_count > 0) ok = send(peer, &options, sent, error);
    account_settle();
    buf_free(&gathered.text);
    return ok;
}
