#include "server/salt_read.h"

#include "server/salt_helper.h"
#include "server/worker_internal.h"

#include <assert.h>

bool salt_read(struct call *call, struct bytes base)
{
    struct salt_helper *helper = call->node->salt_helper;
    struct copies *copies;
    struct worker *worker = call->worker;
    size_t bytes = worker->out.len, pieces = worker->pieces.count;
    uint64_t errors = call->reply->errors, hash;
    bool is_good;

    if (helper == NULL || (call->command->flags & COMMAND_TELLS_VALUES) == 0) return false;
    copies = salt_helper_copies(helper);
    hash = slot_hash(base);
    call->slot = copies_enter(copies, base, hash, call->now_ms);
    if (call->slot == NULL) return false;
    call->key_arg = call->command->keys[0].first;
    call->key_hash = hash;
    assert(!call->publishes); /* a copy is no value of the node's own slot */

    call->command->run(call);
    is_good = !call->waits && call->builds == NULL && copies_is_good(copies, call->slot, base, hash);
    slot_unlock(call->slot);
    call->slot = NULL;
    call->key_arg = 0;
    if (is_good) return true;
    /* What was said is unsaid: nobody may be told. */
    worker->out.len = bytes;
    reply_pieces_drop(&worker->pieces, pieces);
    call->reply->errors = errors;
    return false;
}
