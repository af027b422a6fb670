/* server/build.h
 *
 * Big values that a handler has to copy, or to put together, without the slots' locks. Only with the lock held does it know of
 * what, so it asks, is run a second time, and finds ready what it had asked for:
 *
 *     slot locked      run()         build_is_ready(): no. Nothing is changed or replied; what is copied is held.
 *     nothing locked   build_all()   the copies are made. What is held does not change (store/entry.h).
 *     slot locked      run()         build_is_ready(): yes, where the key still has the same entry. build_take().
 *
 * Where somebody was faster it is done once more, and the third time under the lock, so that it ends. Within EXEC all is
 * done under the locks: its commands have to happen together. Small values are never worth it: build_is_ready() is then always true, and
 * build_take() makes the entry. */
#pragma once

#include "base/bytes.h"

struct call;
struct entry;

/* What an entry is made of: as much of a former entry's value as fits, and zeros behind it; then a piece is written over that. */
struct build {
    int key_arg;                /* which argument is its key */
    const struct entry *source; /* lent by the locked slot; gives its deadline, too. NULL: none */
    size_t value_bytes;
    struct bytes piece; /* an argument; the end of it is within value_bytes */
    size_t offset;
};

/* Where it is false the handler returns, having changed nothing, replied nothing and counted nothing that its next run would count again (call->builds
 * tells it which run this is); it may ask for more of them before it does. */
bool build_is_ready(struct call *call, const struct build *build);

/* The entry, which nobody else holds. Only of what was ready; once. */
struct entry *build_take(struct call *call, const struct build *build);

/* --- For the dispatcher --- */

struct builds;

/* After run(), with no lock held. True: something was asked for and is made now, run() is to be called again. False: it is done, and
 * what it did not take is freed. To be called where call->builds is not NULL. */
bool build_all(struct call *call);

/* Frees all, where run() is not to be called again. */
void build_end(struct call *call);
