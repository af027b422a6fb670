/* Big values put together without their slots' locks: what is ready when, what it is made of, and that it ends. */
#include "base/alloc.h"
#include "server/build.h"
#include "server/call.h"
#include "server/worker_internal.h"
#include "unit/unit.h"

#include <string.h>

#define BIG (ENTRY_BIG_BYTES + 100)

struct fixture {
    struct worker *worker;
    struct bytes argv[4];
    struct call call;
};

static struct fixture begin(void)
{
    return (struct fixture){ .worker = alloc_zeroed(sizeof(struct worker)) };
}

/* The call of a fixture that has come to its place. */
static struct call *call_of(struct fixture *f)
{
    for (int i = 0; i < 4; i++) f->argv[i] = BYTES("key");
    f->call = (struct call){ .worker = f->worker, .argc = 4, .argv = f->argv };
    return &f->call;
}

static void done(struct fixture *f)
{
    build_end(&f->call);
    alloc_free(f->worker);
}

static uint64_t built(const struct fixture *f)
{
    return atomic_load(&f->worker->counters.built);
}

static uint64_t built_locked(const struct fixture *f)
{
    return atomic_load(&f->worker->counters.built_locked);
}

static struct entry *entry_of(char letter, size_t len)
{
    struct entry *entry = entry_new_sized(BYTES("key"), len, ENTRY_KEEPS_FOREVER);

    memset(entry_value_mutable(entry), letter, len);
    return entry;
}

static bool is_all(struct bytes value, size_t from, size_t to, char letter)
{
    for (size_t i = from; i < to; i++)
        if (value.data[i] != letter) return false;
    return to <= value.len;
}

TEST(a_small_value_is_always_ready)
{
    struct fixture f = begin();
    struct call *call = call_of(&f);
    struct build build = { .key_arg = 1, .value_bytes = 5, .piece = BYTES("pie"), .offset = 2 };
    struct entry *entry;

    CHECK(build_is_ready(call, &build) && call->builds == NULL);
    entry = build_take(call, &build);
    CHECK(bytes_equal(entry_value(entry), ((struct bytes){ "\0\0pie", 5 })));
    entry_free(&entry);
    CHECK(built(&f) == 0 && built_locked(&f) == 0);
    done(&f);
}

TEST(a_big_one_is_ready_when_it_was_built)
{
    struct fixture f = begin();
    struct call *call = call_of(&f);
    struct entry *source = entry_of('s', BIG), *copy;
    struct build build = {
        .key_arg = 1, .source = source, .value_bytes = BIG + 50, .piece = BYTES("pie"), .offset = 10
    };

    CHECK(!build_is_ready(call, &build));
    CHECK(build_all(call));
    /* The deadline may come later: it is changed in place. */
    CHECK(entry_set_expiry(source, 2000000000000) == source);
    CHECK(build_is_ready(call, &build));
    copy = build_take(call, &build);
    CHECK(entry_value(copy).len == BIG + 50 && is_all(entry_value(copy), 0, 10, 's'));
    CHECK(memcmp(entry_value(copy).data + 10, "pie", 3) == 0 && is_all(entry_value(copy), 13, BIG, 's'));
    CHECK(is_all(entry_value(copy), BIG, BIG + 50, '\0'));
    CHECK(entry_expires_at_ms(copy) == 2000000000000);
    CHECK(!build_all(call) && call->builds == NULL);
    CHECK(built(&f) == 1 && built_locked(&f) == 0);
    entry_free(&copy);
    entry_free(&source);
    done(&f);
}

TEST(a_small_source_is_read_when_the_entry_is_taken)
{
    struct fixture f = begin();
    struct call *call = call_of(&f);
    struct entry *source = entry_of('s', 100), *copy;
    struct build build = { .key_arg = 1, .source = source, .value_bytes = BIG, .piece = BYTES("pie"), .offset = 50 };

    CHECK(!build_is_ready(call, &build) && build_all(call));
    memset(entry_value_mutable(source), 't', 100);
    CHECK(build_is_ready(call, &build));
    copy = build_take(call, &build);
    CHECK(is_all(entry_value(copy), 0, 50, 't') && is_all(entry_value(copy), 53, 100, 't'));
    CHECK(memcmp(entry_value(copy).data + 50, "pie", 3) == 0 && is_all(entry_value(copy), 100, BIG, '\0'));
    entry_free(&copy);
    entry_free(&source);
    done(&f);
}

TEST(where_others_are_faster_it_is_built_under_the_lock_in_the_end)
{
    struct fixture f = begin();
    struct call *call = call_of(&f);
    struct entry *sources[3] = { entry_of('a', BIG), entry_of('b', BIG), entry_of('c', BIG) }, *copy;
    struct build build = { .key_arg = 1, .value_bytes = BIG };

    for (int i = 0; i < 2; i++) {
        build.source = sources[i];
        CHECK(!build_is_ready(call, &build));
        /* The slot lets go of it. */
        entry_free(&sources[i]);
        CHECK(build_all(call));
    }
    build.source = sources[2];
    CHECK(build_is_ready(call, &build));
    copy = build_take(call, &build);
    CHECK(is_all(entry_value(copy), 0, BIG, 'c'));
    CHECK(built(&f) == 2 && built_locked(&f) == 1);
    CHECK(!build_all(call));
    entry_free(&copy);
    entry_free(&sources[2]);
    done(&f);
}

TEST(several_are_built_in_one_go_and_what_is_not_taken_is_freed)
{
    struct fixture f = begin();
    struct call *call = call_of(&f);
    struct build first = { .key_arg = 1, .value_bytes = BIG }, second = { .key_arg = 3, .value_bytes = 2 * BIG };
    struct entry *entry;

    CHECK(!build_is_ready(call, &first) && !build_is_ready(call, &second));
    CHECK(build_all(call));
    CHECK(build_is_ready(call, &first) && build_is_ready(call, &second));
    entry = build_take(call, &second);
    CHECK(entry_value(entry).len == 2 * BIG);
    entry_free(&entry);
    CHECK(!build_all(call));
    done(&f);
}

TEST(within_a_transaction_nothing_is_put_off)
{
    struct fixture f = begin();
    struct call *call = call_of(&f);
    struct build build = { .key_arg = 1, .value_bytes = BIG };
    struct entry *entry;

    call->in_exec = true;
    CHECK(build_is_ready(call, &build) && call->builds == NULL);
    entry = build_take(call, &build);
    CHECK(is_all(entry_value(entry), 0, BIG, '\0') && built_locked(&f) == 1);
    entry_free(&entry);
    done(&f);
}

TESTS(a_small_value_is_always_ready, a_big_one_is_ready_when_it_was_built,
      a_small_source_is_read_when_the_entry_is_taken, where_others_are_faster_it_is_built_under_the_lock_in_the_end,
      several_are_built_in_one_go_and_what_is_not_taken_is_freed, within_a_transaction_nothing_is_put_off)
