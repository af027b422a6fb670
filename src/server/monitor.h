/* server/monitor.h
 *
 * The lines MONITOR clients see and what of a command's arguments may be shown: passwords never are. */
#pragma once

#include "server/call.h"

/* Appends `+seconds.micros [0 peer] "cmd" "arg" ...\r\n`. */
void monitor_format(struct buf *out, const struct client *client, const struct command *command, int argc,
                    const struct bytes *argv);

/* True where the argument is a secret of this command: AUTH's all, HELLO's after AUTH, CONFIG SET's of a password. */
bool argument_is_secret(const struct command *command, const struct bytes *argv, int arg);

/* Sends the line to every MONITOR client of every worker. */
void monitor_send(const struct call *call);
