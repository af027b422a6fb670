/* base/log.h
 *
 * One event, one line, subject first. Lines go to standard output or the log file, in the form
 * `PID:ROLE DD Mon YYYY HH:MM:SS.mmm LEVEL message` with level . - * # for debug, verbose, notice,
 * warning. Control characters in a message are escaped, so no text from outside can forge a line.
 * Each line is one write(2); any thread may log, but never under a slot's lock. */
#pragma once

#include <stdbool.h>
#include <stdarg.h>

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING };

/* The file, or NULL or "" for standard output. False, errno set, where it cannot be opened; the
 * former target then stays. */
bool log_open(const char *path);

/* Opens the same file again, after somebody has moved it away. */
bool log_reopen(void);

void log_set_level(enum log_level level);
enum log_level log_level(void);

/* 'M' primary, 'S' replica, 'C' child. */
void log_set_role(char role);

void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_vat(enum log_level level, const char *format, va_list args);

/* The descriptor lines go to: for the crash report, which may not allocate. */
int log_descriptor(void);

#define log_debug(...) (log_level() <= LOG_DEBUG ? log_at(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_verbose(...) (log_level() <= LOG_VERBOSE ? log_at(LOG_VERBOSE, __VA_ARGS__) : (void)0)
#define log_notice(...) log_at(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
