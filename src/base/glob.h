/* base/glob.h
 *
 * The patterns of KEYS, SCAN and CONFIG GET: `*`, `?`, `[a-c]`, `[^a]`, `\x`. Matching backtracks to the last `*` only
 * and never recurs, so its steps are bounded by pattern times text. */
#pragma once

#include "base/bytes.h"

bool glob_match(struct bytes pattern, struct bytes text);
bool glob_match_nocase(struct bytes pattern, struct bytes text);
