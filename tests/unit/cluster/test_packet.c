/* Who may say what: what a packet changes depends on who sent it, on which link, and on what is known already. */
#include "unit/cluster/neighbours.h"

#include <stdio.h>

#define ID_Z "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"

static bool saves_at_once(const struct fixture *f)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_PERSIST && f->e.items[i].sync) return true;
    return false;
}

TEST(of_two_links_from_a_node_the_newer_counts)
{
    struct fixture f = with_neighbour();

    hear(&f, IN, header(MESSAGE_PING, ID_B));
    CHECK(f.b->inbound == IN && !closes(&f, IN));
    hear(&f, STRANGE, header(MESSAGE_PING, ID_B));
    CHECK(f.b->inbound == STRANGE && closes(&f, IN) && link_find(f.c, IN) == NULL);
    done(&f);
}

TEST(one_connection_speaks_for_one_node)
{
    struct fixture f = with_neighbour();
    struct node *c = known(&f, ID_C, 9000);
    struct message_header head = header(MESSAGE_PING, ID_C);

    hear(&f, IN, header(MESSAGE_PING, ID_B));
    head.config_epoch = head.current_epoch = 9;
    hear(&f, IN, head);
    CHECK(closes(&f, IN) && link_find(f.c, IN) == NULL);
    CHECK(c->config_epoch == 0 && f.c->current_epoch < 9);
    /* On a link of ours somebody else's name is not believed either. */
    hear(&f, OUT, head);
    CHECK(c->config_epoch == 0 && f.c->current_epoch < 9);
    done(&f);
}

TEST(a_packet_on_a_link_that_is_not_known_closes_it)
{
    struct fixture f = with_neighbour();

    hear(&f, 999, header(MESSAGE_PING, ID_B));
    CHECK(closes(&f, 999) && f.e.count == 1);
    done(&f);
}

TEST(epochs_do_not_go_back)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PING, ID_B);

    head.config_epoch = head.current_epoch = 9;
    hear(&f, IN, head);
    CHECK(f.b->config_epoch == 9 && f.c->current_epoch == 9);
    head.config_epoch = head.current_epoch = 4;
    hear(&f, IN, head);
    CHECK(f.b->config_epoch == 9 && f.c->current_epoch == 9);
    done(&f);
}

TEST(an_address_is_taken_from_a_ping_on_the_nodes_own_link_only)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PONG, ID_B);

    head.port = 8001;
    head.cport = 18001;
    hear(&f, IN, head);
    CHECK(f.b->port == 8000);
    hear(&f, OUT, head);
    CHECK(f.b->port == 8000);
    head.type = MESSAGE_PING;
    hear(&f, OUT, head);
    CHECK(f.b->port == 8000);
    head.cport = 0;
    hear(&f, IN, head);
    CHECK(f.b->port == 8000 && f.b->cport == 18000);
    head.cport = 18001;
    hear(&f, IN, head);
    CHECK(f.b->port == 8001 && f.b->cport == 18001);
    done(&f);
}

TEST(a_meet_of_ourselves_of_whom_we_know_or_without_a_port_begins_nothing)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_MEET, ID_B);

    head.port = 8100;
    head.cport = 18100;
    hear(&f, IN, head);
    head.sender = cluster_my_id(f.c);
    hear(&f, STRANGE, head);
    head.sender = ID_C;
    head.cport = 0;
    hear(&f, STRANGE, head);
    CHECK(f.c->handshake_count == 0);
    head.cport = 18100;
    hear(&f, STRANGE, head);
    CHECK(f.c->handshake_count == 1);
    done(&f);
}

/* The node we began to shake hands with, its link being 60. */
static struct node *handshake(struct fixture *f)
{
    struct node *node;
    cluster_error error;

    cluster_meet(f->c, BYTES("127.0.0.3"), 9000, 19000, NOW, &f->e, error);
    CHECK(error[0] == '\0' && f->c->handshake_count == 1);
    node = f->c->nodes[f->c->node_count - 1];
    node->connecting = true;
    cluster_link_opened(f->c, node->index, 60, NOW, &f->e);
    return node;
}

TEST(a_handshake_with_somebody_known_moves_him_and_one_with_ourselves_moves_nobody)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PONG, ID_B);

    handshake(&f);
    head.port = 9000;
    head.cport = 19000;
    hear(&f, 60, head);
    CHECK(f.c->handshake_count == 0 && f.b->port == 9000 && strcmp(f.b->ip, "127.0.0.3") == 0);
    CHECK(f.b->met_ms == NOW);

    handshake(&f);
    head.sender = cluster_my_id(f.c);
    hear(&f, 60, head);
    CHECK(f.c->handshake_count == 0 && f.c->myself->port == 7000);
    done(&f);
}

TEST(whose_hand_we_have_not_shaken_is_a_stranger)
{
    struct fixture f = with_neighbour();
    struct node *node = handshake(&f);
    struct message_header head = header(MESSAGE_PING, node->id);

    head.config_epoch = head.current_epoch = 9;
    hear(&f, STRANGE, head);
    CHECK(f.c->current_epoch == 0 && node->config_epoch == 0);
    /* And nobody's primary. */
    head = header(MESSAGE_PING, ID_B);
    head.flags = FLAG_REPLICA;
    head.primary = node->id;
    hear(&f, IN, head);
    CHECK(!node_is_primary(f.b) && f.b->primary == NULL);
    done(&f);
}

TEST(our_own_voice_tells_us_nothing)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PING, cluster_my_id(f.c));

    head.config_epoch = head.current_epoch = 9;
    hear(&f, STRANGE, head);
    CHECK(f.c->current_epoch == 0 && f.c->myself->config_epoch == 0 && f.c->myself->inbound == 0);
    done(&f);
}

/* Whoever meets us has just reached us at it. */
TEST(a_meet_tells_us_our_address_anew_and_a_ping_where_we_have_none)
{
    struct fixture f = with_neighbour();

    memcpy(f.c->myself->ip, "10.0.0.1", 9);
    hear(&f, STRANGE, header(MESSAGE_PING, ID_C));
    CHECK(strcmp(f.c->myself->ip, "10.0.0.1") == 0);
    hear(&f, STRANGE, header(MESSAGE_MEET, ID_C));
    CHECK(strcmp(f.c->myself->ip, "127.0.0.1") == 0);
    f.c->myself->ip[0] = '\0';
    hear(&f, STRANGE, header(MESSAGE_PING, ID_C));
    CHECK(strcmp(f.c->myself->ip, "127.0.0.1") == 0);
    /* What is announced is what an operator says. */
    memcpy(f.c->options.announce_ip, "10.0.0.2", 9);
    memcpy(f.c->myself->ip, "10.0.0.2", 9);
    hear(&f, STRANGE, header(MESSAGE_MEET, ID_C));
    CHECK(strcmp(f.c->myself->ip, "10.0.0.2") == 0);
    done(&f);
}

/* So that an older word to forget it does not count any more, see forgotten.c. */
TEST(a_meet_of_a_node_that_is_known_is_noted)
{
    struct fixture f = with_neighbour();

    hear(&f, IN, header(MESSAGE_PING, ID_B));
    CHECK(f.b->met_ms == 0);
    hear(&f, IN, header(MESSAGE_MEET, ID_B));
    CHECK(f.b->met_ms == NOW);
    done(&f);
}

TEST(a_meet_of_a_stranger_is_answered_and_not_counted_as_ignored)
{
    struct fixture f = with_neighbour();

    hear(&f, STRANGE, header(MESSAGE_MEET, ID_C));
    CHECK(f.c->ignored == 0 && sends(&f, MESSAGE_PONG) == 1 && f.c->handshake_count == 1);
    hear(&f, STRANGE, header(MESSAGE_PING, ID_C));
    CHECK(f.c->ignored == 1 && sends(&f, MESSAGE_PONG) == 1);
    /* Our own comes back to us where we met our own address: it has its answer, and nothing else is heard of it. */
    hear(&f, STRANGE, header(MESSAGE_MEET, cluster_my_id(f.c)));
    CHECK(sends(&f, MESSAGE_PONG) == 1 && f.c->handshake_count == 1);
    done(&f);
}

TEST(a_replica_claims_nothing)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PING, ID_B);
    uint8_t slots[SLOT_BITMAP_BYTES] = { 1 };

    known(&f, ID_C, 9000);
    head.flags = FLAG_REPLICA;
    head.primary = ID_C;
    head.config_epoch = head.current_epoch = 9;
    head.slots = slots;
    hear(&f, IN, head);
    CHECK(f.b->primary != NULL && cluster_slot_owner(f.c, 0) < 0);
    /* And its epoch collides with nobody's, whatever its id. */
    f.c->myself->config_epoch = 9;
    epoch_collision(f.c, f.b, 9, slots, NOW, &f.e);
    CHECK(f.c->myself->config_epoch == 9 && f.c->current_epoch == 9);
    done(&f);
}

static void forget(struct fixture *f, const char *id, uint64_t ttl_s)
{
    struct message_header head = header(MESSAGE_PING, ID_B);
    struct buf data = { 0 };

    head.mflags = MESSAGE_EXT_DATA;
    buf_append(&data, "\0\0\0\x38\0\2\0\0", 8);
    buf_append(&data, id, NODE_ID_BYTES);
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(&data, (char)(ttl_s >> shift));
    receive(f, IN, &head, buf_bytes(&data), 1, NOW);
    buf_free(&data);
}

TEST(who_asks_us_to_forget_somebody_means_neither_us_nor_himself_and_not_for_ever)
{
    struct fixture f = with_neighbour();

    forget(&f, cluster_my_id(f.c), 30);
    forget(&f, ID_B, 30);
    CHECK(f.c->node_count == 2 && node_find(f.c, ID_B) == f.b && f.c->nodes[0] == f.c->myself);
    known(&f, ID_C, 9000);
    forget(&f, ID_C, UINT64_MAX / 2);
    CHECK(f.c->node_count == 2 && blacklist_has(f.c, ID_C, NOW + 1000));
    CHECK(!blacklist_has(f.c, ID_C, NOW + BLACKLIST_MS + 1));
    known(&f, ID_Z, 9001);
    forget(&f, ID_Z, 3600);
    CHECK(blacklist_has(f.c, ID_Z, NOW + 1000) && !blacklist_has(f.c, ID_Z, NOW + BLACKLIST_MS + 1));
    done(&f);
}

TEST(who_was_met_is_not_forgotten_at_a_word_that_is_older)
{
    struct fixture f = with_neighbour();

    forgotten_met(f.c, known(&f, ID_C, 9000), NOW - 10000, NOW);
    forget(&f, ID_C, 45); /* said 15 s ago */
    CHECK(f.c->node_count == 3 && !blacklist_has(f.c, ID_C, NOW));
    forget(&f, ID_C, 55);
    CHECK(f.c->node_count == 2 && blacklist_has(f.c, ID_C, NOW));
    done(&f);
}

TEST(nobody_else_says_what_our_slots_and_epoch_are)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_UPDATE, ID_B);
    uint8_t slots[SLOT_BITMAP_BYTES] = { 1 };
    struct buf data = { 0 };

    message_update_write(&data, 9, cluster_my_id(f.c), slots);
    receive(&f, IN, &head, buf_bytes(&data), 0, NOW);
    CHECK(f.c->myself->config_epoch == 0 && cluster_slot_owner(f.c, 0) < 0);
    view_claim(f.c, f.c->myself, 9, slots, WORD_OWN, &f.e);
    CHECK(cluster_slot_owner(f.c, 0) < 0);
    buf_free(&data);
    done(&f);
}

TEST(what_an_operator_imports_changes_hands_by_his_word_alone)
{
    struct fixture f = with_neighbour();
    struct node *c = known(&f, ID_C, 9000);
    uint8_t slots[SLOT_BITMAP_BYTES] = { 1 };

    view_claim(f.c, f.b, 3, slots, WORD_OWN, &f.e);
    slot_set_importing(f.c, 0, f.b->index, &f.e);
    view_claim(f.c, c, 9, slots, WORD_OWN, &f.e);
    CHECK(cluster_slot_owner(f.c, 0) == f.b->index);
    slot_set_importing(f.c, 0, INDEX_NONE, &f.e);
    view_claim(f.c, c, 9, slots, WORD_OWN, &f.e);
    CHECK(cluster_slot_owner(f.c, 0) == c->index);
    done(&f);
}

TEST(an_epoch_that_is_taken_is_saved_at_once_and_the_last_there_can_be_is_never_taken)
{
    struct fixture f = with_neighbour();
    const uint8_t none[SLOT_BITMAP_BYTES] = { 0 };
    uint64_t epoch;

    CHECK(cluster_bump_epoch(f.c, &epoch, NOW, &f.e) && epoch == 1 && saves_at_once(&f));
    effects_clear(&f.e);
    f.b->config_epoch = 1;
    memset(f.c->myself->id, '0', NODE_ID_BYTES);
    epoch_collision(f.c, f.b, 1, none, NOW, &f.e);
    CHECK(f.c->myself->config_epoch == 2 && saves_at_once(&f));

    f.b->config_epoch = EPOCH_MAX;
    CHECK(!cluster_bump_epoch(f.c, &epoch, NOW, &f.e) && epoch == 2);
    f.c->current_epoch = f.c->myself->config_epoch = EPOCH_MAX;
    epoch_collision(f.c, f.b, EPOCH_MAX, none, NOW, &f.e);
    CHECK(f.c->current_epoch == EPOCH_MAX && f.c->myself->config_epoch == EPOCH_MAX);
    done(&f);
}

/* Gossip says of a node when somebody heard it last; a clock that is ahead must not keep a dead node alive. */
static void gossip(struct fixture *f, const char *id, uint32_t pong_s, const char *ip)
{
    struct message_header head = header(MESSAGE_PING, ID_B);
    struct gossip entry = { .pong_received_s = pong_s, .port = 9000, .cport = 19000, .flags = FLAG_PRIMARY };
    struct buf packet = { 0 };

    memcpy(entry.id, id, NODE_ID_BYTES);
    snprintf(entry.ip, sizeof(entry.ip), "%s", ip);
    message_header_write(&packet, &head);
    message_gossip_write(&packet, &entry);
    message_finish(&packet, 1, 0);
    cluster_packet(f->c, IN, buf_bytes(&packet), NOW, &f->e);
    buf_free(&packet);
}

TEST(gossip_is_believed_of_the_past_and_of_nodes_that_have_an_address)
{
    struct fixture f = with_neighbour();
    struct node *c = known(&f, ID_C, 9000);

    c->pong_received_ms = NOW - 5000;
    gossip(&f, ID_C, (uint32_t)(NOW / 1000 + 60), "127.0.0.3");
    CHECK(c->pong_received_ms == NOW - 5000);
    gossip(&f, ID_C, (uint32_t)(NOW / 1000 - 2), "127.0.0.3");
    CHECK(c->pong_received_ms == NOW - 2000);
    gossip(&f, ID_Z, 0, "");
    CHECK(node_find(f.c, ID_Z) == NULL);
    gossip(&f, ID_Z, 0, "127.0.0.3");
    CHECK(node_find(f.c, ID_Z) != NULL);
    done(&f);
}

static const struct effect *published(const struct fixture *f)
{
    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_PUBLISH) return &f->e.items[i];
    return NULL;
}

TEST(what_a_known_node_publishes_is_for_our_clients_and_what_a_stranger_does_for_nobody)
{
    static const char data[] = "\0\0\0\4\0\0\0\5chanhello", empty[] = "\0\0\0\0\0\0\0\0";
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PUBLISH, ID_B);
    const struct effect *effect;

    receive(&f, IN, &head, (struct bytes){ data, sizeof(data) - 1 }, 0, NOW);
    effect = published(&f);
    CHECK(effect != NULL && !effect->shard && effect->channel_bytes == 4);
    CHECK(bytes_equal(effect->data, BYTES("chanhello")));
    head.type = MESSAGE_PUBLISHSHARD;
    receive(&f, IN, &head, (struct bytes){ empty, sizeof(empty) - 1 }, 0, NOW);
    effect = published(&f);
    CHECK(effect != NULL && effect->shard && effect->channel_bytes == 0 && effect->data.len == 0);
    /* Lengths that are not the packet's. */
    receive(&f, IN, &head, (struct bytes){ data, sizeof(data) - 2 }, 0, NOW);
    CHECK(published(&f) == NULL);
    head.sender = ID_Z;
    receive(&f, STRANGE, &head, (struct bytes){ data, sizeof(data) - 1 }, 0, NOW);
    CHECK(published(&f) == NULL);
    done(&f);
}

TEST(what_our_clients_publish_goes_to_every_node_and_of_a_shard_to_our_replicas)
{
    struct fixture f = with_neighbour();
    struct node *replica = known(&f, ID_C, 9000);
    struct buf packets = { 0 };
    struct message message;
    cluster_link links[4];
    int64_t first;

    replica->connecting = true;
    cluster_link_opened(f.c, replica->index, 12, NOW, &f.e);
    CHECK(cluster_publish_links(f.c, false, links, 4) == 2 && cluster_publish_links(f.c, true, links, 4) == 0);
    node_become_replica(f.c, replica, f.c->myself, &f.e);
    CHECK(cluster_publish_links(f.c, true, links, 4) == 1 && links[0] == 12);
    CHECK(cluster_publish_links(f.c, false, links, 1) == 2);
    CHECK(cluster_publication(f.c, false, BYTES("chan"), BYTES(""), 2, &packets));
    CHECK(cluster_publication(f.c, true, BYTES(""), BYTES("hello"), 1, &packets));
    first = cluster_frame(buf_bytes(&packets));
    CHECK(first == (int64_t)CLUSTER_HEADER_BYTES + 12);
    CHECK(message_decode((struct bytes){ packets.data, (size_t)first }, &message) == MESSAGE_OK);
    CHECK(message.type == MESSAGE_PUBLISH && bytes_equal(message.channel, BYTES("chan")) && message.text.len == 0);
    buf_consume(&packets, (size_t)first);
    CHECK(message_decode(buf_bytes(&packets), &message) == MESSAGE_OK);
    CHECK(message.type == MESSAGE_PUBLISHSHARD && bytes_equal(message.text, BYTES("hello")));
    CHECK(f.c->sent[MESSAGE_PUBLISH] == 2 && f.c->sent[MESSAGE_PUBLISHSHARD] == 1);
    buf_free(&packets);
    done(&f);
}

TEST(a_link_without_answers_is_opened_again_though_the_node_is_heard_on_its_own)
{
    struct fixture f = with_neighbour();

    f.b->ping_sent_ms = NOW;
    f.b->flags |= FLAG_FAIL;
    f.b->data_received_ms = NOW + 990;
    cluster_tick(f.c, NOW + 1000, &f.e);
    CHECK(!closes(&f, OUT));
    f.b->data_received_ms = NOW + 1090;
    cluster_tick(f.c, NOW + 1100, &f.e);
    CHECK(closes(&f, OUT));
    done(&f);
}

TESTS(a_meet_of_a_node_that_is_known_is_noted, a_meet_tells_us_our_address_anew_and_a_ping_where_we_have_none,
      a_meet_of_a_stranger_is_answered_and_not_counted_as_ignored,
      what_a_known_node_publishes_is_for_our_clients_and_what_a_stranger_does_for_nobody,
      what_our_clients_publish_goes_to_every_node_and_of_a_shard_to_our_replicas,
      of_two_links_from_a_node_the_newer_counts, one_connection_speaks_for_one_node,
      a_packet_on_a_link_that_is_not_known_closes_it, epochs_do_not_go_back,
      an_address_is_taken_from_a_ping_on_the_nodes_own_link_only,
      a_meet_of_ourselves_of_whom_we_know_or_without_a_port_begins_nothing,
      a_handshake_with_somebody_known_moves_him_and_one_with_ourselves_moves_nobody,
      whose_hand_we_have_not_shaken_is_a_stranger, our_own_voice_tells_us_nothing, a_replica_claims_nothing,
      who_asks_us_to_forget_somebody_means_neither_us_nor_himself_and_not_for_ever,
      who_was_met_is_not_forgotten_at_a_word_that_is_older, nobody_else_says_what_our_slots_and_epoch_are,
      what_an_operator_imports_changes_hands_by_his_word_alone,
      an_epoch_that_is_taken_is_saved_at_once_and_the_last_there_can_be_is_never_taken,
      gossip_is_believed_of_the_past_and_of_nodes_that_have_an_address,
      a_link_without_answers_is_opened_again_though_the_node_is_heard_on_its_own)
