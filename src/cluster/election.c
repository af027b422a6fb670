/* cluster/election.c
 *
 * Votes. A replica whose primary has failed asks those that own slots for theirs, and is the successor when a majority gives it. This
 * node cannot stand itself yet; it votes for the replicas of Redis nodes, by the rules that they vote by:
 *
 *     one vote in an epoch, and one for a primary's replicas in twice the node timeout
 *     only for a replica of a primary that failed here too, or where both have agreed to change places
 *     only where nobody has a newer claim to a slot that the candidate would take
 *
 * A vote is given when it is on disk: who crashed after giving it, and voted again for another in the same epoch, would make two
 * successors. So it waits for its save, and where that fails, or takes until a newer epoch has begun, it is not given. */
#include "cluster/cluster_internal.h"

#include "cluster/message.h"

#define VOTE_REST_TIMEOUTS 2

/* Why not, or NULL. */
static const char *objection(const struct cluster *c, const struct node *candidate, const struct message *request,
                             int64_t now_ms)
{
    const struct node *primary = candidate->primary;

    if (request->current_epoch < c->current_epoch) return "its epoch is over";
    if (c->last_vote_epoch >= c->current_epoch) return "this epoch has my vote already";
    if (node_is_primary(candidate)) return "it is a primary";
    if (primary == NULL) return "its primary is not known";
    if (!node_is(primary, FLAG_FAIL) && (request->mflags & MESSAGE_FORCEACK) == 0) return "its primary is up";
    if (primary->voted_ms != 0 && now_ms - primary->voted_ms < c->options.node_timeout_ms * VOTE_REST_TIMEOUTS)
        return "another replica of its primary had my vote just now";
    if (c->save_failed) return "the state cannot be saved, and a vote that is not on disk is none";
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        const struct node *owner;

        if (!bitmap_has(request->slots, slot) || bitmap_has(c->not_claiming, slot)) continue;
        owner = owner_node(c, (uint16_t)slot);
        if (owner != NULL && owner->config_epoch > request->config_epoch)
            return "a slot it would take has a newer owner";
    }
    return NULL;
}

void election_asked(struct cluster *c, struct node *candidate, const struct message *request, int64_t now_ms,
                    struct effects *e)
{
    const char *reason;

    /* Who owns no slot has no vote: nothing to say to that. */
    if (!node_votes(c->myself)) return;
    reason = objection(c, candidate, request, now_ms);
    if (reason != NULL) {
        /* Once for each epoch: a candidate that goes on asking is not to fill the log. */
        if (candidate->refused_epoch >= request->current_epoch) return;
        candidate->refused_epoch = request->current_epoch;
        emit_log(e, LOG_NOTICE, "election: no vote for %.40s in epoch %llu: %s", candidate->id,
                 (unsigned long long)request->current_epoch, reason);
        return;
    }
    c->last_vote_epoch = c->current_epoch;
    candidate->primary->voted_ms = now_ms;
    memcpy(c->vote.candidate, candidate->id, sizeof(c->vote.candidate));
    c->vote.epoch = c->current_epoch;
    cluster_persist_now(c, true, e);
    c->vote.sequence = c->save_sequence;
}

void election_saved(struct cluster *c, uint64_t sequence, bool ok, struct effects *e)
{
    const struct node *candidate;
    struct buf out = { 0 };

    if (c->vote.sequence == 0 || sequence < c->vote.sequence) return;
    c->vote.sequence = 0;
    if (!ok) return;
    candidate = node_find(c, c->vote.candidate);
    /* The candidate counts by our epoch: a vote that comes late must not count for what it asks in a later one. */
    if (candidate == NULL || candidate->outbound == 0 || c->current_epoch != c->vote.epoch) return;
    header_begin(c, MESSAGE_AUTH_ACK, &out);
    message_send(c, candidate->outbound, &out, e);
    emit_log(e, LOG_NOTICE, "election: my vote in epoch %llu is for %.40s", (unsigned long long)c->vote.epoch,
             candidate->id);
}
