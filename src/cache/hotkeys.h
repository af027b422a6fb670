/* cache/hotkeys.h
 *
 * Which keys take more than their share of the node, found while they do. Every command is weighed:
 *
 *     cost = 1 + KiBs of request and reply + microseconds of work beyond the first, divided over its keys
 *
 * so one unit is one small GET, and a key that is asked for often, one that is large and one that is laborious are found by the same
 * number. Two things remember it:
 *
 *     sketch  a cache line for each slot: | 2 counters of hash and cost | their window | 2 more | theirs | which of the hot are in this slot |
 *     hot     the table of at most 64 keys that passed the threshold within a window: names, and exact counts for each worker
 *
 * A slot sees a 16384th of all keys, so around a hot one its stream is a trickle. The counters follow Misra and Gries' rule: a key without a counter
 * takes from those of others. A key looks at two of the four, by a bit of its hash; half of the others look at the other two, so it is
 * kept when it makes up more than a fifth of its slot's cost, as if all looked at all, for half the work. What the other slots do does not
 * matter. Whoever rotates keys to get others' counters down does it to a slot he fills himself. And two counters on which little is spent need not be
 * looked at: until that is a sixteenth of what makes a key hot only their sum is kept, which most never get beyond.
 *
 * Nothing here takes the slot's lock. The counters are words of their own, read and written relaxed; two workers that meet on the same slot at
 * the same nanosecond lose one of two costs, which matters to no key that is hot. A hot key's exact counts are its workers' own.
 *
 * Times are milliseconds of any clock; one that stands still or goes back costs accuracy and nothing else. */
#pragma once

#include "base/bytes.h"

#define HOTKEYS_MAX 64
/* Of a longer key so much is kept as its name; it is told from others by its hash and length all the same. */
#define HOTKEYS_NAME_MAX 512
/* One unit of cost. */
#define HOTKEYS_UNIT 256u
/* So much of a command's time costs nothing. */
#define HOTKEYS_FREE_NS 1000u
/* And each so many bytes of it cost one unit; fewer nothing. A power of two. */
#define HOTKEYS_FREE_BYTES 1024u

struct hotkeys;

/* What one command has cost one of its keys. */
struct hot_use {
    uint64_t hash; /* 64 bits of the key; of it only they and the name are looked at */
    struct bytes key;
    uint16_t slot; /* of the key */
    bool writes;
    uint32_t cost; /* hotkeys_cost() */
    uint64_t bytes, ns;
    int64_t now_ms;
};

/* The command's share for one key out of `keys` (at least 1), in 1/256 of a unit, at least 1. A single command counts by its time for no more
 * than a sixth of what makes a key hot: a thread that the system has put aside for a while must not make one of what it was at, and not of a key either that
 * has four fifths of it without that. */
uint32_t hotkeys_cost(const struct hotkeys *hotkeys, uint64_t bytes, uint64_t ns, uint32_t keys);

/* For threads numbered 0 .. writers-1. Finds nothing before hotkeys_set(). */
struct hotkeys *hotkeys_new(unsigned writers);
void hotkeys_free(struct hotkeys **hotkeys);

/* Units per second that make a key hot, 0 for none, and over how long they are counted. Any thread, at any time. */
void hotkeys_set(struct hotkeys *hotkeys, int64_t threshold, int64_t window_ms);

/* --- For those who run commands; what most of them do is in cache/hotkeys_line.h --- */

/* Counts a use of a key by thread number `writer`. True where the key has become hot by it, which it is told once. No lock needs to be held and
 * none is taken but where a key becomes hot. */
bool hotkeys_count(struct hotkeys *hotkeys, unsigned writer, const struct hot_use *use);

/* Is this key of the slot hot? Any thread, without locks; told by its hash. */
bool hotkeys_has(const struct hotkeys *hotkeys, uint16_t slot, uint64_t hash);

/* --- For one thread that looks ten times a second --- */

struct hot_gone {
    struct bytes name; /* the receiver's, to alloc_free() */
    uint16_t slot;
};
#define HOTKEYS_GONE_MAX 64

/* Takes samples of what is hot, and out what is no more: for a second below half the threshold, less than nine tenths of it in its first
 * second, in a slot that is not served here, pushed out by
 * hotter keys, or all of them where nothing is watched any more. commands: how many the node has run, ever. Returns how many went.
 * is_here may be NULL. */
size_t hotkeys_tick(struct hotkeys *hotkeys, int64_t now_ms, uint64_t commands,
                    bool (*is_here)(void *context, uint16_t slot), void *context,
                    struct hot_gone gone[HOTKEYS_GONE_MAX]);

/* --- For those who ask; any thread --- */

struct hot_report {
    struct bytes name; /* the caller's, to alloc_free() */
    uint16_t slot;
    int64_t since_ms;
    uint64_t ops, writes, bytes, cpu_us; /* per second, over up to a second */
    double share;                        /* of the node's commands, 0 to 1 */
    double load;                         /* units per second */
};

/* Hottest first. Returns how many. */
size_t hotkeys_list(struct hotkeys *hotkeys, int64_t now_ms, uint64_t commands, struct hot_report out[HOTKEYS_MAX]);

struct hotkeys_counts {
    uint64_t now;                /* keys that are hot */
    uint64_t found;              /* times one became hot */
    uint64_t cooled;             /* times one left by itself, or with its slot */
    uint64_t pushed_out, missed; /* times the table was full: the coldest made room, or the newcomer was not let in */
};
struct hotkeys_counts hotkeys_counts(struct hotkeys *hotkeys);
