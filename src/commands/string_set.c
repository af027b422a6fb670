/* commands/string_set.c: SET with all its conditions and deadlines, the older commands it has taken in, and GETEX and DELIFEQ. */
#include "commands/cache_guard.h"
#include "commands/cache_internal.h"
#include "commands/deadline.h"
#include "commands/string_internal.h"

/* What the words after the key (and value) asked for. */
struct set_options {
    bool only_if_missing, only_if_present;
    bool get;
    bool keep_ttl, persist;
    int equal_arg;    /* IFEQ: the argument to compare with; 0 without */
    int deadline_arg; /* 0 without */
    enum deadline_form form;
    struct fill_args fill;
};

static const struct {
    const char *word;
    enum deadline_form form;
} deadline_words[] = {
    { "ex", DEADLINE_IN_SECONDS },
    { "px", DEADLINE_IN_MS },
    { "exat", DEADLINE_AT_SECONDS },
    { "pxat", DEADLINE_AT_MS },
};

/* EX, PX, EXAT or PXAT with its number. One form may be given twice, the last then counts; two forms may not. */
static bool parse_deadline(const struct call *call, int *arg, struct set_options *options)
{
    for (size_t i = 0; i < sizeof(deadline_words) / sizeof(*deadline_words); i++) {
        if (!call_arg_is(call, *arg, deadline_words[i].word)) continue;
        if (options->keep_ttl || options->persist || *arg + 1 >= call->argc) return false;
        if (options->deadline_arg != 0 && options->form != deadline_words[i].form) return false;
        options->form = deadline_words[i].form;
        options->deadline_arg = ++*arg;
        return true;
    }
    return false;
}

static bool parse_set_word(const struct call *call, int *arg, struct set_options *options)
{
    if (call_arg_is(call, *arg, "nx")) {
        options->only_if_missing = true;
        return !options->only_if_present && options->equal_arg == 0;
    }
    if (call_arg_is(call, *arg, "xx")) {
        options->only_if_present = true;
        return !options->only_if_missing && options->equal_arg == 0;
    }
    if (call_arg_is(call, *arg, "ifeq")) {
        if (*arg + 1 >= call->argc) return false;
        options->equal_arg = ++*arg;
        return !options->only_if_missing && !options->only_if_present && !is_fill(&options->fill);
    }
    if (call_arg_is(call, *arg, "get")) {
        options->get = true;
        return !is_fill(&options->fill);
    }
    if (call_arg_is(call, *arg, "keepttl")) {
        options->keep_ttl = true;
        return options->deadline_arg == 0;
    }
    if (fill_word(call, arg, &options->fill)) return !options->get && options->equal_arg == 0;
    return parse_deadline(call, arg, options);
}

static bool parse_getex_word(const struct call *call, int *arg, struct set_options *options)
{
    if (call_arg_is(call, *arg, "persist")) {
        options->persist = true;
        return options->deadline_arg == 0;
    }
    return parse_deadline(call, arg, options);
}

static bool is_admitted(const struct call *call, const struct set_options *options, const struct entry *entry)
{
    if (options->only_if_missing) return entry == NULL;
    if (options->only_if_present) return entry != NULL;
    if (options->equal_arg != 0)
        return entry != NULL && bytes_equal(entry_value(entry), call_arg(call, options->equal_arg));
    return true;
}

/* Says that a value was kept, with a deadline of its own or not. */
static inline void tell_kept(struct call *call, bool has_deadline)
{
    call_event(call, EVENT_STRING, "set", 1);
    if (has_deadline) call_event(call, EVENT_GENERIC, "expire", 1);
}

/* A key that is past its deadline as soon as it has one: said as if it had been there for a moment. */
static void keep_for_no_time(struct call *call)
{
    bool is_new = call_makes_new(call, 1);

    slot_remove(call_slot(call, 1), call_arg(call, 1), call->now_ms);
    call_event_new(call, is_new, 1);
    tell_kept(call, true);
    call_event(call, EVENT_EXPIRED, "expired", 1);
}

/* What may be stale goes as if it had been evicted at once. */
static __attribute__((noinline)) void keep_guarded(struct call *call, int value_arg, int64_t expires_at_ms,
                                                   bool has_deadline)
{
    struct slot_fills *quiet;

    if (guard_fill_begin(call, 1, &expires_at_ms, &quiet) == GUARD_KEEPS_NOT) {
        slot_remove(call_slot(call, 1), call_arg(call, 1), call->now_ms);
        return;
    }
    call_store(call, value_arg, expires_at_ms);
    if (quiet != NULL) fill_quiet_end(quiet);
    tell_kept(call, has_deadline);
}

/* Keeps a value, or deletes the key where its deadline has passed already. */
static void keep(struct call *call, int value_arg, int64_t expires_at_ms, bool has_deadline)
{
    if (expires_at_ms != ENTRY_KEEPS_FOREVER && expires_at_ms <= call->now_ms) {
        keep_for_no_time(call);
        return;
    }
    if (has_guards(call)) {
        keep_guarded(call, value_arg, expires_at_ms, has_deadline);
        return;
    }
    call_store(call, value_arg, expires_at_ms);
    tell_kept(call, has_deadline);
}

/* TOKEN and VER are left to fill_settle(), which notes what it refuses. */
static bool set_keeps(const struct call *call, const struct slot *slot)
{
    struct set_options options = { 0 };

    for (int arg = 3; arg < call->argc; arg++)
        if (!parse_set_word(call, &arg, &options)) return false;
    return is_admitted(call, &options, slot_peek(slot, call_arg(call, 1), call->now_ms));
}

static bool setnx_keeps(const struct call *call, const struct slot *slot)
{
    return slot_peek(slot, call_arg(call, 1), call->now_ms) == NULL;
}

static void set_with_options(struct call *call, const struct set_options *options)
{
    int64_t expires_at_ms = ENTRY_KEEPS_FOREVER;
    const struct entry *entry;
    struct bytes value;
    struct fill fill = { 0 };
    bool admitted;

    if (options->deadline_arg != 0 &&
        !deadline_of_arg(call, options->deadline_arg, options->form, true, &expires_at_ms))
        return;
    if (is_fill(&options->fill) && !fill_read(call, &options->fill, &fill)) return;
    entry = options->get ? call_find_read(call, 1) : call_find_write(call, 1);
    if (options->get || options->equal_arg != 0)
        if (!string_of(call, entry, &value)) return;
    admitted = is_admitted(call, options, entry);
    if (is_fill(&options->fill)) admitted = fill_settle(call, &fill, admitted, entry);
    if (options->get && entry != NULL)
        call_reply_value(call, entry, value);
    else if (options->get || !admitted)
        reply_null(call->reply);
    else
        reply_ok(call->reply);
    if (!admitted) return;
    if (options->keep_ttl && entry != NULL) expires_at_ms = entry_expires_at_ms(entry);
    if (is_fill(&options->fill))
        fill_keep(call, &fill, expires_at_ms, options->deadline_arg != 0);
    else
        keep(call, 2, expires_at_ms, options->deadline_arg != 0);
}

static void set(struct call *call)
{
    struct set_options options = { 0 };

    if (call->argc == 3) { /* nearly always */
        keep(call, 2, ENTRY_KEEPS_FOREVER, false);
        reply_ok(call->reply);
        return;
    }
    for (int arg = 3; arg < call->argc; arg++)
        if (!parse_set_word(call, &arg, &options)) {
            reply_error(call->reply, ERROR_SYNTAX);
            return;
        }
    set_with_options(call, &options);
}

static void setnx(struct call *call)
{
    bool is_missing = call_find_write(call, 1) == NULL;

    if (is_missing) keep(call, 2, ENTRY_KEEPS_FOREVER, false);
    reply_integer(call->reply, is_missing);
}

static void set_for(struct call *call, enum deadline_form form)
{
    int64_t expires_at_ms;

    if (!deadline_of_arg(call, 2, form, true, &expires_at_ms)) return;
    keep(call, 3, expires_at_ms, true);
    reply_ok(call->reply);
}

static void setex(struct call *call)
{
    set_for(call, DEADLINE_IN_SECONDS);
}

static void psetex(struct call *call)
{
    set_for(call, DEADLINE_IN_MS);
}

static void getex(struct call *call)
{
    struct set_options options = { 0 };
    struct slot *slot = call_slot(call, 1);
    struct entry *entry;
    struct bytes value;
    int64_t expires_at_ms = ENTRY_KEEPS_FOREVER;

    for (int arg = 2; arg < call->argc; arg++)
        if (!parse_getex_word(call, &arg, &options)) {
            reply_error(call->reply, ERROR_SYNTAX);
            return;
        }
    entry = call_find_read(call, 1);
    if (entry == NULL) { /* before the deadline is looked at */
        if (has_guards(call)) guard_note_miss(call, 1);
        reply_null(call->reply);
        return;
    }
    if (!string_of(call, entry, &value)) return;
    if (options.deadline_arg != 0 && !deadline_of_arg(call, options.deadline_arg, options.form, true, &expires_at_ms))
        return;
    call_reply_value(call, entry, value);
    if (options.deadline_arg != 0 && expires_at_ms <= call->now_ms) {
        slot_remove(slot, call_arg(call, 1), call->now_ms);
        call_event(call, EVENT_GENERIC, "del", 1);
    } else if (options.deadline_arg != 0 || (options.persist && entry_expires_at_ms(entry) != ENTRY_KEEPS_FOREVER)) {
        slot_set_expiry(slot, entry, expires_at_ms);
        call_event(call, EVENT_GENERIC, options.persist ? "persist" : "expire", 1);
    }
}

static void delifeq(struct call *call)
{
    const struct entry *entry = call_find_write(call, 1);
    struct bytes value;
    bool is_equal;

    if (!string_of(call, entry, &value)) return;
    is_equal = entry != NULL && bytes_equal(value, call_arg(call, 2));
    if (is_equal) {
        slot_remove(call_slot(call, 1), call_arg(call, 1), call->now_ms);
        call_event(call, EVENT_GENERIC, "del", 1);
    }
    reply_integer(call->reply, is_equal);
}

/* --- Descriptors --- */

static const struct command_arg set_condition_args[] = {
    { .name = "nx", .type = ARG_PURE_TOKEN, .token = "NX" },
    { .name = "xx", .type = ARG_PURE_TOKEN, .token = "XX" },
    { .name = "comparison-value", .type = ARG_STRING, .token = "IFEQ" },
    { .name = NULL },
};

static const struct command_arg set_expiration_args[] = {
    { .name = "seconds", .type = ARG_INTEGER, .token = "EX", .since = "2.6.12" },
    { .name = "milliseconds", .type = ARG_INTEGER, .token = "PX", .since = "2.6.12" },
    { .name = "unix-time-seconds", .type = ARG_UNIX_TIME, .token = "EXAT", .since = "6.2.0" },
    { .name = "unix-time-milliseconds", .type = ARG_UNIX_TIME, .token = "PXAT", .since = "6.2.0" },
    { .name = "keepttl", .type = ARG_PURE_TOKEN, .token = "KEEPTTL", .since = "6.0.0" },
    { .name = NULL },
};

static const struct command_arg set_args[] = {
    ARG_THE_KEY,
    { .name = "value", .type = ARG_STRING },
    { .name = "condition", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .since = "2.6.12", .args = set_condition_args },
    { .name = "get", .type = ARG_PURE_TOKEN, .flags = ARG_OPTIONAL, .token = "GET", .since = "6.2.0" },
    { .name = "expiration", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = set_expiration_args },
    { .name = "version", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "VER" },
    { .name = "token", .type = ARG_STRING, .flags = ARG_OPTIONAL, .token = "TOKEN" },
    { .name = "fresh-milliseconds", .type = ARG_INTEGER, .flags = ARG_OPTIONAL, .token = "FRESH" },
    { .name = NULL },
};

static const struct command_arg getex_expiration_args[] = {
    { .name = "seconds", .type = ARG_INTEGER, .token = "EX" },
    { .name = "milliseconds", .type = ARG_INTEGER, .token = "PX" },
    { .name = "unix-time-seconds", .type = ARG_UNIX_TIME, .token = "EXAT" },
    { .name = "unix-time-milliseconds", .type = ARG_UNIX_TIME, .token = "PXAT" },
    { .name = "persist", .type = ARG_PURE_TOKEN, .token = "PERSIST" },
    { .name = NULL },
};

static const struct command_arg getex_args[] = {
    ARG_THE_KEY,
    { .name = "expiration", .type = ARG_ONEOF, .flags = ARG_OPTIONAL, .args = getex_expiration_args },
    { .name = NULL },
};

static const struct command_arg value_args[] = { ARG_THE_KEY,
                                                 { .name = "value", .type = ARG_STRING },
                                                 { .name = NULL } };

static const struct command_arg setex_args[] = {
    ARG_THE_KEY,
    { .name = "seconds", .type = ARG_INTEGER },
    { .name = "value", .type = ARG_STRING },
    { .name = NULL },
};

static const struct command_arg psetex_args[] = {
    ARG_THE_KEY,
    { .name = "milliseconds", .type = ARG_INTEGER },
    { .name = "value", .type = ARG_STRING },
    { .name = NULL },
};

const struct command command_set = {
    .name = "set",
    .summary = "Set the value at a key, on a condition or for a time where asked.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .history = COMMAND_HISTORY({ "2.6.12", "EX, PX, NX and XX." }, { "6.0.0", "KEEPTTL." },
                               { "6.2.0", "GET, EXAT and PXAT." }, { "7.0.0", "NX and GET go together." }),
    .arity = -3,
    .value_arg = 2,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    .acl = ACL_STRING,
    .keys = { { .first = 1,
                .last = 0,
                .step = 1,
                .flags = KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE_FLAGS,
                .notes = "RW and ACCESS because GET and IFEQ read the value" } },
    .args = set_args,
    .keeps = set_keeps,
    .run = set,
};

const struct command command_setnx = {
    .name = "setnx",
    .summary = "Set the value at a key, if the key is not there.",
    .since = "1.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 3,
    .value_arg = 2,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_OW | KEY_INSERT),
    .args = value_args,
    .keeps = setnx_keeps,
    .run = setnx,
};

const struct command command_setex = {
    .name = "setex",
    .summary = "Set the value at a key for a number of seconds.",
    .since = "2.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 4,
    .value_arg = 3,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_OW | KEY_UPDATE),
    .args = setex_args,
    .run = setex,
};

const struct command command_psetex = {
    .name = "psetex",
    .summary = "Set the value at a key for a number of milliseconds.",
    .since = "2.6.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 4,
    .value_arg = 3,
    .flags = COMMAND_WRITE | COMMAND_DENYOOM,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_OW | KEY_UPDATE),
    .args = psetex_args,
    .run = psetex,
};

const struct command command_getex = {
    .name = "getex",
    .summary = "Read the value at a key and change when it expires.",
    .since = "6.2.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = -2,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_STRING,
    .keys = { { .first = 1,
                .last = 0,
                .step = 1,
                .flags = KEY_RW | KEY_ACCESS | KEY_UPDATE,
                .notes = "RW and UPDATE because the expiry may change" } },
    .args = getex_args,
    .run = getex,
};

const struct command command_delifeq = {
    .name = "delifeq",
    .summary = "Delete a key, if its value is the given one.",
    .since = "9.0.0",
    .group = "string",
    .complexity = "O(1)",
    .arity = 3,
    .flags = COMMAND_WRITE | COMMAND_FAST,
    .acl = ACL_STRING,
    .keys = ONE_KEY(KEY_RW | KEY_ACCESS | KEY_DELETE),
    .args = value_args,
    .run = delifeq,
};
