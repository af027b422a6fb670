/* commands/info.h: the sections of INFO; each appends its head and its lines. */
#pragma once

#include "base/buf.h"

struct call;

void info_server(struct call *call, struct buf *out);
void info_clients(struct call *call, struct buf *out);
void info_memory(struct call *call, struct buf *out);
void info_persistence(struct call *call, struct buf *out);
void info_stats(struct call *call, struct buf *out);
void info_replication(struct call *call, struct buf *out);
void info_cpu(struct call *call, struct buf *out);
void info_modules(struct call *call, struct buf *out);
void info_commandstats(struct call *call, struct buf *out);
void info_errorstats(struct call *call, struct buf *out);
void info_latencystats(struct call *call, struct buf *out);
void info_hotkeys(struct call *call, struct buf *out);
void info_cluster(struct call *call, struct buf *out);
void info_cache(struct call *call, struct buf *out);
void info_salting(struct call *call, struct buf *out);
void info_keyspace(struct call *call, struct buf *out);
