/* commands/acl_user.h: the subcommands of ACL about users; the container is in acl.c. */
#pragma once

#include "server/command.h"

extern const struct command command_acl_deluser, command_acl_dryrun, command_acl_genpass, command_acl_getuser,
    command_acl_list, command_acl_load, command_acl_log, command_acl_save, command_acl_setuser, command_acl_users,
    command_acl_whoami;
