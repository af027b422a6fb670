/* cluster/state_file.c
 *
 * The view on disk. The lines are those of a Redis nodes.conf, between a first line that says whose and which version, and a last
 * one with a checksum over all before it:
 *
 *     redis-shard-cluster 1
 *     <id> <ip>:<port>@<cport>[,<hostname>,shard-id=<id>] <flags> <primary|-> 0 0 <epoch> connected[ <slots>...]
 *     since <epoch> <first slot> <last slot>
 *     vars currentEpoch 5 lastVoteEpoch 0[ solo 1]
 *     checksum 0123456789abcdef
 *
 * Besides the slots that are open (`[slot->-id]`, `[slot-<-id]`) our own line names those that an operator moved here from a node that may not
 * know (`[slot-=-id]`), and those that were ours until somebody else said that they are a node's (`[slot-?-id]`). Why is in moves.c.
 *
 * A file without the first line is read as a plain nodes.conf of Redis 7.0 or 7.2. What is damaged is refused with a reason: a
 * node that guesses its slots serves somebody else's. */
#include "cluster/cluster_internal.h"

#include "base/alloc.h"
#include "cluster/message.h"

#include <stdio.h>

#define FIRST_LINE "redis-shard-cluster 1\n"
#define CHECKSUM_LINE_BYTES (sizeof("checksum 0123456789abcdef\n") - 1)
#define NODE_FIELDS 8
#define STATE_FILE_BYTES_MAX (64u << 20)

/* CRC-64/XZ, a bit at a time: some kilobytes at a change of the view. */
static uint64_t checksum(struct bytes bytes)
{
    uint64_t crc = UINT64_MAX;

    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint8_t)bytes.data[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? crc >> 1 ^ 0xc96c5795d7870f42u : crc >> 1;
    }
    return ~crc;
}

static bool has_since(const struct cluster *c, unsigned slot)
{
    return c->owner[slot] == c->myself->index || bitmap_has(c->yielded, slot);
}

/* With which epoch we took our slots, and those that are yielded. */
static void put_since(const struct cluster *c, struct buf *out)
{
    unsigned slot = 0, first;

    while (slot < SLOT_COUNT) {
        first = slot++;
        if (!has_since(c, first)) continue;
        while (slot < SLOT_COUNT && has_since(c, slot) && c->since_epoch[slot] == c->since_epoch[first]) slot++;
        buf_printf(out, "since %llu %u %u\n", (unsigned long long)c->since_epoch[first], first, slot - 1);
    }
}

void cluster_save(const struct cluster *c, struct buf *out)
{
    size_t start = out->len;

    buf_append_text(out, FIRST_LINE);
    for (size_t i = 0; i < c->node_count; i++) {
        if (node_is(c->nodes[i], FLAG_HANDSHAKE)) continue;
        node_line(c, c->nodes[i], true, out);
        buf_append_byte(out, '\n');
    }
    put_since(c, out);
    buf_printf(out, "vars currentEpoch %llu lastVoteEpoch %llu%s\n", (unsigned long long)c->current_epoch,
               (unsigned long long)c->last_vote_epoch, c->solo ? " solo 1" : "");
    buf_printf(out, "checksum %016llx\n",
               (unsigned long long)checksum((struct bytes){ out->data + start, out->len - start }));
}

/* --- Reading --- */

struct reader {
    struct cluster *c;
    char *error;
    unsigned line;
    struct effects effects; /* of binding slots: nobody is listening yet */
    bool own_format, vars_seen;
    uint16_t yielded_to[SLOT_COUNT]; /* index, or INDEX_NONE; kept apart until all owners are known */
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct reader *reader, const char *format, ...)
{
    int len = snprintf(reader->error, 256, "state file, line %u: ", reader->line);
    va_list args;

    va_start(args, format);
    vsnprintf(reader->error + len, 256 - (size_t)len, format, args);
    va_end(args);
    return false;
}

/* Takes what stands before the separator, or all that is left. */
static struct bytes cut(struct bytes *rest, char separator)
{
    const char *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    struct bytes head = *rest;

    if (end == NULL) {
        *rest = (struct bytes){ rest->data + rest->len, 0 };
        return head;
    }
    head.len = (size_t)(end - rest->data);
    rest->data += head.len + 1;
    rest->len -= head.len + 1;
    return head;
}

/* Into a text of `size`, where it fits and holds no NUL. */
static bool copy_text(struct bytes from, char *out, size_t size)
{
    if (from.len >= size || (from.len > 0 && memchr(from.data, '\0', from.len) != NULL)) return false;
    if (from.len > 0) memcpy(out, from.data, from.len);
    out[from.len] = '\0';
    return true;
}

static bool read_number(struct bytes text, uint64_t max, uint64_t *out)
{
    return bytes_to_u64(text, out) && *out <= max;
}

static bool read_id(struct bytes text, char out[NODE_ID_BYTES + 1])
{
    return text.len == NODE_ID_BYTES && copy_text(text, out, NODE_ID_BYTES + 1) && id_is_valid(out);
}

/* `[hostname]`, then name=value pairs as Redis 7.2 writes them. 7.0 writes a host name alone. */
static bool read_names(struct reader *reader, struct node *node, struct bytes names)
{
    static const char *const known[] = { "shard-id", "nodename", "tls-port", "tcp-port", "client-ipv4", "client-ipv6" };

    if (!copy_text(cut(&names, ','), node->hostname, sizeof(node->hostname)) || !text_is_hostname(node->hostname))
        return refuse(reader, "not a host name");
    while (names.len > 0) {
        struct bytes value = cut(&names, ','), name = cut(&value, '=');
        bool is_known = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (bytes_equal(name, bytes_of(known[i]))) is_known = true;
        if (!is_known) return refuse(reader, "unknown field in an address");
        if (bytes_equal(name, BYTES("shard-id")) && !read_id(value, node->shard_id))
            return refuse(reader, "not a shard id");
    }
    return true;
}

/* ip:port@cport[,names]; the ip may be empty, and may hold colons. */
static bool read_address(struct reader *reader, struct node *node, struct bytes field)
{
    struct bytes names = field, address = cut(&names, ','), port, ip = address;
    uint64_t number;

    while (ip.len > 0 && ip.data[ip.len - 1] != ':') ip.len--;
    if (ip.len == 0) return refuse(reader, "not an address");
    address.data += ip.len;
    address.len -= ip.len;
    ip.len--;
    if (!copy_text(ip, node->ip, sizeof(node->ip)) || !text_is_address(node->ip))
        return refuse(reader, "not an address");
    port = cut(&address, '@');
    if (!read_number(port, UINT16_MAX, &number)) return refuse(reader, "not a port");
    node->port = (uint16_t)number;
    if (address.len == 0) {
        if (number > UINT16_MAX - 10000) return refuse(reader, "not a port");
        number += 10000;
    } else if (!read_number(address, UINT16_MAX, &number)) {
        return refuse(reader, "not a bus port");
    }
    node->cport = (uint16_t)number;
    return read_names(reader, node, names);
}

static bool read_flags(struct reader *reader, struct bytes field, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flag;
    } words[] = {
        { "noflags", 0 },
        { "myself", FLAG_MYSELF },
        { "master", FLAG_PRIMARY },
        { "slave", FLAG_REPLICA },
        { "fail?", FLAG_PFAIL },
        { "fail", FLAG_FAIL },
        { "handshake", FLAG_HANDSHAKE },
        { "noaddr", FLAG_NOADDR },
        { "nofailover", FLAG_NOFAILOVER },
    };

    *flags = 0;
    do {
        struct bytes word = cut(&field, ',');
        size_t i = 0;
        while (i < sizeof(words) / sizeof(words[0]) && !bytes_equal(word, bytes_of(words[i].name))) i++;
        if (i == sizeof(words) / sizeof(words[0])) return refuse(reader, "unknown flag");
        *flags |= words[i].flag;
    } while (field.len > 0);
    if (*flags & FLAG_HANDSHAKE) return refuse(reader, "a node in handshake");
    if (((*flags & FLAG_PRIMARY) != 0) == ((*flags & FLAG_REPLICA) != 0))
        return refuse(reader, "a node is either master or slave");
    return true;
}

/* Cuts the fixed fields off a node's line; what is left are its slots. */
static bool cut_fields(struct reader *reader, struct bytes *line, struct bytes fields[NODE_FIELDS])
{
    for (int i = 0; i < NODE_FIELDS; i++) {
        if (line->len == 0) return refuse(reader, "too short for a node");
        fields[i] = cut(line, ' ');
    }
    return true;
}

static bool read_node(struct reader *reader, struct bytes line)
{
    struct cluster *c = reader->c;
    struct bytes fields[NODE_FIELDS];
    char id[NODE_ID_BYTES + 1];
    uint64_t epoch, number;
    unsigned flags;
    struct node *node;

    if (!cut_fields(reader, &line, fields)) return false;
    if (!read_id(fields[0], id)) return refuse(reader, "not a node id");
    if (node_find(c, id) != NULL) return refuse(reader, "node %s is there twice", id);
    if (!read_flags(reader, fields[2], &flags)) return false;
    if (!read_number(fields[4], INT64_MAX, &number) || !read_number(fields[5], INT64_MAX, &number))
        return refuse(reader, "not a time");
    if (!read_number(fields[6], EPOCH_MAX, &epoch)) return refuse(reader, "not an epoch");
    if (!bytes_equal(fields[7], BYTES("connected")) && !bytes_equal(fields[7], BYTES("disconnected")))
        return refuse(reader, "neither connected nor disconnected");
    if ((flags & FLAG_MYSELF) && (flags & FLAG_REPLICA))
        return refuse(reader, "this node is a replica there, which it cannot be yet");
    if ((flags & FLAG_MYSELF) && c->myself != NULL) return refuse(reader, "a second node is myself");
    if ((flags & FLAG_PRIMARY) && !bytes_equal(fields[3], BYTES("-"))) return refuse(reader, "a master with a master");

    node = node_add(c, id, flags, c->started_ms);
    if (node == NULL) return refuse(reader, "more than %u nodes", NODES_MAX);
    if (flags & FLAG_MYSELF) c->myself = node;
    /* Of a replica the line shows its primary's. */
    node->config_epoch = bytes_equal(fields[3], BYTES("-")) ? epoch : 0;
    if (flags & FLAG_FAIL) node->fail_ms = c->started_ms;
    return read_address(reader, node, fields[1]);
}

static struct node *find(struct reader *reader, struct bytes id)
{
    struct node *node = node_find_bytes(reader->c, id);

    if (node == NULL) refuse(reader, "names a node that is not there");
    return node;
}

static bool read_open_slot(struct reader *reader, const struct node *node, struct bytes field)
{
    struct cluster *c = reader->c;
    struct bytes number, id;
    struct node *other;
    uint64_t slot;
    char kind;

    if (node != c->myself || field.len < 1 + 1 + 3 + NODE_ID_BYTES + 1 || field.data[field.len - 1] != ']')
        return refuse(reader, "not an open slot");
    id = (struct bytes){ field.data + field.len - 1 - NODE_ID_BYTES, NODE_ID_BYTES };
    number = (struct bytes){ field.data + 1, field.len - 1 - NODE_ID_BYTES - 1 - 3 };
    kind = id.data[-2];
    if (id.data[-3] != '-' || id.data[-1] != '-' || strchr(reader->own_format ? "><=?" : "><", kind) == NULL || !kind)
        return refuse(reader, "not an open slot");
    if (!read_number(number, SLOT_COUNT - 1, &slot)) return refuse(reader, "not a slot");
    other = find(reader, id);
    if (other == NULL) return false;
    switch (kind) {
    case '>':
        c->migrating[slot] = other->index;
        break;
    case '<':
        c->importing[slot] = other->index;
        break;
    case '=':
        moves_took_once(c, (uint16_t)slot, other->index);
        break;
    default:
        reader->yielded_to[slot] = other->index;
        break;
    }
    return true;
}

static bool read_slots(struct reader *reader, struct node *node, struct bytes rest)
{
    while (rest.len > 0) {
        struct bytes field = cut(&rest, ' '), last = field, first;
        uint64_t from, to;
        if (field.len > 0 && field.data[0] == '[') {
            if (!read_open_slot(reader, node, field)) return false;
            continue;
        }
        first = cut(&last, '-');
        if (!read_number(first, SLOT_COUNT - 1, &from)) return refuse(reader, "not a slot");
        to = from;
        if (first.len != field.len && !read_number(last, SLOT_COUNT - 1, &to)) return refuse(reader, "not a slot");
        if (to < from) return refuse(reader, "slots run backwards");
        for (; from <= to; from++) {
            if (reader->c->owner[from] != INDEX_NONE) return refuse(reader, "slot %u has two owners", (unsigned)from);
            slot_bind(reader->c, (uint16_t)from, node, &reader->effects);
        }
        effects_clear(&reader->effects);
    }
    return true;
}

/* The second look at a line: what names other nodes. */
static bool read_bonds(struct reader *reader, struct bytes line)
{
    struct bytes fields[NODE_FIELDS];
    struct node *node, *primary;

    if (!cut_fields(reader, &line, fields)) return false;
    node = find(reader, fields[0]);
    if (node == NULL) return false;
    if (!bytes_equal(fields[3], BYTES("-"))) {
        primary = find(reader, fields[3]);
        if (primary == NULL) return false;
        if (primary == node) return refuse(reader, "a node is its own master");
        node_set_primary(reader->c, node, primary);
    }
    return read_slots(reader, node, line);
}

static bool read_vars(struct reader *reader, struct bytes line)
{
    struct cluster *c = reader->c;

    cut(&line, ' ');
    if (reader->vars_seen) return refuse(reader, "a second vars line");
    reader->vars_seen = true;
    while (line.len > 0) {
        struct bytes name = cut(&line, ' '), value = cut(&line, ' ');
        uint64_t number;
        if (!read_number(value, EPOCH_MAX, &number)) return refuse(reader, "a var without a number");
        if (bytes_equal(name, BYTES("currentEpoch")))
            c->current_epoch = number;
        else if (bytes_equal(name, BYTES("lastVoteEpoch")))
            c->last_vote_epoch = number;
        else if (bytes_equal(name, BYTES("solo")) && reader->own_format && number == 1)
            c->solo = true;
        else if (reader->own_format)
            return refuse(reader, "an unknown var");
    }
    return true;
}

static bool read_since(struct reader *reader, struct bytes line)
{
    uint64_t epoch, first, last;

    cut(&line, ' ');
    if (!read_number(cut(&line, ' '), EPOCH_MAX, &epoch) || !read_number(cut(&line, ' '), SLOT_COUNT - 1, &first) ||
        !read_number(line, SLOT_COUNT - 1, &last) || last < first)
        return refuse(reader, "not an epoch and the slots taken with it");
    for (; first <= last; first++) reader->c->since_epoch[first] = epoch;
    return true;
}

static bool is_since(const struct reader *reader, struct bytes line)
{
    return reader->own_format && line.len >= 6 && memcmp(line.data, "since ", 6) == 0;
}

static bool is_vars(struct bytes line)
{
    return line.len >= 5 && memcmp(line.data, "vars ", 5) == 0;
}

/* Cuts our first and last line off, if they are ours. */
static bool check_frame(struct reader *reader, struct bytes *text)
{
    char expected[CHECKSUM_LINE_BYTES + 1];
    struct bytes covered;

    if (text->len > STATE_FILE_BYTES_MAX) return refuse(reader, "the file is larger than any state");
    if (text->len < sizeof(FIRST_LINE) - 1 || memcmp(text->data, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0) return true;
    reader->own_format = true;
    if (text->len < sizeof(FIRST_LINE) - 1 + CHECKSUM_LINE_BYTES) return refuse(reader, "the file is cut short");
    covered = (struct bytes){ text->data, text->len - CHECKSUM_LINE_BYTES };
    snprintf(expected, sizeof(expected), "checksum %016llx\n", (unsigned long long)checksum(covered));
    if (memcmp(text->data + covered.len, expected, CHECKSUM_LINE_BYTES) != 0)
        return refuse(reader, "the checksum does not match: the file is damaged or was edited");
    text->data += sizeof(FIRST_LINE) - 1;
    text->len = covered.len - (sizeof(FIRST_LINE) - 1);
    return true;
}

static bool each_line(struct reader *reader, struct bytes text, bool (*read)(struct reader *, struct bytes), bool vars)
{
    for (reader->line = reader->own_format ? 2 : 1; text.len > 0; reader->line++) {
        struct bytes line = cut(&text, '\n');
        if (line.len == 0) continue;
        if (is_vars(line)) {
            if (vars && !read_vars(reader, line)) return false;
        } else if (is_since(reader, line)) {
            if (!vars && !read_since(reader, line)) return false;
        } else if (!read(reader, line)) {
            return false;
        }
    }
    return true;
}

/* One that its owner does not claim is nobody's there, and still its to speak of. */
static void read_yielded(struct reader *reader)
{
    struct cluster *c = reader->c;

    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (reader->yielded_to[slot] == INDEX_NONE) continue;
        if (c->owner[slot] == INDEX_NONE) {
            slot_bind(c, (uint16_t)slot, node_at_index(c, reader->yielded_to[slot]), &reader->effects);
            bitmap_set(c->not_claiming, slot);
        }
        bitmap_set(c->yielded, slot);
    }
    effects_clear(&reader->effects);
}

static bool read_all(struct reader *reader, struct bytes text)
{
    struct cluster *c = reader->c;

    if (!check_frame(reader, &text)) return false;
    if (!each_line(reader, text, read_node, true)) return false;
    if (c->myself == NULL) return refuse(reader, "no node is myself");
    /* Redis pads with line ends and closes with the vars: without them the file was cut short. */
    if (!reader->vars_seen) return refuse(reader, "no vars line");
    if (text.data[text.len - 1] != '\n') return refuse(reader, "the last line has no end");
    if (!each_line(reader, text, read_bonds, false)) return false;
    read_yielded(reader);
    view_close_impossible(c);
    if (c->solo && (c->node_count > 1 || c->assigned_count > 0)) return refuse(reader, "solo, but not alone");
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i]->config_epoch > c->current_epoch) c->current_epoch = c->nodes[i]->config_epoch;
    return true;
}

/* Myself leads the list. */
static void put_myself_first(struct cluster *c)
{
    size_t at = 0;

    while (c->nodes[at] != c->myself) at++;
    memmove(&c->nodes[1], &c->nodes[0], at * sizeof(struct node *));
    c->nodes[0] = c->myself;
}

struct cluster *cluster_load(struct bytes state, const struct cluster_options *options, uint64_t seed, int64_t now_ms,
                             char error[256])
{
    struct reader reader = { .c = cluster_bare(options, seed, now_ms), .error = error, .line = 1 };
    struct cluster *c = reader.c;

    error[0] = '\0';
    memset(reader.yielded_to, 0xff, sizeof(reader.yielded_to));
    if (!read_all(&reader, state)) {
        effects_free(&reader.effects);
        cluster_free(&c);
        return NULL;
    }
    put_myself_first(c);
    if (c->myself->shard_id[0] == '\0') id_random(c, c->myself->shard_id);
    cluster_apply_options(c);
    c->ok = c->solo;
    c->delayed_start = !c->solo;
    view_update_state(c, now_ms, &reader.effects);
    c->save = SAVE_NO;
    announce_loaded(c);
    effects_free(&reader.effects);
    return c;
}
