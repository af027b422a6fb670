/* commands/client_list.h: CLIENT LIST, INFO and KILL, which look at the clients of all workers. */
#pragma once

struct call;

void client_info(struct call *call);
void client_kill_matching(struct call *call);
void client_list(struct call *call);
