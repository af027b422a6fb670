#include "server/migrate.h"

#include "cache/fill.h"
#include "server/events.h"
#include "server/hold.h"
#include "server/salt_home.h"
#include "server/worker.h"
#include "transfer/migrator.h"

#include <stdio.h>

static uint16_t own_port(void *context)
{
    const struct node *node = context;

    return (uint16_t)config_int(node->config, port);
}

static void ended(void *context, void *ticket, enum migration_end end, const char *error)
{
    char text[HOLD_TEXT_BYTES];

    (void)context;
    switch (end) {
    case MIGRATION_DONE:
        hold_answer(ticket, false, "OK");
        return;
    case MIGRATION_NO_KEY:
        hold_answer(ticket, false, "NOKEY");
        return;
    case MIGRATION_NOT_CONNECTED:
        hold_answer(ticket, true, "IOERR error or timeout connecting to the client");
        return;
    case MIGRATION_NOT_WRITTEN:
        hold_answer(ticket, true, "IOERR error or timeout writing to target instance");
        return;
    case MIGRATION_NOT_READ:
        hold_answer(ticket, true, "IOERR error or timeout reading to target instance");
        return;
    case MIGRATION_REFUSED:
        snprintf(text, sizeof(text), "ERR Target instance replied with error: %s", error);
        hold_answer(ticket, true, text);
        return;
    }
}

static void released(void *context)
{
    struct node *node = context;

    for (int i = 0; i < node->worker_count; i++) worker_keys_released(node->workers[i]);
}

static void moved(void *context, struct bytes key)
{
    keyspace_event(context, EVENT_GENERIC, "del", key);
}

static bool may_leave(void *context, struct bytes key)
{
    const struct node *node = context;

    return node->salt_home == NULL || salt_home_may_leave(node->salt_home, key);
}

static bool may_be_sent(void *context, struct bytes key)
{
    const struct node *node = context;
    const struct slot_fills *of = fills_find(node->fills, keyspace_slot(node->keyspace, key_slot(key)));

    if (of != NULL && fill_is_walked(of)) return false;
    return node->salt_home == NULL || salt_home_may_be_sent(node->salt_home, key);
}

struct migration_site migrate_site(struct node *node)
{
    return (struct migration_site){ .keyspace = node->keyspace,
                                    .run_id = node->run_id,
                                    .context = node,
                                    .own_port = own_port,
                                    .ended = ended,
                                    .released = released,
                                    .moved = moved,
                                    .may_be_sent = may_be_sent,
                                    .may_leave = may_leave };
}

struct migrator *migrate_start(struct node *node)
{
    const struct migration_site site = migrate_site(node);

    return migrator_new(&site);
}
