/* utils/experiments/salted.c */
#include "salted.h"
#include "experiment.h"
#include "task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_US 2000
#define DRAWS_MAX 8

/* --- Opening --- */

void salted_reset(struct salted *salted)
{
    salted->reads = salted->writes = salted->stale = salted->oldest_us = 0;
    salted->nothing = salted->errors = salted->unwritten = salted->lost = 0;
    salted->nodes.redirects = salted->nodes.unanswered = salted->nodes.loops = salted->nodes.twice = 0;
    salted->write_count = 0;
    salted->is_told = salted->ends = false;
}

void salted_open(struct salted *salted, const char *binary, const char *more_lines)
{
    static unsigned opened;
    unsigned tag = opened++ * 1000;

    *salted = (struct salted){ .write_share = 0.01, .reads_former = true };
    nodes_start(&salted->nodes, NODES_MAX, binary, more_lines);
    do salted->slot = key_slot(text("{%u}", ++tag));
    while (salted->nodes.owner[salted->slot] != 0);
    for (unsigned k = 0; k < SALTED_KEYS; k++)
        snprintf(salted->keys[k].key, sizeof salted->keys[k].key, "star:{%u}:%u", tag, k);
}

void salted_close(struct salted *salted)
{
    nodes_stop(&salted->nodes);
    free(salted->write_us);
    salted->write_us = NULL;
}

/* --- Names --- */

static void note_name(struct salted_key *key, struct salted_name *name, const char *told)
{
    snprintf(name->text, sizeof name->text, "%s", told);
    name->slot = key_slot(name->text);
    for (unsigned i = 0; i < key->known_count; i++)
        if (strcmp(key->known[i].text, name->text) == 0) return;
    if (key->known_count < SALTED_KNOWN_MAX) key->known[key->known_count++] = *name;
}

bool salted_salt(struct salted *salted, unsigned k, unsigned n)
{
    struct salted_key *key = &salted->keys[k];
    redisReply *reply = n == 0 ? nodes_ask(&salted->nodes, key->key, "SALT %s", key->key)
                               : nodes_ask(&salted->nodes, key->key, "SALT %s %u", key->key, n);
    bool is_well = reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements <= SALTED_NAMES_MAX;

    if (is_well) {
        key->name_count = (unsigned)reply->elements;
        for (unsigned i = 0; i < key->name_count; i++) note_name(key, &key->names[i], reply->element[i]->str);
    } else if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        note("        SALT %s %u: %s", key->key, n, reply->str);
    }
    freeReplyObject(reply);
    return is_well;
}

struct salting {
    struct salted *salted;
    struct task *waits;
    unsigned k, n, *left, *done;
};

static void salt_one(void *context)
{
    struct salting *salting = context;

    *salting->done += salted_salt(salting->salted, salting->k, salting->n);
    if (--*salting->left == 0) task_wake(salting->waits);
}

bool salted_salt_all(struct salted *salted, unsigned n)
{
    struct salting each[SALTED_KEYS];
    unsigned left = SALTED_KEYS, done = 0;

    for (unsigned k = 0; k < SALTED_KEYS; k++) {
        each[k] = (struct salting){ salted, task_current(), k, n, &left, &done };
        task_start(salt_one, &each[k]);
    }
    task_wait();
    return done == SALTED_KEYS;
}

/* --- The checker --- */

static void acknowledge(struct salted_key *key, uint64_t version)
{
    uint64_t now = now_us(), first = key->acknowledged + 1;

    if (version - key->acknowledged > SALTED_HISTORY) first = version - SALTED_HISTORY + 1;
    for (uint64_t each = first; each <= version; each++) key->acknowledged_us[each % SALTED_HISTORY] = now;
    if (version > key->acknowledged) key->acknowledged = version;
}

/* The first of each trial. */
static void tell_wrong(struct salted *salted, const char *what, const struct salted_key *key, const char *name,
                       const char *got, uint64_t before)
{
    unsigned owner = salted->nodes.owner[key_slot(name)];

    if (salted->is_told) return;
    salted->is_told = true;
    note("        %s: %s (of node %u) returned %s when %llu of %s was acknowledged%s", what, name, owner, got,
         (unsigned long long)before, key->key, nodes_story(&salted->nodes));
}

static void check(struct salted *salted, struct salted_key *key, const struct salted_name *name,
                  const redisReply *reply, uint64_t before)
{
    uint64_t version, age_us;

    salted->reads++;
    if (reply->type == REDIS_REPLY_NIL || (reply->type == REDIS_REPLY_STRING && reply->len == 0)) {
        if (key->gone >= before) return;
        salted->nothing++;
        tell_wrong(salted, "no value", key, name->text, "nothing", before);
        return;
    }
    version = strtoull(reply->str, NULL, 10);
    if (version > key->started) {
        salted->unwritten++;
        tell_wrong(salted, "not written", key, name->text, reply->str, before);
    }
    if (version >= before) return;
    salted->stale++;
    tell_wrong(salted, "stale", key, name->text, reply->str, before);
    if (before - version > SALTED_HISTORY - 1) version = before - (SALTED_HISTORY - 1);
    age_us = now_us() - key->acknowledged_us[(version + 1) % SALTED_HISTORY];
    if (age_us > salted->oldest_us) salted->oldest_us = age_us;
}

/* A node that has just begun, or cannot see the others, says so. */
static bool is_down_text(const char *error)
{
    return strncmp(error, "CLUSTERDOWN", 11) == 0 || strncmp(error, "LOADING", 7) == 0;
}

static void count_error(struct salted *salted, const char *request, const char *error)
{
    if (is_down_text(error)) {
        salted->nodes.unanswered++;
        return;
    }
    if (salted->errors++ == 0) note("        %s: %s", request, error);
}

/* --- Reading --- */

static void read_name(struct salted *salted, struct salted_key *key, const struct salted_name *named)
{
    struct salted_name name = *named; /* SALT may tell others meanwhile */
    uint64_t before = key->acknowledged;
    redisReply *reply =
        nodes_ask(&salted->nodes, name.text, random_below(8) == 0 ? "GETRANGE %s 0 -1" : "GET %s", name.text);

    if (reply == NULL) {
        task_sleep_us(RETRY_US);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        count_error(salted, text("GET %s", name.text), reply->str);
        task_sleep_us(RETRY_US);
    } else {
        check(salted, key, &name, reply, before);
    }
    freeReplyObject(reply);
}

/* Mostly one that it has, else any that it ever had: those lead to it, too. */
static const struct salted_name *draw_name(const struct salted *salted, const struct salted_key *key)
{
    if (!salted->reads_former || random_below(5) > 0) return &key->names[random_below(key->name_count)];
    return &key->known[random_below(key->known_count)];
}

static struct salted_key *draw_key(struct salted *salted)
{
    return &salted->keys[random_below(SALTED_KEYS)];
}

static bool is_known_to_answer(const struct salted *salted, unsigned slot)
{
    unsigned owner = salted->nodes.owner[slot];

    return !salted->nodes.is_down[owner] && !salted->is_stopped[owner];
}

static void read_any(struct salted *salted)
{
    for (int draws = 0; draws < DRAWS_MAX; draws++) {
        struct salted_key *key = draw_key(salted);
        const struct salted_name *name = draw_name(salted, key);

        if (!is_known_to_answer(salted, name->slot)) continue;
        read_name(salted, key, name);
        return;
    }
    task_sleep_us(RETRY_US);
}

/* --- Writing --- */

static void note_write(struct salted *salted, uint64_t began)
{
    if (salted->write_count == salted->write_room) {
        salted->write_room = salted->write_room * 2 + 1024;
        salted->write_us = realloc(salted->write_us, salted->write_room * sizeof *salted->write_us);
        if (salted->write_us == NULL) die("no memory");
    }
    salted->write_us[salted->write_count++] = (uint32_t)(now_us() - began);
    salted->writes++;
}

/* A write that nobody answered may have been done: so it is counted as begun, and never as acknowledged. */
static void count_up(struct salted *salted, struct salted_key *key, const char *named)
{
    char name[SALTED_NAME_BYTES];
    uint64_t began = now_us(), before = key->acknowledged;
    redisReply *reply;

    snprintf(name, sizeof name, "%s", named);
    key->started++;
    reply = nodes_ask(&salted->nodes, name, "INCR %s", name);
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
        if (reply != NULL) count_error(salted, text("INCR %s", name), reply->str);
        task_sleep_us(RETRY_US);
    } else {
        if ((uint64_t)reply->integer <= before) {
            salted->lost++;
            tell_wrong(salted, "counted from less", key, name, text("%lld", reply->integer), before);
        } else {
            acknowledge(key, (uint64_t)reply->integer);
        }
        note_write(salted, began);
    }
    freeReplyObject(reply);
}

enum writing { SET, SET_EX, GETSET, APPEND_UP, TRANSACTION, MSET, DELETE, UNLINK, EXPIRING, WRITINGS };

static redisReply *write_once(struct salted *salted, const struct salted_key *key, const char *name, enum writing how,
                              uint64_t version)
{
    struct nodes *nodes = &salted->nodes;
    unsigned long long v = version;
    redisReply *reply;
    char *request;
    int bytes;

    switch (how) {
    case SET:
        return nodes_ask(nodes, name, "SET %s %llu", name, v);
    case SET_EX:
        return nodes_ask(nodes, name, "SET %s %llu EX 1000", name, v);
    case GETSET:
        return nodes_ask(nodes, name, "GETSET %s %llu", name, v);
    case APPEND_UP:
        return nodes_ask(nodes, name, "INCRBY %s %llu", name, v - key->acknowledged);
    case TRANSACTION:
        bytes = redisFormatCommand(&request, "SET %s %llu", name, v);
        reply = nodes_transact(nodes, nodes->owner[salted->slot], request, (size_t)bytes);
        free(request);
        return reply;
    case MSET:
        return nodes_ask(nodes, name, "MSET %s %llu", name, v);
    case DELETE:
        return nodes_ask(nodes, name, "DEL %s", name);
    case UNLINK:
        return nodes_ask(nodes, name, "UNLINK %s", name);
    case EXPIRING:
        return nodes_ask(nodes, name, "SET %s %llu PX %u", name, v, 5 + (unsigned)random_below(40));
    case WRITINGS:
        break;
    }
    return NULL;
}

static bool leaves_nothing(enum writing how)
{
    return how == DELETE || how == UNLINK || how == EXPIRING;
}

static enum writing draw_writing(const struct salted *salted, const struct salted_key *key)
{
    enum writing how = (enum writing)random_below(key == &salted->keys[3] ? WRITINGS : DELETE);

    /* What is not there cannot be added to. */
    return how == APPEND_UP && key->gone == key->acknowledged ? SET : how;
}

/* Until it is acknowledged: what nobody answered may have been done, and is done again, by what makes the same of it. */
static void write_next(struct salted *salted, struct salted_key *key)
{
    enum writing how = draw_writing(salted, key);
    uint64_t version = ++key->started, began = now_us();
    char name[SALTED_NAME_BYTES];

    key->is_being_written = true;
    if (leaves_nothing(how)) key->gone = version;
    for (;;) {
        redisReply *reply;
        bool is_done;

        snprintf(name, sizeof name, "%s", how == TRANSACTION ? key->key : draw_name(salted, key)->text);
        reply = write_once(salted, key, name, how, version);
        is_done = reply != NULL && reply->type != REDIS_REPLY_ERROR;
        if (reply != NULL && !is_done && strncmp(reply->str, "MOVED", 5) != 0 && strncmp(reply->str, "ASK", 3) != 0 &&
            strncmp(reply->str, "TRYAGAIN", 8) != 0)
            count_error(salted, text("a write of %s", name), reply->str);
        freeReplyObject(reply);
        if (is_done) break;
        if (!leaves_nothing(how)) how = SET;
        task_sleep_us(RETRY_US);
    }
    acknowledge(key, version);
    note_write(salted, began);
    key->is_being_written = false;
}

static void write_any(struct salted *salted)
{
    struct salted_key *key = draw_key(salted);

    if (key < &salted->keys[2])
        count_up(salted, key, draw_name(salted, key)->text);
    else if (!key->is_being_written)
        write_next(salted, key);
    else
        count_up(salted, &salted->keys[0], salted->keys[0].key);
}

uint64_t salted_write_us(struct salted *salted)
{
    size_t before = salted->write_count;

    while (salted->write_count == before) count_up(salted, &salted->keys[0], salted->keys[0].key);
    return salted->write_us[before];
}

/* --- Sessions --- */

void salted_session(void *context)
{
    struct salted *salted = context;

    while (!salted->ends) {
        if (salted->pause_us > 0) task_sleep_us((uint64_t)random_exponential((double)salted->pause_us));
        if (random_unit() < salted->write_share)
            write_any(salted);
        else
            read_any(salted);
    }
}

struct probe {
    struct salted *salted;
    struct salted_key *key;
    struct salted_name name;
};

static void probe(void *context)
{
    struct probe *probe = context;

    read_name(probe->salted, probe->key, &probe->name);
    free(probe);
}

void salted_probe(struct salted *salted, unsigned node)
{
    for (int draws = 0; draws < 4 * DRAWS_MAX; draws++) {
        struct salted_key *key = draw_key(salted);
        const struct salted_name *name = draw_name(salted, key);
        struct probe *one;

        if (salted->nodes.owner[name->slot] != node) continue;
        one = malloc(sizeof *one);
        if (one == NULL) die("no memory");
        *one = (struct probe){ salted, key, *name };
        task_start(probe, one);
        return;
    }
}

/* --- Before and after --- */

void salted_fill(struct salted *salted)
{
    for (unsigned k = 0; k < SALTED_KEYS; k++) {
        struct salted_key *key = &salted->keys[k];
        redisReply *reply = nodes_ask(&salted->nodes, key->key, "SET %s 1", key->key);

        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) die("the first write of %s", key->key);
        freeReplyObject(reply);
        key->started = 1;
        acknowledge(key, 1);
        note_name(key, &key->names[0], key->key);
        key->name_count = 1;
    }
}

bool salted_wait_copies(struct salted *salted, unsigned keys, uint64_t us_max)
{
    uint64_t deadline = now_us() + us_max;

    for (bool all = false; !all; task_sleep_us(5000)) {
        all = true;
        for (unsigned k = 0; k < keys && all; k++) {
            /* Of what is not there nobody has a copy. */
            if (salted->keys[k].gone == salted->keys[k].acknowledged) continue;
            for (unsigned i = 0; i < salted->keys[k].name_count && all; i++) {
                const struct salted_name *name = &salted->keys[k].names[i];
                redisReply *reply =
                    nodes_ask_node(&salted->nodes, salted->nodes.owner[name->slot], "GET %s", name->text);

                all = reply != NULL && reply->type == REDIS_REPLY_STRING;
                /* A slot that is elsewhere than we thought. */
                if (reply != NULL && !all) freeReplyObject(nodes_ask(&salted->nodes, name->text, "GET %s", name->text));
                freeReplyObject(reply);
            }
        }
        if (now_us() > deadline) return all;
    }
    return true;
}

unsigned salted_differ(struct salted *salted)
{
    unsigned differ = 0;

    for (unsigned k = 0; k < SALTED_KEYS; k++) {
        struct salted_key *key = &salted->keys[k];
        redisReply *last = nodes_ask(&salted->nodes, key->key, "GET %s", key->key);

        for (unsigned i = 0; i < key->known_count; i++) {
            redisReply *reply = nodes_ask(&salted->nodes, key->known[i].text, "GET %s", key->known[i].text);

            if (last == NULL || reply == NULL || last->type != reply->type ||
                (last->type == REDIS_REPLY_STRING && strcmp(last->str, reply->str) != 0)) {
                if (differ++ == 0)
                    note("        %s returns %s, and %s returns %s", key->key,
                         last != NULL && last->str != NULL ? last->str : "nothing", key->known[i].text,
                         reply != NULL && reply->str != NULL ? reply->str : "nothing");
            }
            freeReplyObject(reply);
        }
        freeReplyObject(last);
    }
    return differ;
}

const char *salted_text(const struct salted *salted)
{
    const char *stale = salted->stale == 0 ? "0 stale"
                                           : text("%llu stale, oldest %.1f ms", (unsigned long long)salted->stale,
                                                  (double)salted->oldest_us / 1e3);

    return text("%s, %llu nil, %llu errors of %llu reads, %llu writes", stale,
                (unsigned long long)(salted->nothing + salted->unwritten), (unsigned long long)salted->errors,
                (unsigned long long)salted->reads, (unsigned long long)salted->writes);
}
