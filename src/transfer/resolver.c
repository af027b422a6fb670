#include "transfer/resolver.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/list.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define THREADS_MAX 16
/* A wait looks so often whether the node is about to end. */
#define SLICE_MS 50

struct resolver {
    pthread_mutex_t guard; /* for all below, and for questions */
    pthread_cond_t changed;
    struct list open; /* questions that a thread asks the system */
    unsigned asking;  /* how many they are */
    bool is_given_up; /* by its owner: who asks last frees it */
};

struct question {
    struct list link; /* among the open ones */
    struct resolver *resolver;
    char host[RESOLVER_TEXT_BYTES], address[RESOLVER_TEXT_BYTES];
    bool is_answered, is_known;
    unsigned holders; /* who waits for the answer, and the thread until it has one: the last frees it */
};

struct resolver *resolver_new(void)
{
    struct resolver *resolver = alloc_zeroed(sizeof(*resolver));
    pthread_condattr_t attributes;

    list_init(&resolver->open);
    pthread_mutex_init(&resolver->guard, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&resolver->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return resolver;
}

static void end(struct resolver *resolver)
{
    pthread_cond_destroy(&resolver->changed);
    pthread_mutex_destroy(&resolver->guard);
    alloc_free(resolver);
}

void resolver_free(struct resolver **held)
{
    struct resolver *resolver = *held;
    bool is_last;

    *held = NULL;
    if (resolver == NULL) return;
    pthread_mutex_lock(&resolver->guard);
    resolver->is_given_up = true;
    is_last = resolver->asking == 0;
    pthread_mutex_unlock(&resolver->guard);
    if (is_last) end(resolver);
}

/* Asks the system: for an address that is written as one, which is known at once, or for any. */
static bool look_up(const char *host, int family, int flags, char address[RESOLVER_TEXT_BYTES])
{
    const struct addrinfo wanted = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags };
    struct addrinfo *found;
    bool is_known;

    if (getaddrinfo(host, NULL, &wanted, &found) != 0) return false;
    is_known =
        getnameinfo(found->ai_addr, found->ai_addrlen, address, RESOLVER_TEXT_BYTES, NULL, 0, NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
    return is_known;
}

/* With the guard held. */
static void let_go(struct question *question)
{
    if (--question->holders == 0) alloc_free(question);
}

/* With the guard held. The system has answered, or nobody will ask it. */
static void answer(struct question *question, const char *address)
{
    question->resolver->asking--;
    list_remove(&question->link);
    question->is_answered = true;
    question->is_known = address != NULL;
    if (address != NULL) memcpy(question->address, address, sizeof(question->address));
    pthread_cond_broadcast(&question->resolver->changed);
    let_go(question);
}

static void *ask_system(void *argument)
{
    struct question *question = argument;
    struct resolver *resolver = question->resolver;
    char address[RESOLVER_TEXT_BYTES] = "";
    bool is_known = look_up(question->host, AF_INET, 0, address) || look_up(question->host, AF_INET6, 0, address);
    bool is_last;

    pthread_mutex_lock(&resolver->guard);
    answer(question, is_known ? address : NULL);
    is_last = resolver->is_given_up && resolver->asking == 0;
    pthread_mutex_unlock(&resolver->guard);
    if (is_last) end(resolver);
    return NULL;
}

/* With the guard held, which it gives back meanwhile: waits a little. False when the time is over. */
static bool wait_for_change(struct resolver *resolver, int64_t until_ms, const _Atomic bool *ending)
{
    int64_t left_ms = until_ms - clock_monotonic_ms(), slice_ms = left_ms < SLICE_MS ? left_ms : SLICE_MS;
    struct timespec slice;

    if (left_ms <= 0 || atomic_load_explicit(ending, memory_order_relaxed)) return false;
    clock_gettime(CLOCK_MONOTONIC, &slice);
    slice.tv_nsec += slice_ms * 1000000;
    slice.tv_sec += slice.tv_nsec / 1000000000;
    slice.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&resolver->changed, &resolver->guard, &slice);
    return true;
}

static bool start_thread(struct question *question)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool started;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    started = pthread_create(&thread, &attributes, ask_system, question) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

/* With the guard held. Lets the question go. */
static bool wait_for_answer(struct question *question, int64_t until_ms, const _Atomic bool *ending,
                            char address[RESOLVER_TEXT_BYTES])
{
    struct resolver *resolver = question->resolver;
    bool is_known;

    while (!question->is_answered && wait_for_change(resolver, until_ms, ending)) {
    }
    is_known = question->is_answered && question->is_known;
    if (is_known) memcpy(address, question->address, RESOLVER_TEXT_BYTES);
    let_go(question);
    return is_known;
}

/* With the guard held: the question about a host that is open, held for one more; or NULL. */
static struct question *join(struct resolver *resolver, const char *host)
{
    list_each(at, &resolver->open) {
        struct question *question = container_of(at, struct question, link);

        if (strcmp(question->host, host) != 0) continue;
        question->holders++;
        return question;
    }
    return NULL;
}

/* With the guard held, which it gives back meanwhile. Others may join it by then, so that there is no thread for it is an answer, too. */
static struct question *begin(struct resolver *resolver, const char *host)
{
    struct question *question = alloc_zeroed(sizeof(*question));
    bool started;

    question->resolver = resolver;
    question->holders = 2;
    snprintf(question->host, sizeof(question->host), "%s", host);
    list_append(&resolver->open, &question->link);
    resolver->asking++;
    pthread_mutex_unlock(&resolver->guard);
    started = start_thread(question);
    pthread_mutex_lock(&resolver->guard);
    if (!started) answer(question, NULL);
    return question;
}

bool resolver_ask(struct resolver *resolver, struct bytes host, int64_t until_ms, const _Atomic bool *ending,
                  char address[RESOLVER_TEXT_BYTES])
{
    struct question *question;
    char text[RESOLVER_TEXT_BYTES];
    bool is_known = false;

    if (host.len == 0 || host.len >= sizeof(text) || memchr(host.data, '\0', host.len) != NULL) return false;
    snprintf(text, sizeof(text), "%.*s", (int)host.len, host.data);
    if (look_up(text, AF_UNSPEC, AI_NUMERICHOST, address)) return true;
    pthread_mutex_lock(&resolver->guard);
    while ((question = join(resolver, text)) == NULL && resolver->asking >= THREADS_MAX)
        if (!wait_for_change(resolver, until_ms, ending)) break;
    if (question == NULL && resolver->asking < THREADS_MAX) question = begin(resolver, text);
    if (question != NULL) is_known = wait_for_answer(question, until_ms, ending, address);
    pthread_mutex_unlock(&resolver->guard);
    return is_known;
}
