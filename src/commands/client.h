/* commands/client.h: what HELLO shares with CLIENT. */
#pragma once

#include "base/bytes.h"
#include "server/command.h"

extern const struct command command_client;

/* Whether a connection may be called so; if not, has replied. */
bool client_name_is_valid(struct call *call, struct bytes name);
