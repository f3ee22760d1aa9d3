// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Settings of the host that tests change. They run as root on an emulated host, where nobody minds.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/swap.h>

#include "ut.h"

#define SWAP_DEVICE	"/dev/zram0"
#define SWAP_PAGES	8192

bool ut_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool module_has(const char *module, const char *parameter)
{
	char path[128], value = 'N';
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, parameter);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = 'N';
	close(fd);
	return value == 'Y';
}

bool ut_is_kvm_intel_with(const char *parameter)
{
	return strcmp(ut_device(), "/dev/kvm") == 0 && module_has("kvm_intel", parameter);
}

bool ut_has_apicv(void)
{
	return ut_is_kvm_intel_with("enable_apicv") ||
	       (strcmp(ut_device(), "/dev/hv") == 0 && module_has("hv", "apicv"));
}

void ut_swap_on(void)
{
	static uint8_t page[UT_PAGE];
	uint32_t version = 1, last = SWAP_PAGES - 1;
	int fd;

	if (system("modprobe zram 2>/dev/null") != 0 ||
	    !ut_write_file("/sys/block/zram0/disksize", "32M"))
		ut_skip("no zram");
	/* The header of a swap area, as mkswap writes it. */
	memcpy(page + 1024, &version, 4);
	memcpy(page + 1028, &last, 4);
	memcpy(page + UT_PAGE - 10, "SWAPSPACE2", 10);
	fd = open(SWAP_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, page, sizeof(page), 0) != sizeof(page))
		ut_skip("%s: %s", SWAP_DEVICE, strerror(errno));
	close(fd);
	if (swapon(SWAP_DEVICE, 0))
		ut_skip("swapon: %s", strerror(errno));
}

void ut_swap_off(void)
{
	CHECK(swapoff(SWAP_DEVICE) == 0);
	ut_write_file("/sys/block/zram0/reset", "1");
}
