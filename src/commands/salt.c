/* commands/salt.c: SALT: the names under which a hot key is read on several nodes (salt/name.h, server/alias.h). */
#include "base/alloc.h"
#include "commands/cache_internal.h"
#include "commands/string_internal.h"
#include "server/call.h"
#include "server/node.h"
#include "server/salt_keeper.h"

/* What is asked for, until the slot's lock is given back: names are places in other slots, and wait for the disk. */
struct salting {
    int64_t n; /* 0: only asked which there are */
    enum salt_mode mode;
};

static void reply_names(struct call *call, struct bytes base, bool all)
{
    uint16_t ids[SALT_NAMES_MAX - 1];
    struct buf name = { 0 };
    unsigned count = 0;
    char separator = '~';

    if (call->node->salt_keeper != NULL) count = salt_keeper_names(call->node->salt_keeper, base, all, &separator, ids);
    reply_array(call->reply, count + 1);
    reply_bulk(call->reply, base);
    for (unsigned i = 0; i < count; i++) {
        buf_clear(&name);
        salt_name(base, separator, ids[i], &name);
        reply_bulk(call->reply, buf_bytes(&name));
    }
    buf_free(&name);
}

static void salt(struct call *call)
{
    struct salting salting = { .mode = SALT_MODE_NAMES };

    if (call->argc > 4) {
        reply_error(call->reply, ERROR_SYNTAX);
        return;
    }
    if (call->argc > 2 && !call_arg_i64_in(call, 2, 1, SALT_NAMES_MAX, &salting.n)) return;
    if (call->argc == 4) {
        if (!call_arg_is(call, 3, "sum")) {
            reply_error(call->reply, ERROR_SYNTAX);
            return;
        }
        if (salting.n == 1) {
            reply_error(call->reply, "ERR SUM needs more than one name");
            return;
        }
        salting.mode = SALT_MODE_SUM;
    }
    if (call->node->salt_keeper == NULL && salting.n > 0) {
        reply_error(call->reply, "ERR This instance has cluster support disabled");
        return;
    }
    call->kept = alloc(sizeof(salting));
    *(struct salting *)call->kept = salting;
}

static void salt_finish(struct call *call)
{
    struct salting salting = *(struct salting *)call->kept;
    struct salt_keeper *keeper = call->node->salt_keeper;
    struct bytes base = call_arg(call, 1);
    char error[SALT_ERROR_BYTES];

    alloc_free(call->kept);
    if (salting.n > 0 && !salt_keeper_set(keeper, base, (unsigned)salting.n, salting.mode, error)) {
        reply_error(call->reply, error);
        return;
    }
    reply_names(call, base, salting.n > 0);
    if (salting.n > 0) salt_keeper_withhold(keeper, base, call->client);
}

static const struct command_arg salt_change_args[] = {
    { .name = "names", .type = ARG_INTEGER },
    { .name = "sum", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "SUM" },
    { .name = NULL },
};
static const struct command_arg salt_args[] = {
    ARG_THE_KEY,
    { .name = "change", .type = ARG_BLOCK, .flags = ARG_OPTIONAL, .args = salt_change_args },
    { .name = NULL },
};

const struct command command_salt = {
    .name = "salt",
    .summary = "Tell the names of a key, or give it so many, itself included.",
    .since = "0.1.0",
    .group = "cache",
    .complexity = "O(N) for N names",
    .arity = -2,
    .flags = COMMAND_WRITE,
    .acl = ACL_KEYSPACE | ACL_CACHE,
    .keys = ONE_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
    .args = salt_args,
    .run = salt,
    .finish = salt_finish,
};
