/* commands/command_docs.h: COMMAND DOCS. commands_print_docs() is in commands/commands.h. */
#pragma once

struct call;

void reply_command_docs(struct call *call);
