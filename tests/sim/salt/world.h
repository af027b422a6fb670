/* sim/salt/world.h
 *
 * Homes and helpers of salted keys on a simulated network: the very code that ships, and around it what a node would be. True time runs
 * in microseconds; each node's clock runs at a rate of its own.
 *
 *     wire.c    what is to come, links: each way in order, with delays, cut or slow, ended at one end while the other's bytes are on the way
 *     node.c    a node: its home and helper, what it has of each base, clients' reads and writes
 *     story.c   what happens to them, from a seed; and what must hold at the end
 *
 * Who owns a slot is a model: what the node itself believes changes in the order in which operators and the cluster's rules change it, what
 * others believe follows late. A node that may have been replaced (it was cut off or stood still for longer than the node timeout) knows
 * that its cluster is down before anybody takes its slots over; that is the cluster core's to promise, and simulated beside this.
 *
 * Each value has a version, rising over all that ever happens to the base (a value that is lost with its node counts as one, too). The
 * sentence that is checked: once a write is acknowledged, no read that begins later has an older version. */
#pragma once

#include "base/random.h"
#include "salt/helper.h"
#include "salt/helper_internal.h"
#include "salt/home.h"

#include <setjmp.h>
#include <stdio.h>

#define NODES_MAX 6u
#define BASES 4u
#define BASE_TOTAL 2u /* a sum that is only ever added to: its total is known */
#define BASE_SET 3u   /* a sum that is set, too: version * SET_STEP + what was added since */
#define SET_STEP 1000000000000
#define LEASE_MS 200
#define LEASE_MS_MAX 800 /* where nodes differ; then clocks differ by less, as a margin is a smaller part of it */
#define FOLD_MS 20
#define FRESH_MS 50
/* The same by the slowest clock, and the grain of a millisecond. */
#define FRESH_US 55000
#define TOTALS 256u
#define NODE_TIMEOUT_US 500000
#define TICKETS 65536u

enum event_kind {
    EVENT_NONE,
    EVENT_TICK,     /* node */
    EVENT_DRAIN,    /* node: carries effects out */
    EVENT_PUMP,     /* link, way: what has arrived */
    EVENT_LATE,     /* link: a VALUE or TOTAL is put on it */
    EVENT_CONNECT,  /* node, other: tries to open a link */
    EVENT_PUSH,     /* node, base: the value is read */
    EVENT_WITHHOLD, /* node, base, number (ticket) */
    EVENT_CLIENT,   /* somebody reads or writes */
    EVENT_FAULT,    /* the story goes on */
    EVENT_RESUME,   /* node */
    EVENT_RESTART,  /* node */
    EVENT_VIEW,     /* node, base, number (which change): it hears of it */
    EVENT_MOVE,     /* base, number (step): a slot on its way */
    EVENT_REJOIN,   /* node: its cluster is there again */
    EVENT_DOWN,     /* node: it notices that it is cut off */
    EVENT_TAKE,     /* base: somebody else is given its slot, if its owner is gone */
};

struct event {
    enum event_kind kind;
    int64_t at_us;
    uint64_t order;
    uint64_t incarnation; /* of the node: what was scheduled for a former one does not happen */
    uint8_t node, other, base, way;
    uint64_t number;
    size_t link;
    struct salt_message message;
    int64_t value; /* VALUE, TOTAL: what was read; MOVE: which move */
};

/* One way of a link. */
struct way {
    struct {
        struct salt_message message;
        int64_t value, at_us;
        bool is_end; /* the other end has closed */
    } * items;
    size_t count, cap;
    int64_t last_us, held_until_us;
    bool is_pumping;
};

struct link {
    uint8_t helper, home;
    uint64_t helper_incarnation, home_incarnation;
    bool helper_open, home_open;
    int64_t delay_us;
    struct way to_home, to_helper;
};

struct held { /* what a node has of a base, and believes of it */
    enum home_slot slot;
    bool has_key, in_flight; /* in_flight: it has been read, and is on its way to the new home */
    int64_t value;           /* version; of sums the number */
    int64_t sent;            /* in flight: what was read */
    bool has_name;           /* a name of the base lives here */
    uint8_t view_home;
    bool view_salted;
    uint64_t view_number;
    bool has_copy;
    struct helper_copy copy;
    int64_t copy_value;
    int64_t added_at_us[256]; /* when the last 256 additions were made here, a ring */
    uint64_t added_count;
};

struct ticket {
    uint8_t node, base;
    uint64_t incarnation;
    int64_t version;
    int64_t at_ms; /* the node's clock, less the time for which it was stopped */
    bool is_open;
};

struct sim_node {
    bool is_alive, is_ok;
    uint64_t incarnation;
    int64_t stopped_until_us, stopped_us; /* now; all in all */
    int64_t down_since_us;                /* not ok since; 0: ok */
    double rate;
    int64_t lease_ms;
    struct home *home;
    struct helper *helper;
    struct salt_effects home_effects, helper_effects;
    bool is_draining;
    bool wants[NODES_MAX]; /* a link to it */
    bool is_connecting[NODES_MAX];
    struct held held[BASES];
    int64_t trouble_us; /* when it was last cut off, stopped, killed, or lost a link */
};

struct truth { /* of a base */
    uint8_t owner, where, target;
    bool is_salted, is_moving;
    int64_t salted_us;
    uint64_t number, move; /* of changes to it; of moves of its slot */
    int64_t version, acked;
    int64_t given, gone; /* BASE_TOTAL: all that was added; what went away with a home */
    int64_t given_since_set;
    struct {
        int64_t at_us, value;
    } totals[TOTALS]; /* BASE_TOTAL: what it was at its home, a ring */
    uint64_t total_count;
};

struct world {
    uint64_t seed;
    struct random random;
    FILE *trace;
    jmp_buf broken;
    char wrong[200];
    int64_t now_us;
    struct event *queue;
    size_t queue_count, queue_cap;
    uint64_t order;
    size_t node_count;
    struct sim_node nodes[NODES_MAX];
    struct truth bases[BASES];
    int64_t cut_until_us[NODES_MAX][NODES_MAX];
    struct link **links;
    size_t link_count, link_cap;
    struct ticket *tickets;
    uint64_t ticket_count;
    bool is_calm;                     /* no more faults, no more writes */
    bool has_spikes;                  /* now and then a message takes long */
    bool leases_differ;               /* each node grants leases of its own length, and knows which is the longest */
    bool had_trouble;                 /* anything but slots and names that move, and clocks that differ */
    int64_t killed_units, lost_units; /* of BASE_TOTAL: not folded when their helper died; given up */
    uint64_t reads, copy_reads, writes, withheld, messages;
    int64_t longest_ms;
};

/* --- wire.c --- */
#define CHANCE(world, percent) (random_below(&(world)->random, 100) < (percent))
int64_t between(struct world *world, int64_t low, int64_t high);
void schedule(struct world *world, struct event event, int64_t in_us);
bool next_event(struct world *world, struct event *event);
size_t link_new(struct world *world, uint8_t helper, uint8_t home);
/* The name of an end for its node, and the link of it. */
salt_link link_name(size_t link);
struct link *link_of(struct world *world, salt_link name, size_t *index);
void link_send(struct world *world, size_t link, bool to_home, const struct salt_message *message, int64_t value);
void link_close(struct world *world, size_t link, bool at_home, bool tell);
void pump(struct world *world, const struct event *event);
void wire_free(struct world *world);
struct salt_message message_copy(const struct salt_message *message);
void message_free(struct salt_message *message);

/* --- node.c --- */
struct bytes base_key(uint8_t base);
const char *node_id(uint8_t node);
int64_t clock_ms(const struct world *world, uint8_t node);
bool is_running(const struct world *world, uint8_t node);
void node_start(struct world *world, uint8_t node, bool ok);
void node_kill(struct world *world, uint8_t node, bool tell);
void node_stop(struct world *world, uint8_t node, int64_t for_us);
void node_set_ok(struct world *world, uint8_t node, bool ok);
void node_slot(struct world *world, uint8_t node, uint8_t base, enum home_slot state);
void node_hear(struct world *world, uint8_t node, uint8_t base, uint64_t number);
void node_want(struct world *world, uint8_t node, uint8_t base);
/* The key is gone with its node: a version of its own. */
void lose_value(struct world *world, uint8_t base, uint8_t now_at);
void deliver(struct world *world, size_t link, bool to_home, const struct salt_message *message, int64_t value,
             bool is_end);
void node_event(struct world *world, struct event *event);
void client(struct world *world);
void touched(struct world *world, uint8_t node);
void check_everybody(struct world *world, uint8_t base);
int64_t units_of(const struct held *held, int64_t since_us);

/* --- story.c --- */
struct salt_story {
    char wrong[200]; /* "": nothing */
    uint64_t reads, copy_reads, writes, withheld, messages;
    int64_t longest_ms;
};
struct salt_story salt_story(uint64_t seed, FILE *trace);
_Noreturn void broken(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
