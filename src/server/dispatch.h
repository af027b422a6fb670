/* server/dispatch.h
 *
 * What happens to one request, whoever sent it and however it was read (that is server/batch.h's part). */
#pragma once

#include "server/call.h"

/* What is known of a request before its turn comes. */
struct prepared {
    const struct command *command; /* NULL: unknown */
    size_t number;
    struct slot *slot; /* of its only key; NULL where it has none or several */
    uint64_t hash;     /* of that key */
};

enum outcome {
    OUTCOME_DONE,   /* it ran, was queued or was refused: the reply is written */
    OUTCOME_PAUSED, /* CLIENT PAUSE, or a key in flight: nothing has happened, it has to come again */
    OUTCOME_PARKED, /* the same, for a key that is to be filled */
};

/* On the client's worker, with no lock held. *clock is when the request's time begins, in clock_ticks(), and then when it ended. */
enum outcome dispatch_request(struct call *call, const struct prepared *prepared, uint64_t *clock);
