/* tests/unit/stops.h
 *
 * For what must stop the process: it is done in a child, and what that says last is looked at. */
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* True where act() ends its process and one of the words is in what was said; false where it comes back. */
static inline bool stops_saying(void (*act)(void), const char *words, const char *or_words)
{
    const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
    char said[8192] = "";
    size_t len = 0;
    ssize_t got;
    int ends[2], status;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    child = fork();
    if (child == 0) {
        for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) signal(signals[i], SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    close(ends[1]);
    while (len < sizeof(said) - 1 && (got = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0) len += (size_t)got;
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return false;
    return strstr(said, words) != NULL || strstr(said, or_words) != NULL;
}

/* No allocation is so large: ours stops with a line, a sanitizer's with a report. */
static inline bool stops_for_memory(void (*act)(void))
{
    return stops_saying(act, "memory: the system has no", "exceeds maximum supported size");
}
