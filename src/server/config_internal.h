/* server/config_internal.h
 *
 * What the files of config share. */
#pragma once

#include "server/config.h"

/* A value in and out of its place. */
void config_load(struct config *config, const struct option *option,
                 struct option_value *out); /* the holder frees out->text */
void config_store(struct config *config, const struct option *option, const struct option_value *value);

/* A value from the words of a file or of CONFIG SET. Where one word was given to an option of many, it is cut at its spaces. The holder frees out->text either way. */
bool config_parse(struct config *config, const struct option *option, const struct bytes *words, size_t count,
                  struct option_value *out, char error[OPTION_ERROR_BYTES]);

/* The line of a file that sets an option: name and words, quoted where they must be, without a line end. */
void config_words(const struct option *option, const struct option_value *value, struct buf *out);

/* Is this what the option would be without being set? */
bool config_is_default(const struct option *option, const struct option_value *value);

/* The checks of single options: server/config_check.c. */
bool config_check_output_limits(const struct bytes *words, size_t count, struct buf *text,
                                char error[OPTION_ERROR_BYTES]);
bool config_check_bind(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
bool config_check_directory(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
bool config_check_shutdown(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
bool config_check_oom_values(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
bool config_check_percentiles(const struct bytes *words, size_t count, struct buf *text,
                              char error[OPTION_ERROR_BYTES]);
bool config_check_announce_ip(const struct bytes *words, size_t count, struct buf *text,
                              char error[OPTION_ERROR_BYTES]);
bool config_check_hostname(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
bool config_check_salt_separator(const struct bytes *words, size_t count, struct buf *text,
                                 char error[OPTION_ERROR_BYTES]);
bool config_check_events(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
bool config_check_policy(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);
bool config_check_save(const struct bytes *words, size_t count, struct buf *text, char error[OPTION_ERROR_BYTES]);

/* Reads the numbers out of the one form of client-output-buffer-limit. */
void config_spread_output_limits(struct config *config, struct bytes text);

/* The working directory, which is what CONFIG GET dir shows. */
void config_current_directory(struct buf *out);

/* A file's content; false with errno. */
bool config_slurp(const char *path, struct buf *out);
