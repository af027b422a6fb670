/* Any bytes as a payload are refused, or are a string that is written and read again, the same, and is no longer than was allowed. Behind
 * an odd first byte comes what stands before the sum, and is given the right one: the fuzzer would not find it. */
#include "base/crc64.h"
#include "transfer/payload.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf payload = { 0 }, space = { 0 }, again = { 0 }, space_again = { 0 };
    struct bytes value = BYTES_NONE, read = BYTES_NONE;
    enum payload_flaw flaw;

    if (size == 0) return 0;
    buf_append(&payload, data + 1, size - 1);
    if (data[0] & 1) {
        uint64_t sum;

        buf_append(&payload, "\12\0", 2);
        sum = crc64(0, buf_bytes(&payload));
        for (int i = 0; i < 8; i++) buf_append_byte(&payload, (char)(sum >> 8 * i));
    }
    flaw = payload_to_string(buf_bytes(&payload), VALUE_MAX, &space, &value);
    if (space.len > VALUE_MAX) abort();
    if (flaw == PAYLOAD_FOREIGN_TYPE && strlen(payload_type_name(buf_bytes(&payload))) == 0) abort();
    if (flaw == PAYLOAD_FINE) {
        if (value.len > VALUE_MAX) abort();
        payload_of_string(&again, value);
        if (payload_to_string(buf_bytes(&again), VALUE_MAX, &space_again, &read) != PAYLOAD_FINE) abort();
        if (!bytes_equal(value, read)) abort();
    }
    buf_free(&payload);
    buf_free(&space);
    buf_free(&again);
    buf_free(&space_again);
    return 0;
}
