#include "server/room.h"

#include "cache/eviction.h"
#include "server/client.h"
#include "server/node.h"
#include "server/transaction.h"

#include <string.h>

static size_t bytes_in(int argc, const struct bytes *argv)
{
    size_t bytes = 0;

    for (int i = 0; i < argc; i++) bytes += argv[i].len;
    return bytes;
}

static bool is_exec(const struct call *call)
{
    return strcmp(call->command->name, "exec") == 0 && call->client->transaction != NULL;
}

/* What comes between MULTI and what ends the transaction: a client is to hear at once that there is no memory for it. */
static bool is_inside_transaction(const struct call *call)
{
    static const char *const ends[] = { "exec", "discard", "reset", "quit" };

    if (!(client_flags(call->client) & CLIENT_MULTI)) return false;
    if (!(call->command->flags & COMMAND_IN_MULTI)) return true;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (strcmp(call->command->name, ends[i]) == 0) return false;
    return true;
}

bool room_for(const struct call *call)
{
    bool grows = is_inside_transaction(call) || (call->command->flags & COMMAND_DENYOOM) != 0;
    size_t bytes = bytes_in(call->argc, call->argv);

    if (is_exec(call)) {
        for (size_t i = 0; i < call->client->transaction->count; i++) {
            const struct queued_command *queued = &call->client->transaction->queue[i];

            grows |= (queued->command->flags & COMMAND_DENYOOM) != 0;
            bytes += bytes_in(queued->argc, queued->argv);
        }
    }
    return !grows || eviction_make_room(call->node->eviction, bytes, call->now_ms);
}

void room_reply_none(struct call *call)
{
    static const char text[] = "OOM command not allowed when used memory > 'maxmemory'.";

    if (!is_exec(call)) {
        reply_error(call->reply, text);
        return;
    }
    reply_errorf(call->reply, "EXECABORT Transaction discarded because of: %s", text);
    client_discard_transaction(call->client);
}
