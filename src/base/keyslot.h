/* base/keyslot.h
 *
 * Which slot a key belongs to: CRC-16/XMODEM of the key, or of its hash tag, modulo 16384. */
#pragma once

#include "base/bytes.h"

#define SLOT_COUNT 16384u

uint16_t crc16(struct bytes bytes);

/* The part of a key that is hashed: what stands between the first '{' and the first '}' after it,
 * unless that is nothing; else the whole key. */
struct bytes key_hash_tag(struct bytes key);

uint16_t key_slot(struct bytes key);
