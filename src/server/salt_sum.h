/* server/salt_sum.h
 *
 * Commands on the names of a sum (SALT key n SUM) on a node that is not its home: what adds to it is taken here and folded into it at home soon
 * (salt/helper.h), and GET is answered from the total. All else is home's. */
#pragma once

#include "server/call.h"

/* A command with the one key that is the name of a salted one; call->argv has the base in its place, whose slot is elsewhere. True where it was
 * answered. With no lock held, on the client's worker, not within MULTI. */
bool salt_sum(struct call *call, struct bytes base);
