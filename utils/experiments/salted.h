/* utils/experiments/salted.h
 *
 * Salted keys of four nodes, sessions that read any of their names and write them, and the checker. A value is a version. A write is acknowledged
 * when its reply is there; the checker knows for each key the highest version that is, and a read that returns less than it was when
 * the read began is stale. There is one thread, so "when" is one moment for all.
 *
 *     key 0, 1    counted up by any session at any time, by INCR: the reply is the version
 *     key 2       written by one session at a time, by whatever can write a value; each write has its version before it begins
 *     key 3       the same, and now and then it is deleted or expires, which is a version too: from then on no value may be there
 *
 * All of them are in one slot, which has one home. Their names are in many. */
#pragma once

#include "nodes.h"

#include <stdbool.h>
#include <stdint.h>

#define SALTED_KEYS 4u
#define SALTED_NAMES_MAX 64u
#define SALTED_KNOWN_MAX 1024u
#define SALTED_NAME_BYTES 64u
#define SALTED_HISTORY 4096u

struct salted_name {
    char text[SALTED_NAME_BYTES];
    unsigned slot;
};

struct salted_key {
    char key[SALTED_NAME_BYTES];
    struct salted_name names[SALTED_NAMES_MAX], known[SALTED_KNOWN_MAX]; /* as SALT told last; all that it ever told */
    unsigned name_count, known_count;
    uint64_t acknowledged, started;
    uint64_t gone; /* the latest version that is no value, from the moment at which it began */
    uint64_t acknowledged_us[SALTED_HISTORY]; /* when version v was, at v modulo */
    bool is_being_written;                    /* 2 and 3: by one at a time */
};

struct salted {
    struct nodes nodes;
    struct salted_key keys[SALTED_KEYS];
    unsigned slot, home; /* of all keys; where it is */
    double write_share;
    uint64_t pause_us; /* of a session, between two operations, at random with this mean */
    bool reads_former; /* also names that a key has no more, now and then */
    bool is_stopped[NODES_MAX], ends;
    uint64_t reads, writes, stale, oldest_us;
    uint64_t nothing, errors, unwritten; /* no value though there is one; refusals; values that nobody wrote */
    uint64_t lost;                       /* INCRs that did not count from what was acknowledged */
    uint32_t *write_us;                  /* how long each took until it was acknowledged */
    size_t write_count, write_room;
    bool is_told; /* the first of those that are wrong is */
};

/* Starts the nodes. Each call has keys of its own, all in a slot of the first node. */
void salted_open(struct salted *salted, const char *binary, const char *more_lines);
void salted_close(struct salted *salted);
/* What was counted is forgotten. */
void salted_reset(struct salted *salted);

/* --- Within a task --- */
/* Writes the keys for the first time. */
void salted_fill(struct salted *salted);
/* Gives a key n names; of 0, asks what they are. Each that is told is read from then on. False: refused, or nobody answered. */
bool salted_salt(struct salted *salted, unsigned key, unsigned n);
/* Gives all keys n names at once, and waits until they have them. False: some have not. */
bool salted_salt_all(struct salted *salted, unsigned n);
/* Waits until each name is answered where it is, or for so long. */
bool salted_wait_copies(struct salted *salted, unsigned keys, uint64_t us_max);
/* Reads or writes until `ends`. */
void salted_session(void *context); /* a struct salted */
/* One read of a name at a node, by a task of its own, whatever is known of that node; none where it has no name. */
void salted_probe(struct salted *salted, unsigned node);
/* One acknowledged INCR of the first key, under its own name; how long it took. */
uint64_t salted_write_us(struct salted *salted);
/* How many of all names that were ever told do not return the last version, when nothing is being written. */
unsigned salted_differ(struct salted *salted);

/* "0 stale, 0 without a value, 0 errors of 1000 reads". */
const char *salted_text(const struct salted *salted);
