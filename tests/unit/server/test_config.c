/* A configuration is read whole or refused with its place, and changes whole or not at all. */
#include "server/config.h"
#include "server/event_class.h"
#include "unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config_problem problem;
static char error[512];

static bool reads(struct config *config, const char *text)
{
    return config_read_text(config, bytes_of(text), "test.conf", &problem);
}

static bool text_is(struct config *config, enum config_text text, const char *wanted)
{
    char value[512];

    return config_text_copy(config, text, value, sizeof value) && strcmp(value, wanted) == 0;
}

TEST(a_file_sets_what_it_names_and_leaves_the_rest)
{
    struct config *config = config_new();

    CHECK(reads(config, "# a comment\n\nport 7001\r\n  MAXCLIENTS 50\nbind 127.0.0.1 -::1\nrequirepass \"a "
                        "b\"\nappendonly no\nsave \"\"\n"));
    CHECK(config_int(config, port) == 7001 && config_int(config, maxclients) == 50 &&
          config_int(config, cluster_node_timeout) == 15000);
    CHECK(text_is(config, CONFIG_BIND, "127.0.0.1 -::1") && config->requires_password);
    CHECK(config_password_matches(config, BYTES("a b")) && !config_password_matches(config, BYTES("a")));
    config_free(&config);
}

TEST(a_mistake_is_told_with_file_line_and_the_name_that_was_meant)
{
    struct config *config = config_new();

    CHECK(!reads(config, "port 1\nmaxclient 5\n"));
    CHECK(strstr(problem.text, "'test.conf', at line 2") && strstr(problem.text, ">>> 'maxclient 5'") &&
          strstr(problem.text, "Did you mean 'maxclients'?"));
    CHECK(!reads(config, "appendonly yes") && strstr(problem.text, "no append-only file"));
    CHECK(!reads(config, "requirepass secret word") && !strstr(problem.text, "secret"));
    CHECK(!reads(config, "requirepass \"secret") && !strstr(problem.text, "secret") &&
          strstr(problem.text, ">>> 'requirepass'"));
    CHECK(!reads(config, "'requirepass' \"secret") && !strstr(problem.text, "secret"));
    CHECK(!reads(config, "requirepas secret") && !strstr(problem.text, "secret") &&
          strstr(problem.text, "mean 'requirepass'"));
    CHECK(!reads(config, "tls-key-file-pass sec\"ret") && !strstr(problem.text, "sec\""));
    CHECK(!reads(config, "port \"7000") && strstr(problem.text, ">>> 'port \"7000'"));
    CHECK(!reads(config, "\"port\" \"7000") && strstr(problem.text, ">>> '\"port\" \"7000'"));
    config_free(&config);
}

TEST(arguments_are_names_and_values_until_the_next_name)
{
    struct config *config = config_new();
    char *arguments[] = { "--port", "7002",          "--save",   "--bind",     "127.0.0.1",
                          "::1",    "--requirepass", "--dashes", "--timeout 7" };

    CHECK(config_read_arguments(config, (int)(sizeof arguments / sizeof *arguments), arguments, &problem));
    CHECK(config_int(config, port) == 7002 && config_int(config, timeout) == 7 &&
          text_is(config, CONFIG_BIND, "127.0.0.1 ::1"));
    CHECK(config_password_matches(config, BYTES("--dashes")));
    config_free(&config);
}

TEST(a_change_of_several_directives_is_whole_or_not_at_all)
{
    struct config *config = config_new();
    struct config_pair good[] = { { BYTES("timeout"), BYTES("9") }, { BYTES("maxclients"), BYTES("77") } };
    struct config_pair bad[] = { { BYTES("timeout"), BYTES("1") }, { BYTES("maxclients"), BYTES("x") } };
    struct config_pair twice[] = { { BYTES("timeout"), BYTES("1") }, { BYTES("TIMEOUT"), BYTES("2") } };

    CHECK(config_set(config, good, 2, false, error));
    CHECK(!config_set(config, bad, 2, false, error));
    CHECK(strcmp(error, "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be "
                        "parsed into an integer") == 0);
    CHECK(!config_set(config, twice, 2, false, error) && strstr(error, "duplicate parameter"));
    CHECK(config_int(config, timeout) == 9 && config_int(config, maxclients) == 77);
    config_free(&config);
}

static bool refuses(void *context, struct config *config, char reason[256])
{
    int *calls = context;

    (void)config;
    ++*calls;
    snprintf(reason, 256, "not today");
    return false;
}

TEST(a_hook_that_refuses_takes_the_change_back)
{
    static const char *const names[] = { "maxclients", NULL };
    int calls = 0;
    struct config_hook hook = { .names = names, .changed = refuses, .context = &calls };
    struct config *config = config_new();
    struct config_pair pairs[] = { { BYTES("timeout"), BYTES("9") }, { BYTES("maxclients"), BYTES("77") } };

    config_on_change(config, &hook);
    CHECK(config_set(config, pairs, 1, false, error) && calls == 0);
    pairs[0].value = BYTES("10");
    CHECK(!config_set(config, pairs, 2, false, error) && strstr(error, "'maxclients') - not today"));
    CHECK(calls == 2 && config_int(config, timeout) == 9 && config_int(config, maxclients) == 10000);
    config_free(&config);
}

TEST(one_class_of_output_limits_changes_alone)
{
    struct config *config = config_new();
    struct config_pair pair = { BYTES("client-output-buffer-limit"), BYTES("replica 1mb 2k 3") };

    CHECK(config_set(config, &pair, 1, false, error));
    CHECK(text_is(config, CONFIG_CLIENT_OUTPUT_BUFFER_LIMIT,
                  "normal 1073741824 0 0 slave 1048576 2000 3 pubsub 33554432 8388608 60"));
    CHECK(config_int(config, client_output_buffer_limit[CLIENT_CLASS_REPLICA].soft_bytes) == 2000);
    CHECK(config_int(config, client_output_buffer_limit[CLIENT_CLASS_PUBSUB].hard_bytes) == 33554432);
    config_free(&config);
}

TEST(a_rewrite_keeps_comments_and_order_and_reads_back)
{
    char path[] = "/tmp/test_config_XXXXXX", now[1024] = "";
    struct config *config = config_new(), *again = config_new();
    struct config_pair pairs[] = { { BYTES("timeout"), BYTES("9") }, { BYTES("requirepass"), BYTES("a \"b\"") } };
    int fd = mkstemp(path);
    static const char before[] = "# mine\nport 7001\n\ntimeout 3\n# end\ntimeout 4\n";

    CHECK(fd >= 0 && write(fd, before, sizeof before - 1) == (ssize_t)sizeof before - 1);
    close(fd);
    CHECK(config_read_file(config, path, &problem));
    CHECK(config_set(config, pairs, 2, false, error) && config_rewrite(config, path, error));
    FILE *file = fopen(path, "r");
    CHECK(file && fread(now, 1, sizeof now - 1, file) > 0);
    fclose(file);
    CHECK(
        strcmp(now,
               "# mine\nport 7001\n\ntimeout 9\n# end\n# Generated by CONFIG REWRITE\nrequirepass \"a \\\"b\\\"\"\n") ==
        0);
    CHECK(config_read_file(again, path, &problem) && config_password_matches(again, BYTES("a \"b\"")));
    unlink(path);
    config_free(&config);
    config_free(&again);
}

TEST(a_list_holds_no_empty_word_and_no_word_with_spaces)
{
    struct config *config = config_new();

    CHECK(reads(config, "bind \"\" 127.0.0.1 \"\"\ntls-protocols \" a  b \" c \"\"") &&
          text_is(config, CONFIG_BIND, "127.0.0.1") && text_is(config, CONFIG_TLS_PROTOCOLS, "a b c"));
    CHECK(reads(config, "bind \"\" \"\"") && text_is(config, CONFIG_BIND, ""));
    config_free(&config);
}

static void count_one(void *context, struct bytes name, struct bytes value)
{
    (void)name;
    (void)value;
    ++*(int *)context;
}

TEST(policies_may_stand_many_times_and_are_written_as_many_lines)
{
    struct config *config = config_new();
    char path[] = "/tmp/test_config_XXXXXX";
    struct buf content = { 0 };
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    CHECK(reads(config, "policy user: ttl 100 guard yes\npolicy \"a b\" jitter 5\n"));
    CHECK(write(fd, "policy user: ttl 100\nport 1\npolicy x ttl 1\n", 43) == 43);
    CHECK(config_rewrite(config, path, error));
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    close(fd);
    fd = open(path, O_RDONLY);
    buf_reserve(&content, 4096);
    buf_added(&content, (size_t)read(fd, content.data, 4096));
    CHECK(content.len > 60);
    CHECK(memcmp(content.data, "policy user: ttl 100 guard yes\npolicy \"a b\" jitter 5\nport 6379\n", 63) == 0);
    /* None at all: the lines go. */
    config_put_text(config, CONFIG_POLICY, BYTES_NONE);
    CHECK(config_rewrite(config, path, error));
    close(fd);
    fd = open(path, O_RDONLY);
    buf_clear(&content);
    buf_added(&content, (size_t)read(fd, content.data, 4096));
    CHECK(memcmp(content.data, "port 6379\n", 10) == 0);
    close(fd);
    unlink(path);
    buf_free(&content);

    CHECK(!reads(config, "policy user:\n") && !reads(config, "policy user: ttl\n"));
    CHECK(!reads(config, "policy user: ttl x\n") && !reads(config, "policy user: other 1\n"));
    CHECK(!reads(config, "policy user: salt 0\n") && !reads(config, "default-ttl-ms -1\n"));
    config_free(&config);
}

TEST(every_default_reads_back_as_itself)
{
    struct config *config = config_new();
    struct buf file = { 0 }, live = { 0 };
    struct bytes all = BYTES("*");
    int count = 0;

    config_each(config, &all, 1, count_one, &count);
    CHECK(count >= 192);
    config_print_file(&file);
    /* A line "# name value" after its explanation is a directive; sentences begin with a capital letter or are no directive at all. */
    for (size_t at = 0; at < file.len;) {
        const char *end = memchr(file.data + at, '\n', file.len - at);
        size_t len = (size_t)(end - file.data) - at;
        struct words words;
        size_t options;
        const struct option *table = config_options(&options), *option = NULL;

        if (len > 2 && words_split((struct bytes){ file.data + at + 2, len - 2 }, &words) && words.count > 1)
            option = option_find(table, options, words.items[0]);
        if (option && !(option->flags & OPTION_HIDDEN) &&
            strncmp(file.data + at + 2, option->name, strlen(option->name)) == 0 && end[1] == '\n') {
            /* Of what may stand many times the default is not to stand there at all. */
            if (!(option->flags & OPTION_REPEATED)) buf_append(&live, file.data + at + 2, len - 1);
            count--;
        }
        if (len > 2) words_free(&words);
        at += len + 1;
    }
    buf_append_byte(&live, '\0');
    CHECK(reads(config, live.data));
    CHECK(live.len > 3000);
    buf_free(&file);
    buf_free(&live);
    config_free(&config);
}

TEST(a_word_of_a_list_cannot_begin_a_line_of_its_own)
{
    char path[] = "/tmp/test_config_XXXXXX";
    struct config *config = config_new(), *again = config_new();
    struct config_pair pairs[] = { { BYTES("tls-protocols"), BYTES("TLSv1.2\nport\t7009 \"#") } };
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    close(fd);
    CHECK(config_set(config, pairs, 1, false, error) && config_rewrite(config, path, error));
    CHECK(config_read_file(again, path, &problem));
    CHECK(config_int(again, port) == 6379 && text_is(again, CONFIG_TLS_PROTOCOLS, "TLSv1.2\nport\t7009 \"#"));
    unlink(path);
    config_free(&config);
    config_free(&again);
}

TEST(classes_of_events_are_shown_in_one_order_and_kept_as_bits)
{
    struct config *config = config_new();
    struct config_pair pair = { BYTES("notify-keyspace-events"), BYTES("HxnKEm$") };

    CHECK(config_int(config, event_classes) == 0);
    CHECK(config_set(config, &pair, 1, false, error));
    CHECK(text_is(config, CONFIG_NOTIFY_KEYSPACE_EVENTS, "$xnKEmH"));
    CHECK(config_int(config, event_classes) ==
          (EVENT_HOT | EVENT_EXPIRED | EVENT_NEW | EVENT_KEYSPACE | EVENT_KEYEVENT | EVENT_MISSED | EVENT_STRING));
    pair.value = BYTES("Axn");
    CHECK(config_set(config, &pair, 1, false, error) && text_is(config, CONFIG_NOTIFY_KEYSPACE_EVENTS, "An"));
    CHECK(config_int(config, event_classes) == (EVENT_ALL | EVENT_NEW));
    pair.value = BYTES("KEa");
    CHECK(!config_set(config, &pair, 1, false, error) && config_int(config, event_classes) == (EVENT_ALL | EVENT_NEW));
    config_free(&config);
}

TESTS(classes_of_events_are_shown_in_one_order_and_kept_as_bits, a_file_sets_what_it_names_and_leaves_the_rest,
      a_mistake_is_told_with_file_line_and_the_name_that_was_meant, arguments_are_names_and_values_until_the_next_name,
      a_change_of_several_directives_is_whole_or_not_at_all, a_hook_that_refuses_takes_the_change_back,
      one_class_of_output_limits_changes_alone, a_rewrite_keeps_comments_and_order_and_reads_back,
      a_word_of_a_list_cannot_begin_a_line_of_its_own, a_list_holds_no_empty_word_and_no_word_with_spaces,
      policies_may_stand_many_times_and_are_written_as_many_lines, every_default_reads_back_as_itself)
