/* The wire as it was captured from Redis 7.0.15, byte for byte; and what no honest node sends is refused. */
#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "unit/unit.h"

#include <stdio.h>

#define NODE_A "b732f8bbc0c3a60dee7d8a44874b824d393397e3"
#define NODE_B "7686f8bbc0c3a60dee7d8a44874b824d39339700"
#define SHARD_ID 3 /* as an extension */

static void put_be(struct buf *out, size_t at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) out->data[at + i] = (char)(value >> (8 * (bytes - 1 - i)));
}

/* The captured MEET: hostname set, slots 0-9, epoch 7. */
static void captured_meet(struct buf *out)
{
    static const unsigned char start[] = { 0x52, 0x43, 0x6d, 0x62, 0x00, 0x00, 0x08, 0xf0, 0x00, 0x01, 0x52,
                                           0x08, 0x00, 0x02, 0,    0,    0,    0,    0,    0,    0,    0,
                                           0,    0x07, 0,    0,    0,    0,    0,    0,    0,    0x07 };
    static const unsigned char end[] = { 0x79, 0x18, 0x00, 0x11, 0x01, 0x04, 0x00, 0x00 };
    static const unsigned char extension[] = { 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00 };

    memset(buf_reserve(out, 2288), 0, 2288);
    buf_added(out, 2288);
    memcpy(out->data, start, sizeof(start));
    memcpy(out->data + 40, NODE_A, 40);
    out->data[80] = (char)0xff;
    out->data[81] = 0x03;
    out->data[2215] = 1;
    memcpy(out->data + 2248, end, sizeof(end));
    memcpy(out->data + 2256, extension, sizeof(extension));
    memcpy(out->data + 2264, "node-a.example.com", 18);
}

static struct message_header header_of_node_a(uint16_t type)
{
    static uint8_t slots[SLOT_BITMAP_BYTES] = { 0xff, 0x03 };

    return (struct message_header){ .type = type,
                                    .port = 21000,
                                    .cport = 31000,
                                    .flags = 0x11,
                                    .state = 1,
                                    .mflags = MESSAGE_EXT_DATA,
                                    .current_epoch = 7,
                                    .config_epoch = 7,
                                    .sender = NODE_A,
                                    .primary = "",
                                    .ip = "",
                                    .slots = slots };
}

static void message_of(uint16_t type, struct buf *out)
{
    struct message_header header = header_of_node_a(type);

    buf_clear(out);
    message_header_write(out, &header);
    message_finish(out, 0, 0);
}

static enum message_verdict verdict_of(const struct buf *packet)
{
    struct message message;

    return message_decode(buf_bytes(packet), &message);
}

TEST(the_captured_meet_is_what_we_write)
{
    struct buf captured = { 0 }, ours = { 0 };
    struct message_header header = header_of_node_a(MESSAGE_MEET);

    captured_meet(&captured);
    message_header_write(&ours, &header);
    message_hostname_write(&ours, "node-a.example.com");
    message_finish(&ours, 0, 1);
    CHECK(ours.len == 2288);
    CHECK(bytes_equal(buf_bytes(&ours), buf_bytes(&captured)));
    buf_free(&captured);
    buf_free(&ours);
}

TEST(the_captured_meet_is_read)
{
    struct buf captured = { 0 };
    struct message message;

    captured_meet(&captured);
    CHECK(cluster_frame(buf_bytes(&captured)) == 2288);
    CHECK(message_decode(buf_bytes(&captured), &message) == MESSAGE_OK);
    CHECK(message.type == MESSAGE_MEET && message.port == 21000 && message.cport == 31000 && message.flags == 0x11);
    CHECK(message.state == 1 && message.current_epoch == 7 && message.config_epoch == 7);
    assert_string_equal(message.sender, NODE_A);
    assert_string_equal(message.primary, "");
    assert_string_equal(message.hostname, "node-a.example.com");
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) CHECK(bitmap_has(message.slots, slot) == (slot < 10));
    buf_free(&captured);
}

TEST(a_gossip_entry_lies_where_redis_puts_it)
{
    static const unsigned char times[] = { 0, 0, 0, 0, 0x6b, 0x01, 0x58, 0x8c };
    static const unsigned char end[] = { 0x52, 0x09, 0x79, 0x19, 0x00, 0x01, 0, 0, 0, 0 };
    struct gossip entry = {
        .id = NODE_B, .pong_received_s = 0x6b01588c, .ip = "127.0.0.1", .port = 21001, .cport = 31001, .flags = 1
    };
    struct buf packet = { 0 };
    struct message_header header = header_of_node_a(MESSAGE_PONG);
    struct message message;
    struct gossip read;

    message_header_write(&packet, &header);
    message_gossip_write(&packet, &entry);
    message_hostname_write(&packet, "node-a.example.com");
    message_finish(&packet, 1, 1);
    CHECK(packet.len == 2392);
    CHECK(memcmp(packet.data + 2256, NODE_B, 40) == 0);
    CHECK(memcmp(packet.data + 2296, times, sizeof(times)) == 0);
    CHECK(memcmp(packet.data + 2304, "127.0.0.1\0", 10) == 0);
    CHECK(memcmp(packet.data + 2350, end, sizeof(end)) == 0);

    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK);
    CHECK(gossip_decode(&message, 0, &read) && !gossip_decode(&message, 1, &read));
    assert_string_equal(read.id, NODE_B);
    assert_string_equal(read.ip, "127.0.0.1");
    CHECK(read.port == 21001 && read.cport == 31001 && read.flags == 1 && read.pong_received_s == 0x6b01588c);
    buf_free(&packet);
}

TEST(a_publish_as_captured_is_read_and_its_lengths_are_checked)
{
    static const char payload[] = "\0\0\0\4\0\0\0\5chanhello";
    struct buf packet = { 0 }, written = { 0 };
    struct message message;

    message_of(MESSAGE_PUBLISH, &packet);
    buf_append(&packet, payload, sizeof(payload) - 1);
    message_finish(&packet, 0, 0);
    CHECK(packet.len == 2273 && verdict_of(&packet) == MESSAGE_OK);
    message_decode(buf_bytes(&packet), &message);
    CHECK(bytes_equal(message.channel, BYTES("chan")) && bytes_equal(message.text, BYTES("hello")));
    message_of(MESSAGE_PUBLISH, &written);
    message_publish_write(&written, BYTES("chan"), BYTES("hello"));
    message_finish(&written, 0, 0);
    CHECK(bytes_equal(buf_bytes(&written), buf_bytes(&packet)));
    buf_free(&written);
    /* Lengths whose sum, in 32 bits, would be right. */
    put_be(&packet, 2256, 0xffffffff, 4);
    put_be(&packet, 2260, 10, 4);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_LENGTH);
    buf_free(&packet);
}

TEST(each_type_has_its_exact_length)
{
    static const struct {
        uint16_t type;
        size_t data;
    } types[] = { { MESSAGE_PING, 0 },     { MESSAGE_PONG, 0 },        { MESSAGE_MEET, 0 },
                  { MESSAGE_FAIL, 40 },    { MESSAGE_PUBLISH, 8 },     { MESSAGE_AUTH_REQUEST, 0 },
                  { MESSAGE_AUTH_ACK, 0 }, { MESSAGE_UPDATE, 2096 },   { MESSAGE_MFSTART, 0 },
                  { MESSAGE_MODULE, 13 },  { MESSAGE_PUBLISHSHARD, 8 } };
    struct buf packet = { 0 };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (size_t data = types[i].data > 0 ? types[i].data - 1 : 0; data <= types[i].data + 1; data++) {
            message_of(types[i].type, &packet);
            memset(buf_reserve(&packet, data),
                   types[i].type == MESSAGE_FAIL || types[i].type == MESSAGE_UPDATE ? 'a' : 0, data);
            buf_added(&packet, data);
            if (types[i].type == MESSAGE_UPDATE && data >= 8) memset(packet.data + 2256, 0, 8);
            message_finish(&packet, 0, 0);
            CHECK((verdict_of(&packet) == MESSAGE_OK) == (data == types[i].data));
        }
    }
    buf_free(&packet);
}

TEST(a_count_of_gossip_that_is_not_there_is_refused)
{
    struct buf packet = { 0 };

    message_of(MESSAGE_PING, &packet);
    put_be(&packet, 14, 1, 2);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_LENGTH);
    put_be(&packet, 14, 0xffff, 2);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_LENGTH);
    buf_free(&packet);
}

TEST(extensions_are_followed_only_as_far_as_they_reach)
{
    static const uint32_t lengths[] = { 0, 1, 7, 9, 25, 40, 0x10020, 0x80000020, 0xffffffff };
    struct buf packet = { 0 };

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        buf_clear(&packet);
        captured_meet(&packet);
        CHECK(verdict_of(&packet) == MESSAGE_OK);
        put_be(&packet, 2256, lengths[i], 4);
        CHECK(verdict_of(&packet) == MESSAGE_BAD_EXTENSION);
    }
    /* One more than there are. */
    buf_clear(&packet);
    captured_meet(&packet);
    put_be(&packet, 2214, 2, 2);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_EXTENSION);
    /* Shorter than what lies there. */
    put_be(&packet, 2214, 1, 2);
    put_be(&packet, 2256, 24, 4);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_LENGTH);
    buf_free(&packet);
}

TEST(extensions_count_for_nothing_without_their_bit)
{
    struct buf packet = { 0 };
    struct message message;

    message_of(MESSAGE_PING, &packet);
    put_be(&packet, 2214, 0xffff, 2);
    packet.data[2253] = 0;
    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK);
    CHECK(message.extensions == 0 && message.hostname[0] == '\0');
    buf_free(&packet);
}

TEST(nodes_to_be_forgotten_are_come_to_once_each)
{
    static const char *const ids[] = { NODE_A, "not an id: it has spaces, and is refused", NODE_B };
    struct buf packet = { 0 };
    struct message message;
    char id[NODE_ID_BYTES + 1];
    uint64_t ttl_s;
    size_t at = 0;

    message_of(MESSAGE_PING, &packet);
    for (unsigned i = 0; i < 3; i++) {
        size_t head = packet.len;

        memset(buf_reserve(&packet, 56), 0, 56);
        buf_added(&packet, 56);
        put_be(&packet, head, 56, 4);
        put_be(&packet, head + 4, 2, 2);
        memcpy(packet.data + head + 8, ids[i], NODE_ID_BYTES);
        put_be(&packet, head + 48, 30 + i, 8);
    }
    message_shard_id_write(&packet, NODE_A);
    message_finish(&packet, 0, 4);
    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK);
    CHECK(message_forgotten(&message, &at, id, &ttl_s) && strcmp(id, NODE_A) == 0 && ttl_s == 30);
    CHECK(at == 56);
    CHECK(message_forgotten(&message, &at, id, &ttl_s) && strcmp(id, NODE_B) == 0 && ttl_s == 32);
    CHECK(at == 168);
    CHECK(!message_forgotten(&message, &at, id, &ttl_s));
    buf_free(&packet);
}

TEST(ids_and_texts_that_could_forge_a_line_are_refused)
{
    struct buf packet = { 0 };
    struct message message;

    message_of(MESSAGE_PING, &packet);
    packet.data[45] = '\n';
    CHECK(verdict_of(&packet) == MESSAGE_BAD_FIELD);
    message_of(MESSAGE_PING, &packet);
    packet.data[45] = 'A';
    CHECK(verdict_of(&packet) == MESSAGE_BAD_FIELD);
    message_of(MESSAGE_PING, &packet);
    memcpy(packet.data + 2128, "x", 1);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_FIELD);
    message_of(MESSAGE_PING, &packet);
    memcpy(packet.data + 2168, "1.2.3.4 evil", 12);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_FIELD);
    message_of(MESSAGE_PING, &packet);
    memset(packet.data + 2168, '1', 46); /* no end */
    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK && strlen(message.ip) == 45);

    buf_clear(&packet);
    captured_meet(&packet);
    packet.data[2266] = '\n';
    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK && message.hostname[0] == '\0');
    buf_free(&packet);
}

TEST(an_epoch_that_nobody_could_outbid_is_refused)
{
    struct buf packet = { 0 };

    for (size_t at = 16; at <= 24; at += 8) {
        message_of(MESSAGE_PING, &packet);
        put_be(&packet, at, UINT64_MAX, 8);
        CHECK(verdict_of(&packet) == MESSAGE_BAD_FIELD);
        put_be(&packet, at, (UINT64_MAX >> 1), 8);
        CHECK(verdict_of(&packet) == MESSAGE_OK);
    }
    buf_free(&packet);
}

TEST(a_frame_is_cut_by_its_own_length)
{
    struct buf packet = { 0 };

    captured_meet(&packet);
    for (size_t len = 0; len < packet.len; len++) CHECK(cluster_frame((struct bytes){ packet.data, len }) == 0);
    buf_append_byte(&packet, 'R');
    CHECK(cluster_frame(buf_bytes(&packet)) == 2288);

    CHECK(cluster_frame(BYTES("GET / HTTP/1.1")) == -1);
    CHECK(cluster_frame(BYTES("RCmB")) == -1);
    put_be(&packet, 4, 2255, 4);
    CHECK(cluster_frame(buf_bytes(&packet)) == -1);
    put_be(&packet, 4, 0xffffffff, 4);
    CHECK(cluster_frame(buf_bytes(&packet)) == -1);
    put_be(&packet, 4, CLUSTER_PACKET_BYTES_MAX, 4);
    CHECK(cluster_frame(buf_bytes(&packet)) == 0);
    put_be(&packet, 4, CLUSTER_PACKET_BYTES_MAX + 1, 4);
    CHECK(cluster_frame(buf_bytes(&packet)) == -1);
    buf_free(&packet);
}

TEST(another_version_is_another_matter)
{
    struct buf packet = { 0 };

    message_of(MESSAGE_PING, &packet);
    put_be(&packet, 8, 2, 2);
    CHECK(verdict_of(&packet) == MESSAGE_OTHER_VERSION);
    buf_free(&packet);
}

static void append_extension(struct buf *packet, unsigned type, const char *data, size_t len, uint32_t said_bytes)
{
    size_t head = packet->len;

    memset(buf_reserve(packet, 8 + len), 0, 8 + len);
    buf_added(packet, 8 + len);
    put_be(packet, head, said_bytes, 4);
    put_be(packet, head + 4, type, 2);
    memcpy(packet->data + head + 8, data, len);
}

static struct message ping_with_extension(struct buf *packet, unsigned type, const char *data, size_t len)
{
    struct message message;

    message_of(MESSAGE_PING, packet);
    append_extension(packet, type, data, len, (uint32_t)(8 + len));
    message_finish(packet, 0, 1);
    CHECK(message_decode(buf_bytes(packet), &message) == MESSAGE_OK);
    return message;
}

TEST(names_that_do_not_end_or_are_of_another_length_are_none)
{
    char long_name[264];
    struct buf packet = { 0 };

    memset(long_name, 'h', sizeof(long_name));
    assert_string_equal(ping_with_extension(&packet, 0, "host\0\0\0", 8).hostname, "host");
    assert_string_equal(ping_with_extension(&packet, 0, "abcdefgh", 8).hostname, "");
    long_name[255] = '\0';
    CHECK(strlen(ping_with_extension(&packet, 0, long_name, 264).hostname) == 255);
    long_name[255] = 'h';
    long_name[256] = '\0';
    assert_string_equal(ping_with_extension(&packet, 0, long_name, 264).hostname, "");

    assert_string_equal(ping_with_extension(&packet, SHARD_ID, NODE_A, 40).shard_id, NODE_A);
    assert_string_equal(ping_with_extension(&packet, SHARD_ID, NODE_A "01234567", 48).shard_id, "");
    assert_string_equal(ping_with_extension(&packet, SHARD_ID, "B732F8BBC0C3A60DEE7D8A44874B824D393397E3", 40).shard_id,
                        "");
    buf_free(&packet);
}

TEST(an_extension_of_more_than_its_count_can_say_is_refused)
{
    static char data[0x10000];
    struct buf packet = { 0 };

    message_of(MESSAGE_PING, &packet);
    append_extension(&packet, 77, data, sizeof(data), 8 + sizeof(data));
    message_finish(&packet, 0, 1);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_EXTENSION);
    message_of(MESSAGE_PING, &packet);
    append_extension(&packet, 77, data, 0xfff8 - 8, 0xfff8);
    message_finish(&packet, 0, 1);
    CHECK(verdict_of(&packet) == MESSAGE_OK);
    buf_free(&packet);
}

TEST(whom_a_message_is_about_has_an_id_and_an_epoch_that_can_be)
{
    struct buf packet = { 0 };

    message_of(MESSAGE_FAIL, &packet);
    buf_append(&packet, "B732F8BBC0C3A60DEE7D8A44874B824D393397E3", 40);
    message_finish(&packet, 0, 0);
    CHECK(verdict_of(&packet) == MESSAGE_BAD_FIELD);

    for (int over = 0; over <= 1; over++) {
        uint8_t slots[SLOT_BITMAP_BYTES] = { 0 };

        message_of(MESSAGE_UPDATE, &packet);
        message_update_write(&packet, EPOCH_MAX + (uint64_t)over, NODE_B, slots);
        message_finish(&packet, 0, 0);
        CHECK(verdict_of(&packet) == (over ? MESSAGE_BAD_FIELD : MESSAGE_OK));
    }
    buf_free(&packet);
}

TEST(a_packet_is_as_long_as_it_says_whatever_its_type)
{
    struct buf packet = { 0 };

    message_of(77, &packet);
    CHECK(verdict_of(&packet) == MESSAGE_OK);
    buf_append_byte(&packet, 'x');
    CHECK(verdict_of(&packet) == MESSAGE_BAD_LENGTH);
    message_finish(&packet, 0, 0);
    CHECK(verdict_of(&packet) == MESSAGE_OK);
    buf_free(&packet);
}

TEST(a_gossip_entry_with_an_impossible_id_or_address_is_passed_over)
{
    static const struct {
        const char *id, *ip;
        bool good;
    } entries[] = { { NODE_B, "127.0.0.1", true },
                    { "B686F8BBC0C3A60DEE7D8A44874B824D39339700", "127.0.0.1", false },
                    { NODE_B, "127.0.0.1 x", false } };
    struct buf packet = { 0 };
    struct message_header header = header_of_node_a(MESSAGE_PONG);
    struct message message;
    struct gossip read;

    header.mflags = 0;
    message_header_write(&packet, &header);
    for (size_t i = 0; i < 3; i++) {
        struct gossip entry = { .port = 1, .cport = 2 };

        memcpy(entry.id, entries[i].id, NODE_ID_BYTES);
        snprintf(entry.ip, sizeof(entry.ip), "%s", entries[i].ip);
        message_gossip_write(&packet, &entry);
    }
    message_finish(&packet, 3, 0);
    CHECK(message_decode(buf_bytes(&packet), &message) == MESSAGE_OK);
    for (size_t i = 0; i < 3; i++) CHECK(gossip_decode(&message, i, &read) == entries[i].good);
    buf_free(&packet);
}

TEST(a_node_to_be_forgotten_is_named_at_its_exact_length)
{
    struct buf packet = { 0 };
    struct message message = ping_with_extension(&packet, 2, NODE_B "\0\0\0\0\0\0\0\x3cxxxxxxx", 56);
    char id[NODE_ID_BYTES + 1];
    uint64_t ttl_s;
    size_t at = 0;

    CHECK(!message_forgotten(&message, &at, id, &ttl_s));
    buf_free(&packet);
}

TESTS(names_that_do_not_end_or_are_of_another_length_are_none, an_extension_of_more_than_its_count_can_say_is_refused,
      whom_a_message_is_about_has_an_id_and_an_epoch_that_can_be, a_packet_is_as_long_as_it_says_whatever_its_type,
      a_gossip_entry_with_an_impossible_id_or_address_is_passed_over,
      a_node_to_be_forgotten_is_named_at_its_exact_length, the_captured_meet_is_what_we_write,
      the_captured_meet_is_read, a_gossip_entry_lies_where_redis_puts_it,
      a_publish_as_captured_is_read_and_its_lengths_are_checked, each_type_has_its_exact_length,
      a_count_of_gossip_that_is_not_there_is_refused, extensions_are_followed_only_as_far_as_they_reach,
      extensions_count_for_nothing_without_their_bit, nodes_to_be_forgotten_are_come_to_once_each,
      ids_and_texts_that_could_forge_a_line_are_refused, an_epoch_that_nobody_could_outbid_is_refused,
      a_frame_is_cut_by_its_own_length, another_version_is_another_matter)
