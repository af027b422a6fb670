/* Huge pages are ready before they are needed, a few of them, and only while memory grows. */
#include "base/ready_pages.h"
#include "unit/unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define SMALL_PAGE_BYTES 4096u
#define SECOND_US ((int64_t)1000000)
#define START_US (100 * SECOND_US)

/* Whether all of it, or else nothing of it, is in memory. */
static bool is_present(char *page)
{
    unsigned char each[HUGE_PAGE_BYTES / SMALL_PAGE_BYTES];
    size_t present = 0;

    CHECK(mincore(page, HUGE_PAGE_BYTES, each) == 0);
    for (size_t i = 0; i < sizeof each; i++) present += each[i] & 1;
    CHECK(present == 0 || present == sizeof each);
    return present > 0;
}

static unsigned fill(struct ready_pages *pages)
{
    unsigned filled = 0;

    while (ready_pages_are_wanted(pages)) {
        ready_pages_fill(pages);
        CHECK(++filled <= READY_PAGES_MAX);
    }
    return filled;
}

/* Whether it was ready. Nobody else may have had it. */
static bool take(struct ready_pages *pages, int64_t now_us)
{
    char *page = ready_pages_take(pages, now_us);
    bool was_ready = is_present(page);

    CHECK(page[0] == 0 && page[HUGE_PAGE_BYTES - 1] == 0);
    page[0] = page[HUGE_PAGE_BYTES - 1] = 1;
    return was_ready;
}

TEST(pages_that_are_taken_fast_are_ready)
{
    struct ready_pages pages = { 0 };
    int64_t now_us = START_US;

    CHECK(!take(&pages, now_us));
    CHECK(fill(&pages) == 1);
    for (int i = 0; i < 10; i++) {
        CHECK(take(&pages, now_us += SECOND_US / 20));
        CHECK(fill(&pages) == (i == 0 ? READY_PAGES_MAX : 1));
    }
    /* The filler may be late for as many. */
    for (int i = 0; i < READY_PAGES_MAX; i++) CHECK(take(&pages, ++now_us));
    CHECK(!take(&pages, ++now_us));
}

/* Who joins another mapping to one in which a page is being touched would wait for that. */
TEST(nothing_can_be_mapped_beside_a_region)
{
    struct ready_pages pages = { 0 };
    char *page = ready_pages_take_cold(&pages);
    unsigned char one;

    /* Taken by something, so nothing else comes there; and not by a page that anybody may use. */
    CHECK(mmap(page - SMALL_PAGE_BYTES, SMALL_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
               -1, 0) == MAP_FAILED);
    CHECK(mmap(pages.end, SMALL_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
          MAP_FAILED);
    CHECK(mincore(page - SMALL_PAGE_BYTES, SMALL_PAGE_BYTES, &one) == 0 && (one & 1) == 0);
}

TEST(one_page_is_ready_where_they_are_taken_seldom)
{
    struct ready_pages pages = { 0 };

    ready_pages_expect(&pages, START_US);
    CHECK(fill(&pages) == 1);
    for (int i = 1; i < 10; i++) {
        CHECK(take(&pages, START_US + i * SECOND_US));
        CHECK(fill(&pages) == 1);
    }
}

TEST(what_nobody_takes_is_given_back)
{
    struct ready_pages pages = { 0 };
    char *ready[READY_PAGES_MAX];

    ready_pages_take(&pages, START_US);
    ready_pages_take(&pages, START_US);
    CHECK(fill(&pages) == READY_PAGES_MAX);
    memcpy(ready, pages.ready, sizeof ready);
    ready_pages_rest(&pages, START_US + SECOND_US / 2);
    for (int i = 0; i < READY_PAGES_MAX; i++) CHECK(is_present(ready[i]));
    ready_pages_rest(&pages, START_US + 2 * SECOND_US);
    CHECK(fill(&pages) == 0);
    for (int i = 0; i < READY_PAGES_MAX; i++) CHECK(is_present(ready[i]) == (i == 0));
    ready_pages_rest(&pages, START_US + 11 * SECOND_US);
    CHECK(fill(&pages) == 0 && !is_present(ready[0]));
    /* Their addresses are used again, before others. */
    for (int i = 0; i < READY_PAGES_MAX; i++) CHECK(ready_pages_take_cold(&pages) == ready[i]);
}

TEST(all_is_given_back_at_once_where_that_is_asked_for)
{
    struct ready_pages pages = { 0 };
    char *ready[READY_PAGES_MAX];

    for (int round = 0; round < 10; round++) {
        ready_pages_take(&pages, START_US);
        ready_pages_take(&pages, START_US);
        CHECK(fill(&pages) == READY_PAGES_MAX);
        memcpy(ready, pages.ready, sizeof ready);
        ready_pages_drop(&pages);
        CHECK(fill(&pages) == 0);
        for (int i = 0; i < READY_PAGES_MAX; i++) CHECK(!is_present(ready[i]));
    }
}

TEST(who_will_not_touch_a_page_gets_none_that_is_ready)
{
    struct ready_pages pages = { 0 };

    ready_pages_take(&pages, START_US);
    CHECK(fill(&pages) == 1);
    CHECK(!is_present(ready_pages_take_cold(&pages)));
    CHECK(fill(&pages) == 0 && pages.ready_count == 1);
}

/* --- Several threads --- */

#define TAKERS 3
#define TAKEN 24

static struct ready_pages shared;
static _Atomic bool takers_are_done;

static void *take_many(void *argument)
{
    char **taken = argument;

    for (int i = 0; i < TAKEN; i++) {
        taken[i] = ready_pages_take(&shared, i);
        if (i % 8 == 0) ready_pages_drop(&shared);
    }
    return NULL;
}

static void *fill_always(void *argument)
{
    (void)argument;
    while (!atomic_load(&takers_are_done)) ready_pages_fill(&shared);
    return NULL;
}

TEST(each_page_is_zero_and_has_one_taker)
{
    static char *taken[TAKERS][TAKEN];
    pthread_t takers[TAKERS], filler;

    pthread_create(&filler, NULL, fill_always, NULL);
    for (int i = 0; i < TAKERS; i++) pthread_create(&takers[i], NULL, take_many, taken[i]);
    for (int i = 0; i < TAKERS; i++) pthread_join(takers[i], NULL);
    atomic_store(&takers_are_done, true);
    pthread_join(filler, NULL);
    for (int i = 0; i < TAKERS * TAKEN; i++) {
        char *page = taken[i / TAKEN][i % TAKEN];

        CHECK(page != NULL && (uintptr_t)page % HUGE_PAGE_BYTES == 0);
        CHECK(page[0] == 0 && page[HUGE_PAGE_BYTES - 1] == 0);
        page[0] = page[HUGE_PAGE_BYTES - 1] = 1;
    }
}

TESTS(pages_that_are_taken_fast_are_ready, nothing_can_be_mapped_beside_a_region,
      one_page_is_ready_where_they_are_taken_seldom, what_nobody_takes_is_given_back,
      all_is_given_back_at_once_where_that_is_asked_for, who_will_not_touch_a_page_gets_none_that_is_ready,
      each_page_is_zero_and_has_one_taker)
