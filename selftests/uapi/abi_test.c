// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Documentation/abi.tsv against the module: each capability's answer, on the device and on a VM,
 * and each ioctl called with argument 0. On /dev/kvm only what hv has is compared: KVM has more,
 * and other limits.
 */
#include <fcntl.h>

#include "linux/kvm_later.h"
#include "ut.h"

enum abi_kind { ABI_DEV, ABI_VM, ABI_VCPU, ABI_CAP };
enum abi_mode { ABI_IS, ABI_AT_LEAST, ABI_HOST, ABI_NOT_TRIED };

static const struct abi_row {
	const char *name;
	enum abi_kind kind;
	unsigned long nr;
	enum abi_mode mode;
	long value;		/* answer of a capability, errno of an ioctl */
	bool refused;		/* hv does not have it */
} rows[] = {
#include "abi_table.h"
};

static struct ut_vm vm;
static struct ut_vcpu *cpu;

static bool on_kvm(void)
{
	return !strcmp(ut_device(), "/dev/kvm");
}

static void create(void)
{
	struct kvm_pit_config pit = { 0 };

	ut_vm_create(&vm, 0);
	NEED(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0) == 0);
	NEED(ioctl(vm.fd, KVM_CREATE_PIT2, &pit) == 0);
	cpu = ut_vcpu_create(&vm);
}

static void check_cap(const struct abi_row *row, int fd)
{
	long got = ioctl(fd, KVM_CHECK_EXTENSION, row->nr);
	bool good;

	switch (row->mode) {
	case ABI_IS:
		/* KVM's own limits are wider. */
		good = on_kvm() ? got >= row->value : got == row->value;
		break;
	case ABI_AT_LEAST:
		good = got >= row->value;
		break;
	default:
		good = got > 0;
	}
	if (!good)
		ut_fail(__FILE__, __LINE__, "%s: %ld", row->name, got);
}

static void test_capabilities(void)
{
	unsigned int i;

	create();
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].kind != ABI_CAP)
			continue;
		check_cap(&rows[i], vm.dev);
		check_cap(&rows[i], vm.fd);
	}
	ut_vm_destroy(&vm);
}

static int fd_of(const struct abi_row *row)
{
	return row->kind == ABI_DEV ? vm.dev : row->kind == ABI_VM ? vm.fd : cpu->fd;
}

static void check_ioctl(const struct abi_row *row)
{
	long got, err;

	errno = 0;
	got = ioctl(fd_of(row), row->nr, 0);
	err = got < 0 ? errno : 0;
	if (err != row->value)
		ut_fail(__FILE__, __LINE__, "%s: errno %ld, not %ld", row->name, err, row->value);
	/* Descriptors that it made: of a VM, of statistics. */
	if (got > 2 && (row->nr == KVM_CREATE_VM || row->nr == KVM_GET_STATS_FD))
		close(got);
}

static void test_ioctls(void)
{
	unsigned int i;

	create();
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct abi_row *row = &rows[i];

		if (row->kind == ABI_CAP || row->mode == ABI_NOT_TRIED ||
		    (row->refused && on_kvm()))
			continue;
		check_ioctl(row);
	}
	ut_vm_destroy(&vm);
}

/*
 * What is in no table is not there: no capability is offered that the documentation does not name.
 */
static void test_complete(void)
{
	unsigned int i;
	long cap;

	if (on_kvm())
		ut_skip("hv's documentation is about hv");
	create();
	for (cap = 0; cap < 1024; cap++) {
		for (i = 0; i < ARRAY_SIZE(rows); i++)
			if (rows[i].kind == ABI_CAP && rows[i].nr == (unsigned long)cap)
				break;
		if (i == ARRAY_SIZE(rows) && ioctl(vm.fd, KVM_CHECK_EXTENSION, cap) != 0)
			ut_fail(__FILE__, __LINE__, "capability %ld is not in abi.tsv", cap);
	}
	ut_vm_destroy(&vm);
}

static const struct ut_test tests[] = {
	{ "capabilities", test_capabilities },
	{ "ioctls", test_ioctls },
	{ "complete", test_complete },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
