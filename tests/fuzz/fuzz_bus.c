/* Any bytes on any link of the bus are read or refused; none crash the core, make it grow without end, or take its own word from
 * it: nobody but itself says what its id is, and no epoch goes back.
 *
 * The input is a list of steps. Byte 0 says what happens: a packet on a known node's link, on its inbound link, on a stranger's, a
 * tick, a link that opens, closes or fails, raw bytes to the framing; then follow what the step needs. A packet is given as
 * patches to a good one, so that the fuzzer does not have to find 2256 bytes that fit. */
#include "base/hash.h"
#include "cluster/cluster.h"
#include "cluster/message.h"

#include <stdlib.h>
#include <string.h>

#define START_MS 1700000000000
#define KNOWN 3 /* of them an outbound and an inbound link each */
#define LINKS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t next_byte(struct input *input)
{
    if (input->left == 0) return 0;
    input->left--;
    return *input->at++;
}

static struct bytes next_bytes(struct input *input, size_t len)
{
    struct bytes bytes;

    if (len > input->left) len = input->left;
    bytes = (struct bytes){ (const char *)input->at, len };
    input->at += len;
    input->left -= len;
    return bytes;
}

/* Few slots: what each costs is the same, and there are more runs a second. */
static const char state[] =
    "a000000000000000000000000000000000000000 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-15 [5->-"
    "b000000000000000000000000000000000000000] [30-<-c000000000000000000000000000000000000000]\n"
    "b000000000000000000000000000000000000000 127.0.0.1:7001@17001 master - 0 0 2 connected 16-23\n"
    "c000000000000000000000000000000000000000 127.0.0.1:7002@17002 master - 0 0 3 connected 24-47\n"
    "d000000000000000000000000000000000000000 127.0.0.1:7003@17003 slave b000000000000000000000000000000000000000 0 0 "
    "2 connected\n"
    "vars currentEpoch 3 lastVoteEpoch 0\n";

static const struct cluster_options options = {
    .node_timeout_ms = 1000, .require_full_coverage = true, .port = 7000, .cport = 17000
};

struct world {
    struct cluster *c;
    struct effects e;
    cluster_link links[LINKS_MAX];
    size_t link_count;
    cluster_link next_link;
    uint16_t connecting[LINKS_MAX];
    size_t connecting_count;
    int64_t now_ms;
    char id[NODE_ID_BYTES + 1];
    uint64_t epoch, sequence;
};

static void add_link(struct world *w, cluster_link link)
{
    w->links[w->link_count++ % LINKS_MAX] = link;
}

/* Nobody tells what no item may be. */
static void look_at_item(const struct shared_item *item)
{
    static volatile uint64_t sum;

    if (item->kind == 0 || item->kind >= SHARED_OWN || (item->is_gone && item->text.len > 0)) abort();
    if (item->name.len > SHARED_NAME_BYTES_MAX || item->text.len > SHARED_TEXT_BYTES_MAX) abort();
    sum += hash_bytes(item->name) ^ hash_bytes(item->text);
}

/* All of it is there to be read. */
static void look_at_published(const struct effect *effect)
{
    static volatile uint64_t sum;

    if (effect->channel_bytes > effect->data.len) abort();
    sum += hash_bytes(effect->data);
}

static void carry_out(struct world *w)
{
    struct cluster_node_info me;
    uint64_t saved = 0;

    for (size_t i = 0; i < w->e.count; i++) {
        const struct effect *effect = &w->e.items[i];
        if (effect->kind == EFFECT_SEND && cluster_frame(effect->data) != (int64_t)effect->data.len) abort();
        if (effect->kind == EFFECT_CONNECT) w->connecting[w->connecting_count++ % LINKS_MAX] = effect->node;
        if (effect->kind == EFFECT_PERSIST) saved = effect->sequence;
        if (effect->kind == EFFECT_PUBLISH) look_at_published(effect);
        if (effect->kind == EFFECT_SHARED_ITEM) look_at_item(&effect->item);
    }
    effects_clear(&w->e);
    /* Every third save fails. */
    if (saved != 0) cluster_persisted(w->c, saved, saved % 3 != 0, w->now_ms, &w->e);
    effects_clear(&w->e);
    cluster_node_at(w->c, 0, &me);
    if (strcmp(me.id, w->id) != 0 || me.config_epoch < w->epoch) abort();
    w->epoch = me.config_epoch;
    if (cluster_node_count(w->c) > 5000) abort();
}

static void open_link(struct world *w, uint16_t node)
{
    cluster_link link = w->next_link++;

    cluster_link_opened(w->c, node, link, w->now_ms, &w->e);
    add_link(w, link);
}

static cluster_link accept_link(struct world *w)
{
    cluster_link link = w->next_link++;

    cluster_link_accepted(w->c, link, "127.0.0.1", "127.0.0.1", w->now_ms);
    add_link(w, link);
    return link;
}

/* A word of our kind. The pages of a shared set are so many numbers that somebody has to put some of them in: the hash they begin with, the lengths, a time. */
static void module(struct input *input, struct buf *out)
{
    uint8_t what = next_byte(input), items = next_byte(input);
    struct buf payload = { 0 };

    if (what & 0x80) {
        buf_append_bytes(&payload, next_bytes(input, (size_t)items * 10));
    } else {
        static const char zeros[16];

        buf_append(&payload, zeros, 15);
        buf_append_byte(&payload, (char)(what & 0x40 ? next_byte(input) : 0));
        for (unsigned i = 0; i < items % 16u; i++) {
            struct bytes name = next_bytes(input, next_byte(input) % 8),
                         text = next_bytes(input, next_byte(input) % 16);
            uint8_t kind = next_byte(input);
            const char head[22] = { (char)(kind >> 1), kind & 1, 0, (char)name.len, 0, (char)text.len, 0, 0, 1 };

            buf_append(&payload, head, sizeof(head));
            buf_append_bytes(&payload, name);
            buf_append_bytes(&payload, text);
        }
    }
    message_module_write(out, what & 0x20 ? "rshdview" : "rshdset1", what % 8, buf_bytes(&payload));
    message_finish(out, 0, 0);
    buf_free(&payload);
}

/* A good message of a known node, or of a stranger, with what the input changes in it. */
static void packet(struct world *w, cluster_link link, struct input *input)
{
    static const uint16_t data_bytes[] = { 0, 0, 0, 40, 8, 0, 0, 2096, 0, 13, 8 };
    uint8_t type = next_byte(input), who = next_byte(input), entries = next_byte(input) % 8,
            patches = next_byte(input) % 32;
    char sender[NODE_ID_BYTES + 1] = "b000000000000000000000000000000000000000";
    uint8_t slots[2048] = { 0 };
    struct mark mark = { .is_ours = (who & 0x40) != 0, .incarnation = 1, .sequence = ++w->sequence };
    struct buf out = { 0 };
    size_t len;

    sender[0] = (char)('a' + who % 6);
    slots[who % 6] = next_byte(input);
    if (mark.is_ours) mark.shared = next_byte(input);
    message_header_write(&out, &(struct message_header){
                                   .type = type % 13,
                                   .port = (uint16_t)(7000 + who % 6),
                                   .cport = (uint16_t)(17000 + who % 6),
                                   .flags = 0x11,
                                   .mflags = MESSAGE_EXT_DATA,
                                   .current_epoch = next_byte(input),
                                   .config_epoch = next_byte(input),
                                   .sender = sender,
                                   .primary = who & 0x80 ? "c000000000000000000000000000000000000000" : "",
                                   .ip = "",
                                   .slots = slots,
                                   .mark = mark });
    if (type % 13 <= MESSAGE_MEET) {
        for (unsigned i = 0; i < entries; i++) {
            struct gossip gossip = {
                .id = "e000000000000000000000000000000000000000", .ip = "127.0.0.1", .port = 7004, .cport = 17004
            };
            uint8_t which = next_byte(input);
            gossip.id[0] = (char)('a' + which % 26);
            gossip.flags = (uint16_t)(next_byte(input) << 8 | next_byte(input));
            gossip.pong_received_s = (uint32_t)(w->now_ms / 1000);
            message_gossip_write(&out, &gossip);
        }
        if (type & 0x40) message_hostname_write(&out, "host.example");
        if (type & 0x80) message_shard_id_write(&out, sender);
        message_finish(&out, entries, (uint16_t)((type >> 6 & 1) + (type >> 7)));
    } else if (type % 13 == MESSAGE_MODULE && mark.is_ours) {
        module(input, &out);
    } else {
        bool is_publish = type % 13 == MESSAGE_PUBLISH || type % 13 == MESSAGE_PUBLISHSHARD;
        size_t bytes = type % 13 < 11 && !is_publish ? data_bytes[type % 13] : 0;

        if (is_publish) {
            struct bytes channel = next_bytes(input, next_byte(input) % 40);

            message_publish_write(&out, channel, next_bytes(input, next_byte(input)));
        }
        memset(buf_reserve(&out, bytes), 0, bytes);
        buf_added(&out, bytes);
        if (type % 13 == MESSAGE_FAIL)
            memcpy(out.data + CLUSTER_HEADER_BYTES, "c000000000000000000000000000000000000000", 40);
        if (type % 13 == MESSAGE_UPDATE) {
            out.data[CLUSTER_HEADER_BYTES + 7] = (char)next_byte(input);
            memcpy(out.data + CLUSTER_HEADER_BYTES + 8, "c000000000000000000000000000000000000000", 40);
            memset(out.data + CLUSTER_HEADER_BYTES + 48, next_byte(input), 6);
        }
        message_finish(&out, 0, 0);
    }
    for (; patches > 0 && input->left >= 3; patches--) {
        size_t at = (size_t)(next_byte(input) << 8 | next_byte(input));
        uint8_t value = next_byte(input);
        if (at < out.len) out.data[at] = (char)value;
    }
    len = out.len;
    if (type & 0x20) len = len * next_byte(input) / 256;
    cluster_packet(w->c, link, (struct bytes){ out.data, len }, w->now_ms, &w->e);
    buf_free(&out);
}

/* What a client publishes leaves as one packet, whatever it is. */
static void publish(struct world *w, struct input *input)
{
    struct bytes channel = next_bytes(input, next_byte(input) % 40), text = next_bytes(input, next_byte(input));
    cluster_link ids[LINKS_MAX];
    struct buf out = { 0 };
    struct message message;

    cluster_publish_links(w->c, text.len % 2 != 0, ids, LINKS_MAX);
    if (cluster_publication(w->c, text.len % 2 != 0, channel, text, 1, &out) &&
        (cluster_frame(buf_bytes(&out)) != (int64_t)out.len ||
         message_decode(buf_bytes(&out), &message) != MESSAGE_OK || !bytes_equal(message.channel, channel) ||
         !bytes_equal(message.text, text)))
        abort();
    buf_free(&out);
}

/* Somebody sets an item here. */
static void share(struct world *w, struct input *input)
{
    uint8_t kind = next_byte(input);
    struct shared_item item = { .kind = kind | 1, .is_gone = (kind & 2) != 0 };
    cluster_error error;

    item.name = next_bytes(input, next_byte(input) % 8);
    if (!item.is_gone) item.text = next_bytes(input, next_byte(input) % 16);
    /* It may be that nothing is later than what was told. */
    cluster_share_item(w->c, kind & 4 ? SHARE_DEFAULT : SHARE_LATEST, &item, w->now_ms, error);
}

static void step(struct world *w, struct input *input)
{
    uint8_t kind = next_byte(input);
    cluster_link link = w->links[next_byte(input) % LINKS_MAX];
    struct bytes raw;

    switch (kind >= 250 ? 10 : kind >= 240 ? 11 : kind % 10) {
    case 11:
        share(w, input);
        break;
    case 10:
        publish(w, input);
        break;
    case 0:
        w->now_ms += 1 + (int64_t)next_byte(input) * 20;
        cluster_tick(w->c, w->now_ms, &w->e);
        break;
    case 1:
        open_link(w, w->connecting[link % LINKS_MAX]);
        break;
    case 2:
        cluster_link_failed(w->c, w->connecting[link % LINKS_MAX], w->now_ms, &w->e);
        break;
    case 3:
        cluster_link_closed(w->c, link, w->now_ms, &w->e);
        break;
    case 4:
        accept_link(w);
        break;
    case 5:
        raw = next_bytes(input, (size_t)next_byte(input) * 20);
        cluster_frame(raw);
        cluster_packet(w->c, link, raw, w->now_ms, &w->e);
        break;
    default:
        packet(w, link, input);
        break;
    }
    carry_out(w);
}

/* Of one input in sixteen, always the same ones: it costs more than all of an input's steps. */
static bool is_looked_at(const uint8_t *data, size_t size)
{
    return (hash_bytes((struct bytes){ (const char *)data, size }) & 15) == 0;
}

/* Whatever it has come to believe can be said, saved and read again. */
static void look_at_what_came_of_it(struct world *w)
{
    struct buf text = { 0 };
    struct cluster *again;
    char error[256];

    cluster_nodes_text(w->c, &text);
    cluster_info_text(w->c, &text);
    buf_clear(&text);
    cluster_save(w->c, &text);
    again = cluster_load(buf_bytes(&text), &options, 1, w->now_ms, error);
    if (again == NULL) abort();
    buf_clear(&text);
    cluster_shared_save(w->c, &text);
    if (!cluster_shared_load(again, buf_bytes(&text), w->now_ms, error)) abort();
    cluster_free(&again);
    buf_free(&text);
}

/* What an input frees is soon used again: fresh pages for each cost more than the input. */
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { data, size };
    struct world w = { .next_link = 1, .now_ms = START_MS };
    char error[256];

    hash_set_seed(1);
    w.c = cluster_load((struct bytes){ state, sizeof(state) - 1 }, &options, 1, START_MS, error);
    if (w.c == NULL) abort();
    memcpy(w.id, cluster_my_id(w.c), sizeof(w.id));
    cluster_tick(w.c, w.now_ms += 100, &w.e);
    carry_out(&w);
    for (uint16_t node = 1; node <= KNOWN; node++) {
        open_link(&w, node);
        accept_link(&w);
    }
    for (unsigned steps = 0; steps < 200 && input.left > 0; steps++) step(&w, &input);

    if (is_looked_at(data, size)) look_at_what_came_of_it(&w);
    effects_free(&w.e);
    cluster_free(&w.c);
    return 0;
}
