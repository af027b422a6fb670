/* CLUSTER SALTS: every salted key, for operators: its names and where they are. */
#include "commands/cluster_internal.h"

#include "base/alloc.h"
#include "cluster/owner.h"
#include "server/salt_helper.h"
#include "server/salt_home.h"
#include "server/salt_keeper.h"

#include <stdio.h>
#include <string.h>

#define SUM_FIELDS 5u

struct member {
    uint16_t index;
    char id[NODE_ID_BYTES + 1];
};

struct listing {
    struct call *call;
    struct member *members;
    size_t member_count;
    struct salt_entry *entries; /* copies, with their keys: the reply is written without the keeper's lock */
    size_t count, cap;
    int64_t now_ms;
};

static void list_members(struct listing *listing)
{
    struct effects *effects;
    struct cluster *cluster = bus_lock(listing->call->node->bus, &effects);
    struct cluster_node_info info;

    listing->members = alloc((cluster_node_count(cluster) + 1) * sizeof *listing->members);
    for (size_t n = 0; cluster_node_at(cluster, n, &info); n++) {
        struct member *member = &listing->members[listing->member_count++];

        member->index = info.index;
        memcpy(member->id, info.id, sizeof member->id);
    }
    bus_unlock(listing->call->node->bus);
}

static void copy_entry(void *context, const struct salt_entry *entry)
{
    struct listing *listing = context;
    struct salt_entry *copy;
    char *key;

    if (listing->count == listing->cap) {
        listing->cap = listing->cap == 0 ? 16 : listing->cap * 2;
        listing->entries = alloc_resize(listing->entries, listing->cap * sizeof *listing->entries);
    }
    copy = &listing->entries[listing->count++];
    *copy = *entry;
    key = alloc(entry->base.len + 1);
    if (entry->base.len > 0) memcpy(key, entry->base.data, entry->base.len);
    copy->base.data = key;
}

/* Whoever serves a slot, by its id; "" for nobody. */
static const char *owner_id(const struct listing *listing, uint16_t slot)
{
    struct owner owner = owner_unpack(slot_owner(keyspace_slot(listing->call->node->keyspace, slot)));

    if (owner.state == OWNER_HERE) return listing->members[0].id;
    for (size_t i = 0; owner.state == OWNER_ELSEWHERE && i < listing->member_count; i++)
        if (listing->members[i].index == owner.node) return listing->members[i].id;
    return "";
}

static void reply_name(const struct listing *listing, const struct salt_entry *entry, unsigned id)
{
    struct buf name = { 0 };

    salt_name(entry->base, entry->separator, id, &name);
    reply_bulk(listing->call->reply, buf_bytes(&name));
    buf_free(&name);
}

static void reply_names(const struct listing *listing, const struct salt_entry *entry)
{
    struct reply *reply = listing->call->reply;

    reply_array(reply, entry->count);
    for (unsigned i = 0; i < entry->count; i++) {
        uint16_t slot = salt_name_slot(entry->base, entry->separator, entry->ids[i]);

        reply_array(reply, 3);
        reply_name(listing, entry, entry->ids[i]);
        reply_integer(reply, slot);
        reply_bulk_text(reply, owner_id(listing, slot));
    }
}

static void reply_retired(const struct listing *listing, const struct salt_entry *entry)
{
    struct reply *reply = listing->call->reply;

    reply_array(reply, entry->retired_count);
    for (unsigned i = 0; i < entry->retired_count; i++) {
        int64_t left_ms = entry->retired[i].until_ms - listing->now_ms;

        reply_array(reply, 2);
        reply_name(listing, entry, entry->retired[i].id);
        reply_integer(reply, left_ms > 0 ? left_ms : 0);
    }
}

struct standing {
    size_t count;
    struct {
        char id[NODE_ID_BYTES + 1];
        bool linked;
        enum home_holding holding;
    } helpers[HOME_HELPERS_MAX];
};

static void note_helper(void *context, const char *node_id, bool linked, enum home_holding holding)
{
    struct standing *standing = context;

    if (standing->count == HOME_HELPERS_MAX) return;
    snprintf(standing->helpers[standing->count].id, NODE_ID_BYTES + 1, "%s", node_id);
    standing->helpers[standing->count].linked = linked;
    standing->helpers[standing->count++].holding = holding;
}

/* Who has copies of it from this node, where it is home. */
static void reply_helpers(const struct listing *listing, const struct salt_entry *entry)
{
    static const char *const holdings[] = { [HOME_NOTHING] = "none", [HOME_HAS] = "copy", [HOME_ASKED] = "dropping" };
    struct reply *reply = listing->call->reply;
    struct standing standing = { .count = 0 };

    salt_home_each_helper(listing->call->node->salt_home, entry->base, note_helper, &standing);
    reply_array(reply, standing.count);
    for (size_t i = 0; i < standing.count; i++) {
        reply_array(reply, 3);
        reply_bulk_text(reply, standing.helpers[i].id);
        reply_bulk_text(reply, standing.helpers[i].linked ? "linked" : "lost");
        reply_bulk_text(reply, holdings[standing.helpers[i].holding]);
    }
}

/* What this node has of it, where it is a helper, and how often that has answered. */
static void reply_copy(const struct listing *listing, const struct salt_entry *entry)
{
    struct reply *reply = listing->call->reply;
    uint64_t hits = 0;
    bool is_good = false, is_there;

    is_there = salt_helper_copy(listing->call->node->salt_helper, entry->base, &is_good, &hits);
    reply_bulk_text(reply, "copy");
    reply_bulk_text(reply, !is_there ? "none" : is_good ? "valid" : "expired");
    reply_bulk_text(reply, "copy-hits");
    reply_integer(reply, (int64_t)hits);
}

/* What was added here to a sum of another node, and what became of it. */
static void reply_sum(struct reply *reply, const struct helper_sum_state *state)
{
    const struct {
        const char *name;
        int64_t number;
    } fields[] = { { "sum-total", state->total },
                   { "sum-pending", state->pending },
                   { "sum-sent", state->sent },
                   { "sum-folded", state->folded },
                   { "sum-added", (int64_t)state->added } };

    for (size_t i = 0; i < SUM_FIELDS; i++) {
        reply_bulk_text(reply, fields[i].name);
        reply_integer(reply, fields[i].number);
    }
}

static void reply_entry(const struct listing *listing, const struct salt_entry *entry)
{
    struct reply *reply = listing->call->reply;
    struct helper_sum_state sum;
    bool is_sum = salt_helper_sum_state(listing->call->node->salt_helper, entry->base, &sum);

    reply_map(reply, is_sum ? 12 + SUM_FIELDS : 12);
    reply_bulk_text(reply, "key");
    reply_bulk(reply, entry->base);
    reply_bulk_text(reply, "slot");
    reply_integer(reply, key_slot(entry->base));
    reply_bulk_text(reply, "home");
    reply_bulk_text(reply, owner_id(listing, key_slot(entry->base)));
    reply_bulk_text(reply, "mode");
    reply_bulk_text(reply, entry->mode == SALT_MODE_SUM ? "sum" : "names");
    reply_bulk_text(reply, "epoch");
    reply_integer(reply, (int64_t)entry->epoch);
    reply_bulk_text(reply, "chosen-by");
    reply_bulk_text(reply, entry->automatic ? "policy" : "command");
    reply_bulk_text(reply, "spread");
    reply_integer(reply, entry->spread);
    reply_bulk_text(reply, "names");
    reply_names(listing, entry);
    reply_bulk_text(reply, "retired");
    reply_retired(listing, entry);
    reply_bulk_text(reply, "helpers");
    reply_helpers(listing, entry);
    reply_copy(listing, entry);
    if (is_sum) reply_sum(reply, &sum);
}

void cluster_cmd_salts(struct call *call)
{
    struct listing listing = { .call = call, .now_ms = salt_keeper_now_ms() };

    list_members(&listing);
    salt_keeper_show_all(call->node->salt_keeper, copy_entry, &listing);
    reply_array(call->reply, listing.count);
    for (size_t i = 0; i < listing.count; i++) {
        reply_entry(&listing, &listing.entries[i]);
        alloc_free((void *)(uintptr_t)listing.entries[i].base.data);
    }
    alloc_free(listing.entries);
    alloc_free(listing.members);
}
