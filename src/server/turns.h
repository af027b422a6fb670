/* server/turns.h
 *
 * One client must not make all the others wait. In a turn of the worker's loop each is served up to a bound: so many bytes are written to it
 * (CONN_WRITE_BYTES) or read of a big value (VALUE_READ_BYTES), so many of its commands run (server/batch.c). Who then has more to do, and need not
 * wait for its peer, joins a queue:
 *
 *     a turn:  what came in is read and answered | the first of the queue go on, while TURN_BYTES last | the loop looks what came in
 *              queue  | 7: write | 12: commands | 3: read | <- who is not done joins again
 *
 * While anybody is in it the loop does not wait for events. The others cost no system call: a client whose replies the socket takes is not
 * watched for being writable. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct worker;

/* What all those in the queue may move of bytes in one turn, and what each takes of it at least. */
#define TURN_BYTES (128u << 10)
#define TURN_BYTES_LEAST (4u << 10)

/* What a client does when it comes to its turn; several may be due. */
enum due { DUE_WRITE = 1u << 0, DUE_COMMANDS = 1u << 1, DUE_READ = 1u << 2 };

void turns_init(struct worker *worker);
void turns_stop(struct worker *worker);

/* Goes to the end of the queue with it; where the client is in the queue already it keeps its place. */
void turns_join(struct client *client, enum due due);
/* The client is being closed. */
void turns_leave(struct client *client);

/* May so many bytes be moved in this turn, ahead of the queue? They then count as moved, as far as one call moves them. While all replies are big it is always
 * so: nobody has a small one to wait for, and a turn that ends early costs all of them. */
bool turns_take(struct worker *worker, size_t bytes);
/* Somebody is sent a small reply. */
void turns_note_small(struct worker *worker);

/* Lets those in the queue go on; once each, at most, and may close clients. */
void turns_run(struct worker *worker);
