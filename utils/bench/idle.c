/* utils/bench/idle.c: a program that does nothing, with the libraries the node does it with: libev's loop, jemalloc behind malloc(), one
 * thread beside the main one. What an empty node takes beyond it is the node's own. */
#include <ev.h>
#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdlib.h>

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

static void *run(void *argument)
{
    struct ev_loop *loop = argument;
    struct ev_timer timer;

    ev_timer_init(&timer, on_tick, 1, 1);
    ev_timer_start(loop, &timer);
    ev_run(loop, 0);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    /* So that the linker keeps jemalloc, whatever it thinks of who calls malloc(). */
    void *memory = mallocx(64, 0);

    if (memory == NULL || pthread_create(&thread, NULL, run, ev_loop_new(EVFLAG_AUTO)) != 0) return 1;
    run(ev_default_loop(EVFLAG_AUTO));
    free(memory);
    return 0;
}
