/* A line in the log is one event, whatever text it was given. */
#include "base/log.h"
#include "unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/test_log_XXXXXX";

/* What stands in the log, which is then emptied. */
static const char *logged(void)
{
    static char text[8192];
    int file = open(path, O_RDONLY);
    ssize_t len = read(file, text, sizeof(text) - 1);

    close(file);
    text[len < 0 ? 0 : len] = '\0';
    CHECK(truncate(path, 0) == 0);
    return text;
}

TEST(a_line_has_its_form)
{
    int pid, day, year, hour, minute, second, ms;
    char role, month[8], mark, message[64];

    CHECK(log_open(path));
    log_set_role('S');
    log_warning("slot %u: migrated", 12u);
    CHECK(sscanf(logged(), "%d:%c %d %3s %d %d:%d:%d.%d %c %63[^\n]", &pid, &role, &day, month, &year, &hour, &minute,
                 &second, &ms, &mark, message) == 11);
    CHECK(pid == getpid() && role == 'S' && mark == '#' && year > 2000 && strcmp(message, "slot 12: migrated") == 0);
    log_set_role('M');
}

TEST(no_text_from_outside_forges_a_line)
{
    const char *text;

    log_notice("client named %s", "x\r\n1:M 01 Jan 2000 00:00:00.000 # forged\x1b[2J\t\x7f");
    text = logged();
    CHECK(strchr(text, '\n') == text + strlen(text) - 1);
    CHECK(strstr(text, "x\\r\\n1:M") && strstr(text, "\\x1b[2J\\t\\x7f"));
}

TEST(a_long_message_is_cut_and_still_ends_its_line)
{
    char *text = calloc(1, 20001);
    const char *line;

    for (int i = 0; i < 2; i++) {
        memset(text, i == 0 ? 'l' : '\x01', 20000);
        log_notice("%s", text);
        line = logged();
        CHECK(strlen(line) > 1000 && strlen(line) < 4096 && strchr(line, '\n') == line + strlen(line) - 1);
    }
    free(text);
}

TEST(levels_below_the_chosen_one_are_silent)
{
    log_set_level(LOG_WARNING);
    log_notice("quiet");
    log_debug("quiet");
    CHECK(strcmp(logged(), "") == 0);
    log_set_level(LOG_DEBUG);
    log_debug("loud");
    CHECK(strstr(logged(), " . loud\n") != NULL);
    log_set_level(LOG_NOTICE);
}

TEST(a_log_that_was_moved_away_is_begun_anew)
{
    char moved[sizeof(path) + 8];
    int before = log_descriptor();

    snprintf(moved, sizeof(moved), "%s.1", path);
    CHECK(rename(path, moved) == 0);
    CHECK(log_reopen());
    CHECK(log_descriptor() == before); /* no writer ever holds a closed one */
    log_notice("fresh");
    CHECK(strstr(logged(), "fresh") != NULL);
    unlink(moved);
}

TEST(nobody_else_may_read_a_log_that_is_begun)
{
    mode_t mask = umask(0);
    struct stat file;

    CHECK(unlink(path) == 0 && log_reopen());
    CHECK(stat(path, &file) == 0 && (file.st_mode & 07777) == 0600);
    /* Who widened it had his reasons. */
    CHECK(chmod(path, 0640) == 0 && log_reopen());
    CHECK(stat(path, &file) == 0 && (file.st_mode & 07777) == 0640);
    umask(mask);
}

TEST(a_path_that_cannot_be_opened_leaves_the_log_where_it_was)
{
    CHECK(!log_open("/nonexistent/folder/log"));
    log_notice("still here");
    CHECK(strstr(logged(), "still here") != NULL);
    CHECK(log_open(NULL) && log_descriptor() == STDOUT_FILENO);
    CHECK(log_open(path) && log_descriptor() != STDOUT_FILENO);
    unlink(path);
}

static int make_file(void **state)
{
    (void)state;
    int file = mkstemp(path);
    close(file);
    return file < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_form),
        cmocka_unit_test(no_text_from_outside_forges_a_line),
        cmocka_unit_test(a_long_message_is_cut_and_still_ends_its_line),
        cmocka_unit_test(levels_below_the_chosen_one_are_silent),
        cmocka_unit_test(a_log_that_was_moved_away_is_begun_anew),
        cmocka_unit_test(nobody_else_may_read_a_log_that_is_begun),
        cmocka_unit_test(a_path_that_cannot_be_opened_leaves_the_log_where_it_was),
    };
    return cmocka_run_group_tests(tests, make_file, NULL);
}
