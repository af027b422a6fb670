/* The sum is right once all have settled, and never off by more than each thread may keep. */
#include "store/account.h"
#include "unit/unit.h"

#include <pthread.h>

#define THREADS 4
#define CHARGES 20000

static int64_t brought(struct account *account)
{
    return atomic_load(&account->bytes);
}

TEST(what_a_thread_keeps_is_bounded)
{
    struct account account;

    account_init(&account);
    account_charge(&account, ACCOUNT_FOLD_BYTES - 1, 1);
    CHECK(brought(&account) == 0 && account_bytes(&account) == ACCOUNT_FOLD_BYTES - 1);
    account_charge(&account, 1, 1);
    CHECK(brought(&account) == ACCOUNT_FOLD_BYTES && account_keys(&account) == 2);
    account_charge(&account, -ACCOUNT_FOLD_BYTES + 1, 0);
    CHECK(brought(&account) == ACCOUNT_FOLD_BYTES);
    account_charge(&account, -1, 0);
    CHECK(brought(&account) == 0 && account_bytes(&account) == 0);
    atomic_store(&account.fold_bytes, 100);
    account_charge(&account, 100, 0);
    CHECK(brought(&account) == 100);
    account_settle();
}

TEST(keys_are_brought_though_the_bytes_are_even)
{
    struct account account;

    account_init(&account);
    for (int i = 1; i < ACCOUNT_FOLD_KEYS; i++) account_charge(&account, 0, 1);
    CHECK(account_keys(&account) == 0);
    account_charge(&account, 0, 1);
    CHECK(account_keys(&account) == ACCOUNT_FOLD_KEYS);
    for (int i = 0; i < ACCOUNT_FOLD_KEYS; i++) account_charge(&account, 0, -1);
    CHECK(account_keys(&account) == 0);
    account_settle();
}

TEST(another_account_is_charged_for_itself)
{
    struct account one, other;

    account_init(&one);
    account_init(&other);
    account_charge(&one, 10, 1);
    account_charge(&other, 5, 1);
    CHECK(brought(&one) == 10 && account_keys(&one) == 1);
    CHECK(account_bytes(&one) == 10 && account_bytes(&other) == 5);
    account_settle();
    CHECK(brought(&other) == 5);
}

static void *charge_much(void *argument)
{
    struct account *account = argument;

    for (int i = 0; i < CHARGES; i++) {
        account_charge(account, 300, 1);
        if (i % 2 == 0) account_charge(account, -300, -1);
    }
    account_settle();
    return NULL;
}

TEST(what_threads_charge_adds_up)
{
    static struct account account;
    pthread_t threads[THREADS];

    account_init(&account);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, charge_much, &account) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(account_bytes(&account) == (int64_t)THREADS * CHARGES / 2 * 300);
    CHECK(account_keys(&account) == (int64_t)THREADS * CHARGES / 2);
}

TESTS(what_a_thread_keeps_is_bounded, keys_are_brought_though_the_bytes_are_even, another_account_is_charged_for_itself,
      what_threads_charge_adds_up)
