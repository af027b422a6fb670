/* cluster/message.c
 *
 * Bytes to structs and back. Offsets are the wire's own; see message.h. */
#include "cluster/message.h"

#include "cluster/cluster_internal.h"

enum offset {
    AT_SIGNATURE = 0,
    AT_LENGTH = 4,
    AT_VERSION = 8,
    AT_PORT = 10,
    AT_TYPE = 12,
    AT_COUNT = 14,
    AT_CURRENT_EPOCH = 16,
    AT_CONFIG_EPOCH = 24,
    AT_OFFSET = 32,
    AT_SENDER = 40,
    AT_SLOTS = 80,
    AT_PRIMARY = 2128,
    AT_IP = 2168,
    AT_EXTENSIONS = 2214,
    AT_MARK = 2216,
    AT_PPORT = 2246,
    AT_CPORT = 2248,
    AT_FLAGS = 2250,
    AT_STATE = 2252,
    AT_MFLAGS = 2253,
    AT_DATA = CLUSTER_HEADER_BYTES,
};
#define IP_BYTES 46u
#define MARK_VERSION 1
#define UPDATE_BYTES (8 + NODE_ID_BYTES + SLOT_BITMAP_BYTES)

enum extension { EXTENSION_HOSTNAME = 0, EXTENSION_FORGOTTEN = 2, EXTENSION_SHARD_ID = 3 };
#define EXTENSION_HEAD_BYTES 8u

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint64_t get64(const uint8_t *at)
{
    return (uint64_t)get32(at) << 32 | get32(at + 4);
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

static void put64(uint8_t *at, uint64_t value)
{
    put32(at, (uint32_t)(value >> 32));
    put32(at + 4, (uint32_t)value);
}

static bool is_text_of(const char *text, const char *others)
{
    for (; *text; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (!letter && !(*text >= '0' && *text <= '9') && strchr(others, *text) == NULL) return false;
    }
    return true;
}

bool text_is_address(const char *text)
{
    return is_text_of(text, ".:-_%");
}

bool text_is_hostname(const char *text)
{
    return is_text_of(text, ".-");
}

bool id_is_valid(const char *id)
{
    for (unsigned i = 0; i < NODE_ID_BYTES; i++)
        if (!((id[i] >= 'a' && id[i] <= 'z') || (id[i] >= '0' && id[i] <= '9'))) return false;
    return true;
}

static bool get_id(const uint8_t *at, char out[NODE_ID_BYTES + 1])
{
    memcpy(out, at, NODE_ID_BYTES);
    out[NODE_ID_BYTES] = '\0';
    return id_is_valid(out);
}

static bool get_ip(const uint8_t *at, char out[IP_BYTES])
{
    memcpy(out, at, IP_BYTES);
    out[IP_BYTES - 1] = '\0';
    return text_is_address(out);
}

int64_t cluster_frame(struct bytes data)
{
    static const char signature[4] = { 'R', 'C', 'm', 'b' };
    size_t seen = data.len < 4 ? data.len : 4;
    uint32_t total;

    if (seen > 0 && memcmp(data.data, signature, seen) != 0) return -1;
    if (data.len < 8) return 0;
    total = get32((const uint8_t *)data.data + AT_LENGTH);
    if (total < CLUSTER_HEADER_BYTES || total > CLUSTER_PACKET_BYTES_MAX) return -1;
    return data.len < total ? 0 : (int64_t)total;
}

uint16_t message_type_of(struct bytes packet)
{
    return packet.len < AT_TYPE + 2 ? UINT16_MAX : get16((const uint8_t *)packet.data + AT_TYPE);
}

static const uint8_t mark_magic[4] = { 'r', 's', 'h', 'd' };

static struct mark get_mark(const uint8_t *at)
{
    if (memcmp(at, mark_magic, sizeof(mark_magic)) != 0 || at[4] != MARK_VERSION) return (struct mark){ 0 };
    return (struct mark){ .is_ours = true,
                          .incarnation = get32(at + 6),
                          .sequence = get64(at + 10),
                          .view = get64(at + 18),
                          .shared = get32(at + 26) };
}

static void put_mark(uint8_t *at, const struct mark *mark)
{
    if (!mark->is_ours) return;
    memcpy(at, mark_magic, sizeof(mark_magic));
    at[4] = MARK_VERSION;
    put32(at + 6, mark->incarnation);
    put64(at + 10, mark->sequence);
    put64(at + 18, mark->view);
    put32(at + 26, mark->shared);
}

static bool has_gossip(uint16_t type)
{
    return type == MESSAGE_PING || type == MESSAGE_PONG || type == MESSAGE_MEET;
}

/* Walks the extensions: each at least its own head, a multiple of 8, short enough for 16 bits, and within the packet. */
static bool extensions_span(const uint8_t *at, size_t left, uint16_t count, size_t *span)
{
    *span = 0;
    for (uint16_t i = 0; i < count; i++) {
        uint32_t length;
        if (left - *span < EXTENSION_HEAD_BYTES) return false;
        length = get32(at + *span);
        if (length < EXTENSION_HEAD_BYTES || length % 8 != 0 || length > UINT16_MAX || length > left - *span)
            return false;
        *span += length;
    }
    return true;
}

static void read_extension(struct message *out, uint16_t type, const uint8_t *data, size_t len)
{
    if (type == EXTENSION_HOSTNAME) {
        size_t text = strnlen((const char *)data, len);
        if (text == len || text >= sizeof(out->hostname)) return;
        memcpy(out->hostname, data, text + 1);
        if (!text_is_hostname(out->hostname)) out->hostname[0] = '\0';
    } else if (type == EXTENSION_SHARD_ID && len == NODE_ID_BYTES) {
        if (!get_id(data, out->shard_id)) out->shard_id[0] = '\0';
    }
    /* Other types are somebody's business with somebody else: not an error, and not worth a log line per packet. */
}

static enum message_verdict decode_gossip(struct message *out, const uint8_t *data, size_t len)
{
    size_t entries = (size_t)out->count * GOSSIP_BYTES, span = 0;
    bool has_extensions = (out->mflags & MESSAGE_EXT_DATA) != 0;

    if (len < entries) return MESSAGE_BAD_LENGTH;
    if (has_extensions && !extensions_span(data + entries, len - entries, out->extensions, &span))
        return MESSAGE_BAD_EXTENSION;
    if (len != entries + span) return MESSAGE_BAD_LENGTH;

    /* A count without the bit was never checked by anybody: nothing of it is read. */
    if (!has_extensions) out->extensions = 0;
    out->gossip = data;
    out->extension_data = (struct bytes){ (const char *)data + entries, span };
    for (size_t at = 0; at < span;) {
        const uint8_t *head = data + entries + at;
        read_extension(out, get16(head + 4), head + EXTENSION_HEAD_BYTES, get32(head) - EXTENSION_HEAD_BYTES);
        at += get32(head);
    }
    return MESSAGE_OK;
}

static enum message_verdict decode_data(struct message *out, const uint8_t *data, size_t len)
{
    if (has_gossip(out->type)) return decode_gossip(out, data, len);
    switch (out->type) {
    case MESSAGE_FAIL:
        if (len != NODE_ID_BYTES) return MESSAGE_BAD_LENGTH;
        return get_id(data, out->subject) ? MESSAGE_OK : MESSAGE_BAD_FIELD;
    case MESSAGE_PUBLISH:
    case MESSAGE_PUBLISHSHARD:
        if (len < 8) return MESSAGE_BAD_LENGTH;
        if (len - 8 != (uint64_t)get32(data) + get32(data + 4)) return MESSAGE_BAD_LENGTH;
        out->channel = (struct bytes){ (const char *)data + 8, get32(data) };
        out->text = (struct bytes){ (const char *)data + 8 + get32(data), get32(data + 4) };
        return MESSAGE_OK;
    case MESSAGE_AUTH_REQUEST:
    case MESSAGE_AUTH_ACK:
    case MESSAGE_MFSTART:
        return len == 0 ? MESSAGE_OK : MESSAGE_BAD_LENGTH;
    case MESSAGE_UPDATE:
        if (len != UPDATE_BYTES) return MESSAGE_BAD_LENGTH;
        out->subject_epoch = get64(data);
        out->subject_slots = data + 8 + NODE_ID_BYTES;
        return get_id(data + 8, out->subject) && out->subject_epoch <= EPOCH_MAX ? MESSAGE_OK : MESSAGE_BAD_FIELD;
    case MESSAGE_MODULE:
        if (len < 13) return MESSAGE_BAD_LENGTH;
        out->module = (const char *)data;
        out->module_type = data[12];
        out->module_payload = (struct bytes){ (const char *)data + 13, len - 13 };
        return len - 13 == get32(data + 8) ? MESSAGE_OK : MESSAGE_BAD_LENGTH;
    default: /* of the future: its header counts, its data is not ours to check */
        return MESSAGE_OK;
    }
}

enum message_verdict message_decode(struct bytes packet, struct message *out)
{
    static const uint8_t nobody[NODE_ID_BYTES];
    const uint8_t *at = (const uint8_t *)packet.data;
    enum message_verdict verdict;

    memset(out, 0, sizeof(*out));
    if (packet.len < CLUSTER_HEADER_BYTES || get32(at + AT_LENGTH) != packet.len) return MESSAGE_BAD_LENGTH;
    if (get16(at + AT_VERSION) != 1) return MESSAGE_OTHER_VERSION;

    out->type = get16(at + AT_TYPE);
    out->count = get16(at + AT_COUNT);
    out->port = get16(at + AT_PORT);
    out->cport = get16(at + AT_CPORT);
    out->pport = get16(at + AT_PPORT);
    out->flags = get16(at + AT_FLAGS);
    out->extensions = get16(at + AT_EXTENSIONS);
    out->state = at[AT_STATE];
    out->mflags = at[AT_MFLAGS];
    out->current_epoch = get64(at + AT_CURRENT_EPOCH);
    out->config_epoch = get64(at + AT_CONFIG_EPOCH);
    out->offset = get64(at + AT_OFFSET);
    out->slots = at + AT_SLOTS;
    out->mark = get_mark(at + AT_MARK);

    verdict = decode_data(out, at + AT_DATA, packet.len - AT_DATA);
    if (verdict != MESSAGE_OK) return verdict;

    if (!get_id(at + AT_SENDER, out->sender)) return MESSAGE_BAD_FIELD;
    if (memcmp(at + AT_PRIMARY, nobody, NODE_ID_BYTES) != 0 && !get_id(at + AT_PRIMARY, out->primary))
        return MESSAGE_BAD_FIELD;
    if (!get_ip(at + AT_IP, out->ip)) return MESSAGE_BAD_FIELD;
    /* One such epoch, believed, would end all elections: nobody could ever say a higher one. */
    if (out->current_epoch > EPOCH_MAX || out->config_epoch > EPOCH_MAX) return MESSAGE_BAD_FIELD;
    return MESSAGE_OK;
}

bool gossip_decode(const struct message *message, size_t n, struct gossip *out)
{
    const uint8_t *at = message->gossip + n * GOSSIP_BYTES;

    if (n >= message->count) return false;
    out->ping_sent_s = get32(at + 40);
    out->pong_received_s = get32(at + 44);
    out->port = get16(at + 94);
    out->cport = get16(at + 96);
    out->flags = get16(at + 98);
    out->pport = get16(at + 100);
    return get_id(at, out->id) && get_ip(at + 48, out->ip);
}

bool message_forgotten(const struct message *message, size_t *at, char id[NODE_ID_BYTES + 1], uint64_t *ttl_s)
{
    const uint8_t *data = (const uint8_t *)message->extension_data.data;

    while (*at < message->extension_data.len) {
        const uint8_t *head = data + *at;

        *at += get32(head);
        if (get16(head + 4) != EXTENSION_FORGOTTEN || get32(head) != EXTENSION_HEAD_BYTES + NODE_ID_BYTES + 8) continue;
        if (!get_id(head + EXTENSION_HEAD_BYTES, id)) continue;
        *ttl_s = get64(head + EXTENSION_HEAD_BYTES + NODE_ID_BYTES);
        return true;
    }
    return false;
}

/* --- Writing --- */

static void put_text(uint8_t *at, const char *text, size_t bytes)
{
    memcpy(at, text, strnlen(text, bytes));
}

static uint8_t *grow(struct buf *out, size_t bytes)
{
    uint8_t *at = (uint8_t *)buf_reserve(out, bytes);

    memset(at, 0, bytes);
    buf_added(out, bytes);
    return at;
}

void message_header_write(struct buf *out, const struct message_header *header)
{
    uint8_t *at = grow(out, CLUSTER_HEADER_BYTES);

    memcpy(at + AT_SIGNATURE, "RCmb", 4); // NOLINT(bugprone-not-null-terminated-result): the wire's field has no NUL
    put16(at + AT_VERSION, 1);
    put16(at + AT_PORT, header->port);
    put16(at + AT_TYPE, header->type);
    put64(at + AT_CURRENT_EPOCH, header->current_epoch);
    put64(at + AT_CONFIG_EPOCH, header->config_epoch);
    put64(at + AT_OFFSET, header->offset);
    put_text(at + AT_SENDER, header->sender, NODE_ID_BYTES);
    if (header->slots != NULL) memcpy(at + AT_SLOTS, header->slots, SLOT_BITMAP_BYTES);
    put_text(at + AT_PRIMARY, header->primary, NODE_ID_BYTES);
    put_text(at + AT_IP, header->ip, IP_BYTES - 1);
    put_mark(at + AT_MARK, &header->mark);
    put16(at + AT_PPORT, header->pport);
    put16(at + AT_CPORT, header->cport);
    put16(at + AT_FLAGS, header->flags);
    at[AT_STATE] = header->state;
    at[AT_MFLAGS] = header->mflags;
}

void message_gossip_write(struct buf *out, const struct gossip *gossip)
{
    uint8_t *at = grow(out, GOSSIP_BYTES);

    put_text(at, gossip->id, NODE_ID_BYTES);
    put32(at + 40, gossip->ping_sent_s);
    put32(at + 44, gossip->pong_received_s);
    put_text(at + 48, gossip->ip, IP_BYTES - 1);
    put16(at + 94, gossip->port);
    put16(at + 96, gossip->cport);
    put16(at + 98, gossip->flags);
    put16(at + 100, gossip->pport);
}

static uint8_t *extension_begin(struct buf *out, enum extension type, size_t data_bytes)
{
    size_t bytes = EXTENSION_HEAD_BYTES + (data_bytes + 7) / 8 * 8;
    uint8_t *at = grow(out, bytes);

    put32(at, (uint32_t)bytes);
    put16(at + 4, (uint16_t)type);
    return at + EXTENSION_HEAD_BYTES;
}

void message_hostname_write(struct buf *out, const char *hostname)
{
    size_t len = strlen(hostname);

    put_text(extension_begin(out, EXTENSION_HOSTNAME, len + 1), hostname, len);
}

void message_forgotten_write(struct buf *out, const char *id, uint64_t ttl_s)
{
    uint8_t *at = extension_begin(out, EXTENSION_FORGOTTEN, NODE_ID_BYTES + 8);

    put_text(at, id, NODE_ID_BYTES);
    put64(at + NODE_ID_BYTES, ttl_s);
}

void message_shard_id_write(struct buf *out, const char *shard_id)
{
    put_text(extension_begin(out, EXTENSION_SHARD_ID, NODE_ID_BYTES), shard_id, NODE_ID_BYTES);
}

void message_fail_write(struct buf *out, const char *failing)
{
    put_text(grow(out, NODE_ID_BYTES), failing, NODE_ID_BYTES);
}

void message_update_write(struct buf *out, uint64_t epoch, const char *id, const uint8_t *slots)
{
    uint8_t *at = grow(out, UPDATE_BYTES);

    put64(at, epoch);
    put_text(at + 8, id, NODE_ID_BYTES);
    memcpy(at + 8 + NODE_ID_BYTES, slots, SLOT_BITMAP_BYTES);
}

void message_publish_write(struct buf *out, struct bytes channel, struct bytes text)
{
    uint8_t *at = grow(out, 8);

    put32(at, (uint32_t)channel.len);
    put32(at + 4, (uint32_t)text.len);
    buf_append_bytes(out, channel);
    buf_append_bytes(out, text);
}

void message_module_write(struct buf *out, const char module[8], uint8_t type, struct bytes payload)
{
    uint8_t *at = grow(out, 13);

    memcpy(at, module, 8);
    put32(at + 8, (uint32_t)payload.len);
    at[12] = type;
    buf_append_bytes(out, payload);
}

void message_finish(struct buf *out, uint16_t count, uint16_t extensions)
{
    uint8_t *at = (uint8_t *)out->data;

    put16(at + AT_COUNT, count);
    put16(at + AT_EXTENSIONS, extensions);
    put32(at + AT_LENGTH, (uint32_t)out->len);
}
