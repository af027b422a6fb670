/* commands/debug_protocol.c: DEBUG PROTOCOL, a reply of each type for those who test clients. What it says is what their tests expect. */
#include "commands/debug_internal.h"

static void say_string(struct reply *reply)
{
    reply_bulk_text(reply, "Hello World");
}

static void say_integer(struct reply *reply)
{
    reply_integer(reply, 12345);
}

static void say_double(struct reply *reply)
{
    reply_double(reply, 3.141);
}

static void say_bignum(struct reply *reply)
{
    reply_big_number(reply, "1234567999999999999999999999999999999");
}

static void say_array(struct reply *reply)
{
    reply_array(reply, 3);
    for (int i = 0; i < 3; i++) reply_integer(reply, i);
}

static void say_set(struct reply *reply)
{
    reply_set(reply, 3);
    for (int i = 0; i < 3; i++) reply_integer(reply, i);
}

static void say_map(struct reply *reply)
{
    reply_map(reply, 3);
    for (int i = 0; i < 3; i++) {
        reply_integer(reply, i);
        reply_bool(reply, i == 1);
    }
}

static void say_attribute(struct reply *reply)
{
    if (reply->resp > 2) {
        reply_attribute(reply, 1);
        reply_bulk_text(reply, "key-popularity");
        reply_array(reply, 2);
        reply_bulk_text(reply, "key:123");
        reply_integer(reply, 90);
    }
    reply_bulk_text(reply, "Some real reply following the attribute");
}

static void say_push(struct reply *reply)
{
    if (reply->resp == 2) {
        reply_error(reply, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_push(reply, 2);
    reply_bulk_text(reply, "server-cpu-usage");
    reply_integer(reply, 42);
    reply_bulk_text(reply, "Some real reply following the push reply");
}

static void say_verbatim(struct reply *reply)
{
    reply_verbatim(reply, BYTES("This is a verbatim\nstring"));
}

static void say_true(struct reply *reply)
{
    reply_bool(reply, true);
}

static void say_false(struct reply *reply)
{
    reply_bool(reply, false);
}

void debug_protocol(struct call *call)
{
    static const struct {
        const char *name;
        void (*say)(struct reply *reply);
    } types[] = {
        { "string", say_string },    { "integer", say_integer }, { "double", say_double },     { "bignum", say_bignum },
        { "null", reply_null },      { "array", say_array },     { "set", say_set },           { "map", say_map },
        { "attrib", say_attribute }, { "push", say_push },       { "verbatim", say_verbatim }, { "true", say_true },
        { "false", say_false },
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!call_arg_is(call, 2, types[i].name)) continue;
        types[i].say(call->reply);
        return;
    }
    reply_error(call->reply, "ERR Wrong protocol type name. Please use one of the following: "
                             "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}
