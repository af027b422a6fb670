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

void account_charge(struct account *account, int64_t bytes, int64_t keys);

/* Brings to its account what the calling thread keeps: now and then, before a thread ends, and before an account it was
 * charging goes away. */
void account_settle(void);

/* With what the calling thread keeps. */
int64_t account_bytes(const struct account *account);

/* Without. */
static inline int64_t account_keys(const struct account *account)
{
    return atomic_load_explicit(&account->keys, memory_order_relaxed);
}
