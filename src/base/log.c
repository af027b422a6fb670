/* base/log.c
 *
 * A line is put together on the stack and written with one write(2) to a descriptor opened for appending, so lines of
 * several threads never mix and logging neither allocates nor locks. Changing the target must not close a descriptor that
 * another thread is just about to write to: the log file therefore keeps the descriptor number it first got for ever,
 * and what stands behind the number is exchanged with dup3(). */
#include "base/log.h"

#include "base/clock.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES_MAX 2048
#define LINE_BYTES_MAX (MESSAGE_BYTES_MAX + 128)

static struct {
    _Atomic int level;
    _Atomic int role;
    _Atomic int descriptor; /* standard output, or `file` */
    pthread_mutex_t lock;   /* of whoever changes the target */
    int file;               /* under lock; -1 before the first file */
    char path[PATH_MAX];    /* under lock; "" for standard output */
} logger = {
    .level = LOG_NOTICE,
    .role = 'M',
    .descriptor = STDOUT_FILENO,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .file = -1,
};

/* Lets the log's descriptor lead to what `opened` leads to, and closes that one. */
static bool take_over(int opened)
{
    bool done = true;

    if (logger.file < 0) {
        logger.file = opened;
    } else {
        done = dup3(opened, logger.file, O_CLOEXEC) >= 0;
        int error = errno;
        close(opened);
        errno = error;
    }
    if (done) atomic_store(&logger.descriptor, logger.file);
    return done;
}

/* Nobody else may read a log that we begin: it names clients, users and keys. One that is there keeps the mode it was given. */
static bool open_file(const char *path)
{
    int opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return opened >= 0 && take_over(opened);
}

bool log_open(const char *path)
{
    bool done = true;

    if (!path) path = "";
    if (strlen(path) >= sizeof(logger.path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    pthread_mutex_lock(&logger.lock);
    if (*path) {
        done = open_file(path);
    } else if (logger.file >= 0) {
        /* A thread that has already read the number of the file writes to standard output too. */
        done = dup3(STDOUT_FILENO, logger.file, O_CLOEXEC) >= 0;
        if (done) atomic_store(&logger.descriptor, STDOUT_FILENO);
    }
    if (done) memcpy(logger.path, path, strlen(path) + 1);
    int error = errno;
    pthread_mutex_unlock(&logger.lock);
    errno = error;
    return done;
}

bool log_reopen(void)
{
    bool done;

    pthread_mutex_lock(&logger.lock);
    done = logger.path[0] == '\0' || open_file(logger.path);
    int error = errno;
    pthread_mutex_unlock(&logger.lock);
    errno = error;
    return done;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&logger.level, (int)level, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&logger.level, memory_order_relaxed);
}

void log_set_role(char role)
{
    atomic_store_explicit(&logger.role, role, memory_order_relaxed);
}

int log_descriptor(void)
{
    return atomic_load(&logger.descriptor);
}

/* Copies a message with its control characters escaped, cut where there is no more room; returns its length. */
static size_t escape(char *out, size_t room, const char *message)
{
    size_t len = 0;

    for (; *message; message++) {
        unsigned char byte = (unsigned char)*message;
        char escaped[8];
        int width;

        if (byte == '\n')
            width = snprintf(escaped, sizeof(escaped), "\\n");
        else if (byte == '\r')
            width = snprintf(escaped, sizeof(escaped), "\\r");
        else if (byte == '\t')
            width = snprintf(escaped, sizeof(escaped), "\\t");
        else if (byte < 0x20 || byte == 0x7f)
            width = snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
        else
            width = 1, escaped[0] = *message;
        if (len + (size_t)width > room) break;
        memcpy(out + len, escaped, (size_t)width);
        len += (size_t)width;
    }
    return len;
}

static size_t write_head(char *line, size_t room, enum log_level level)
{
    static const char marks[] = { '.', '-', '*', '#' };
    int64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm calendar;
    char date[32];
    int len;

    localtime_r(&seconds, &calendar);
    strftime(date, sizeof(date), "%d %b %Y %H:%M:%S", &calendar);
    len = snprintf(line, room, "%d:%c %s.%03d %c ", (int)getpid(),
                   (char)atomic_load_explicit(&logger.role, memory_order_relaxed), date, (int)(now_us / 1000 % 1000),
                   marks[level]);
    return len < 0 ? 0 : (size_t)len;
}

void log_vat(enum log_level level, const char *format, va_list args)
{
    char message[MESSAGE_BYTES_MAX];
    char line[LINE_BYTES_MAX];
    size_t len;
    int error = errno;

    lock_assert_none_held();
    if (level < log_level()) return;
    if (vsnprintf(message, sizeof(message), format, args) < 0) return;
    len = write_head(line, sizeof(line), level);
    len += escape(line + len, sizeof(line) - len - 1, message);
    line[len++] = '\n';
    /* A log that cannot be written is no reason to stop, and there is no place to say so. */
    while (write(log_descriptor(), line, len) < 0 && errno == EINTR)
        ;
    errno = error;
}

void log_at(enum log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_vat(level, format, args);
    va_end(args);
}
