/* salt/talk.h
 *
 * What the home of a salted key and its helpers say to each other, as structs, and the effects by which both ask for it. How a message
 * looks on a socket is the link's business.
 *
 *     helper -> home                                home -> helper
 *     HELLO   who I am; I hold nothing of yours     WELCOME   from here on, this is your link
 *                                                   STALE     I have heard a later HELLO of you: come again with a higher session
 *     RENEW   may I go on?                          RENEWED   for so long from when you asked; 0: no
 *     JOIN    I have a name of this base            REFUSED   not from me (now)
 *     LEAVE   I have none any more                  VALUE     the value as of seq (written by who reads it: home.h)
 *     ACK     all older than seq is dropped         INV       drop what is older than seq, then say ACK
 *     FOLD    so much was added here                FOLDED    what became of that, and the total
 *     READS   so many reads were answered here
 *                                                   TOTAL     the total as of seq (written by who reads it)
 *
 * A link keeps the order of what is put on it, each way; VALUE and TOTAL alone may come later than their turn, and FOLD's effects are
 * carried out before what comes behind it is handled. A message that cannot be sent whole and in its turn ends the link. */
#pragma once

#include "base/bytes.h"

#define SALT_NODE_ID_BYTES 40u
#define SALT_BASE_BYTES_MAX 512u

/* A link is named by its caller: never 0, and never used twice by one process. */
typedef uint64_t salt_link;

enum salt_word {
    SALT_HELLO,
    SALT_RENEW,
    SALT_JOIN,
    SALT_LEAVE,
    SALT_ACK,
    SALT_FOLD,
    SALT_READS,
    SALT_WELCOME,
    SALT_STALE,
    SALT_RENEWED,
    SALT_REFUSED,
    SALT_INV,
    SALT_VALUE,
    SALT_TOTAL,
    SALT_FOLDED,
};

/* What became of a FOLD. */
enum salt_fold {
    SALT_FOLD_APPLIED,   /* now or before: each counts once */
    SALT_FOLD_DISCARDED, /* it belongs to a value that somebody has set or deleted since */
    SALT_FOLD_REFUSED,   /* not home, or not now: it is still the helper's */
};

/* Which fields mean something is said behind them; the others are 0. */
struct salt_message {
    enum salt_word word;
    enum salt_fold fold; /* FOLDED */
    bool sum;            /* JOIN: in SUM mode */
    bool closed;         /* INV: and you have not joined any more; what was added stays yours and may be folded */
    bool absent;         /* TOTAL FOLDED: there is no such key, which counts as 0 */
    struct bytes base; /* JOIN LEAVE ACK FOLD READS REFUSED INV VALUE TOTAL FOLDED; HELLO: the node id of the helper */
    uint64_t session;  /* HELLO WELCOME; STALE: the highest that home knows */
    uint64_t number;   /* RENEW RENEWED, FOLD FOLDED: which one; READS: how many */
    uint64_t join;     /* JOIN LEAVE ACK REFUSED INV VALUE TOTAL: which joining of the helper is meant */
    uint64_t seq;      /* ACK INV VALUE TOTAL */
    uint64_t epoch;    /* FOLD TOTAL FOLDED: of the sum */
    int64_t delta;     /* FOLD */
    int64_t total;     /* TOTAL; FOLDED when applied */
    int64_t lease_ms;  /* RENEWED */
};

enum salt_effect_kind {
    /* either side */
    SALT_SEND,  /* message, on link; where that is gone, nothing */
    SALT_CLOSE, /* the link; ..._link_closed() need not be said for it */
    /* home */
    SALT_PUSH,    /* read the base's value under its slot's lock and ask home_push() there whom to send it to */
    SALT_RELEASE, /* ticket: one base that its reply waited for is done with */
    /* helper */
    SALT_CONNECT, /* open a link to this node, again and again until one opens (helper_link_opened()) or SALT_DISCONNECT */
    SALT_DISCONNECT, /* stop trying; no link to it is wanted */
    SALT_DROP,       /* the copy of the base, under its slot's lock, before the effects behind this are carried out */
};

struct salt_effect {
    enum salt_effect_kind kind;
    salt_link link;                    /* SEND, CLOSE */
    uint64_t ticket;                   /* RELEASE */
    struct salt_message message;       /* SEND; PUSH, DROP: its base. The bytes are the queue's */
    char node[SALT_NODE_ID_BYTES + 1]; /* CONNECT, DISCONNECT */
};

/* A queue of effects. A home has one, a helper another, and each is guarded by the lock of the one it belongs to. They are carried out
 * in the order of the queue, by one thread at a time, without that lock: take the queue (leaving an empty one), unlock, carry out, clear. */
struct salt_effects {
    struct salt_effect *items;
    size_t count, cap;
};
void salt_effects_clear(struct salt_effects *effects); /* frees what the effects own; keeps an array of usual size */
void salt_effects_free(struct salt_effects *effects);

/* --- For home and helper --- */
/* An effect at the end of the queue; good until the next. */
struct salt_effect *salt_effect_add(struct salt_effects *effects, enum salt_effect_kind kind, struct bytes base);
/* Puts a message there; its base is copied. */
void salt_send(struct salt_effects *effects, salt_link link, const struct salt_message *message);
