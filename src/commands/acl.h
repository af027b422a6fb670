/* commands/acl.h: the categories of commands, as ACL and COMMAND name them; a set of them is a bit for each. */
#pragma once

#include "base/bytes.h"
#include "server/command.h"

/* Those that follow from a command's flags and those its descriptor adds. */
uint64_t acl_categories(const struct command *command);
size_t acl_category_count(void);
/* Without the '@'; the n-th is bit n. */
const char *acl_category_name(size_t n);
/* The bit, or 0 for an unknown name. */
uint64_t acl_category_by_name(struct bytes name);
