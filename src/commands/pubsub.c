/* commands/pubsub.c: publish and subscribe. What happens is in server/pubsub.h; here are the words. */
#include "server/pubsub.h"

#include "bus/bus.h"
#include "commands/commands.h"
#include "server/call.h"
#include "server/client.h"
#include "server/events.h"
#include "server/node.h"

/* --- Subscribing --- */

static void reply_change(struct call *call, const char *word, const struct bytes *name, enum topic_kind kind)
{
    pubsub_reply_change(call->client, call->reply, word, name, kind);
}

static void subscribe_to(struct call *call, const char *word, enum topic_kind kind)
{
    call->is_push = true;
    for (int arg = 1; arg < call->argc; arg++) {
        pubsub_subscribe(call->client, kind, call_arg(call, arg));
        reply_change(call, word, &call->argv[arg], kind);
    }
    client_account_subscriptions(call->client);
}

/* From all, one after the other. */
static void unsubscribe_from_all(struct call *call, const char *word, enum topic_kind kind)
{
    struct bytes lent;

    if (!pubsub_any(call->client, kind, &lent)) reply_change(call, word, NULL, kind);
    while (pubsub_any(call->client, kind, &lent)) {
        struct buf name = { 0 };

        buf_append_bytes(&name, lent); /* it may go with the subscription */
        lent = buf_bytes(&name);
        pubsub_unsubscribe(call->client, kind, lent);
        reply_change(call, word, &lent, kind);
        buf_free(&name);
    }
}

static void unsubscribe_from(struct call *call, const char *word, enum topic_kind kind)
{
    call->is_push = true;
    if (call->argc == 1) unsubscribe_from_all(call, word, kind);
    for (int arg = 1; arg < call->argc; arg++) {
        pubsub_unsubscribe(call->client, kind, call_arg(call, arg));
        reply_change(call, word, &call->argv[arg], kind);
    }
    client_account_subscriptions(call->client);
}

static void subscribe(struct call *call)
{
    subscribe_to(call, "subscribe", TOPIC_CHANNEL);
}

static void psubscribe(struct call *call)
{
    subscribe_to(call, "psubscribe", TOPIC_PATTERN);
}

/* Unlike the others, which redis-server lets through for the sake of older clients. */
static void ssubscribe(struct call *call)
{
    if (call->in_exec) {
        reply_error(call->reply, "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
        return;
    }
    subscribe_to(call, "ssubscribe", TOPIC_SHARD);
}

static void unsubscribe(struct call *call)
{
    unsubscribe_from(call, "unsubscribe", TOPIC_CHANNEL);
}

static void punsubscribe(struct call *call)
{
    unsubscribe_from(call, "punsubscribe", TOPIC_PATTERN);
}

static void sunsubscribe(struct call *call)
{
    unsubscribe_from(call, "sunsubscribe", TOPIC_SHARD);
}

/* --- Publishing --- */

/* With no lock held. */
static void tell_nodes(struct call *call, enum topic_kind kind)
{
    if (call->node->bus != NULL)
        bus_publish(call->node->bus, kind == TOPIC_SHARD, call_arg(call, 1), call_arg(call, 2));
}

/* Who has been told already, under EXEC's locks. */
static const char is_published;

/* What wakes other threads comes after the locks. But where keyspace events are published EXEC's commands are told of in their order: then the message
 * takes its place among them here. */
static void publish_locked(struct call *call, enum topic_kind kind)
{
    call->kept = call->client;
    if (!call->in_exec || !events_wanted(call->node, EVENT_KEYSPACE | EVENT_KEYEVENT)) return;
    reply_integer(call->reply,
                  (int64_t)pubsub_publish_in_order(call->node, kind, call_arg(call, 1), call_arg(call, 2)));
    call->kept = (void *)(uintptr_t)&is_published;
}

static void publish_unlocked(struct call *call, enum topic_kind kind)
{
    if (call->kept == &is_published)
        events_deliver(call->node);
    else
        reply_integer(call->reply, (int64_t)pubsub_publish(call->node, kind, call_arg(call, 1), call_arg(call, 2)));
    call->kept = NULL;
    tell_nodes(call, kind);
}

static void publish(struct call *call)
{
    publish_locked(call, TOPIC_CHANNEL);
}

static void publish_finish(struct call *call)
{
    publish_unlocked(call, TOPIC_CHANNEL);
}

/* Its channel's slot is locked: that it is served here is all that there is to know. */
static void spublish(struct call *call)
{
    publish_locked(call, TOPIC_SHARD);
}

static void spublish_finish(struct call *call)
{
    publish_unlocked(call, TOPIC_SHARD);
}

/* --- PUBSUB --- */

struct names {
    struct buf text;
    struct reply reply;
    size_t count;
};

static void add_name(void *context, struct bytes name)
{
    struct names *names = context;

    reply_bulk(&names->reply, name);
    names->count++;
}

static void reply_names(struct call *call, enum topic_kind kind)
{
    struct names names = { .count = 0 };

    if (call->argc > 3) {
        call_reply_subcommand_error(call);
        return;
    }
    names.reply = (struct reply){ .out = &names.text, .resp = call->reply->resp };
    topics_each(pubsub_topics(call->node), kind, call->argc == 3 ? call_arg(call, 2) : BYTES("*"), add_name, &names);
    reply_array(call->reply, names.count);
    buf_append_bytes(call->reply->out, buf_bytes(&names.text));
    buf_free(&names.text);
}

static void reply_numbers(struct call *call, enum topic_kind kind)
{
    reply_array(call->reply, 2 * ((size_t)call->argc - 2));
    for (int arg = 2; arg < call->argc; arg++) {
        reply_bulk(call->reply, call_arg(call, arg));
        reply_integer(call->reply, (int64_t)topics_subscribers(pubsub_topics(call->node), kind, call_arg(call, arg)));
    }
}

static void channels(struct call *call)
{
    reply_names(call, TOPIC_CHANNEL);
}

static void shardchannels(struct call *call)
{
    reply_names(call, TOPIC_SHARD);
}

static void numsub(struct call *call)
{
    reply_numbers(call, TOPIC_CHANNEL);
}

static void shardnumsub(struct call *call)
{
    reply_numbers(call, TOPIC_SHARD);
}

static void numpat(struct call *call)
{
    reply_integer(call->reply, (int64_t)topics_count(pubsub_topics(call->node), TOPIC_PATTERN));
}

static void help(struct call *call)
{
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    The channels that somebody subscribes to, and that match the pattern.",
        "NUMPAT",
        "    How many patterns somebody subscribes to.",
        "NUMSUB [<channel> ...]",
        "    How many subscribers each of the channels has, those of patterns left out.",
        "SHARDCHANNELS [<pattern>]",
        "    The shard channels that somebody subscribes to, and that match the pattern.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    How many subscribers each of the shard channels has.",
        NULL,
    };

    call_reply_help(call, lines);
}

/* --- Descriptors --- */

static const struct command_arg channels_args[] = {
    { .name = "channel", .type = ARG_STRING, .flags = ARG_MULTIPLE },
    { .name = NULL },
};
static const struct command_arg some_channels_args[] = {
    { .name = "channel", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const struct command_arg pattern_args[] = { { .name = "pattern", .type = ARG_PATTERN }, { .name = NULL } };
static const struct command_arg patterns_args[] = {
    { .name = "pattern", .type = ARG_BLOCK, .flags = ARG_MULTIPLE, .args = pattern_args },
    { .name = NULL },
};
static const struct command_arg some_patterns_args[] = {
    { .name = "pattern", .type = ARG_PATTERN, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const struct command_arg shardchannels_args[] = {
    { .name = "shardchannel", .type = ARG_STRING, .flags = ARG_MULTIPLE },
    { .name = NULL },
};
static const struct command_arg some_shardchannels_args[] = {
    { .name = "shardchannel", .type = ARG_STRING, .flags = ARG_OPTIONAL | ARG_MULTIPLE },
    { .name = NULL },
};
static const struct command_arg message_args[] = {
    { .name = "channel", .type = ARG_STRING },
    { .name = "message", .type = ARG_STRING },
    { .name = NULL },
};
static const struct command_arg shard_message_args[] = {
    { .name = "shardchannel", .type = ARG_STRING },
    { .name = "message", .type = ARG_STRING },
    { .name = NULL },
};
static const struct command_arg optional_pattern_args[] = {
    { .name = "pattern", .type = ARG_PATTERN, .flags = ARG_OPTIONAL },
    { .name = NULL },
};

#define LISTENS COMMAND_PUBSUB | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_SUBSCRIBED
#define SPEAKS COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_PUBLISHES
#define ASKS COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE
#define SHARD_CHANNELS(last_)                                                                                          \
    {                                                                                                                  \
        {                                                                                                              \
            .first = 1, .last = last_, .step = 1, .flags = KEY_NOT_KEY                                                 \
        }                                                                                                              \
    }

static const struct command command_subscribe = {
    .name = "subscribe",
    .summary = "Be sent what is published on channels.",
    .since = "2.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -2,
    .flags = LISTENS,
    .args = channels_args,
    .run = subscribe,
};

static const struct command command_unsubscribe = {
    .name = "unsubscribe",
    .summary = "Be sent no more of channels, or of all of them.",
    .since = "2.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -1,
    .flags = LISTENS,
    .args = some_channels_args,
    .run = unsubscribe,
};

static const struct command command_psubscribe = {
    .name = "psubscribe",
    .summary = "Be sent what is published on channels that match patterns.",
    .since = "2.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N patterns",
    .arity = -2,
    .flags = LISTENS,
    .args = patterns_args,
    .run = psubscribe,
};

static const struct command command_punsubscribe = {
    .name = "punsubscribe",
    .summary = "Be sent no more of what matches patterns, or of all of them.",
    .since = "2.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N patterns",
    .arity = -1,
    .flags = LISTENS,
    .args = some_patterns_args,
    .run = punsubscribe,
};

static const struct command command_ssubscribe = {
    .name = "ssubscribe",
    .summary = "Be sent what is published on shard channels, all of one slot.",
    .since = "7.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -2,
    .flags = LISTENS,
    .keys = SHARD_CHANNELS(-1),
    .args = shardchannels_args,
    .run = ssubscribe,
};

static const struct command command_sunsubscribe = {
    .name = "sunsubscribe",
    .summary = "Be sent no more of shard channels, or of all of them.",
    .since = "7.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -1,
    .flags = LISTENS,
    .keys = SHARD_CHANNELS(-1),
    .args = some_shardchannels_args,
    .run = sunsubscribe,
};

static const struct command command_publish = {
    .name = "publish",
    .summary = "Send a message to who subscribes to a channel, on all nodes; count those on this one.",
    .since = "2.0.0",
    .group = "pubsub",
    .complexity = "O(N+M) for N subscribers and M patterns of all clients",
    .arity = 3,
    .flags = SPEAKS,
    .args = message_args,
    .run = publish,
    .finish = publish_finish,
};

static const struct command command_spublish = {
    .name = "spublish",
    .summary = "Send a message to who subscribes to a shard channel, on the node that has its slot.",
    .since = "7.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N subscribers",
    .arity = 3,
    .flags = SPEAKS,
    .keys = SHARD_CHANNELS(0),
    .args = shard_message_args,
    .run = spublish,
    .finish = spublish_finish,
};

static const struct command command_channels = {
    .name = "channels",
    .parent = "pubsub",
    .summary = "List the channels that have subscribers.",
    .since = "2.8.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -2,
    .flags = ASKS,
    .args = optional_pattern_args,
    .run = channels,
};

static const struct command command_numsub = {
    .name = "numsub",
    .parent = "pubsub",
    .summary = "Count the subscribers of channels.",
    .since = "2.8.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -2,
    .flags = ASKS,
    .args = some_channels_args,
    .run = numsub,
};

static const struct command command_numpat = {
    .name = "numpat",
    .parent = "pubsub",
    .summary = "Count the patterns that have subscribers.",
    .since = "2.8.0",
    .group = "pubsub",
    .complexity = "O(1)",
    .arity = 2,
    .flags = ASKS,
    .run = numpat,
};

static const struct command command_shardchannels = {
    .name = "shardchannels",
    .parent = "pubsub",
    .summary = "List the shard channels that have subscribers.",
    .since = "7.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -2,
    .flags = ASKS,
    .args = optional_pattern_args,
    .run = shardchannels,
};

static const struct command command_shardnumsub = {
    .name = "shardnumsub",
    .parent = "pubsub",
    .summary = "Count the subscribers of shard channels.",
    .since = "7.0.0",
    .group = "pubsub",
    .complexity = "O(N) for N channels",
    .arity = -2,
    .flags = ASKS,
    .args = some_shardchannels_args,
    .run = shardnumsub,
};

static const struct command command_help = {
    .name = "help",
    .parent = "pubsub",
    .summary = "List what PUBSUB can do.",
    .since = "6.2.0",
    .group = "pubsub",
    .complexity = "O(1)",
    .arity = 2,
    .flags = COMMAND_LOADING | COMMAND_STALE,
    .run = help,
};

static const struct command *const pubsub_subcommands[] = { &command_channels,
                                                            &command_numsub,
                                                            &command_numpat,
                                                            &command_shardchannels,
                                                            &command_shardnumsub,
                                                            &command_help,
                                                            NULL };

static const struct command command_pubsub = {
    .name = "pubsub",
    .summary = "What is subscribed to.",
    .since = "2.8.0",
    .group = "pubsub",
    .complexity = "As the subcommand says.",
    .arity = -2,
    .subcommands = pubsub_subcommands,
};

const struct command *const commands_pubsub[] = {
    &command_subscribe,    &command_unsubscribe, &command_psubscribe, &command_punsubscribe, &command_ssubscribe,
    &command_sunsubscribe, &command_publish,     &command_spublish,   &command_pubsub,       NULL,
};
