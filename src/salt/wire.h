/* salt/wire.h
 *
 * How a message of salt/talk.h looks on a link: an array of bulk strings, the word first, then the fields that mean something with it, numbers as
 * decimal text. A helper's are requests, with SALTLINK before them, and answered +OK; home's come between those answers, and an array is
 * never an answer.
 *
 *     helper -> home     SALTLINK HELLO id session | RENEW number | JOIN base join sum | LEAVE base join | ACK base join seq
 *                        | FOLD base number epoch delta | READS base number
 *     home -> helper     WELCOME session | STALE session | RENEWED number lease-ms | REFUSED base join | INV base join seq closed
 *                        | VALUE base join seq value ttl-ms version birth fresh | TOTAL base join seq epoch total absent
 *                        | FOLDED base number epoch outcome total absent */
#pragma once

#include "base/buf.h"
#include "salt/talk.h"
#include "store/entry.h"

/* What VALUE has besides. */
struct salt_value {
    struct bytes value;
    int64_t ttl_ms; /* what was left of it when it was read at home; -1: it does not expire */
    struct entry_attributes attributes;
};

#define SALT_WORDS_MAX 10u

/* Appends the message as an array; value is NULL but for VALUE. As a request it has SALTLINK before it. */
void salt_wire_write(const struct salt_message *message, const struct salt_value *value, bool is_request,
                     struct buf *out);

/* Reads one from its words, that of the command left out. False where it is none that is said in this direction: nothing of it is believed. The message points
 * into the words. */
bool salt_wire_read(const struct bytes *words, size_t count, bool is_request, struct salt_message *message,
                    struct salt_value *value);
