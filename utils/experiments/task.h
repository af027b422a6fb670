/* utils/experiments/task.h
 *
 * A task is a function with a stack of its own. It waits for a time or for a reply where it stands, and meanwhile the others run: a
 * thousand clients are a thousand plain functions in one thread. Only a wait lets another task run, so what lies between two waits
 * needs no lock, and a checker that notes "this write is acknowledged" does so at one moment for all.
 *
 *     tasks_run(): run those that can -> send what they wrote, one write for each connection -> wait for replies and times */
#pragma once

#include <stdint.h>

struct task;

/* Begins when tasks_run() comes to it. The context stays the caller's. */
void task_start(void (*body)(void *context), void *context);

/* Runs tasks until all have ended. */
void tasks_run(void);

/* In a process that was forked when no task was running: forgets the connections of before. */
void tasks_forget(void);

/* --- Within a task --- */
struct task *task_current(void);
void task_sleep_us(uint64_t us);
/* Waits until somebody wakes it. */
void task_wait(void);

/* Has a waiting task go on, at the next turn. */
void task_wake(struct task *task);

/* --- For conn.c --- */
struct conn;
/* Has the connection's output sent at the end of this turn. */
void tasks_flush_later(struct conn *conn);
/* The descriptor that is waited on; events lead to a struct conn. */
int tasks_poller(void);
