/* How a node comes to have the shared set of the others: who has changed says so, who differs asks one other, a page at a time, and takes what is later.
 * Nodes of another kind hear nothing, and what makes no sense costs nothing. */
#include "base/alloc.h"
#include "cluster/cluster_internal.h"
#include "cluster/message.h"
#include "unit/unit.h"

#include <stdio.h>

#define ID_B "7686f8bbc0c3a60dee7d8a44874b824d39339700"
#define ID_C "8686f8bbc0c3a60dee7d8a44874b824d39339700"
#define NOW INT64_C(1700000000000)
#define B 10 /* our links to them; theirs to us have the next number */
#define C 20

enum { SAY = 1, ASK = 2, TELL = 3 };

static const struct cluster_options options = {
    .node_timeout_ms = 100000000, .require_full_coverage = true, .port = 7000, .cport = 17000
};

struct fixture {
    struct cluster *c;
    struct effects e; /* of the last event */
};

static void know(struct fixture *f, const char *id, uint16_t port, cluster_link link)
{
    struct node *node = node_add(f->c, id, FLAG_PRIMARY, NOW);

    node_set_address(f->c, node, "127.0.0.2", port, (uint16_t)(port + 10000), 0, &f->e);
    node->connecting = true;
    node->pong_received_ms = NOW;
    cluster_link_opened(f->c, node->index, link, NOW, &f->e);
    cluster_link_accepted(f->c, link + 1, "127.0.0.1", "127.0.0.2", NOW);
}

static void hear_of(struct fixture *f, cluster_link link, uint16_t type, bool ours, uint32_t digest, struct bytes data,
                    int64_t now_ms)
{
    static uint64_t sequence;
    struct buf packet = { 0 };
    struct message_header head = { .type = type,
                                   .port = link == B ? 8000 : 9000,
                                   .cport = link == B ? 18000 : 19000,
                                   .flags = FLAG_PRIMARY | FLAG_MYSELF,
                                   .sender = link == B ? ID_B : ID_C,
                                   .primary = "",
                                   .ip = "",
                                   .mark = {
                                       .is_ours = ours, .incarnation = 1, .sequence = ++sequence, .shared = digest } };

    message_header_write(&packet, &head);
    buf_append_bytes(&packet, data);
    message_finish(&packet, 0, 0);
    effects_clear(&f->e);
    cluster_packet(f->c, link + 1, buf_bytes(&packet), now_ms, &f->e);
    buf_free(&packet);
}

static void heartbeat(struct fixture *f, cluster_link link, uint32_t digest, int64_t now_ms)
{
    hear_of(f, link, MESSAGE_PONG, true, digest, BYTES_NONE, now_ms);
}

static void hear(struct fixture *f, cluster_link link, uint8_t type, uint32_t digest, struct bytes payload,
                 int64_t now_ms)
{
    struct buf data = { 0 };

    message_module_write(&data, "rshdset1", type, payload);
    hear_of(f, link, MESSAGE_MODULE, true, digest, buf_bytes(&data), now_ms);
    buf_free(&data);
}

/* With B and C, of our kind, which have nothing. */
static struct fixture begin(void)
{
    struct fixture f = { .c = cluster_new(&options, 42, NOW) };

    f.c->solo = false;
    know(&f, ID_B, 8000, B);
    know(&f, ID_C, 9000, C);
    cluster_settle(f.c, true, NOW, &f.e);
    cluster_persisted(f.c, f.c->save_sequence, true, NOW, &f.e);
    heartbeat(&f, B, 0, NOW);
    heartbeat(&f, C, 0, NOW);
    effects_clear(&f.e);
    return f;
}

static void end(struct fixture *f)
{
    effects_free(&f->e);
    cluster_free(&f->c);
}

/* How many such messages there are among the effects; the last one's payload. */
static size_t sent(const struct fixture *f, uint8_t type, cluster_link link, struct buf *payload)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++) {
        struct message message;

        if (f->e.items[i].kind != EFFECT_SEND || (link != 0 && f->e.items[i].link != link)) continue;
        CHECK(message_decode(f->e.items[i].data, &message) == MESSAGE_OK);
        if (message.type != MESSAGE_MODULE || memcmp(message.module, "rshdset1", 8) != 0) continue;
        if (message.module_type != type) continue;
        CHECK(message.mark.shared == shared_digest(f->c));
        count++;
        if (payload == NULL) continue;
        buf_clear(payload);
        buf_append_bytes(payload, message.module_payload);
    }
    return count;
}

static void tick(struct fixture *f, int64_t now_ms)
{
    effects_clear(&f->e);
    cluster_tick(f->c, now_ms, &f->e);
}

static struct shared_item item(const char *name, const char *text)
{
    return (struct shared_item){
        .kind = 1, .is_gone = text == NULL, .name = bytes_of(name), .text = text != NULL ? bytes_of(text) : BYTES_NONE
    };
}

static bool share(struct fixture *f, const char *name, const char *text, int64_t now_ms)
{
    struct shared_item it = item(name, text);
    cluster_error error;

    return cluster_share_item(f->c, SHARE_LATEST, &it, now_ms, error);
}

static bool holds(const struct fixture *f, const char *name, const char *text)
{
    struct shared_item here;

    if (!cluster_shared_find(f->c, SHARED_POLICY, bytes_of(name), &here)) return text == NULL;
    return text != NULL && !here.is_gone && bytes_equal(here.text, bytes_of(text));
}

static void put64(struct buf *out, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8) buf_append_byte(out, (char)(value >> shift));
}

static uint64_t get64(const struct buf *payload, size_t at)
{
    uint64_t value = 0;

    for (size_t i = at; i < at + 8; i++) value = value << 8 | (uint8_t)payload->data[i];
    return value;
}

static void tell_begin(struct buf *out, uint64_t from, uint64_t next)
{
    buf_clear(out);
    put64(out, from);
    put64(out, next);
}

static void tell_item(struct buf *out, uint8_t kind, uint8_t gone, const char *name, const char *text, uint64_t time_ms)
{
    buf_append_byte(out, (char)kind);
    buf_append_byte(out, (char)gone);
    buf_append_byte(out, (char)(strlen(name) >> 8));
    buf_append_byte(out, (char)strlen(name));
    buf_append_byte(out, (char)(strlen(text) >> 8));
    buf_append_byte(out, (char)strlen(text));
    put64(out, time_ms);
    put64(out, 0);
    buf_append_text(out, name);
    buf_append_text(out, text);
}

/* Items that came, but for what was to be sent and the like. */
static size_t came(const struct fixture *f)
{
    size_t count = 0;

    for (size_t i = 0; i < f->e.count; i++) count += f->e.items[i].kind == EFFECT_SHARED_ITEM;
    return count;
}

TEST(where_nothing_was_ever_set_nothing_is_said)
{
    struct fixture f = begin();

    for (int64_t ms = 100; ms < 60000; ms += 100) {
        tick(&f, NOW + ms);
        CHECK(sent(&f, SAY, 0, NULL) + sent(&f, ASK, 0, NULL) == 0);
    }
    end(&f);
}

TEST(a_change_is_said_once_to_those_of_our_kind_who_do_not_have_it)
{
    struct fixture f = begin();

    CHECK(share(&f, "a", "one", NOW) && holds(&f, "a", "one"));
    tick(&f, NOW + 100);
    CHECK(sent(&f, SAY, B, NULL) == 1 && sent(&f, SAY, C, NULL) == 1);
    for (int64_t ms = 200; ms < 60000; ms += 100) {
        tick(&f, NOW + ms);
        CHECK(sent(&f, SAY, 0, NULL) == 0);
    }
    heartbeat(&f, B, shared_digest(f.c), NOW + 60000);
    CHECK(share(&f, "a", "one", NOW + 60000)); /* as it was */
    tick(&f, NOW + 60100);
    CHECK(sent(&f, SAY, 0, NULL) == 0);
    CHECK(share(&f, "a", "two", NOW + 60100));
    hear_of(&f, C, MESSAGE_PONG, false, 0, BYTES_NONE, NOW + 60100);
    tick(&f, NOW + 60200);
    CHECK(sent(&f, SAY, B, NULL) == 1 && sent(&f, SAY, C, NULL) == 0);
    CHECK(share(&f, "a", NULL, NOW + 60200));
    heartbeat(&f, C, shared_digest(f.c), NOW + 60200);
    tick(&f, NOW + 60300);
    CHECK(sent(&f, SAY, B, NULL) == 1 && sent(&f, SAY, C, NULL) == 0);
    f.c->solo = true;
    CHECK(share(&f, "a", "alone", NOW + 60300));
    tick(&f, NOW + 60400);
    CHECK(sent(&f, SAY, 0, NULL) == 0);
    end(&f);
}

TEST(a_node_s_own_items_are_told_to_nobody)
{
    struct fixture f = begin();
    struct shared_item own = { .kind = SHARED_OWN, .name = BYTES("x"), .text = BYTES("y") };
    struct buf payload = { 0 };
    cluster_error error;

    CHECK(cluster_share_item(f.c, SHARE_LATEST, &own, NOW, error) && shared_digest(f.c) == 0);
    tick(&f, NOW + 100);
    CHECK(sent(&f, SAY, 0, NULL) == 0);
    CHECK(share(&f, "a", "one", NOW));
    hear(&f, B, ASK, 0, BYTES("\0\0\0\0\0\0\0\0"), NOW);
    CHECK(sent(&f, TELL, B + 1, &payload) == 1 && payload.len == 16 + 22 + 4);
    buf_free(&payload);
    end(&f);
}

TEST(a_default_counts_only_where_nobody_has_set_it)
{
    struct fixture f = begin();
    struct shared_item it = item("a", "default"), other = item("b", "default");
    cluster_error error;

    CHECK(cluster_share_item(f.c, SHARE_DEFAULT, &it, NOW, error) && holds(&f, "a", "default"));
    CHECK(it.version.time_ms == 1);
    CHECK(share(&f, "a", "set", NOW) && share(&f, "b", "set", NOW) && share(&f, "b", NULL, NOW + 1));
    CHECK(cluster_share_item(f.c, SHARE_DEFAULT, &it, NOW + 2, error) && holds(&f, "a", "set"));
    CHECK(it.version.time_ms == (uint64_t)NOW);
    CHECK(cluster_share_item(f.c, SHARE_DEFAULT, &other, NOW + 2, error) && !holds(&f, "b", "default"));
    end(&f);
}

TEST(what_is_too_long_or_too_much_is_refused_with_an_error)
{
    static char bytes[SHARED_TEXT_BYTES_MAX + 1];
    struct fixture f = begin();
    struct shared_item it = item("a", "b");
    cluster_error error = "";
    char name[16];

    it.text = (struct bytes){ bytes, sizeof(bytes) };
    CHECK(!cluster_share_item(f.c, SHARE_LATEST, &it, NOW, error) && strncmp(error, "ERR ", 4) == 0);
    it = item("a", "b");
    it.name = (struct bytes){ bytes, SHARED_NAME_BYTES_MAX + 1 };
    CHECK(!cluster_share_item(f.c, SHARE_LATEST, &it, NOW, error) && strncmp(error, "ERR ", 4) == 0);
    for (unsigned i = 0; i < SHARED_ITEMS_MAX; i++) {
        snprintf(name, sizeof(name), "%u", i);
        CHECK(share(&f, name, "x", NOW));
    }
    it = item("one more", "b");
    CHECK(!cluster_share_item(f.c, SHARE_LATEST, &it, NOW, error) && strstr(error, "4096") != NULL);
    CHECK(holds(&f, "one more", NULL) && share(&f, "7", "y", NOW) && share(&f, "7", NULL, NOW));
    CHECK(share(&f, "one more", "x", NOW));
    end(&f);
}

TEST(who_says_that_it_has_changed_is_asked_and_heard_once)
{
    struct fixture f = begin();
    struct buf payload = { 0 };

    CHECK(share(&f, "a", "ours", NOW));
    tell_begin(&payload, 0, 0);
    tell_item(&payload, 1, 0, "b", "unasked", NOW);
    hear(&f, B, TELL, 77, buf_bytes(&payload), NOW);
    CHECK(came(&f) == 0 && holds(&f, "b", NULL));
    hear(&f, B, SAY, shared_digest(f.c), BYTES_NONE, NOW);
    CHECK(sent(&f, ASK, 0, NULL) == 0);
    hear(&f, B, SAY, 77, BYTES_NONE, NOW);
    CHECK(sent(&f, ASK, B, &payload) == 1 && payload.len == 8 + 256 * 8 && get64(&payload, 0) == 0);
    hear(&f, B, SAY, 77, BYTES_NONE, NOW);
    hear(&f, C, SAY, 77, BYTES_NONE, NOW);
    CHECK(sent(&f, ASK, 0, NULL) == 0); /* one at a time */
    tell_begin(&payload, 0, 0);
    tell_item(&payload, 1, 0, "b", "theirs", NOW);
    tell_item(&payload, 1, 0, "a", "older", NOW - 1);
    tell_item(&payload, 2, 1, "c", "", NOW);
    hear(&f, C, TELL, 77, buf_bytes(&payload), NOW);
    CHECK(came(&f) == 0); /* it was not asked */
    hear(&f, B, TELL, 77, buf_bytes(&payload), NOW);
    CHECK(came(&f) == 2 && holds(&f, "b", "theirs") && holds(&f, "a", "ours"));
    CHECK(f.e.items[0].kind == EFFECT_SHARED_ITEM && bytes_equal(f.e.items[0].item.name, BYTES("b")));
    CHECK(bytes_equal(f.e.items[0].item.text, BYTES("theirs")) && !f.e.items[0].item.is_gone);
    CHECK(f.e.items[1].item.kind == 2 && f.e.items[1].item.is_gone && f.e.items[1].item.text.len == 0);
    tell_item(&payload, 1, 0, "d", "again", NOW);
    hear(&f, B, TELL, 77, buf_bytes(&payload), NOW);
    CHECK(came(&f) == 0 && holds(&f, "d", NULL));
    buf_free(&payload);
    end(&f);
}

TEST(who_has_nothing_is_asked_nothing_and_asks_in_short)
{
    struct fixture f = begin();
    struct buf payload = { 0 };

    hear(&f, B, SAY, 77, BYTES_NONE, NOW);
    CHECK(sent(&f, ASK, B, &payload) == 1 && payload.len == 8);
    CHECK(share(&f, "a", "ours", NOW));
    heartbeat(&f, C, 0, NOW);
    f.c->shared.is_asking = false;
    for (int64_t ms = 100; ms < 5000; ms += 100) {
        tick(&f, NOW + ms);
        CHECK(sent(&f, ASK, C, NULL) == 0);
        heartbeat(&f, B, 0, NOW + ms);
    }
    buf_free(&payload);
    end(&f);
}

TEST(who_differs_for_a_second_without_having_said_so_is_asked)
{
    struct fixture f = begin();

    heartbeat(&f, B, 77, NOW);
    tick(&f, NOW + 900);
    CHECK(sent(&f, ASK, 0, NULL) == 0);
    heartbeat(&f, B, 77, NOW + 900); /* still that */
    CHECK(share(&f, "a", "x", NOW + 900));
    tick(&f, NOW + 1000);
    tick(&f, NOW + 1800);
    CHECK(sent(&f, ASK, 0, NULL) == 0); /* who has changed himself is asked first */
    tick(&f, NOW + 1900);
    CHECK(sent(&f, ASK, B, NULL) == 1);
    end(&f);
}

TEST(what_was_said_before_is_not_taken_for_news)
{
    struct fixture f = begin();
    struct buf packet = { 0 };
    struct message_header head = { .type = MESSAGE_PONG,
                                   .port = 8000,
                                   .cport = 18000,
                                   .flags = FLAG_PRIMARY | FLAG_MYSELF,
                                   .sender = ID_B,
                                   .primary = "",
                                   .ip = "",
                                   .mark = { .is_ours = true, .incarnation = 1, .sequence = 0, .shared = 55 } };

    heartbeat(&f, B, 77, NOW);
    message_header_write(&packet, &head);
    message_finish(&packet, 0, 0);
    cluster_packet(f.c, B + 1, buf_bytes(&packet), NOW, &f.e);
    CHECK(node_find(f.c, ID_B)->shared.digest == 77);
    buf_free(&packet);
    end(&f);
}

TEST(where_no_answer_comes_another_is_asked)
{
    struct fixture f = begin();
    size_t asked_b = 0, asked_c = 0;

    hear(&f, B, SAY, 77, BYTES_NONE, NOW);
    hear(&f, C, SAY, 77, BYTES_NONE, NOW);
    tick(&f, NOW + 900);
    CHECK(sent(&f, ASK, 0, NULL) == 0);
    tick(&f, NOW + 1000);
    CHECK(sent(&f, ASK, B, NULL) == 0 && sent(&f, ASK, C, NULL) == 1);
    for (int64_t ms = 1100; ms <= 11000; ms += 100) {
        tick(&f, NOW + ms);
        asked_b += sent(&f, ASK, B, NULL);
        asked_c += sent(&f, ASK, C, NULL);
    }
    CHECK(asked_b == 5 && asked_c == 5); /* in turn */
    end(&f);
}

TEST(what_is_of_no_use_is_not_done_again_for_a_while)
{
    struct fixture f = begin();
    struct buf none = { 0 };

    tell_begin(&none, 0, 0);
    CHECK(share(&f, "a", "x", NOW));
    tick(&f, NOW + 100);
    hear(&f, B, SAY, 77, BYTES_NONE, NOW + 200);
    CHECK(sent(&f, ASK, B, NULL) == 1);
    hear(&f, B, TELL, 77, buf_bytes(&none), NOW + 200);
    CHECK(sent(&f, SAY, B, NULL) == 1); /* then it lacks something */
    for (int64_t ms = 300; ms < 30200; ms += 100) {
        hear(&f, B, SAY, 77, BYTES_NONE, NOW + ms);
        CHECK(sent(&f, ASK, 0, NULL) == 0);
        tick(&f, NOW + ms);
        CHECK(sent(&f, ASK, 0, NULL) == 0 && sent(&f, SAY, 0, NULL) == 0);
    }
    tick(&f, NOW + 30200);
    CHECK(sent(&f, ASK, B, NULL) == 1);
    hear(&f, B, TELL, 77, buf_bytes(&none), NOW + 30200);
    hear(&f, B, SAY, 78, BYTES_NONE, NOW + 30300); /* it has changed */
    CHECK(sent(&f, ASK, B, NULL) == 1);
    hear(&f, B, TELL, 79, buf_bytes(&none), NOW + 30300); /* while it told us */
    CHECK(sent(&f, SAY, 0, NULL) == 0);
    tick(&f, NOW + 30400);
    CHECK(sent(&f, ASK, B, NULL) == 1);
    buf_free(&none);
    end(&f);
}

static unsigned bucket_of(const struct fixture *f, const char *name)
{
    return shared_bucket(shared_set_find(&f->c->shared.set, 1, bytes_of(name))->hash);
}

TEST(who_asks_is_told_what_is_in_the_buckets_that_differ)
{
    struct fixture f = begin();
    struct buf asked = { 0 }, payload = { 0 };
    char name[16];
    size_t alike = 0;

    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "name %u", i);
        CHECK(share(&f, name, i % 2 ? "text" : NULL, NOW) && share(&f, name, "text", NOW));
    }
    put64(&asked, 0);
    for (unsigned i = 0; i < SHARED_BUCKETS; i++) put64(&asked, f.c->shared.set.buckets[i]);
    hear(&f, B, ASK, 77, buf_bytes(&asked), NOW);
    CHECK(sent(&f, TELL, B + 1, &payload) == 1 && payload.len == 16); /* the same */
    asked.data[8 + bucket_of(&f, "name 3") * 8] ^= 1;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "name %u", i);
        if (bucket_of(&f, name) == bucket_of(&f, "name 3")) alike += 22 + strlen(name) + 4;
    }
    hear(&f, B, ASK, 77, buf_bytes(&asked), NOW);
    CHECK(sent(&f, TELL, B + 1, &payload) == 1 && payload.len == 16 + alike && alike < 500);
    CHECK(get64(&payload, 0) == 0 && get64(&payload, 8) == 0);
    buf_free(&asked);
    buf_free(&payload);
    end(&f);
}

/* With texts as long as they may be, a page after the other; what is asked for faster is not answered before the next tick. */
TEST(much_is_told_in_pages_and_no_more_of_them_in_a_tick_than_there_may_be)
{
    static char text[SHARED_TEXT_BYTES_MAX + 1];
    struct fixture f = begin(), there = begin();
    struct buf payload = { 0 };
    uint64_t from = 0;
    size_t pages = 0, unanswered = 0, bytes = 0;
    int64_t now_ms = NOW;

    memset(text, 'x', SHARED_TEXT_BYTES_MAX);
    for (unsigned i = 0; i < 300; i++) {
        char name[16];

        snprintf(name, sizeof(name), "name %u", i);
        CHECK(share(&f, name, text, NOW));
    }
    hear(&there, B, SAY, 77, BYTES_NONE, now_ms);
    do {
        struct buf asked = { 0 };

        put64(&asked, from);
        hear(&f, B, ASK, 77, buf_bytes(&asked), now_ms);
        buf_free(&asked);
        if (sent(&f, TELL, B + 1, &payload) == 0) {
            unanswered++;
            tick(&f, now_ms += 100);
            CHECK(unanswered < 20);
            continue;
        }
        CHECK(payload.len < 32768 + SHARED_TEXT_BYTES_MAX + 100 && get64(&payload, 0) == from);
        bytes += payload.len;
        from = get64(&payload, 8);
        pages++;
        hear(&there, B, TELL, 77, buf_bytes(&payload), now_ms);
        if (from == 0) break;
        if (sent(&there, ASK, B, NULL) == 0) tick(&there, now_ms += 100);
        CHECK(sent(&there, ASK, B, NULL) == 1);
    } while (true);
    CHECK(there.c->shared.set.digest == f.c->shared.set.digest && there.c->shared.set.count == 300);
    CHECK(pages > 30 && unanswered >= 3);
    print_message("300 items of 4 KiB: %zu pages, %zu bytes\n", pages, bytes);
    buf_free(&payload);
    end(&f);
    end(&there);
}

TEST(what_makes_no_sense_changes_nothing)
{
    static const struct {
        uint8_t kind, gone;
        const char *text;
        uint64_t time_ms;
    } wrong[] = { { 0, 0, "x", NOW },       { SHARED_OWN, 0, "x", NOW },        { 255, 0, "x", NOW },
                  { 1, 2, "x", NOW },       { 1, 1, "gone, with a text", NOW }, { 1, 0, "x", SHARED_VERSION_MAX + 1 },
                  { 1, 0, "x", UINT64_MAX } };
    struct fixture f = begin();
    struct buf payload = { 0 };
    uint32_t digest = 1000;
    int64_t now_ms = NOW;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        hear(&f, B, SAY, ++digest, BYTES_NONE, now_ms);
        CHECK(sent(&f, ASK, B, NULL) == 1);
        tell_begin(&payload, 0, UINT64_MAX);
        tell_item(&payload, wrong[i].kind, wrong[i].gone, "a", wrong[i].text, wrong[i].time_ms);
        tell_item(&payload, 1, 0, "behind it", "x", NOW);
        hear(&f, B, TELL, digest, buf_bytes(&payload), now_ms);
        CHECK(came(&f) == 0 && f.c->shared.set.count == 0);
        CHECK(sent(&f, ASK, 0, NULL) == 0); /* nor is it asked to go on */
    }
    /* Cut off anywhere: what is whole is taken. */
    tell_begin(&payload, 0, 0);
    tell_item(&payload, 1, 0, "a", "x", NOW);
    tell_item(&payload, 1, 0, "b", "x", NOW);
    for (size_t len = 0; len < payload.len; len++) {
        hear(&f, B, SAY, ++digest, BYTES_NONE, now_ms);
        CHECK(f.c->shared.is_asking);
        hear(&f, B, TELL, digest, (struct bytes){ payload.data, len }, now_ms);
        CHECK(f.c->shared.set.count == (len >= 16 + 24 ? 1u : 0u));
    }
    /* Questions of another length, and words that nobody says. */
    hear(&f, B, ASK, digest, BYTES("1234567"), now_ms);
    CHECK(sent(&f, TELL, 0, NULL) == 0);
    hear(&f, B, ASK, digest, BYTES("123456789"), now_ms);
    CHECK(sent(&f, TELL, 0, NULL) == 0);
    hear(&f, B, 9, digest, BYTES("12345678"), now_ms);
    hear(&f, B, 0, digest, BYTES_NONE, now_ms);
    CHECK(f.e.count == 0);
    buf_clear(&payload);
    message_module_write(&payload, "otherone", SAY, BYTES_NONE);
    hear_of(&f, B, MESSAGE_MODULE, true, ++digest, buf_bytes(&payload), now_ms);
    CHECK(f.e.count == 0);
    buf_free(&payload);
    end(&f);
}

TEST(a_page_that_leads_back_is_the_last)
{
    struct fixture f = begin();
    struct buf payload = { 0 };

    hear(&f, B, SAY, 77, BYTES_NONE, NOW);
    tell_begin(&payload, 0, 5);
    hear(&f, B, TELL, 77, buf_bytes(&payload), NOW);
    CHECK(sent(&f, ASK, B, NULL) == 1);
    tell_begin(&payload, 5, 5);
    hear(&f, B, TELL, 77, buf_bytes(&payload), NOW);
    CHECK(sent(&f, ASK, B, NULL) == 0 && !f.c->shared.is_asking);
    buf_free(&payload);
    end(&f);
}

TEST(the_set_is_kept_and_comes_back)
{
    struct fixture f = begin(), again = begin();
    struct buf file = { 0 };
    uint64_t changes = cluster_shared_changes(f.c);
    char error[256];

    CHECK(share(&f, "a", "x", NOW) && cluster_shared_changes(f.c) != changes);
    cluster_shared_save(f.c, &file);
    CHECK(cluster_shared_load(again.c, buf_bytes(&file), NOW, error) && holds(&again, "a", "x"));
    CHECK(shared_digest(again.c) == shared_digest(f.c) && shared_digest(f.c) != 0);
    buf_free(&file);
    end(&f);
    end(&again);
}

TESTS(where_nothing_was_ever_set_nothing_is_said, a_change_is_said_once_to_those_of_our_kind_who_do_not_have_it,
      a_node_s_own_items_are_told_to_nobody, a_default_counts_only_where_nobody_has_set_it,
      what_is_too_long_or_too_much_is_refused_with_an_error, who_says_that_it_has_changed_is_asked_and_heard_once,
      who_has_nothing_is_asked_nothing_and_asks_in_short, who_differs_for_a_second_without_having_said_so_is_asked,
      what_was_said_before_is_not_taken_for_news, where_no_answer_comes_another_is_asked,
      what_is_of_no_use_is_not_done_again_for_a_while, who_asks_is_told_what_is_in_the_buckets_that_differ,
      much_is_told_in_pages_and_no_more_of_them_in_a_tick_than_there_may_be, what_makes_no_sense_changes_nothing,
      a_page_that_leads_back_is_the_last, the_set_is_kept_and_comes_back)
