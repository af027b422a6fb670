/* store/graveyard.h
 *
 * Whole tables that were taken out of their slots, each in O(1) under its slot's lock. Freeing what is in them takes long and
 * needs no lock: nobody else can reach it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct graveyard;
struct table;

/* With room for so many tables; it never grows, so that adding one under a lock allocates nothing. */
struct graveyard *graveyard_new(size_t tables_max);
/* Frees what is left in it, too. */
void graveyard_free(struct graveyard **graveyard);

/* Takes all of a table, which is empty afterwards. */
void graveyard_add(struct graveyard *graveyard, struct table *table, uint64_t entries);

/* How many entries were put into it. */
uint64_t graveyard_entries(const struct graveyard *graveyard);

/* Frees about `budget` entries; false when nothing is left. */
bool graveyard_free_some(struct graveyard *graveyard, size_t budget);
