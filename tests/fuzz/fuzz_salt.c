/* Any bytes as what other nodes say of salted keys are refused, or are what they say they are: written again they are the same, names lead to their key, and
 * neither home nor helper is brought out of their order by whoever is at the other end of a link.
 *
 *     first byte, modulo 4     what the rest is: parts, each ended by \x1e
 *     0   messages             each a direction byte, then words ended by \x1f (salt/wire.h)
 *     1   a key, then texts    of its entry, as they come one after the other (salt/registry.h)
 *     2   the lines of a file  of the shared set, with the right sum behind them; what is in it of salted keys goes to a registry
 *     3   a talk               each part two bytes, link and time, and a message as in 0 to a home or a helper (salt/home.h, salt/helper.h) */
#include "base/crc64.h"
#include "base/hash.h"
#include "base/keyslot.h"
#include "cluster/shared_set.h"
#include "salt/helper.h"
#include "salt/home.h"
#include "salt/registry.h"
#include "salt/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1795325880123)
#define ME "0000000000000000000000000000000000000000"
#define ADA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next part, without what ends it; false at the end. */
static bool cut(struct bytes *rest, char end, struct bytes *part)
{
    const char *at;

    if (rest->len == 0) return false;
    at = memchr(rest->data, end, rest->len);
    *part = (struct bytes){ rest->data, at == NULL ? rest->len : (size_t)(at - rest->data) };
    rest->data += part->len + (at != NULL);
    rest->len -= part->len + (at != NULL);
    return true;
}

static size_t split(struct bytes text, struct bytes words[SALT_WORDS_MAX])
{
    size_t count = 0;

    while (count < SALT_WORDS_MAX && cut(&text, '\x1f', &words[count])) count++;
    return count;
}

/* --- Messages --- */

/* The words of an array of bulk strings that we have written ourselves. */
static size_t words_of(struct bytes text, struct bytes words[SALT_WORDS_MAX + 1])
{
    size_t count = (size_t)strtoul(text.data + 1, NULL, 10);
    const char *at = strchr(text.data, '\n') + 1;

    if (count > SALT_WORDS_MAX + 1) abort();
    for (size_t i = 0; i < count; i++) {
        char *digits_end;
        size_t len = (size_t)strtoul(at + 1, &digits_end, 10);

        words[i] = (struct bytes){ digits_end + 2, len };
        at = digits_end + 2 + len + 2;
    }
    if (at != text.data + text.len) abort();
    return count;
}

static void read_and_write(struct bytes part)
{
    struct bytes words[SALT_WORDS_MAX], again[SALT_WORDS_MAX + 1];
    struct salt_message message, message_again;
    struct salt_value value, value_again;
    struct buf first = { 0 }, second = { 0 };
    bool is_request = part.len > 0 && (part.data[0] & 1);
    size_t count;

    if (part.len == 0) return;
    count = split((struct bytes){ part.data + 1, part.len - 1 }, words);
    if (!salt_wire_read(words, count, is_request, &message, &value)) return;
    if (message.base.len > SALT_BASE_BYTES_MAX) abort();
    salt_wire_write(&message, message.word == SALT_VALUE ? &value : NULL, is_request, &first);
    buf_append_byte(&first, '\0');
    first.len--;
    count = words_of(buf_bytes(&first), again);
    if (is_request && !bytes_equal(again[0], BYTES("SALTLINK"))) abort();
    if (!salt_wire_read(again + is_request, count - is_request, is_request, &message_again, &value_again)) abort();
    salt_wire_write(&message_again, message_again.word == SALT_VALUE ? &value_again : NULL, is_request, &second);
    if (!bytes_equal(buf_bytes(&first), buf_bytes(&second))) abort();
    buf_free(&first);
    buf_free(&second);
}

/* --- Entries --- */

static void check_name(const struct salt_registry *registry, const struct salt_entry *entry, unsigned id)
{
    struct buf name = { 0 };
    struct salt_parts parts;

    salt_name(entry->base, entry->separator, id, &name);
    if (salt_name_slot(entry->base, entry->separator, id) != key_slot(buf_bytes(&name))) abort();
    if (!salt_name_split(buf_bytes(&name), &parts)) abort();
    if (!bytes_equal((struct bytes){ parts.base, parts.base_bytes }, entry->base) || parts.id != id) abort();
    if (salt_registry_find_name(registry, buf_bytes(&name)) != entry) abort();
    buf_free(&name);
}

static void check_entry(const struct salt_registry *registry, const struct salt_entry *entry)
{
    if (entry->count > SALT_NAMES_MAX - 1 || entry->retired_count > SALT_RETIRED_MAX) abort();
    /* Of no base that has none is a name made. */
    if (entry->base.len == 0) return;
    for (unsigned i = 0; i < entry->count; i++) check_name(registry, entry, entry->ids[i]);
    for (unsigned i = 0; i < entry->retired_count; i++) check_name(registry, entry, entry->retired[i].id);
}

static void ignore(void *context, struct salt_entry *entry)
{
    (void)context;
    (void)entry;
}

static void take(struct salt_registry *registry, struct bytes base, struct bytes text, int64_t now_ms)
{
    char error[SALT_ERROR_BYTES] = "";
    struct salt_entry *entry = NULL, *again;

    switch (salt_registry_take(registry, base, text, now_ms, &entry, error)) {
    case SALT_TAKEN:
        if (entry == NULL || salt_registry_find(registry, base) != entry) abort();
        check_entry(registry, entry);
        if (salt_registry_take(registry, base, text, now_ms, &again, error) != SALT_NOTHING) abort();
        return;
    case SALT_DAMAGED:
        if (error[0] == '\0' || strlen(error) >= sizeof(error)) abort();
        return;
    case SALT_NOTHING:
    case SALT_FULL:
        return;
    }
}

static void entries(struct bytes rest)
{
    struct salt_registry *registry = salt_registry_new();
    struct bytes base, text;
    int64_t now_ms = NOW_MS;

    if (cut(&rest, '\x1e', &base))
        while (cut(&rest, '\x1e', &text)) {
            take(registry, base, text, now_ms);
            now_ms += 1000;
            salt_registry_expire(registry, now_ms, ignore, ignore, NULL);
            if (salt_registry_count(registry) > 0) {
                struct salt_change change = {
                    .separator = '~', .ids = (uint16_t[]){ 1, 7 }, .count = 2, .now_ms = now_ms, .grace_ms = 500
                };
                char error[SALT_ERROR_BYTES];
                struct salt_entry *entry = salt_registry_change(registry, base, &change, error);
                struct salt_registry *other = salt_registry_new();
                struct salt_entry *there;

                if (entry == NULL && error[0] == '\0') abort();
                if (entry != NULL) check_entry(registry, entry);
                /* What we write is read. */
                if (entry != NULL &&
                    salt_registry_take(other, base, buf_bytes(&entry->text), now_ms, &there, error) != SALT_TAKEN)
                    abort();
                salt_registry_free(&other, NULL, NULL);
            }
        }
    salt_registry_free(&registry, ignore, NULL);
}

/* --- The file --- */

static void file(struct bytes lines)
{
    struct shared_set set = { .entries = NULL }, again = { .entries = NULL };
    struct salt_registry *registry = salt_registry_new();
    struct buf text = { 0 }, first = { 0 }, second = { 0 };
    char error[256] = "";

    buf_append_text(&text, "redis-shard shared set 1\n");
    buf_append_bytes(&text, lines);
    buf_printf(&text, "sum %016" PRIx64 "\n", crc64(0, buf_bytes(&text)));
    if (!shared_set_load(&set, buf_bytes(&text), NOW_MS, error)) {
        if (error[0] == '\0' || strlen(error) >= sizeof(error)) abort();
    } else {
        for (size_t i = 0; i < set.count; i++) {
            struct shared_item item = shared_entry_item(set.entries[i]);

            if (!shared_item_is_valid(&item)) abort();
            if (item.kind == SHARED_SALT && !item.is_gone) take(registry, item.name, item.text, NOW_MS);
        }
        shared_set_save(&set, &first);
        if (!shared_set_load(&again, buf_bytes(&first), NOW_MS, error)) abort();
        shared_set_save(&again, &second);
        if (!bytes_equal(buf_bytes(&first), buf_bytes(&second))) abort();
        if (set.digest != again.digest || set.bytes != again.bytes) abort();
    }
    shared_set_free(&set);
    shared_set_free(&again);
    salt_registry_free(&registry, ignore, NULL);
    buf_free(&text);
    buf_free(&first);
    buf_free(&second);
}

/* --- A talk --- */

struct talk {
    struct home *home;
    struct helper *helper;
    struct salt_effects effects;
    salt_link opened;
    int64_t now_ms;
};

/* What a node would do, as far as it says more to either. */
static void carry_out(struct talk *talk)
{
    struct home_target targets[HOME_HELPERS_MAX];

    for (size_t i = 0; i < talk->effects.count && i < 4096; i++) {
        struct salt_effect effect = talk->effects.items[i];

        if (effect.kind == SALT_SEND && effect.message.base.len > SALT_BASE_BYTES_MAX) abort();
        if (effect.kind == SALT_PUSH &&
            home_push(talk->home, effect.message.base, talk->now_ms, targets) > HOME_HELPERS_MAX)
            abort();
    }
    salt_effects_clear(&talk->effects);
}

static void to_home(struct talk *talk, salt_link link, const struct salt_message *message)
{
    const int64_t total = 100;

    if (message->word != SALT_FOLD)
        home_message(talk->home, link, message, talk->now_ms, &talk->effects);
    else if (home_fold(talk->home, link, message, true, message->delta > 9 ? NULL : &total, talk->now_ms,
                       &talk->effects))
        home_folded(talk->home, link, message, (message->delta & 1) == 0, 7, &talk->effects);
}

static void to_helper(struct talk *talk, salt_link link, const struct salt_message *message,
                      const struct salt_value *value)
{
    struct helper_copy copy;
    int64_t total;

    if (message->word == SALT_VALUE) {
        if (helper_value(talk->helper, link, message, value->ttl_ms, &copy)) helper_copy_is_good(&copy, talk->now_ms);
    } else {
        helper_message(talk->helper, link, message, talk->now_ms, &talk->effects);
    }
    helper_add(talk->helper, BYTES("sum"), 3, talk->now_ms, &total);
    helper_sum(talk->helper, BYTES("sum"), talk->now_ms, &total);
}

static void say(struct talk *talk, struct bytes part)
{
    struct bytes words[SALT_WORDS_MAX];
    struct salt_message message;
    struct salt_value value;
    bool is_request;
    salt_link link;

    if (part.len < 3) return;
    link = 1 + (part.data[0] & 3);
    talk->now_ms += (unsigned char)part.data[1];
    is_request = (part.data[2] & 1) != 0;
    if (part.data[0] & 16) home_link_closed(talk->home, link, talk->now_ms, &talk->effects);
    if (part.data[0] & 32) home_changed(talk->home, BYTES("star"), HOME_CHANGED, talk->now_ms, &talk->effects);
    if (part.data[0] & 64) {
        helper_link_opened(talk->helper, ADA, ++talk->opened, talk->now_ms, &talk->effects);
    }
    if (salt_wire_read(words, split((struct bytes){ part.data + 3, part.len - 3 }, words), is_request, &message,
                       &value)) {
        if (is_request)
            to_home(talk, link, &message);
        else
            to_helper(talk, talk->opened, &message, &value);
    }
    home_tick(talk->home, talk->now_ms, &talk->effects);
    helper_tick(talk->helper, talk->now_ms, &talk->effects);
    carry_out(talk);
}

static void talk_of(struct bytes rest)
{
    struct helper_options options = { .id = ME, .first_session = 100, .renew_ms = 50, .silent_ms = 1000 };
    struct talk talk = { .home = home_new(&(struct home_options){ .lease_ms = 200, .sync = true }, 5000, 0),
                         .helper = helper_new(&options),
                         .opened = 10 };
    struct bytes part;

    home_cluster(talk.home, true, 0, &talk.effects);
    home_slot(talk.home, key_slot(BYTES("star")), HOME_SLOT_HERE, 0, &talk.effects);
    home_slot(talk.home, key_slot(BYTES("sum")), HOME_SLOT_HERE, 0, &talk.effects);
    home_salted(talk.home, BYTES("star"), false, 0, &talk.effects);
    home_salted(talk.home, BYTES("sum"), true, 0, &talk.effects);
    talk.now_ms = 1000;
    helper_want(talk.helper, BYTES("star"), ADA, false, talk.now_ms, &talk.effects);
    helper_want(talk.helper, BYTES("sum"), ADA, true, talk.now_ms, &talk.effects);
    while (cut(&rest, '\x1e', &part)) say(&talk, part);
    home_free(&talk.home);
    helper_free(&talk.helper);
    salt_effects_free(&talk.effects);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = { (const char *)data + 1, size - 1 }, part;

    if (size == 0) return 0;
    hash_set_seed(1);
    switch (data[0] % 4) {
    case 0:
        while (cut(&rest, '\x1e', &part)) read_and_write(part);
        return 0;
    case 1:
        entries(rest);
        return 0;
    case 2:
        file(rest);
        return 0;
    default:
        talk_of(rest);
        return 0;
    }
}
