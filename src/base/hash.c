/* base/hash.c
 *
 * The seed is spread into a whole secret of its own rather than handed to xxh3 as its seed: a seed is only added to and
 * subtracted from a secret that everybody knows, and for keys of more than 240 bytes xxh3 would derive its secret anew
 * with every call. */
#include "base/hash.h"

#include "base/random.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SECRET_BYTES 192

_Static_assert(SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "xxh3 wants that much");

/* Written at the start, before there is a second thread; constant from then on. */
static _Alignas(64) unsigned char secret[SECRET_BYTES];

void hash_set_seed(uint64_t seed)
{
    struct random random;

    random_seed(&random, seed);
    for (size_t at = 0; at < SECRET_BYTES; at += 8) {
        uint64_t bits = random_u64(&random);
        memcpy(secret + at, &bits, 8);
    }
}

/* Without a seed the secret would be all zeros, under which xxh3 hashes badly. */
__attribute__((constructor)) static void start_seeded(void)
{
    hash_set_seed(0);
}

uint64_t hash_bytes(struct bytes bytes)
{
    return XXH3_64bits_withSecret(bytes.data, bytes.len, secret, SECRET_BYTES);
}
