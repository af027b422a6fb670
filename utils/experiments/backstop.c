/* utils/experiments/backstop.c: E4. Under a policy with `ttl` and `max-ttl` no key is without a deadline, and none lives longer than its value may,
 * whatever is done to it.
 *
 * Sessions do all that COMMAND lists as a write to keys of their own, with times drawn far beyond the limit, and ask after each command for the
 * deadlines of the keys it touched. They know when each value was born: at its creation or full overwrite. What only changes, renames or
 * renews it gives it no new life. */
#include "conn.h"
#include "experiment.h"
#include "server.h"
#include "task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSIONS 256u
#define CONNECTIONS 8u
#define KEYS_EACH 16u
#define TTL_S 2u
#define MAX_TTL_S 4u
#define TOLERANCE_MS 1000    /* births are kept in seconds */
#define NEARLY_EXPIRED_MS 50 /* a key that may end before the next command finds it */

enum effect {
    CHANGES,    /* creates A, or leaves its value its age */
    OVERWRITES, /* A is a new value, if the command did anything */
    RENAMES,    /* B has the value, and the age, of A */
    SETS_BOTH,  /* A and B are new values */
    MAKES_BOTH, /* A and B are new values, where neither was there */
};

/* A and B are keys, V a number, S and M times to live in seconds and milliseconds, @S and @M points in time, P a dumped value. */
static const struct written {
    const char *words;
    enum effect effect;
} everything[] = {
    { "SET A V", OVERWRITES },
    { "SET A V EX S", OVERWRITES },
    { "SET A V PX M", OVERWRITES },
    { "SET A V EXAT @S", OVERWRITES },
    { "SET A V PXAT @M", OVERWRITES },
    { "SET A V KEEPTTL", OVERWRITES },
    { "SET A V NX", CHANGES },
    { "SET A V XX GET", OVERWRITES },
    { "SETNX A V", CHANGES },
    { "SETEX A S V", OVERWRITES },
    { "PSETEX A M V", OVERWRITES },
    { "GETSET A V", OVERWRITES },
    { "MSET A V B V", SETS_BOTH },
    { "MSETNX A V B V", MAKES_BOTH },
    { "APPEND A V", CHANGES },
    { "SETRANGE A 1 V", CHANGES },
    { "INCR A", CHANGES },
    { "DECR A", CHANGES },
    { "INCRBY A V", CHANGES },
    { "DECRBY A V", CHANGES },
    { "INCRBYFLOAT A V", CHANGES },
    { "GETEX A", CHANGES },
    { "GETEX A EX S", CHANGES },
    { "GETEX A PX M", CHANGES },
    { "GETEX A PXAT @M", CHANGES },
    { "GETEX A PERSIST", CHANGES },
    { "PERSIST A", CHANGES },
    { "EXPIRE A S", CHANGES },
    { "EXPIRE A S GT", CHANGES },
    { "EXPIRE A S NX", CHANGES },
    { "PEXPIRE A M", CHANGES },
    { "PEXPIRE A M XX", CHANGES },
    { "EXPIREAT A @S", CHANGES },
    { "PEXPIREAT A @M", CHANGES },
    { "RENAME A B", RENAMES },
    { "RENAMENX A B", RENAMES },
    { "COPY A B", RENAMES },
    { "COPY A B REPLACE", RENAMES },
    { "RESTORE A 0 P", CHANGES },
    { "RESTORE A 0 P REPLACE", OVERWRITES },
    { "RESTORE A M P REPLACE", OVERWRITES },
    { "RESTORE A @M P REPLACE ABSTTL", OVERWRITES },
    { "DEL A", CHANGES },
    { "UNLINK A B", CHANGES },
    { "GETDEL A", CHANGES },
    { "DELIFEQ A V", CHANGES },
    { "SET A V VER V", OVERWRITES },
    { "SET A V FRESH M EX S", OVERWRITES },
    { "FETCH A VER V LEASE 10", CHANGES },
    { "INVALIDATE A", CHANGES },
    { "INVALIDATE A VER V", CHANGES },
    { "INVALIDATE A HOLD 5", CHANGES },
    { "INVALIDATE A STALE", CHANGES },
    { "SALT A", CHANGES },
};
#define EVERYTHING (sizeof everything / sizeof everything[0])

/* Writes that make no key here: they go to another node or database. */
static const char *const elsewhere[] = { "migrate", "move", "restore-asking" };

struct key {
    char name[24];
    uint64_t born_ms;    /* not earlier than this */
    int64_t deadline_ms; /* as told last; -2: there was none */
};

static struct {
    struct conn *conns[CONNECTIONS];
    const struct written *usable[EVERYTHING];
    unsigned usable_count, sessions_begun;
    uint64_t operations, wanted, errors, without_ttl, too_long, worst_ms;
    redisReply *payload;
    char example[200];
} fuzz;

/* --- Which commands there are --- */

static bool is_command_of(const struct written *written, const char *name)
{
    size_t length = strlen(name);

    return strncasecmp(written->words, name, length) == 0 && written->words[length] == ' ';
}

/* Picks what this server can do, and says which of its writes nobody has described: "" when there are none. */
static const char *learn_commands(const struct server *server)
{
    redisReply *commands = command(server->port, "COMMAND");
    const char *unknown = "";

    fuzz.usable_count = 0;
    for (size_t c = 0; c < commands->elements; c++) {
        const redisReply *each = commands->element[c], *flags = each->element[2];
        bool writes = false, is_known = false;

        for (size_t f = 0; f < flags->elements; f++) writes |= strcmp(flags->element[f]->str, "write") == 0;
        if (!writes || each->element[3]->integer == 0) continue;
        for (size_t i = 0; i < EVERYTHING; i++) {
            if (!is_command_of(&everything[i], each->element[0]->str)) continue;
            is_known = true;
            fuzz.usable[fuzz.usable_count++] = &everything[i];
        }
        for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
            is_known |= strcmp(each->element[0]->str, elsewhere[i]) == 0;
        if (!is_known) unknown = text("%s %s", unknown, each->element[0]->str);
    }
    freeReplyObject(commands);
    return unknown;
}

/* --- Commands --- */

static uint64_t draw_ttl_ms(void)
{
    /* Some end at once, most would live for longer than they may. */
    return random_below(4) == 0 ? 1 + random_below(100) : 1 + random_below(100000);
}

static void send_written(struct conn *conn, struct awaited *awaited, const struct written *written, const struct key *a,
                         const struct key *b)
{
    char words[300], *out = words, *end = words + sizeof words;

    for (const char *word = written->words; *word != '\0'; word += strcspn(word, " "), word += *word == ' ') {
        size_t length = strcspn(word, " ");
        uint64_t ttl_ms = draw_ttl_ms();

        if (out != words) *out++ = ' ';
        if (length == 1 && *word == 'A')
            out += snprintf(out, (size_t)(end - out), "%s", a->name);
        else if (length == 1 && *word == 'B')
            out += snprintf(out, (size_t)(end - out), "%s", b->name);
        else if (length == 1 && *word == 'V')
            out += snprintf(out, (size_t)(end - out), "%" PRIu64, 1 + random_below(10));
        else if (length == 1 && *word == 'S')
            out += snprintf(out, (size_t)(end - out), "%" PRIu64, 1 + ttl_ms / 1000);
        else if (length == 1 && *word == 'M')
            out += snprintf(out, (size_t)(end - out), "%" PRIu64, ttl_ms);
        else if (length == 2 && memcmp(word, "@S", 2) == 0)
            out += snprintf(out, (size_t)(end - out), "%" PRIu64, (unix_now_ms() + ttl_ms) / 1000 + 1);
        else if (length == 2 && memcmp(word, "@M", 2) == 0)
            out += snprintf(out, (size_t)(end - out), "%" PRIu64, unix_now_ms() + ttl_ms);
        else if (length == 1 && *word == 'P')
            out += snprintf(out, (size_t)(end - out), "%%b");
        else
            out += snprintf(out, (size_t)(end - out), "%.*s", (int)length, word);
    }
    send_command(conn, awaited, words, fuzz.payload->str, fuzz.payload->len);
}

/* --- What must hold --- */

static void check(struct key *key, const struct written *written, int64_t deadline_ms)
{
    key->deadline_ms = deadline_ms;
    if (deadline_ms == -2) return;
    if (deadline_ms == -1) {
        fuzz.without_ttl++;
    } else if ((uint64_t)deadline_ms > key->born_ms + MAX_TTL_S * 1000 + TOLERANCE_MS) {
        uint64_t too_long = (uint64_t)deadline_ms - key->born_ms - MAX_TTL_S * 1000;

        fuzz.too_long++;
        if (too_long > fuzz.worst_ms) fuzz.worst_ms = too_long;
    } else {
        return;
    }
    if (fuzz.example[0] == '\0')
        snprintf(fuzz.example, sizeof fuzz.example, "after %s: deadline %" PRId64 ", born %" PRIu64, written->words,
                 deadline_ms, key->born_ms);
}

/* What it does to the ages, given that it went well; `now_ms` is when its replies were there. */
static void give_ages(const struct written *written, struct key *a, struct key *b, int64_t b_deadline_ms,
                      uint64_t now_ms)
{
    int64_t alive_after = (int64_t)now_ms + NEARLY_EXPIRED_MS;
    bool had_a = a->deadline_ms == -1 || a->deadline_ms > alive_after,
         had_b = b->deadline_ms == -1 || b->deadline_ms > alive_after;

    switch (written->effect) {
    case CHANGES:
        break;
    case OVERWRITES:
        a->born_ms = now_ms;
        return;
    case RENAMES:
        /* Where B was not replaced, it has the age it had. Which of the two it is cannot be told from here: the younger. */
        if (had_a && b_deadline_ms != -2) {
            b->born_ms = had_b && b->born_ms > a->born_ms ? b->born_ms : a->born_ms;
            return;
        }
        break;
    case SETS_BOTH:
    case MAKES_BOTH:
        if (written->effect == SETS_BOTH || (!had_a && !had_b)) a->born_ms = b->born_ms = now_ms;
        break;
    }
    if (!had_a) a->born_ms = now_ms;
    if (!had_b) b->born_ms = now_ms;
}

static void session(void *context)
{
    struct conn *conn = context;
    struct key keys[KEYS_EACH];
    unsigned number = fuzz.sessions_begun++;

    for (unsigned i = 0; i < KEYS_EACH; i++) {
        keys[i] = (struct key){ .deadline_ms = -2 };
        snprintf(keys[i].name, sizeof keys[i].name, "fuzz:%u:%u", number, i);
    }
    while (fuzz.operations < fuzz.wanted) {
        const struct written *written = fuzz.usable[random_below(fuzz.usable_count)];
        struct key *a = &keys[random_below(KEYS_EACH)], *b = &keys[random_below(KEYS_EACH)];
        struct awaited did, of_a, of_b;
        redisReply *reply, *deadline_a, *deadline_b;

        if (a == b) continue;
        fuzz.operations++;
        send_written(conn, &did, written, a, b);
        send_command(conn, &of_a, "PEXPIRETIME %s", a->name);
        send_command(conn, &of_b, "PEXPIRETIME %s", b->name);
        reply = await(&did);
        deadline_a = await(&of_a);
        deadline_b = await(&of_b);
        if (reply == NULL || deadline_a == NULL || deadline_b == NULL) die("%s: the connection ended", written->words);
        if (reply->type == REDIS_REPLY_ERROR) fuzz.errors++; /* such as INCR of no number */
        give_ages(written, a, b, deadline_b->integer, unix_now_ms());
        check(a, written, deadline_a->integer);
        check(b, written, deadline_b->integer);
        freeReplyObject(reply);
        freeReplyObject(deadline_a);
        freeReplyObject(deadline_b);
    }
}

struct outcome {
    uint64_t operations, without_ttl, too_long, worst_ms;
    double seconds;
    const char *unknown;
};

static struct outcome run_fuzz(const char *binary, uint64_t operations, bool has_policy)
{
    struct server server;
    struct outcome outcome;
    uint64_t began = now_us();

    server_start(&server, binary, "");
    if (has_policy) run_command(server.port, "POLICY SET fuzz: ttl %u max-ttl %u", TTL_S, MAX_TTL_S);
    memset(&fuzz, 0, sizeof fuzz);
    outcome.unknown = learn_commands(&server);
    fuzz.wanted = operations;
    run_command(server.port, "SET dumped 12345");
    fuzz.payload = command(server.port, "DUMP dumped");
    for (unsigned i = 0; i < CONNECTIONS; i++) fuzz.conns[i] = conn_open(server.port);
    for (unsigned i = 0; i < SESSIONS; i++) task_start(session, fuzz.conns[i % CONNECTIONS]);
    tasks_run();
    for (unsigned i = 0; i < CONNECTIONS; i++) conn_close(&fuzz.conns[i]);
    freeReplyObject(fuzz.payload);
    server_stop(&server);
    outcome.operations = fuzz.operations;
    outcome.without_ttl = fuzz.without_ttl;
    outcome.too_long = fuzz.too_long;
    outcome.worst_ms = fuzz.worst_ms;
    outcome.seconds = (double)(now_us() - began) / 1e6;
    note("    %llu operations in %.0f s, %llu of them refused; %u forms of commands",
         (unsigned long long)fuzz.operations, outcome.seconds, (unsigned long long)fuzz.errors, fuzz.usable_count);
    if (has_policy && fuzz.example[0] != '\0') note("    %s", fuzz.example);
    return outcome;
}

static void run(const struct settings *settings)
{
    uint64_t operations = settings->is_short ? 600000 : 10000000;
    struct outcome plain = run_fuzz(settings->baseline, operations, false),
                   ours = run_fuzz(settings->ours, operations, true);

    found(CONTENT, "E4", "the baseline bites: times that a key was seen without a TTL, or beyond its birth + max-ttl",
          text("%llu and %llu", (unsigned long long)plain.without_ttl, (unsigned long long)plain.too_long), "> 0",
          "itself", plain.without_ttl > 0 && plain.too_long > 0);
    found(CONTENT, "E4", "commands that write keys and that this experiment does not know",
          *ours.unknown ? ours.unknown : "none", "none", "", !*ours.unknown);
    found(CONTENT, "E4",
          text("`ttl %u max-ttl %u`, %llu operations: keys without TTL", TTL_S, MAX_TTL_S,
               (unsigned long long)ours.operations),
          text("%llu", (unsigned long long)ours.without_ttl), "0", text("%llu", (unsigned long long)plain.without_ttl),
          ours.without_ttl == 0);
    found(CONTENT, "E4", "keys beyond their birth + max-ttl (+ 1 s)",
          text("%llu%s", (unsigned long long)ours.too_long,
               ours.too_long > 0 ? text(", by up to %.1f s", (double)ours.worst_ms / 1e3) : ""),
          "0", text("%llu", (unsigned long long)plain.too_long), ours.too_long == 0);
}

const struct experiment experiment_backstop = { .name = "backstop",
                                                .title = "E4: no key without a deadline, none beyond its value's life",
                                                .run = run };

/* --- The sweep: keys that were there before the policy --- */

static void set_old(struct conn *conn, struct awaited *awaited, uint64_t i)
{
    send_command(conn, awaited, "SET old:%llu v", i);
}

static void expire_old(struct conn *conn, struct awaited *awaited, uint64_t i)
{
    send_command(conn, awaited, "EXPIRE old:%llu 3600", i);
}

static uint64_t without_deadline;

static void ask_old(struct conn *conn, struct awaited *awaited, uint64_t i)
{
    send_command(conn, awaited, "PTTL old:%llu", i);
}

static void count_without(uint64_t i, const redisReply *reply)
{
    (void)i;
    if (reply->integer == -1) without_deadline++;
}

/* A field of POLICY GET: what the sweep has come to. */
static double policy_field(const struct server *server, const char *field)
{
    redisReply *reply = command(server->port, "POLICY GET %s", "");
    double value = -1;

    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *each = reply->element[i + 1];

        if (strcasecmp(reply->element[i]->str, field) == 0)
            value = each->type == REDIS_REPLY_INTEGER ? (double)each->integer : strtod(each->str, NULL);
    }
    freeReplyObject(reply);
    return value;
}

static void run_sweep(const struct settings *settings)
{
    uint64_t count = settings->is_short ? 100000 : 10000000, cpu_us, began;
    double seconds, by_hand_s, by_hand_cpu_s, cpu_s;
    struct server server;

    server_start(&server, settings->baseline, "");
    run_bulk(server.port, &(struct bulk){ .count = count, .ask_one = set_old });
    cpu_us = server_cpu_us(&server);
    began = now_us();
    run_bulk(server.port, &(struct bulk){ .count = count, .ask_one = expire_old });
    by_hand_s = (double)(now_us() - began) / 1e6;
    by_hand_cpu_s = (double)(server_cpu_us(&server) - cpu_us) / 1e6;
    server_stop(&server);

    server_start(&server, settings->ours, "");
    run_bulk(server.port, &(struct bulk){ .count = count, .ask_one = set_old });
    cpu_us = server_cpu_us(&server);
    began = now_us();
    run_command(server.port, "POLICY SET %s ttl 3600", "");
    for (seconds = 0; policy_field(&server, "swept-percent") < 100 && seconds < 600;
         seconds = (double)(now_us() - began) / 1e6)
        usleep(settings->is_short ? 20000 : 500000);
    cpu_s = (double)(server_cpu_us(&server) - cpu_us) / 1e6;
    without_deadline = 0;
    run_bulk(server.port, &(struct bulk){ .count = count, .ask_one = ask_old, .got_one = count_without });
    found(CONTENT, "E4", text("the sweep brings %llu keys under a policy: left without TTL", (unsigned long long)count),
          text("%llu; keys-without-ttl says %.0f", (unsigned long long)without_deadline,
               policy_field(&server, "keys-without-ttl")),
          "0", "EXPIRE for each key", without_deadline == 0);
    server_stop(&server);
    if (settings->is_short) return;
    found(SPEED, "E4", "it takes", text("%.1f s", seconds), "< 60 s", text("%.1f s", by_hand_s), seconds < 60);
    found(SPEED, "E4", "of a CPU, meanwhile", text("%.1f %%", 100 * cpu_s / seconds), "< 5 %",
          text("%.0f %%", 100 * by_hand_cpu_s / by_hand_s), cpu_s < 0.05 * seconds);
}

const struct experiment experiment_sweep = { .name = "sweep",
                                             .title = "E4: a policy reaches the keys that were there before it",
                                             .run = run_sweep };
