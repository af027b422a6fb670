#include "server/salt_sum.h"

#include "server/salt_helper.h"
#include "server/worker_internal.h"

#include <string.h>

/* What the command adds. False: nothing, or what home has to answer: also where an argument is wrong. */
static bool addition(const struct call *call, int64_t *delta)
{
    const char *name = call->command->name;

    *delta = 1;
    if (strcmp(name, "incr") == 0) return true;
    *delta = -1;
    if (strcmp(name, "decr") == 0) return true;
    /* Where there is no key, adding 0 makes one. */
    if (call->argc != 3 || !bytes_to_i64(call->argv[2], delta) || *delta == 0) return false;
    if (strcmp(name, "incrby") == 0) return true;
    if (strcmp(name, "decrby") != 0 || *delta == INT64_MIN) return false;
    *delta = -*delta;
    return true;
}

bool salt_sum(struct call *call, struct bytes base)
{
    struct salt_helper *helper = call->node->salt_helper;
    char text[I64_TEXT_BYTES];
    int64_t number;

    if (helper == NULL) return false;
    if (strcmp(call->command->name, "get") == 0) {
        if (!salt_helper_sum(helper, base, &number)) return false;
        reply_bulk(call->reply, (struct bytes){ text, i64_to_text(text, number) });
        count_up(&call->worker->counters.hits, 1);
        return true;
    }
    if (!addition(call, &number) || !salt_helper_add(helper, base, number, &number)) return false;
    reply_integer(call->reply, number);
    return true;
}
