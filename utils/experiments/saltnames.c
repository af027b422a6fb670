/* utils/experiments/saltnames.c: E7c. Does a client notice when a salted key is given more names, fewer, and none?
 *
 * Sessions read names that they have been told of at any time, and write one time in a hundred, while keys get 2, 8, 4 and 1 names in turn. A
 * name that is given up leads to its key for `salt-grace` seconds; with none of those the same script has to find reads without a value. */
#include "experiment.h"
#include "salted.h"
#include "task.h"

#define SESSIONS 64u

static struct {
    struct salted salted;
    uint64_t reads, ends_us, rest_us;
    unsigned changes, changes_wanted;
    bool until_wrong; /* over when something wrong has been seen */
} world;

static void begin(void *context)
{
    (void)context;
    salted_fill(&world.salted);
    if (!salted_salt_all(&world.salted, 2)) die("the keys cannot be salted");
    salted_wait_copies(&world.salted, SALTED_KEYS, 10000000);
}

static bool is_over(void)
{
    if (now_us() >= world.ends_us) return true;
    if (world.until_wrong && world.salted.nothing > 0) return true;
    return world.salted.reads >= world.reads && world.changes >= world.changes_wanted;
}

static void change_names(void *context)
{
    static const unsigned factors[] = { 8, 4, 1, 2 };

    (void)context;
    while (!is_over()) {
        if (!salted_salt_all(&world.salted, factors[world.changes % 4])) world.salted.errors++;
        world.changes++;
        task_sleep_us(random_below(world.rest_us * 2));
    }
    world.salted.ends = true;
}

static void run_trial(const struct settings *settings, unsigned grace_s, bool until_wrong)
{
    salted_open(&world.salted, settings->ours, text("io-threads 1\nsalt-grace %u\n", grace_s));
    world.reads = settings->is_short ? 30000 : 2000000;
    world.changes = 0;
    world.changes_wanted = settings->is_short ? 4 : 60;
    world.rest_us = settings->is_short ? 100000 : 1000000;
    world.until_wrong = until_wrong;
    task_start(begin, NULL);
    tasks_run();
    world.ends_us = now_us() + (until_wrong ? 30000000 : 3600000000);
    for (unsigned i = 0; i < SESSIONS; i++) task_start(salted_session, &world.salted);
    task_start(change_names, NULL);
    tasks_run();
    note("    salt-grace %u: %u changes, %s, %llu redirects, %llu unanswered", grace_s, world.changes,
         salted_text(&world.salted), (unsigned long long)world.salted.nodes.redirects,
         (unsigned long long)world.salted.nodes.unanswered);
    salted_close(&world.salted);
}

static void run(const struct settings *settings)
{
    const struct salted *salted = &world.salted;
    uint64_t wrong, refused;

    run_trial(settings, 0, true);
    found(CONTENT, "E7c", "the script bites: the same where names that are given up are none at once",
          text("%llu nil of %llu", (unsigned long long)salted->nothing, (unsigned long long)salted->reads), "> 0",
          "itself", salted->nothing > 0);
    run_trial(settings, 3600, false);
    wrong = salted->nothing + salted->unwritten + salted->lost;
    refused = salted->errors + salted->nodes.unanswered + salted->nodes.loops;
    found(CONTENT, "E7c",
          text("2, 8, 4, 1, 2 ... names (%u times) under load: errors, nil for a key that is there, stale reads",
               world.changes),
          text("%llu, %llu, %llu of %llu", (unsigned long long)refused, (unsigned long long)wrong,
               (unsigned long long)salted->stale, (unsigned long long)salted->reads),
          "0, 0, 0", "", refused + wrong + salted->stale == 0);
}

const struct experiment experiment_saltnames = { .name = "saltnames",
                                                 .title = "E7c: more names and fewer, while they are read and written",
                                                 .run = run };
