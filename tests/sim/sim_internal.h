/* sim/sim_internal.h: what the simulator's files share. */
#pragma once

#include "base/random.h"
#include "cluster/message.h"
#include "sim/sim.h"

#define SIM_START_MS 1700000000000

enum sim_event_kind { SIM_TICK, SIM_CONNECTED, SIM_FAILED, SIM_PACKET, SIM_CLOSED, SIM_SAVED };

struct sim_event {
    int64_t at_ms;
    uint64_t order;
    enum sim_event_kind kind;
    size_t node;
    uint32_t incarnation; /* of the node: what was meant for one that was stopped is lost */
    uint16_t index;       /* CONNECTED, FAILED */
    size_t target;
    cluster_link link;
    struct bytes data;
    uint64_t sequence; /* SAVED */
};

/* What a node would come back with, for those questions that a packet answers. */
struct sim_durable {
    uint64_t current_epoch, config_epoch;
    uint8_t slots[SLOT_COUNT / 8];
};

struct sim_link {         /* both ends */
    cluster_link ends[2]; /* [0] at who connected */
    size_t nodes[2];
    uint32_t incarnations[2];
    bool open[2], hung[2];        /* [to an end] */
    int64_t delay_ms, last_ms[2]; /* when the last message towards an end arrives: order is kept */
};

struct sim_node {
    struct cluster *core;
    struct effects effects;
    struct cluster_options options;
    struct buf file, unwritten; /* on disk; what is to be written after what is being written */
    uint64_t unwritten_sequence;
    bool writing;
    struct buf shared_file, shared_former; /* the file of the shared set, and one that it was before */
    uint64_t shared_saved;                 /* its changes as they are on disk */
    struct sim_durable durable;
    unsigned saves;
    uint64_t owners[SLOT_COUNT];
    uint64_t left_epoch[SLOT_COUNT]; /* its own when it served a slot last */
    unsigned checked;                /* the slots before this one were looked at, in this round */
    uint64_t config_epoch, current_epoch;
    char id[NODE_ID_BYTES + 1];
    bool running, disk_full;
    uint32_t incarnation;
    int64_t clock_offset_ms, paused_until_ms;
    uint64_t not_heard_by;         /* a bit for each node that this one cannot reach */
    const struct message *hearing; /* while a packet is being read */
};

struct sim {
    struct sim_options options;
    struct random random;
    int64_t now_ms;
    uint64_t order, packets, bytes, shared_packets, shared_bytes;
    char broke[256];
    struct sim_event *queue; /* a heap */
    size_t queue_count, queue_cap;
    struct sim_node **nodes;
    size_t node_count;
    struct sim_link *links; /* ends are numbered 2n+2 and 2n+3 */
    size_t link_count, link_cap;
};

/* --- sim_checks.c: what must always hold; where it does not the run ends --- */
/* Epochs never go back. */
void sim_check_epochs(struct sim *sim, size_t n);
/* A slot's owner word is what the node's view says. */
void sim_check_owner(struct sim *sim, size_t n, uint16_t slot);
/* Before a packet is sent. */
void sim_check_told(const struct sim *sim, size_t n, struct bytes packet);
/* After a packet of a node that it knew. */
void sim_check_deposed(struct sim *sim, size_t n, const struct message *message);
/* When keys are to be dropped. */
void sim_check_dropped(const struct sim *sim, size_t n, uint16_t slot);
