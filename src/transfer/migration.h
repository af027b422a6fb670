/* transfer/migration.h
 *
 * Keys on their way to another node: what MIGRATE asks for. It is done by a mover (transfer/migrator.h), some keys at a time:
 *
 *     here, under the slot's lock     a mark on the key; its value held, or copied where it is small
 *     to the target                   RESTORE-ASKING key deadline payload ABSTTL [REPLACE]
 *     its reply, OK                   under the lock: the key is deleted here, and its mark goes
 *     its reply, an error             the mark goes
 *
 * While a key is marked it is read here and nothing else is done with it (store/slot.h): so its value does not change, and nobody is sent
 * to the target for a key that may or may not be there. Deleting it and taking the mark off is one step.
 *
 * Where the link breaks between the request and its reply, nobody knows whether the key has arrived. It stays marked until the target
 * was asked (transfer/doubt.h). */
#pragma once

#include "transfer/target.h"

struct doubt;
struct keyspace;
struct migration;

struct migration_options {
    struct target_address address;
    int64_t timeout_ms;
    bool copies, replaces;
    bool asks;   /* by RESTORE-ASKING: the slot is being imported there */
    bool to_kin; /* one of our own nodes, which keeps attributes, too */
    const struct bytes *keys;
    size_t key_count;
    void *ticket; /* told to ended() */
};

enum migration_end {
    MIGRATION_DONE,
    MIGRATION_NO_KEY, /* none of them was here */
    MIGRATION_NOT_CONNECTED,
    MIGRATION_NOT_WRITTEN,
    MIGRATION_NOT_READ,
    MIGRATION_REFUSED, /* the target has answered with an error; the other keys are there */
};

/* What a mover needs to know of the node. Everything is there for as long as movers are. */
struct migration_site {
    struct keyspace *keyspace;
    struct targets *targets;
    const char *run_id; /* as INFO shows it */
    const _Atomic bool *ending;
    void *context; /* for all of these: */
    /* Where the node itself listens. */
    uint16_t (*own_port)(void *context);
    /* What came of a migration, once for each; the error is the target's, where there is one. On the mover's thread, without locks. */
    void (*ended)(void *context, void *ticket, enum migration_end end, const char *error);
    /* Keys have lost their marks: who waits for one may look again. Likewise. */
    void (*released)(void *context);
    /* A key is another node's now. With its slot locked; may be NULL. */
    void (*moved)(void *context, struct bytes key);
    /* Is the value complete, so that it may be sent? No: it is asked again soon, a few hundred milliseconds long. With its slot locked; may be NULL. */
    bool (*may_be_sent)(void *context, struct bytes key);
    /* A key that has arrived may be deleted here, so that the other node may change it. No: it is asked again soon. Likewise. */
    bool (*may_leave)(void *context, struct bytes key);
};

/* Copies all of the options. */
struct migration *migration_new(const struct migration_options *options);
void migration_free(struct migration **migration);
/* Does all of it and frees it. Waits; holds no lock when it does. */
void migration_run(struct migration **migration, const struct migration_site *site);
/* It will not be done: says that nobody was connected to, and frees it. */
void migration_drop(struct migration **migration, const struct migration_site *site);
