/* utils/experiments/nodes.h
 *
 * Several nodes that divide the slots evenly, and a client that has a map of them, connections to each that all tasks share, and follows redirects. Nodes
 * may be killed and started again, stopped, given each other's slots and, on a network of their own (network.h), cut from each other; whoever is
 * asked may therefore not answer, which is no error here: the task gets NULL. */
#pragma once

#include "conn.h"
#include "server.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODES_MAX 4u
#define NODE_CONNECTIONS 8u
#define SLOTS 16384u

#define HOPS_KEPT 8u
#define STEPS_KEPT 24u

struct nodes {
    struct server servers[NODES_MAX];
    char ids[NODES_MAX][41];
    struct conn *conns[NODES_MAX][NODE_CONNECTIONS];
    unsigned count;
    bool is_down[NODES_MAX];        /* killed */
    bool is_starting[NODES_MAX];    /* again, and does not serve yet */
    uint8_t owner[SLOTS];           /* as the client was told last */
    uint64_t redirects, unanswered; /* unanswered: the connection ended, or there was none to be had */
    uint64_t loops;                 /* answers that a client library of the usual patience would not have waited for */
    /* What led to the last reply that came, and what moves of slots did last: told where a reply is wrong. */
    struct hop {
        unsigned node;
        bool is_asking;
        uint64_t began_us, ended_us;
        char answer[12];
    } hops[HOPS_KEPT];
    unsigned hop_count;
    struct step {
        unsigned node;
        uint64_t began_us, ended_us; /* 0: it has not */
        const char *words;
    } steps[STEPS_KEPT];
    unsigned step_count;
    uint64_t twice; /* keys that were at both ends of a move before anything had gone wrong */
};

/* Starts them and waits until they agree. On a network of namespaces where there is one (network_open()). */
void nodes_start(struct nodes *nodes, unsigned count, const char *binary, const char *more_lines);
void nodes_stop(struct nodes *nodes);

unsigned key_slot(const char *key);

/* --- Within a task --- */
/* Sends a request for a key of the slot and follows MOVED, ASK and TRYAGAIN. Any other reply is returned, errors too, and NULL where nobody answers. */
redisReply *nodes_ask_for(struct nodes *nodes, unsigned slot, const char *request, size_t bytes);
redisReply *nodes_ask(struct nodes *nodes, const char *key, const char *format, ...);
/* How the reply to nodes_ask_for() came about, in lines, told before anything else is asked. */
const char *nodes_story(const struct nodes *nodes);
/* One node, whatever the slot; NULL as above. */
redisReply *nodes_ask_node(struct nodes *nodes, unsigned n, const char *format, ...);
/* A transaction of one command at the node, in one write: the reply of that command, its error, or NULL. */
redisReply *nodes_transact(struct nodes *nodes, unsigned n, const char *request, size_t bytes);

/* Ends a node at once. Its connections answer NULL. */
void nodes_kill(struct nodes *nodes, unsigned n);
/* Starts it again with what it had on disk, and waits until it serves its slots; it is asked by others from the first moment. */
void nodes_restart(struct nodes *nodes, unsigned n);
/* Gives a slot and what is in it to another node, by the commands that redis-cli --cluster reshard gives; both have to be alive. A step that
 * is refused is tried again. */
void nodes_move(struct nodes *nodes, unsigned slot, unsigned from, unsigned to);
