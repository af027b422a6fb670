/* salt/registry.h
 *
 * Which keys are salted, as this node knows: names, and those that were names until lately.
 *
 *     star -> mode, epoch, separator      ids 1 4 9        listed: what SALT replies, beside star itself
 *                                         retired 2 until  aliases as those are, for who has learned them before
 *
 * Only the node where a key is at home changes its entry, and the entry's epoch rises with it. Epochs are milliseconds of the wall clock or one more
 * than the last, so that an entry that is made again, after all have forgotten the former, is later than it. Nodes tell each other their entries as
 * items of the shared set (cluster/shared.h), named by the key, which also decides which of two counts and keeps them on disk. An item's text:
 *
 *     names 1795325880123 "~" 0 0 1 4 9 2@1795329480123
 *     mode  epoch        separator made-by-policy kept-until ids retired@until
 *
 * The mode is names, spread (names, and clients are told of the nodes that have them) or sum.
 *
 * Pure: no lock, no clock, no files. Times are milliseconds of the wall clock, which is all that nodes have in common. */
#pragma once

#include "base/buf.h"
#include "salt/choose.h"
#include "salt/name.h"

#define SALT_ENTRIES_MAX 1024u
/* Of one key: who changes the factor more often has to wait. */
#define SALT_RETIRED_MAX 128u
/* So long an entry without names is remembered at least, so that every node hears that it has none. */
#define SALT_FORGET_MS 60000
#define SALT_TEXT_BYTES_MAX 4096u

enum salt_mode {
    SALT_MODE_NAMES,
    SALT_MODE_SUM, /* increments are taken in wherever a name is */
};

struct salt_retired {
    uint16_t id;
    int64_t until_ms;
};

struct salt_entry {
    struct bytes base; /* the entry's own */
    enum salt_mode mode;
    char separator;
    bool automatic; /* the factor is a policy's to choose */
    bool spread; /* clients that know no names are told of the nodes that have some (salt/spread.h); never with SUM */
    uint64_t epoch;
    int64_t kept_until_ms; /* where there are no names */
    unsigned count;        /* of ids; the factor is one more */
    uint16_t ids[SALT_NAMES_MAX - 1];
    unsigned retired_count;
    struct salt_retired retired[SALT_RETIRED_MAX];
    struct buf text;
    void *marks; /* whoever has placed some keeps them here */
};

struct salt_registry;

struct salt_registry *salt_registry_new(void);
/* Frees all; forget() is called of each before, or is NULL. */
void salt_registry_free(struct salt_registry **registry, void (*forget)(void *context, struct salt_entry *entry),
                        void *context);

size_t salt_registry_count(const struct salt_registry *registry);
/* In the order of keys; lent until the next change. NULL past the end. */
struct salt_entry *salt_registry_at(const struct salt_registry *registry, size_t n);
/* Of a salted key; NULL where it is not. Lent likewise. */
struct salt_entry *salt_registry_find(const struct salt_registry *registry, struct bytes base);
/* The same of one of its names, listed or retired. */
struct salt_entry *salt_registry_find_name(const struct salt_registry *registry, struct bytes name);

/* Is it one of its ids, listed or retired? */
bool salt_entry_leads(const struct salt_entry *entry, unsigned id);

/* What an entry is to become. */
struct salt_change {
    enum salt_mode mode;
    char separator; /* of an entry that is there it stays */
    bool automatic, spread;
    const uint16_t *ids;
    unsigned count;
    int64_t now_ms, grace_ms;
    bool drops_retired; /* those that were retired before lead to it no more either */
};
#define SALT_ERROR_BYTES 256
/* Gives a key these names: those it has no more are retired. The entry, or NULL with the reply's error text where there is no room. */
struct salt_entry *salt_registry_change(struct salt_registry *registry, struct bytes base,
                                        const struct salt_change *change, char error[SALT_ERROR_BYTES]);

enum salt_taken {
    SALT_TAKEN,
    SALT_NOTHING, /* nothing was changed: it is what we have, or over by now */
    SALT_FULL,    /* likewise */
    SALT_DAMAGED, /* likewise; error says why */
};
/* Makes the entry of a key what a text says. Believes nothing. Of SALT_TAKEN, *entry is the entry. */
enum salt_taken salt_registry_take(struct salt_registry *registry, struct bytes base, struct bytes text, int64_t now_ms,
                                   struct salt_entry **entry, char error[SALT_ERROR_BYTES]);
/* Forgets the entry of a key, where there is one. */
void salt_registry_forget(struct salt_registry *registry, struct bytes base,
                          void (*forgotten)(void *context, struct salt_entry *entry), void *context);

/* Forgets retired names whose time is over, and entries of which nothing is left; told of each before: changed() of one that goes on with fewer
 * names, forgotten() of one that goes. True where there were any. */
bool salt_registry_expire(struct salt_registry *registry, int64_t now_ms,
                          void (*changed)(void *context, struct salt_entry *entry),
                          void (*forgotten)(void *context, struct salt_entry *entry), void *context);
