/* commands/cluster_internal.h
 *
 * What the files of the CLUSTER family share: the descriptors stand in cluster.c, beside the questions; what changes the cluster is in
 * cluster_change.c, the maps of slots to nodes are in cluster_slots.c, what is in the slots is in cluster_slot_stats.c. */
#pragma once

#include "bus/bus.h"
#include "server/call.h"
#include "server/node.h"

/* Node flags, as on the wire. */
enum {
    NODE_IS_PRIMARY = 1u << 0,
    NODE_IS_REPLICA = 1u << 1,
    NODE_HAS_FAILED = 1u << 3,
    NODE_IN_HANDSHAKE = 1u << 5,
};

/* A slot's number at an argument; on failure has already replied. */
bool cluster_arg_slot(struct call *call, int arg, uint16_t *slot);

void cluster_cmd_addslots(struct call *call);
void cluster_cmd_addslotsrange(struct call *call);
void cluster_cmd_bumpepoch(struct call *call);
void cluster_cmd_delslots(struct call *call);
void cluster_cmd_delslotsrange(struct call *call);
void cluster_cmd_failover(struct call *call);
void cluster_cmd_flushslots(struct call *call);
void cluster_cmd_forget(struct call *call);
void cluster_cmd_meet(struct call *call);
void cluster_cmd_replicate(struct call *call);
void cluster_cmd_reset(struct call *call);
void cluster_cmd_reset_wait(struct call *call);
void cluster_cmd_saveconfig(struct call *call);
void cluster_cmd_set_config_epoch(struct call *call);
void cluster_cmd_setslot(struct call *call);
void cluster_setslot_finish(struct call *call);
void cluster_cmd_shards(struct call *call);
void cluster_cmd_slot_stats(struct call *call);
void cluster_cmd_salts(struct call *call);
void cluster_cmd_slots(struct call *call);
