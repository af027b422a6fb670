/* net/bare.h
 *
 * recv() and send() without what the C library puts around them: there they are points where a thread may be cancelled, which in a process
 * of several threads takes locked instructions before and behind each. Nobody cancels ours. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* As recv() without flags. */
ssize_t bare_recv(int fd, void *into, size_t room);
/* As send() with MSG_NOSIGNAL. */
ssize_t bare_send(int fd, const void *data, size_t len);
