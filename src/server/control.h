/* server/control.h
 *
 * The main thread's loop: signals, the node's statistics, and the wish to end. The cluster bus and the listeners live on the same loop, so
 * nothing here may wait for a disk, a lock of a slot or another thread.
 *
 *     SIGTERM, SIGINT, SHUTDOWN   end cleanly
 *     SIGHUP                      open the log file again
 *     SIGUSR1, SIGUSR2, SIGPIPE   ignored */
#pragma once

struct control;
struct ev_loop;
struct node;

/* Signals are handled from here on. Sets node->control. */
void control_start(struct node *node, struct ev_loop *loop);
/* Runs until the node is asked to end. */
void control_run(struct node *node);
void control_stop(struct node *node);
