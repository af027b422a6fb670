/* store/account.c
 *
 * What a thread keeps to itself is thread-local rather than in struct worker, because the store is written to by
 * threads of all kinds, at depths that know of no worker. */
#include "store/account.h"

#include <stddef.h>

struct kept {
    struct account *account; /* whose; NULL at first */
    int64_t bytes, keys;
};

static _Thread_local struct kept kept;

void account_init(struct account *account)
{
    atomic_init(&account->bytes, 0);
    atomic_init(&account->keys, 0);
    atomic_init(&account->fold_bytes, ACCOUNT_FOLD_BYTES);
}

void account_settle(void)
{
    if (kept.account != NULL) {
        atomic_fetch_add_explicit(&kept.account->bytes, kept.bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&kept.account->keys, kept.keys, memory_order_relaxed);
    }
    kept = (struct kept){ NULL, 0, 0 };
}

void account_charge(struct account *account, int64_t bytes, int64_t keys)
{
    int64_t fold_bytes = atomic_load_explicit(&account->fold_bytes, memory_order_relaxed);

    if (kept.account != account) {
        account_settle();
        kept.account = account;
    }
    kept.bytes += bytes;
    kept.keys += keys;
    /* The keys by themselves too: where a large entry goes for many small ones the bytes stay and the keys do not. */
    if (kept.bytes >= fold_bytes || kept.bytes <= -fold_bytes || kept.keys >= ACCOUNT_FOLD_KEYS ||
        kept.keys <= -ACCOUNT_FOLD_KEYS)
        account_settle();
}

int64_t account_bytes(const struct account *account)
{
    int64_t bytes = atomic_load_explicit(&account->bytes, memory_order_relaxed);

    return kept.account == account ? bytes + kept.bytes : bytes;
}
