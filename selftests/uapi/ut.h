/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small library for tests of the ioctl interface. They run on /dev/hv and on /dev/kvm alike: the
 * device is the program's argument, or $HV_DEVICE, or /dev/hv.
 *
 * A test is a function; ut_main() runs those of a table and prints "ok NAME", "not ok NAME" or
 * "skip NAME reason" for each.
 *
 * The guest is C code of the test program itself: functions marked UT_GUEST are copied into the
 * guest's memory and run there in 64-bit mode, with guest-virtual = guest-physical for the first
 * 4 GiB. They must be self-contained: no library, no globals, no floating point.
 */
#ifndef HV_UT_H
#define HV_UT_H

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define UT_PAGE		4096UL
#define UT_2M		(2UL << 20)

/* ---- tests ----------------------------------------------------------------------------------- */

struct ut_test {
	const char *name;
	void (*run)(void);
};

int ut_main(int argc, char **argv, const struct ut_test *tests, unsigned int n);
const char *ut_device(void);
void ut_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* End the test here as skipped. */
void ut_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* End the test here; the failure was reported. */
void ut_abort(void) __attribute__((noreturn));

#define CHECK(cond)								\
	do {									\
		if (!(cond))							\
			ut_fail(__FILE__, __LINE__, "%s (errno %d)", #cond, errno);	\
	} while (0)
#define CHECK_EQ(a, b)								\
	do {									\
		long long ut_a = (long long)(a), ut_b = (long long)(b);		\
		if (ut_a != ut_b)						\
			ut_fail(__FILE__, __LINE__, "%s is %lld, not %s = %lld", #a,	\
				ut_a, #b, ut_b);					\
	} while (0)
/* Without this the test makes no sense. */
#define NEED(cond)								\
	do {									\
		if (!(cond)) {							\
			ut_fail(__FILE__, __LINE__, "%s (errno %d)", #cond, errno);	\
			ut_abort();						\
		}								\
	} while (0)
/* The call fails with this errno. */
#define CHECK_ERRNO(call, e)							\
	do {									\
		errno = 0;							\
		long ut_r = (call);						\
		if (ut_r != -1 || errno != (e))					\
			ut_fail(__FILE__, __LINE__, "%s gave %ld, errno %d (%s), not %s", \
				#call, ut_r, errno, strerror(errno), #e);	\
	} while (0)

/* ---- a VM with memory at 0 for code, tables and stacks ------------------------------------- */

#define UT_LOW_SIZE	(2UL << 20)	/* of slot 0, at guest-physical 0 */
#define UT_CODE		0x100000UL	/* the UT_GUEST functions */
#define UT_STACK(i)	(0x80000UL + (i) * 0x4000UL)	/* top, growing down, of vCPU i */
#define UT_ARGS(i)	(0x20000UL + (i) * 0x1000UL)	/* page for the test's own use, vCPU i */
#define UT_DONE_PORT	0xf0
#define UT_EXCEPTION_PORT 0xf1
#define UT_MAX_VCPUS	16

struct ut_vm;

struct ut_vcpu {
	struct ut_vm *vm;
	int fd;
	unsigned int index;
	struct kvm_run *run;
	size_t run_size;
	volatile bool stop;		/* ut_run() gives up at the next exit */
};

struct ut_vm {
	int dev, fd;
	uint8_t *low;			/* slot 0 */
	struct ut_vcpu vcpu[UT_MAX_VCPUS];
	unsigned int nr_vcpus;
};

/* A VM with @vcpus vCPUs, without interrupt controllers. Ends the test if that fails. */
void ut_vm_create(struct ut_vm *vm, unsigned int vcpus);
/* One more vCPU, with the next id. */
struct ut_vcpu *ut_vcpu_create(struct ut_vm *vm);
void ut_vm_destroy(struct ut_vm *vm);
/* KVM_SET_USER_MEMORY_REGION: 0, or -1 and errno. */
int ut_slot(struct ut_vm *vm, unsigned int slot, uint64_t gpa, uint64_t size, void *hva,
	    uint32_t flags);
/* The value of a statistic of the VM (KVM_GET_STATS_FD), -1 if there is none of that name. */
long ut_vm_stat(struct ut_vm *vm, const char *name);

/* ---- guest code ---------------------------------------------------------------------------- */

#define UT_GUEST __attribute__((section("ut_guest"), noinline, used, target("general-regs-only"), \
				optimize("no-tree-loop-distribute-patterns,no-stack-protector")))

/* Leave the guest: ut_run() returns this value. */
#define ut_done(value)								\
	__asm__ volatile("outl %0, %1" : :					\
			 "a"((uint32_t)(value)), "Nd"((uint16_t)UT_DONE_PORT) : "memory")

typedef void (*ut_guest_fn)(void *args);

/* The guest's view of a vCPU's argument page, which the host reaches through ut_args(). */
static inline void *ut_args(struct ut_vcpu *vcpu)
{
	return vcpu->vm->low + UT_ARGS(vcpu->index);
}

/* Let the next ut_run() begin at @fn(argument page). Ends the test if that fails. */
void ut_start(struct ut_vcpu *vcpu, ut_guest_fn fn);

/*
 * After ut_start(): an exception in the guest ends ut_run() with UT_EXIT, KVM_EXIT_IO at
 * UT_EXCEPTION_PORT, in place of a triple fault. ut_print_exception() then says where it was.
 */
void ut_catch_exceptions(struct ut_vcpu *vcpu);
bool ut_is_exception(const struct ut_vcpu *vcpu);
void ut_print_exception(struct ut_vcpu *vcpu);

enum ut_result {
	UT_DONE,		/* ut_done(); its value is in *value */
	UT_EXIT,		/* another exit: see vcpu->run */
	UT_ERROR,		/* KVM_RUN failed: errno */
	UT_STOPPED,		/* vcpu->stop */
};
/* Run until something happens. Goes on after EINTR and EAGAIN. */
enum ut_result ut_run(struct ut_vcpu *vcpu, uint32_t *value);
/* ut_start() and ut_run(), where only ut_done() is right; returns its value. */
uint32_t ut_call(struct ut_vcpu *vcpu, ut_guest_fn fn);

/* ---- the host ------------------------------------------------------------------------------ */

bool ut_write_file(const char *path, const char *text);
/*
 * Is the device stock KVM on Intel, with what this parameter of kvm_intel turns on ("pml",
 * "flexpriority")?
 */
bool ut_is_kvm_intel_with(const char *parameter);
/* Does the CPU take interrupts, and their EOIs, from the APIC's page by itself? */
bool ut_has_apicv(void);
/* Swap to compressed memory; ends the test as skipped where that cannot be. */
void ut_swap_on(void);
void ut_swap_off(void);

#endif
