#include "server/salt_helper.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "bus/bus.h"
#include "salt/link.h"
#include "server/salt_home.h"
#include "server/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RENEW_MS 50
/* What an addition waits here, and how old a total may be, are 50 ms together: as often as that, and a tick of the links. */
#define FOLD_MS 20
#define FRESH_MS 50
#define SILENT_MS 1000
/* How long the end of the node waits for what was added to sums here. */
#define LAST_FOLDS_MS 250
#define LAST_FOLDS_PAUSE_US 2000
/* What nobody has told of is seen by then. */
#define LOOK_MS 1000
#define TELL_READS_MS 1000
#define COPIES_BYTES_DEFAULT ((uint64_t)64 << 20)

/* An entry as this node is to follow it; without ids it is not salted any more. */
struct followed {
    struct list link;
    struct bytes base; /* behind it */
    bool sum, is_new;
    char separator;
    char home[SALT_NODE_ID_BYTES + 1]; /* the helper has been told so; "": that it is not wanted */
    bool told_sum;
    uint64_t told_reads; /* of its slot */
    unsigned count;
    uint16_t ids[SALT_NAMES_MAX - 1];
};

struct salt_helper {
    struct node *node;
    struct copies *copies;    /* guards itself */
    struct salt_links *links; /* of the links' thread, but for what its header says */
    _Atomic bool owners_changed;
    _Atomic bool is_ending; /* nothing more is added to sums */

    struct lock news_lock;
    struct list news; /* followed; under news_lock */

    struct list followed; /* the links' thread's, as the next three */
    int64_t looked_ms, told_reads_ms;
    uint64_t lost_told; /* units of sums: so many are in the log */

    struct lock lock;
    struct helper *core;         /* under lock */
    struct salt_effects effects; /* likewise; only the links' thread adds to it */
};

/* --- What there is to follow --- */

static void add_news(struct salt_helper *helper, const struct salt_entry *entry, unsigned count)
{
    struct followed *news = alloc_zeroed(sizeof(*news) + entry->base.len);

    memcpy(news + 1, entry->base.data, entry->base.len);
    news->base = (struct bytes){ (const char *)(news + 1), entry->base.len };
    news->sum = entry->mode == SALT_MODE_SUM;
    news->separator = entry->separator;
    news->count = count;
    memcpy(news->ids, entry->ids, count * sizeof(news->ids[0]));
    lock_take(&helper->news_lock);
    list_append(&helper->news, &news->link);
    lock_release(&helper->news_lock);
}

void salt_helper_entry_changed(struct salt_helper *helper, const struct salt_entry *entry)
{
    add_news(helper, entry, entry->count);
}

void salt_helper_entry_forgotten(struct salt_helper *helper, const struct salt_entry *entry)
{
    add_news(helper, entry, 0);
}

void salt_helper_owners_changed(struct salt_helper *helper)
{
    atomic_store_explicit(&helper->owners_changed, true, memory_order_relaxed);
}

static struct followed *find(const struct salt_helper *helper, struct bytes base)
{
    list_each(at, &helper->followed) {
        struct followed *followed = container_of(at, struct followed, link);

        if (bytes_equal(followed->base, base)) return followed;
    }
    return NULL;
}

/* Puts the news in the place of what it is news of. */
static void take_one(struct salt_helper *helper, struct followed *news)
{
    struct followed *former = find(helper, news->base);

    list_append(&helper->followed, &news->link);
    news->is_new = true;
    if (former == NULL) return;
    memcpy(news->home, former->home, sizeof(news->home));
    news->told_sum = former->told_sum;
    news->told_reads = former->told_reads;
    list_remove(&former->link);
    alloc_free(former);
}

static bool take_news(struct salt_helper *helper)
{
    bool any = false;

    for (;;) {
        struct followed *news = NULL;

        lock_take(&helper->news_lock);
        if (!list_is_empty(&helper->news)) {
            news = container_of(helper->news.next, struct followed, link);
            list_remove(&news->link);
        }
        lock_release(&helper->news_lock);
        if (news == NULL) return any;
        take_one(helper, news);
        any = true;
    }
}

/* --- What is wanted --- */

static struct owner owner_of(const struct node *node, uint16_t slot)
{
    return owner_unpack(slot_owner(keyspace_slot(node->keyspace, slot)));
}

/* Whose copies this node is to have of it; "" where it has none of its names, or is its home, or nobody is. */
static void home_of(const struct salt_helper *helper, const struct followed *followed, char id[SALT_NODE_ID_BYTES + 1])
{
    struct node *node = helper->node;
    struct owner home = owner_of(node, key_slot(followed->base));
    struct cluster_node_info info;
    struct effects *effects;
    bool has_name = false;

    id[0] = '\0';
    for (unsigned i = 0; i < followed->count && !has_name; i++)
        has_name =
            owner_of(node, salt_name_slot(followed->base, followed->separator, followed->ids[i])).state == OWNER_HERE;
    if (!has_name || home.state != OWNER_ELSEWHERE) return;
    if (cluster_node_by_index(bus_lock(node->bus, &effects), home.node, &info))
        snprintf(id, SALT_NODE_ID_BYTES + 1, "%s", info.id);
    bus_unlock(node->bus);
}

static void tell_home(const struct salt_helper *helper, struct followed *followed)
{
    if (!followed->is_new) return;
    followed->is_new = false;
    if (followed->count > 0)
        salt_home_salted(helper->node->salt_home, followed->base, followed->sum);
    else
        salt_home_unsalted(helper->node->salt_home, followed->base);
}

static void tell_helper(struct salt_helper *helper, struct followed *followed)
{
    char id[SALT_NODE_ID_BYTES + 1];

    home_of(helper, followed, id);
    if (strcmp(id, followed->home) == 0 && (id[0] == '\0' || followed->told_sum == followed->sum)) return;
    lock_take(&helper->lock);
    if (id[0] == '\0')
        helper_unwant(helper->core, followed->base, clock_now_ms(), &helper->effects);
    else if (!helper_want(helper->core, followed->base, id, followed->sum, clock_now_ms(), &helper->effects))
        id[0] = '\0'; /* no room: it is tried again */
    lock_release(&helper->lock);
    memcpy(followed->home, id, sizeof(id));
    followed->told_sum = followed->sum;
}

static void tell_of_losses(struct salt_helper *helper)
{
    uint64_t lost;

    lock_take(&helper->lock);
    lost = helper_stats(helper->core).lost;
    lock_release(&helper->lock);
    if (lost == helper->lost_told) return;
    log_warning("salted keys: %llu that had been added here to sums of other nodes could not be folded into them, and "
                "is lost",
                (unsigned long long)(lost - helper->lost_told));
    helper->lost_told = lost;
}

static void look(struct salt_helper *helper)
{
    int64_t now_ms = clock_now_ms();
    bool owners_changed = atomic_exchange_explicit(&helper->owners_changed, false, memory_order_relaxed);

    if (!take_news(helper) && !owners_changed && now_ms - helper->looked_ms < LOOK_MS) return;
    helper->looked_ms = now_ms;
    tell_of_losses(helper);
    list_each_safe(at, &helper->followed) {
        struct followed *followed = container_of(at, struct followed, link);

        tell_home(helper, followed);
        tell_helper(helper, followed);
        if (followed->count > 0) continue;
        list_remove(&followed->link);
        alloc_free(followed);
    }
}

/* How often copies were read: where a key's clients are led to its helpers, home sees its writes and hardly a read. */
static void tell_reads(struct salt_helper *helper)
{
    int64_t now_ms = clock_now_ms();

    if (config_int(helper->node->config, salt_spread) == 0 || now_ms - helper->told_reads_ms < TELL_READS_MS) return;
    helper->told_reads_ms = now_ms;
    list_each(at, &helper->followed) {
        struct followed *followed = container_of(at, struct followed, link);
        uint64_t reads;

        if (followed->home[0] == '\0' || followed->sum) continue;
        reads = copies_reads(helper->copies, key_slot(followed->base));
        if (reads == followed->told_reads) continue;
        lock_take(&helper->lock);
        helper_tell_reads(helper->core, followed->base, reads - followed->told_reads, &helper->effects);
        lock_release(&helper->lock);
        followed->told_reads = reads;
    }
}

/* --- Effects --- */

static void carry_out_one(struct salt_helper *helper, const struct salt_effect *effect)
{
    switch (effect->kind) {
    case SALT_SEND:
        salt_links_send(helper->links, effect->link, &effect->message);
        return;
    case SALT_CLOSE:
        salt_links_close(helper->links, effect->link);
        return;
    case SALT_CONNECT:
        salt_links_connect(helper->links, effect->node);
        return;
    case SALT_DISCONNECT:
        salt_links_disconnect(helper->links, effect->node);
        return;
    case SALT_DROP:
        copies_drop(helper->copies, effect->message.base);
        return;
    case SALT_PUSH:
    case SALT_RELEASE:
        return; /* home's */
    }
}

static void carry_out(struct salt_helper *helper)
{
    for (;;) {
        struct salt_effects taken;

        lock_take(&helper->lock);
        taken = helper->effects;
        helper->effects = (struct salt_effects){ 0 };
        lock_release(&helper->lock);
        for (size_t i = 0; i < taken.count; i++) carry_out_one(helper, &taken.items[i]);
        if (taken.count == 0) {
            salt_effects_free(&taken);
            return;
        }
        salt_effects_free(&taken);
    }
}

/* --- What the links tell --- */

static bool address(void *context, const char *node_id, struct salt_address *out)
{
    const struct salt_helper *helper = context;
    struct node *node = helper->node;
    struct cluster_node_info info;
    struct effects *effects;
    bool is_known = cluster_node_by_id(bus_lock(node->bus, &effects), bytes_of(node_id), &info);

    bus_unlock(node->bus);
    if (!is_known || info.ip[0] == '\0' || info.port == 0) return false;
    snprintf(out->host, sizeof(out->host), "%s", info.ip);
    out->port = info.port;
    /* A text that does not fit is no password that anybody would accept. */
    if (!config_text_copy(node->config, CONFIG_MASTERUSER, out->user, sizeof(out->user))) out->user[0] = '\0';
    if (!config_text_copy(node->config, CONFIG_MASTERAUTH, out->password, sizeof(out->password)))
        out->password[0] = '\0';
    if (out->password[0] != '\0') return true;
    out->user[0] = '\0';
    if (!config_text_copy(node->config, CONFIG_REQUIREPASS, out->password, sizeof(out->password)))
        out->password[0] = '\0';
    return true;
}

static void opened(void *context, const char *node_id, salt_link link)
{
    struct salt_helper *helper = context;

    lock_take(&helper->lock);
    helper_link_opened(helper->core, node_id, link, clock_now_ms(), &helper->effects);
    lock_release(&helper->lock);
    carry_out(helper);
}

static void closed(void *context, salt_link link)
{
    struct salt_helper *helper = context;

    lock_take(&helper->lock);
    helper_link_closed(helper->core, link, clock_now_ms(), &helper->effects);
    lock_release(&helper->lock);
    carry_out(helper);
}

/* Births and versions are of no use here: what asks for them goes home. */
static int64_t fresh_until_ms(const struct entry_attributes *attributes)
{
    if (attributes->fresh_ms == 0) return INT64_MAX;
    return (int64_t)attributes->birth_s * 1000 + (int64_t)attributes->fresh_ms;
}

static void keep_value(struct salt_helper *helper, salt_link link, const struct salt_message *message,
                       const struct salt_value *value)
{
    struct helper_copy copy;
    struct entry *entry;
    bool is_taken;

    lock_take(&helper->lock);
    is_taken = helper_value(helper->core, link, message, value->ttl_ms, &copy);
    lock_release(&helper->lock);
    if (!is_taken) return;
    entry = entry_new(message->base, value->value, copy.over_ms == INT64_MAX ? ENTRY_KEEPS_FOREVER : copy.over_ms);
    if (copies_put(helper->copies, &copy, &entry, fresh_until_ms(&value->attributes))) return;
    lock_take(&helper->lock);
    helper_copy_lost(helper->core, message->base, clock_now_ms());
    lock_release(&helper->lock);
}

static void message(void *context, salt_link link, const struct salt_message *said, const struct salt_value *value)
{
    struct salt_helper *helper = context;

    if (said->word == SALT_VALUE) {
        keep_value(helper, link, said, value);
        return;
    }
    lock_take(&helper->lock);
    helper_message(helper->core, link, said, clock_now_ms(), &helper->effects);
    lock_release(&helper->lock);
    carry_out(helper);
}

static void tick(void *context)
{
    struct salt_helper *helper = context;

    salt_home_tick(helper->node->salt_home);
    look(helper);
    tell_reads(helper);
    lock_take(&helper->lock);
    helper_tick(helper->core, clock_now_ms(), &helper->effects);
    lock_release(&helper->lock);
    carry_out(helper);
}

/* --- The whole --- */

struct salt_helper *salt_helper_start(struct node *node, char error[512])
{
    struct salt_helper *helper = alloc_zeroed(sizeof(*helper));
    struct salt_link_events events = {
        .context = helper, .address = address, .opened = opened, .closed = closed, .message = message, .tick = tick
    };
    struct helper_options options = { .first_session = (uint64_t)clock_wall_us(),
                                      .renew_ms = RENEW_MS,
                                      .fold_ms = FOLD_MS,
                                      .fresh_ms = FRESH_MS,
                                      .silent_ms = SILENT_MS };
    struct effects *effects;
    uint64_t seed;

    snprintf(options.id, sizeof(options.id), "%s", cluster_my_id(bus_lock(node->bus, &effects)));
    bus_unlock(node->bus);
    helper->node = node;
    helper->copies = copies_new();
    helper->core = helper_new(&options);
    list_init(&helper->news);
    list_init(&helper->followed);
    salt_helper_configure(helper);
    random_system(&seed, sizeof(seed));
    helper->links = salt_links_new(&events, seed);
    if (helper->links != NULL) return helper;
    snprintf(error, 512, "no thread can be started for the links of salted keys: %s", strerror(errno));
    salt_helper_free(&helper);
    return NULL;
}

/* What has been added here to sums has a moment to get home. */
static void fold_the_rest(struct salt_helper *helper)
{
    int64_t until_ms = clock_now_ms() + LAST_FOLDS_MS;

    atomic_store_explicit(&helper->is_ending, true, memory_order_relaxed);
    for (;;) {
        uint64_t pending;

        lock_take(&helper->lock);
        pending = helper_stats(helper->core).pending;
        lock_release(&helper->lock);
        if (pending == 0 || clock_now_ms() >= until_ms) return;
        usleep(LAST_FOLDS_PAUSE_US);
    }
}

void salt_helper_stop(struct salt_helper *helper)
{
    fold_the_rest(helper);
    salt_links_stop(helper->links);
}

static void free_followed(struct list *all)
{
    list_each_safe(at, all) {
        list_remove(at);
        alloc_free(container_of(at, struct followed, link));
    }
}

void salt_helper_free(struct salt_helper **held)
{
    struct salt_helper *helper = *held;

    if (helper == NULL) return;
    salt_links_free(&helper->links);
    free_followed(&helper->news);
    free_followed(&helper->followed);
    copies_free(&helper->copies);
    helper_free(&helper->core);
    salt_effects_free(&helper->effects);
    alloc_free(helper);
    *held = NULL;
}

/* Copies are no data: they have a sixteenth of maxmemory to themselves. */
void salt_helper_configure(struct salt_helper *helper)
{
    uint64_t limit = (uint64_t)config_int(helper->node->config, maxmemory);

    copies_set_limit(helper->copies, limit == 0 ? COPIES_BYTES_DEFAULT : limit / 16);
}

struct copies *salt_helper_copies(struct salt_helper *helper)
{
    return helper->copies;
}

/* The clock is read under the lock: what was said before is told with an earlier time. */
bool salt_helper_add(struct salt_helper *helper, struct bytes base, int64_t delta, int64_t *value)
{
    bool is_added;

    lock_take(&helper->lock);
    is_added = !atomic_load_explicit(&helper->is_ending, memory_order_relaxed) &&
               helper_add(helper->core, base, delta, clock_now_ms(), value);
    lock_release(&helper->lock);
    return is_added;
}

bool salt_helper_sum(struct salt_helper *helper, struct bytes base, int64_t *value)
{
    bool is_known;

    lock_take(&helper->lock);
    is_known = helper_sum(helper->core, base, clock_now_ms(), value);
    lock_release(&helper->lock);
    return is_known;
}

bool salt_helper_sum_state(struct salt_helper *helper, struct bytes base, struct helper_sum_state *out)
{
    bool is_sum;

    lock_take(&helper->lock);
    is_sum = helper_sum_state(helper->core, base, clock_now_ms(), out);
    lock_release(&helper->lock);
    return is_sum;
}

void salt_helper_info(struct salt_helper *helper, struct salt_helper_info *out)
{
    lock_take(&helper->lock);
    out->core = helper_stats(helper->core);
    lock_release(&helper->lock);
    out->copies = copies_counts(helper->copies);
    out->links_open = helper->links == NULL ? 0 : salt_links_open(helper->links);
}

bool salt_helper_copy(struct salt_helper *helper, struct bytes base, bool *is_good, uint64_t *hits)
{
    struct helper_sum_state sum;
    struct helper_copy copy;

    if (salt_helper_sum_state(helper, base, &sum)) {
        *is_good = sum.is_good;
        *hits = sum.told + sum.added;
        return sum.is_good;
    }
    if (!copies_find(helper->copies, base, &copy, hits)) return false;
    *is_good = helper_copy_is_good(&copy, clock_now_ms());
    return true;
}
