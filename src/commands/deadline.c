#include "commands/deadline.h"

#include "base/clock.h"
#include "server/call.h"

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;

    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return b < 0 ? INT64_MIN : INT64_MAX;
}

bool deadline_from(int64_t number, enum deadline_form form, int64_t now_ms, int64_t wall_ahead, int64_t *expires_at_ms)
{
    int64_t ms = number;

    if (form == DEADLINE_IN_SECONDS || form == DEADLINE_AT_SECONDS)
        if (__builtin_mul_overflow(number, 1000, &ms)) return false;
    if (deadline_is_unix_time(form)) {
        *expires_at_ms = add_clamped(ms, -wall_ahead);
        return true;
    }
    return !__builtin_add_overflow(ms, now_ms, expires_at_ms);
}

bool deadline_of_arg(struct call *call, int arg, enum deadline_form form, bool only_future, int64_t *expires_at_ms)
{
    int64_t number;

    if (!call_arg_i64(call, arg, &number)) return false;
    if ((number > 0 || !only_future) &&
        deadline_from(number, form, call->now_ms, deadline_is_unix_time(form) ? clock_wall_ahead_ms() : 0,
                      expires_at_ms))
        return true;
    reply_errorf(call->reply, "ERR invalid expire time in '%s' command", call->command->name);
    return false;
}

int64_t deadline_unix_ms(int64_t expires_at_ms)
{
    return clock_deadline_to_wall_ms(expires_at_ms);
}
