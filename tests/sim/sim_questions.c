/* sim/sim_questions.c
 *
 * What is asked of all running nodes of a simulation together: do they know each other, do they agree. */
#include "sim/sim.h"

#include "base/buf.h"

#include <string.h>

bool sim_is_full_mesh(struct sim *sim)
{
    for (size_t i = 0; i < sim_count(sim); i++) {
        struct cluster_node_info info;
        if (!sim_is_running(sim, i)) continue;
        if (cluster_node_count(sim_core(sim, i)) != sim_count(sim)) return false;
        for (size_t j = 0; j < sim_count(sim); j++) {
            if (!cluster_node_by_id(sim_core(sim, i), bytes_of(sim_node_id(sim, j)), &info)) return false;
            if ((sim_is_running(sim, j) && !info.connected) || (info.flags & 0x60)) return false;
        }
    }
    return true;
}

bool sim_agrees_on_slots(struct sim *sim)
{
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        char owner[NODE_ID_BYTES + 1] = "";
        for (size_t i = 0; i < sim_count(sim); i++) {
            struct cluster_node_info info;
            int index;
            if (!sim_is_running(sim, i)) continue;
            if (!cluster_state_ok(sim_core(sim, i))) return false;
            index = cluster_slot_owner(sim_core(sim, i), (uint16_t)slot);
            if (index < 0) return false;
            cluster_node_by_index(sim_core(sim, i), (uint16_t)index, &info);
            if (owner[0] == '\0') memcpy(owner, info.id, sizeof(owner));
            if (strcmp(owner, info.id) != 0) return false;
        }
    }
    return true;
}

bool sim_epochs_are_unique(struct sim *sim)
{
    for (size_t i = 0; i < sim_count(sim); i++)
        for (size_t j = 0; j < i; j++) {
            struct cluster_node_info a, b;
            if (!sim_is_running(sim, i) || !sim_is_running(sim, j)) continue;
            cluster_node_at(sim_core(sim, i), 0, &a);
            cluster_node_at(sim_core(sim, j), 0, &b);
            if (a.slot_count > 0 && b.slot_count > 0 && a.config_epoch == b.config_epoch) return false;
        }
    return true;
}

/* A node's items as text, without the latest version there ever was, and the checksum. */
static struct bytes items_of(const struct cluster *core, struct buf *out)
{
    const char *items;

    buf_clear(out);
    cluster_shared_save(core, out);
    buf_append_byte(out, '\0'); /* for strchr() */
    items = strchr(strchr(out->data, '\n') + 1, '\n');
    return (struct bytes){ items, (size_t)(strrchr(items, 's') - items) };
}

bool sim_shares_alike(struct sim *sim)
{
    struct buf first = { 0 }, other = { 0 };
    struct bytes items = BYTES_NONE;
    bool alike = true;

    for (size_t i = 0; alike && i < sim_count(sim); i++) {
        if (!sim_is_running(sim, i)) continue;
        if (items.data == NULL)
            items = items_of(sim_core(sim, i), &first);
        else
            alike = bytes_equal(items_of(sim_core(sim, i), &other), items);
    }
    buf_free(&first);
    buf_free(&other);
    return alike;
}

size_t sim_seen_with(struct sim *sim, size_t node, unsigned flags)
{
    size_t count = 0;

    for (size_t i = 0; i < sim_count(sim); i++) {
        struct cluster_node_info info;
        if (i == node || !sim_is_running(sim, i)) continue;
        if (cluster_node_by_id(sim_core(sim, i), bytes_of(sim_node_id(sim, node)), &info) && (info.flags & flags))
            count++;
    }
    return count;
}

void sim_describe(struct sim *sim, FILE *out)
{
    for (size_t n = 0; n < sim_count(sim); n++) {
        struct buf text = { 0 };

        fprintf(out, "node %zu, %.8s: ", n, sim_node_id(sim, n));
        if (!sim_is_running(sim, n)) {
            fprintf(out, "stopped\n");
            continue;
        }
        fprintf(out, "state %s, epoch %llu%s\n", cluster_state_ok(sim_core(sim, n)) ? "ok" : "fail",
                (unsigned long long)cluster_epoch(sim_core(sim, n)), sim_is_saved(sim, n) ? "" : ", not all is saved");
        cluster_nodes_text(sim_core(sim, n), &text);
        fprintf(out, "%.*s", (int)text.len, text.data);
        buf_free(&text);
    }
}
