/* cache/fill.h
 *
 * Who may fill a key. A *fill* is a value that a client has read elsewhere, in a database mostly, to keep it here. Between its read and its
 * SET the source may have changed, and whoever changed it may have told us so: then the fill is stale, and must not be kept.
 *
 *     a slot:   gen       drawn anew whenever the slot is another's or comes from another: voids every token
 *               n         counts the write events of the slot: all that changes a key or means to, a DEL of none too
 *               stripes   64: the last event of the keys whose hashes fall there, and until when fills are not to be trusted
 *               leases    key -> who loads it, until when, who waits for it; and plain GETs that missed (guarded namespaces)
 *               floors    key -> the version of a value that is gone
 *
 *     token     gen and n, as they were when a client missed. It is good while the gen is the same and the key's stripe has seen no event
 *               since. So nothing has to be kept for a token, nothing of it can be lost too early, and what shares a stripe with the key costs a
 *               refused fill now and then.
 *
 * All of it hangs on the slot's feed, so that no command has to tell of its writes. A slot in which nobody has asked for any of it has nothing,
 * and pays for nothing.
 *
 * Tables are bounded. A lease that is lost costs a load. A floor that finds no room puts a *hold* on its stripe: fills are then kept until the
 * hold ends and no longer. Where misses of guarded keys are not all known, as some were lost or another node had the slot, no plain fill of one is
 * kept until those are too old to count.
 *
 * Who waits and who loads are opaque numbers. Those whose wait is over go into an outbox, as nothing may be posted under a slot's lock. */
#pragma once

#include "store/slot.h"

#include <stdatomic.h>

struct keyspace;

struct fills;      /* of a keyspace; guards itself */
struct slot_fills; /* of a slot; under its lock, but for its counters */

enum fill_counter {
    FILL_REFUSED_TOKEN,
    FILL_REFUSED_VERSION,
    FILL_REFUSED_HOLD, /* kept, but until the end of a hold only */
    FILL_REFUSED_GUARD,
    FILL_LEASES_GRANTED,
    FILL_LEASES_WAITED,
    FILL_LEASES_EXPIRED,
    FILL_LEASES_LOST, /* to make room */
    FILL_STALE_SERVED,
    FILL_FLOOR_OVERFLOWS,
    FILL_INVALIDATIONS,
    FILL_HEALED, /* invalidations that were lost, told of by a reader who knew better */
    FILL_COUNTERS,
};

#define FILL_LEASES_MAX 256u         /* in a slot, where all together have room for them */
#define FILL_GUARD_MS INT64_C(10000) /* so old a miss of a guarded key is nobody's any more */
#define FILL_VERSION_MAX ((UINT64_C(1) << 63) - 1)

struct fills *fills_new(struct keyspace *keyspace);
/* No thread may be using any of its slots. */
void fills_free(struct fills **fills);

/* How long floors are remembered, and what all of them may take of memory. Any thread. */
void fills_set_floor_ttl(struct fills *fills, int64_t ms);
int64_t fills_floor_ttl(const struct fills *fills);
void fills_set_floor_bytes_max(struct fills *fills, uint64_t bytes);
/* What all leases may take: beyond that a slot that has some gives one up for another. Any thread. */
void fills_set_lease_bytes_max(struct fills *fills, uint64_t bytes);
/* Has anything been asked for in the slot? Then a flush concerns it though it has no keys. Any thread. */
bool fills_are_used(const struct fills *fills, uint16_t id);
/* A slot comes from another node, which has not told of its floors: fills are held for as long as there may have been some. Any thread. */
void fills_slot_came(struct fills *fills, uint16_t id, int64_t now_ms);
/* Sums over the slots; any thread, without locks. */
void fills_counters(const struct fills *fills, uint64_t sums[FILL_COUNTERS]);
uint64_t fills_floor_bytes(const struct fills *fills);
uint64_t fills_lease_bytes(const struct fills *fills);

/* --- Whose wait is over --- */

/* Are there any? To be asked when locks were given back. */
bool fills_any_woken(const struct fills *fills);
/* Takes them out and visits each; any thread, without locks. */
void fills_take_woken(struct fills *fills, void (*visit)(void *context, uint64_t who), void *context);

/* --- With the slot locked --- */

/* NULL where nothing was asked for yet. */
struct slot_fills *fills_find(struct fills *fills, struct slot *slot);
/* Makes it where there is none. */
struct slot_fills *fills_of(struct fills *fills, struct slot *slot);

void fill_count(struct slot_fills *of, enum fill_counter counter);

/* A write event that the slot does not tell of. */
void fill_note_event(struct slot_fills *of, uint64_t hash, int64_t now_ms);

/* Tokens. */
struct fill_token {
    uint64_t gen, n;
};
#define FILL_TOKEN_TEXT_MAX 40
size_t fill_token_text(struct fill_token token, char text[FILL_TOKEN_TEXT_MAX]);
bool fill_token_parse(struct bytes text, struct fill_token *token);
/* One that is good from now on. */
struct fill_token fill_token(struct slot_fills *of);
bool fill_token_is_good(const struct slot_fills *of, uint64_t hash, struct fill_token token);
/* No token of the slot is good any more, nor any lease. */
void fill_void_all(struct slot_fills *of);

/* Somebody goes through the slot and gives its lock back between the pieces: until that is over nothing is to be sent to another node, where
 * what is dropped here would be there all the same. Several may at once. */
void fill_walk_begin(struct slot_fills *of);
void fill_walk_end(struct slot_fills *of);
bool fill_is_walked(const struct slot_fills *of);

/* Holds: until when fills of a key are not to be trusted; 0: they are. */
void fill_hold(struct slot_fills *of, uint64_t hash, int64_t until_ms);
void fill_hold_all(struct slot_fills *of, int64_t until_ms);
int64_t fill_held_until_ms(const struct slot_fills *of, uint64_t hash, int64_t now_ms);

/* Floors: below the version, and at it where the floor is strict, no fill is kept. */
struct fill_floor {
    uint64_t version; /* ENTRY_VERSIONED and the version; 0: there is no floor */
    bool is_strict;
};
struct fill_floor fill_floor(const struct slot_fills *of, uint64_t hash, int64_t now_ms);
void fill_floor_raise(struct slot_fills *of, uint64_t hash, struct fill_floor floor, int64_t now_ms);

/* Leases. Grants one, with a token, or says that somebody else has it; lease_ms 0 asks for none. Who was elected while he waited is granted
 * his own. */
bool fill_lease(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t lease_ms, int64_t now_ms,
                struct fill_token *token);
/* Where who loads is late, the first of those who wait is elected. */
void fill_expire(struct slot_fills *of, uint64_t hash, int64_t now_ms);
/* Until when somebody loads the key; 0: nobody does. */
int64_t fill_loading_until_ms(const struct slot_fills *of, uint64_t hash, int64_t now_ms);
bool fill_is_loaded_by(const struct slot_fills *of, uint64_t hash, uint64_t who, int64_t now_ms);
/* Waits for the key to be filled, or to be elected in turn where lease_ms is more than 0. */
void fill_wait(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t lease_ms, int64_t now_ms);
/* No longer; nothing where he does not. */
void fill_wait_no_more(struct slot_fills *of, uint64_t hash, uint64_t who);
/* A loader is gone, or has failed: the next one is elected. Nothing where the lease is another's by now. */
void fill_give_up(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t now_ms);
/* The same for one who was elected and has not come for it. */
void fill_give_up_handed(struct slot_fills *of, uint64_t hash, uint64_t who, int64_t now_ms);
/* The same by the token of the fill that was not kept, whoever sent it. */
void fill_failed(struct slot_fills *of, uint64_t hash, struct fill_token token, int64_t now_ms);

/* Guarded keys: a plain GET misses, and a plain SET answers that. */
void fill_guard_miss(struct slot_fills *of, uint64_t hash, int64_t now_ms);
enum fill_verdict {
    FILL_NO_MISS, /* nobody has missed it */
    FILL_GOOD,
    FILL_STALE, /* something was written since the oldest miss, or that cannot be known */
};
enum fill_verdict fill_guard_answer(struct slot_fills *of, uint64_t hash, int64_t now_ms);
/* What is changed between the two is a fill that was found good: it voids nobody's. */
void fill_quiet_begin(struct slot_fills *of);
void fill_quiet_end(struct slot_fills *of);
