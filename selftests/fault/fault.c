// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define DEBUGFS  "/sys/kernel/debug/"

static int fail_nth = -1;

static void set(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), DEBUGFS "%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

bool fault_available(void)
{
	return access(FAIL_NTH, W_OK) == 0;
}

void fault_setup(void)
{
	set("failslab/verbose", "0");
	set("failslab/ignore-gfp-wait", "N");
	set("fail_page_alloc/verbose", "0");
	set("fail_page_alloc/ignore-gfp-wait", "N");
	set("fail_page_alloc/ignore-gfp-highmem", "N");
	set("fail_page_alloc/min-order", "0");
	set("fail_usercopy/verbose", "0");
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth < 0) {
		perror(FAIL_NTH);
		exit(1);
	}
}

void fault_arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fail_nth, text, (size_t)len, 0) != len) {
		perror("arming " FAIL_NTH);
		exit(1);
	}
}

unsigned int fault_left(void)
{
	char text[16] = "";

	/* Only a failure that is still to come can fail this copy. */
	if (pread(fail_nth, text, sizeof(text) - 1, 0) <= 0)
		return 1;
	return (unsigned int)atoi(text);
}

bool fault_disarm(void)
{
	int saved = errno;
	bool injected = fault_left() == 0;

	if (pwrite(fail_nth, "0", 1, 0) != 1 && pwrite(fail_nth, "0", 1, 0) != 1) {
		perror("disarming " FAIL_NTH);
		exit(1);
	}
	errno = saved;
	return injected;
}
