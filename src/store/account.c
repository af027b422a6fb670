/* store/account.c
 *
 * What a thread keeps to itself is thread-local rather than in struct worker, because the store is written to by
 * threads of all kinds, at depths that know of no worker. */
#include "store/account.h"

#include <stddef.h>

_Thread_local struct account_kept account_kept;

void account_init(struct account *account)
{
    atomic_init(&account->bytes, 0);
    atomic_init(&account->keys, 0);
    atomic_init(&account->fold_bytes, ACCOUNT_FOLD_BYTES);
}

void account_settle(void)
{
    if (account_kept.account != NULL) {
        atomic_fetch_add_explicit(&account_kept.account->bytes, account_kept.bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&account_kept.account->keys, account_kept.keys, memory_order_relaxed);
    }
    account_kept = (struct account_kept){ NULL, 0, 0 };
}

int64_t account_bytes(const struct account *account)
{
    int64_t bytes = atomic_load_explicit(&account->bytes, memory_order_relaxed);

    return account_kept.account == account ? bytes + account_kept.bytes : bytes;
}
