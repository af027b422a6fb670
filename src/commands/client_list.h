/* commands/client_list.h: CLIENT LIST, INFO and KILL, which look at the clients of all workers. */
#pragma once

struct buf;
struct call;
struct client;

void client_info(struct call *call);
/* CLIENT INFO's line without its end. */
void client_info_line(struct client *client, struct buf *out);
void client_kill_matching(struct call *call);
void client_list(struct call *call);
