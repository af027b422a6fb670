/* cluster/failure.c
 *
 * A node that does not answer is suspected (PFAIL, my own opinion); it has failed (FAIL, everybody's) when a majority of those
 * that own slots suspect it within the same while. Who sees the majority first tells all. */
#include "cluster/cluster_internal.h"

#include "base/alloc.h"
#include "cluster/message.h"

#define REPORT_VALIDITY_TIMEOUTS 2

static int64_t validity_ms(const struct cluster *c)
{
    return c->options.node_timeout_ms * REPORT_VALIDITY_TIMEOUTS;
}

void failure_suspect(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    node->flags |= FLAG_PFAIL;
    c->state_dirty = c->view_dirty = true;
    emit_log(e, LOG_VERBOSE, "node %.40s: suspected, silent for %lld ms", node->id,
             (long long)(now_ms -
                         (node->ping_sent_ms > node->data_received_ms ? node->ping_sent_ms : node->data_received_ms)));
    /* Reports may have come before my own suspicion did. */
    failure_evaluate(c, node, now_ms, e);
}

void failure_report_add(struct node *node, const struct node *reporter, int64_t now_ms)
{
    for (size_t i = 0; i < node->report_count; i++) {
        if (node->reports[i].reporter != reporter->index) continue;
        node->reports[i].at_ms = now_ms;
        return;
    }
    if (node->report_count >= NODES_MAX) return;
    if (node->report_count == node->report_cap) {
        node->report_cap = node->report_cap ? node->report_cap * 2 : 4;
        node->reports = alloc_resize(node->reports, node->report_cap * sizeof(*node->reports));
    }
    node->reports[node->report_count++] = (struct failure_report){ .reporter = reporter->index, .at_ms = now_ms };
}

void failure_report_remove(struct node *node, uint16_t reporter)
{
    for (size_t i = 0; i < node->report_count; i++)
        if (node->reports[i].reporter == reporter) {
            node->reports[i] = node->reports[--node->report_count];
            return;
        }
}

void failure_reports_expire(const struct cluster *c, struct node *node, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < node->report_count; i++)
        if (now_ms - node->reports[i].at_ms <= validity_ms(c)) node->reports[kept++] = node->reports[i];
    node->report_count = kept;
}

size_t failure_report_count(const struct cluster *c, const struct node *node, int64_t now_ms)
{
    size_t count = 0;

    for (size_t i = 0; i < node->report_count; i++) {
        const struct node *reporter = node_at_index(c, node->reports[i].reporter);
        if (reporter == NULL || !node_votes(reporter)) continue;
        if (now_ms - node->reports[i].at_ms <= validity_ms(c)) count++;
    }
    return count;
}

static void fail(struct cluster *c, struct node *node, int64_t now_ms)
{
    node->flags = (uint16_t)((node->flags & ~FLAG_PFAIL) | FLAG_FAIL);
    node->fail_ms = now_ms;
    c->state_dirty = c->view_dirty = true;
    cluster_save_later(c, SAVE_SOON);
}

void failure_evaluate(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    struct buf out = { 0 };
    size_t agreed;

    if (!node_is(node, FLAG_PFAIL) || node_is(node, FLAG_FAIL)) return;
    agreed = failure_report_count(c, node, now_ms) + (node_votes(c->myself) ? 1 : 0);
    if (agreed < view_quorum(c)) return;

    fail(c, node, now_ms);
    emit_log(e, LOG_NOTICE, "node %.40s: failed, as %zu of %zu agree", node->id, agreed, view_size(c));
    header_begin(c, MESSAGE_FAIL, &out);
    message_fail_write(&out, node->id);
    message_broadcast(c, &out, e);
}

void failure_told(struct cluster *c, const struct node *sender, const char *failing, int64_t now_ms, struct effects *e)
{
    struct node *node = node_find(c, failing);

    if (node == NULL || node == c->myself || node_is(node, FLAG_FAIL)) return;
    fail(c, node, now_ms);
    emit_log(e, LOG_NOTICE, "node %.40s: failed, says %.40s", node->id, sender->id);
}

void failure_cleared(struct cluster *c, struct node *node, int64_t now_ms, struct effects *e)
{
    if (node_is(node, FLAG_PFAIL)) {
        node->flags = (uint16_t)(node->flags & ~FLAG_PFAIL);
        c->state_dirty = c->view_dirty = true;
    } else if (node_is(node, FLAG_FAIL)) {
        /* One with slots stays failed a while, by the wire's rule: somebody may be taking them over at this moment. Of our kind nobody does
         * that but a replica. */
        if (node_votes(node) && (!node->is_ours || node->replica_count > 0) && now_ms - node->fail_ms <= validity_ms(c))
            return;
        node->flags = (uint16_t)(node->flags & ~FLAG_FAIL);
        c->state_dirty = c->view_dirty = true;
        cluster_save_later(c, SAVE_SOON);
        emit_log(e, LOG_NOTICE, "node %.40s: back", node->id);
    }
}
