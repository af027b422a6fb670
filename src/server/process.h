/* server/process.h
 *
 * The process as the system sees it: in the background or supervised, its pid file, its limits, its end by a crash. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Goes into the background. Before any loop or thread: neither would come along. The parent exits. */
void process_daemonize(void);

/* Writes the pid, into a file that only its owner may read where it is a new one; false with errno. */
bool process_write_pid(const char *path);

/* What ps shows instead of the command line. Once, before other threads: it takes the room of the arguments and the environment, whose
 * strings move. What does not fit there is cut. */
void process_set_title(char **argv, const char *title);

/* Tells systemd, where it asked to be told: "READY=1", "STOPPING=1". */
bool process_notify_systemd(const char *state);
/* Tells upstart by stopping, until it sends SIGCONT. */
void process_notify_upstart(void);

/* Raises the limit of open files to what `clients` and `others` need. Returns how many clients fit, at least 1. */
int64_t process_allow_clients(int64_t clients, int64_t others);

/* Reports a crash (signal, address, stack, build id) into the log, then lets the signal do its work. */
void process_report_crashes(void);
/* The build id of this executable in hex, or "". */
const char *process_build_id(void);

/* Keeps transparent huge pages away. */
void process_disable_huge_pages(void);

/* Who listens on a TCP port of this machine, as "redis-server, pid 123"; false where that cannot be found. */
bool process_holding_port(uint16_t port, char *out, size_t size);
