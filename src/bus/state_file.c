/* bus/state_file.c: see the header. All names are resolved in the folder's descriptor, so a later chdir() changes nothing. */
#include "bus/state_file.h"

#include "base/alloc.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONTENT_BYTES_MAX (64u << 20)
#define RETRY_SECONDS 1

struct state_file {
    char *path; /* as the user named it, for messages */
    char *name, *temporary, *old, *old_temporary, *lock_name, *damaged;
    int folder, lock; /* descriptors */
    bool keep_former; /* false while the file on disk is a damaged one: the mover's, set before it starts */
    bool warned;      /* the mover's */
    bool started;
    void (*checkpoint)(int step);
    void (*saved)(void *context);
    void *context;

    pthread_t mover;
    pthread_mutex_t guard; /* for all below */
    pthread_cond_t asked, finished;
    struct buf pending;
    bool has_pending, ending;
    uint64_t next_ticket, pending_ticket, pending_sequence;
    struct state_done done;
};

static char *joined(const char *name, const char *suffix)
{
    struct buf text = { 0 };

    buf_append_text(&text, name);
    buf_append_text(&text, suffix);
    buf_append_byte(&text, '\0');
    return text.data;
}

static bool open_folder(struct state_file *file, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder;

    if (slash == NULL) {
        file->name = alloc_text(path);
        file->folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return file->folder >= 0;
    }
    file->name = alloc_text(slash + 1);
    folder = alloc_text(path);
    folder[slash == path ? 1 : slash - path] = '\0';
    file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    alloc_free(folder);
    return file->folder >= 0;
}

static void discard(struct state_file *file)
{
    int saved_errno = errno;

    /* The lock's file stays: removing it would let two nodes lock two files of one name. */
    if (file->lock >= 0) close(file->lock);
    if (file->folder >= 0) close(file->folder);
    alloc_free(file->path);
    alloc_free(file->name);
    alloc_free(file->temporary);
    alloc_free(file->old);
    alloc_free(file->old_temporary);
    alloc_free(file->lock_name);
    alloc_free(file->damaged);
    buf_free(&file->pending);
    alloc_free(file);
    errno = saved_errno;
}

struct state_file *state_file_open(const char *path, char error[512])
{
    struct state_file *file = alloc_zeroed(sizeof *file);
    pthread_condattr_t monotonic;

    file->path = alloc_text(path);
    file->folder = file->lock = -1;
    file->keep_former = true;
    if (!open_folder(file, path)) {
        snprintf(error, 512, "Can't open the folder of the cluster state file %.300s: %s", path, strerror(errno));
        discard(file);
        return NULL;
    }
    if (file->name[0] == '\0') {
        snprintf(error, 512, "The cluster state file %.300s names a folder, not a file", path);
        discard(file);
        return NULL;
    }
    file->temporary = joined(file->name, ".tmp");
    file->old = joined(file->name, ".old");
    file->old_temporary = joined(file->name, ".old.tmp");
    file->lock_name = joined(file->name, ".lock");
    file->damaged = joined(file->name, ".damaged");

    file->lock = openat(file->folder, file->lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->lock < 0) {
        snprintf(error, 512, "Can't create %.300s.lock beside the cluster state file: %s", path, strerror(errno));
        discard(file);
        return NULL;
    }
    if (flock(file->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            snprintf(error, 512,
                     "The cluster state file %.300s is already used by another node of this machine. Give each node a "
                     "cluster-config-file, or a dir, of its own.",
                     path);
        else
            snprintf(error, 512, "Can't lock %.300s.lock: %s", path, strerror(errno));
        discard(file);
        return NULL;
    }
    pthread_mutex_init(&file->guard, NULL);
    /* Somebody who sets the clock back must not put the next attempt off. */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&file->asked, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&file->finished, NULL);
    return file;
}

/* --- Loading --- */

enum content_found { CONTENT_NONE, CONTENT_GOOD, CONTENT_BAD };

static bool read_whole(int fd, struct buf *content, char reason[256])
{
    for (;;) {
        ssize_t got = read(fd, buf_reserve(content, 64 << 10), 64 << 10);

        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            snprintf(reason, 256, "%s", strerror(errno));
            return false;
        }
        if (got == 0) return true;
        buf_added(content, (size_t)got);
        if (content->len > CONTENT_BYTES_MAX) {
            snprintf(reason, 256, "it is larger than any state file can be");
            return false;
        }
    }
}

static enum content_found offer(struct state_file *file, const char *name,
                                bool (*accept)(void *context, struct bytes content, char reason[256]), void *context,
                                char reason[256])
{
    int fd = openat(file->folder, name, O_RDONLY | O_CLOEXEC);
    enum content_found found = CONTENT_BAD;
    struct buf content = { 0 };

    reason[0] = '\0';
    if (fd < 0) {
        if (errno == ENOENT) return CONTENT_NONE;
        snprintf(reason, 256, "%s", strerror(errno));
        return CONTENT_BAD;
    }
    if (read_whole(fd, &content, reason)) {
        if (content.len == 0)
            snprintf(reason, 256, "it is empty");
        else if (accept(context, buf_bytes(&content), reason))
            found = CONTENT_GOOD;
    }
    close(fd);
    buf_free(&content);
    return found;
}

static bool exists_and_is_empty(struct state_file *file, const char *name)
{
    struct stat info;

    return fstatat(file->folder, name, &info, 0) == 0 && S_ISREG(info.st_mode) && info.st_size == 0;
}

enum state_found state_file_load(struct state_file *file,
                                 bool (*accept)(void *context, struct bytes content, char reason[256]), void *context,
                                 char error[512])
{
    char reason[256], former_reason[256];

    error[0] = '\0';
    switch (offer(file, file->name, accept, context, reason)) {
    case CONTENT_GOOD:
        return STATE_CURRENT;
    case CONTENT_NONE:
        /* A save never leaves the name empty, so somebody removed the file: a new node is meant, whatever .old says. */
        return STATE_NONE;
    case CONTENT_BAD:
        break;
    }
    switch (offer(file, file->old, accept, context, former_reason)) {
    case CONTENT_GOOD:
        snprintf(error, 512,
                 "The cluster state file %.150s is damaged (%.100s): using the generation before it, %.150s.old",
                 file->path, reason, file->path);
        /* The next save must not put the damaged content in place of the good former one. */
        file->keep_former = false;
        unlinkat(file->folder, file->damaged, 0);
        (void)linkat(file->folder, file->name, file->folder, file->damaged, 0);
        return STATE_FORMER;
    case CONTENT_NONE:
        /* An empty file that never had a predecessor was made by a script, not by us. */
        if (exists_and_is_empty(file, file->name)) return STATE_NONE;
        snprintf(former_reason, sizeof former_reason, "there is none");
        break;
    case CONTENT_BAD:
        break;
    }
    snprintf(error, 512,
             "The cluster state file %.100s is damaged (%.60s), and so is its former generation %.100s.old (%.60s). "
             "Restore one of "
             "them, or remove both to start as a new node.",
             file->path, reason, file->path, former_reason);
    return STATE_REFUSED;
}

/* --- Saving, on the mover's thread --- */

static void step_done(struct state_file *file, int step)
{
    if (file->checkpoint != NULL) file->checkpoint(step);
}

static bool write_whole(int fd, struct bytes content)
{
    while (content.len > 0) {
        ssize_t wrote = write(fd, content.data, content.len);

        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return false;
        content.data += wrote;
        content.len -= (size_t)wrote;
    }
    return true;
}

/* 0, or errno. */
static int write_generation(struct state_file *file, struct bytes content)
{
    int fd = openat(file->folder, file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failed;

    if (fd < 0) return errno;
    step_done(file, 0);
    if (!write_whole(fd, content) || (step_done(file, 1), fsync(fd) != 0)) {
        failed = errno;
        close(fd);
        unlinkat(file->folder, file->temporary, 0);
        return failed;
    }
    close(fd);
    step_done(file, 2);
    if (file->keep_former) {
        /* By a second name and a rename, so that .old too is always whole. A file system without hard links goes without it. */
        unlinkat(file->folder, file->old_temporary, 0);
        if (linkat(file->folder, file->name, file->folder, file->old_temporary, 0) == 0) {
            if (renameat(file->folder, file->old_temporary, file->folder, file->old) != 0)
                unlinkat(file->folder, file->old_temporary, 0);
        }
    }
    step_done(file, 3);
    if (renameat(file->folder, file->temporary, file->folder, file->name) != 0) {
        failed = errno;
        unlinkat(file->folder, file->temporary, 0);
        return failed;
    }
    step_done(file, 4);
    /* The name points to the new content now: the next save keeps it as the former. */
    file->keep_former = true;
    if (fsync(file->folder) != 0) return errno;
    step_done(file, 5);
    return 0;
}

static void note_result(struct state_file *file, int failed, uint64_t failures)
{
    if (failed != 0 && !file->warned) {
        file->warned = true;
        log_warning("state file %s: not saved: %s; the node goes on and tries again each second", file->path,
                    strerror(failed));
    } else if (failed == 0 && file->warned) {
        file->warned = false;
        log_notice("state file %s: saved again, %llu attempts had failed so far", file->path,
                   (unsigned long long)failures);
    }
}

static void *mover(void *argument)
{
    struct state_file *file = argument;

    alloc_begin_thread();
    pthread_mutex_lock(&file->guard);
    for (;;) {
        struct buf content;
        uint64_t ticket, sequence, failures;
        int failed;

        while (!file->has_pending && !file->ending) pthread_cond_wait(&file->asked, &file->guard);
        if (!file->has_pending) break;
        content = file->pending;
        file->pending = (struct buf){ 0 };
        file->has_pending = false;
        ticket = file->pending_ticket;
        sequence = file->pending_sequence;
        pthread_mutex_unlock(&file->guard);

        failed = write_generation(file, buf_bytes(&content));

        pthread_mutex_lock(&file->guard);
        file->done.tried = ticket;
        file->done.tried_sequence = sequence;
        file->done.error = failed;
        if (failed == 0) {
            file->done.durable = ticket;
            file->done.durable_sequence = sequence;
        } else {
            file->done.failures++;
        }
        failures = file->done.failures;
        pthread_cond_broadcast(&file->finished);
        pthread_mutex_unlock(&file->guard);

        note_result(file, failed, failures);
        if (file->saved != NULL) file->saved(file->context);

        pthread_mutex_lock(&file->guard);
        if (failed != 0 && !file->ending) {
            struct timespec until;

            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += RETRY_SECONDS;
            while (!file->ending && pthread_cond_timedwait(&file->asked, &file->guard, &until) != ETIMEDOUT) {
            }
            /* Unless something newer came, the same content is tried again. */
            if (!file->has_pending && !file->ending) {
                file->pending = content;
                content = (struct buf){ 0 };
                file->has_pending = true;
            }
        }
        buf_free(&content);
    }
    pthread_mutex_unlock(&file->guard);
    return NULL;
}

void state_file_start(struct state_file *file, void (*saved)(void *context), void *context)
{
    sigset_t all, before;

    file->saved = saved;
    file->context = context;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    file->started = pthread_create(&file->mover, NULL, mover, file) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!file->started) log_warning("state file %s: no thread to save it with", file->path);
}

uint64_t state_file_submit(struct state_file *file, struct buf *content, uint64_t sequence)
{
    uint64_t ticket;

    pthread_mutex_lock(&file->guard);
    buf_free(&file->pending);
    file->pending = *content;
    *content = (struct buf){ 0 };
    file->has_pending = true;
    ticket = file->pending_ticket = ++file->next_ticket;
    if (sequence > file->pending_sequence) file->pending_sequence = sequence;
    pthread_cond_signal(&file->asked);
    pthread_mutex_unlock(&file->guard);
    return ticket;
}

struct state_done state_file_done(struct state_file *file)
{
    struct state_done done;

    pthread_mutex_lock(&file->guard);
    done = file->done;
    pthread_mutex_unlock(&file->guard);
    return done;
}

bool state_file_wait(struct state_file *file, uint64_t ticket)
{
    int failed = 0;

    pthread_mutex_lock(&file->guard);
    while (file->started && file->done.tried < ticket) pthread_cond_wait(&file->finished, &file->guard);
    if (file->done.durable < ticket) failed = file->done.error != 0 ? file->done.error : EIO;
    pthread_mutex_unlock(&file->guard);
    errno = failed;
    return failed == 0;
}

void state_file_close(struct state_file **file_pointer)
{
    struct state_file *file = *file_pointer;

    *file_pointer = NULL;
    if (file == NULL) return;
    if (file->started) {
        pthread_mutex_lock(&file->guard);
        file->ending = true;
        pthread_cond_signal(&file->asked);
        pthread_mutex_unlock(&file->guard);
        pthread_join(file->mover, NULL);
    }
    pthread_cond_destroy(&file->finished);
    pthread_cond_destroy(&file->asked);
    pthread_mutex_destroy(&file->guard);
    discard(file);
}

void state_file_set_checkpoint(struct state_file *file, void (*checkpoint)(int step))
{
    file->checkpoint = checkpoint;
}
