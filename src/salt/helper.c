/* salt/helper.c
 *
 * The bases that a node has names of, the links to their homes, and which copies are good. */
#include "salt/helper_internal.h"

#include "base/alloc.h"

#include <assert.h>
#include <string.h>

/* A home is asked again for a copy that was evicted here after so long. */
#define LOST_AGAIN_MS 1000
/* A link that serves nothing stays for so long: names come and go together. */
#define IDLE_MS 2000
/* What was added to a sum that is not wanted any more is tried to be folded for so long. */
#define FOLD_REST_MS 2000

static struct helper_base *base_of(struct base_link *link)
{
    return container_of(link, struct helper_base, link);
}

static struct helper_base *find(const struct helper *helper, struct bytes key)
{
    struct base_link *link = base_map_find(&helper->bases, key);

    return link != NULL ? base_of(link) : NULL;
}

struct helper *helper_new(const struct helper_options *options)
{
    struct helper *helper = alloc_zeroed(sizeof(*helper));

    helper->options = *options;
    helper->session = helper->joins = helper->folds = options->first_session;
    return helper;
}

void helper_free(struct helper **helper)
{
    base_map_each(at, &(*helper)->bases) alloc_free(base_of(at));
    for (size_t i = 0; i < (*helper)->home_count; i++) alloc_free((*helper)->homes[i]);
    alloc_free(*helper);
    *helper = NULL;
}

/* --- Leases --- */

bool helper_copy_is_good(const struct helper_copy *copy, int64_t now_ms)
{
    /* The deadline first: were it that of a later session, this would find the session changed. */
    int64_t until_ms = atomic_load_explicit(&copy->lease->until_ms, memory_order_acquire);

    return now_ms < until_ms && atomic_load_explicit(&copy->lease->session, memory_order_acquire) == copy->session;
}

bool lease_is_good(const struct remote *remote, int64_t now_ms)
{
    return now_ms < atomic_load_explicit(&remote->lease.until_ms, memory_order_relaxed);
}

/* Whatever is here of that home is void from now on. */
static void begin_session(struct helper *helper, struct remote *remote)
{
    atomic_store_explicit(&remote->lease.session, ++helper->session, memory_order_release);
    atomic_store_explicit(&remote->lease.until_ms, 0, memory_order_release);
}

/* --- Homes --- */

static struct remote *home_named(const struct helper *helper, const char *id)
{
    for (size_t i = 0; i < helper->home_count; i++)
        if (strcmp(helper->homes[i]->id, id) == 0) return helper->homes[i];
    return NULL;
}

static struct remote *home_on(const struct helper *helper, salt_link link)
{
    for (size_t i = 0; link != 0 && i < helper->home_count; i++)
        if (helper->homes[i]->link == link) return helper->homes[i];
    return NULL;
}

static void set_id(char to[SALT_NODE_ID_BYTES + 1], const char *id)
{
    size_t len = strlen(id);

    assert(len > 0 && len <= SALT_NODE_ID_BYTES);
    memcpy(to, id, len + 1);
}

static struct remote *home_add(struct helper *helper, const char *id, struct salt_effects *effects)
{
    struct remote *remote = home_named(helper, id);

    if (remote != NULL) return remote;
    remote = home_named(helper, "");
    if (remote == NULL) {
        if (helper->home_count == HELPER_HOMES_MAX) return NULL;
        remote = helper->homes[helper->home_count++] = alloc_zeroed(sizeof(*remote));
    }
    set_id(remote->id, id);
    begin_session(helper, remote);
    set_id(salt_effect_add(effects, SALT_CONNECT, BYTES_NONE)->node, id);
    return remote;
}

/* --- Bases --- */

salt_link base_link_up(const struct helper_base *base)
{
    return base->home->is_welcome ? base->home->link : 0;
}

static void drop_copy(struct helper_base *base, struct salt_effects *effects)
{
    base->has_total = false;
    if (!base->has_copy) return;
    base->has_copy = false;
    salt_effect_add(effects, SALT_DROP, base->link.key);
}

void base_acknowledge(struct helper_base *base, uint64_t join, uint64_t seq, struct salt_effects *effects)
{
    if (base_link_up(base) == 0) return;
    salt_send(effects, base->home->link,
              &(struct salt_message){ .word = SALT_ACK, .base = base->link.key, .join = join, .seq = seq });
}

static void leave(struct helper_base *base, struct salt_effects *effects)
{
    if (base->owes_ack) base_acknowledge(base, base->owed_join, base->owed_seq, effects);
    base->owes_ack = false;
    if (base->join == 0) return;
    base->has_joined = false;
    if (base_link_up(base) != 0)
        salt_send(effects, base->home->link,
                  &(struct salt_message){ .word = SALT_LEAVE, .base = base->link.key, .join = base->join });
    base->join = 0;
}

static void join(struct helper *helper, struct helper_base *base, int64_t now_ms, struct salt_effects *effects)
{
    drop_copy(base, effects); /* who joins holds nothing */
    base->asked_ms = now_ms;
    base->has_joined = true;
    base->join = ++helper->joins;
    base->floor = 0;
    salt_send(effects, base->home->link,
              &(struct salt_message){
                  .word = SALT_JOIN, .base = base->link.key, .join = base->join, .sum = base->sum });
}

void helper_base_free(struct helper *helper, struct helper_base *base, int64_t now_ms)
{
    if (--base->home->bases == 0) base->home->idle_since_ms = now_ms;
    base_map_remove(&helper->bases, &base->link);
    alloc_free(base);
}

/* It goes, at once or when what was added to it is folded. */
static void let_go(struct helper *helper, struct helper_base *base, int64_t now_ms, struct salt_effects *effects)
{
    drop_copy(base, effects);
    if (!additions_are_folded(&base->added)) {
        base->is_wanted = false;
        base->unwanted_ms = now_ms;
        sum_fold(helper, base, now_ms, effects);
        return;
    }
    leave(base, effects);
    helper_base_free(helper, base, now_ms);
}

bool helper_want(struct helper *helper, struct bytes key, const char *home, bool sum, int64_t now_ms,
                 struct salt_effects *effects)
{
    struct helper_base *base = find(helper, key);
    struct remote *remote;

    if (base != NULL && strcmp(base->home->id, home) == 0 && base->sum == sum) {
        if (!base->is_wanted) base->has_joined = false; /* what it had is dropped, and home thinks that it has it */
        base->is_wanted = true;
        return true;
    }
    /* What was added to a sum that is none any more is folded first. */
    if (base != NULL && base->sum && !sum && strcmp(base->home->id, home) == 0 && !additions_are_folded(&base->added)) {
        if (base->is_wanted) let_go(helper, base, now_ms, effects);
        return false;
    }
    if (base != NULL) { /* another home, or another mode: nothing of what it was stays */
        drop_copy(base, effects);
        if (!additions_are_folded(&base->added)) additions_discard(&base->added, &helper->stats.lost);
        leave(base, effects);
        helper_base_free(helper, base, now_ms);
    }
    if (helper->bases.count >= HELPER_BASES_MAX || key.len == 0 || key.len > SALT_BASE_BYTES_MAX) return false;
    remote = home_add(helper, home, effects);
    if (remote == NULL) return false;
    remote->bases++;
    base = alloc_zeroed(sizeof(*base) + key.len); /* fits: SALT_BASE_BYTES_MAX */
    memcpy(base + 1, key.data, key.len);
    base->link.key = (struct bytes){ (char *)(base + 1), key.len };
    base->home = remote;
    base->sum = sum;
    base->is_wanted = true;
    base_map_add(&helper->bases, &base->link);
    if (base_link_up(base) != 0) join(helper, base, now_ms, effects);
    return true;
}

void helper_unwant(struct helper *helper, struct bytes key, int64_t now_ms, struct salt_effects *effects)
{
    struct helper_base *base = find(helper, key);

    if (base != NULL && base->is_wanted) let_go(helper, base, now_ms, effects);
}

/* --- Links --- */

static void lost_link(struct helper *helper, struct remote *remote)
{
    remote->link = 0;
    remote->is_welcome = false;
    base_map_each(at, &helper->bases)
    {
        struct helper_base *base = base_of(at);

        if (base->home != remote) continue;
        base->has_joined = false;
        base->join = 0;
        base->owes_ack = false;
    }
}

void helper_link_opened(struct helper *helper, const char *home, salt_link link, int64_t now_ms,
                        struct salt_effects *effects)
{
    struct remote *remote = home_named(helper, home);

    if (remote == NULL) {
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        return;
    }
    if (remote->link != 0) salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = remote->link;
    lost_link(helper, remote);
    begin_session(helper, remote);
    base_map_each(at, &helper->bases)
    {
        if (base_of(at)->home == remote) drop_copy(base_of(at), effects);
    }
    remote->link = link;
    remote->heard_ms = now_ms;
    remote->asked = remote->answered = 0;
    salt_send(effects, link,
              &(struct salt_message){
                  .word = SALT_HELLO, .base = bytes_of(helper->options.id), .session = helper->session });
}

void helper_link_closed(struct helper *helper, salt_link link, int64_t now_ms, struct salt_effects *effects)
{
    struct remote *remote = home_on(helper, link);

    (void)now_ms;
    (void)effects;
    if (remote != NULL) lost_link(helper, remote);
}

static void renew(struct helper *helper, struct remote *remote, int64_t now_ms, struct salt_effects *effects)
{
    remote->renew_due_ms = now_ms + helper->options.renew_ms;
    if (remote->asked - remote->answered >= ASKS_MAX) return;
    remote->asked++;
    remote->asked_ms[remote->asked % ASKS_MAX] = now_ms;
    salt_send(effects, remote->link, &(struct salt_message){ .word = SALT_RENEW, .number = remote->asked });
}

static void welcome(struct helper *helper, struct remote *remote, int64_t now_ms, struct salt_effects *effects)
{
    remote->is_welcome = true;
    renew(helper, remote, now_ms, effects);
    base_map_each(at, &helper->bases)
    {
        struct helper_base *base = base_of(at);

        if (base->home != remote) continue;
        sum_fold_again(helper, base, effects);
        if (base->is_wanted) join(helper, base, now_ms, effects);
    }
}

static void renewed(struct helper *helper, struct remote *remote, const struct salt_message *message)
{
    int64_t until_ms;

    if (message->number <= remote->answered || message->number > remote->asked) return;
    remote->answered = message->number;
    if (message->lease_ms <= 0) {
        helper->stats.renewals_refused++;
        return;
    }
    helper->stats.renewals++;
    until_ms = remote->asked_ms[message->number % ASKS_MAX] + message->lease_ms;
    if (!lease_is_good(remote, until_ms))
        atomic_store_explicit(&remote->lease.until_ms, until_ms, memory_order_release);
}

static void invalidated(struct helper *helper, struct remote *remote, const struct salt_message *message,
                        int64_t now_ms, struct salt_effects *effects)
{
    struct helper_base *base = find(helper, message->base);
    bool is_done = true;

    helper->stats.invalidations++;
    if (base != NULL && base->home == remote) {
        if (base->floor < message->seq) base->floor = message->seq;
        drop_copy(base, effects);
        base->asked_ms = now_ms;
        if (message->closed && message->join == base->join) {
            base->has_joined = false;
            base->join_due_ms = now_ms + JOIN_AGAIN_MS;
        }
        is_done = sum_invalidated(helper, base, message, now_ms, effects);
    }
    if (is_done)
        salt_send(effects, remote->link,
                  &(struct salt_message){
                      .word = SALT_ACK, .base = message->base, .join = message->join, .seq = message->seq });
}

void helper_message(struct helper *helper, salt_link link, const struct salt_message *message, int64_t now_ms,
                    struct salt_effects *effects)
{
    struct remote *remote = home_on(helper, link);
    struct helper_base *base;

    if (remote == NULL) return;
    remote->heard_ms = now_ms;
    base = message->base.len > 0 ? find(helper, message->base) : NULL;
    if (base != NULL && base->home != remote) base = NULL;
    switch (message->word) {
    case SALT_WELCOME:
        if (!remote->is_welcome) welcome(helper, remote, now_ms, effects);
        return;
    case SALT_STALE:
        /* Ours was lower than one of before: of a process of this node whose clock was ahead. The next link says a higher one. */
        if (helper->session < message->session) helper->session = message->session;
        return;
    case SALT_RENEWED:
        renewed(helper, remote, message);
        return;
    case SALT_REFUSED:
        if (base == NULL || base->join != message->join) return;
        base->has_joined = false;
        base->join_due_ms = now_ms + JOIN_AGAIN_MS;
        return;
    case SALT_INV:
        invalidated(helper, remote, message, now_ms, effects);
        return;
    case SALT_TOTAL:
        if (base != NULL) sum_total(helper, base, message);
        return;
    case SALT_FOLDED:
        if (base == NULL) return;
        sum_folded(helper, base, message, now_ms, effects);
        if (!base->is_wanted && additions_are_folded(&base->added)) let_go(helper, base, now_ms, effects);
        return;
    case SALT_VALUE: /* has a function of its own */
    case SALT_HELLO:
    case SALT_RENEW:
    case SALT_JOIN:
    case SALT_LEAVE:
    case SALT_ACK:
    case SALT_FOLD:
    case SALT_READS:
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = link;
        lost_link(helper, remote);
    }
}

/* --- Copies --- */

/* Until when a value may be told that was read with so much left of its life after `read_ms`. */
static int64_t over_ms(int64_t read_ms, int64_t ttl_ms)
{
    int64_t until_ms;

    if (ttl_ms < 0 || __builtin_add_overflow(read_ms, ttl_ms - ttl_ms / 1000, &until_ms)) return INT64_MAX;
    return until_ms;
}

bool helper_value(struct helper *helper, salt_link link, const struct salt_message *message, int64_t ttl_ms,
                  struct helper_copy *copy)
{
    struct remote *remote = home_on(helper, link);
    struct helper_base *base = find(helper, message->base);

    if (remote == NULL || base == NULL || base->home != remote || base->sum || !base->is_wanted || !base->has_joined ||
        base->join != message->join || message->seq < base->floor || (base->has_copy && message->seq < base->seq)) {
        helper->stats.values_late++;
        return false;
    }
    helper->stats.values++;
    base->has_copy = true;
    base->seq = message->seq;
    base->over_ms = over_ms(base->asked_ms, ttl_ms);
    *copy = (struct helper_copy){ .lease = &remote->lease,
                                  .session = atomic_load_explicit(&remote->lease.session, memory_order_relaxed),
                                  .seq = message->seq,
                                  .over_ms = base->over_ms };
    return true;
}

void helper_copy_lost(struct helper *helper, struct bytes key, int64_t now_ms)
{
    struct helper_base *base = find(helper, key);

    if (base == NULL || !base->has_copy) return;
    base->has_copy = base->has_joined = false;
    base->join_due_ms = now_ms + LOST_AGAIN_MS;
}

void helper_tell_reads(const struct helper *helper, struct bytes key, uint64_t reads, struct salt_effects *effects)
{
    const struct helper_base *base = find(helper, key);

    if (base == NULL || base_link_up(base) == 0) return;
    salt_send(effects, base->home->link,
              &(struct salt_message){ .word = SALT_READS, .base = base->link.key, .number = reads });
}

/* --- Time --- */

static void tick_home(struct helper *helper, struct remote *remote, int64_t now_ms, struct salt_effects *effects)
{
    if (remote->id[0] == '\0') return;
    if (remote->bases == 0 && now_ms - remote->idle_since_ms >= IDLE_MS) {
        if (remote->link != 0) salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = remote->link;
        set_id(salt_effect_add(effects, SALT_DISCONNECT, BYTES_NONE)->node, remote->id);
        lost_link(helper, remote);
        remote->id[0] = '\0';
        return;
    }
    if (remote->link == 0) return;
    if (now_ms - remote->heard_ms > helper->options.silent_ms) {
        salt_effect_add(effects, SALT_CLOSE, BYTES_NONE)->link = remote->link;
        lost_link(helper, remote);
    } else if (remote->is_welcome && now_ms >= remote->renew_due_ms) {
        renew(helper, remote, now_ms, effects);
    }
}

void helper_tick(struct helper *helper, int64_t now_ms, struct salt_effects *effects)
{
    for (size_t i = 0; i < helper->home_count; i++) tick_home(helper, helper->homes[i], now_ms, effects);
    base_map_each(at, &helper->bases)
    {
        struct helper_base *base = base_of(at);

        if (!base->is_wanted && now_ms - base->unwanted_ms > FOLD_REST_MS) {
            additions_discard(&base->added, &helper->stats.lost);
            let_go(helper, base, now_ms, effects);
            continue;
        }
        if (base->has_copy && now_ms >= base->over_ms) {
            drop_copy(base, effects);
            base->has_joined = false;
            base->join_due_ms = now_ms + JOIN_AGAIN_MS;
        }
        if (base_link_up(base) == 0) continue;
        if (base->is_wanted && !base->has_joined && !base->owes_ack && now_ms >= base->join_due_ms)
            join(helper, base, now_ms, effects);
        if (base->sum && now_ms >= base->fold_due_ms) sum_fold(helper, base, now_ms, effects);
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t helper_next_ms(const struct helper *helper)
{
    int64_t next_ms = INT64_MAX;

    for (size_t i = 0; i < helper->home_count; i++) {
        const struct remote *remote = helper->homes[i];

        if (remote->id[0] == '\0') continue;
        if (remote->bases == 0) next_ms = earlier(next_ms, remote->idle_since_ms + IDLE_MS);
        if (remote->link != 0) next_ms = earlier(next_ms, remote->heard_ms + helper->options.silent_ms + 1);
        if (remote->is_welcome) next_ms = earlier(next_ms, remote->renew_due_ms);
    }
    base_map_each(at, &helper->bases)
    {
        const struct helper_base *base = base_of(at);

        if (!base->is_wanted) next_ms = earlier(next_ms, base->unwanted_ms + FOLD_REST_MS + 1);
        if (base->has_copy) next_ms = earlier(next_ms, base->over_ms);
        if (base_link_up(base) == 0) continue;
        if (base->is_wanted && !base->has_joined && !base->owes_ack) next_ms = earlier(next_ms, base->join_due_ms);
        if (base->sum && !base->added.is_sent) next_ms = earlier(next_ms, base->fold_due_ms);
    }
    return next_ms;
}

/* --- What is there --- */

bool helper_has(const struct helper *helper, struct bytes key, int64_t now_ms)
{
    const struct helper_base *base = find(helper, key);

    return base != NULL && (base->has_copy || base->has_total) && lease_is_good(base->home, now_ms);
}

struct helper_stats helper_stats(const struct helper *helper)
{
    struct helper_stats stats = helper->stats;

    stats.bases = helper->bases.count;
    stats.homes = stats.copies = 0;
    stats.pending = 0;
    for (size_t i = 0; i < helper->home_count; i++) stats.homes += helper->homes[i]->id[0] != '\0';
    base_map_each(at, &helper->bases)
    {
        stats.copies += base_of(at)->has_copy || base_of(at)->has_total;
        stats.pending += additions_units(&base_of(at)->added);
    }
    return stats;
}
