/* base/crc64.h
 *
 * The checksum of DUMP payloads and RDB files: a cyclic redundancy check of 64 bits with Jones' polynomial, 0xad93d23594c935a9, both
 * reflected, beginning with 0. It finds damage; it keeps nobody from making one up. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

/* Of the bytes behind those that gave `crc`; 0 before the first. Any thread. */
uint64_t crc64(uint64_t crc, struct bytes bytes);
