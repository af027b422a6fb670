#include "server/cost.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/hotkeys.h"
#include "cluster/owner.h"
#include "server/events.h"
#include "server/node.h"
#include "server/stats.h"
#include "server/worker_internal.h"

static uint64_t request_bytes(const struct call *call)
{
    uint64_t bytes = 0;

    for (int i = 0; i < call->argc; i++) bytes += call->argv[i].len;
    return bytes;
}

static void count(const struct call *call, const struct hot_use *use)
{
    struct bytes key = use->key;

    if (__builtin_expect(!hotkeys_count(call->node->hotkeys, (unsigned)call->worker->index, use), 1)) return;
    if (key.len > HOTKEYS_NAME_MAX) key.len = HOTKEYS_NAME_MAX; /* as it will be said that it is cold */
    keyspace_event(call->node, EVENT_HOT, "hot", key);
}

void cost_note_key(struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns)
{
    const struct hotkeys *hotkeys = call->node->hotkeys;
    struct hot_use use;

    if (!hotkeys_are_watched(hotkeys)) return;
    use.hash = prepared->hash;
    use.key = call->argv[call->command->keys[0].first];
    use.slot = slot_id(prepared->slot);
    use.writes = (call->command->flags & COMMAND_WRITE) != 0;
    use.bytes = request_bytes(call) + replied_bytes;
    use.ns = ns;
    use.cost = hotkeys_cost(hotkeys, use.bytes, ns, 1);
    use.now_ms = call->now_ms;
    count(call, &use);
}

/* --- Several keys --- */

struct keys_noted {
    const struct call *call;
    uint32_t keys;
    struct hot_use use; /* of each */
};

/* A channel is no key. */
static void see_key(void *context, int arg, const struct key_spec *spec)
{
    struct keys_noted *noted = context;

    (void)arg;
    if ((spec->flags & KEY_NOT_KEY) == 0) noted->keys++;
}

static void note_key(void *context, int arg, const struct key_spec *spec)
{
    struct keys_noted *noted = context;

    if (spec->flags & KEY_NOT_KEY) return;
    noted->use.key = noted->call->argv[arg];
    noted->use.hash = slot_hash(noted->use.key);
    noted->use.slot = key_slot(noted->use.key);
    count(noted->call, &noted->use);
}

void cost_note_keys(struct call *call, uint64_t replied_bytes, uint64_t ns)
{
    const struct hotkeys *hotkeys = call->node->hotkeys;
    struct keys_noted noted = { .call = call };
    uint64_t bytes;

    if (!hotkeys_are_watched(hotkeys)) return;
    command_keys(call->command, call->argc, call->argv, see_key, &noted);
    if (noted.keys == 0) return;
    bytes = request_bytes(call) + replied_bytes;
    noted.use = (struct hot_use){ .cost = hotkeys_cost(hotkeys, bytes, ns, noted.keys),
                                  .writes = (call->command->flags & COMMAND_WRITE) != 0,
                                  .bytes = bytes / noted.keys,
                                  .ns = ns / noted.keys,
                                  .now_ms = call->now_ms };
    command_keys(call->command, call->argc, call->argv, note_key, &noted);
}

/* --- Now and then --- */

static bool is_served(void *context, uint16_t slot)
{
    const struct node *node = context;
    struct owner owner = owner_unpack(slot_owner(keyspace_slot(node->keyspace, slot)));

    return owner.state == OWNER_HERE || (owner.flags & OWNER_IMPORTING) != 0;
}

void cost_tick(struct node *node)
{
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    size_t count = hotkeys_tick(node->hotkeys, clock_now_ms(), stats_totals(node).commands, is_served, node, gone);

    for (size_t i = 0; i < count; i++) {
        keyspace_event(node, EVENT_HOT, "cold", gone[i].name);
        alloc_free((void *)(uintptr_t)gone[i].name.data);
    }
}

void cost_configure(const struct node *node)
{
    hotkeys_set(node->hotkeys, config_int(node->config, hotkey_threshold), config_int(node->config, hotkey_window_ms));
}
