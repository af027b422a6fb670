/* utils/experiments/main.c: runs the experiments that are named, or all of them, and prints what they found as a Markdown table.
 *
 *     experiments [name...]
 *     SERVER_BINARY=./redis-shard REDIS_SERVER=redis-server SHORT=1 SEED=n
 *
 * Exits with 1 when something that must hold on any machine did not, with 2 when an experiment could not be run. */
#include "experiment.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const struct experiment *const experiments[] = {
    &experiment_staleness, &experiment_guard,   &experiment_moves,    &experiment_stampede,   &experiment_coalesce,
    &experiment_refresh,   &experiment_jitter,  &experiment_backstop, &experiment_sweep,      &experiment_hot,
    &experiment_hotread,   &experiment_saltsum, &experiment_saltload, &experiment_saltwrites, &experiment_saltnames,
};
#define EXPERIMENTS (sizeof experiments / sizeof experiments[0])

static unsigned held, missed;
static bool has_failed;

void found(enum finding kind, const char *id, const char *what, const char *figure, const char *target,
           const char *baseline, bool holds)
{
    printf("| %s | %s | %s | %s | %s | %s |\n", id, what, figure, target, *baseline ? baseline : "-",
           holds ? "PASS" : "MISS");
    fflush(stdout);
    if (holds) {
        held++;
    } else {
        missed++;
        if (kind == CONTENT) has_failed = true;
    }
}

void told(const char *id, const char *what, const char *figure, const char *target, const char *baseline)
{
    printf("| %s | %s | %s | %s | %s | |\n", id, what, figure, target, *baseline ? baseline : "-");
    fflush(stdout);
}

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : otherwise;
}

static bool is_wanted(const struct experiment *experiment, char **names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], experiment->name) == 0) return true;
    return count == 0;
}

static void complain_of_unknown(char **names, int count)
{
    for (int i = 0; i < count; i++) {
        bool is_known = false;

        for (size_t e = 0; e < EXPERIMENTS; e++) is_known |= strcmp(names[i], experiments[e]->name) == 0;
        if (is_known) continue;
        fprintf(stderr, "there is no experiment '%s'; there are:", names[i]);
        for (size_t e = 0; e < EXPERIMENTS; e++) fprintf(stderr, " %s", experiments[e]->name);
        fprintf(stderr, "\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct settings settings = { .ours = setting("SERVER_BINARY", "./redis-shard"),
                                 .baseline = setting("REDIS_SERVER", "redis-server"),
                                 .is_short = strcmp(setting("SHORT", "0"), "0") != 0,
                                 .seed = strtoull(setting("SEED", "0"), NULL, 10) };
    struct rlimit files;
    const char *took = "";

    complain_of_unknown(argv + 1, argc - 1);
    signal(SIGPIPE, SIG_IGN);
    /* A thousand clients are a thousand descriptors. */
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    if (settings.seed == 0) settings.seed = (uint64_t)time(NULL);
    printf("Seed %llu, the %s form. The baseline is the same script against redis-server with plain GET, SET and "
           "DEL.\n\n",
           (unsigned long long)settings.seed, settings.is_short ? "short" : "long");
    printf("| | what | figure | target | baseline | |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < EXPERIMENTS; i++) {
        uint64_t began = now_us();
        double seconds;

        if (!is_wanted(experiments[i], argv + 1, argc - 1)) continue;
        note("== %s", experiments[i]->title);
        random_seed(settings.seed);
        experiments[i]->run(&settings);
        seconds = (double)(now_us() - began) / 1e6;
        note("== %s took %.0f s", experiments[i]->name, seconds);
        took = text("%s%s%s %.0f s", took, *took != '\0' ? ", " : "", experiments[i]->name, seconds);
    }
    printf("\n%u PASS, %u MISS. It took: %s.\n", held, missed, took);
    return has_failed;
}
