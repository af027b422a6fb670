/* utils/experiments/task.c: stacks that take turns (ucontext), a heap of times, one epoll. */
#include "task.h"
#include "conn.h"
#include "experiment.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_BYTES (64u * 1024)
#define EVENTS_MAX 256

struct task {
    ucontext_t context;
    void (*body)(void *context);
    void *argument;
    char *stack;
    uint64_t wakes_at_us;
    struct task *next; /* ready, or free */
};

static ucontext_t scheduler;
static struct task *current, *ready, **ready_end = &ready, *unused;
static size_t living;
static int poller = -1;

/* Sleepers: a binary heap, the earliest first. */
static struct task **sleepers;
static size_t sleeper_count, sleeper_room;

static struct conn *to_flush;

static void become_ready(struct task *task)
{
    task->next = NULL;
    *ready_end = task;
    ready_end = &task->next;
}

static void heap_put(struct task *task)
{
    size_t at = sleeper_count++;

    if (sleeper_count > sleeper_room) {
        sleeper_room = sleeper_room * 2 + 64;
        sleepers = realloc(sleepers, sleeper_room * sizeof(struct task *));
        if (sleepers == NULL) die("no memory");
    }
    for (; at > 0 && sleepers[(at - 1) / 2]->wakes_at_us > task->wakes_at_us; at = (at - 1) / 2)
        sleepers[at] = sleepers[(at - 1) / 2];
    sleepers[at] = task;
}

static struct task *heap_take(void)
{
    struct task *first = sleepers[0], *last = sleepers[--sleeper_count];
    size_t at = 0;

    for (size_t child = 1; child < sleeper_count; child = at * 2 + 1) {
        if (child + 1 < sleeper_count && sleepers[child + 1]->wakes_at_us < sleepers[child]->wakes_at_us) child++;
        if (sleepers[child]->wakes_at_us >= last->wakes_at_us) break;
        sleepers[at] = sleepers[child];
        at = child;
    }
    if (sleeper_count > 0) sleepers[at] = last;
    return first;
}

static void task_main(void)
{
    for (;;) {
        current->body(current->argument);
        current->body = NULL;
        swapcontext(&current->context, &scheduler); /* the stack may serve another */
    }
}

static struct task *new_task(void)
{
    struct task *const task = calloc(1, sizeof *task);

    if (task == NULL) die("no memory");
    task->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (task->stack == MAP_FAILED) die("no memory for a stack");
    getcontext(&task->context);
    task->context.uc_stack.ss_sp = task->stack;
    task->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&task->context, task_main, 0);
    return task;
}

/* The one that ended last: its stack is warm. */
static struct task *take_unused(void)
{
    struct task *task = unused;

    if (task != NULL) unused = task->next;
    return task;
}

void task_start(void (*body)(void *context), void *context)
{
    struct task *task = unused != NULL ? take_unused() : new_task();

    task->body = body;
    task->argument = context;
    living++;
    become_ready(task);
}

struct task *task_current(void)
{
    return current;
}

void task_wait(void)
{
    struct task *self = current;

    swapcontext(&self->context, &scheduler);
}

void task_wake(struct task *task)
{
    become_ready(task);
}

void task_sleep_us(uint64_t us)
{
    current->wakes_at_us = now_us() + us;
    heap_put(current);
    task_wait();
}

int tasks_poller(void)
{
    if (poller < 0 && (poller = epoll_create1(EPOLL_CLOEXEC)) < 0) die("no epoll");
    return poller;
}

void tasks_forget(void)
{
    poller = -1;
    to_flush = NULL;
}

void tasks_flush_later(struct conn *conn)
{
    conn->next_to_flush = to_flush;
    to_flush = conn;
}

static void flush_all(void)
{
    while (to_flush != NULL) {
        struct conn *conn = to_flush;

        to_flush = conn->next_to_flush;
        conn_flush(conn);
    }
}

static void run_ready(void)
{
    struct task *task = ready;

    /* Those that become ready meanwhile have their turn after what was written has been sent. */
    ready = NULL;
    ready_end = &ready;
    while (task != NULL) {
        struct task *next = task->next;

        current = task;
        swapcontext(&scheduler, &task->context);
        if (task->body == NULL) {
            task->next = unused;
            unused = task;
            living--;
        }
        task = next;
    }
    current = NULL;
}

static void wait_for_events(void)
{
    struct epoll_event events[EVENTS_MAX];
    int timeout_ms = -1, count;
    uint64_t now = now_us();

    if (ready != NULL) {
        timeout_ms = 0;
    } else if (sleeper_count > 0) {
        uint64_t first = sleepers[0]->wakes_at_us;

        timeout_ms = first <= now ? 0 : (int)((first - now + 999) / 1000);
    }
    count = epoll_wait(tasks_poller(), events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) conn_ready(events[i].data.ptr, events[i].events);
    now = now_us();
    while (sleeper_count > 0 && sleepers[0]->wakes_at_us <= now) become_ready(heap_take());
}

void tasks_run(void)
{
    while (living > 0) {
        run_ready();
        flush_all();
        if (living > 0) wait_for_events();
    }
}
