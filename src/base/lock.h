/* base/lock.h
 *
 * A lock of four bytes: a short spin, then a futex wait, so that a waiter never burns a whole turn
 * of the scheduler. Three states: free, held, held with waiters (Ulrich Drepper, "Futexes Are
 * Tricky", section 5). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
    _Atomic uint32_t state; /* 0 free, 1 held, 2 held and somebody waits */
};

void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);

/* Sanitizer builds count the locks that a thread holds, so that whatever calls on the system, or waits, can say that it holds none. */
#ifdef SANITIZED
extern _Thread_local int locks_held;
static inline void locks_count(int change)
{
    locks_held += change;
}
#else
static inline void locks_count(int change)
{
    (void)change;
}
#endif
/* Stops a sanitizer build where this thread holds a lock; nothing in a release. */
void lock_assert_none_held(void);

static inline bool lock_try(struct lock *lock)
{
    uint32_t free_state = 0;
    bool taken = atomic_compare_exchange_strong_explicit(&lock->state, &free_state, 1, memory_order_acquire,
                                                         memory_order_relaxed);

    if (taken) locks_count(1);
    return taken;
}

static inline void lock_take(struct lock *lock)
{
    if (!lock_try(lock)) lock_wait(lock);
}

static inline void lock_release(struct lock *lock)
{
    locks_count(-1);
    if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2) lock_wake(lock);
}

static inline bool lock_is_held(const struct lock *lock)
{
    return atomic_load_explicit(&lock->state, memory_order_relaxed) != 0;
}
