// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages to the user; see log.h. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic(void (*)(const char *)) log_sink;

void hv_log_set_sink(void (*fn)(const char *line))
{
	atomic_store(&log_sink, fn);
}

void hv_log(const char *fmt, ...)
{
	void (*sink)(const char *) = atomic_load(&log_sink);
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* Guest-made text must not be able to write escape sequences to a terminal. */
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (sink)
		sink(line);
	else	/* a terminal may be in raw mode */
		fprintf(stderr, "%s: %s%s\n", program_invocation_short_name, line,
			isatty(STDERR_FILENO) ? "\r" : "");
}
