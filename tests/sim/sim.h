/* sim/sim.h
 *
 * Many copies of the cluster core on a simulated network, in simulated time, from one seed: the same seed gives the same run, so a
 * failure is a number to keep. The bus runs over TCP, so this is what can go wrong: a link takes time, links overtake each other,
 * a link breaks and what was on its way is lost, or hangs and says nothing, one way or both; a connection cannot be made; a node does not
 * hear another, though that one hears it; a node is stopped and comes back with its state file, or stands still for a while; its
 * clock is another when it comes back; its disk is slow, or full. And as if somebody replayed what he has recorded, a message may come again.
 *
 * After every event what must always hold is checked: epochs never go back; the owner words a node was told are those its view says; what
 * a node tells others of its epochs and slots is what it would come back with if it were stopped at this moment; who has heard
 * a newer claim to a slot of his serves it no more; and keys are dropped at the word of him alone who has their slot, with a newer epoch. */
#pragma once

#include "cluster/cluster.h"

#include <setjmp.h>
#include <stdio.h>

struct sim;

struct sim_options {
    uint64_t seed;
    int64_t node_timeout_ms;
    int64_t delay_ms_max;      /* each link draws its own from 1 to this; each message up to twice that */
    unsigned breaks_per_1000;  /* chance of a message breaking its link instead of arriving */
    unsigned hangs_per_1000;   /* chance of its link swallowing it and all that follow, both ways, without a word */
    unsigned replays_per_1000; /* chance of its coming again, up to two seconds later */
    int64_t
        disk_ms_max; /* a state file takes up to this to be written, and later ones replace each other meanwhile; 0: none */
    int64_t clock_jump_ms_max; /* a clock that starts anew is up to this before or after the simulation's */
    FILE *trace;               /* what nodes log, and sim_note(); NULL: nothing */
    jmp_buf *broken;           /* where to go when something does not hold that must; NULL: abort */
    void *context;             /* for the next */
    void (*keys_dropped)(void *context, size_t node, uint16_t slot); /* NULL: nobody cares */
    void *items;                                                     /* for the next */
    void (*item_came)(void *items, size_t node,
                      const struct shared_item *item); /* likewise: of another node, to this one */
};

struct sim *sim_new(const struct sim_options *options);
void sim_free(struct sim **sim);

/* A new node, solo; returns its number. */
size_t sim_add_node(struct sim *sim);
struct cluster *sim_core(struct sim *sim, size_t node);
/* For a command: the effects to pass along, and what carries them out. */
struct effects *sim_effects(struct sim *sim, size_t node);
void sim_carry_out(struct sim *sim, size_t node);
int64_t sim_now(const struct sim *sim);
/* As a node's own clock says; what its commands are given. */
int64_t sim_node_now(const struct sim *sim, size_t node);
/* A slot's owner word, as the node's workers see it. */
uint64_t sim_owner_word(const struct sim *sim, size_t node, uint16_t slot);
/* The number of a node that another knows by an index; SIZE_MAX where it is none of ours. */
size_t sim_node_of_index(struct sim *sim, size_t observer, uint16_t index);
/* All that a node was told to keep is on its disk. */
bool sim_is_saved(const struct sim *sim, size_t node);

void sim_meet(struct sim *sim, size_t node, size_t other);
void sim_add_slots(struct sim *sim, size_t node, unsigned first, unsigned last);

/* Stops a node as kill -9 does: its links break. Its last state file stays; one that was being written is lost. */
void sim_stop(struct sim *sim, size_t node);
/* Starts it again from that file. */
void sim_start(struct sim *sim, size_t node);
/* Its shared set's file becomes one of those that it had before, as if somebody had put back a copy. It does not run. */
void sim_put_back_shared(struct sim *sim, size_t node);
/* Chances of broken and of hung links from here on. */
void sim_set_breaks(struct sim *sim, unsigned breaks_per_1000);
void sim_set_hangs(struct sim *sim, unsigned hangs_per_1000);
void sim_set_replays(struct sim *sim, unsigned replays_per_1000);
/* From here on, what one node says reaches another, or does not. Of the first 64 nodes only. */
void sim_cut(struct sim *sim, size_t from, size_t to, bool cut);
void sim_heal_cuts(struct sim *sim);
/* A node that does nothing for so long, as a process does that is stopped by SIGSTOP. */
void sim_pause(struct sim *sim, size_t node, int64_t for_ms);
/* Every save fails, from here on or no longer. */
void sim_set_disk_full(struct sim *sim, size_t node, bool full);
bool sim_is_disk_full(const struct sim *sim, size_t node);
/* A line for the trace. */
void sim_note(struct sim *sim, size_t node, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Something does not hold that must: says so and ends the run. */
_Noreturn void sim_broken(const struct sim *sim, size_t node, const char *what);
/* What was wrong, "" while nothing is. */
const char *sim_what_broke(const struct sim *sim);

void sim_run(struct sim *sim, int64_t for_ms);
/* Runs until it holds; false where it does not within that time. */
bool sim_run_until(struct sim *sim, int64_t for_ms, bool (*holds)(struct sim *sim));

/* --- Questions over all running nodes --- */
size_t sim_count(const struct sim *sim);
const char *sim_node_id(const struct sim *sim, size_t node);
bool sim_is_running(const struct sim *sim, size_t node);
bool sim_is_paused(const struct sim *sim, size_t node);
/* Every node knows every other by its id, past the handshake and connected, and nobody else. */
bool sim_is_full_mesh(struct sim *sim);
/* Every slot has one owner, the same in every view, and every node's state is ok. */
bool sim_agrees_on_slots(struct sim *sim);
/* No two nodes with slots have one config epoch. */
bool sim_epochs_are_unique(struct sim *sim);
/* All have the same shared set. */
bool sim_shares_alike(struct sim *sim);
/* How many running nodes see these flags on a node. */
size_t sim_seen_with(struct sim *sim, size_t node, unsigned flags);
/* Every node's CLUSTER NODES, and what is wrong with it. */
void sim_describe(struct sim *sim, FILE *out);
uint64_t sim_packets(const struct sim *sim);
uint64_t sim_bytes(const struct sim *sim);
/* Those of them that are about the shared set alone. */
uint64_t sim_shared_packets(const struct sim *sim);
uint64_t sim_shared_bytes(const struct sim *sim);
