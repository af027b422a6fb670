/* base/sha1.h
 *
 * SHA-1 (FIPS 180-4). Only for sums that have to agree with those of other servers, never where somebody could gain by a collision. */
#pragma once

#include "base/bytes.h"

#define SHA1_BYTES 20

void sha1(struct bytes bytes, unsigned char sum[SHA1_BYTES]);
