#include "server/event_class.h"

#include "base/buf.h"

/* In the order they are shown. Those of A come first, and are left out where all of them are named by it. */
static const struct {
    char letter;
    uint32_t class;
} letters[] = {
    { 'A', EVENT_ALL },      { 'g', EVENT_GENERIC },  { '$', EVENT_STRING }, { 'l', EVENT_LIST },
    { 's', EVENT_SET },      { 'h', EVENT_HASH },     { 'z', EVENT_ZSET },   { 'x', EVENT_EXPIRED },
    { 'e', EVENT_EVICTED },  { 't', EVENT_STREAM },   { 'd', EVENT_MODULE }, { 'n', EVENT_NEW },
    { 'K', EVENT_KEYSPACE }, { 'E', EVENT_KEYEVENT }, { 'm', EVENT_MISSED }, { 'H', EVENT_HOT },
};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

bool event_classes_read(struct bytes text, uint32_t *classes)
{
    *classes = 0;
    for (size_t i = 0; i < text.len; i++) {
        size_t n = 0;

        while (n < LETTERS && letters[n].letter != text.data[i]) n++;
        if (n == LETTERS) return false;
        *classes |= letters[n].class;
    }
    return true;
}

void event_classes_write(uint32_t classes, struct buf *out)
{
    for (size_t n = 0; n < LETTERS; n++) {
        if ((classes & letters[n].class) != letters[n].class) continue;
        buf_append_byte(out, letters[n].letter);
        classes &= ~letters[n].class;
    }
}

void event_classes_show(uint32_t classes, struct buf *out)
{
    if ((classes & EVENT_ALL) == EVENT_ALL) classes &= ~(uint32_t)EVENT_NEW;
    event_classes_write(classes, out);
}
