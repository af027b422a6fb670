#include "server/topics.h"

#include "base/alloc.h"
#include "base/glob.h"
#include "base/hash.h"
#include "base/lock.h"

#include <assert.h>
#include <string.h>

#define STRIPES 64u
#define BUCKETS_LEAST 8u

struct topic {
    struct topic *next; /* in its bucket; under the stripe's lock */
    enum topic_kind kind;
    uint64_t hash;
    _Atomic uint32_t holders; /* the registry, parts, lists of patterns */
    struct list parts;        /* under the stripe's lock; empty where the registry has it no more */
    struct bytes name;        /* behind it */
};

struct stripe {
    struct lock lock;
    size_t count, bucket_count; /* under lock; the latter a power of two, or 0 */
    struct topic **buckets;
} __attribute__((aligned(64)));

/* The patterns as they were at some time; never changed. */
struct pattern_list {
    _Atomic uint32_t holders;
    size_t count;
    struct topic *items[]; /* held */
};

struct topics {
    struct stripe stripes[TOPIC_KINDS][STRIPES];
    _Atomic size_t counts[TOPIC_KINDS];
    struct lock patterns_lock;     /* inside a stripe's; guards the next two */
    struct pattern_list *patterns; /* NULL: to be made anew */
    uint64_t pattern_changes;
};

/* --- Topics --- */

static void topic_let_go(struct topic *topic)
{
    if (atomic_fetch_sub_explicit(&topic->holders, 1, memory_order_acq_rel) == 1) alloc_free(topic);
}

static void topic_hold(struct topic *topic)
{
    atomic_fetch_add_explicit(&topic->holders, 1, memory_order_relaxed);
}

static struct topic *topic_new(enum topic_kind kind, struct bytes name, uint64_t hash)
{
    struct topic *topic = alloc(sizeof(*topic) + name.len);

    *topic = (struct topic){
        .kind = kind, .hash = hash, .holders = 1, .name = { (char *)(topic + 1), name.len }, .next = NULL
    };
    if (name.len > 0) memcpy(topic + 1, name.data, name.len);
    list_init(&topic->parts);
    return topic;
}

static struct stripe *stripe_of(struct topics *topics, enum topic_kind kind, uint64_t hash)
{
    return &topics->stripes[kind][hash % STRIPES];
}

static struct topic **bucket_of(const struct stripe *stripe, uint64_t hash)
{
    return &stripe->buckets[hash / STRIPES & (stripe->bucket_count - 1)];
}

/* Where a topic is, or where it would be: the place of its pointer. NULL where nothing ever was. With the stripe locked. */
static struct topic **find(const struct stripe *stripe, struct bytes name, uint64_t hash)
{
    struct topic **at;

    if (stripe->bucket_count == 0) return NULL;
    at = bucket_of(stripe, hash);
    while (*at != NULL && ((*at)->hash != hash || !bytes_equal((*at)->name, name))) at = &(*at)->next;
    return at;
}

static void grow(struct stripe *stripe)
{
    size_t former_count = stripe->bucket_count;
    struct topic **former = stripe->buckets;

    stripe->bucket_count = former_count == 0 ? BUCKETS_LEAST : former_count * 2;
    stripe->buckets = alloc_zeroed(stripe->bucket_count * sizeof(struct topic *));
    for (size_t i = 0; i < former_count; i++)
        for (struct topic *topic = former[i], *next; topic != NULL; topic = next) {
            struct topic **bucket = bucket_of(stripe, topic->hash);

            next = topic->next;
            topic->next = *bucket;
            *bucket = topic;
        }
    alloc_free(former);
}

static void patterns_let_go(struct pattern_list *list)
{
    if (list == NULL || atomic_fetch_sub_explicit(&list->holders, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < list->count; i++) topic_let_go(list->items[i]);
    alloc_free(list);
}

/* With the stripe locked. */
static void forget_patterns(struct topics *topics, enum topic_kind kind)
{
    struct pattern_list *former;

    if (kind != TOPIC_PATTERN) return;
    lock_take(&topics->patterns_lock);
    former = topics->patterns;
    topics->patterns = NULL;
    topics->pattern_changes++;
    lock_release(&topics->patterns_lock);
    patterns_let_go(former);
}

static struct topic *add(struct topics *topics, struct stripe *stripe, enum topic_kind kind, struct bytes name,
                         uint64_t hash)
{
    struct topic *topic = topic_new(kind, name, hash), **bucket;

    if (stripe->count == stripe->bucket_count) grow(stripe);
    bucket = bucket_of(stripe, hash);
    topic->next = *bucket;
    *bucket = topic;
    stripe->count++;
    atomic_fetch_add_explicit(&topics->counts[kind], 1, memory_order_relaxed);
    forget_patterns(topics, kind);
    return topic;
}

static void take_out(struct topics *topics, struct stripe *stripe, struct topic *topic)
{
    struct topic **at = find(stripe, topic->name, topic->hash);

    assert(at != NULL && *at == topic);
    *at = topic->next;
    if (--stripe->count == 0) {
        alloc_free(stripe->buckets);
        stripe->buckets = NULL;
        stripe->bucket_count = 0;
    }
    atomic_fetch_sub_explicit(&topics->counts[topic->kind], 1, memory_order_relaxed);
    forget_patterns(topics, topic->kind);
    topic_let_go(topic);
}

/* --- Parts --- */

struct bytes topic_part_name(const struct topic_part *part)
{
    return part->topic->name;
}

enum topic_kind topic_part_kind(const struct topic_part *part)
{
    return part->topic->kind;
}

void topic_part_hold(struct topic_part *part)
{
    atomic_fetch_add_explicit(&part->holders, 1, memory_order_relaxed);
}

void topic_part_let_go(struct topic_part *part)
{
    if (atomic_fetch_sub_explicit(&part->holders, 1, memory_order_acq_rel) != 1) return;
    topic_let_go(part->topic);
    alloc_free(part);
}

static struct topic_part *part_of(const struct topic *topic, int worker)
{
    list_each(at, &topic->parts) {
        struct topic_part *part = container_of(at, struct topic_part, in_topic);

        if (part->worker == worker) return part;
    }
    return NULL;
}

static struct topic_part *part_new(struct topic *topic, int worker)
{
    struct topic_part *part = alloc_zeroed(sizeof(*part));

    topic_hold(topic);
    part->topic = topic;
    part->worker = worker;
    atomic_init(&part->holders, 1);
    list_init(&part->clients);
    list_init(&part->of_worker);
    list_append(&topic->parts, &part->in_topic);
    return part;
}

struct topic_part *topics_join(struct topics *topics, enum topic_kind kind, struct bytes name, int worker,
                               uint64_t *since, bool *is_new)
{
    uint64_t hash = hash_bytes(name);
    struct stripe *stripe = stripe_of(topics, kind, hash);
    struct topic_part *part;
    struct topic **at, *topic;

    lock_take(&stripe->lock);
    at = find(stripe, name, hash);
    topic = at != NULL && *at != NULL ? *at : add(topics, stripe, kind, name, hash);
    part = part_of(topic, worker);
    *is_new = part == NULL;
    if (part == NULL) part = part_new(topic, worker);
    part->subscribers++;
    *since = part->messages;
    lock_release(&stripe->lock);
    return part;
}

bool topics_leave(struct topics *topics, struct topic_part *part)
{
    struct topic *topic = part->topic;
    struct stripe *stripe = stripe_of(topics, topic->kind, topic->hash);
    bool was_last;

    lock_take(&stripe->lock);
    was_last = --part->subscribers == 0;
    if (was_last) {
        list_remove(&part->in_topic);
        if (list_is_empty(&topic->parts)) take_out(topics, stripe, topic);
    }
    lock_release(&stripe->lock);
    if (was_last) topic_part_let_go(part);
    return was_last;
}

/* --- Collecting --- */

struct collecting {
    void (*visit)(void *context, struct topic_part *part, uint64_t number);
    void *context;
    uint64_t subscribers;
};

/* With the stripe locked. */
static void collect_parts(struct collecting *collecting, const struct topic *topic)
{
    list_each(at, &topic->parts) {
        struct topic_part *part = container_of(at, struct topic_part, in_topic);

        collecting->subscribers += part->subscribers;
        collecting->visit(collecting->context, part, ++part->messages);
    }
}

/* The patterns there are, held; made anew where they have changed. NULL: none. */
static struct pattern_list *patterns_now(struct topics *topics)
{
    struct pattern_list *list = NULL;
    uint64_t changes;
    size_t cap = topics_count(topics, TOPIC_PATTERN), count = 0;

    if (cap == 0) return NULL;
    lock_take(&topics->patterns_lock);
    changes = topics->pattern_changes;
    if (topics->patterns != NULL) {
        list = topics->patterns;
        atomic_fetch_add_explicit(&list->holders, 1, memory_order_relaxed);
    }
    lock_release(&topics->patterns_lock);
    if (list != NULL) return list;

    list = alloc(sizeof(*list) + cap * sizeof(list->items[0]));
    for (size_t i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &topics->stripes[TOPIC_PATTERN][i];

        lock_take(&stripe->lock);
        if (count + stripe->count > cap) {
            cap = (count + stripe->count) * 2;
            list = alloc_resize(list, sizeof(*list) + cap * sizeof(list->items[0]));
        }
        for (size_t bucket = 0; bucket < stripe->bucket_count; bucket++)
            for (struct topic *topic = stripe->buckets[bucket]; topic != NULL; topic = topic->next) {
                topic_hold(topic);
                list->items[count++] = topic;
            }
        lock_release(&stripe->lock);
    }
    atomic_init(&list->holders, 1);
    list->count = count;
    lock_take(&topics->patterns_lock);
    if (topics->patterns == NULL && topics->pattern_changes == changes) {
        topics->patterns = list;
        atomic_fetch_add_explicit(&list->holders, 1, memory_order_relaxed);
    }
    lock_release(&topics->patterns_lock);
    return list;
}

static void collect_patterns(struct topics *topics, struct bytes channel, struct collecting *collecting)
{
    struct pattern_list *list = patterns_now(topics);

    for (size_t i = 0; list != NULL && i < list->count; i++) {
        struct topic *pattern = list->items[i];
        struct stripe *stripe = stripe_of(topics, TOPIC_PATTERN, pattern->hash);

        if (!glob_match(pattern->name, channel)) continue;
        lock_take(&stripe->lock);
        collect_parts(collecting, pattern); /* it may have none any more */
        lock_release(&stripe->lock);
    }
    patterns_let_go(list);
}

uint64_t topics_collect(struct topics *topics, enum topic_kind kind, struct bytes channel,
                        void (*visit)(void *context, struct topic_part *part, uint64_t number), void *context)
{
    struct collecting collecting = { .visit = visit, .context = context };

    assert(kind != TOPIC_PATTERN);
    if (topics_count(topics, kind) > 0) {
        uint64_t hash = hash_bytes(channel);
        struct stripe *stripe = stripe_of(topics, kind, hash);
        struct topic **at;

        lock_take(&stripe->lock);
        at = find(stripe, channel, hash);
        if (at != NULL && *at != NULL) collect_parts(&collecting, *at);
        lock_release(&stripe->lock);
    }
    if (kind == TOPIC_CHANNEL) collect_patterns(topics, channel, &collecting);
    return collecting.subscribers;
}

/* --- Questions --- */

size_t topics_count(const struct topics *topics, enum topic_kind kind)
{
    return atomic_load_explicit(&topics->counts[kind], memory_order_relaxed);
}

uint64_t topics_subscribers(struct topics *topics, enum topic_kind kind, struct bytes name)
{
    uint64_t hash = hash_bytes(name), count = 0;
    struct stripe *stripe = stripe_of(topics, kind, hash);
    struct topic **at;

    lock_take(&stripe->lock);
    at = find(stripe, name, hash);
    if (at != NULL && *at != NULL)
        list_each(part, &(*at)->parts) count += container_of(part, struct topic_part, in_topic)->subscribers;
    lock_release(&stripe->lock);
    return count;
}

void topics_each(struct topics *topics, enum topic_kind kind, struct bytes pattern,
                 void (*visit)(void *context, struct bytes name), void *context)
{
    for (size_t i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &topics->stripes[kind][i];
        struct topic **held;
        size_t count = 0;

        lock_take(&stripe->lock);
        held = alloc((stripe->count + 1) * sizeof(struct topic *));
        for (size_t bucket = 0; bucket < stripe->bucket_count; bucket++)
            for (struct topic *topic = stripe->buckets[bucket]; topic != NULL; topic = topic->next) {
                topic_hold(topic);
                held[count++] = topic;
            }
        lock_release(&stripe->lock);
        for (size_t n = 0; n < count; n++) {
            if (glob_match(pattern, held[n]->name)) visit(context, held[n]->name);
            topic_let_go(held[n]);
        }
        alloc_free(held);
    }
}

size_t topics_bytes(struct bytes name)
{
    return sizeof(struct topic) + sizeof(struct topic_part) + name.len;
}

struct topics *topics_new(void)
{
    struct topics *topics = alloc_aligned(sizeof(*topics), _Alignof(struct topics));

    memset((void *)topics, 0, sizeof(*topics));
    return topics;
}

void topics_free(struct topics **topics)
{
    patterns_let_go((*topics)->patterns);
    for (int kind = 0; kind < TOPIC_KINDS; kind++) assert(topics_count(*topics, (enum topic_kind)kind) == 0);
    alloc_free(*topics);
    *topics = NULL;
}
