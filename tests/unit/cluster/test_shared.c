/* The text that all nodes of our kind are to have the same of: said, asked for, told; never to nodes of another kind, never unasked. */
#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "unit/unit.h"

#define ID_B "7686f8bbc0c3a60dee7d8a44874b824d39339700"
#define NOW 1700000000000
#define OUT 10 /* our link to B */
#define IN 11  /* B's to us */

enum { SAY = 1, ASK = 2, TELL = 3 };

static const struct cluster_options options = {
    .node_timeout_ms = 100000, .require_full_coverage = true, .port = 7000, .cport = 17000
};

struct fixture {
    struct cluster *c;
    struct effects e;
};

static struct fixture begin(bool solo)
{
    struct fixture f = { .c = cluster_new(&options, 42, NOW) };
    struct node *b = node_add(f.c, ID_B, FLAG_PRIMARY, NOW);

    f.c->solo = solo;
    node_set_address(f.c, b, "127.0.0.2", 8000, 18000, 0, &f.e);
    b->connecting = true;
    b->pong_received_ms = NOW;
    cluster_link_opened(f.c, b->index, OUT, NOW, &f.e);
    cluster_link_accepted(f.c, IN, "127.0.0.1", "127.0.0.2", NOW);
    cluster_settle(f.c, true, NOW, &f.e);
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    effects_clear(&f.e);
    return f;
}

static void end(struct fixture *f)
{
    effects_free(&f->e);
    cluster_free(&f->c);
}

static void hear(struct fixture *f, uint16_t type, bool ours, struct bytes data, int64_t now_ms)
{
    static uint64_t sequence;
    struct buf packet = { 0 };
    struct message_header head = { .type = type,
                                   .port = 8000,
                                   .cport = 18000,
                                   .flags = FLAG_PRIMARY | FLAG_MYSELF,
                                   .sender = ID_B,
                                   .primary = "",
                                   .ip = "",
                                   .mark = { .is_ours = ours, .incarnation = 1, .sequence = ++sequence } };

    message_header_write(&packet, &head);
    buf_append_bytes(&packet, data);
    message_finish(&packet, 0, 0);
    effects_clear(&f->e);
    cluster_packet(f->c, IN, buf_bytes(&packet), now_ms, &f->e);
    buf_free(&packet);
}

static void hear_module(struct fixture *f, uint8_t type, uint64_t epoch, uint64_t number, const char *text,
                        int64_t now_ms)
{
    struct buf payload = { 0 }, data = { 0 };

    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(&payload, (char)(epoch >> shift));
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(&payload, (char)(number >> shift));
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(&payload, 0);
    if (text != NULL) buf_append_text(&payload, text);
    message_module_write(&data, "rshdpoly", type, buf_bytes(&payload));
    hear(f, MESSAGE_MODULE, true, buf_bytes(&data), now_ms);
    buf_free(&payload);
    buf_free(&data);
}

/* How many such messages there are among the effects; the last one's payload. */
static size_t sent(const struct fixture *f, uint8_t type, cluster_link link, struct buf *payload)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++) {
        struct message message;

        if (f->e.items[i].kind != EFFECT_SEND || f->e.items[i].link != link) continue;
        CHECK(message_decode(f->e.items[i].data, &message) == MESSAGE_OK);
        if (message.type != MESSAGE_MODULE || memcmp(message.module, "rshdpoly", 8) != 0) continue;
        if (message.module_type != type) continue;
        count++;
        if (payload == NULL) continue;
        buf_clear(payload);
        buf_append_bytes(payload, message.module_payload);
    }
    return count;
}

static size_t said(struct fixture *f, int64_t now_ms)
{
    effects_clear(&f->e);
    cluster_tick(f->c, now_ms, &f->e);
    return sent(f, SAY, OUT, NULL);
}

static bool came(const struct fixture *f, const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++)
        if (f->e.items[i].kind == EFFECT_SHARED) {
            count++;
            if (text == NULL || !bytes_equal(f->e.items[i].data, bytes_of(text))) return false;
        }
    return count == (text == NULL ? 0 : 1);
}

static void share(struct fixture *f, uint64_t epoch, uint64_t number, const char *text)
{
    cluster_share(f->c, &(struct cluster_shared_version){ epoch, number, 1 }, bytes_of(text));
}

TEST(a_new_version_is_said_once_and_then_now_and_then)
{
    struct fixture f = begin(false);

    hear(&f, MESSAGE_PING, true, BYTES_NONE, NOW);
    CHECK(said(&f, NOW + 100) == 0); /* nothing was ever set */
    share(&f, 1, 1, "text");
    CHECK(said(&f, NOW + 200) == 1);
    CHECK(said(&f, NOW + 300) == 0);
    CHECK(said(&f, NOW + 9000) == 0);
    CHECK(said(&f, NOW + 10300) == 1);
    share(&f, 1, 1, "text"); /* not later */
    CHECK(said(&f, NOW + 10400) == 0);
    share(&f, 1, 2, "another");
    CHECK(said(&f, NOW + 10500) == 1);
    end(&f);
}

TEST(nodes_of_another_kind_are_told_nothing)
{
    struct fixture f = begin(false);
    struct fixture alone = begin(true);

    share(&f, 1, 1, "text");
    hear(&f, MESSAGE_PING, false, BYTES_NONE, NOW);
    CHECK(said(&f, NOW + 100) == 0 && said(&f, NOW + 20000) == 0);
    hear(&f, MESSAGE_PING, true, BYTES_NONE, NOW + 20000);
    CHECK(said(&f, NOW + 20100) == 1);

    share(&alone, 1, 1, "text");
    hear(&alone, MESSAGE_PING, true, BYTES_NONE, NOW);
    alone.c->solo = true;
    CHECK(said(&alone, NOW + 100) == 0);
    end(&alone);
    end(&f);
}

TEST(a_later_version_is_asked_for_and_then_heard_once)
{
    struct fixture f = begin(false);

    hear(&f, MESSAGE_PING, true, BYTES_NONE, NOW);
    share(&f, 2, 5, "ours");
    hear_module(&f, TELL, 2, 6, "unasked", NOW);
    CHECK(came(&f, NULL));
    hear_module(&f, SAY, 2, 4, NULL, NOW);
    CHECK(sent(&f, ASK, IN, NULL) == 0);
    hear_module(&f, SAY, 1, 9, NULL, NOW);
    CHECK(sent(&f, ASK, IN, NULL) == 0);
    hear_module(&f, SAY, 2, 6, NULL, NOW);
    CHECK(sent(&f, ASK, IN, NULL) == 1);
    hear_module(&f, SAY, 2, 6, NULL, NOW + 500);
    CHECK(sent(&f, ASK, IN, NULL) == 0); /* not so soon again */
    effects_clear(&f.e);
    cluster_tick(f.c, NOW + 900, &f.e);
    CHECK(sent(&f, ASK, OUT, NULL) == 0);
    cluster_tick(f.c, NOW + 1000, &f.e);
    CHECK(sent(&f, ASK, OUT, NULL) == 1); /* but without being told again */
    hear_module(&f, TELL, 2, 6, "theirs", NOW + 1100);
    CHECK(came(&f, "theirs"));
    hear_module(&f, TELL, 2, 6, "theirs", NOW + 1100);
    CHECK(came(&f, NULL));
    /* What was not taken over is asked for again. */
    hear_module(&f, SAY, 2, 6, NULL, NOW + 2100);
    CHECK(sent(&f, ASK, IN, NULL) == 1);
    end(&f);
}

TEST(who_asks_is_told_and_not_too_often)
{
    struct fixture f = begin(false);
    struct buf payload = { 0 };

    hear(&f, MESSAGE_PING, true, BYTES_NONE, NOW);
    hear_module(&f, ASK, 0, 0, NULL, NOW);
    CHECK(sent(&f, TELL, IN, NULL) == 0); /* there is nothing */
    share(&f, 3, 7, "the text");
    hear_module(&f, ASK, 0, 0, NULL, NOW + 1000);
    CHECK(sent(&f, TELL, IN, &payload) == 1);
    CHECK(payload.len == 24 + 8 && memcmp(payload.data + 24, "the text", 8) == 0);
    CHECK(payload.data[7] == 3 && payload.data[15] == 7);
    hear_module(&f, ASK, 0, 0, NULL, NOW + 1100);
    CHECK(sent(&f, TELL, IN, NULL) == 0);
    hear_module(&f, ASK, 0, 0, NULL, NOW + 1600);
    CHECK(sent(&f, TELL, IN, NULL) == 1);
    buf_free(&payload);
    end(&f);
}

TEST(what_is_too_short_or_not_meant_for_us_is_ignored)
{
    struct fixture f = begin(false);
    struct buf data = { 0 };

    hear(&f, MESSAGE_PING, true, BYTES_NONE, NOW);
    message_module_write(&data, "rshdpoly", SAY, BYTES("1234567890123456789012"));
    hear(&f, MESSAGE_MODULE, true, buf_bytes(&data), NOW);
    CHECK(sent(&f, ASK, IN, NULL) == 0);
    hear_module(&f, 9, 9, 9, NULL, NOW);
    CHECK(sent(&f, ASK, IN, NULL) == 0 && came(&f, NULL));
    buf_clear(&data);
    message_module_write(&data, "otherone", SAY,
                         BYTES("\x7f"
                               "23456789012345678901234"));
    hear(&f, MESSAGE_MODULE, true, buf_bytes(&data), NOW);
    CHECK(sent(&f, ASK, IN, NULL) == 0);
    buf_free(&data);
    /* Of other types nothing is read as if it were a module's. */
    hear(&f, MESSAGE_MFSTART, true, BYTES_NONE, NOW);
    hear(&f, MESSAGE_AUTH_ACK, true, BYTES_NONE, NOW);
    end(&f);
}

TESTS(a_new_version_is_said_once_and_then_now_and_then, nodes_of_another_kind_are_told_nothing,
      a_later_version_is_asked_for_and_then_heard_once, who_asks_is_told_and_not_too_often,
      what_is_too_short_or_not_meant_for_us_is_ignored)
