/* sim/salt/wire.c */
#include "sim/salt/world.h"

#include "base/alloc.h"

#include <string.h>

int64_t between(struct world *world, int64_t low, int64_t high)
{
    return low + (int64_t)random_below(&world->random, (uint64_t)(high - low + 1));
}

/* --- What is to come --- */

static bool comes_before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void schedule(struct world *world, struct event event, int64_t in_us)
{
    size_t at;

    event.at_us = world->now_us + in_us;
    event.order = world->order++;
    event.incarnation = world->nodes[event.node].incarnation;
    if (world->queue_count == world->queue_cap) {
        world->queue_cap = world->queue_cap ? world->queue_cap * 2 : 1024;
        world->queue = alloc_resize(world->queue, world->queue_cap * sizeof(*world->queue));
    }
    for (at = world->queue_count++; at > 0 && comes_before(&event, &world->queue[(at - 1) / 2]); at = (at - 1) / 2)
        world->queue[at] = world->queue[(at - 1) / 2];
    world->queue[at] = event;
}

bool next_event(struct world *world, struct event *event)
{
    struct event last;
    size_t at = 0;

    if (world->queue_count == 0) return false;
    *event = world->queue[0];
    last = world->queue[--world->queue_count];
    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= world->queue_count) break;
        if (child + 1 < world->queue_count && comes_before(&world->queue[child + 1], &world->queue[child])) child++;
        if (!comes_before(&world->queue[child], &last)) break;
        world->queue[at] = world->queue[child];
        at = child;
    }
    if (world->queue_count > 0) world->queue[at] = last;
    world->now_us = event->at_us;
    return true;
}

/* --- Messages --- */

struct salt_message message_copy(const struct salt_message *message)
{
    struct salt_message copy = *message;

    if (message->base.len > 0) {
        char *base = alloc(message->base.len);

        memcpy(base, message->base.data, message->base.len);
        copy.base.data = base;
    }
    return copy;
}

void message_free(struct salt_message *message)
{
    if (message->base.len > 0) alloc_free((void *)(uintptr_t)message->base.data);
    message->base = BYTES_NONE;
}

/* --- Links --- */

salt_link link_name(size_t link)
{
    return (salt_link)link + 1;
}

struct link *link_of(struct world *world, salt_link name, size_t *index)
{
    if (name == 0 || name > world->link_count) return NULL;
    *index = (size_t)name - 1;
    return world->links[*index];
}

size_t link_new(struct world *world, uint8_t helper, uint8_t home)
{
    struct link *link = alloc_zeroed(sizeof(*link));

    *link = (struct link){ .helper = helper,
                           .home = home,
                           .helper_incarnation = world->nodes[helper].incarnation,
                           .home_incarnation = world->nodes[home].incarnation,
                           .helper_open = true,
                           .home_open = true,
                           .delay_us = CHANCE(world, 80) ? between(world, 100, 3000) : between(world, 3000, 15000) };
    if (world->link_count == world->link_cap) {
        world->link_cap = world->link_cap ? world->link_cap * 2 : 64;
        world->links = alloc_resize(world->links, world->link_cap * sizeof(struct link *));
    }
    world->links[world->link_count] = link;
    return world->link_count++;
}

static void put(struct world *world, size_t index, bool to_home, const struct salt_message *message, int64_t value,
                bool is_end)
{
    struct link *link = world->links[index];
    struct way *way = to_home ? &link->to_home : &link->to_helper;
    int64_t at_us = world->now_us + link->delay_us + between(world, 0, link->delay_us);

    if (world->has_spikes && CHANCE(world, 1)) {
        at_us += between(world, 0, 100000);
        touched(world, link->helper);
        touched(world, link->home);
    }
    if (at_us < way->last_us) at_us = way->last_us;
    way->last_us = at_us;
    if (way->count == way->cap) {
        way->cap = way->cap ? way->cap * 2 : 8;
        way->items = alloc_resize(way->items, way->cap * sizeof(*way->items));
    }
    way->items[way->count].message = message != NULL ? message_copy(message) : (struct salt_message){ 0 };
    way->items[way->count].value = value;
    way->items[way->count].at_us = at_us;
    way->items[way->count++].is_end = is_end;
    if (way->is_pumping) return;
    way->is_pumping = true;
    schedule(world, (struct event){ .kind = EVENT_PUMP, .link = index, .way = to_home }, at_us - world->now_us);
}

void link_send(struct world *world, size_t index, bool to_home, const struct salt_message *message, int64_t value)
{
    const struct link *link = world->links[index];

    if (to_home ? link->helper_open : link->home_open) put(world, index, to_home, message, value, false);
}

void link_close(struct world *world, size_t index, bool at_home, bool tell)
{
    struct link *link = world->links[index];
    bool *open = at_home ? &link->home_open : &link->helper_open;

    if (!*open) return;
    *open = false;
    touched(world, link->helper);
    if (tell) put(world, index, !at_home, NULL, 0, true);
}

/* Hands over what has arrived at one end, in order; what is cut off, or comes to who stands still, waits. */
void pump(struct world *world, const struct event *event)
{
    struct link *link = world->links[event->link];
    bool to_home = event->way;
    struct way *way = to_home ? &link->to_home : &link->to_helper;
    uint8_t from = to_home ? link->helper : link->home, to = to_home ? link->home : link->helper;
    int64_t wait_until_us = 0;

    way->is_pumping = false;
    while (way->count > 0) {
        struct salt_message message = way->items[0].message;
        int64_t value = way->items[0].value;
        bool is_end = way->items[0].is_end;

        wait_until_us = way->items[0].at_us;
        /* What was cut off is sent again, sooner or later: another link may be faster. */
        if (world->now_us < world->cut_until_us[from][to] && way->held_until_us < world->cut_until_us[from][to])
            way->held_until_us = world->cut_until_us[from][to] + between(world, 0, 400000);
        if (wait_until_us < way->held_until_us) wait_until_us = way->held_until_us;
        if (wait_until_us < world->nodes[to].stopped_until_us) wait_until_us = world->nodes[to].stopped_until_us;
        if (wait_until_us > world->now_us) break;
        memmove(way->items, way->items + 1, --way->count * sizeof(*way->items));
        way->is_pumping = true; /* what it sets off does not start another */
        deliver(world, event->link, to_home, &message, value, is_end);
        way->is_pumping = false;
        message_free(&message);
    }
    if (way->count == 0) return;
    way->is_pumping = true;
    schedule(world, (struct event){ .kind = EVENT_PUMP, .link = event->link, .way = to_home },
             wait_until_us - world->now_us + 1);
}

static void way_free(struct way *way)
{
    for (size_t i = 0; i < way->count; i++) message_free(&way->items[i].message);
    alloc_free(way->items);
}

void wire_free(struct world *world)
{
    for (size_t i = 0; i < world->queue_count; i++) message_free(&world->queue[i].message);
    for (size_t i = 0; i < world->link_count; i++) {
        way_free(&world->links[i]->to_home);
        way_free(&world->links[i]->to_helper);
        alloc_free(world->links[i]);
    }
    alloc_free(world->links);
    alloc_free(world->queue);
}
