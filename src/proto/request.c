/* proto/request.c
 *
 * Two readers in one. The quick one takes the heads that nearly every request has (a few digits, CRLF, all of it there)
 * without a search or a call; whatever is unusual, be it cut, long or wrong, it leaves to the careful one, which knows
 * each error and remembers how far it got. Both stop at the same places, so how a request is cut changes nothing.
 *
 *     *2 \r\n $3 \r\n GET \r\n $3 \r\n key \r\n
 *                         ^ position, once "GET" is an argument: the next head; after that head, the argument
 *
 * Arguments that one call reads go straight to argv. Where the request is cut, they are noted as offsets besides, each
 * once, so that a request of a million arguments that comes in small pieces still costs a constant per argument. */
#include "proto/request.h"

#include "base/alloc.h"

#include <limits.h>
#include <stdio.h>

#define ARGV_CAP_MIN 8
#define ARGV_KEPT_MAX 256               /* what a client may keep for its next request */
#define BULK_BYTES_HARD_MAX (512 << 20) /* where the wording of errors before authentication changes */

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

static __attribute__((cold)) enum request_status broken(struct request *request, const char *error)
{
    request->error = error;
    return REQUEST_BROKEN;
}

/* --- Arguments --- */

static __attribute__((noinline)) void grow_argv(struct request *request)
{
    /* By what came, never by what was announced: an announcement costs its sender nothing. */
    request->argv_cap = request->argv_cap == 0 ? ARGV_CAP_MIN : request->argv_cap * 2;
    request->argv = alloc_resize(request->argv, (size_t)request->argv_cap * sizeof(*request->argv));
}

static inline void add_arg(struct request *request, const char *data, size_t len)
{
    if (unlikely(request->argc == request->argv_cap)) grow_argv(request);
    /* Below its capacity argv is there; the analyzer does not know that the two go together. */
    request->argv[request->argc++] = (struct bytes){ data, len }; // NOLINT(clang-analyzer-core.NullDereference)
}

/* The data ends inside the request: what this call read must survive a move of the data. */
static __attribute__((noinline)) enum request_status partial(struct request *request, const char *base)
{
    if (request->spans_cap < request->argc) {
        request->spans_cap = request->argv_cap;
        request->spans = alloc_resize(request->spans, (size_t)request->spans_cap * sizeof(*request->spans));
    }
    for (; request->spans_count < request->argc; request->spans_count++) {
        /* argc arguments are in argv, so it is not NULL here. */
        struct bytes arg = request->argv[request->spans_count]; // NOLINT(clang-analyzer-core.NullDereference)

        request->spans[request->spans_count] = (struct request_span){ (uint64_t)(arg.data - base), arg.len };
    }
    return REQUEST_PARTIAL;
}

static inline enum request_status ready(struct request *request, const char *base, size_t consumed)
{
    /* Spans are of arguments that are in argv, so it is not NULL where there are any. */
    for (int i = 0; i < request->spans_count; i++) // NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
        request->argv[i] = (struct bytes){ base + request->spans[i].offset, request->spans[i].len };
    if (unlikely(request->moved_arg != 0 && request->spans_count > 0))
        request->argv[request->moved_arg] = request->moved;
    request->spans_count = 0;
    request->consumed = consumed;
    request->position = 0;
    request->scanned = 0;
    request->args_left = 0;
    request->bulk_len = -1;
    return REQUEST_READY;
}

/* --- Inline lines --- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Reads what follows a backslash between double quotes; returns how many bytes that is. */
static size_t unescape(const char *at, const char *end, char *out)
{
    if (end - at >= 3 && at[0] == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
        *out = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
        return 3;
    }
    switch (*at) {
    case 'n':
        *out = '\n';
        break;
    case 'r':
        *out = '\r';
        break;
    case 't':
        *out = '\t';
        break;
    case 'b':
        *out = '\b';
        break;
    case 'a':
        *out = '\a';
        break;
    default:
        *out = *at;
    }
    return 1;
}

/* Reads a quoted part, at its opening quote, to *out, which moves on. Returns what follows the closing quote, or NULL
 * where there is none or more than space follows it. */
static const char *read_quoted(const char *at, const char *end, char **out)
{
    char quote = *at++;

    for (; at < end && *at != quote; at++) {
        if (*at == '\\' && quote == '"' && end - at >= 2) {
            at += unescape(at + 1, end, *out);
            ++*out;
        } else {
            if (*at == '\\' && end - at >= 2 && at[1] == '\'') at++;
            *(*out)++ = *at;
        }
    }
    if (at == end) return NULL;
    at++;
    return at == end || is_space(*at) ? at : NULL;
}

/* Reads one word: where it holds no quote it stays where it is, else it is put together in *out. Words never grow by
 * unquoting: what is left of the line is room enough for all that follow, so those put together stay where they are.
 * NULL where quotes are not balanced. */
static const char *read_word(struct request *request, const char *at, const char *end, char **out)
{
    const char *start = at;

    while (at < end && *at != ' ' && *at != '\t' && *at != '\r' && *at != '\n') {
        if (*at != '"' && *at != '\'') {
            at++;
            continue;
        }
        if (!*out) *out = buf_reserve(&request->inline_words, (size_t)(end - start));
        char *word = *out;
        memcpy(*out, start, (size_t)(at - start));
        *out += at - start;
        at = read_quoted(at, end, out);
        if (at) add_arg(request, word, (size_t)(*out - word));
        return at;
    }
    add_arg(request, start, (size_t)(at - start));
    return at;
}

static enum request_status read_inline(struct request *request, struct bytes data, const struct request_limits *limits)
{
    size_t searched = data.len <= limits->inline_max ? data.len : limits->inline_max + 1;
    const char *at = data.data, *newline = NULL, *end;
    char *out = NULL;

    if (request->scanned < searched) newline = memchr(at + request->scanned, '\n', searched - request->scanned);
    if (!newline) {
        request->scanned = searched;
        if (data.len > limits->inline_max) return broken(request, "ERR Protocol error: too big inline request");
        return REQUEST_PARTIAL;
    }
    end = newline > at && newline[-1] == '\r' ? newline - 1 : newline;
    for (;;) {
        while (at < end && is_space(*at)) at++;
        if (at == end) break;
        at = read_word(request, at, end, &out);
        if (!at) return broken(request, "ERR Protocol error: unbalanced quotes in request");
    }
    return ready(request, data.data, (size_t)(newline - data.data) + 1);
}

/* --- Arrays of bulk strings --- */

static inline uint16_t load_pair(const char *at)
{
    uint16_t pair;

    memcpy(&pair, at, sizeof(pair));
    return pair;
}

static inline bool is_crlf(const char *at)
{
    return load_pair(at) == load_pair("\r\n");
}

static inline unsigned digit_at(const char *at)
{
    return (unsigned)(unsigned char)*at - '0';
}

/* Three to seven digits, where ten bytes and more are left. */
static __attribute__((noinline)) const char *quick_long_head(const char *at, size_t *number)
{
    size_t value = digit_at(++at);
    unsigned digit;

    if (value > 9 || value == 0) return NULL;
    for (int digits = 1; (digit = digit_at(++at)) <= 9; digits++) {
        if (digits == 7) return NULL;
        value = value * 10 + digit;
    }
    if (!is_crlf(at)) return NULL;
    *number = value;
    return at + 2;
}

/* The quick reader's head, at its type byte: up to seven digits and CRLF. Returns what follows, or NULL where the careful
 * reader has to look; so it does where fewer than ten bytes are left and the number is not a single digit, for then the
 * argument cannot be all there. */
static inline const char *quick_head(const char *at, const char *end, char type, size_t *number)
{
    unsigned first, second;

    if (unlikely(end - at < 4 || *at != type)) return NULL;
    first = digit_at(at + 1);
    if (is_crlf(at + 2)) {
        *number = first;
        return likely(first <= 9) ? at + 4 : NULL;
    }
    if (unlikely(end - at < 10)) return NULL;
    if (is_crlf(at + 3)) {
        second = digit_at(at + 2);
        *number = first * 10 + second;
        /* A zero in front is not canonical. */
        return likely(first - 1 <= 8 && second <= 9) ? at + 5 : NULL;
    }
    return quick_long_head(at, number);
}

/* Finds the number between the type byte at position and CRLF; *text, empty at first, gets no data where the line does not end in CRLF. */
static enum request_status careful_head(struct request *request, struct bytes data, const struct request_limits *limits,
                                        const char *too_big, struct bytes *text)
{
    size_t start = request->position;
    size_t left = data.len - start;
    size_t searched = start + (left <= limits->inline_max ? left : limits->inline_max + 1);
    size_t from = request->scanned > start ? request->scanned : start + 1;
    const char *cr = from < searched ? memchr(data.data + from, '\r', searched - from) : NULL;

    if (!cr) {
        request->scanned = searched;
        if (left > limits->inline_max) return broken(request, too_big);
        return partial(request, data.data);
    }
    request->scanned = (size_t)(cr - data.data);
    if (request->scanned + 1 == data.len) return partial(request, data.data);
    if (cr[1] == '\n') *text = (struct bytes){ data.data + start + 1, request->scanned - start - 1 };
    return REQUEST_READY;
}

static enum request_status careful_count(struct request *request, struct bytes data,
                                         const struct request_limits *limits)
{
    struct bytes text = BYTES_NONE;
    enum request_status status =
        careful_head(request, data, limits, "ERR Protocol error: too big mbulk count string", &text);
    int64_t count;

    if (status != REQUEST_READY) return status;
    if (!text.data || !bytes_to_i64(text, &count) || count > INT_MAX)
        return broken(request, "ERR Protocol error: invalid multibulk length");
    if (count > limits->args_max)
        return broken(request, limits->unauthenticated ? "ERR Protocol error: unauthenticated multibulk length"
                                                       : "ERR Protocol error: invalid multibulk length");
    request->position = request->scanned + 2;
    request->args_left = count;
    return REQUEST_READY;
}

static __attribute__((cold)) enum request_status not_a_bulk(struct request *request, char got)
{
    if (got == '\r' || got == '\n') got = ' ';
    snprintf(request->error_text, sizeof(request->error_text), "ERR Protocol error: expected '$', got '%c'", got);
    return broken(request, request->error_text);
}

static enum request_status careful_bulk_head(struct request *request, struct bytes data,
                                             const struct request_limits *limits)
{
    struct bytes text = BYTES_NONE;
    enum request_status status;
    int64_t len;

    if (request->position == data.len) return partial(request, data.data);
    if (data.data[request->position] != '$') return not_a_bulk(request, data.data[request->position]);
    status = careful_head(request, data, limits, "ERR Protocol error: too big bulk count string", &text);
    if (status != REQUEST_READY) return status;
    if (!text.data || !bytes_to_i64(text, &len) || len < 0)
        return broken(request, "ERR Protocol error: invalid bulk length");
    if (len > limits->bulk_max)
        return broken(request, limits->unauthenticated && len <= BULK_BYTES_HARD_MAX
                                   ? "ERR Protocol error: unauthenticated bulk length"
                                   : "ERR Protocol error: invalid bulk length");
    request->position = request->scanned + 2;
    request->bulk_len = len;
    return REQUEST_READY;
}

static enum request_status read_args(struct request *request, struct bytes data, const struct request_limits *limits)
{
    const char *end = data.data + data.len;
    int64_t args_left = request->args_left;
    size_t position = request->position;
    size_t bulk_max = (size_t)limits->bulk_max;

    while (args_left > 0) {
        const char *at = data.data + position;
        size_t len, left;

        if (request->bulk_len >= 0) {
            /* Cut inside this argument: its head was read by an earlier call. */
            len = (size_t)request->bulk_len;
        } else {
            const char *after = quick_head(at, end, '$', &len);

            if (likely(after && len <= bulk_max)) {
                at = after;
            } else {
                enum request_status status;

                request->position = position;
                request->args_left = args_left;
                status = careful_bulk_head(request, data, limits);
                if (status != REQUEST_READY) return status;
                len = (size_t)request->bulk_len;
                at = data.data + request->position;
            }
        }
        left = (size_t)(end - at);
        if (unlikely(left < 2 || left - 2 < len)) {
            request->position = (size_t)(at - data.data);
            request->args_left = args_left;
            request->bulk_len = (int64_t)len;
            if (__builtin_add_overflow(request->position, len, &request->needed) ||
                __builtin_add_overflow(request->needed, 2, &request->needed))
                return broken(request, "ERR Protocol error: invalid bulk length");
            return partial(request, data.data);
        }
        if (unlikely(!is_crlf(at + len))) return broken(request, "ERR Protocol error: expected CRLF after bulk string");
        add_arg(request, at, len);
        position = (size_t)(at - data.data) + len + 2;
        request->bulk_len = -1;
        args_left--;
    }
    return ready(request, data.data, position);
}

/* --- Both --- */

static __attribute__((noinline)) void give_back(struct request *request)
{
    alloc_free(request->argv);
    alloc_free(request->spans);
    buf_free(&request->inline_words);
    request->argv = NULL;
    request->spans = NULL;
    request->argv_cap = request->spans_cap = 0;
    request->moved_arg = 0;
}

enum request_status request_read(struct request *request, struct bytes data, const struct request_limits *limits)
{
    request->consumed = 0;
    request->needed = 0;
    if (request->args_left == 0) {
        const char *after;
        size_t count;

        request->argc = 0;
        request->bulk_len = -1;
        /* What an unusual request took is not kept for as long as its client stays. */
        if (unlikely(request->argv_cap > ARGV_KEPT_MAX || request->inline_words.data || request->spans))
            give_back(request);
        if (data.len == 0) return REQUEST_PARTIAL;
        if (*data.data != '*') return read_inline(request, data, limits);

        after = quick_head(data.data, data.data + data.len, '*', &count);
        if (likely(after && count <= (size_t)limits->args_max)) {
            request->position = (size_t)(after - data.data);
            request->args_left = (int64_t)count;
        } else {
            enum request_status status = careful_count(request, data, limits);

            if (status != REQUEST_READY) return status;
            if (request->args_left <= 0) return ready(request, data.data, request->position);
        }
    }
    return read_args(request, data, limits);
}

struct bytes request_arg(const struct request *request, struct bytes data, int arg)
{
    return (struct bytes){ data.data + request->spans[arg].offset, request->spans[arg].len };
}

bool request_cut(const struct request *request, struct request_cut *cut)
{
    if (request->args_left <= 0 || request->bulk_len < 0 || request->moved_arg == request->argc) return false;
    *cut = (struct request_cut){ request->argc, (size_t)request->bulk_len, request->position };
    return true;
}

void request_move_out(struct request *request, struct bytes bytes)
{
    request->moved_arg = request->argc;
    request->moved_offset = request->position;
    request->moved = bytes;
    request->bulk_len = 0;
    request->needed = 0;
}

/* The spans up to the argument were noted when the request was cut there, and are still right. */
void request_undo(struct request *request)
{
    request->args_left = request->argc - request->moved_arg;
    request->argc = request->spans_count = request->moved_arg;
    request->position = request->moved_offset;
    request->bulk_len = 0;
}

void request_reset(struct request *request)
{
    request_free(request);
}

void request_free(struct request *request)
{
    give_back(request);
    *request = (struct request){ 0 };
}
