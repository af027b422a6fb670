#include "server/intake.h"

#include "server/call.h"
#include "server/client.h"
#include "server/worker_internal.h"

#include <string.h>

/* What all clients together may have announced and not sent. */
#define ANNOUNCED_BYTES_MAX ((int64_t)256 << 20)

static bool reserve(struct node *node, size_t bytes)
{
    int64_t by = (int64_t)bytes;

    if (by < 0 || by > ANNOUNCED_BYTES_MAX) return false;
    if (atomic_fetch_add_explicit(&node->announced_bytes, by, memory_order_relaxed) <= ANNOUNCED_BYTES_MAX - by)
        return true;
    atomic_fetch_sub_explicit(&node->announced_bytes, by, memory_order_relaxed);
    return false;
}

static void release(struct node *node, size_t bytes)
{
    atomic_fetch_sub_explicit(&node->announced_bytes, (int64_t)bytes, memory_order_relaxed);
}

/* The key, when the cut argument is what its command keeps; else no data. */
static struct bytes key_of(const struct client *client, struct bytes rest, const struct request_cut *cut)
{
    const struct node *node = client->worker->node;
    const struct command *command = command_find(node->commands, request_arg(client->request, rest, 0));

    if (command == NULL || command->value_arg != cut->arg) return BYTES_NONE;
    return request_arg(client->request, rest, command->keys[0].first);
}

bool intake_begin(struct client *client, struct bytes rest, size_t *head)
{
    struct node *node = client->worker->node;
    struct intake *intake = &client->intake;
    struct request_cut cut;
    struct bytes key;

    if (client->request == NULL || intake->entry != NULL) return false;
    if (!request_cut(client->request, &cut) || cut.arg == 0 || cut.len < ENTRY_BIG_BYTES) return false;
    if (!(client_flags(client) & CLIENT_AUTHENTICATED) && config_int(node->config, requires_password)) return false;
    if (rest.len - cut.offset >= cut.len) return false; /* it has come; only its end is missing */
    key = key_of(client, rest, &cut);
    if (key.data == NULL || !reserve(node, cut.len)) return false;

    intake->entry = entry_new_sized(key, cut.len, ENTRY_KEEPS_FOREVER);
    intake->filled = 0;
    memcpy(intake_room(client).iov_base, rest.data + cut.offset, rest.len - cut.offset);
    intake_added(client, rest.len - cut.offset);
    request_move_out(client->request, entry_value(intake->entry));
    *head = cut.offset;
    return true;
}

bool intake_is_open(const struct client *client)
{
    return client->intake.entry != NULL && client->intake.filled < entry_value(client->intake.entry).len;
}

struct iovec intake_room(const struct client *client)
{
    struct entry *entry = client->intake.entry;

    return (struct iovec){ .iov_base = entry_value_mutable(entry) + client->intake.filled,
                           .iov_len = entry_value(entry).len - client->intake.filled };
}

void intake_added(struct client *client, size_t bytes)
{
    client->intake.filled += bytes;
    release(client->worker->node, bytes);
}

void intake_prepare(struct call *call)
{
    int arg = call->command->value_arg;
    struct entry *entry;

    if (*call->incoming != NULL) return; /* read into place */
    entry = entry_new(call->argv[call->command->keys[0].first], call->argv[arg], ENTRY_KEEPS_FOREVER);
    intake_keep(call, &entry);
}

void intake_keep(struct call *call, struct entry **entry)
{
    struct intake *intake = &call->client->intake;

    *call->incoming = *entry;
    if (call->incoming == &intake->entry) intake->filled = entry_value(*entry).len;
    *entry = NULL;
}

void intake_end(struct client *client)
{
    struct intake *intake = &client->intake;

    if (intake->entry == NULL) return;
    release(client->worker->node, entry_value(intake->entry).len - intake->filled);
    entry_free(&intake->entry);
}

size_t intake_bytes(const struct client *client)
{
    return client->intake.entry == NULL ? 0 : entry_bytes(client->intake.entry);
}
