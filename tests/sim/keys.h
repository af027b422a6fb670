/* sim/keys.h
 *
 * What the cluster is for: a few keys, clients that write them and follow redirects, and an operator who moves their slots from node to
 * node as redis-cli does. Each node decides by its owner words and the product's own redirect rules, and has the values it took.
 *
 * At the end every value that was acknowledged last is with its slot's owner, unless it was in the memory of a node that was stopped. */
#pragma once

#include "sim/sim.h"

struct keys;
struct random;

struct keys *keys_new(struct random *random, size_t nodes);
void keys_free(struct keys **keys);
/* Once, when the simulation is there; keys_dropped() is what it calls. */
void keys_attach(struct keys *keys, struct sim *sim);
void keys_dropped(void *keys, size_t node, uint16_t slot);
/* A node is stopped: what was in its memory is gone. */
void keys_lost(struct keys *keys, size_t node);

/* A client's write, to a node drawn by lot; it may be refused. */
void keys_write(struct keys *keys);
/* A step of the move that is under way, or the first of a new one. */
void keys_move(struct keys *keys);
/* The operator's last act, when all nodes are well: what was left open is closed, as `redis-cli --cluster fix` does it. */
void keys_fix(struct keys *keys);
bool keys_is_any_open(struct keys *keys);

/* What nodes do by themselves about slots that were left open for so long: a step of it, for a slot drawn by lot. */
void keys_go_on(struct keys *keys, int64_t idle_ms);
/* Now and then whoever moves a slot is killed in the middle. */
void keys_leave_move(struct keys *keys);
/* Now and then somebody closes one side of a slot that stands open and is not being worked on, wherever its key is. */
void keys_close_by_hand(struct keys *keys);
/* How often each of open.h's steps was decided on. */
#define KEYS_DECISIONS 7
uint64_t keys_decided(const struct keys *keys, unsigned step);
/* Before the first of these. */
void keys_seed_own(struct keys *keys, uint64_t seed);
/* A value that lies where nobody is served it. */
bool keys_is_any_lost(struct keys *keys);
/* NULL, or what is lost. */
const char *keys_check(struct keys *keys);
uint64_t keys_written(const struct keys *keys);
