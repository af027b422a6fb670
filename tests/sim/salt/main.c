/* sim/salt/main.c
 *
 *     salt [first seed] [seeds]     stories; one that fails is told again into build/sim/, which replays it exactly
 *     salt first seed, seeds, once  until the first that fails
 *     salt trace SEED               tells one */
#include "sim/salt/world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEEDS 400

static void keep_trace(uint64_t seed, char path[64])
{
    FILE *trace;

    mkdir("build", 0777);
    mkdir("build/sim", 0777);
    snprintf(path, 64, "build/sim/salt-%llu.txt", (unsigned long long)seed);
    trace = fopen(path, "w");
    if (trace == NULL) return;
    fprintf(trace, "FAILED: %s\n", salt_story(seed, trace).wrong);
    fclose(trace);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 10) : SEEDS;
    uint64_t failed = 0, passed = 0;
    struct salt_story all = { .reads = 0 };

    if (argc > 2 && strcmp(argv[1], "trace") == 0) {
        struct salt_story story = salt_story(strtoull(argv[2], NULL, 10), stdout);

        printf("%s\n", story.wrong[0] ? story.wrong : "all went well");
        return story.wrong[0] != '\0';
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct salt_story story = salt_story(seed, NULL);
        char path[64] = "(nowhere)";

        all.reads += story.reads;
        all.copy_reads += story.copy_reads;
        all.writes += story.writes;
        all.withheld += story.withheld;
        all.messages += story.messages;
        if (story.longest_ms > all.longest_ms) all.longest_ms = story.longest_ms;
        if (story.wrong[0] == '\0') {
            passed++;
            continue;
        }
        failed++;
        keep_trace(seed, path);
        printf("  FAILED  seed %llu: %s; its trace is in %s\n", (unsigned long long)seed, story.wrong, path);
        fflush(stdout);
        if (argc > 3 && strcmp(argv[3], "once") == 0) break;
    }
    printf("%llu reads, %llu of them of copies; %llu writes, %llu withheld, %lld ms at the longest; %llu messages\n",
           (unsigned long long)all.reads, (unsigned long long)all.copy_reads, (unsigned long long)all.writes,
           (unsigned long long)all.withheld, (long long)all.longest_ms, (unsigned long long)all.messages);
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed > 0;
}
