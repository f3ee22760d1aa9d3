// SPDX-License-Identifier: GPL-2.0-or-later
/* Coverage of the kernel code that this thread executes. Only hv.ko is instrumented. */
#include <fcntl.h>
#include <linux/kcov.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define KCOV       "/sys/kernel/debug/kcov"
#define KCOV_WORDS (1u << 16)

static __thread uint64_t *cover;

bool kcov_available(void)
{
	return access(KCOV, R_OK | W_OK) == 0;
}

void kcov_start(void)
{
	int fd = open(KCOV, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (ioctl(fd, KCOV_INIT_TRACE, KCOV_WORDS) != 0)
		goto out;
	cover = mmap(NULL, KCOV_WORDS * sizeof(*cover), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cover == MAP_FAILED)
		cover = NULL;
	else if (ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC) != 0)
		cover = NULL;
out:
	/* The mapping and the thread keep it. */
	close(fd);
}

void kcov_collect(uint8_t *coverage)
{
	uint64_t i, n, pc;

	if (!cover)
		return;
	n = __atomic_load_n(&cover[0], __ATOMIC_RELAXED);
	for (i = 1; i <= n && i < KCOV_WORDS; i++) {
		pc = cover[i];
		pc = (pc ^ pc >> 15) * 0x9e3779b97f4a7c15ULL;
		coverage[pc >> 48 & (COVERAGE_SIZE - 1)] = 1;
	}
	__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
}
