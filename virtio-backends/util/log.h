/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_UTIL_LOG_H
#define HV_UTIL_LOG_H

/*
 * One line for the user about something that happened while running: written to standard error
 * as "PROGRAM: MESSAGE". What a guest can cause must be bounded by the caller. Thread-safe.
 */
__attribute__((format(printf, 1, 2)))
void hv_log(const char *fmt, ...);

/* Send lines to @fn instead (the message without program name and newline); NULL: back. */
void hv_log_set_sink(void (*fn)(const char *line));

#endif
