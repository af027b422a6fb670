/* bus/await.h: those who wait for a state file, each for one that it caused. Any thread. */
#pragma once

#include "bus/state_file.h"

#include <stdbool.h>
#include <stdint.h>

struct await;

/* Called once, without locks, by whoever finds it out: 0 when it is on disk; otherwise the errno of an attempt that failed, ETIMEDOUT
 * where the disk has not answered for too long, or ECANCELED at the end. */
typedef void await_told(void *context, int error);

struct await *await_new(void);
/* All have been told. */
void await_free(struct await **await);
void await_add(struct await *await, uint64_t ticket, int64_t until_ms, await_told *told, void *context);
/* Tells those of whom it is known. */
void await_look(struct await *await, const struct state_done *done, int64_t now_ms);
/* Tells all, whatever became of their files. */
void await_end(struct await *await);
