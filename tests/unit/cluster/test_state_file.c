/* The state file: what is saved is read back, what Redis wrote is read, and what is damaged is refused, never guessed at. */
#include "cluster/cluster_internal.h"
#include "unit/unit.h"

#include <stdio.h>

#define ID_A "0cea2a19014efb9c80da68f01b7393c7870c6223"
#define ID_B "44ed049fcc11de00e8136d063f0a92093d26c8be"
#define ID_C "f9625deb3b2a654c1365399ab1391b42c1dc379d"

#define LINE_B ID_B " 127.0.0.1:21001@31001 master - 0 1795250267688 2 connected 8192-16383\n"
#define LINE_C ID_C " 127.0.0.1:21002@31002 slave " ID_A " 0 1795250267688 1 connected\n"
#define LINE_A ID_A " 127.0.0.1:21000@31000 myself,master - 0 1795250266000 1 connected 0-8191"
#define VARS "vars currentEpoch 2 lastVoteEpoch 0\n"

static const struct cluster_options options = {
    .node_timeout_ms = 1000, .require_full_coverage = true, .port = 21000, .cport = 31000
};
static char error[256];

static struct cluster *load(struct bytes text)
{
    return cluster_load(text, &options, 1, 5000, error);
}

static void check_refused(const char *text, const char *because)
{
    struct cluster *c = load(bytes_of(text));

    if (c != NULL) fail_msg("accepted, though %s", because);
    if (strstr(error, because) == NULL) fail_msg("refused with \"%s\" rather than \"%s\"", error, because);
}

/* Two primaries, a replica, an open slot each way, a host name. */
static struct cluster *example(void)
{
    struct cluster *c = load(BYTES(LINE_B LINE_C LINE_A " [5->-" ID_B "] [9000-<-" ID_B "]\n" VARS));

    assert_non_null(c);
    memcpy(node_find(c, ID_B)->hostname, "node-b.example.com", sizeof("node-b.example.com"));
    return c;
}

TEST(what_redis_wrote_is_read)
{
    struct cluster *c = example();
    struct cluster_node_info info;

    assert_string_equal(cluster_my_id(c), ID_A);
    CHECK(cluster_node_count(c) == 3 && !cluster_is_solo(c));
    CHECK(cluster_node_at(c, 0, &info) && info.slot_count == 8192 && info.config_epoch == 1);
    CHECK(cluster_node_by_id(c, BYTES(ID_B), &info) && info.slot_count == 8192 && info.config_epoch == 2 &&
          info.port == 21001);
    CHECK(cluster_slot_owner(c, 8192) == info.index && cluster_slot_owner(c, 8191) != info.index);
    CHECK(cluster_node_by_id(c, BYTES(ID_C), &info));
    assert_string_equal(info.primary_id, ID_A);
    CHECK(c->current_epoch == 2);
    CHECK(owner_unpack(cluster_owner_word(c, 5)).flags == OWNER_MIGRATING);
    CHECK(owner_unpack(cluster_owner_word(c, 9000)).flags == OWNER_IMPORTING);
    cluster_free(&c);

    c = load(BYTES(ID_A " 127.0.0.1:21000@31000,vk.example,tls-port=0,shard-id=" ID_B
                        " myself,master - 0 0 1 connected\n" VARS "\n\n"));
    assert_non_null(c);
    assert_string_equal(cluster_my_shard_id(c), ID_B);
    cluster_free(&c);
}

TEST(what_is_saved_is_read_back_and_saved_the_same)
{
    struct cluster *c = example(), *again;
    struct buf first = { 0 }, second = { 0 };

    cluster_save(c, &first);
    again = load(buf_bytes(&first));
    if (again == NULL) fail_msg("%s", error);
    cluster_save(again, &second);
    /* Myself comes first from the second time on, so it is the third that is the same. */
    cluster_free(&c);
    c = load(buf_bytes(&second));
    buf_clear(&first);
    cluster_save(c, &first);
    CHECK(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
        CHECK((cluster_owner_word(c, (uint16_t)slot) & 0xffff) == (cluster_owner_word(again, (uint16_t)slot) & 0xffff));
    cluster_free(&c);
    cluster_free(&again);
    buf_free(&first);
    buf_free(&second);
}

TEST(a_solo_node_is_solo_and_serves_after_a_restart)
{
    struct cluster *c = cluster_new(&options, 1, 1000);
    struct buf file = { 0 };
    char id[NODE_ID_BYTES + 1];

    memcpy(id, cluster_my_id(c), sizeof(id));
    cluster_save(c, &file);
    cluster_free(&c);
    c = load(buf_bytes(&file));
    assert_non_null(c);
    assert_string_equal(cluster_my_id(c), id);
    CHECK(cluster_is_solo(c) && cluster_state_ok(c) && cluster_slot_owner(c, 77) >= 0);
    cluster_free(&c);
    buf_free(&file);
}

TEST(a_file_cut_anywhere_is_refused)
{
    struct cluster *c = example(), *cut;
    struct buf file = { 0 };

    cluster_save(c, &file);
    for (size_t len = 0; len < file.len; len++) {
        cut = load((struct bytes){ file.data, len });
        if (cut != NULL) fail_msg("accepted, cut after %zu of %zu bytes", len, file.len);
        CHECK(error[0] != '\0');
    }
    cluster_free(&c);
    buf_free(&file);
}

TEST(a_file_with_any_bit_flipped_is_refused)
{
    struct cluster *c = example(), *flipped;
    struct buf file = { 0 };

    cluster_save(c, &file);
    for (size_t i = 0; i < file.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            file.data[i] = (char)(file.data[i] ^ 1 << bit);
            flipped = load(buf_bytes(&file));
            if (flipped != NULL) fail_msg("accepted, with bit %d of byte %zu flipped", bit, i);
            file.data[i] = (char)(file.data[i] ^ 1 << bit);
        }
    cluster_free(&c);
    buf_free(&file);
}

TEST(a_file_with_something_behind_it_is_refused)
{
    struct cluster *c = example();
    struct buf file = { 0 };

    cluster_save(c, &file);
    buf_append_byte(&file, '\n');
    CHECK(load(buf_bytes(&file)) == NULL);
    cluster_free(&c);
    buf_free(&file);
}

TEST(a_plain_file_cut_short_is_refused)
{
    static const char text[] = LINE_B LINE_C LINE_A "\n" VARS;

    for (size_t len = 0; len < sizeof(text) - 1; len++) CHECK(load((struct bytes){ text, len }) == NULL);
}

TEST(a_refusal_says_why)
{
    check_refused("", "no node is myself");
    check_refused("hello\n", "too short");
    check_refused(LINE_B VARS, "no node is myself");
    check_refused(LINE_A "\n" LINE_A "\n" VARS, "is there twice");
    check_refused(LINE_A "\n" ID_B " 1.2.3.4:1@2 myself,master - 0 0 0 connected\n" VARS, "a second node is myself");
    check_refused(LINE_A "\n", "no vars line");
    check_refused(LINE_A "\n" VARS VARS, "a second vars line");
    check_refused(LINE_C LINE_B VARS, "no node is myself");
    check_refused(LINE_A "\n" LINE_B LINE_C ID_C " x\n" VARS, "too short");
    check_refused(LINE_A " 8192\n" LINE_B VARS, "slot 8192 has two owners");
    check_refused(LINE_A " 16384\n" VARS, "not a slot");
    check_refused(LINE_A " 9-8\n" VARS, "backwards");
    check_refused(LINE_A " x\n" VARS, "not a slot");
    check_refused(LINE_A " [7->-" ID_C "]\n" VARS, "names a node that is not there");
    check_refused(LINE_A " [7-]\n" VARS, "not an open slot");
    check_refused(LINE_B ID_C " 127.0.0.1:21002@31002 slave " ID_A " 0 0 1 connected\n" VARS, "no node is myself");
    check_refused(ID_A " 1.2.3.4:1@2 myself,master - 0 0 0 connected\n" ID_C " 1.2.3.4:3@4 slave " ID_B
                       " 0 0 1 connected\n" VARS,
                  "names a node that is not there");
    check_refused(ID_A " 1.2.3.4:1@2 myself,boss - 0 0 0 connected\n" VARS, "unknown flag");
    check_refused(ID_A " 1.2.3.4:1@2 myself - 0 0 0 connected\n" VARS, "either master or slave");
    check_refused(ID_A " 1.2.3.4:99999@2 myself,master - 0 0 0 connected\n" VARS, "not a port");
    check_refused(ID_A " 1.2.3.4 myself,master - 0 0 0 connected\n" VARS, "not an address");
    check_refused(ID_A " 1.2.3.4:1@2 myself,master - 0 0 18446744073709551615 connected\n" VARS, "not an epoch");
    check_refused("0CEA2a19014efb9c80da68f01b7393c7870c6223 1.2.3.4:1@2 myself,master - 0 0 0 connected\n" VARS,
                  "not a node id");
    check_refused("redis-shard-cluster 1\n", "cut short");
    check_refused(LINE_A " 9-16384\n" VARS, "not a slot");
    check_refused(LINE_A " [9->-" ID_B "\n" LINE_B VARS, "not an open slot");
    check_refused(LINE_A " [9-x-" ID_B "]\n" LINE_B VARS, "not an open slot");
    check_refused(LINE_A " [16384->-" ID_B "]\n" LINE_B VARS, "not a slot");
    check_refused(LINE_A "\n" ID_B " 127.0.0.1:21001@31001 master - 0 0 2 connected [9->-" ID_A "]\n" VARS,
                  "not an open slot");
    check_refused(LINE_B ID_A " 1.2.3.4:1@2 myself,slave " ID_B " 0 0 1 connected\n" VARS, "is a replica there");
    check_refused(LINE_A "\n" ID_B " 1.2.3.4:1@2 master " ID_A " 0 0 1 connected\n" VARS, "a master with a master");
    check_refused(LINE_A "\n" ID_C " 1.2.3.4:1@2 slave " ID_C " 0 0 1 connected\n" VARS, "its own master");
    check_refused(LINE_A "\n" ID_C " 1.2.3.4:1@2 handshake,master - 0 0 1 connected\n" VARS, "in handshake");
    check_refused(LINE_A "\n" ID_C " 1.2.3.4:1@2 master - 0 0 1 perhaps\n" VARS, "neither connected nor");
    check_refused(LINE_A "\n" ID_C " 1.2.3\t4:1@2 master - 0 0 1 connected\n" VARS, "not an address");
    check_refused(LINE_A "\n" ID_C " 1.2.3.4:1@2,a_b master - 0 0 1 connected\n" VARS, "not a host name");
    check_refused(LINE_A "\n" ID_C " 1.2.3.4:60000 master - 0 0 1 connected\n" VARS, "not a port");
    check_refused(LINE_A "\nvars currentEpoch 18446744073709551615 lastVoteEpoch 0\n", "without a number");
    check_refused(LINE_A "\nvars currentEpoch 1 lastVoteEpoch 0", "the last line has no end");
}

/* As the reader of our own form would see it: what is in the file, framed by our first line and the checksum. */
static void check_framed_refused(const char *lines, const char *because)
{
    struct buf text = { 0 };
    uint64_t crc = UINT64_MAX;

    buf_printf(&text, "redis-shard-cluster 1\n%s", lines);
    for (size_t i = 0; i < text.len; i++) {
        crc ^= (uint8_t)text.data[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? crc >> 1 ^ 0xc96c5795d7870f42u : crc >> 1;
    }
    buf_printf(&text, "checksum %016llx\n", (unsigned long long)~crc);
    buf_append_byte(&text, '\0');
    check_refused(text.data, because);
    buf_free(&text);
}

TEST(a_sound_checksum_does_not_make_an_impossible_state_possible)
{
    check_framed_refused(LINE_A "\n" VARS "vars", "too short");
    check_framed_refused(LINE_A "\nvars currentEpoch 2 unheardOf 7\n", "an unknown var");
    check_framed_refused(LINE_A "\nvars currentEpoch 2 lastVoteEpoch 0 solo 1\n", "solo, but not alone");
    check_framed_refused(ID_A " 1.2.3.4:1@2 myself,master - 0 0 0 connected\n" LINE_C
                              "vars currentEpoch 2 lastVoteEpoch 0 solo 1\n",
                         "solo, but not alone");
}

/* A node whose current epoch is below one it has seen would take that one again. */
TEST(what_a_file_contradicts_itself_in_is_read_on_the_safe_side)
{
    struct cluster *c =
        load(BYTES(LINE_B LINE_A " [9000->-" ID_B "] [5-<-" ID_B "]\nvars currentEpoch 1 lastVoteEpoch 0\n"));

    assert_non_null(c);
    CHECK(c->current_epoch == 2);
    CHECK(owner_unpack(cluster_owner_word(c, 5)).flags == 0 && owner_unpack(cluster_owner_word(c, 9000)).flags == 0);
    cluster_free(&c);
}

TESTS(what_redis_wrote_is_read, what_is_saved_is_read_back_and_saved_the_same,
      a_solo_node_is_solo_and_serves_after_a_restart, a_file_cut_anywhere_is_refused,
      a_file_with_any_bit_flipped_is_refused, a_file_with_something_behind_it_is_refused,
      a_plain_file_cut_short_is_refused, a_refusal_says_why,
      a_sound_checksum_does_not_make_an_impossible_state_possible,
      what_a_file_contradicts_itself_in_is_read_on_the_safe_side)
