// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loading hv.ko with each of the last allocations failing in turn, which are those of its own
 * start: a failure has its errno, and leaves nothing behind that would keep the module from being
 * loaded after it.
 */
#include <fcntl.h>
#include <sys/syscall.h>

#include "fault.h"
#include "selftests/uapi/ut.h"

#define MANY 1000000 /* more than loading a module can use */
#define LAST 64      /* failures; what comes earlier is the kernel's module loader */

static int open_module(void)
{
	FILE *modinfo = popen("modinfo -n hv", "r");
	char path[256] = "";
	int fd;

	NEED(modinfo && fgets(path, sizeof(path), modinfo));
	pclose(modinfo);
	path[strcspn(path, "\n")] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0);
	return fd;
}

static int load(int fd)
{
	return (int)syscall(SYS_finit_module, fd, "", 0);
}

static int unload(void)
{
	return (int)syscall(SYS_delete_module, "hv", 0);
}

static void test_load(void)
{
	int fd = open_module(), result, e;
	unsigned int n, all, failed = 0;

	if (access("/sys/module/hv", F_OK) == 0)
		NEED(unload() == 0);
	fault_arm(MANY);
	NEED(load(fd) == 0);
	all = MANY - fault_left();
	NEED(all > LAST && all < MANY);
	for (n = all; n > all - LAST; n--) {
		NEED(unload() == 0);
		fault_arm(n);
		result = load(fd);
		e = errno;
		fault_disarm();
		if (result != 0) {
			failed++;
			if (e != ENOMEM && e != EFAULT)
				ut_fail(__FILE__, __LINE__, "failure %u of %u: errno %d (%s)", n,
				        all, e, strerror(e));
			NEED(load(fd) == 0);
		}
	}
	printf("# %u of the last %u failures of %u ended it\n", failed, LAST, all);
	CHECK(failed > 4);
	close(fd);
}

static const struct ut_test tests[] = {
	{"load", test_load},
};

int main(int argc, char **argv)
{
	if (!fault_available()) {
		printf("skip load this kernel has no fault injection\n");
		return 0;
	}
	fault_setup();
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
