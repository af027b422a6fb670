/* server/dev_cluster.h
 *
 * `redis-shard --dev-cluster N [--port P] [--dir D]`: a whole cluster on this machine for somebody who develops against one. Each node is
 * this program again, a process of its own with its own port and directory; they end when this one does, however it ends. Started again
 * over the same directory, the nodes find their cluster as they left it. */
#pragma once

/* argv[0] is "--dev-cluster". Runs until it is interrupted; the exit status. */
int dev_cluster_run(int argc, char **argv);
