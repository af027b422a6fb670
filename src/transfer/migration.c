#include "transfer/migration_internal.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/log.h"
#include "cluster/owner.h"
#include "store/account.h"
#include "store/keyspace.h"
#include "transfer/payload.h"

#include <hiredis/hiredis.h>
#include <unistd.h>

/* A reply to RESTORE is a line. */
#define REPLY_BYTES_MAX ((size_t)64 << 10)
/* Who meets a key that another mover sends looks so often whether that is over. */
/* Longer than whatever it waits for takes. */
#define LEAVE_PAUSE_US 2000
#define LEAVE_TRIES_MAX 15000
#define MARKED_PAUSE_US 2000
/* How long keys stay marked at most when nobody can say what became of them. */
#define DOUBT_MS_MAX 15000

/* --- The request --- */

static size_t text_bytes(const struct migration_options *options)
{
    const struct target_address *address = &options->address;
    size_t total = address->host.len + address->port.len + address->user.len + address->password.len;

    for (size_t i = 0; i < options->key_count; i++) total += options->keys[i].len;
    return total;
}

static struct bytes keep_text(char **at, struct bytes text)
{
    struct bytes kept = { *at, text.len };

    if (text.len > 0) memcpy(*at, text.data, text.len);
    *at += text.len;
    return kept;
}

struct migration *migration_new(const struct migration_options *options)
{
    struct migration *migration = alloc_zeroed(sizeof(*migration));
    struct target_address *address = &migration->options.address;
    struct bytes *keys = alloc(options->key_count * sizeof(*keys) + text_bytes(options) + 1);
    char *at = (char *)(keys + options->key_count);

    migration->options = *options;
    migration->options.keys = keys;
    for (size_t i = 0; i < options->key_count; i++) keys[i] = keep_text(&at, options->keys[i]);
    address->host = keep_text(&at, options->address.host);
    address->port = keep_text(&at, options->address.port);
    address->user = keep_text(&at, options->address.user);
    address->password = keep_text(&at, options->address.password);
    return migration;
}

void migration_free(struct migration **held)
{
    struct migration *migration = *held;

    *held = NULL;
    if (migration == NULL) return;
    explicit_bzero((char *)(uintptr_t)migration->options.address.password.data,
                   migration->options.address.password.len);
    buf_free(&migration->batch.values);
    alloc_free((void *)(uintptr_t)migration->options.keys);
    alloc_free(migration);
}

static void answer(struct migration *migration, const struct migration_site *site, enum migration_end end)
{
    if (migration->has_answered) return;
    migration->has_answered = true;
    site->ended(site->context, migration->options.ticket, end, migration->error);
}

void migration_drop(struct migration **migration, const struct migration_site *site)
{
    answer(*migration, site, MIGRATION_NOT_CONNECTED);
    migration_free(migration);
}

/* --- Packing --- */

struct bytes parcel_value(const struct batch *batch, const struct parcel *parcel)
{
    return parcel->big != NULL ? entry_value(parcel->big)
                               : (struct bytes){ batch->values.data + parcel->offset, parcel->len };
}

/* Keys of a slot that is another's by now are about to be dropped: they are not ours to send. */
static bool is_ours(const struct slot *slot)
{
    struct owner owner = owner_unpack(slot_owner(slot));

    return owner.state == OWNER_HERE || (owner.flags & OWNER_IMPORTING) != 0;
}

enum packed { PACKED, NOT_HERE, MARKED_BY_OTHERS, NOT_COMPLETE };

/* With the slot locked. */
static enum packed take_value(struct migration *migration, const struct migration_site *site, struct parcel *parcel,
                              int64_t now_ms)
{
    struct batch *batch = &migration->batch;
    struct bytes key = parcel->mark.key;
    struct entry *entry;

    if (!migration->options.copies && slot_is_in_flight(parcel->slot, key)) return MARKED_BY_OTHERS;
    entry = is_ours(parcel->slot) ? slot_find(parcel->slot, key, now_ms) : NULL;
    if (entry == NULL) return NOT_HERE;
    if (!migration->options.copies && site->may_be_sent != NULL && migration->waited < LEAVE_TRIES_MAX &&
        !site->may_be_sent(site->context, key))
        return NOT_COMPLETE;
    parcel->expires_at_ms = entry_expires_at_ms(entry);
    if (migration->options.to_kin) parcel->attributes = entry_attributes(entry);
    parcel->len = entry_value(entry).len;
    if (entry_is_big(entry)) {
        entry_hold(entry);
        parcel->big = entry;
    } else {
        parcel->offset = batch->values.len;
        buf_append_bytes(&batch->values, entry_value(entry));
    }
    if (!migration->options.copies) slot_mark(parcel->slot, &parcel->mark);
    return PACKED;
}

/* Whoever is alive comes due after 1970, or the clock is wrong; 0 would say that it never does. */
static int64_t unix_deadline(int64_t expires_at_ms)
{
    int64_t unix_ms = expires_at_ms == ENTRY_KEEPS_FOREVER ? 0 : clock_deadline_to_wall_ms(expires_at_ms);

    return unix_ms > 0 || expires_at_ms == ENTRY_KEEPS_FOREVER ? unix_ms : 1;
}

static enum packed pack(struct migration *migration, const struct migration_site *site, struct bytes key)
{
    struct batch *batch = &migration->batch;
    struct parcel *parcel = &batch->parcels[batch->count];
    int64_t now_ms = clock_now_ms();
    enum packed packed;

    *parcel = (struct parcel){ .mark = { .key = key, .hash = slot_hash(key) },
                               .slot = keyspace_slot(site->keyspace, key_slot(key)) };
    slot_lock(parcel->slot);
    packed = take_value(migration, site, parcel, now_ms);
    slot_unlock(parcel->slot);
    if (packed != PACKED) return packed;
    parcel->unix_ms = unix_deadline(parcel->expires_at_ms);
    if (parcel->attributes.birth_s != 0)
        parcel->attributes.birth_s =
            (uint32_t)(clock_deadline_to_wall_ms((int64_t)parcel->attributes.birth_s * 1000) / 1000);
    batch->count++;
    batch->bytes += parcel->len;
    return PACKED;
}

/* Fills the batch with the next keys that are here. */
static void pack_some(struct migration *migration, const struct migration_site *site)
{
    const struct migration_options *options = &migration->options;
    struct batch *batch = &migration->batch;

    batch->count = batch->bytes = 0;
    buf_clear(&batch->values);
    while (migration->next < options->key_count && batch->count < BATCH_KEYS_MAX && batch->bytes < BATCH_BYTES_MAX) {
        switch (pack(migration, site, options->keys[migration->next])) {
        case PACKED:
            migration->found_any = true;
            break;
        case NOT_HERE:
            break;
        case MARKED_BY_OTHERS:
            /* Two movers must not wait for each other, so who has marked something goes on without waiting. */
            if (batch->count > 0 || atomic_load_explicit(site->ending, memory_order_relaxed)) return;
            usleep(MARKED_PAUSE_US);
            continue;
        case NOT_COMPLETE:
            if (batch->count > 0 || atomic_load_explicit(site->ending, memory_order_relaxed)) return;
            migration->waited++;
            usleep(LEAVE_PAUSE_US);
            continue;
        }
        migration->waited = 0;
        migration->next++;
    }
}

/* Somebody may still tell its value in our name. Asked before it is sent, as it may be written there from then on, and again before it is deleted, as the
 * slot may have stopped leaving meanwhile. */
static void wait_until_it_may_leave(const struct migration_site *site, struct parcel *parcel, bool is_sent)
{
    bool may = site->may_leave == NULL;

    for (int tries = 0; !may && tries < LEAVE_TRIES_MAX; tries++) {
        if (tries > 0) usleep(LEAVE_PAUSE_US);
        slot_lock(parcel->slot);
        may = site->may_leave(site->context, parcel->mark.key);
        if (is_sent) slot_mark_sent(parcel->slot, &parcel->mark, may);
        slot_unlock(parcel->slot);
    }
}

void parcel_settle(struct migration *migration, const struct migration_site *site, struct parcel *parcel,
                   bool has_arrived)
{
    if (!migration->options.copies) {
        int64_t now_ms;

        if (has_arrived) wait_until_it_may_leave(site, parcel, false);
        now_ms = clock_now_ms();
        slot_lock(parcel->slot);
        if (has_arrived && slot_remove(parcel->slot, parcel->mark.key, now_ms) && site->moved != NULL)
            site->moved(site->context, parcel->mark.key);
        slot_unmark(parcel->slot, &parcel->mark);
        slot_unlock(parcel->slot);
    }
    entry_free(&parcel->big);
    parcel->is_settled = true;
}

static void settle_rest(struct migration *migration, const struct migration_site *site)
{
    struct batch *batch = &migration->batch;

    for (size_t i = 0; i < batch->count; i++)
        if (!batch->parcels[i].is_settled) parcel_settle(migration, site, &batch->parcels[i], false);
    account_settle(); /* a mover may not come back for long */
    site->released(site->context);
}

/* --- Sending --- */

/* The text of the requests, and where in it the big values belong. */
struct letter {
    struct buf text;
    size_t part_count, from; /* what stands from there on is in no part yet */
    struct part {
        size_t offset, len; /* of the text */
        struct bytes big;   /* behind it */
    } parts[BATCH_KEYS_MAX + 1];
};

static void end_part(struct letter *letter, struct bytes big)
{
    letter->parts[letter->part_count++] =
        (struct part){ .offset = letter->from, .len = letter->text.len - letter->from, .big = big };
    letter->from = letter->text.len;
}

static void write_word(struct letter *letter, struct bytes word)
{
    buf_printf(&letter->text, "$%zu\r\n", word.len);
    buf_append_bytes(&letter->text, word);
    buf_append_text(&letter->text, "\r\n");
}

static void write_payload(struct letter *letter, const struct batch *batch, const struct parcel *parcel)
{
    struct bytes value = parcel_value(batch, parcel);
    char head_bytes[PAYLOAD_HEAD_MAX], tail[PAYLOAD_TAIL_BYTES];
    bool value_follows;
    struct bytes head = { head_bytes, payload_head(value, head_bytes, &value_follows) };
    uint64_t crc = crc64(0, head);

    if (value_follows) crc = crc64(crc, value);
    payload_tail(crc, tail);
    buf_printf(&letter->text, "$%zu\r\n", head.len + (value_follows ? value.len : 0) + sizeof(tail));
    buf_append_bytes(&letter->text, head);
    if (parcel->big != NULL)
        end_part(letter, value);
    else if (value_follows)
        buf_append_bytes(&letter->text, value);
    buf_append(&letter->text, tail, sizeof(tail));
    buf_append_text(&letter->text, "\r\n");
}

static void write_option(struct letter *letter, struct bytes word, uint64_t number)
{
    char text[I64_TEXT_BYTES];

    write_word(letter, word);
    write_word(letter, (struct bytes){ text, i64_to_text(text, (int64_t)number) });
}

static void write_attributes(struct letter *letter, const struct entry_attributes *attributes)
{
    if (attributes->version != 0) write_option(letter, BYTES("VER"), attributes->version & ~ENTRY_VERSIONED);
    if (attributes->birth_s != 0) write_option(letter, BYTES("BIRTH"), attributes->birth_s);
    if (attributes->fresh_ms != 0) write_option(letter, BYTES("FRESH"), attributes->fresh_ms);
}

static int attribute_words(const struct entry_attributes *attributes)
{
    return 2 * ((attributes->version != 0) + (attributes->birth_s != 0) + (attributes->fresh_ms != 0));
}

static void write_request(struct letter *letter, const struct migration *migration, const struct parcel *parcel)
{
    const struct migration_options *options = &migration->options;
    char ttl[I64_TEXT_BYTES];

    buf_printf(&letter->text, "*%d\r\n",
               4 + (parcel->unix_ms != 0) + options->replaces + attribute_words(&parcel->attributes));
    write_word(letter, options->asks ? BYTES("RESTORE-ASKING") : BYTES("RESTORE"));
    write_word(letter, parcel->mark.key);
    write_word(letter, (struct bytes){ ttl, i64_to_text(ttl, parcel->unix_ms) });
    write_payload(letter, &migration->batch, parcel);
    if (parcel->unix_ms != 0) write_word(letter, BYTES("ABSTTL"));
    if (options->replaces) write_word(letter, BYTES("REPLACE"));
    write_attributes(letter, &parcel->attributes);
}

static enum target_fault send_batch(const struct migration *migration, struct target *target,
                                    const struct target_patience *patience)
{
    struct letter *letter = alloc_zeroed(sizeof(*letter));
    struct iovec parts[2 * (BATCH_KEYS_MAX + 1)];
    size_t count = 0;
    enum target_fault fault;

    for (size_t i = 0; i < migration->batch.count; i++) write_request(letter, migration, &migration->batch.parcels[i]);
    end_part(letter, BYTES_NONE);
    for (size_t i = 0; i < letter->part_count; i++) {
        const struct part *part = &letter->parts[i];

        parts[count++] = (struct iovec){ letter->text.data + part->offset, part->len };
        if (part->big.len > 0) parts[count++] = (struct iovec){ (void *)(uintptr_t)part->big.data, part->big.len };
    }
    fault = target_write(target, parts, count, patience);
    buf_free(&letter->text);
    alloc_free(letter);
    return fault;
}

/* Keys are settled one by one, as the target says that it has them. */
static enum target_fault read_replies(struct migration *migration, const struct migration_site *site,
                                      struct target *target, const struct target_patience *patience)
{
    for (size_t i = 0; i < migration->batch.count; i++) {
        struct redisReply *reply;
        enum target_fault fault = target_read(target, REPLY_BYTES_MAX, patience, &reply);
        bool is_error;

        if (fault != TARGET_FINE) return fault;
        is_error = reply->type == REDIS_REPLY_ERROR;
        if (is_error && migration->error[0] == '\0') target_error_text(reply, migration->error);
        target_reply_free(reply);
        parcel_settle(migration, site, &migration->batch.parcels[i], !is_error);
    }
    return TARGET_FINE;
}

/* --- All of it --- */

static enum migration_end end_of(enum target_fault fault)
{
    switch (fault) {
    case TARGET_FINE:
        return MIGRATION_REFUSED; /* an answer, but an error */
    case TARGET_NOT_CONNECTED:
        return MIGRATION_NOT_CONNECTED;
    case TARGET_NOBODY_THERE:
    case TARGET_NOT_WRITTEN:
        return MIGRATION_NOT_WRITTEN;
    case TARGET_NOT_READ:
        return MIGRATION_NOT_READ;
    }
    return MIGRATION_NOT_CONNECTED;
}

/* Before it is sent; and where nobody can say whether it has arrived, so that it is read here for as long as that may take. */
static void prepare_batch(struct migration *migration, const struct migration_site *site)
{
    for (size_t i = 0; !migration->options.copies && i < migration->batch.count; i++)
        wait_until_it_may_leave(site, &migration->batch.parcels[i], true);
}

static void take_batch_back(struct migration *migration, const struct migration_site *site)
{
    for (size_t i = 0; !migration->options.copies && i < migration->batch.count; i++) {
        struct parcel *parcel = &migration->batch.parcels[i];

        if (parcel->is_settled) continue;
        slot_lock(parcel->slot);
        slot_mark_sent(parcel->slot, &parcel->mark, false);
        slot_unlock(parcel->slot);
    }
    site->released(site->context);
}

/* The link broke with keys on it. The client is told after the time that the target has for any other reply; after that, and for a
 * while, only the keys wait. True where all have arrived and the migration goes on. */
static bool resolve(struct migration *migration, const struct migration_site *site, const char *former_name,
                    enum target_fault fault)
{
    int64_t now_ms = clock_monotonic_ms(), timeout_ms = migration->options.timeout_ms;
    bool all_arrived = false;

    if (migration->options.copies) return false;
    if (timeout_ms > DOUBT_MS_MAX) timeout_ms = DOUBT_MS_MAX;
    if (doubt_resolve(migration, site, former_name, now_ms + timeout_ms, &all_arrived)) return all_arrived;
    answer(migration, site, end_of(fault));
    if (!doubt_resolve(migration, site, former_name, now_ms + DOUBT_MS_MAX, &all_arrived) &&
        !atomic_load_explicit(site->ending, memory_order_relaxed))
        log_warning("migrate: %.*s:%.*s does not say whether keys sent to it have arrived; they stay here, too",
                    (int)migration->options.address.host.len, migration->options.address.host.data,
                    (int)migration->options.address.port.len, migration->options.address.port.data);
    return false;
}

/* Sends one batch; false where that was the last. */
static bool move_batch(struct migration *migration, const struct migration_site *site, struct target **target)
{
    struct target_patience patience = { migration->options.timeout_ms, site->ending };
    char former_name[64], error[TARGET_ERROR_BYTES] = "";
    enum target_fault fault = TARGET_FINE;

    if (*target == NULL) *target = target_open(site->targets, &migration->options.address, &patience, &fault, error);
    if (*target == NULL) {
        if (migration->error[0] == '\0') memcpy(migration->error, error, sizeof(error));
        answer(migration, site, end_of(fault));
        return false;
    }
    if (target_is_local_port(*target, site->own_port(site->context))) {
        /* It would wait for the mark that it has set itself. */
        answer(migration, site, MIGRATION_NOT_READ);
        return false;
    }
    snprintf(former_name, sizeof(former_name), "%s", target_local_name(*target));
    prepare_batch(migration, site);
    fault = send_batch(migration, *target, &patience);
    if (fault == TARGET_FINE) fault = read_replies(migration, site, *target, &patience);
    if (fault == TARGET_FINE) return true;
    target_close(target);
    take_batch_back(migration, site);
    if (resolve(migration, site, former_name, fault)) return true;
    answer(migration, site, end_of(fault));
    return false;
}

void migration_run(struct migration **held, const struct migration_site *site)
{
    struct migration *migration = *held;
    struct target *target = NULL;
    bool more = true;

    while (more && migration->next < migration->options.key_count) {
        pack_some(migration, site);
        if (migration->batch.count == 0) break;
        more = move_batch(migration, site, &target);
        settle_rest(migration, site);
    }
    target_keep(site->targets, &target);
    answer(migration, site,
           !migration->found_any         ? MIGRATION_NO_KEY
           : migration->error[0] != '\0' ? MIGRATION_REFUSED
                                         : MIGRATION_DONE);
    migration_free(held);
}
