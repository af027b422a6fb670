/* cache/policy.h
 *
 * What is to hold for all keys that begin alike: how long they live at most, how they are protected. A policy is a prefix and the fields
 * that were set for it; of the policies whose prefix a key has, the longest one that sets a field tells it. "" is the prefix of all keys.
 *
 *     ""        max-ttl 86400  jitter 10
 *     "user:"   ttl 3600  guard yes         user:1: ttl 3600, max-ttl 86400, jitter 10, guard yes
 *     "user:a"  jitter 0                    user:a: the same with jitter 0
 *
 * All policies are one table that never changes: setting a field makes another one and puts it in place of the first. So whoever holds a slot's
 * lock reads the present table without any other. A table that was replaced is freed when every slot's lock has been taken and given back
 * since; whoever goes through all slots because of the change (cache/policy_sweep.h) does that by the way.
 *
 * A table has a version: an epoch, and a number that grows with each change. Of two tables the later version counts, and of two with the
 * same version (made on two sides of a cut network) the one with the greater digest; so nodes that tell each other their tables
 * come to have the same one. */
#pragma once

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define POLICIES_MAX 1024u
/* With those that come from other nodes. */
#define POLICIES_TAKEN_MAX 16384u
#define POLICY_PREFIX_BYTES_MAX 256u

enum policy_field {
    POLICY_FIELD_TTL,
    POLICY_FIELD_MAX_TTL,
    POLICY_FIELD_JITTER,
    POLICY_FIELD_REFRESH,
    POLICY_FIELD_GUARD,
    POLICY_FIELD_COALESCE,
    POLICY_FIELD_HOLD,
    POLICY_FIELD_SALT,
    POLICY_FIELD_COUNT
};

/* All fields as they hold for a key, and what follows from them for the life of a value. */
struct policy_fields {
    int64_t ttl_ms;     /* of a value that comes without one; 0: it keeps for ever */
    int64_t max_ttl_ms; /* from the birth of the value; 0: no limit */
    int32_t coalesce_ms, hold_ms;
    uint16_t salt;
    uint8_t jitter_percent, refresh_percent;
    bool guard;
    /* Known beforehand, as every write asks: by policy_fields_conclude(). */
    bool limits;          /* it says something of lives */
    bool needs_birth;     /* what it says is told from a value's birth */
    int64_t born_ms;      /* how long a value that comes without a deadline lives; 0: for ever */
    int64_t born_less_ms; /* so much of that jitter may take off */
};

/* Works out the rest of the fields. */
void policy_fields_conclude(struct policy_fields *fields);
/* What jitter may take off a time to live. */
int64_t policy_jitter_most_ms(const struct policy_fields *fields, int64_t span_ms);

struct keyspace;
struct policy_table;

/* The policies of a node. Guards itself. */
struct policies;

struct policies *policies_new(void);
/* Keeps *armed true while there are policies: what is asked before policies_find() where even a call costs too much. Before the first policy. */
void policies_arm(struct policies *policies, _Atomic bool *armed);
/* Nobody may be reading. */
void policies_free(struct policies **policies);

/* --- Reading, with the lock of any slot held --- */

/* Where the present table is; its own type so that nobody needs the rest. */
struct policies_head {
    _Atomic(const struct policy_table *) table; /* NULL: there are no policies */
    _Atomic uint64_t changes;                   /* how often it was replaced; raised behind it */
    _Atomic uint32_t
        sets; /* the fields that any policy of the table sets, a bit for each policy_field; more while it is replaced */
};

/* Does any policy set one of these fields (bits)? Else nobody needs to look for a key's. */
static inline bool policies_set_any(const struct policies *policies, uint32_t fields)
{
    const struct policies_head *head = (const struct policies_head *)policies;

    return __builtin_expect((atomic_load_explicit(&head->sets, memory_order_acquire) & fields) != 0, 0);
}

const struct policy_fields *policy_table_find(const struct policy_table *table, struct bytes key);

/* The fields of a key. NULL where no policy concerns it: all are then at their defaults, which is 0, no and, of salt, 1. Lent until the slot's
 * unlock. Costs a load and a branch while there are no policies. */
static inline const struct policy_fields *policies_find(const struct policies *policies, struct bytes key)
{
    const struct policies_head *head = (const struct policies_head *)policies;
    const struct policy_table *table = atomic_load_explicit(&head->table, memory_order_acquire);

    if (__builtin_expect(table == NULL, 1)) return NULL;
    return policy_table_find(table, key);
}

/* Is a value past `refresh` percent of its life? Never where its birth is not known (0), or it has no deadline. A birth is kept in whole seconds: its
 * value is taken to be born in the middle of that one, which is wrong by half a second at most, one way as often as the other. */
bool policy_is_past_refresh(const struct policy_fields *fields, uint32_t birth_s, int64_t expires_at_ms,
                            int64_t now_ms);
/* From when on it is; INT64_MAX: never. */
int64_t policy_refresh_at_ms(const struct policy_fields *fields, uint32_t birth_s, int64_t expires_at_ms);

/* A number that is another one when the table is. What was found after it was asked for holds while it is the same. Any thread, no lock. */
static inline uint64_t policies_changes(const struct policies *policies)
{
    return atomic_load_explicit(&((const struct policies_head *)policies)->changes, memory_order_acquire);
}

/* --- Words --- */

/* A field by its name, in any case; false where there is none. */
bool policy_field_of(struct bytes name, enum policy_field *field);
const char *policy_field_name(enum policy_field field);

#define POLICY_ERROR_BYTES 256
/* A field's value from its word: seconds for ttl and max-ttl, which are kept as milliseconds, yes or no for guard, else whole numbers. False with
 * a reason that names the field. */
bool policy_value_of(enum policy_field field, struct bytes word, int64_t *value, char error[POLICY_ERROR_BYTES]);
/* What the field may be, in the units it is kept in. */
int64_t policy_value_max(enum policy_field field);
bool policy_field_is_yes_no(enum policy_field field);
/* As users say it: a time that is no whole number of seconds is rounded up. */
int64_t policy_value_shown(enum policy_field field, int64_t value);

/* --- Changing; any thread, with no slot's lock held --- */

struct policy_setting {
    enum policy_field field;
    int64_t value; /* as policy_value_of() gives it */
};

/* Sets fields of a prefix's policy, which is made where it is not there; others stay. All or nothing: false, with the reply's error text ("ERR ..."), where
 * the prefix is too long or there are too many. */
bool policies_set(struct policies *policies, struct bytes prefix, const struct policy_setting *settings, size_t count,
                  char error[POLICY_ERROR_BYTES]);
/* False where there is none. */
bool policies_delete(struct policies *policies, struct bytes prefix);

/* What is set for a prefix as text, as "ttl 3600000 guard 1" in the units fields are kept in: what is on disk, and what nodes tell each other. Appends
 * it; false where there is no policy. */
#define POLICY_TEXT_BYTES_MAX 256u
bool policies_text(struct policies *policies, struct bytes prefix, struct buf *out);

/* What the policy of a prefix is, all of it. */
struct policy_text {
    struct bytes prefix, text;
    bool is_gone; /* there is none */
};
/* Takes policies over, in place of those that are there; of one prefix the last counts. Believes nothing: what cannot be read is left out, and a policy that was
 * there stays. Returns how many were, with the reason of one of them in error. */
size_t policies_take(struct policies *policies, const struct policy_text *texts, size_t count,
                     char error[POLICY_ERROR_BYTES]);

/* --- Looking, likewise --- */

/* One policy as it was set. */
struct policy {
    struct bytes prefix;
    uint32_t set; /* a bit for each field */
    int64_t values[POLICY_FIELD_COUNT];
    uint64_t changed_at; /* what policies_walked() said then, and one for a slot that was under way */
};
static inline bool policy_sets(const struct policy *policy, enum policy_field field)
{
    return (policy->set >> field & 1u) != 0;
}

/* Its text, appended. */
void policy_write(const struct policy *policy, struct buf *out);

/* Visits all, in the order of their prefixes; what is visited is lent for the visit, and the visitor must not call policies_...(). */
void policies_each(struct policies *policies, void (*visit)(void *context, const struct policy *policy), void *context);
size_t policies_count(struct policies *policies);

/* A field of a key and the policy it comes from. */
struct policy_match {
    bool is_set; /* false: the default, from no policy */
    int64_t value;
    char prefix[POLICY_PREFIX_BYTES_MAX];
    size_t prefix_bytes;
};
void policies_match(struct policies *policies, struct bytes key, struct policy_match matches[POLICY_FIELD_COUNT]);

/* --- For whoever goes through the slots --- */

/* How many slots have been gone through since the node started; begins with SLOT_COUNT. Each call of policies_count_slot() says that of one more
 * slot the lock was taken, all its entries were seen, and the lock given back: slots in ascending order, round and round. */
uint64_t policies_walked(const struct policies *policies);
void policies_count_slot(struct policies *policies);
/* True while not all slots were gone through since the last change. */
bool policies_walk_is_due(const struct policies *policies);
/* How many replaced tables wait for the walk; more than so many had better be freed without it. */
#define POLICIES_WAITING_MAX 8u
size_t policies_waiting(struct policies *policies);
/* Frees those without waiting for it: takes and gives back the lock of every slot, some milliseconds of work. With no slot's lock held. */
void policies_settle(struct policies *policies, struct keyspace *keyspace);
