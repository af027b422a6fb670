/* A slot that goes back and forth between us and a Redis node while a second Redis node looks on, all of them take epochs for other reasons, and
 * heartbeats come late: what was moved is never dropped by whoever has it. The two Redis nodes are models of what such a node does with one slot, by the wire's
 * rules; ours is the core that ships. Each of the three is linked to the others by two connections, which keep their order and overtake each other. */
#include "unit/cluster/neighbours.h"

#include "base/random.h"

#define US 0
#define THEM 1
#define THIRD 2
#define NODES 3
#define NOBODY NODES
#define C_OUT 20 /* our link to the third; 21 is its to us */
#define SLOT 0u  /* the one that moves; slot n + 1 is node n's for ever */
#define QUEUED_MAX 64
#define SEEDS 800
#define STEPS 400

static const char *const ids[NODES] = { "", ID_B, ID_C };

/* What a message says of the slot, whoever sends it. */
struct said {
    uint16_t type;
    uint64_t current, config;
    bool claims;
    int subject; /* of an UPDATE */
    uint64_t subject_config;
    bool subject_claims;
};

struct queue {
    struct said words[QUEUED_MAX];
    size_t count;
};

struct redis {
    uint64_t current, config[NODES]; /* as it knows them; its own among them */
    int owner;
    bool not_claiming, importing;
};

struct world {
    struct fixture f;
    struct random random;
    struct redis redis[NODES];         /* [US] is not used */
    struct queue way[NODES][NODES][2]; /* from, to, over which connection: 0 the sender's, 1 the receiver's */
    uint64_t saving;                   /* of ours; 0: none */
    int key_at;                        /* who has the slot's key */
    int step, from;                    /* of the move that is under way */
    unsigned moves;
    const char *lost;
};

/* --- On the way --- */

static void send_word(struct world *w, int from, int to, int over, struct said word)
{
    struct queue *queue = &w->way[from][to][over];

    /* What would make it longer is not said: a heartbeat more or less. */
    if (queue->count < QUEUED_MAX) queue->words[queue->count++] = word;
}

static struct said take_word(struct queue *queue)
{
    struct said first = queue->words[0];

    memmove(queue->words, queue->words + 1, --queue->count * sizeof(first));
    return first;
}

/* --- A Redis node --- */

static struct said heartbeat_of(const struct world *w, int n, uint16_t type)
{
    const struct redis *it = &w->redis[n];

    return (struct said){ .type = type, .current = it->current, .config = it->config[n], .claims = it->owner == n };
}

static void redis_claim(struct world *w, int n, int claimer, uint64_t epoch, bool claims)
{
    struct redis *it = &w->redis[n];

    if (claimer == n) return;
    if (!claims) {
        if (it->owner == claimer) it->not_claiming = true;
        return;
    }
    if (it->owner == claimer) it->not_claiming = false;
    if (it->owner == claimer || it->importing) return;
    if (it->owner != NOBODY && !it->not_claiming && it->config[it->owner] >= epoch) return;
    if (it->owner == n && w->key_at == n) w->lost = "a Redis node gives back what was moved to it";
    it->owner = claimer;
    it->not_claiming = false;
}

static void redis_take_epoch(struct redis *it, int n)
{
    it->config[n] = ++it->current;
}

static void redis_bump(struct redis *it, int n)
{
    uint64_t highest = it->current;

    for (int i = 0; i < NODES; i++)
        if (it->config[i] > highest) highest = it->config[i];
    if (it->config[n] != 0 && it->config[n] == highest) return;
    redis_take_epoch(it, n);
}

static bool has_smaller_id(const struct world *w, int n, int other)
{
    const char *us = cluster_my_id(w->f.c);

    return memcmp(n == US ? us : ids[n], other == US ? us : ids[other], NODE_ID_BYTES) < 0;
}

static void redis_hears(struct world *w, int n, int from, int over, const struct said *word)
{
    struct redis *it = &w->redis[n];

    if (word->current > it->current) it->current = word->current;
    if (word->config > it->config[from]) it->config[from] = word->config;
    if (word->type == MESSAGE_UPDATE) {
        if (it->config[word->subject] >= word->subject_config) return;
        it->config[word->subject] = word->subject_config;
        redis_claim(w, n, word->subject, word->subject_config, word->subject_claims);
        return;
    }
    if (word->type == MESSAGE_PING) send_word(w, n, from, 1 - over, heartbeat_of(w, n, MESSAGE_PONG));
    if ((it->owner == from) != word->claims) {
        redis_claim(w, n, from, word->config, word->claims);
        if (word->claims && it->owner != from && it->owner != NOBODY && !it->not_claiming &&
            it->config[it->owner] > word->config) {
            struct said update = heartbeat_of(w, n, MESSAGE_UPDATE);

            update.subject = it->owner;
            update.subject_config = it->config[it->owner];
            update.subject_claims = true;
            send_word(w, n, from, 0, update);
        }
    }
    if (word->config == it->config[n] && has_smaller_id(w, n, from)) redis_take_epoch(it, n);
}

/* --- Ours --- */

static int link_end(cluster_link link, int *over)
{
    *over = link == OUT || link == C_OUT ? 0 : 1;
    return link == OUT || link == IN ? THEM : THIRD;
}

static void carry_out(struct world *w)
{
    struct effects e = w->f.e;

    w->f.e = (struct effects){ 0 };
    for (size_t i = 0; i < e.count; i++) {
        const struct effect *effect = &e.items[i];
        struct message message;
        struct said word;
        int to, over;

        if (effect->kind == EFFECT_PERSIST) w->saving = effect->sequence;
        if (effect->kind == EFFECT_DROP_KEYS && effect_next_slot(effect, SLOT) == SLOT && w->key_at == US)
            w->lost = "we drop what was moved to us";
        if (effect->kind != EFFECT_SEND) continue;
        CHECK(message_decode(effect->data, &message) == MESSAGE_OK);
        word = (struct said){ .type = message.type,
                              .current = message.current_epoch,
                              .config = message.config_epoch,
                              .claims = bitmap_has(message.slots, SLOT) };
        if (message.type == MESSAGE_UPDATE) {
            word.subject = strcmp(message.subject, ID_B) == 0 ? THEM : strcmp(message.subject, ID_C) == 0 ? THIRD : US;
            word.subject_config = message.subject_epoch;
            word.subject_claims = bitmap_has(message.subject_slots, SLOT);
        } else if (message.type != MESSAGE_PING && message.type != MESSAGE_PONG) {
            continue;
        }
        to = link_end(effect->link, &over);
        send_word(w, US, to, over, word);
    }
    effects_free(&e);
}

static void we_hear(struct world *w, int from, int over, const struct said *word)
{
    uint8_t slots[SLOT_BITMAP_BYTES] = { 0 }, subject_slots[SLOT_BITMAP_BYTES] = { 0 };
    struct message_header head = header(word->type, ids[from]);
    struct buf data = { 0 };

    bitmap_set(slots, (unsigned)from + 1);
    if (word->claims) bitmap_set(slots, SLOT);
    head.port = from == THEM ? 8000 : 9000;
    head.cport = (uint16_t)(head.port + 10000);
    head.ip = "127.0.0.2";
    head.current_epoch = word->current;
    head.config_epoch = word->config;
    head.slots = slots;
    if (word->type == MESSAGE_UPDATE) {
        bitmap_set(subject_slots, (unsigned)word->subject + 1);
        if (word->subject_claims) bitmap_set(subject_slots, SLOT);
        message_update_write(&data, word->subject_config,
                             word->subject == US ? cluster_my_id(w->f.c) : ids[word->subject], subject_slots);
    }
    /* What comes over the sender's own connection comes over one that it opened to us. */
    receive(&w->f, (cluster_link)(from == THEM ? OUT : C_OUT) + (over == 0), &head, buf_bytes(&data), 0, NOW);
    buf_free(&data);
    carry_out(w);
}

static void save_ends(struct world *w)
{
    uint64_t sequence = w->saving;

    if (sequence == 0) return;
    w->saving = 0;
    cluster_persisted(w->f.c, sequence, true, NOW, &w->f.e);
    carry_out(w);
}

/* --- The operator --- */

static bool is_ours(const struct world *w)
{
    return cluster_slot_owner(w->f.c, SLOT) == w->f.c->myself->index;
}

static bool all_see(const struct world *w, int owner)
{
    return is_ours(w) == (owner == US) && w->redis[THEM].owner == owner && w->redis[THIRD].owner == owner;
}

static void redis_tells(struct world *w, int n)
{
    for (int to = 0; to < NODES; to++)
        if (to != n) send_word(w, n, to, 0, heartbeat_of(w, n, MESSAGE_PONG));
}

static void take_step_from_us(struct world *w)
{
    struct redis *them = &w->redis[THEM];
    cluster_error error = "";

    switch (w->step) {
    case 0:
        them->importing = true;
        break;
    case 1:
        cluster_setslot_migrating(w->f.c, SLOT, BYTES(ID_B), NOW, &w->f.e, error);
        break;
    case 2: /* our answer */
        if (!cluster_may_move(w->f.c, SLOT, NOW)) return;
        w->key_at = THEM;
        break;
    case 3:
        redis_bump(them, THEM);
        them->owner = THEM;
        them->importing = them->not_claiming = false;
        redis_tells(w, THEM);
        break;
    default:
        cluster_setslot_node(w->f.c, SLOT, BYTES(ID_B), 0, NOW, &w->f.e, error);
        break;
    }
    CHECK(error[0] == '\0');
    carry_out(w);
    w->step++;
}

static void take_step_from_them(struct world *w)
{
    struct redis *them = &w->redis[THEM];
    cluster_error error = "";

    switch (w->step) {
    case 0:
        cluster_setslot_importing(w->f.c, SLOT, BYTES(ID_B), NOW, &w->f.e, error);
        break;
    case 1: /* our answer; MIGRATING at them changes nothing of this */
        if (!cluster_may_move(w->f.c, SLOT, NOW)) return;
        break;
    case 2:
        w->key_at = US;
        break;
    case 3:
        cluster_setslot_node(w->f.c, SLOT, bytes_of(cluster_my_id(w->f.c)), 0, NOW, &w->f.e, error);
        break;
    default: /* after our answer */
        if (!cluster_is_announced(w->f.c, SLOT)) return;
        them->owner = US;
        them->not_claiming = false;
        break;
    }
    CHECK(error[0] == '\0');
    carry_out(w);
    w->step++;
}
#define LAST_STEP 4

static void operate(struct world *w)
{
    /* No slot is moved of which the cluster does not agree whose it is. */
    if (w->step == 0 && !all_see(w, w->from)) return;
    if (w->from == US)
        take_step_from_us(w);
    else
        take_step_from_them(w);
    if (w->step <= LAST_STEP) return;
    w->step = 0;
    w->from = w->from == US ? THEM : US;
    w->moves++;
}

/* --- The world --- */

static struct world begin(uint64_t seed)
{
    /* Nobody is suspected, and nothing is over, however late all is. */
    struct cluster_options patient = options;
    struct world w = { .from = US, .key_at = US };
    struct fixture *f = &w.f;

    random_seed(&w.random, seed);
    patient.node_timeout_ms = INT64_MAX / 8;
    f->c = cluster_new(&patient, seed, NOW);
    f->c->solo = false;
    f->b = known(f, ID_B, 8000);
    f->other = known(f, ID_C, 9000);
    link_both_ways(f, f->b, OUT);
    link_both_ways(f, f->other, C_OUT);
    slot_bind(f->c, SLOT, f->c->myself, &f->e);
    slot_bind(f->c, US + 1, f->c->myself, &f->e);
    slot_bind(f->c, THEM + 1, f->b, &f->e);
    slot_bind(f->c, THIRD + 1, f->other, &f->e);
    f->c->myself->config_epoch = 1;
    f->b->config_epoch = 2;
    f->other->config_epoch = f->c->current_epoch = 3;
    cluster_persist_now(f->c, true, &f->e);
    effects_clear(&f->e);
    w.saving = f->c->save_sequence;
    save_ends(&w);
    for (int n = THEM; n < NODES; n++) w.redis[n] = (struct redis){ .current = 3, .config = { 1, 2, 3 }, .owner = US };
    return w;
}

static void deliver(struct world *w, int from, int to, int over)
{
    struct queue *queue = &w->way[from][to][over];
    struct said word;

    if (queue->count == 0) return;
    word = take_word(queue);
    if (to == US)
        we_hear(w, from, over, &word);
    else
        redis_hears(w, to, from, over, &word);
}

static void ping_from(struct world *w, int n)
{
    int to = (int)random_below(&w->random, NODES);

    if (to == n) return;
    if (n == US)
        gossip_send(w->f.c, MESSAGE_PING, to == THEM ? OUT : C_OUT, to == THEM ? w->f.b : w->f.other, NOW, &w->f.e);
    else
        send_word(w, n, to, 0, heartbeat_of(w, n, MESSAGE_PING));
    carry_out(w);
}

/* For another slot than this, say. */
static void take_epoch(struct world *w, int n)
{
    if (n == US) {
        epoch_bump(w->f.c, NO_SLOTS, &w->f.e);
        cluster_settle(w->f.c, true, NOW, &w->f.e);
        carry_out(w);
    } else {
        redis_bump(&w->redis[n], n);
    }
}

static void something_happens(struct world *w)
{
    int n = (int)random_below(&w->random, NODES);

    switch (random_below(&w->random, 16)) {
    case 0:
        take_epoch(w, n);
        break;
    case 1:
    case 2:
        ping_from(w, n);
        break;
    case 3:
        save_ends(w);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        operate(w);
        break;
    default:
        deliver(w, n, (int)random_below(&w->random, NODES), (int)random_below(&w->random, 2));
        break;
    }
}

/* All that is on its way arrives, and each is heard by each once more. */
static void calm_down(struct world *w)
{
    for (int round = 0; round < 12; round++) {
        for (int n = 0; n < NODES; n++)
            for (int to = 0; to < NODES; to++)
                if (n == US && to != US)
                    gossip_send(w->f.c, MESSAGE_PING, to == THEM ? OUT : C_OUT, to == THEM ? w->f.b : w->f.other, NOW,
                                &w->f.e);
                else if (to != n)
                    send_word(w, n, to, 0, heartbeat_of(w, n, MESSAGE_PING));
        carry_out(w);
        for (int at = 0; at < NODES * NODES * 2; at++)
            while (w->way[at / 2 / NODES][at / 2 % NODES][at % 2].count > 0)
                deliver(w, at / 2 / NODES, at / 2 % NODES, at % 2);
        save_ends(w);
    }
}

static void world_ends(struct world *w)
{
    effects_free(&w->f.e);
    cluster_free(&w->f.c);
}

TEST(what_moves_between_us_and_a_redis_node_is_never_dropped_however_late_heartbeats_come)
{
    unsigned moves = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = begin(seed);

        for (int step = 0; step < STEPS && w.lost == NULL; step++) something_happens(&w);
        /* And nobody waits for ever. */
        for (int step = 0; step < 20 && w.lost == NULL; step++) {
            calm_down(&w);
            if (w.step != 0) operate(&w);
        }
        if (w.lost == NULL && (w.step != 0 || !all_see(&w, w.key_at))) w.lost = "they do not come to agree";
        if (w.lost != NULL) print_error("seed %llu: %s\n", (unsigned long long)seed, w.lost);
        CHECK(w.lost == NULL);
        moves += w.moves;
        world_ends(&w);
    }
    CHECK(moves > SEEDS);
}

TEST(an_older_claim_of_a_redis_node_that_comes_late_takes_nothing_back)
{
    struct world w = begin(1);
    struct cluster *c = w.f.c;

    /* What we took from it with epoch 4 it had with 7. */
    slot_bind(c, SLOT, w.f.b, &w.f.e);
    cluster_setslot_importing(c, SLOT, BYTES(ID_B), NOW, &w.f.e, (cluster_error){ 0 });
    cluster_setslot_node(c, SLOT, bytes_of(cluster_my_id(c)), 0, NOW, &w.f.e, (cluster_error){ 0 });
    CHECK(is_ours(&w) && c->myself->config_epoch == 4);
    we_hear(&w, THEM, 0, &(struct said){ .type = MESSAGE_PONG, .current = 7, .config = 7 });
    CHECK(c->myself->config_epoch == 8 && c->since_epoch[SLOT] == 8);
    we_hear(&w, THEM, 1, &(struct said){ .type = MESSAGE_PONG, .current = 7, .config = 7, .claims = true });
    CHECK(is_ours(&w) && c->myself->config_epoch == 8);
    world_ends(&w);
}

TEST(what_a_redis_node_was_given_is_imported_again_when_it_has_been_heard_with_it)
{
    struct world w = begin(1);
    struct cluster *c = w.f.c;
    struct said with = { .type = MESSAGE_PONG, .current = 3, .config = 3, .claims = true };

    c->told.config_epoch = 3;
    cluster_setslot_node(c, SLOT, BYTES(ID_B), 0, NOW, &w.f.e, (cluster_error){ 0 });
    cluster_setslot_importing(c, SLOT, BYTES(ID_B), NOW, &w.f.e, (cluster_error){ 0 });
    CHECK(!cluster_may_move(c, SLOT, NOW) && sends(&w.f, MESSAGE_PING) == 1);
    we_hear(&w, THEM, 0, &(struct said){ .type = MESSAGE_PONG, .current = 3, .config = 3 });
    we_hear(&w, THEM, 1, &with); /* of when it had the slot before us */
    CHECK(!cluster_may_move(c, SLOT, NOW));
    with.config = with.current = 4;
    we_hear(&w, THEM, 0, &with);
    CHECK(cluster_may_move(c, SLOT, NOW));
    world_ends(&w);
}

TESTS(an_older_claim_of_a_redis_node_that_comes_late_takes_nothing_back,
      what_a_redis_node_was_given_is_imported_again_when_it_has_been_heard_with_it,
      what_moves_between_us_and_a_redis_node_is_never_dropped_however_late_heartbeats_come)
