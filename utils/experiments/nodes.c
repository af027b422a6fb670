/* utils/experiments/nodes.c */
#include "nodes.h"
#include "experiment.h"
#include "task.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOPS_MAX 16u /* what client libraries follow */
#define RETRY_US 20000
#define RESTART_US_MAX 60000000

/* --- Slots --- */

static unsigned crc16(const char *text, size_t length)
{
    unsigned crc = 0;

    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned)(unsigned char)text[i] << 8;
        for (int bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021 : 0)) & 0xffff;
    }
    return crc;
}

unsigned key_slot(const char *key)
{
    const char *open = strchr(key, '{'), *closed = open != NULL ? strchr(open, '}') : NULL;

    if (closed != NULL && closed > open + 1) return crc16(open + 1, (size_t)(closed - open) - 1) % SLOTS;
    return crc16(key, strlen(key)) % SLOTS;
}

/* --- Starting and ending --- */

static bool agrees(const struct server *server, unsigned count)
{
    redisReply *info = command(server->port, "CLUSTER INFO");
    bool is_ok = strstr(info->str, "cluster_state:ok") != NULL &&
                 strstr(info->str, text("cluster_known_nodes:%u", count)) != NULL &&
                 strstr(info->str, "cluster_slots_assigned:16384") != NULL;

    freeReplyObject(info);
    return is_ok;
}

void nodes_start(struct nodes *nodes, unsigned count, const char *binary, const char *more_lines)
{
    *nodes = (struct nodes){ .count = count };
    for (unsigned n = 0; n < count; n++) {
        const char *lines = text("cluster-enabled yes\ncluster-require-full-coverage no\n%s", more_lines);

        server_start_in(&nodes->servers[n], binary, lines, n);
    }
    for (unsigned n = 0; n < count; n++) {
        unsigned first = SLOTS * n / count, last = SLOTS * (n + 1) / count - 1;
        redisReply *id = command(nodes->servers[n].port, "CLUSTER MYID");

        snprintf(nodes->ids[n], sizeof nodes->ids[n], "%s", id->str);
        freeReplyObject(id);
        run_command(nodes->servers[n].port, "CLUSTER ADDSLOTSRANGE %u %u", first, last);
        run_command(nodes->servers[n].port, "CLUSTER SET-CONFIG-EPOCH %u", n + 1);
        for (unsigned slot = first; slot <= last; slot++) nodes->owner[slot] = (uint8_t)n;
    }
    /* Each meets each: those whom one meets hear of each other by gossip, which takes a second. */
    for (unsigned n = 1; n < count; n++)
        for (unsigned other = 0; other < n; other++)
            run_command(nodes->servers[n].port, "CLUSTER MEET %s %d", server_host(nodes->servers[other].port),
                        nodes->servers[other].port);
    for (unsigned n = 0; n < count; n++)
        while (!agrees(&nodes->servers[n], count)) usleep(RETRY_US);
}

void nodes_stop(struct nodes *nodes)
{
    for (unsigned n = 0; n < nodes->count; n++) {
        for (unsigned i = 0; i < NODE_CONNECTIONS; i++)
            if (nodes->conns[n][i] != NULL) conn_close(&nodes->conns[n][i]);
        server_stop(&nodes->servers[n]);
    }
}

/* --- Asking --- */

static struct conn *conn_to(struct nodes *nodes, unsigned n)
{
    struct conn **conn = &nodes->conns[n][random_below(NODE_CONNECTIONS)];

    if (*conn != NULL && (*conn)->has_ended) conn_close(conn);
    if (*conn == NULL && !nodes->is_down[n]) *conn = conn_try_open(nodes->servers[n].port);
    return *conn;
}

static unsigned node_of_redirect(const struct nodes *nodes, const char *error)
{
    const char *colon = strrchr(error, ':');
    int port = colon != NULL ? atoi(colon + 1) : 0;

    for (unsigned n = 0; n < nodes->count; n++)
        if (nodes->servers[n].port == port) return n;
    die("redirected to nobody: %s", error);
}

static redisReply *ask_once(struct nodes *nodes, unsigned n, bool is_asking, const char *request, size_t bytes)
{
    struct conn *conn = conn_to(nodes, n);
    struct awaited asking, awaited;

    if (conn == NULL) return NULL;
    if (is_asking) send_command(conn, &asking, "ASKING");
    send_request(conn, &awaited, request, bytes);
    if (is_asking) freeReplyObject(await(&asking));
    return await(&awaited);
}

static void note_hop(struct hop *hop, unsigned n, bool is_asking, uint64_t began_us, const redisReply *reply)
{
    *hop = (struct hop){ .node = n, .is_asking = is_asking, .began_us = began_us, .ended_us = now_us() };
    snprintf(hop->answer, sizeof hop->answer, "%s",
             reply == NULL                      ? "nobody"
             : reply->type == REDIS_REPLY_NIL   ? "nil"
             : reply->type == REDIS_REPLY_ERROR ? reply->str
                                                : "a value");
}

const char *nodes_story(const struct nodes *nodes)
{
    uint64_t now = now_us();
    const char *story = "";

    for (unsigned i = 0; i < nodes->hop_count && i < HOPS_KEPT; i++) {
        const struct hop *hop = &nodes->hops[i];

        story = text("%s\n            %.1f to %.1f ms ago node %u%s: %s", story, (double)(now - hop->began_us) / 1e3,
                     (double)(now - hop->ended_us) / 1e3, hop->node, hop->is_asking ? ", ASKING" : "", hop->answer);
    }
    for (unsigned i = nodes->step_count > STEPS_KEPT ? nodes->step_count - STEPS_KEPT : 0; i < nodes->step_count; i++) {
        const struct step *step = &nodes->steps[i % STEPS_KEPT];

        story = text("%s\n            %.1f to %.1f ms ago node %u: %s", story, (double)(now - step->began_us) / 1e3,
                     step->ended_us == 0 ? 0 : (double)(now - step->ended_us) / 1e3, step->node, step->words);
    }
    return story;
}

redisReply *nodes_ask_for(struct nodes *nodes, unsigned slot, const char *request, size_t bytes)
{
    unsigned n = nodes->owner[slot];
    struct hop trail[HOPS_KEPT] = { 0 };
    bool is_asking = false;

    for (unsigned hops = 0;; hops++) {
        uint64_t began_us = now_us();
        redisReply *reply = ask_once(nodes, n, is_asking, request, bytes);

        note_hop(&trail[hops % HOPS_KEPT], n, is_asking, began_us, reply);
        if (reply == NULL) nodes->unanswered++;
        if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
            memcpy(nodes->hops, trail, sizeof trail);
            nodes->hop_count = hops + 1;
            return reply;
        }
        is_asking = strncmp(reply->str, "ASK ", 4) == 0;
        if (is_asking || strncmp(reply->str, "MOVED ", 6) == 0) {
            n = node_of_redirect(nodes, reply->str);
            if (!is_asking) nodes->owner[slot] = (uint8_t)n;
        } else if (strncmp(reply->str, "TRYAGAIN", 8) == 0) {
            task_sleep_us(1000);
        } else {
            return reply;
        }
        nodes->redirects++;
        if (hops == HOPS_MAX) nodes->loops++;
        freeReplyObject(reply);
    }
}

/* Owned by the caller, like what hiredis makes. */
static char *request_of(const char *format, va_list args, size_t *bytes)
{
    char *request;
    int length = redisvFormatCommand(&request, format, args);

    if (length < 0) die("the format '%s'", format);
    *bytes = (size_t)length;
    return request;
}

redisReply *nodes_ask(struct nodes *nodes, const char *key, const char *format, ...)
{
    redisReply *reply;
    char *request;
    size_t bytes;
    va_list args;

    va_start(args, format);
    request = request_of(format, args, &bytes);
    va_end(args);
    reply = nodes_ask_for(nodes, key_slot(key), request, bytes);
    free(request);
    return reply;
}

redisReply *nodes_ask_node(struct nodes *nodes, unsigned n, const char *format, ...)
{
    redisReply *reply;
    char *request;
    size_t bytes;
    va_list args;

    va_start(args, format);
    request = request_of(format, args, &bytes);
    va_end(args);
    reply = ask_once(nodes, n, false, request, bytes);
    free(request);
    if (reply == NULL) nodes->unanswered++;
    return reply;
}

redisReply *nodes_transact(struct nodes *nodes, unsigned n, const char *request, size_t bytes)
{
    struct conn *conn = conn_to(nodes, n);
    struct awaited multi, queued, exec;
    redisReply *reply, *result = NULL;

    if (conn == NULL) return NULL;
    send_command(conn, &multi, "MULTI");
    send_request(conn, &queued, request, bytes);
    send_command(conn, &exec, "EXEC");
    freeReplyObject(await(&multi));
    reply = await(&queued);
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        freeReplyObject(await(&exec));
        return reply;
    }
    freeReplyObject(reply);
    reply = await(&exec);
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 1) return reply;
    result = reply->element[0];
    reply->elements = 0;
    freeReplyObject(reply);
    return result;
}

/* --- Dying and coming back --- */

void nodes_kill(struct nodes *nodes, unsigned n)
{
    nodes->is_down[n] = true;
    server_kill(&nodes->servers[n]);
}

void nodes_restart(struct nodes *nodes, unsigned n)
{
    uint64_t deadline = now_us() + RESTART_US_MAX;

    server_restart(&nodes->servers[n]);
    nodes->is_starting[n] = true;
    nodes->is_down[n] = false;
    for (bool is_ok = false; !is_ok; task_sleep_us(RETRY_US)) {
        struct conn *conn = conn_try_open(nodes->servers[n].port);
        redisReply *info;

        if (now_us() > deadline) die("a node that does not come back: %s/log", nodes->servers[n].folder);
        if (conn == NULL) continue;
        info = try(conn, "CLUSTER INFO");
        is_ok = info != NULL && info->type == REDIS_REPLY_STRING && strstr(info->str, "cluster_state:ok") != NULL;
        freeReplyObject(info);
        conn_close(&conn);
    }
    nodes->is_starting[n] = false;
}

/* --- Moving a slot --- */

/* True when it went well. */
static bool did(struct nodes *nodes, unsigned n, const char *words)
{
    struct step *step = &nodes->steps[nodes->step_count++ % STEPS_KEPT];
    redisReply *reply;
    bool is_well;

    *step = (struct step){ .node = n, .began_us = now_us(), .words = words };
    reply = nodes_ask_node(nodes, n, words);
    step->ended_us = now_us();
    is_well = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    if (!is_well) note("        %s: %s", words, reply == NULL ? "the connection ended" : reply->str);
    if (reply != NULL && !is_well && strstr(reply->str, "BUSYKEY") != NULL) nodes->twice++;
    freeReplyObject(reply);
    return is_well;
}

static bool move(struct nodes *nodes, unsigned slot, unsigned from, unsigned to, bool is_again)
{
    /* What a broken connection left at the other end is what was sent before. */
    const char *replace = is_again ? " REPLACE" : "";
    int port = nodes->servers[to].port;

    if (!did(nodes, to, text("CLUSTER SETSLOT %u IMPORTING %s", slot, nodes->ids[from])) ||
        !did(nodes, from, text("CLUSTER SETSLOT %u MIGRATING %s", slot, nodes->ids[to])))
        return false;
    for (bool is_empty = false; !is_empty;) {
        redisReply *keys = nodes_ask_node(nodes, from, "CLUSTER GETKEYSINSLOT %u 20", slot);
        bool is_well = keys != NULL && keys->type == REDIS_REPLY_ARRAY;

        is_empty = is_well && keys->elements == 0;
        for (size_t i = 0; is_well && i < keys->elements; i++)
            is_well = did(nodes, from,
                          text("MIGRATE %s %d %s 0 5000%s", server_host(port), port, keys->element[i]->str, replace));
        freeReplyObject(keys);
        if (!is_well) return false;
    }
    return did(nodes, to, text("CLUSTER SETSLOT %u NODE %s", slot, nodes->ids[to])) &&
           did(nodes, from, text("CLUSTER SETSLOT %u NODE %s", slot, nodes->ids[to]));
}

void nodes_move(struct nodes *nodes, unsigned slot, unsigned from, unsigned to)
{
    for (bool is_again = false; !move(nodes, slot, from, to, is_again); is_again = true) task_sleep_us(200000);
}
