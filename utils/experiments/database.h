/* utils/experiments/database.h
 *
 * The database behind the cache, simulated: rows that only have a version. A transaction reads one snapshot, taken when it begins; what
 * it read is known when the query has come back and the program that asked got on with it, which takes a while. Replicas follow
 * with a lag.
 *
 *     commit            v1 ---------- v2 ---------------- v3
 *     load()                  [snapshot: v1 ......pause......] returns v1 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DATABASE_HISTORY 1024u /* commits of a row that replicas can lag behind */

struct row {
    uint64_t version;                        /* of the newest commit; a row begins with 1 */
    uint64_t committed_us[DATABASE_HISTORY]; /* when version v was, at v modulo */
};

struct database {
    struct row *rows;
    uint64_t row_count;
    double replica_lag_us; /* mean of an exponential; 0: there are no replicas */
    uint64_t loads;        /* queries it answered */
};

void database_open(struct database *database, uint64_t rows);
void database_close(struct database *database);

/* Within a task. A new version of a row; returns it. */
uint64_t database_commit(struct database *database, uint64_t row);

/* Within a task. The version a loader has got when it goes on: 5 ms later, or, one time in a hundred, 150 ms. From a replica, where
 * there are any, unless the primary is asked for. */
uint64_t database_load(struct database *database, uint64_t row, bool from_primary);
