/* bus/bus_share.c: the shared set as it is asked for through the bus, see share.h for what becomes of it. */
#include "base/clock.h"
#include "bus/bus_internal.h"
#include "bus/share.h"

bool bus_share_item(struct bus *bus, enum share_as as, struct shared_item *item, cluster_error error)
{
    struct effects *effects;
    bool ok = cluster_share_item(bus_lock(bus, &effects), as, item, clock_now_ms(), error);

    bus_unlock(bus);
    return ok;
}

bool bus_shared_wait(struct bus *bus)
{
    return share_wait(bus->share, &bus->lock, bus->cluster);
}

bool bus_shared_text(struct bus *bus, enum shared_kind kind, struct bytes name, struct buf *out)
{
    struct shared_item here;
    bool is_there;

    lock_take(&bus->lock);
    is_there = cluster_shared_find(bus->cluster, kind, name, &here) && !here.is_gone;
    if (is_there) buf_append_bytes(out, here.text);
    lock_release(&bus->lock);
    return is_there;
}

bool bus_shared_is_latest(struct bus *bus, const struct shared_item *item)
{
    struct shared_item here;
    bool is;

    lock_take(&bus->lock);
    is = cluster_shared_find(bus->cluster, (enum shared_kind)item->kind, item->name, &here) &&
         shared_version_compare(&here.version, &item->version) == 0;
    lock_release(&bus->lock);
    return is;
}

bool bus_shared_is_everywhere(struct bus *bus)
{
    bool is;

    lock_take(&bus->lock);
    is = cluster_shared_is_everywhere(bus->cluster);
    lock_release(&bus->lock);
    return is;
}

void bus_on_shared_items(struct bus *bus, enum shared_kind kind,
                         void (*came)(void *context, const struct shared_item *items, size_t count), void *context)
{
    share_listen(bus->share, kind, came, context, &bus->lock, bus->cluster);
}
