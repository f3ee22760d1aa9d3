// SPDX-License-Identifier: GPL-2.0-or-later
/* How far long work is; see progress.h. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DRAW_MS		100
#define MIN_BAR		8	/* columns; less room: no bar */
#define MAX_BAR		40
#define MAX_SECONDS	(100.0 * 3600)	/* longer is as good as unknown */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* "12 MiB", "3.4 GiB". */
static void format_bytes(char *buf, size_t len, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int unit = 0;
	double v = (double)bytes;

	for (; v >= 1000 && unit < 6; unit++)
		v /= 1024;
	snprintf(buf, len, "%.*f %s", unit && v < 10, v, units[unit]);
}

/* "0:07", "12:34", "5:06:07". */
static void format_time(char *buf, size_t len, double seconds)
{
	unsigned int s = seconds < MAX_SECONDS ? (unsigned int)seconds : 0;

	if (seconds >= MAX_SECONDS)
		snprintf(buf, len, "-:--");
	else if (s >= 3600)
		snprintf(buf, len, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(buf, len, "%u:%02u", s / 60, s % 60);
}

/* How much, how fast, how long yet. */
static void format_tail(char *buf, size_t len, uint64_t done, uint64_t total, uint64_t elapsed_ms)
{
	double seconds = (double)elapsed_ms / 1000;
	double rate = elapsed_ms ? (double)done / seconds : 0;
	char size[16], speed[16], left[16];

	format_bytes(size, sizeof(size), done);
	format_bytes(speed, sizeof(speed), (uint64_t)rate);
	if (!total) {
		format_time(left, sizeof(left), seconds);
		snprintf(buf, len, "%s %s/s %s", size, speed, left);
		return;
	}
	format_time(left, sizeof(left), rate > 0 ? (double)(total - done) / rate : MAX_SECONDS);
	snprintf(buf, len, "%3u %% %s %s/s %s", (unsigned int)((double)done * 100 / (double)total),
		 size, speed, left);
}

void hvm_progress_line(char *buf, size_t len, const char *what, uint64_t done, uint64_t total,
		       uint64_t elapsed_ms, unsigned int columns)
{
	unsigned int used, width, full;
	char tail[80];

	if (total && done > total)
		done = total;
	format_tail(tail, sizeof(tail), done, total, elapsed_ms);
	if (len > columns + 1)
		len = columns + 1;
	used = (unsigned int)(strlen(what) + strlen(tail) + 5);	/* spaces and brackets */
	if (!total || used + MIN_BAR > columns) {
		snprintf(buf, len, "%s %s", what, tail);
		return;
	}
	width = columns - used < MAX_BAR ? columns - used : MAX_BAR;
	full = (unsigned int)((double)width * (double)done / (double)total);
	snprintf(buf, len, "%s [%.*s%.*s] %s", what, (int)full,
		 "########################################", (int)(width - full),
		 "                                        ", tail);
}

void hvm_progress_begin(struct hvm_progress *p, const char *what)
{
	*p = (struct hvm_progress){
		.what = what, .terminal = isatty(STDOUT_FILENO), .start_ms = now_ms(),
	};
}

void hvm_progress_show(struct hvm_progress *p, uint64_t done, uint64_t total)
{
	uint64_t now = p->terminal ? now_ms() : 0;
	struct winsize ws;
	char line[256];

	if (!p->terminal || (p->shown && now - p->last_ms < DRAW_MS))
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || ws.ws_col < 2)
		ws.ws_col = 80;
	hvm_progress_line(line, sizeof(line), p->what, done, total, now - p->start_ms,
			  ws.ws_col - 1u);
	printf("\r%s\033[K", line);
	fflush(stdout);
	p->shown = true;
	p->last_ms = now;
}

void hvm_progress_end(struct hvm_progress *p)
{
	if (!p->shown)
		return;
	printf("\r\033[K");
	fflush(stdout);
	p->shown = false;
}
