#include "server/monitor.h"

#include "base/clock.h"
#include "server/client.h"
#include "server/worker.h"

#include <string.h>

static bool is_password_option(struct bytes name)
{
    return bytes_is_word(name, "requirepass") || bytes_is_word(name, "masterauth") ||
           bytes_is_word(name, "masteruser") || bytes_is_word(name, "tls-key-file-pass") ||
           bytes_is_word(name, "tls-client-key-file-pass");
}

bool argument_is_secret(const struct command *command, const struct bytes *argv, int arg)
{
    const char *container = command->parent;

    if (arg == 0) return false;
    if (strcmp(command->name, "auth") == 0) return true;
    /* Whatever the word behind AUTH means: it may come twice, and be a name, too. */
    if (strcmp(command->name, "hello") == 0)
        return (arg > 2 && bytes_is_word(argv[arg - 1], "auth")) || (arg > 3 && bytes_is_word(argv[arg - 2], "auth"));
    if (container != NULL && strcmp(container, "config") == 0 && strcmp(command->name, "set") == 0)
        return arg >= 3 && arg % 2 == 1 && is_password_option(argv[arg - 1]);
    if (container != NULL && strcmp(container, "acl") == 0 && strcmp(command->name, "setuser") == 0) return arg >= 2;
    if (strcmp(command->name, "migrate") == 0) {
        if (bytes_is_word(argv[arg - 1], "auth") || bytes_is_word(argv[arg - 1], "auth2")) return arg > 5;
        return arg > 7 && bytes_is_word(argv[arg - 2], "auth2");
    }
    return false;
}

static void quote(struct buf *out, struct bytes text)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        switch (c) {
        case '"':
        case '\\':
            buf_append_byte(out, '\\');
            buf_append_byte(out, (char)c);
            break;
        case '\n':
            buf_append_text(out, "\\n");
            break;
        case '\r':
            buf_append_text(out, "\\r");
            break;
        case '\t':
            buf_append_text(out, "\\t");
            break;
        case '\a':
            buf_append_text(out, "\\a");
            break;
        case '\b':
            buf_append_text(out, "\\b");
            break;
        default:
            if (c >= 0x20 && c < 0x7f)
                buf_append_byte(out, (char)c);
            else
                buf_printf(out, "\\x%02x", c);
        }
    }
    buf_append_byte(out, '"');
}

void monitor_format(struct buf *out, const struct client *client, const struct command *command, int argc,
                    const struct bytes *argv)
{
    int64_t now_us = clock_wall_us();

    buf_printf(out, "+%lld.%06lld [0 %s%s]", (long long)(now_us / 1000000), (long long)(now_us % 1000000),
               client_flags(client) & CLIENT_UNIX_SOCKET ? "unix:" : "", client->peer);
    for (int i = 0; i < argc; i++) {
        buf_append_byte(out, ' ');
        if (argument_is_secret(command, argv, i))
            buf_append_text(out, "\"(redacted)\"");
        else
            quote(out, argv[i]);
    }
    buf_append_text(out, "\r\n");
}

void monitor_send(const struct call *call)
{
    struct buf line = { 0 };

    monitor_format(&line, call->client, call->command, call->argc, call->argv);
    for (int i = 0; i < call->node->worker_count; i++) worker_monitor_line(call->node->workers[i], buf_bytes(&line));
    buf_free(&line);
}
