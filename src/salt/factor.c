#include "salt/factor.h"

static unsigned change(struct salt_factor *state, const struct salt_traffic *traffic, unsigned factor)
{
    state->hot_looks = 0;
    state->cool_since_ms = 0;
    state->changed_ms = traffic->now_ms;
    return factor;
}

static bool is_hot(const struct salt_traffic *traffic)
{
    return traffic->load / SALT_HOT_TIMES >= traffic->threshold &&
           traffic->load > SALT_HOT_TIMES * traffic->threshold &&
           traffic->reads / SALT_READS_PER_WRITE >= traffic->writes;
}

unsigned salt_factor_next(struct salt_factor *state, const struct salt_traffic *traffic, unsigned factor, unsigned most)
{
    if (most < 1) most = 1;
    if (factor > most) return change(state, traffic, most);
    if (traffic->threshold <= 0) return factor;
    if (state->changed_ms != 0 && traffic->now_ms - state->changed_ms < SALT_SETTLE_MS) return factor;

    state->hot_looks = is_hot(traffic) ? state->hot_looks + 1 : 0;
    if (state->hot_looks >= SALT_HOT_LOOKS && factor < most)
        return change(state, traffic, factor > most / 2 ? most : factor * 2);

    if (traffic->load >= traffic->threshold || factor == 1)
        state->cool_since_ms = 0;
    else if (state->cool_since_ms == 0)
        state->cool_since_ms = traffic->now_ms;
    else if (traffic->now_ms - state->cool_since_ms >= SALT_COOL_MS)
        return change(state, traffic, factor / 2);
    return factor;
}
