/* sim/main.c
 *
 *     sim [first seed] [seeds]     stories; one that fails is told again into build/sim/, which replays it exactly
 *     sim first seed, seeds, once  until the first that fails
 *     sim trace SEED               tells one
 *     sim large NODES...           large clusters, until all agree; prints what a node costs */
#include "sim/large.h"
#include "sim/story.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEEDS 500

/* As in open.h. */
static const char *const step_names[KEYS_DECISIONS] = { "wait", "send", "give", "reopen", "take", "return", "close" };

/* Where a story that failed is told again. True where it ended in the same way. */
static bool keep_trace(uint64_t seed, const char *wrong, char path[64])
{
    struct story_end again;
    FILE *trace;

    mkdir("build", 0777);
    mkdir("build/sim", 0777);
    snprintf(path, 64, "build/sim/seed-%llu.txt", (unsigned long long)seed);
    trace = fopen(path, "w");
    if (trace == NULL) return false;
    again = story_run(seed, trace);
    fprintf(trace, "FAILED: %s\n", again.wrong);
    fclose(trace);
    return strcmp(again.wrong, wrong) == 0;
}

static int stories(uint64_t first, uint64_t count, bool once)
{
    uint64_t passed = 0, failed = 0, packets = 0, writes = 0, decided[KEYS_DECISIONS] = { 0 };

    for (uint64_t seed = first; seed < first + count; seed++) {
        struct story_end end = story_run(seed, NULL);
        char path[64];

        packets += end.packets;
        writes += end.writes;
        for (unsigned step = 0; step < KEYS_DECISIONS; step++) decided[step] += end.decided[step];
        if (end.wrong[0] == '\0') {
            passed++;
            continue;
        }
        failed++;
        if (keep_trace(seed, end.wrong, path))
            printf("  FAILED  seed %llu: %s; its trace is in %s\n", (unsigned long long)seed, end.wrong, path);
        else
            printf("  FAILED  seed %llu: %s; no trace of it\n", (unsigned long long)seed, end.wrong);
        fflush(stdout);
        if (once) break;
    }
    printf("%llu packets, %llu writes; open slots:", (unsigned long long)packets, (unsigned long long)writes);
    for (unsigned step = 0; step < KEYS_DECISIONS; step++)
        printf(" %s %llu", step_names[step], (unsigned long long)decided[step]);
    printf("\n");
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed > 0;
}

static int trace(uint64_t seed)
{
    struct story_end end = story_run(seed, stdout);

    printf("%s\n", end.wrong[0] ? end.wrong : "all went well");
    return end.wrong[0] != '\0';
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "trace") == 0) return trace(strtoull(argv[2], NULL, 10));
    if (argc > 2 && strcmp(argv[1], "large") == 0) {
        for (int i = 2; i < argc; i++)
            if (!large_run((size_t)strtoull(argv[i], NULL, 10))) return 1;
        return 0;
    }
    return stories(argc > 1 ? strtoull(argv[1], NULL, 10) : 1, argc > 2 ? strtoull(argv[2], NULL, 10) : SEEDS,
                   argc > 3 && strcmp(argv[3], "once") == 0);
}
