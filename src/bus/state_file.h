/* bus/state_file.h
 *
 * A small file that is never half there: the node's identity, epochs and view of the cluster. Each save is a whole new generation:
 *
 *     nodes.conf.tmp     written and synced first
 *     nodes.conf.old     the generation before, kept in case the disk spoils the newest
 *     nodes.conf         replaced by rename, the folder synced after it
 *     nodes.conf.lock    held for the life of the process, so that two nodes never share an identity
 *     nodes.conf.damaged what was found unreadable, kept for whoever looks into it
 *
 * At each moment nodes.conf is the old or the new content, whole. A thread of its own, the mover, does the writing: a disk may be slow
 * or full, and nobody who serves waits for it. While a write is under way, later ones replace each other: only the newest matters. */
#pragma once

#include "base/buf.h"

struct state_file;

/* Takes the lock. NULL, with a line for the user in error, where another process has it or the folder cannot be used. */
struct state_file *state_file_open(const char *path, char error[512]);

enum state_found {
    STATE_NONE,    /* no file: a new node */
    STATE_CURRENT, /* the file was accepted */
    STATE_FORMER,  /* it was damaged or unreadable; the generation before was accepted (error says why) */
    STATE_REFUSED, /* neither: the node must not start as if it were new (error says why) */
};

/* Reads the file and offers its content to accept(), which returns false with a reason where it is damaged; then the former generation. */
enum state_found state_file_load(struct state_file *file,
                                 bool (*accept)(void *context, struct bytes content, char reason[256]), void *context,
                                 char error[512]);

/* Starts the mover. saved() runs on its thread after each attempt that changed what state_file_done() says. */
void state_file_start(struct state_file *file, void (*saved)(void *context), void *context);

/* Asks for a new generation; takes the content. Returns its ticket, which grows with each. The sequence is handed back by
 * state_file_done(); 0 for one nobody waits for. Waits for no disk. */
uint64_t state_file_submit(struct state_file *file, struct buf *content, uint64_t sequence);

struct state_done {
    uint64_t durable, tried;                   /* tickets up to here are on disk; were tried at least once */
    uint64_t durable_sequence, tried_sequence; /* the same in sequences */
    uint64_t failures;                         /* attempts that failed, ever */
    int error;                                 /* errno of the last attempt, 0 where it went well */
};
struct state_done state_file_done(struct state_file *file);

/* Waits until a ticket is on disk or was tried in vain: false with errno set. */
bool state_file_wait(struct state_file *file, uint64_t ticket);

/* Lets the mover finish what was asked for, ends it, gives the lock back. */
void state_file_close(struct state_file **file);

/* For tests of crashes: called on the mover's thread after each step of a save, 0 to STATE_FILE_STEPS - 1. */
#define STATE_FILE_STEPS 6
void state_file_set_checkpoint(struct state_file *file, void (*checkpoint)(int step));
