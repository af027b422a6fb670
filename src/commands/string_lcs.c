/* commands/string_lcs.c: the longest common subsequence of two values, by the textbook's table of lengths.
 *
 * That takes long, so it is done after the slots' locks were given back, on values that stay: big ones are held, small ones copied.
 *
 * To walk back from the end one need not know the lengths, only which neighbour was longer where the bytes differ: one bit for each
 * cell. Two rows of lengths are enough to find the bits, so the table takes a thirty-second of what a table of lengths would. The
 * limit users know (proto-max-bulk-len for a table of four bytes a cell) stays all the same: it bounds the time, too. */
#include "commands/string_internal.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "server/node.h"

#include <string.h>

struct lcs_options {
    bool length, ranges, with_length;
    int64_t range_min;
};

/* A value to be read without its slot's lock. */
struct kept_value {
    struct entry *held; /* NULL where it was copied */
    char *copy;
};

struct lcs {
    struct bytes a, b;
    struct kept_value kept[2]; /* a's and b's */
    struct lcs_options options;
    uint8_t *up; /* bit i*b.len+j: from here the walk back goes to the cell before in a, not in b */
    uint32_t length;
};

static bool lcs_bit(const struct lcs *lcs, size_t i, size_t j)
{
    size_t bit = i * lcs->b.len + j;

    return (lcs->up[bit / 8] >> (bit % 8) & 1) != 0;
}

/* Fills the length, and the bits where they are asked for. */
static void lcs_compute(struct lcs *lcs, bool bits)
{
    /* Row and column 0 stand for the empty prefix. */
    uint32_t *row = alloc_zeroed((lcs->b.len + 1) * sizeof(*row));

    /* The product fits: is_small_enough() has bounded it. */
    lcs->up = bits ? alloc_zeroed(lcs->a.len * lcs->b.len / 8 + 1) : NULL;
    for (size_t i = 0; i < lcs->a.len; i++) {
        uint32_t corner = 0; /* the cell before in both */

        for (size_t j = 0; j < lcs->b.len; j++) {
            uint32_t above = row[j + 1], left = row[j];

            if (lcs->a.data[i] == lcs->b.data[j]) {
                row[j + 1] = corner + 1;
            } else if (above > left) {
                size_t bit = i * lcs->b.len + j;

                row[j + 1] = above;
                if (bits) lcs->up[bit / 8] = (uint8_t)(lcs->up[bit / 8] | 1u << (bit % 8));
            } else {
                row[j + 1] = left;
            }
            corner = above;
        }
    }
    lcs->length = row[lcs->b.len];
    alloc_free(row);
}

static void reply_range(struct reply *reply, const struct lcs_options *options, size_t a, size_t b, size_t length)
{
    reply_array(reply, options->with_length ? 3 : 2);
    reply_array(reply, 2);
    reply_integer(reply, (int64_t)a);
    reply_integer(reply, (int64_t)(a + length - 1));
    reply_array(reply, 2);
    reply_integer(reply, (int64_t)b);
    reply_integer(reply, (int64_t)(b + length - 1));
    if (options->with_length) reply_integer(reply, (int64_t)length);
}

/* Walks back from the ends: writes the common bytes into text and the runs of them, last one first, into ranges. Returns how many
 * runs were long enough. */
static size_t lcs_walk(const struct lcs *lcs, const struct lcs_options *options, char *text, struct reply *ranges)
{
    size_t i = lcs->a.len, j = lcs->b.len, at = lcs->length, run = 0, count = 0;

    while (i > 0 && j > 0) {
        bool is_common = lcs->a.data[i - 1] == lcs->b.data[j - 1];

        if (is_common) {
            text[--at] = lcs->a.data[i - 1];
            run++, i--, j--;
        }
        if (run > 0 && (!is_common || i == 0 || j == 0)) {
            if ((int64_t)run >= options->range_min) {
                reply_range(ranges, options, i, j, run);
                count++;
            }
            run = 0;
        }
        if (is_common) continue;
        if (lcs_bit(lcs, i - 1, j - 1))
            i--;
        else
            j--;
    }
    return count;
}

static bool parse_options(struct call *call, struct lcs_options *options)
{
    for (int arg = 3; arg < call->argc; arg++) {
        if (call_arg_is(call, arg, "idx"))
            options->ranges = true;
        else if (call_arg_is(call, arg, "len"))
            options->length = true;
        else if (call_arg_is(call, arg, "withmatchlen"))
            options->with_length = true;
        else if (call_arg_is(call, arg, "minmatchlen") && arg + 1 < call->argc) {
            if (!call_arg_i64(call, ++arg, &options->range_min)) return false;
        } else {
            reply_error(call->reply, ERROR_SYNTAX);
            return false;
        }
    }
    if (options->ranges && options->length) {
        reply_error(call->reply, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

static bool is_small_enough(struct call *call, const struct lcs *lcs)
{
    uint64_t cells, max = (uint64_t)config_int(call->node->config, proto_max_bulk_len);

    if (lcs->a.len >= UINT32_MAX - 1 || lcs->b.len >= UINT32_MAX - 1) {
        reply_error(call->reply, "ERR String too long for LCS");
        return false;
    }
    cells = (uint64_t)(lcs->a.len + 1) * (lcs->b.len + 1);
    if (cells <= max / sizeof(uint32_t)) return true;
    reply_error(call->reply, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    return false;
}

static void keep_value(struct kept_value *kept, struct entry *entry, struct bytes *value)
{
    if (value->len == 0) return;
    if (entry_is_big(entry)) {
        entry_hold(entry);
        kept->held = entry;
        return;
    }
    kept->copy = alloc(value->len);
    memcpy(kept->copy, value->data, value->len);
    value->data = kept->copy;
}

static void drop_value(struct kept_value *kept)
{
    if (kept->held != NULL) entry_free(&kept->held);
    alloc_free(kept->copy);
}

static void lcs_command(struct call *call)
{
    struct lcs lcs = { .length = 0 };
    struct entry *a = call_find_read(call, 1);
    struct entry *b = call_find_read(call, 2);

    /* The second look-up may have removed an expired entry, never the first key's. Borrowed entries stay where they are. */
    if (!string_of(call, a, &lcs.a) || !string_of(call, b, &lcs.b)) return;
    if (!parse_options(call, &lcs.options) || !is_small_enough(call, &lcs)) return;
    keep_value(&lcs.kept[0], a, &lcs.a);
    keep_value(&lcs.kept[1], b, &lcs.b);
    call->kept = alloc(sizeof(lcs));
    memcpy(call->kept, &lcs, sizeof(lcs));
}

static void lcs_reply(struct call *call, const struct lcs *lcs)
{
    struct buf ranges_text = { 0 };
    struct reply ranges = { .out = &ranges_text, .resp = call->reply->resp };
    char *text = alloc((size_t)lcs->length + 1);
    size_t count = lcs_walk(lcs, &lcs->options, text, &ranges);

    if (lcs->options.ranges) {
        reply_map(call->reply, 2);
        reply_bulk_text(call->reply, "matches");
        reply_array(call->reply, count);
        buf_append_bytes(call->reply->out, buf_bytes(&ranges_text));
        reply_bulk_text(call->reply, "len");
        reply_integer(call->reply, lcs->length);
    } else {
        reply_bulk(call->reply, (struct bytes){ text, lcs->length });
    }
    buf_free(&ranges_text);
    alloc_free(text);
}

static void lcs_finish(struct call *call)
{
    struct lcs *lcs = call->kept;

    call->kept = NULL;
    lcs_compute(lcs, !lcs->options.length);
    if (lcs->options.length)
        reply_integer(call->reply, lcs->length);
    else
        lcs_reply(call, lcs);
    drop_value(&lcs->kept[0]);
    drop_value(&lcs->kept[1]);
    alloc_free(lcs->up);
    alloc_free(lcs);
}

static const struct command_arg lcs_args[] = {
    { .name = "key1", .type = ARG_KEY, .key_spec = 0 },
    { .name = "key2", .type = ARG_KEY, .key_spec = 0 },
    { .name = "len", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "LEN" },
    { .name = "idx", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "IDX" },
    { .name = "len", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "MINMATCHLEN" },
    { .name = "withmatchlen", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "WITHMATCHLEN" },
    { .name = NULL },
};

const struct command command_lcs = {
    .name = "lcs",
    .summary = "Find the longest common subsequence of two values.",
    .since = "7.0.0",
    .group = "string",
    .complexity = "O(N*M) for values of N and M bytes",
    .arity = -3,
    .flags = COMMAND_READONLY | COMMAND_TELLS_VALUES,
    .acl = ACL_STRING,
    .keys = { { .first = 1, .last = 1, .step = 1, .flags = KEY_RO | KEY_ACCESS } },
    .args = lcs_args,
    .run = lcs_command,
    .finish = lcs_finish,
};
