/* Any bytes are read as requests or refused; none crash. And three promises hold for all of them:
 *
 *   - However the bytes are cut, and wherever the pieces lie, the same requests and the same error come out.
 *   - What is accepted as an array is, written down again, the very bytes that were read, and hiredis' reader reads the
 *     same strings from them.
 *   - What hiredis reads as an array of strings is accepted, unless those strings written down again give other bytes:
 *     hiredis does not look at the two bytes behind a string. */
#include "base/buf.h"
#include "base/random.h"
#include "proto/request.h"

#include <hiredis/read.h>

#include <stdio.h>
#include <stdlib.h>

/* The line limit is small, so that inputs of the usual size reach it. */
static const struct request_limits limits = { .args_max = 1024 * 1024, .bulk_max = 8 << 20, .inline_max = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *promise)
{
    if (holds) return;
    fprintf(stderr, "broken promise: %s\n", promise);
    abort();
}

/* --- What hiredis reads --- */

struct seen {
    struct buf text; /* the array, written down again */
    int64_t count;
    bool plain; /* an array of nothing but strings */
};

static void *see_string(const redisReadTask *task, char *string, size_t len)
{
    struct seen *seen = task->privdata;

    if (!task->parent || task->parent->parent || task->type != REDIS_REPLY_STRING) seen->plain = false;
    buf_printf(&seen->text, "$%zu\r\n", len);
    buf_append(&seen->text, string, len);
    buf_append_text(&seen->text, "\r\n");
    return seen;
}

/* Nothing is allocated for an announced count, or a few bytes would ask for gigabytes. */
static void *see_array(const redisReadTask *task, int count)
{
    struct seen *seen = task->privdata;

    if (task->parent) {
        seen->plain = false;
    } else {
        seen->count = count;
        buf_printf(&seen->text, "*%d\r\n", count);
    }
    return seen;
}

static void *see_integer(const redisReadTask *task, long long number)
{
    struct seen *seen = task->privdata;

    (void)number;
    seen->plain = false;
    return seen;
}

static void *see_nil(const redisReadTask *task)
{
    struct seen *seen = task->privdata;

    seen->plain = false;
    return seen;
}

static void unsee(void *seen)
{
    (void)seen;
}

/* Whether hiredis reads a whole reply from the bytes, and what it saw of it. */
static bool hiredis_reads(struct bytes bytes, struct seen *seen)
{
    static redisReplyObjectFunctions functions = { see_string, see_array, see_integer, see_nil, unsee };
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    void *reply = NULL;
    bool done;

    buf_clear(&seen->text);
    seen->count = -1;
    seen->plain = true;
    reader->privdata = seen;
    redisReaderFeed(reader, bytes.data, bytes.len);
    done = redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL;
    redisReaderFree(reader);
    if (seen->count < 0) seen->plain = false;
    return done;
}

/* --- What we read --- */

static void write_down(struct buf *text, const struct request *request)
{
    buf_printf(text, "*%d\r\n", request->argc);
    for (int i = 0; i < request->argc; i++) {
        buf_printf(text, "$%zu\r\n", request->argv[i].len);
        buf_append_bytes(text, request->argv[i]);
        buf_append_text(text, "\r\n");
    }
}

static void compare_with_hiredis(const struct request *request, enum request_status status, struct bytes bytes)
{
    static struct seen seen;
    static struct buf ours;
    bool done;

    if (bytes.data[0] != '*') return;
    done = hiredis_reads(bytes, &seen);
    if (status == REQUEST_READY && request->argc > 0) {
        buf_clear(&ours);
        write_down(&ours, request);
        must(ours.len == request->consumed && memcmp(ours.data, bytes.data, ours.len) == 0,
             "an accepted array is the bytes it was read from");
        must(done && seen.plain, "hiredis accepts what we accept");
        must(bytes_equal(buf_bytes(&ours), buf_bytes(&seen.text)), "hiredis reads the same strings");
    } else if (done && seen.plain && seen.text.len <= bytes.len &&
               memcmp(seen.text.data, bytes.data, seen.text.len) == 0) {
        must(status == REQUEST_READY && seen.count == 0, "we accept what hiredis accepts");
    }
}

/* The bytes as they come: what was not used yet, and what is still to come. An argument may be taken out of them. */
struct stream {
    struct bytes to_come;
    struct buf data;
    struct buf moved; /* the argument */
    size_t moved_len; /* how long it will be; 0: none */
};

static void come(struct stream *stream, size_t step)
{
    size_t missing = stream->moved_len - stream->moved.len;

    if (step > stream->to_come.len) step = stream->to_come.len;
    if (missing > step) missing = step;
    buf_append(&stream->moved, stream->to_come.data, missing);
    buf_append(&stream->data, stream->to_come.data + missing, step - missing);
    stream->to_come.data += step;
    stream->to_come.len -= step;
}

static void move_out(struct stream *stream, struct request *request)
{
    struct request_cut cut;

    if (stream->moved_len != 0 || !request_cut(request, &cut) || cut.arg == 0 || cut.len == 0) return;
    if (stream->data.len - cut.offset > cut.len) return;
    stream->moved_len = cut.len;
    buf_reserve(&stream->moved, cut.len); /* stays where it is from now on */
    buf_append(&stream->moved, stream->data.data + cut.offset, stream->data.len - cut.offset);
    stream->data.len = cut.offset;
    request_move_out(request, (struct bytes){ stream->moved.data, cut.len });
}

/* Reads all requests, given in pieces where `random` is not NULL, and writes down what came of it. */
static void read_all(struct buf *text, struct bytes bytes, struct random *random)
{
    struct request request = { 0 };
    struct stream stream = { .to_come = bytes };

    buf_clear(text);
    if (!random) come(&stream, bytes.len);
    for (;;) {
        struct bytes given = buf_bytes(&stream.data);
        enum request_status status = REQUEST_PARTIAL;
        char *copy = NULL;

        if (random) {
            /* A new place of exactly that size each time: what points into the old one is found. */
            copy = malloc(given.len + 1);
            if (given.len > 0) memcpy(copy + 1, given.data, given.len);
            given.data = copy + 1;
        }
        if (stream.moved.len == stream.moved_len) {
            status = request_read(&request, given, &limits);
            if (status == REQUEST_READY) {
                must(request.consumed > 0 && request.consumed <= given.len, "what is ready was there");
                write_down(text, &request);
                buf_printf(text, "after %zu\n", request.consumed + stream.moved_len);
            } else if (status == REQUEST_BROKEN) {
                buf_append_text(text, request.error);
            } else {
                must(request.needed == 0 || request.needed > given.len, "more is needed than there is");
            }
        }
        if (!random && given.len > 0) compare_with_hiredis(&request, status, given);
        free(copy);

        if (status == REQUEST_READY) {
            buf_consume(&stream.data, request.consumed);
            stream.moved_len = stream.moved.len = 0;
        }
        if (status == REQUEST_BROKEN || (status == REQUEST_PARTIAL && stream.to_come.len == 0)) break;
        if (status == REQUEST_PARTIAL) {
            if (random_below(random, 2) == 0) move_out(&stream, &request);
            come(&stream, 1 + (size_t)random_below(random, random_below(random, 4) == 0 ? 64 : 4));
        }
    }
    request_free(&request);
    buf_free(&stream.data);
    buf_free(&stream.moved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf whole, pieces;
    struct bytes bytes = { (const char *)data, size };
    struct random random;
    uint64_t seed = size;

    for (size_t i = 0; i < size; i++) seed = seed * 31 + data[i];
    random_seed(&random, seed);
    read_all(&whole, bytes, NULL);
    read_all(&pieces, bytes, &random);
    must(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)), "pieces give what the whole gives");
    return 0;
}
