/* The administrator's log: stderr, with sd-daemon(3) priority prefixes ("<4>") when it goes to the
 * journal (JOURNAL_STREAM says it does), else "xferfs: ". A function logs or returns an error, never both.
 * Thread-safe: one write(2) per line.
 */
#pragma once

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_set_level(enum log_level level); /* before threads; default INFO */
/* From here on syslog(3) instead: for a daemon whose stderr is gone. Before threads. */
void log_to_syslog(void);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
