#include "server/cost.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/hot_reads.h"
#include "cache/hotkeys_line.h"
#include "cluster/owner.h"
#include "server/events.h"
#include "server/stats.h"
#include "server/worker_internal.h"

#include <string.h>
#include <sys/resource.h>

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

/* From so many on it is asked whether the time was the command's own. */
#define SLOW_NS 50000u

/* A command during which the system gave its thread's CPU to another may have taken none of the time that went by. Whether it was so cannot be told,
 * only that it was not, where nothing of that kind has happened since this was asked last. Else the time counts where the last that was slow was of the same key:
 * one that is costly is so again and again, while who was interrupted is chance. */
static __attribute__((cold, noinline)) uint64_t own_ns(const struct call *call, uint64_t hash, uint64_t ns)
{
    struct worker_slow *slow = &call->worker->slow, last = *slow;
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) != 0) return ns;
    slow->switches = usage.ru_nivcsw;
    slow->hash = hash;
    return last.switches == slow->switches || last.hash == hash ? ns : 0;
}

uint32_t cost_of_key(const struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns)
{
    return hotkeys_cost(call->node->hotkeys, request_bytes(call) + replied_bytes,
                        ns < SLOW_NS ? ns : own_ns(call, prepared->hash, ns), 1);
}

void cost_note_loudly(struct call *call, const struct prepared *prepared, uint64_t replied_bytes, uint64_t ns,
                      uint32_t cost)
{
    const struct node *node = call->node;
    struct hot_use use = { .hash = prepared->hash,
                           .key = call->argv[call->command->keys[0].first],
                           .slot = slot_id(prepared->slot),
                           .writes = (call->command->flags & COMMAND_WRITE) != 0,
                           .cost = cost,
                           .bytes = request_bytes(call) + replied_bytes,
                           .ns = ns,
                           .now_ms = call->now_ms };

    count(call, &use);
    if (hot_session_is_on(node->hot_session)) {
        struct hot_session_key key = { use.key, use.hash, use.slot };

        hot_session_count(node->hot_session, &key, 1, use.bytes, ns, call->now_ms);
    }
}

/* --- Several keys --- */

struct finding {
    const struct call *call;
    struct cost_keys keys;
    struct hot_use use;
};

/* A channel is no key. */
static void find_key(void *context, int arg, const struct key_spec *spec)
{
    struct finding *finding = context;

    if ((spec->flags & KEY_NOT_KEY) == 0) cost_keys_add(&finding->keys, arg, key_slot(finding->call->argv[arg]));
}

struct visit {
    const struct call *call;
    void (*visit)(void *context, const struct hot_session_key *key);
    void *context;
    uint32_t next;
};

static void visit_rest(void *context, int arg, const struct key_spec *spec)
{
    struct visit *visit = context;
    struct bytes key = visit->call->argv[arg];

    if ((spec->flags & KEY_NOT_KEY) == 0 && visit->next++ >= COST_KEYS_MAX)
        visit->visit(visit->context, &(struct hot_session_key){ key, slot_hash(key), key_slot(key) });
}

/* Those that there was room for are known; for others all are looked for again. */
static inline void for_each_key(const struct call *call, const struct cost_keys *keys,
                                void (*visit)(void *context, const struct hot_session_key *key), void *context)
{
    struct visit rest = { .call = call, .visit = visit, .context = context };

    for (uint32_t i = 0; i < keys->count && i < COST_KEYS_MAX; i++) {
        struct bytes key = call->argv[keys->args[i]];

        visit(context,
              &(struct hot_session_key){ key, i < keys->hashed ? keys->hashes[i] : slot_hash(key), keys->slots[i] });
    }
    if (keys->count > COST_KEYS_MAX) command_keys(call->command, call->argc, call->argv, visit_rest, &rest);
}

static void count_key(void *context, const struct hot_session_key *key)
{
    struct finding *finding = context;

    finding->use.key = key->key;
    finding->use.slot = key->slot;
    finding->use.hash = key->hash;
    count(finding->call, &finding->use);
}

struct gathered {
    struct hot_session_key *keys;
    size_t count;
};

static void gather_key(void *context, const struct hot_session_key *key)
{
    struct gathered *gathered = context;

    gathered->keys[gathered->count++] = *key;
}

/* EXEC's bytes and time are those of its commands. */
static __attribute__((cold, noinline)) void count_in_session(const struct call *call, const struct cost_keys *keys,
                                                             uint64_t bytes, uint64_t ns)
{
    struct gathered gathered = { .keys = alloc((keys->count + 1) * sizeof(*gathered.keys)) };

    for_each_key(call, keys, gather_key, &gathered);
    if (strcmp(call->command->name, "exec") != 0)
        hot_session_count(call->node->hot_session, gathered.keys, gathered.count, bytes, ns, call->now_ms);
    alloc_free(gathered.keys);
}

void cost_note_keys(struct call *call, const struct cost_keys *keys, uint64_t replied_bytes, uint64_t ns)
{
    bool in_session = __builtin_expect(hot_session_is_on(call->node->hot_session), 0);
    struct finding finding;
    uint64_t bytes;

    if (!hotkeys_are_watched(call->node->hotkeys) && !in_session) return;
    finding.call = call;
    if (keys == NULL) {
        finding.keys.count = finding.keys.hashed = 0;
        command_keys(call->command, call->argc, call->argv, find_key, &finding);
        keys = &finding.keys;
    }
    if (keys->count == 0 && !in_session) return;
    bytes = request_bytes(call) + replied_bytes;
    if (keys->count > 0) {
        uint64_t own = ns < SLOW_NS ? ns : own_ns(call, keys->hashed > 0 ? keys->hashes[0] : keys->slots[0], ns);

        finding.use = (struct hot_use){ .cost = hotkeys_cost(call->node->hotkeys, bytes, own, keys->count),
                                        .writes = (call->command->flags & COMMAND_WRITE) != 0,
                                        .bytes = bytes / keys->count,
                                        .ns = ns / keys->count,
                                        .now_ms = call->now_ms };
        for_each_key(call, keys, count_key, &finding);
    }
    if (in_session) count_in_session(call, keys, bytes, ns);
}

/* --- Now and then --- */

static bool is_served(void *context, uint16_t slot)
{
    const struct node *node = context;
    struct owner owner = owner_unpack(slot_owner(keyspace_slot(node->keyspace, slot)));

    return owner.state == OWNER_HERE || (owner.flags & OWNER_IMPORTING) != 0;
}

struct hot_session_cpu cost_cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (struct hot_session_cpu){ usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec,
                                     usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec };
}

void cost_tick(struct node *node)
{
    struct hot_gone gone[HOTKEYS_GONE_MAX];
    int64_t now_ms = clock_now_ms();
    size_t count = hotkeys_tick(node->hotkeys, now_ms, stats_totals(node).commands, is_served, node, gone);

    for (size_t i = 0; i < count; i++) {
        keyspace_event(node, EVENT_HOT, "cold", gone[i].name);
        alloc_free((void *)(uintptr_t)gone[i].name.data);
    }
    if (hot_session_is_due(node->hot_session, now_ms)) hot_session_stop(node->hot_session, now_ms, cost_cpu());
}

void cost_configure(const struct node *node)
{
    hotkeys_set(node->hotkeys, config_int(node->config, hotkey_threshold), config_int(node->config, hotkey_window_ms));
    hot_reads_set(node->hot_reads, config_int(node->config, hotkey_lock_free_reads) != 0);
}
