/* base/lock.c
 *
 * What lock.h leaves for the contended case. A slot's lock is held for less than a microsecond, so a waiter first looks
 * again a few times, about as long as a futex call costs; whoever still has to wait sleeps in the kernel. */
#include "base/lock.h"

#include <assert.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS_MAX 64

_Static_assert(sizeof(struct lock) == 4, "the kernel waits on four bytes");

#ifdef SANITIZED
_Thread_local int locks_held;
#endif

void lock_assert_none_held(void)
{
#ifdef SANITIZED
    assert(locks_held == 0);
#endif
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void lock_wait(struct lock *lock)
{
    for (int spins = 0; spins < SPINS_MAX; spins++) {
        if (!lock_is_held(lock) && lock_try(lock)) return;
        pause_briefly();
    }
    /* Who has slept takes the lock as "somebody waits", for it cannot know that it was the last sleeper. At worst one
     * wake is for nobody. */
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    locks_count(1);
}

void lock_wake(struct lock *lock)
{
    syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
