/* What packets nobody should send do to a node: nothing, and they are counted. */
#include "unit/cluster/neighbours.h"

#include <stdlib.h>

#define ID_Z "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"

/* What is in the state file, but for what counts messages. */
static void state_of(const struct fixture *f, struct buf *out)
{
    buf_clear(out);
    cluster_save(f->c, out);
}

static uint64_t ignored(const struct fixture *f)
{
    struct buf text = { 0 };
    const char *at;
    uint64_t count;

    cluster_info_text(f->c, &text);
    buf_append_byte(&text, '\0');
    at = strstr(text.data, "cluster_stats_messages_ignored:");
    CHECK(at != NULL);
    count = strtoull(at + 31, NULL, 10);
    buf_free(&text);
    return count;
}

/* A whole packet of a type, of B, that says something wherever it can. */
static void whole(uint16_t type, const char *sender, struct buf *out)
{
    static const uint8_t slots[SLOT_BITMAP_BYTES] = { 7 };
    struct message_header head = header(type, sender);
    struct gossip entry = { .ip = "127.0.0.7", .port = 7007, .cport = 17007, .flags = FLAG_PRIMARY };
    uint16_t count = 0, extensions = 0;

    head.config_epoch = head.current_epoch = 9;
    head.slots = slots;
    if (type <= MESSAGE_MEET) head.mflags = MESSAGE_EXT_DATA;
    buf_clear(out);
    message_header_write(out, &head);
    switch (type) {
    case MESSAGE_PING:
    case MESSAGE_PONG:
    case MESSAGE_MEET:
        memcpy(entry.id, ID_C, sizeof(entry.id));
        message_gossip_write(out, &entry);
        message_hostname_write(out, "ada.example");
        count = extensions = 1;
        break;
    case MESSAGE_FAIL:
        message_fail_write(out, ID_B);
        break;
    case MESSAGE_UPDATE:
        message_update_write(out, 9, ID_B, slots);
        break;
    case MESSAGE_MODULE:
        message_module_write(out, "rshdview", KIN_MOVED, BYTES("\0\0\0\0\0\0\0\0\0\1"));
        break;
    default:
        break;
    }
    message_finish(out, count, extensions);
}

static void put32_at(struct buf *packet, size_t at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) packet->data[at + i] = (char)(value >> (24 - 8 * i));
}

/* T7. Cut, a packet is waited for as long as it says to be longer, and is refused where it says to be as long as it is. */
TEST(a_packet_that_is_cut_at_any_byte_is_refused_and_changes_nothing)
{
    struct buf packet = { 0 }, before = { 0 }, after = { 0 };

    for (uint16_t type = 0; type < MESSAGE_TYPES; type++) {
        struct fixture f = with_neighbour();
        size_t len;

        whole(type, ID_B, &packet);
        len = packet.len;
        CHECK(cluster_frame(buf_bytes(&packet)) == (int64_t)len);
        state_of(&f, &before);
        for (size_t cut = 0; cut < len; cut++) {
            uint64_t count = ignored(&f);

            put32_at(&packet, 4, (uint32_t)len);
            CHECK(cluster_frame((struct bytes){ packet.data, cut }) == 0);
            if (cut < CLUSTER_HEADER_BYTES && cut % 16 != 0) continue; /* of the header some will do */
            put32_at(&packet, 4, (uint32_t)cut);
            if (cut >= 16 && cluster_frame((struct bytes){ packet.data, cut }) == -1) continue;
            cluster_packet(f.c, IN, (struct bytes){ packet.data, cut }, NOW, &f.e);
            effects_clear(&f.e);
            state_of(&f, &after);
            CHECK(bytes_equal(buf_bytes(&before), buf_bytes(&after)) && ignored(&f) == count + 1);
            CHECK(f.c->current_epoch == 0 && f.b->config_epoch == 0 && f.c->node_count == 2);
        }
        done(&f);
    }
    buf_free(&packet);
    buf_free(&before);
    buf_free(&after);
}

TEST(counts_and_lengths_at_their_extremes_and_unknown_types_change_nothing)
{
    struct fixture f = with_neighbour();
    struct buf packet = { 0 }, before = { 0 }, after = { 0 };

    state_of(&f, &before);
    for (unsigned wrong = 0; wrong < 7; wrong++) {
        uint64_t count = ignored(&f);
        size_t extension;

        whole(MESSAGE_PING, ID_B, &packet);
        extension = CLUSTER_HEADER_BYTES + 104;
        if (wrong == 0) packet.data[14] = packet.data[15] = (char)0xff; /* entries of gossip */
        if (wrong == 1) packet.data[14] = 0, packet.data[15] = 2;       /* one that is not there */
        if (wrong == 2) put32_at(&packet, extension, 0x80000000u | 24); /* an extension's length */
        if (wrong == 3) put32_at(&packet, extension, 0xffffffffu);
        if (wrong == 4) put32_at(&packet, extension, 0);
        if (wrong == 5) packet.data[12] = 0, packet.data[13] = (char)MESSAGE_TYPES; /* types nobody knows */
        if (wrong == 6) packet.data[12] = packet.data[13] = (char)0xff;
        cluster_packet(f.c, IN, buf_bytes(&packet), NOW, &f.e);
        effects_clear(&f.e);
        if (wrong < 5) {
            state_of(&f, &after);
            CHECK(bytes_equal(buf_bytes(&before), buf_bytes(&after)) && ignored(&f) == count + 1);
        }
        CHECK(f.c->node_count == 2 && cluster_slot_owner(f.c, 0) < 0 && f.b->config_epoch == 0);
    }
    buf_free(&packet);
    buf_free(&before);
    buf_free(&after);
    done(&f);
}

/* T8 */
TEST(of_a_stranger_no_packet_changes_anything_and_each_is_counted)
{
    struct fixture f = with_neighbour();
    struct buf packet = { 0 }, before = { 0 }, after = { 0 };

    hear(&f, IN, header(MESSAGE_PING, ID_B)); /* our address is known */
    state_of(&f, &before);
    for (uint16_t type = 0; type < MESSAGE_TYPES; type++) {
        uint64_t count = ignored(&f);

        if (type == MESSAGE_MEET) continue;
        whole(type, ID_Z, &packet);
        cluster_packet(f.c, STRANGE, buf_bytes(&packet), NOW, &f.e);
        effects_clear(&f.e);
        state_of(&f, &after);
        CHECK(bytes_equal(buf_bytes(&before), buf_bytes(&after)) && ignored(&f) == count + 1);
        CHECK(f.c->current_epoch < 9 && f.c->node_count == 2);
    }
    buf_free(&packet);
    buf_free(&before);
    buf_free(&after);
    done(&f);
}

TEST(a_packet_that_is_replayed_changes_nothing_and_is_counted)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PING, ID_B);
    uint8_t slots[SLOT_BITMAP_BYTES] = { 1 }, none[SLOT_BITMAP_BYTES] = { 0 };
    struct buf before = { 0 }, after = { 0 };
    uint64_t count;

    head.mark = (struct mark){ .is_ours = true, .incarnation = 5, .sequence = 8 };
    head.slots = slots;
    head.config_epoch = head.current_epoch = 3;
    hear(&f, IN, head);
    head.mark.sequence = 9;
    head.slots = none;
    hear(&f, IN, head);
    state_of(&f, &before);
    count = ignored(&f);
    head.mark.sequence = 8;
    head.slots = slots;
    hear(&f, IN, head);
    state_of(&f, &after);
    CHECK(bytes_equal(buf_bytes(&before), buf_bytes(&after)) && ignored(&f) == count + 1);
    buf_free(&before);
    buf_free(&after);
    done(&f);
}

/* F13 */
TEST(gossip_changes_nobodys_role_slots_or_epoch_and_replicas_of_each_other_are_walked_to_an_end)
{
    struct fixture f = with_neighbour();
    struct message_header head = header(MESSAGE_PING, ID_B);
    struct gossip entry = { .ip = "127.0.0.2", .port = 9000, .cport = 19000, .flags = FLAG_REPLICA };
    struct buf data = { 0 }, text = { 0 };

    f.other = known(&f, ID_C, 9000);
    slot_bind(f.c, 3, f.other, &f.e);
    f.other->config_epoch = 4;
    memcpy(entry.id, ID_C, sizeof(entry.id));
    message_gossip_write(&data, &entry);
    {
        struct buf packet = { 0 };

        message_header_write(&packet, &head);
        buf_append_bytes(&packet, buf_bytes(&data));
        message_finish(&packet, 1, 0);
        cluster_packet(f.c, IN, buf_bytes(&packet), NOW, &f.e);
        buf_free(&packet);
    }
    CHECK(node_is_primary(f.other) && f.other->config_epoch == 4);
    CHECK(cluster_slot_owner(f.c, 3) == f.other->index);
    /* Each says itself that it is the other's replica. */
    link_both_ways(&f, f.other, 20);
    head.flags = FLAG_REPLICA;
    head.primary = ID_C;
    hear(&f, IN, head);
    head = header(MESSAGE_PING, ID_C);
    head.flags = FLAG_REPLICA;
    head.primary = ID_B;
    hear(&f, 21, head);
    CHECK(f.b->primary == f.other && f.other->primary == f.b);
    cluster_nodes_text(f.c, &text);
    cluster_tick(f.c, NOW + 100, &f.e);
    node_remove(f.c, f.other, NOW, &f.e);
    CHECK(text.len > 0 && f.b->primary == NULL);
    buf_free(&data);
    buf_free(&text);
    done(&f);
}

TESTS(a_packet_that_is_cut_at_any_byte_is_refused_and_changes_nothing,
      counts_and_lengths_at_their_extremes_and_unknown_types_change_nothing,
      of_a_stranger_no_packet_changes_anything_and_each_is_counted,
      a_packet_that_is_replayed_changes_nothing_and_is_counted,
      gossip_changes_nobodys_role_slots_or_epoch_and_replicas_of_each_other_are_walked_to_an_end)
