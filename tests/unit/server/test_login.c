/* Who guesses passwords waits longer each time, by address, and nobody else waits. */
#include "base/hash.h"
#include "server/login.h"
#include "unit/unit.h"

#include <stdio.h>

#define NOW_MS 1000000

static struct login_guard *guard;

static int64_t fail_from(const char *peer, int64_t now_ms)
{
    return login_failed(guard, peer, now_ms);
}

/* How long the next wrong password from there would wait, told by making it. */
static int64_t tenth_delay(const char *peer)
{
    for (int i = 0; i < 9; i++) fail_from(peer, NOW_MS);
    return fail_from(peer, NOW_MS);
}

static void begin(void)
{
    hash_set_seed(1);
    guard = login_guard_new();
}

TEST(the_delay_doubles_up_to_five_seconds)
{
    int64_t expected = 5;

    begin();
    for (int i = 0; i < 10; i++, expected *= 2) CHECK(fail_from("10.0.0.1:1", NOW_MS) == expected);
    for (int i = 0; i < 100000; i++) CHECK(fail_from("10.0.0.1:1", NOW_MS) == 5000);
    login_guard_free(&guard);
    CHECK(guard == NULL);
}

TEST(a_new_connection_is_no_new_start_and_another_address_is_another_guesser)
{
    begin();
    CHECK(fail_from("10.0.0.1:1000", NOW_MS) == 5);
    CHECK(fail_from("10.0.0.1:1001", NOW_MS) == 10);
    CHECK(fail_from("10.0.0.2:1000", NOW_MS) == 5);
    CHECK(fail_from("127.0.0.1:7", NOW_MS) == 5 && fail_from("127.0.0.1:8", NOW_MS) == 10);
    CHECK(fail_from("/run/socket:0", NOW_MS) == 5 && fail_from("/run/socket:0", NOW_MS) == 10);
    CHECK(fail_from("?:0", NOW_MS) == 5 && fail_from("", NOW_MS) == 5);
    login_guard_free(&guard);
}

TEST(the_half_of_an_ipv6_address_that_its_owner_chooses_does_not_count)
{
    begin();
    CHECK(fail_from("[2001:db8:1:2::1]:9", NOW_MS) == 5);
    CHECK(fail_from("[2001:db8:1:2:ffff::9]:10", NOW_MS) == 10);
    CHECK(fail_from("[2001:db8:1:3::1]:9", NOW_MS) == 5);
    CHECK(fail_from("[::ffff:10.0.0.1]:9", NOW_MS) == 5 && fail_from("[::ffff:10.0.0.2]:9", NOW_MS) == 5);
    CHECK(fail_from("[::ffff:10.0.0.1]:8", NOW_MS) == 10);
    CHECK(fail_from("[no address]:9", NOW_MS) == 5);
    login_guard_free(&guard);
}

TEST(the_right_password_and_ten_quiet_minutes_are_a_new_start)
{
    begin();
    CHECK(tenth_delay("10.0.0.1:1") == 5 << 9);
    CHECK(tenth_delay("10.0.0.2:1") == 5 << 9);
    login_succeeded(guard, "10.0.0.1:2");
    login_succeeded(guard, "10.0.0.3:2");
    CHECK(fail_from("10.0.0.1:1", NOW_MS) == 5);
    CHECK(fail_from("10.0.0.2:1", NOW_MS + 600000) == 5000);
    CHECK(fail_from("10.0.0.2:1", NOW_MS + 1200001) == 5);
    login_guard_free(&guard);
}

TEST(many_guessers_push_out_the_quiet_ones_and_take_no_more_room)
{
    char peer[64];

    begin();
    for (int i = 0; i < 200000; i++) {
        snprintf(peer, sizeof(peer), "10.%d.%d.%d:1", i >> 16 & 255, i >> 8 & 255, i & 255);
        CHECK(fail_from(peer, NOW_MS + i) == 5);
        if (i > 0 && i % 1000 == 0) CHECK(fail_from(peer, NOW_MS + i) == 10); /* the newest is remembered */
    }
    CHECK(fail_from("10.0.0.0:1", NOW_MS + 200000) == 5);
    login_guard_free(&guard);
}

TESTS(the_delay_doubles_up_to_five_seconds, a_new_connection_is_no_new_start_and_another_address_is_another_guesser,
      the_half_of_an_ipv6_address_that_its_owner_chooses_does_not_count,
      the_right_password_and_ten_quiet_minutes_are_a_new_start,
      many_guessers_push_out_the_quiet_ones_and_take_no_more_room)
