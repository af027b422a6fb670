/* utils/experiments/experiment.h
 *
 * What all experiments share. An experiment runs one script against this node and, as the baseline, against redis-server with plain
 * GET, SET and DEL, and tells what it found: a figure, what it ought to be, and what the baseline's was.
 *
 *     task.h        clients as straight-line code, thousands of them in one thread
 *     conn.h        a connection that tasks ask over
 *     server.h      a server of either kind on a free port, which ends with us
 *     database.h    the database behind the cache: rows with versions, replicas that lag, loaders that pause
 *
 * There are two kinds of findings. CONTENT holds on any machine, however slow (no read was stale, a row was loaded once); one that does
 * not hold makes the program fail. SPEED is what this machine reached; it is told and judged, and never fails. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct settings {
    const char *ours, *baseline; /* paths of the servers */
    bool is_short;               /* a minute or two for all of them rather than an hour */
    uint64_t seed;
};

struct experiment {
    const char *name, *title;
    void (*run)(const struct settings *settings);
};

extern const struct experiment experiment_staleness, experiment_guard, experiment_moves, experiment_stampede,
    experiment_coalesce, experiment_refresh, experiment_jitter, experiment_backstop, experiment_sweep, experiment_hot,
    experiment_hotread, experiment_overhead;
extern const struct experiment experiment_saltsum;
extern const struct experiment experiment_saltload, experiment_saltwrites, experiment_saltnames;

/* --- What was found --- */
enum finding { CONTENT, SPEED };

/* Texts of a finding: text("%u of %u", ...). Good until the program ends. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line of the report. The baseline is "" where there is none. */
void found(enum finding kind, const char *id, const char *what, const char *figure, const char *target,
           const char *baseline, bool holds);
/* A line of the report that nothing is judged by, such as what this machine cannot measure. */
void told(const char *id, const char *what, const char *figure, const char *target, const char *baseline);
/* A line that only informs, on standard error. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For what must not happen to an experiment itself, such as a server that does not start. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* --- Time --- */
uint64_t now_us(void);      /* monotonic */
uint64_t unix_now_ms(void); /* the clock that deadlines are told in */

/* --- Chance: one sequence for the whole program, so that a seed is a run (as far as timing allows) --- */
void random_seed(uint64_t seed);
uint64_t random_next(void);
uint64_t random_below(uint64_t limit);
double random_unit(void); /* from 0 to below 1 */
double random_exponential(double mean);

/* The value that a share of the sorted values (0.5: the median, 0.99) is not above. Sorts them. */
uint64_t percentile(uint64_t *values, size_t count, double share);
