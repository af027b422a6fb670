/* Payloads that servers of Redis 7.0 and 7.2 have made, ours beside them, and what is refused. */
#include "base/crc64.h"
#include "transfer/lzf.h"
#include "transfer/payload.h"
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define MOST (64u << 20)

static struct buf space;

static struct bytes from_hex(const char *hex)
{
    static char out[4096];
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
        out[i] = (char)strtoul(digits, NULL, 16);
    }
    return (struct bytes){ out, len };
}

/* A payload of what stands before the version, with a version and the right sum. */
static struct bytes framed(struct bytes object, unsigned version)
{
    static struct buf out;
    uint64_t sum;

    buf_clear(&out);
    buf_append_bytes(&out, object);
    buf_append_byte(&out, (char)version);
    buf_append_byte(&out, (char)(version >> 8));
    sum = crc64(0, buf_bytes(&out));
    for (int i = 0; i < 8; i++) buf_append_byte(&out, (char)(sum >> 8 * i));
    return buf_bytes(&out);
}

static enum payload_flaw flaw_of(const char *object_hex)
{
    struct bytes value;

    return payload_to_string(framed(from_hex(object_hex), 10), MOST, &space, &value);
}

static bool reads_as(struct bytes payload, struct bytes wanted)
{
    struct bytes value;

    return payload_to_string(payload, MOST, &space, &value) == PAYLOAD_FINE && bytes_equal(value, wanted);
}

static bool is_written(struct bytes value, const char *hex)
{
    static struct buf out;

    buf_clear(&out);
    payload_of_string(&out, value);
    return bytes_equal(buf_bytes(&out), from_hex(hex));
}

static bool both_ways(const char *value, const char *hex)
{
    struct bytes text = { value, strlen(value) };

    return is_written(text, hex) && reads_as(from_hex(hex), text);
}

TEST(strings_are_written_as_redis_writes_them_and_read_back)
{
    CHECK(both_ways("", "00000a005d9b5c400f7fa2da"));
    CHECK(both_ways("a", "0001610a00bffeef9b8f367db4"));
    CHECK(both_ways("hello", "000568656c6c6f0a006372df766534200a"));
    CHECK(both_ways("0", "00c0000a009840a778f8500308"));
    CHECK(both_ways("-1", "00c0ff0a000c937e2485089dc5"));
    CHECK(both_ways("127", "00c07f0a000db5eb315254c514"));
    CHECK(both_ways("128", "00c180000a00eb7ab3b510cf4b65"));
    CHECK(both_ways("-129", "00c17fff0a001760822854808480"));
    CHECK(both_ways("32768", "00c2008000000a0045d82eedd5bda910"));
    CHECK(both_ways("2147483647", "00c2ffffff7f0a002c74e59ee02eada1"));
    CHECK(both_ways("2147483648", "000a323134373438333634380a00e7b129a34c1d76ee"));
    CHECK(both_ways("-9223372036854775808", "00142d393232333337323033363835343737353830380a00ede2b956eb709e81"));
    CHECK(both_ways("007", "00033030370a007258e27b4c69bad9"));
    CHECK(both_ways("aaaaaaaaaaaaaaaaaaaa", "001461616161616161616161616161616161616161610a0083b46b5e1b11acf1"));
    CHECK(both_ways("3.5", "0003332e350a00214f9989cc908f67"));
}

TEST(the_length_takes_as_few_bytes_as_it_can)
{
    static const struct {
        size_t len;
        const char *head, *tail;
    } rows[] = {
        { 63, "003f", "0a00161b10084dce9e3c" },
        { 64, "004040", "0a008d1205c7473b5102" },
        { 16383, "007fff", "0a008539835aa8755b1b" },
        { 16384, "008000004000", "0a007342e31bba7d0380" },
    };
    static char many_q[16384];

    memset(many_q, 'q', sizeof(many_q));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf out = { 0 };
        struct bytes head, tail;

        payload_of_string(&out, (struct bytes){ many_q, rows[i].len });
        head = from_hex(rows[i].head);
        CHECK(out.len == head.len + rows[i].len + PAYLOAD_TAIL_BYTES);
        CHECK(memcmp(out.data, head.data, head.len) == 0);
        CHECK(memcmp(out.data + head.len, many_q, rows[i].len) == 0);
        tail = from_hex(rows[i].tail);
        CHECK(memcmp(out.data + out.len - tail.len, tail.data, tail.len) == 0);
        CHECK(reads_as(buf_bytes(&out), (struct bytes){ many_q, rows[i].len }));
        buf_free(&out);
    }
    /* Longer than need be is read all the same. */
    CHECK(reads_as(framed(from_hex("0080000000056f74686572"), 10), BYTES("other")));
    CHECK(reads_as(framed(from_hex("008100000000000000056f74686572"), 10), BYTES("other")));
}

TEST(what_redis_compressed_is_read)
{
    char many[100];
    char threes[60];

    memset(many, 'a', sizeof(many));
    for (size_t i = 0; i < sizeof(threes); i++) threes[i] = "abc"[i % 3];
    CHECK(reads_as(from_hex("00c30615016161e00a000a00fd0cb36807413f68"), (struct bytes){ many, 21 }));
    CHECK(reads_as(from_hex("00c3094064016161e057000161610a00e8a3b507b06df271"), (struct bytes){ many, 100 }));
    CHECK(reads_as(from_hex("00c30b3c0361626361e02d020162630a006f6029e4afd764ac"), (struct bytes){ threes, 60 }));
}

TEST(newer_servers_payloads_are_read_and_those_to_come_are_not)
{
    struct bytes value;

    CHECK(reads_as(from_hex("000568656c6c6f0b000aad620598abc983"), BYTES("hello")));
    for (unsigned version = 0; version < 300; version++)
        CHECK((payload_to_string(framed(from_hex("000161"), version), MOST, &space, &value) == PAYLOAD_FINE) ==
              (version <= 11));
}

TEST(damage_anywhere_is_noticed)
{
    struct buf whole = { 0 };
    struct bytes value;

    payload_of_string(&whole, BYTES("some value or other"));
    for (size_t cut = 0; cut < whole.len; cut++)
        CHECK(payload_to_string((struct bytes){ whole.data, cut }, MOST, &space, &value) == PAYLOAD_BAD_FRAME);
    for (size_t bit = 0; bit < whole.len * 8; bit++) {
        whole.data[bit / 8] = (char)(whole.data[bit / 8] ^ 1 << bit % 8);
        CHECK(payload_to_string(buf_bytes(&whole), MOST, &space, &value) == PAYLOAD_BAD_FRAME);
        whole.data[bit / 8] = (char)(whole.data[bit / 8] ^ 1 << bit % 8);
    }
    buf_free(&whole);
}

TEST(a_value_that_is_not_what_it_claims_is_refused)
{
    CHECK(flaw_of("") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00056865") == PAYLOAD_BAD_VALUE);             /* shorter than it says */
    CHECK(flaw_of("000568656c6c6f78797a") == PAYLOAD_BAD_VALUE); /* something behind it */
    CHECK(flaw_of("0040") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("0080000001") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("0081000000000000ff") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("0081ffffffffffffffff61") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("008200") == PAYLOAD_BAD_VALUE); /* no such length */
    CHECK(flaw_of("00c0") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c100") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c2000000") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c40161") == PAYLOAD_BAD_VALUE); /* no such form */
    CHECK(flaw_of("0800") == PAYLOAD_BAD_VALUE);     /* no such type */
    CHECK(flaw_of("1600") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("ff00") == PAYLOAD_BAD_VALUE);
}

TEST(what_is_compressed_wrongly_is_refused)
{
    CHECK(flaw_of("00c30615016161e00a00") == PAYLOAD_FINE);
    CHECK(flaw_of("00c30614016161e00a00") == PAYLOAD_BAD_VALUE); /* leads to more than it says */
    CHECK(flaw_of("00c30616016161e00a00") == PAYLOAD_BAD_VALUE); /* to less */
    CHECK(flaw_of("00c30715016161e00a00") == PAYLOAD_BAD_VALUE); /* is cut */
    CHECK(flaw_of("00c30515016161e00a00") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c30615016161e00a02") == PAYLOAD_BAD_VALUE); /* refers to before the beginning */
    CHECK(flaw_of("00c30103e0") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c30203e000") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c302040361") == PAYLOAD_BAD_VALUE); /* fewer as they are than it says */
    CHECK(flaw_of("00c3") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c306") == PAYLOAD_BAD_VALUE);
    CHECK(flaw_of("00c3c00615016161e00a00") == PAYLOAD_BAD_VALUE); /* a length that is a number */
}

TEST(claims_take_no_memory)
{
    /* A gigabyte out of three bytes, and as much as was allowed less one. */
    struct bytes value;
    char many[100];

    memset(many, 'a', sizeof(many));
    buf_free(&space);
    CHECK(flaw_of("00c3038040000000016161") == PAYLOAD_BAD_VALUE);
    CHECK(space.cap == 0);
    CHECK(payload_to_string(from_hex("00c3094064016161e057000161610a00e8a3b507b06df271"), 99, &space, &value) ==
          PAYLOAD_BAD_VALUE);
    CHECK(space.cap == 0);
    CHECK(payload_to_string(from_hex("00c3094064016161e057000161610a00e8a3b507b06df271"), 100, &space, &value) ==
          PAYLOAD_FINE);
    CHECK(payload_to_string(framed(from_hex("000361626300"), 10), 2, &space, &value) == PAYLOAD_BAD_VALUE);
}

TEST(other_types_are_named)
{
    static const struct {
        const char *hex, *name;
    } rows[] = {
        { "1201020a0a0000000100816102ff0a0009b9edf594ded995", "list" },
        { "0b0e02000000030000000100020003000a00a5025ce26d6e4d1b", "set" },
        { "100d0d0000000200816602817602ff0a0020f13d442354089d", "hash" },
        { "110c0c00000002008161020101ff0a00a805ceb8d7a93302", "sorted set" },
        { "13000001010000010101000a00cda16212d34bf396", "stream" },
        { "140a0a0000000100816102ff0b00f7df7fdb99ef7b74", "set" },
    };
    struct bytes value;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        CHECK(payload_to_string(from_hex(rows[i].hex), MOST, &space, &value) == PAYLOAD_FOREIGN_TYPE);
        assert_string_equal(rows[i].name, payload_type_name(from_hex(rows[i].hex)));
    }
}

TESTS(strings_are_written_as_redis_writes_them_and_read_back, the_length_takes_as_few_bytes_as_it_can,
      what_redis_compressed_is_read, newer_servers_payloads_are_read_and_those_to_come_are_not,
      damage_anywhere_is_noticed, a_value_that_is_not_what_it_claims_is_refused, what_is_compressed_wrongly_is_refused,
      claims_take_no_memory, other_types_are_named)
