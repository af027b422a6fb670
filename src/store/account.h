/* store/account.h
 *
 * How much memory the data takes, summed up in one place without a place that every write would fight for: a thread keeps what
 * it added and freed to itself, and brings it to the shared sum once it is worth it. Whoever frees is charged, whoever
 * allocated. So the sum may be off by `fold_bytes` for each thread, and is exact once all have settled.
 *
 * (The slots' own counters are exact at any time; but there are 16384 of them.) */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define ACCOUNT_FOLD_BYTES (64 << 10)
#define ACCOUNT_FOLD_KEYS 64

struct account {
    _Alignas(64) _Atomic int64_t bytes, keys; /* what was brought here */
    _Alignas(64) _Atomic int64_t fold_bytes;  /* what a thread may keep to itself; read at every change */
};

void account_init(struct account *account);

/* Brings to its account what the calling thread keeps: now and then, before a thread ends, and before an account it was
 * charging goes away. */
void account_settle(void);

/* What the calling thread keeps; to be touched by account.c and the function below only. */
struct account_kept {
    struct account *account; /* whose; NULL at first */
    int64_t bytes, keys;
};
extern _Thread_local struct account_kept account_kept;

/* Every write does this, so it is inline and has one branch that is taken now and then, and one that never is. */
static inline void account_charge(struct account *account, int64_t bytes, int64_t keys)
{
    int64_t fold_bytes = atomic_load_explicit(&account->fold_bytes, memory_order_relaxed);

    if (__builtin_expect(account_kept.account != account, 0)) {
        account_settle();
        account_kept.account = account;
    }
    bytes = account_kept.bytes += bytes;
    keys = account_kept.keys += keys;
    /* The keys by themselves too: where a large entry goes for many small ones the bytes stay and the keys do not. */
    if (__builtin_expect(bytes + fold_bytes <= 0 || bytes >= fold_bytes || keys >= ACCOUNT_FOLD_KEYS ||
                             keys <= -ACCOUNT_FOLD_KEYS,
                         0))
        account_settle();
}

/* With what the calling thread keeps. */
int64_t account_bytes(const struct account *account);

/* Without. */
static inline int64_t account_keys(const struct account *account)
{
    return atomic_load_explicit(&account->keys, memory_order_relaxed);
}
