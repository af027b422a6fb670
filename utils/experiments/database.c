/* utils/experiments/database.c */
#include "database.h"
#include "experiment.h"
#include "task.h"

#include <stdlib.h>

#define PAUSE_US 5000
#define LONG_PAUSE_US 150000
#define LONG_PAUSE_SHARE 0.01

void database_open(struct database *database, uint64_t rows)
{
    *database = (struct database){ .row_count = rows };
    database->rows = calloc(rows, sizeof *database->rows);
    if (database->rows == NULL) die("no memory");
    for (uint64_t i = 0; i < rows; i++) database->rows[i].version = 1;
}

void database_close(struct database *database)
{
    free(database->rows);
    database->rows = NULL;
}

uint64_t database_commit(struct database *database, uint64_t row)
{
    struct row *written = &database->rows[row];

    written->version++;
    written->committed_us[written->version % DATABASE_HISTORY] = now_us();
    return written->version;
}

/* The newest version that was committed by then. */
static uint64_t version_at(const struct row *row, uint64_t moment_us)
{
    uint64_t version = row->version;

    while (version > 1 && row->version - version < DATABASE_HISTORY - 1 &&
           row->committed_us[version % DATABASE_HISTORY] > moment_us)
        version--;
    return version;
}

uint64_t database_load(struct database *database, uint64_t row, bool from_primary)
{
    uint64_t version = database->rows[row].version;

    database->loads++;
    if (database->replica_lag_us > 0 && !from_primary)
        version = version_at(&database->rows[row], now_us() - (uint64_t)random_exponential(database->replica_lag_us));
    task_sleep_us(random_unit() < LONG_PAUSE_SHARE ? LONG_PAUSE_US : PAUSE_US);
    return version;
}
