/* server/batch.h
 *
 * Requests are read, looked ahead over and run in batches: those of one client's pipeline, or of the clients that are ready in the same
 * turn, or both.
 *
 *     places   | 9: GET | 9: GET | 12: SET | 14: GET | ... up to look-ahead
 *              '-- part of client 9 --'
 *
 * First all are read into the worker's places and what they will touch is prefetched; then each part runs, in order. */
#pragma once

#include "base/bytes.h"
#include "proto/request.h"

struct client;
struct worker;

/* What one client has sent. */
struct batch_part {
    struct client *client; /* NULL: closed since */
    struct bytes data;
    /* batch_read()'s */
    int first, count;         /* its places */
    enum request_status last; /* what ended the reading: that request is in the place behind */
    bool has_more;            /* the places were full before the data was read */
    size_t used;              /* bytes of what has run */
};

/* Reads as many of the parts, at least one, as there are places for, and starts to fetch what they will touch. Wants client and data of
 * each; returns how many. They are to be run, or dropped, before anything else is read. */
int batch_read(struct worker *worker, struct batch_part *parts, int count);

/* Sets the worker's look_at by behind_at and turn_ends_at. */
void batch_set_marks(struct worker *worker);

/* Runs a part's data and replies into the worker's buffer. Returns how many bytes of it were used; the rest is an incomplete request, or waits because
 * the client has had its turn, is paused or about to be closed. */
size_t batch_run(struct worker *worker, struct batch_part *part);

/* Instead, where the client was closed. */
void batch_drop(struct worker *worker, const struct batch_part *part);
