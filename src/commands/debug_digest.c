/* commands/debug_digest.c: DEBUG DIGEST and DIGEST-VALUE: a sum of all that is kept, in whatever order it is kept. The same data has the
 * same sum on a redis-server, so that tests may compare the two.
 *
 * Adding a text is an XOR with its SHA-1, so that the order of additions makes no difference; mixing one in, the SHA-1 of that, so that it does. */
#include "base/sha1.h"
#include "commands/debug_internal.h"
#include "server/node.h"

#include <stdio.h>
#include <string.h>

struct digest {
    unsigned char bytes[SHA1_BYTES];
};

static struct bytes digest_bytes(const struct digest *digest)
{
    return (struct bytes){ (const char *)digest->bytes, SHA1_BYTES };
}

static void add_text(struct digest *digest, struct bytes text)
{
    struct digest sum = { 0 };

    sha1(text, sum.bytes);
    for (int i = 0; i < SHA1_BYTES; i++) digest->bytes[i] ^= sum.bytes[i];
}

static void mix_text(struct digest *digest, struct bytes text)
{
    struct digest mixed = *digest;

    add_text(&mixed, text);
    sha1(digest_bytes(&mixed), digest->bytes);
}

/* The number of the type of strings, and of the one database: the same four bytes. */
#define ZERO ((struct bytes){ "\0\0\0", 4 })

static void mix_value(struct digest *digest, const struct entry *entry)
{
    mix_text(digest, ZERO);
    mix_text(digest, entry_value(entry));
    if (entry_expires_at_ms(entry) != ENTRY_KEEPS_FOREVER) add_text(digest, BYTES("!!expire!!"));
}

static void digest_text(const struct digest *digest, char text[2 * SHA1_BYTES + 1])
{
    for (int i = 0; i < SHA1_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest->bytes[i]);
}

struct digest_walk {
    int64_t now_ms;
    struct digest digest;
};

static void add_entry(void *context, struct entry *entry)
{
    struct digest_walk *walk = context;
    struct digest own = { { 0 } };

    if (entry_is_expired(entry, walk->now_ms)) return;
    mix_text(&own, entry_key(entry));
    mix_value(&own, entry);
    add_text(&walk->digest, digest_bytes(&own));
}

/* A bucket under one lock, as KEYS walks. */
void debug_digest(struct call *call)
{
    struct digest_walk walk = { .now_ms = call->now_ms };
    char text[2 * SHA1_BYTES + 1];

    if (keyspace_counts(call->node->keyspace).keys > 0) mix_text(&walk.digest, ZERO);
    for (uint16_t id = 0; id < SLOT_COUNT; id++) {
        uint32_t cursor = 0;

        if (slot_counts(keyspace_slot(call->node->keyspace, id)).keys == 0) continue;
        do {
            struct slot *slot = call_slot_enter(call, id);

            cursor = slot_scan(slot, cursor, add_entry, &walk);
            call_slot_leave(call, slot);
        } while (cursor != 0);
    }
    digest_text(&walk.digest, text);
    reply_simple(call->reply, text);
}

void debug_digest_value(struct call *call)
{
    reply_array(call->reply, (size_t)call->argc - 2);
    for (int arg = 2; arg < call->argc; arg++) {
        struct digest digest = { { 0 } };
        struct slot *slot = call_slot_enter(call, key_slot(call_arg(call, arg)));
        const struct entry *entry = slot_peek(slot, call_arg(call, arg), call->now_ms);
        char text[2 * SHA1_BYTES + 1];

        if (entry != NULL) mix_value(&digest, entry);
        call_slot_leave(call, slot);
        digest_text(&digest, text);
        reply_simple(call->reply, text);
    }
}
