/* server/exec.c: the queue of a transaction, run as one step. */
#include "base/alloc.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "server/alias.h"
#include "server/plan.h"
#include "server/run.h"
#include "server/salt_home.h"
#include "server/transaction.h"

#include <string.h>

/* What a command of EXEC has taken. */
struct took {
    uint64_t ns, replied_bytes;
};

/* What EXEC's commands have left to do without its locks. */
struct put_off {
    struct unfinished {
        struct call call;
        bool to_run;           /* all of it is left, not only finish() */
        bool failed;           /* in run() */
        uint8_t resp;          /* the protocol of its reply */
        size_t queued, offset; /* its number in the queue; where its reply belongs */
        uint64_t ticks;        /* what it has taken so far */
    } * items;
    size_t count, cap;
};

static void put_off(struct put_off *later, const struct call *call, size_t queued, bool to_run, bool failed,
                    uint64_t *clock)
{
    uint64_t now = clock_ticks();

    if (later->count == later->cap) {
        later->cap = later->cap == 0 ? 2 : later->cap * 2;
        later->items = alloc_resize(later->items, later->cap * sizeof(*later->items));
    }
    later->items[later->count++] = (struct unfinished){ .call = *call,
                                                        .to_run = to_run,
                                                        .failed = failed,
                                                        .resp = call->reply->resp,
                                                        .queued = queued,
                                                        .offset = call->reply->out->len,
                                                        .ticks = now - *clock };
    later->items[later->count - 1].call.held = NULL;
    *clock = now;
}

/* Of replies that nobody will be sent those of single commands need not be kept either. The commands run all the same: they happen together or not
 * at all, whatever becomes of their client. */
static void drop_reply(struct reply *reply, size_t len, size_t pieces)
{
    reply->out->len = len;
    if (reply->pieces != NULL) reply_pieces_drop(reply->pieces, pieces);
}

static void run_queue(struct call *call, struct plan *plan, struct took *took, struct put_off *later)
{
    struct transaction *transaction = call->client->transaction;
    uint64_t clock = clock_ticks();

    reply_array(call->reply, transaction->count);
    for (size_t i = 0; i < transaction->count; i++) {
        struct queued_command *queued = &transaction->queue[i];
        struct call inner = *call;
        uint64_t errors = call->reply->errors, replied = cost_replied(call->reply);
        size_t len = call->reply->out->len, pieces = call->reply->pieces == NULL ? 0 : call->reply->pieces->count;
        bool is_too_much = reply_is_too_much(call->reply);
        bool to_run_later = (queued->command->flags & COMMAND_UNLOCKED) != 0 && plan->slots.count > 0;

        inner.command = queued->command;
        inner.argc = queued->argc;
        inner.argv = queued->argv;
        inner.incoming = &queued->entry;
        inner.in_exec = true;
        inner.held = &plan->slots;
        inner.slot = plan->first_slot >= 0 && !plan->cross_slot &&
                             command_keys(queued->command, queued->argc, queued->argv, NULL, NULL) > 0
                         ? keyspace_slot(call->node->keyspace, (uint16_t)plan->first_slot)
                         : NULL;
        salt_home_goes_on_with(queued->command);
        if (!to_run_later) run_command(&inner);
        if (to_run_later || inner.kept != NULL)
            put_off(later, &inner, i, to_run_later, call->reply->errors != errors, &clock);
        else
            took[i].ns = run_finish(&inner, queued->number, errors, &clock);
        took[i].replied_bytes = cost_replied(call->reply) - replied;
        if (__builtin_expect(is_too_much, 0)) drop_reply(call->reply, len, pieces);
    }
}

/* After the locks were given back. The replies go where they would have stood. */
static void run_put_off(struct call *call, struct put_off *later, struct took *took)
{
    for (size_t i = 0; i < later->count; i++) {
        struct unfinished *unfinished = &later->items[i];
        struct buf text = { 0 };
        struct reply reply = { .out = &text, .resp = unfinished->resp };
        uint64_t clock = clock_ticks() - unfinished->ticks;

        unfinished->call.reply = &reply;
        if (unfinished->to_run) run_command(&unfinished->call);
        took[unfinished->queued].ns =
            run_finish(&unfinished->call, call->client->transaction->queue[unfinished->queued].number,
                       unfinished->failed ? UINT64_MAX : 0, &clock);
        took[unfinished->queued].replied_bytes += text.len;
        if (reply.errors > 0) memcpy(call->reply->error_code, reply.error_code, sizeof(reply.error_code));
        call->reply->errors += reply.errors;
        if (text.len == 0 || reply_is_too_much(call->reply))
            buf_free(&text);
        else
            reply_insert(call->reply, unfinished->offset, &text);
    }
    alloc_free(later->items);
}

static bool visits_other_slots(const struct command *command)
{
    return (command->flags & COMMAND_ALL_SLOTS) != 0 ||
           (command->parent != NULL && strcmp(command->parent, "cluster") == 0 &&
            (command->flags & COMMAND_UNLOCKED) == 0);
}

void transaction_exec(struct call *call)
{
    struct client *client = call->client;
    struct transaction *transaction = transaction_of(client);
    struct plan plan;
    struct put_off later = { 0 };
    bool all_slots = false, ran = false;
    struct took *took = alloc_zeroed((transaction->count + 1) * sizeof(*took));

    alias_settle_queue(call);
    plan_init(&plan);
    for (size_t i = 0; i < transaction->count; i++) {
        const struct queued_command *queued = &transaction->queue[i];
        struct call inner = *call;

        inner.command = queued->command;
        inner.argc = queued->argc;
        inner.argv = queued->argv;
        plan_command(&plan, &inner);
        if (visits_other_slots(queued->command)) all_slots = true;
    }
    plan.call = NULL;
    transaction_add_slots(transaction, &plan.slots);
    if (all_slots) slot_set_add_all(&plan.slots);

    if (plan_lock(call, &plan)) {
        if (client_flags(client) & CLIENT_DIRTY_EXEC) {
            reply_error(call->reply, "EXECABORT Transaction discarded because of previous errors.");
        } else if (transaction_is_stale(transaction, call->now_ms)) {
            reply_null_array(call->reply);
        } else if (!plan_waits_for_keys(call, &plan)) {
            run_queue(call, &plan, took, &later);
            ran = true;
        }
        slot_set_unlock(&plan.slots, call->node->keyspace);
        if (call->node->bus != NULL) bus_wake(call->node->bus);
        run_put_off(call, &later, took);
    }
    for (size_t i = 0; ran && i < transaction->count; i++) {
        const struct queued_command *queued = &transaction->queue[i];
        struct call inner = *call;

        inner.command = queued->command;
        inner.argc = queued->argc;
        inner.argv = queued->argv;
        cost_note_keys(&inner, NULL, took[i].replied_bytes, took[i].ns);
        run_log_if_slow(call, queued->command, queued->argc, queued->argv, took[i].ns);
        run_tell_monitors(&inner);
    }
    slot_set_free(&plan.slots);
    alloc_free(took);
    if (!call->waits) client_discard_transaction(client);
}
