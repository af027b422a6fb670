/* The state file is the old or the new content, whole, whatever moment the node dies at. */
#include "bus/state_file.h"
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int syncs_until_failure; /* 0: none fails */

/* In place of the C library's: what a full or broken disk says late. */
int fsync(int fd)
{
    if (syncs_until_failure > 0 && --syncs_until_failure == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

/* --- A folder of its own for each test --- */

static char folder[64];
static char path[128];

static const char *beside(const char *suffix)
{
    static char name[160];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return name;
}

static void new_folder(void)
{
    strcpy(folder, "/tmp/state_file_XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/nodes.conf", folder);
}

static void remove_folder(void)
{
    static const char *const suffixes[] = { "", ".tmp", ".old", ".old.tmp", ".lock", ".damaged" };

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) unlink(beside(suffixes[i]));
    CHECK(rmdir(folder) == 0);
}

static void put(const char *suffix, const char *content)
{
    FILE *file = fopen(beside(suffix), "w");

    CHECK(file != NULL);
    fputs(content, file);
    fclose(file);
}

static const char *get(const char *suffix)
{
    static char content[256];
    FILE *file = fopen(beside(suffix), "r");
    size_t len;

    if (file == NULL) return "(none)";
    len = fread(content, 1, sizeof content - 1, file);
    content[len] = '\0';
    fclose(file);
    return content;
}

/* What is good here begins with "good". */
static bool accept_good(void *context, struct bytes content, char reason[256])
{
    char *copy = context;

    if (content.len < 4 || content.len > 200 || memcmp(content.data, "good", 4) != 0) {
        strcpy(reason, "bad checksum");
        return false;
    }
    memcpy(copy, content.data, content.len);
    copy[content.len] = '\0';
    return true;
}

static struct state_file *must_open(void)
{
    char error[512] = "";
    struct state_file *file = state_file_open(path, error);

    if (file == NULL) fprintf(stderr, "%s\n", error);
    CHECK(file != NULL);
    return file;
}

static uint64_t submit(struct state_file *file, const char *content, uint64_t sequence)
{
    struct buf buf = { 0 };

    buf_append_text(&buf, content);
    return state_file_submit(file, &buf, sequence);
}

static enum state_found load(char content[256], char error[512])
{
    struct state_file *file = must_open();
    enum state_found found;

    content[0] = '\0';
    found = state_file_load(file, accept_good, content, error);
    state_file_close(&file);
    return found;
}

static void save(const char *content)
{
    struct state_file *file = must_open();

    state_file_start(file, NULL, NULL);
    CHECK(state_file_wait(file, submit(file, content, 0)));
    state_file_close(&file);
}

/* --- Promises --- */

TEST(what_was_saved_is_found_and_nobody_else_may_read_it)
{
    char content[256], error[512];
    struct stat info;

    new_folder();
    CHECK(load(content, error) == STATE_NONE);
    save("good 1");
    CHECK(load(content, error) == STATE_CURRENT);
    CHECK(strcmp(content, "good 1") == 0);
    save("good 2");
    CHECK(load(content, error) == STATE_CURRENT);
    CHECK(strcmp(content, "good 2") == 0);
    CHECK(strcmp(get(".old"), "good 1") == 0);
    CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    CHECK(access(beside(".tmp"), F_OK) != 0);
    remove_folder();
}

static int crash_step;

static void crash(int step)
{
    if (step == crash_step) _exit(42);
}

TEST(a_crash_at_any_step_of_a_save_leaves_the_old_or_the_new_content)
{
    int news = 0, olds = 0;

    for (crash_step = 0; crash_step < STATE_FILE_STEPS; crash_step++) {
        char content[256], error[512];
        int status;
        pid_t child;

        new_folder();
        save("good former");
        save("good old");
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            struct state_file *file = must_open();

            state_file_set_checkpoint(file, crash);
            state_file_start(file, NULL, NULL);
            state_file_wait(file, submit(file, "good new", 0));
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);

        /* The name is always there, or a node that died here would come back as another. */
        CHECK(load(content, error) == STATE_CURRENT);
        olds += strcmp(content, "good old") == 0;
        news += strcmp(content, "good new") == 0;
        /* And so is a good generation before it. */
        CHECK(strncmp(get(".old"), "good", 4) == 0);
        save("good next");
        CHECK(load(content, error) == STATE_CURRENT);
        CHECK(strcmp(content, "good next") == 0);
        remove_folder();
    }
    CHECK(olds + news == STATE_FILE_STEPS);
    CHECK(olds == 4 && news == 2);
}

TEST(a_damaged_file_falls_back_to_the_generation_before_it_and_is_kept_for_a_look)
{
    char content[256], error[512];
    struct state_file *file;

    new_folder();
    save("good 1");
    save("good 2");
    put("", "garbage");
    file = must_open();
    CHECK(state_file_load(file, accept_good, content, error) == STATE_FORMER);
    CHECK(strcmp(content, "good 1") == 0);
    CHECK(strstr(error, "bad checksum") != NULL && strstr(error, path) != NULL);
    CHECK(strcmp(get(".damaged"), "garbage") == 0);
    /* The next save replaces the damaged file, and leaves the good former one where it is. */
    state_file_start(file, NULL, NULL);
    CHECK(state_file_wait(file, submit(file, "good 3", 0)));
    CHECK(strcmp(get(""), "good 3") == 0);
    CHECK(strcmp(get(".old"), "good 1") == 0);
    CHECK(state_file_wait(file, submit(file, "good 4", 0)));
    CHECK(strcmp(get(".old"), "good 3") == 0);
    state_file_close(&file);
    remove_folder();
}

TEST(an_emptied_file_falls_back_too)
{
    char content[256], error[512];

    new_folder();
    save("good 1");
    save("good 2");
    put("", "");
    CHECK(load(content, error) == STATE_FORMER);
    CHECK(strcmp(content, "good 1") == 0);
    remove_folder();
}

TEST(with_both_generations_damaged_the_node_is_refused_and_nothing_is_touched)
{
    char content[256], error[512];

    new_folder();
    save("good 1");
    save("good 2");
    put("", "garbage");
    put(".old", "rubbish");
    CHECK(load(content, error) == STATE_REFUSED);
    CHECK(strstr(error, "damaged") != NULL && strstr(error, path) != NULL);
    CHECK(strcmp(get(""), "garbage") == 0);
    CHECK(strcmp(get(".old"), "rubbish") == 0);
    unlink(beside(".old"));
    CHECK(load(content, error) == STATE_REFUSED);
    remove_folder();
}

TEST(a_removed_or_new_empty_file_means_a_new_node)
{
    char content[256], error[512];

    new_folder();
    put("", "");
    CHECK(load(content, error) == STATE_NONE);
    save("good 1");
    save("good 2");
    unlink(path);
    CHECK(load(content, error) == STATE_NONE);
    remove_folder();
}

TEST(two_nodes_cannot_share_a_file)
{
    char error[512] = "";
    struct state_file *first, *second;

    new_folder();
    first = must_open();
    second = state_file_open(path, error);
    CHECK(second == NULL);
    CHECK(strstr(error, "already used") != NULL && strstr(error, path) != NULL);
    state_file_close(&first);
    first = must_open();
    state_file_close(&first);
    remove_folder();
}

TEST(a_folder_that_is_not_there_is_an_error_with_its_name)
{
    char error[512] = "";

    CHECK(state_file_open("/nonexistent/nodes.conf", error) == NULL);
    CHECK(strstr(error, "/nonexistent/nodes.conf") != NULL);
    CHECK(state_file_open("/tmp/", error) == NULL);
}

static int held_pipe[2];

static void hold_first(int step)
{
    char byte;

    if (step == 0) CHECK(read(held_pipe[0], &byte, 1) == 1);
}

TEST(saves_asked_for_during_a_save_become_one)
{
    struct state_file *file;
    struct state_done done;
    uint64_t last = 0;

    new_folder();
    CHECK(pipe(held_pipe) == 0);
    file = must_open();
    state_file_set_checkpoint(file, hold_first);
    state_file_start(file, NULL, NULL);
    submit(file, "good 0", 1);
    while (access(beside(".tmp"), F_OK) != 0) usleep(1000);
    for (int i = 1; i <= 100; i++) {
        char text[32];

        snprintf(text, sizeof text, "good %d", i);
        last = submit(file, text, (uint64_t)i + 1);
    }
    CHECK(state_file_done(file).durable == 0);
    /* Two writes for 101 requests: a third would wait for a byte that never comes. */
    CHECK(write(held_pipe[1], "xx", 2) == 2);
    CHECK(state_file_wait(file, last));
    done = state_file_done(file);
    CHECK(done.durable == last && done.durable_sequence == 101 && done.failures == 0);
    CHECK(strcmp(get(""), "good 100") == 0);
    CHECK(strcmp(get(".old"), "good 0") == 0);
    state_file_close(&file);
    close(held_pipe[0]);
    close(held_pipe[1]);
    remove_folder();
}

TEST(a_failed_save_is_reported_and_tried_again_until_it_works)
{
    struct state_file *file;
    struct state_done done;
    uint64_t ticket;

    new_folder();
    file = must_open();
    state_file_start(file, NULL, NULL);
    /* A folder in the way of the temporary file fails for root too. */
    CHECK(mkdir(beside(".tmp"), 0700) == 0);
    ticket = submit(file, "good 1", 7);
    errno = 0;
    CHECK(!state_file_wait(file, ticket));
    CHECK(errno == EISDIR);
    done = state_file_done(file);
    CHECK(done.durable == 0 && done.durable_sequence == 0 && done.tried == ticket && done.tried_sequence == 7);
    CHECK(done.failures >= 1);
    CHECK(rmdir(beside(".tmp")) == 0);
    for (int i = 0; i < 100 && state_file_done(file).durable < ticket; i++) usleep(50000);
    done = state_file_done(file);
    CHECK(done.durable == ticket && done.durable_sequence == 7);
    CHECK(strcmp(get(""), "good 1") == 0);
    state_file_close(&file);
    remove_folder();
}

TEST(what_is_not_synced_is_not_saved)
{
    for (int failing = 1; failing <= 2; failing++) { /* the file, the folder */
        struct state_file *file;
        struct stat info;

        new_folder();
        file = must_open();
        state_file_start(file, NULL, NULL);
        syncs_until_failure = failing;
        CHECK(!state_file_wait(file, submit(file, "good 1", 7)) && errno == EIO);
        CHECK(state_file_done(file).durable_sequence == 0);
        if (failing == 1) CHECK(stat(beside(".tmp"), &info) != 0 && stat(path, &info) != 0);
        state_file_close(&file);
        remove_folder();
    }
}

TEST(a_save_that_tells_nobody_does_not_make_others_forget_theirs)
{
    struct state_file *file;

    new_folder();
    file = must_open();
    submit(file, "good 1", 7);
    submit(file, "good 2", 0);
    state_file_start(file, NULL, NULL);
    CHECK(state_file_wait(file, submit(file, "good 3", 0)));
    CHECK(state_file_done(file).durable_sequence == 7 && strcmp(get(""), "good 3") == 0);
    state_file_close(&file);
    remove_folder();
}

static bool accept_any(void *context, struct bytes content, char reason[256])
{
    (void)context;
    (void)content;
    (void)reason;
    return true;
}

TEST(what_is_empty_or_larger_than_any_state_is_not_even_looked_at)
{
    static const off_t sizes[] = { 0, (64 << 20) + 1 };

    for (size_t i = 0; i < 2; i++) {
        struct state_file *file;
        char error[512];

        new_folder();
        put(".old", "good");
        put("", "");
        CHECK(truncate(path, sizes[i]) == 0);
        file = must_open();
        CHECK(state_file_load(file, accept_any, NULL, error) == STATE_FORMER);
        state_file_close(&file);
        remove_folder();
    }
}

TEST(closing_writes_what_was_asked_for)
{
    struct state_file *file;

    new_folder();
    file = must_open();
    state_file_start(file, NULL, NULL);
    submit(file, "good last", 0);
    state_file_close(&file);
    CHECK(strcmp(get(""), "good last") == 0);
    remove_folder();
}

TESTS(what_is_not_synced_is_not_saved, a_save_that_tells_nobody_does_not_make_others_forget_theirs,
      what_is_empty_or_larger_than_any_state_is_not_even_looked_at, what_was_saved_is_found_and_nobody_else_may_read_it,
      a_crash_at_any_step_of_a_save_leaves_the_old_or_the_new_content,
      a_damaged_file_falls_back_to_the_generation_before_it_and_is_kept_for_a_look, an_emptied_file_falls_back_too,
      with_both_generations_damaged_the_node_is_refused_and_nothing_is_touched,
      a_removed_or_new_empty_file_means_a_new_node, two_nodes_cannot_share_a_file,
      a_folder_that_is_not_there_is_an_error_with_its_name, saves_asked_for_during_a_save_become_one,
      a_failed_save_is_reported_and_tried_again_until_it_works, closing_writes_what_was_asked_for)
