/* Any bytes as a state file are refused with a reason, or are a view that can be saved and read again, the same. A plain nodes.conf
 * has no checksum, so the fuzzer reaches all of the reader without having to forge one. */

#include "base/hash.h"
#include "cluster/cluster.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cluster_options options = { .node_timeout_ms = 1000, .port = 7000, .cport = 17000 };
    struct buf first = { 0 }, second = { 0 };
    struct cluster *c, *again;
    char error[256];

    hash_set_seed(1);
    c = cluster_load((struct bytes){ (const char *)data, size }, &options, 1, 5000, error);
    if (c == NULL) {
        if (error[0] == '\0' || strlen(error) >= sizeof(error)) abort();
        return 0;
    }
    cluster_save(c, &first);
    again = cluster_load(buf_bytes(&first), &options, 1, 5000, error);
    if (again == NULL) abort();
    cluster_save(again, &second);
    if (!bytes_equal(buf_bytes(&first), buf_bytes(&second))) abort();
    cluster_free(&c);
    cluster_free(&again);
    buf_free(&first);
    buf_free(&second);
    return 0;
}
