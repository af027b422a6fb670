/* The core's commands and their refusals, the solo node, and single packets: what each changes, and what it must not. */
#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "unit/unit.h"

#include <stdio.h>

#define ID_B "7686f8bbc0c3a60dee7d8a44874b824d39339700"
#define ID_Z "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
#define NOW 1700000000000

static const struct cluster_options options = { .node_timeout_ms = 1000,
                                                .require_full_coverage = true,
                                                .allow_replica_migration = true,
                                                .port = 7000,
                                                .cport = 17000 };
static cluster_error error;

struct fixture {
    struct cluster *c;
    struct effects e;
};

static struct fixture fresh(void)
{
    return (struct fixture){ .c = cluster_new(&options, 42, NOW) };
}

static void done(struct fixture *f)
{
    effects_free(&f->e);
    cluster_free(&f->c);
}

static size_t count_of(const struct fixture *f, enum effect_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == kind) count++;
    return count;
}

/* How many slots the effects of a kind name. */
static size_t slots_of(const struct fixture *f, enum effect_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++) {
        const struct effect *effect = &f->e.items[i];

        if (effect->kind != kind) continue;
        for (unsigned slot = effect_next_slot(effect, 0); slot < SLOT_COUNT; slot = effect_next_slot(effect, slot + 1))
            count++;
    }
    return count;
}

/* The n-th message sent, decoded. */
static bool sent(const struct fixture *f, size_t n, struct message *out)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_SEND && n-- == 0) return message_decode(f->e.items[i].data, out) == MESSAGE_OK;
    return false;
}

/* What was asked to be saved is on disk. */
static void on_disk(struct fixture *f)
{
    for (size_t i = 0, count = f->e.count; i < count; i++)
        if (f->e.items[i].kind == EFFECT_PERSIST) cluster_persisted(f->c, f->e.items[i].sequence, true, NOW, &f->e);
}

static void add_range(struct fixture *f, unsigned first, unsigned last)
{
    uint16_t slots[SLOT_COUNT];

    for (unsigned slot = first; slot <= last; slot++) slots[slot - first] = (uint16_t)slot;
    cluster_add_slots(f->c, slots, last - first + 1, NOW, &f->e, error);
}

/* A node that is known and connected both ways: links 10 and 11 for the first, and so on. */
static struct node *acquaintance(struct fixture *f, const char *id, uint64_t epoch)
{
    struct node *node = node_add(f->c, id, FLAG_PRIMARY, NOW);
    cluster_link link = (cluster_link)(10 * node->index);

    f->c->solo = false;
    node_set_address(f->c, node, "127.0.0.2", (uint16_t)(8000 + node->index), (uint16_t)(18000 + node->index), 0,
                     &f->e);
    node->config_epoch = epoch;
    node->connecting = true;
    cluster_link_opened(f->c, node->index, link, NOW, &f->e);
    cluster_link_accepted(f->c, link + 1, "127.0.0.1", "127.0.0.2", NOW);
    effects_clear(&f->e);
    return node;
}

static struct message_header header_from(const struct node *node, uint16_t type, const uint8_t *slots)
{
    return (struct message_header){ .type = type,
                                    .port = node->port,
                                    .cport = node->cport,
                                    .flags = 0x11,
                                    .current_epoch = node->config_epoch,
                                    .config_epoch = node->config_epoch,
                                    .sender = node->id,
                                    .primary = "",
                                    .ip = "",
                                    .slots = slots };
}

static void receive(struct fixture *f, cluster_link link, struct buf *packet, uint16_t count)
{
    message_finish(packet, count, 0);
    cluster_packet(f->c, link, buf_bytes(packet), NOW, &f->e);
    buf_free(packet);
}

static void receive_header(struct fixture *f, cluster_link link, const struct message_header *header)
{
    struct buf packet = { 0 };

    message_header_write(&packet, header);
    receive(f, link, &packet, 0);
}

static bool text_has(const struct fixture *f, void (*write)(const struct cluster *, struct buf *), const char *what)
{
    struct buf text = { 0 };
    bool has;

    write(f->c, &text);
    buf_append_byte(&text, '\0');
    has = strstr(text.data, what) != NULL;
    buf_free(&text);
    return has;
}

/* --- Solo --- */

TEST(a_fresh_node_serves_every_slot_at_once)
{
    struct fixture f = fresh();

    CHECK(cluster_is_solo(f.c) && cluster_state_ok(f.c));
    cluster_announce_all(f.c, &f.e);
    CHECK(slots_of(&f, EFFECT_OWNERS) == SLOT_COUNT);
    for (size_t i = 0; i < SLOT_COUNT; i++)
        CHECK(owner_unpack(cluster_owner_word(f.c, (uint16_t)i)).state == OWNER_HERE);
    CHECK(text_has(&f, cluster_info_text,
                   "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"));
    CHECK(text_has(&f, cluster_info_text, "cluster_known_nodes:1\r\n"));
    CHECK(text_has(&f, cluster_nodes_text, " :7000@17000 myself,master - 0 0 0 connected 0-16383\n"));
    CHECK(text_has(&f, cluster_nodes_text_given, " :7000@17000 myself,master - 0 0 0 connected\n"));
    done(&f);
}

/* An empty node was twice as large for half a minute after it had been given its slots when each was an effect of its own. */
TEST(an_event_about_every_slot_asks_for_no_more_than_one_about_some)
{
    struct fixture f = fresh();
    struct node *b;

    add_range(&f, 0, 16383);
    CHECK(slots_of(&f, EFFECT_OWNERS) == SLOT_COUNT && count_of(&f, EFFECT_OWNERS) == 1 && f.e.count < 8);
    effects_clear(&f.e);
    b = acquaintance(&f, ID_B, 4);
    for (unsigned slot = 0; slot < SLOT_COUNT; slot += 2) {
        slot_bind(f.c, (uint16_t)slot, b, &f.e);
        emit_drop_keys(&f.e, (uint16_t)slot);
    }
    CHECK(slots_of(&f, EFFECT_OWNERS) == SLOT_COUNT / 2 && slots_of(&f, EFFECT_DROP_KEYS) == SLOT_COUNT / 2);
    CHECK(f.e.count == 2);
    /* What the next event asks for is its own. */
    effects_clear(&f.e);
    slot_bind(f.c, 16383, b, &f.e);
    CHECK(f.e.count == 1 && slots_of(&f, EFFECT_OWNERS) == 1 && effect_next_slot(f.e.items, 0) == 16383);
    done(&f);
}

TEST(slots_given_to_a_solo_node_are_not_busy_and_end_solo)
{
    struct fixture f = fresh();

    add_range(&f, 0, 5460);
    assert_string_equal(error, "");
    CHECK(!cluster_is_solo(f.c) && !cluster_state_ok(f.c));
    CHECK(cluster_slot_owner(f.c, 5460) == 0 && cluster_slot_owner(f.c, 5461) == -1);
    CHECK(text_has(&f, cluster_nodes_text, " connected 0-5460\n"));
    CHECK(slots_of(&f, EFFECT_OWNERS) == SLOT_COUNT && count_of(&f, EFFECT_PERSIST) == 1);
    add_range(&f, 5461, 16383);
    CHECK(cluster_state_ok(f.c)); /* and at once: it never had anything to lose */
    done(&f);
}

TEST(a_solo_node_keeps_the_slots_of_its_keys)
{
    struct fixture f = fresh();
    uint8_t keys[SLOT_BITMAP_BYTES] = { 0 };

    bitmap_set(keys, 7);
    cluster_note_keys(f.c, keys, NOW, &f.e);
    CHECK(cluster_is_solo(f.c));
    cluster_meet(f.c, BYTES("127.0.0.1"), 7001, 17001, NOW, &f.e, error);
    assert_string_equal(error, "");
    CHECK(!cluster_is_solo(f.c) && cluster_slot_owner(f.c, 7) == 0 && cluster_slot_owner(f.c, 8) == -1);
    /* Noted only afterwards, they are taken where nobody has them. */
    bitmap_set(keys, 9);
    cluster_note_keys(f.c, keys, NOW, &f.e);
    CHECK(cluster_slot_owner(f.c, 9) == 0);
    done(&f);
}

TEST(a_first_meet_from_a_peer_ends_solo_and_a_ping_does_not)
{
    struct fixture f = fresh();
    struct node stranger = { .id = ID_B, .port = 7001, .cport = 17001 };
    struct message_header header = header_from(&stranger, MESSAGE_PING, NULL);
    struct message answer;

    cluster_link_accepted(f.c, 5, "10.0.0.1", "10.0.0.2", NOW);
    receive_header(&f, 5, &header);
    CHECK(cluster_is_solo(f.c) && cluster_node_count(f.c) == 1);
    CHECK(sent(&f, 0, &answer) && answer.type == MESSAGE_PONG);
    for (unsigned i = 0; i < SLOT_BITMAP_BYTES; i++)
        CHECK(answer.slots[i] == 0); /* no claim to what it serves for want of others */

    header.type = MESSAGE_MEET;
    receive_header(&f, 5, &header);
    CHECK(!cluster_is_solo(f.c) && cluster_node_count(f.c) == 2);
    CHECK(text_has(&f, cluster_nodes_text, " 10.0.0.2:7001@17001 handshake - "));
    CHECK(text_has(&f, cluster_nodes_text, " 10.0.0.1:7000@17000 myself,master "));
    done(&f);
}

TEST(slots_taken_from_a_solo_node_leave_it_the_others)
{
    struct fixture f = fresh();
    uint16_t slot = 5;

    cluster_del_slots(f.c, &slot, 1, NOW, &f.e, error);
    assert_string_equal(error, "");
    CHECK(!cluster_is_solo(f.c) && cluster_slot_owner(f.c, 5) == -1 && cluster_slot_owner(f.c, 6) == 0);
    done(&f);
}

/* --- Commands --- */

TEST(slots_are_given_and_taken_all_or_none)
{
    struct fixture f = fresh();
    uint16_t twice[] = { 20, 21, 20 }, busy[] = { 30, 3 }, beyond[] = { 40, SLOT_COUNT };

    add_range(&f, 0, 10);
    cluster_add_slots(f.c, twice, 3, NOW, &f.e, error);
    assert_string_equal(error, "ERR Slot 20 specified multiple times");
    cluster_add_slots(f.c, busy, 2, NOW, &f.e, error);
    assert_string_equal(error, "ERR Slot 3 is already busy");
    cluster_add_slots(f.c, beyond, 2, NOW, &f.e, error);
    assert_string_equal(error, "ERR Invalid or out of range slot");
    cluster_del_slots(f.c, busy, 2, NOW, &f.e, error);
    assert_string_equal(error, "ERR Slot 30 is already unassigned");
    CHECK(text_has(&f, cluster_nodes_text, " connected 0-10\n"));
    cluster_del_slots(f.c, busy + 1, 1, NOW, &f.e, error);
    assert_string_equal(error, "");
    CHECK(text_has(&f, cluster_nodes_text, " connected 0-2 4-10\n"));
    cluster_flush_slots(f.c, true, NOW, &f.e, error);
    assert_string_equal(error, "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.");
    cluster_flush_slots(f.c, false, NOW, &f.e, error);
    CHECK(text_has(&f, cluster_nodes_text, " connected\n"));
    done(&f);
}

TEST(epochs_are_set_once_and_bumped_above_all)
{
    struct fixture f = fresh();
    uint64_t epoch;

    cluster_set_config_epoch(f.c, -1, NOW, &f.e, error);
    assert_string_equal(error, "ERR Invalid config epoch specified: -1");
    CHECK(cluster_is_solo(f.c));
    cluster_set_config_epoch(f.c, 5, NOW, &f.e, error);
    assert_string_equal(error, "");
    CHECK(!cluster_is_solo(f.c) && f.c->current_epoch == 5);
    cluster_set_config_epoch(f.c, 6, NOW, &f.e, error);
    assert_string_equal(error, "ERR Node config epoch is already non-zero");
    CHECK(!cluster_bump_epoch(f.c, &epoch, NOW, &f.e) && epoch == 5);
    acquaintance(&f, ID_B, 9);
    cluster_set_config_epoch(f.c, 6, NOW, &f.e, error);
    assert_string_equal(error,
                        "ERR The user can assign a config epoch only when the node does not know any other node.");
    CHECK(cluster_bump_epoch(f.c, &epoch, NOW, &f.e) && epoch == 10);
    CHECK(!cluster_bump_epoch(f.c, &epoch, NOW, &f.e) && epoch == 10);
    done(&f);
}

TEST(a_meet_takes_addresses_only)
{
    struct fixture f = fresh();
    static const struct {
        struct bytes ip;
        int64_t port, cport;
        const char *error;
    } refused[] = {
        { BYTES("localhost"), 7001, 17001, "ERR Invalid node address specified: localhost:7001" },
        { BYTES("127.0.0.1"), 0, 10000, "ERR Invalid node address specified: 127.0.0.1:0" },
        { BYTES("127.0.0.1"), 60000, 70000, "ERR Invalid node address specified: 127.0.0.1:60000" },
        { BYTES("127.0.0.1\r\nx"), 1, 2, "ERR Invalid node address specified: 127.0.0.1  x:1" },
        { BYTES("1.1.1.1\0"), 1, 2, NULL },
        { BYTES(""), 1, INT64_MAX, NULL },
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cluster_meet(f.c, refused[i].ip, refused[i].port, refused[i].cport, NOW, &f.e, error);
        if (refused[i].error != NULL) assert_string_equal(error, refused[i].error);
        CHECK(error[0] != '\0' && cluster_node_count(f.c) == 1 && cluster_is_solo(f.c));
    }
    cluster_meet(f.c, BYTES("127.0.0.1"), 7001, 17001, NOW, &f.e, error);
    cluster_meet(f.c, BYTES("127.0.0.1"), 7001, 17001, NOW, &f.e, error);
    assert_string_equal(error, "");
    cluster_meet(f.c, BYTES("::1"), 7001, 17001, NOW, &f.e, error);
    CHECK(cluster_node_count(f.c) == 3);
    effects_clear(&f.e);
    cluster_tick(f.c, NOW + 100, &f.e);
    CHECK(count_of(&f, EFFECT_CONNECT) == 2);
    /* A handshake that leads nowhere ends. */
    cluster_tick(f.c, NOW + 1200, &f.e);
    CHECK(cluster_node_count(f.c) == 1);
    done(&f);
}

TEST(setslot_says_what_redis_says)
{
    struct fixture f = fresh();
    struct bytes b = BYTES(ID_B), nobody = BYTES(ID_Z);
    const struct node *node;
    struct message pong;

    add_range(&f, 0, 100);
    node = acquaintance(&f, ID_B, 3);

    cluster_setslot_migrating(f.c, 200, b, NOW, &f.e, error);
    assert_string_equal(error, "ERR I'm not the owner of hash slot 200");
    cluster_setslot_migrating(f.c, 5, nobody, NOW, &f.e, error);
    assert_string_equal(error, "ERR I don't know about node " ID_Z);
    cluster_setslot_importing(f.c, 5, b, NOW, &f.e, error);
    assert_string_equal(error, "ERR I'm already the owner of hash slot 5");
    cluster_setslot_node(f.c, 5, nobody, 0, NOW, &f.e, error);
    assert_string_equal(error, "ERR Unknown node " ID_Z);
    cluster_setslot_node(f.c, 5, b, 1, NOW, &f.e, error);
    assert_string_equal(error,
                        "ERR Can't assign hashslot 5 to a different node while I still hold keys for this hash slot.");

    cluster_setslot_migrating(f.c, 5, b, NOW, &f.e, error);
    CHECK(error[0] == '\0' && text_has(&f, cluster_nodes_text, " connected 0-100 [5->-" ID_B "]\n"));
    CHECK(owner_unpack(cluster_owner_word(f.c, 5)).other == node->index);
    cluster_setslot_node(f.c, 5, b, 0, NOW, &f.e, error);
    CHECK(error[0] == '\0' && cluster_slot_owner(f.c, 5) == node->index);
    CHECK(owner_unpack(cluster_owner_word(f.c, 5)).flags == 0);

    cluster_setslot_importing(f.c, 200, b, NOW, &f.e, error);
    CHECK(error[0] == '\0' && text_has(&f, cluster_nodes_text, " [200-<-" ID_B "]\n"));
    cluster_setslot_stable(f.c, 200, NOW, &f.e, error);
    CHECK(owner_unpack(cluster_owner_word(f.c, 200)).flags == 0);

    /* The end of an import: a higher epoch, on disk before everybody is told. */
    cluster_setslot_importing(f.c, 5, b, NOW, &f.e, error);
    effects_clear(&f.e);
    cluster_setslot_node(f.c, 5, bytes_of(cluster_my_id(f.c)), 3, NOW, &f.e, error);
    CHECK(error[0] == '\0' && f.c->myself->config_epoch == 4);
    CHECK(count_of(&f, EFFECT_PERSIST) == 1 && count_of(&f, EFFECT_SEND) == 0);
    on_disk(&f);
    CHECK(sent(&f, 0, &pong) && pong.type == MESSAGE_PONG && pong.config_epoch == 4 && bitmap_has(pong.slots, 5));
    done(&f);
}

TEST(forgotten_nodes_stay_away_for_a_minute)
{
    struct fixture f = fresh();
    struct gossip entry = { .id = ID_B, .ip = "127.0.0.2", .port = 8001, .cport = 18001, .flags = FLAG_PRIMARY };
    struct message_header header;
    struct node *z;
    struct buf packet = { 0 };

    acquaintance(&f, ID_B, 3);
    z = acquaintance(&f, ID_Z, 4);
    cluster_forget(f.c, BYTES("x"), NOW, &f.e, error);
    assert_string_equal(error, "ERR Unknown node x");
    cluster_forget(f.c, bytes_of(cluster_my_id(f.c)), NOW, &f.e, error);
    assert_string_equal(error, "ERR I tried hard but I can't forget myself...");
    cluster_forget(f.c, BYTES(ID_B), NOW, &f.e, error);
    CHECK(error[0] == '\0' && cluster_node_count(f.c) == 2);

    header = header_from(z, MESSAGE_PING, NULL);
    message_header_write(&packet, &header);
    message_gossip_write(&packet, &entry);
    receive(&f, 21, &packet, 1);
    CHECK(cluster_node_count(f.c) == 2);
    CHECK(blacklist_has(f.c, ID_B, NOW + 59999) && !blacklist_has(f.c, ID_B, NOW + 60000));
    done(&f);
}

TEST(of_too_many_forgotten_nodes_the_oldest_is_forgotten_to_be_forgotten)
{
    struct fixture f = fresh();
    char id[NODE_ID_BYTES + 1];

    for (unsigned i = 0; i <= BLACKLIST_MAX; i++) {
        snprintf(id, sizeof(id), "%040u", i);
        blacklist_add(f.c, id, NOW + (int64_t)i, 60000, false);
    }
    CHECK(f.c->blacklist_count == BLACKLIST_MAX);
    CHECK(blacklist_has(f.c, id, NOW + 5000));
    snprintf(id, sizeof(id), "%040u", 1u);
    CHECK(blacklist_has(f.c, id, NOW + 5000));
    snprintf(id, sizeof(id), "%040u", 0u);
    CHECK(!blacklist_has(f.c, id, NOW + 5000));
    done(&f);
}

TEST(a_reset_leaves_nothing_and_a_hard_one_not_even_the_name)
{
    struct fixture f = fresh();
    char id[NODE_ID_BYTES + 1];

    memcpy(id, cluster_my_id(f.c), sizeof(id));
    add_range(&f, 0, 100);
    acquaintance(&f, ID_B, 3);
    cluster_reset(f.c, false, true, NOW, &f.e, error);
    assert_string_equal(error, "ERR CLUSTER RESET can't be called with master nodes containing keys");
    f.c->current_epoch = 7;
    cluster_reset(f.c, false, false, NOW, &f.e, error);
    CHECK(cluster_node_count(f.c) == 1 && cluster_slot_owner(f.c, 0) == -1 && f.c->current_epoch == 7);
    assert_string_equal(cluster_my_id(f.c), id);
    cluster_reset(f.c, true, false, NOW, &f.e, error);
    CHECK(f.c->current_epoch == 0 && strcmp(cluster_my_id(f.c), id) != 0 && !cluster_is_solo(f.c));
    done(&f);
}

/* --- Packets --- */

TEST(a_higher_epoch_takes_a_slot_and_its_keys_are_dropped)
{
    struct fixture f = fresh();
    uint8_t claim[SLOT_BITMAP_BYTES] = { 0 };
    struct node *b;
    struct message_header header;
    struct message update;

    cluster_set_config_epoch(f.c, 5, NOW, &f.e, error);
    add_range(&f, 0, 100);
    on_disk(&f);
    b = acquaintance(&f, ID_B, 4);
    bitmap_set(claim, 7);

    header = header_from(b, MESSAGE_PING, claim);
    receive_header(&f, 11, &header);
    CHECK(cluster_slot_owner(f.c, 7) == 0 && count_of(&f, EFFECT_DROP_KEYS) == 0);
    /* Who is wrong is told: the answer, then the correction. */
    CHECK(sent(&f, 1, &update) && update.type == MESSAGE_UPDATE && update.subject_epoch == 5 &&
          bitmap_has(update.subject_slots, 7));

    /* An equal epoch takes nothing; it is a collision, which raises mine if my id is the smaller. */
    node_rename(f.c, f.c->myself, "zz00000000000000000000000000000000000000");
    b->config_epoch = header.config_epoch = header.current_epoch = 5;
    receive_header(&f, 11, &header);
    CHECK(cluster_slot_owner(f.c, 7) == 0 && f.c->myself->config_epoch == 5);

    b->config_epoch = header.config_epoch = header.current_epoch = 6;
    receive_header(&f, 11, &header);
    CHECK(cluster_slot_owner(f.c, 7) == b->index && slots_of(&f, EFFECT_DROP_KEYS) == 1);
    CHECK(cluster_slot_owner(f.c, 8) == 0 && f.c->current_epoch == 6);

    /* No longer claimed, it stays where it is until somebody takes it, whatever the epoch. */
    bitmap_clear(claim, 7);
    receive_header(&f, 11, &header);
    CHECK(cluster_slot_owner(f.c, 7) == b->index && bitmap_has(f.c->not_claiming, 7));
    done(&f);
}

TEST(an_update_is_believed_of_known_nodes_with_higher_epochs_only)
{
    struct fixture f = fresh();
    uint8_t claim[SLOT_BITMAP_BYTES] = { 1 };
    struct node *b = acquaintance(&f, ID_B, 4), *z = acquaintance(&f, ID_Z, 9);
    struct message_header header = header_from(z, MESSAGE_UPDATE, NULL);

    for (uint64_t epoch = 4; epoch <= 5; epoch++) {
        struct buf packet = { 0 };
        message_header_write(&packet, &header);
        message_update_write(&packet, epoch, ID_B, claim);
        receive(&f, 21, &packet, 0);
        CHECK(cluster_slot_owner(f.c, 0) == (epoch == 5 ? b->index : -1));
    }
    done(&f);
}

TEST(of_two_with_one_epoch_the_smaller_id_moves_on)
{
    struct fixture f = fresh();
    struct node *z = acquaintance(&f, ID_Z, 3), *zero = acquaintance(&f, "0000000000000000000000000000000000000000", 4);
    struct message_header header = header_from(z, MESSAGE_PING, NULL);

    f.c->myself->config_epoch = 3;
    receive_header(&f, 11, &header);
    CHECK(f.c->myself->config_epoch == 4);
    header = header_from(zero, MESSAGE_PING, NULL);
    receive_header(&f, 21, &header);
    CHECK(f.c->myself->config_epoch == 4);
    done(&f);
}

/* One node reports another as suspected. */
static void report(struct fixture *f, const struct node *from, const char *suspected)
{
    struct message_header header = header_from(from, MESSAGE_PING, NULL);
    struct gossip entry = { .ip = "127.0.0.2", .port = 8001, .cport = 18001, .flags = FLAG_PRIMARY | FLAG_PFAIL };
    struct buf packet = { 0 };

    memcpy(entry.id, suspected, sizeof(entry.id));
    message_header_write(&packet, &header);
    message_gossip_write(&packet, &entry);
    receive(f, from->outbound + 1, &packet, 1);
}

TEST(failure_reports_that_are_not_repeated_go)
{
    struct fixture f = fresh();
    struct cluster_node_info info;
    struct node *z;

    acquaintance(&f, ID_B, 3);
    z = acquaintance(&f, ID_Z, 4);
    report(&f, z, ID_B);
    cluster_tick(f.c, NOW + 2000, &f.e);
    CHECK(cluster_node_by_id(f.c, BYTES(ID_B), &info) && info.failure_reports == 1);
    cluster_tick(f.c, NOW + 2001, &f.e);
    CHECK(cluster_node_by_id(f.c, BYTES(ID_B), &info) && info.failure_reports == 0);
    done(&f);
}

TEST(a_timeout_without_end_still_counts_failure_reports)
{
    struct fixture f = fresh();
    struct cluster_options patient = options;
    struct node *b = acquaintance(&f, ID_B, 3), *z = acquaintance(&f, ID_Z, 4);

    patient.node_timeout_ms = INT64_MAX;
    cluster_configure(f.c, &patient, &f.e);
    add_range(&f, 0, 10);
    slot_bind(f.c, 11, z, &f.e);
    b->flags |= FLAG_PFAIL;
    report(&f, z, ID_B);
    CHECK(node_is(b, FLAG_FAIL));
    done(&f);
}

TEST(an_address_that_is_not_announced_any_more_is_found_out_anew)
{
    struct fixture f = fresh();
    struct cluster_options announced = options;
    struct node *b = acquaintance(&f, ID_B, 3);
    struct message_header header = header_from(b, MESSAGE_PING, NULL);

    memcpy(announced.announce_ip, "10.0.0.9", sizeof("10.0.0.9"));
    cluster_configure(f.c, &announced, &f.e);
    receive_header(&f, b->outbound + 1, &header);
    CHECK(strcmp(f.c->myself->ip, "10.0.0.9") == 0);
    cluster_configure(f.c, &options, &f.e);
    receive_header(&f, b->outbound + 1, &header);
    CHECK(strcmp(f.c->myself->ip, "127.0.0.1") == 0);
    done(&f);
}

TEST(what_strangers_say_changes_nothing)
{
    struct fixture f = fresh();
    struct node *b = acquaintance(&f, ID_B, 4), stranger = { .id = ID_Z, .port = 1, .cport = 2, .config_epoch = 99 };
    uint8_t claim[SLOT_BITMAP_BYTES];

    memset(claim, 0xff, sizeof(claim));
    b->flags |= FLAG_PFAIL;
    cluster_link_accepted(f.c, 77, "127.0.0.1", "127.0.0.9", NOW);
    for (uint16_t type = 0; type < 20; type++) {
        struct message_header header = header_from(&stranger, type, claim);
        struct buf packet = { 0 };
        if (type == MESSAGE_MEET) continue;
        message_header_write(&packet, &header);
        if (type == MESSAGE_FAIL) message_fail_write(&packet, ID_B);
        if (type == MESSAGE_UPDATE) message_update_write(&packet, 50, ID_B, claim);
        receive(&f, 77, &packet, 0);
        CHECK(cluster_node_count(f.c) == 2 && f.c->current_epoch == 0 && f.c->assigned_count == 0);
        CHECK(!node_is(b, FLAG_FAIL) && b->config_epoch == 4);
    }
    done(&f);
}

TEST(gossip_cannot_plant_a_handshake_or_a_second_myself)
{
    struct fixture f = fresh();
    struct node *b = acquaintance(&f, ID_B, 4);
    struct gossip entry = {
        .id = ID_Z, .ip = "127.0.0.3", .port = 9000, .cport = 19000, .flags = 0xffff & ~FLAG_NOADDR
    };
    struct message_header header = header_from(b, MESSAGE_PING, NULL);
    struct cluster_node_info info;
    struct buf packet = { 0 };

    message_header_write(&packet, &header);
    message_gossip_write(&packet, &entry);
    memcpy(entry.id, cluster_my_id(f.c), sizeof(entry.id));
    message_gossip_write(&packet, &entry);
    receive(&f, 11, &packet, 2);
    CHECK(cluster_node_by_id(f.c, BYTES(ID_Z), &info) && info.flags == (FLAG_REPLICA | FLAG_NOFAILOVER));
    CHECK(!node_is(f.c->myself, FLAG_PFAIL | FLAG_FAIL | FLAG_HANDSHAKE));
    done(&f);
}

TEST(the_node_table_has_an_end)
{
    struct fixture f = fresh();
    struct node *b = acquaintance(&f, ID_B, 4);
    struct message_header header = header_from(b, MESSAGE_PING, NULL);

    for (unsigned round = 0; round < 10; round++) {
        struct buf packet = { 0 };
        message_header_write(&packet, &header);
        for (unsigned i = 0; i < 1000; i++) {
            struct gossip entry = { .ip = "127.0.0.3", .port = 9000, .cport = 19000, .flags = FLAG_PRIMARY };
            snprintf(entry.id, sizeof(entry.id), "%040u", round * 1000 + i + 1);
            message_gossip_write(&packet, &entry);
        }
        receive(&f, 11, &packet, 1000);
    }
    CHECK(cluster_node_count(f.c) == NODES_MAX);
    for (unsigned i = 0; i < 1000; i++) {
        struct node stranger = { .port = (uint16_t)(i + 1), .cport = 2 };
        snprintf(stranger.id, sizeof(stranger.id), "x%039u", i);
        header = header_from(&stranger, MESSAGE_MEET, NULL);
        cluster_link_accepted(f.c, 1000 + i, "127.0.0.1", "127.0.0.9", NOW);
        receive_header(&f, 1000 + i, &header);
    }
    CHECK(cluster_node_count(f.c) == NODES_MAX);
    done(&f);
}

TEST(handshakes_have_an_end)
{
    struct fixture f = fresh();

    for (unsigned i = 0; i < 1000; i++) {
        struct node stranger = { .port = (uint16_t)(i + 1), .cport = 2 };
        struct message_header header;
        snprintf(stranger.id, sizeof(stranger.id), "x%039u", i);
        header = header_from(&stranger, MESSAGE_MEET, NULL);
        cluster_link_accepted(f.c, 1000 + i, "127.0.0.1", "127.0.0.9", NOW);
        receive_header(&f, 1000 + i, &header);
    }
    CHECK(cluster_node_count(f.c) == HANDSHAKES_MAX + 1);
    cluster_tick(f.c, NOW + 1200, &f.e);
    CHECK(cluster_node_count(f.c) == 1);
    done(&f);
}

TEST(somebody_else_at_a_nodes_address_is_not_that_node)
{
    struct fixture f = fresh();
    struct node *b = acquaintance(&f, ID_B, 4), other = { .id = ID_Z, .port = 1, .cport = 2 };
    struct message_header header = header_from(&other, MESSAGE_PONG, NULL);

    receive_header(&f, 10, &header);
    CHECK(node_is(b, FLAG_NOADDR) && b->outbound == 0 && count_of(&f, EFFECT_CLOSE) == 1);
    CHECK(text_has(&f, cluster_nodes_text, ID_B " :0@0 master,noaddr - "));
    /* It comes from where it is now: it is found again. */
    header = header_from(b, MESSAGE_PING, NULL);
    header.port = 8001;
    header.cport = 18001;
    receive_header(&f, 11, &header);
    CHECK(!node_is(b, FLAG_NOADDR) && b->port == 8001);
    assert_string_equal(b->ip, "127.0.0.2");
    done(&f);
}

TESTS(a_fresh_node_serves_every_slot_at_once, an_event_about_every_slot_asks_for_no_more_than_one_about_some,
      slots_given_to_a_solo_node_are_not_busy_and_end_solo, a_solo_node_keeps_the_slots_of_its_keys,
      a_first_meet_from_a_peer_ends_solo_and_a_ping_does_not, slots_taken_from_a_solo_node_leave_it_the_others,
      slots_are_given_and_taken_all_or_none, epochs_are_set_once_and_bumped_above_all, a_meet_takes_addresses_only,
      setslot_says_what_redis_says, of_too_many_forgotten_nodes_the_oldest_is_forgotten_to_be_forgotten,
      forgotten_nodes_stay_away_for_a_minute, a_reset_leaves_nothing_and_a_hard_one_not_even_the_name,
      a_higher_epoch_takes_a_slot_and_its_keys_are_dropped,
      an_update_is_believed_of_known_nodes_with_higher_epochs_only, of_two_with_one_epoch_the_smaller_id_moves_on,
      failure_reports_that_are_not_repeated_go, a_timeout_without_end_still_counts_failure_reports,
      an_address_that_is_not_announced_any_more_is_found_out_anew, what_strangers_say_changes_nothing,
      gossip_cannot_plant_a_handshake_or_a_second_myself, the_node_table_has_an_end, handshakes_have_an_end,
      somebody_else_at_a_nodes_address_is_not_that_node)
