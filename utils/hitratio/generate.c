/* utils/hitratio/generate.c
 *
 * Writes a trace for replay.c, of one of several kinds that caches meet, so that an order of eviction is judged by more than the traces it
 * was made with.
 *
 *     generate kind seed requests [keys]
 *
 *     zipf60 ... zipf140   keys asked for independently, the n-th most popular 1 / n^0.6 ... 1 / n^1.4 as often: what LFU is made for
 *     recency              what was asked for lately is asked for again, by a heavy-tailed distance in time: what LRU is made for
 *     news                 keys come all the time, and are asked for less and less as they age
 *     scan                 zipf80, and now and then a few thousand keys that are never seen again
 *     loop                 zipf80, and a loop over a fifth of all keys that goes on beside it
 *     pureloop             only loops: over a twentieth, a fifth and half of the keys, one after the other, again and again
 *     shift                zipf100; every tenth of the trace other keys become the popular ones
 *     drift                zipf100; popularity moves on by a key every few requests
 *     return               two sets of keys take turns of an eighth of the trace each
 *     onehit               half the requests are for keys never seen before or after; the rest is zipf90
 *     pairs                each key is asked for twice or thrice within moments, then hardly again; beside zipf80
 *     smallhot, largehot   zipf90, the popular keys have small, or large, values
 *     mixed                zipf90, values from 16 bytes to 64 KiB whatever the popularity
 *     ttl                  zipf100, a key lives for a while from when it was set, the popular ones no longer than others
 *     lasting              as ttl, but a tenth of the keys live for good, which policies for volatile keys must leave
 *     tenants              five applications of different kinds in one cache, of which one goes round a loop and one scans
 *
 * Each line is "key,bytes" or "key,bytes,ttl", the keys numbered in the order of their first appearance. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Lots --- */

static uint64_t state;

static uint64_t next_u64(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)((next_u64() >> 32) * n >> 32);
}

static double unit(void)
{
    return ((double)(next_u64() >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2 * log(unit())) * cos(2 * M_PI * unit());
}

static uint32_t lognormal(double median, double sigma, double most)
{
    double value = exp(log(median) + sigma * normal());

    return (uint32_t)(value < 1 ? 1 : value > most ? most : value);
}

static void *room(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);

    if (memory == NULL) {
        perror("memory");
        exit(1);
    }
    return memory;
}

/* Ranks from 0, the n-th drawn 1 / n^exponent as often. */
struct zipf {
    double *sums;
    uint32_t count;
};

static struct zipf zipf_of(uint32_t count, double exponent)
{
    struct zipf zipf = { room(count, sizeof(double)), count };
    double sum = 0;

    for (uint32_t i = 0; i < count; i++) zipf.sums[i] = sum += pow(i + 1.0, -exponent);
    for (uint32_t i = 0; i < count; i++) zipf.sums[i] /= sum;
    return zipf;
}

static uint32_t zipf_draw(const struct zipf *zipf)
{
    double lot = unit();
    uint32_t low = 0, high = zipf->count - 1;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (zipf->sums[middle] < lot)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- A trace in the making --- */

/* Keys have names of their own here, any 64 bits; they are numbered when they are written. */
struct place {
    uint64_t name;
    uint32_t number; /* from 1; 0: free */
    uint32_t bytes, ttl;
};

struct trace {
    uint64_t requests, written;
    uint32_t keys;
    struct place *places;
    uint64_t mask;
    uint32_t seen;
    uint64_t fresh; /* the next name that nobody has */
};

#define FRESH ((uint64_t)1 << 40)

static bool is_full(const struct trace *trace)
{
    return trace->written >= trace->requests;
}

static void ask_sized(struct trace *trace, uint64_t name, uint32_t bytes, uint32_t ttl)
{
    uint64_t at = name * 0x9e3779b97f4a7c15u >> 20 & trace->mask;

    if (is_full(trace)) return;
    while (trace->places[at].number != 0 && trace->places[at].name != name) at = (at + 1) & trace->mask;
    if (trace->places[at].number == 0) trace->places[at] = (struct place){ name, ++trace->seen, bytes, ttl };
    printf(trace->places[at].ttl > 0 ? "%u,%u,%u\n" : "%u,%u\n", trace->places[at].number - 1, trace->places[at].bytes,
           trace->places[at].ttl);
    trace->written++;
}

static void ask(struct trace *trace, uint64_t name)
{
    ask_sized(trace, name, lognormal(300, 1, 65536), 0);
}

/* A permutation, so that neighbours in rank are no neighbours otherwise. */
static uint32_t *shuffled(uint32_t count)
{
    uint32_t *order = room(count, sizeof(*order));

    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = below(i), kept = order[i - 1];

        order[i - 1] = order[other];
        order[other] = kept;
    }
    return order;
}

/* --- The kinds --- */

static void independent(struct trace *trace, double exponent)
{
    struct zipf zipf = zipf_of(trace->keys, exponent);

    while (!is_full(trace)) ask(trace, zipf_draw(&zipf));
    free(zipf.sums);
}

static void recency(struct trace *trace)
{
    uint64_t *past = room(trace->requests, sizeof(*past));

    while (!is_full(trace)) {
        double distance =
            exp(unit() * log((double)trace->keys * 4)); /* as many within 10 as from 10 to 100, and so on */
        uint64_t back = (uint64_t)distance, at = trace->written;

        past[at] = back > at || below(20) == 0 ? trace->fresh++ : past[at - back];
        ask(trace, past[at]);
    }
    free(past);
}

static void news(struct trace *trace)
{
    struct zipf appeal = zipf_of(1000, 0.7);
    uint64_t first = trace->fresh;

    while (!is_full(trace)) {
        uint64_t known = trace->fresh - first;
        double age = pow(unit(), 4) * (double)trace->keys; /* in keys that have come since */

        if (known == 0 || below(12) == 0) {
            ask(trace, trace->fresh++);
            continue;
        }
        /* Among the neighbours in age some appeal more than others, and always the same. */
        uint64_t around = (uint64_t)age / 1000 * 1000 + (zipf_draw(&appeal) * 619u + 7) % 1000;

        if (around < known) ask(trace, trace->fresh - 1 - around);
    }
    free(appeal.sums);
}

static void scan(struct trace *trace)
{
    struct zipf zipf = zipf_of(trace->keys, 0.8);

    while (!is_full(trace)) {
        if (below(20000) == 0)
            for (uint32_t left = trace->keys / 40 + below(trace->keys / 10 + 1); left > 0; left--)
                ask(trace, trace->fresh++);
        ask(trace, zipf_draw(&zipf));
    }
    free(zipf.sums);
}

static void loop(struct trace *trace)
{
    struct zipf zipf = zipf_of(trace->keys - trace->keys / 5, 0.8);

    for (uint32_t at = 0; !is_full(trace);) {
        if (below(4) == 0)
            ask(trace, FRESH / 2 + at++ % (trace->keys / 5));
        else
            ask(trace, zipf_draw(&zipf));
    }
    free(zipf.sums);
}

static void pure_loop(struct trace *trace)
{
    const uint32_t parts[] = { 20, 5, 2 };

    for (unsigned turn = 0; !is_full(trace); turn++) {
        uint32_t length = trace->keys / parts[turn % 3];

        for (uint32_t round = 0; round < 6 * parts[turn % 3] / 2; round++)
            for (uint32_t i = 0; i < length; i++) ask(trace, FRESH / 2 * (turn % 3) + i);
    }
}

static void shift(struct trace *trace)
{
    struct zipf zipf = zipf_of(trace->keys, 1.0);
    uint32_t *order = shuffled(trace->keys);
    uint64_t next = trace->requests / 10;

    while (!is_full(trace)) {
        if (trace->written >= next) {
            free(order);
            order = shuffled(trace->keys);
            next += trace->requests / 10;
        }
        ask(trace, order[zipf_draw(&zipf)]);
    }
    free(order);
    free(zipf.sums);
}

static void drift(struct trace *trace)
{
    struct zipf zipf = zipf_of(trace->keys, 1.0);
    uint64_t *names = room(trace->keys, sizeof(*names));

    for (uint32_t i = 0; i < trace->keys; i++) names[i] = trace->fresh++;
    while (!is_full(trace)) {
        if (below(5) == 0) names[zipf_draw(&zipf)] = trace->fresh++;
        ask(trace, names[zipf_draw(&zipf)]);
    }
    free(names);
    free(zipf.sums);
}

static void return_in_turns(struct trace *trace)
{
    struct zipf zipf = zipf_of(trace->keys / 2, 0.9);

    while (!is_full(trace)) ask(trace, FRESH / 2 * (trace->written * 8 / trace->requests % 2) + zipf_draw(&zipf));
    free(zipf.sums);
}

static void one_hit(struct trace *trace)
{
    struct zipf zipf = zipf_of(trace->keys, 0.9);

    while (!is_full(trace)) ask(trace, below(2) ? trace->fresh++ : zipf_draw(&zipf));
    free(zipf.sums);
}

static void pairs(struct trace *trace)
{
    enum { WAITING = 64 };
    struct zipf zipf = zipf_of(trace->keys, 0.8);
    uint64_t waiting[WAITING] = { 0 };

    while (!is_full(trace)) {
        uint64_t *place = &waiting[below(WAITING)];

        if (*place != 0 && below(2)) {
            ask(trace, *place);
            if (below(3)) *place = 0;
        } else if (*place == 0 && below(3) == 0) {
            ask(trace, *place = trace->fresh++);
        } else {
            ask(trace, zipf_draw(&zipf));
        }
    }
    free(zipf.sums);
}

/* Bytes grow, or shrink, with the rank to some power, about a median and with some spread. */
static void sized(struct trace *trace, double power)
{
    struct zipf zipf = zipf_of(trace->keys, 0.9);

    while (!is_full(trace)) {
        uint32_t rank = zipf_draw(&zipf);
        double median = 600 * pow((rank + 1.0) / (trace->keys / 30.0), power);

        ask_sized(trace, rank, lognormal(median < 16 ? 16 : median > 30000 ? 30000 : median, 0.5, 65536), 0);
    }
    free(zipf.sums);
}

static void mixed(struct trace *trace)
{
    struct zipf zipf = zipf_of(trace->keys, 0.9);

    while (!is_full(trace)) ask_sized(trace, zipf_draw(&zipf), (uint32_t)(16 * pow(2, unit() * 12)), 0);
    free(zipf.sums);
}

static void live(struct trace *trace, bool some_last)
{
    static const uint32_t lives[] = { 50, 20, 8, 2 }; /* so many go into the trace */
    struct zipf zipf = zipf_of(trace->keys, 1.0);

    while (!is_full(trace)) {
        uint32_t rank = zipf_draw(&zipf);

        uint64_t ttl = trace->requests / lives[rank * 2654435761u >> 30];

        /* What lasts is small, so that a cache of a thirtieth has room for all of it. */
        if (some_last && rank % 10 == 7)
            ask_sized(trace, rank, 32, 0);
        else
            ask_sized(trace, rank, lognormal(300, 1, 65536), (uint32_t)ttl);
    }
    free(zipf.sums);
}

static void ttl(struct trace *trace)
{
    live(trace, false);
}
static void lasting(struct trace *trace)
{
    live(trace, true);
}

static void tenants(struct trace *trace)
{
    struct zipf skewed = zipf_of(trace->keys / 4, 1.1), flat = zipf_of(trace->keys / 2, 0.6),
                small = zipf_of(trace->keys / 50, 0.9);
    uint64_t tenant = FRESH / 16, looped = 0;

    while (!is_full(trace)) {
        uint32_t lot = below(100);

        if (lot < 35)
            ask_sized(trace, zipf_draw(&skewed), lognormal(200, 0.7, 4096), 0);
        else if (lot < 55)
            ask_sized(trace, tenant + zipf_draw(&flat), lognormal(800, 1, 65536), 0);
        else if (lot < 75)
            ask_sized(trace, 2 * tenant + zipf_draw(&small), lognormal(3000, 0.5, 65536), 0);
        else if (lot < 90)
            ask_sized(trace, 3 * tenant + looped++ % (trace->keys / 10), lognormal(400, 0.3, 4096), 0);
        else
            ask_sized(trace, trace->fresh++, lognormal(300, 1, 65536), 0);
    }
    free(skewed.sums);
    free(flat.sums);
    free(small.sums);
}

static void small_hot(struct trace *trace)
{
    sized(trace, 0.35);
}
static void large_hot(struct trace *trace)
{
    sized(trace, -0.35);
}
static void zipf60(struct trace *trace)
{
    independent(trace, 0.6);
}
static void zipf80(struct trace *trace)
{
    independent(trace, 0.8);
}
static void zipf100(struct trace *trace)
{
    independent(trace, 1.0);
}
static void zipf120(struct trace *trace)
{
    independent(trace, 1.2);
}
static void zipf140(struct trace *trace)
{
    independent(trace, 1.4);
}

static const struct kind {
    const char *name;
    void (*write)(struct trace *trace);
} kinds[] = {
    { "zipf60", zipf60 },
    { "zipf80", zipf80 },
    { "zipf100", zipf100 },
    { "zipf120", zipf120 },
    { "zipf140", zipf140 },
    { "recency", recency },
    { "news", news },
    { "scan", scan },
    { "loop", loop },
    { "pureloop", pure_loop },
    { "shift", shift },
    { "drift", drift },
    { "return", return_in_turns },
    { "onehit", one_hit },
    { "pairs", pairs },
    { "smallhot", small_hot },
    { "largehot", large_hot },
    { "mixed", mixed },
    { "ttl", ttl },
    { "lasting", lasting },
    { "tenants", tenants },
};

int main(int argc, char **argv)
{
    const struct kind *kind = NULL;
    struct trace trace = { 0 };

    for (size_t i = 0; argc > 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, argv[1]) == 0) kind = &kinds[i];
    if (argc == 2 && strcmp(argv[1], "kinds") == 0) {
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) puts(kinds[i].name);
        return 0;
    }
    if (argc > 3) trace.requests = strtoull(argv[3], NULL, 10);
    trace.keys = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 50000;
    if (kind == NULL || trace.requests < 1000 || trace.requests > 50000000 || trace.keys < 1000 ||
        trace.keys > 10000000) {
        fprintf(stderr, "usage: generate kind seed requests [keys], 'generate kinds' for the kinds\n");
        return 1;
    }
    state = strtoull(argv[2], NULL, 10);
    for (trace.mask = 4096; trace.mask < trace.requests * 2; trace.mask *= 2) {
    }
    trace.places = room(trace.mask, sizeof(*trace.places));
    trace.mask--;
    trace.fresh = FRESH;
    kind->write(&trace);
    free(trace.places);
    return 0;
}
