// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include "ut.h"

/* ---- tests --------------------------------------------------------------------------------- */

enum { OUTCOME_FAILED = 1, OUTCOME_SKIPPED };

static const char *device;
static bool failed;
static char skipped[128];
static jmp_buf end;

const char *ut_device(void)
{
	return device;
}

void ut_fail(const char *file, int line, const char *format, ...)
{
	va_list ap;

	printf("# %s:%d: ", file, line);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	failed = true;
}

void ut_skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(skipped, sizeof(skipped), format, ap);
	va_end(ap);
	longjmp(end, OUTCOME_SKIPPED);
}

void ut_abort(void)
{
	longjmp(end, OUTCOME_FAILED);
}

/* False: it failed. */
static bool run_test(const struct ut_test *test)
{
	failed = false;
	switch (setjmp(end)) {
	case 0:
		test->run();
		break;
	case OUTCOME_SKIPPED:
		if (failed)
			break;
		printf("skip %s %s\n", test->name, skipped);
		return true;
	}
	printf("%s %s\n", failed ? "not ok" : "ok", test->name);
	return !failed;
}

int ut_main(int argc, char **argv, const struct ut_test *tests, unsigned int n)
{
	unsigned int i, failures = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	device = argc > 1 ? argv[1] : getenv("HV_DEVICE");
	if (!device)
		device = "/dev/hv";
	for (i = 0; i < n; i++) {
		if (argc > 2 && !strstr(tests[i].name, argv[2]))
			continue;
		failures += !run_test(&tests[i]);
	}
	return failures ? 1 : 0;
}

/* ---- VMs ----------------------------------------------------------------------------------- */

#define CR0_PE_PG_NE	(1u | 1u << 31 | 1u << 5 | 1u << 4)
#define CR4_PAE_OSFXSR	(1u << 5 | 1u << 9)
#define EFER_LME_LMA	(1u << 8 | 1u << 10)
#define PTE_P_RW	3u
#define PTE_LARGE	0x80u

#define PML4		0x1000
#define PDPT		0x2000
#define PD		0x3000		/* four of them */

/* Guest-virtual = guest-physical for 4 GiB. */
static void build_tables(uint8_t *low)
{
	uint64_t *pml4 = (void *)(low + PML4), *pdpt = (void *)(low + PDPT),
		 *pd = (void *)(low + PD);
	unsigned int i;

	pml4[0] = PDPT | PTE_P_RW;
	for (i = 0; i < 4; i++)
		pdpt[i] = (PD + i * UT_PAGE) | PTE_P_RW;
	for (i = 0; i < 2048; i++)
		pd[i] = i * UT_2M | PTE_P_RW | PTE_LARGE;
}

/* The section exists in each program, also in one that runs no guest code. */
UT_GUEST static void guest_nothing(void *args)
{
	ut_done(0);
}

extern const uint8_t __start_ut_guest[], __stop_ut_guest[];

static void copy_code(uint8_t *low)
{
	size_t size = (size_t)(__stop_ut_guest - __start_ut_guest);

	NEED(size <= UT_LOW_SIZE - UT_CODE);
	memcpy(low + UT_CODE, __start_ut_guest, size);
}

static void set_cpuid(struct ut_vcpu *vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[200];
	} cpuid = { .head.nent = 200 };

	NEED(ioctl(vcpu->vm->dev, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0);
	NEED(ioctl(vcpu->fd, KVM_SET_CPUID2, &cpuid) == 0);
}

struct ut_vcpu *ut_vcpu_create(struct ut_vm *vm)
{
	unsigned int index = vm->nr_vcpus;
	struct ut_vcpu *vcpu = &vm->vcpu[index];

	NEED(index < UT_MAX_VCPUS);
	vcpu->vm = vm;
	vcpu->index = index;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index);
	NEED(vcpu->fd >= 0);
	vcpu->run_size = (size_t)ioctl(vm->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	NEED(vcpu->run != MAP_FAILED);
	set_cpuid(vcpu);
	vm->nr_vcpus++;
	return vcpu;
}

void ut_vm_create(struct ut_vm *vm, unsigned int vcpus)
{
	unsigned int i;

	memset(vm, 0, sizeof(*vm));
	vm->dev = open(device, O_RDWR | O_CLOEXEC);
	NEED(vm->dev >= 0);
	vm->fd = ioctl(vm->dev, KVM_CREATE_VM, 0);
	NEED(vm->fd >= 0);
	vm->low =
		mmap(NULL, UT_LOW_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(vm->low != MAP_FAILED);
	build_tables(vm->low);
	copy_code(vm->low);
	NEED(ut_slot(vm, 0, 0, UT_LOW_SIZE, vm->low, 0) == 0);
	for (i = 0; i < vcpus; i++)
		ut_vcpu_create(vm);
}

void ut_vm_destroy(struct ut_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->vcpu[i].run, vm->vcpu[i].run_size);
		close(vm->vcpu[i].fd);
	}
	close(vm->fd);
	close(vm->dev);
	munmap(vm->low, UT_LOW_SIZE);
}

int ut_slot(struct ut_vm *vm, unsigned int slot, uint64_t gpa, uint64_t size, void *hva,
	    uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static long read_stat(int fd, const char *name)
{
	struct kvm_stats_header head;
	struct kvm_stats_desc *desc;
	size_t size;
	uint64_t value;
	uint32_t i;
	long found = -1;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.name_size > 256)
		return -1;
	size = sizeof(*desc) + head.name_size;
	desc = calloc(1, size);
	for (i = 0; desc && i < head.num_desc && found < 0; i++) {
		if (pread(fd, desc, size, head.desc_offset + i * size) != (ssize_t)size)
			break;
		if (strncmp(desc->name, name, head.name_size) != 0)
			continue;
		if (pread(fd, &value, sizeof(value), head.data_offset + desc->offset) ==
		    sizeof(value))
			found = (long)value;
	}
	free(desc);
	return found;
}

long ut_vm_stat(struct ut_vm *vm, const char *name)
{
	int fd = ioctl(vm->fd, KVM_GET_STATS_FD, 0);
	long value;

	if (fd < 0)
		return -1;
	value = read_stat(fd, name);
	close(fd);
	return value;
}

/* ---- running ------------------------------------------------------------------------------- */

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = type & 8 ? 1 : 0,
		.db = type & 8 ? 0 : 1,
	};
}

void ut_start(struct ut_vcpu *vcpu, ut_guest_fn fn)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = UT_CODE + (uint64_t)((const uint8_t *)(uintptr_t)fn - __start_ut_guest),
		.rdi = UT_ARGS(vcpu->index),
		.rsp = UT_STACK(vcpu->index) - 8,	/* as after a call */
		.rflags = 2,
	};

	NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs = flat_segment(0x08, 0xb);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(0x10, 0x3);
	sregs.cr0 = CR0_PE_PG_NE;
	sregs.cr3 = PML4;
	sregs.cr4 = CR4_PAE_OSFXSR;
	sregs.efer = EFER_LME_LMA;
	NEED(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) == 0);
	NEED(ioctl(vcpu->fd, KVM_SET_REGS, &regs) == 0);
}

/* ---- exceptions of the guest --------------------------------------------------------------- */

#define GDT		0x7000
#define IDT		0x8000
#define VECTORS		32
#define STUB_SIZE	16
#define GATE_64		0x8e00ULL	/* present, interrupt gate */
#define CODE_64		0x00209b0000000000ULL
#define ERROR_VECTORS	(1u << 8 | 0xfu << 10 | 1u << 14 | 1u << 17 | 1u << 21 | 3u << 29)

/* push vector; out UT_EXCEPTION_PORT */
static void build_stub(uint8_t *stub, uint8_t vector)
{
	const uint8_t code[] = { 0x6a, vector, 0xe7, UT_EXCEPTION_PORT, 0xf4 };

	memcpy(stub, code, sizeof(code));
}

void ut_catch_exceptions(struct ut_vcpu *vcpu)
{
	uint8_t *low = vcpu->vm->low;
	uint64_t *gdt = (void *)(low + GDT), *idt = (void *)(low + IDT);
	uint64_t stubs = IDT + VECTORS * 16, stub;
	struct kvm_sregs sregs;
	unsigned int i;

	gdt[1] = CODE_64;
	for (i = 0; i < VECTORS; i++) {
		stub = stubs + i * STUB_SIZE;
		build_stub(low + stub, (uint8_t)i);
		idt[2 * i] = (stub & 0xffff) | 0x08ULL << 16 | GATE_64 << 32 |
			     (stub >> 16 & 0xffff) << 48;
		idt[2 * i + 1] = 0;
	}
	NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.gdt.base = GDT;
	sregs.gdt.limit = 15;
	sregs.idt.base = IDT;
	sregs.idt.limit = VECTORS * 16 - 1;
	NEED(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) == 0);
}

bool ut_is_exception(const struct ut_vcpu *vcpu)
{
	return vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == UT_EXCEPTION_PORT;
}

void ut_print_exception(struct ut_vcpu *vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t frame[4] = { 0 };
	bool error;

	NEED(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0);
	NEED(ioctl(vcpu->fd, KVM_GET_REGS, &regs) == 0);
	if (regs.rsp <= UT_LOW_SIZE - sizeof(frame))
		memcpy(frame, vcpu->vm->low + regs.rsp, sizeof(frame));
	error = frame[0] < VECTORS && ERROR_VECTORS >> frame[0] & 1;
	printf("# vCPU %u: exception %llu at %#llx, error code %#llx, cr2 %#llx, rsp %#llx, rax %#llx, rcx %#llx, rdx %#llx\n",
	       vcpu->index, (unsigned long long)frame[0],
	       (unsigned long long)frame[error ? 2 : 1],
	       error ? (unsigned long long)frame[1] : 0, (unsigned long long)sregs.cr2,
	       (unsigned long long)regs.rsp, (unsigned long long)regs.rax,
	       (unsigned long long)regs.rcx, (unsigned long long)regs.rdx);
}

enum ut_result ut_run(struct ut_vcpu *vcpu, uint32_t *value)
{
	struct kvm_run *run = vcpu->run;

	for (;;) {
		if (vcpu->stop)
			return UT_STOPPED;
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return UT_ERROR;
		}
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != UT_DONE_PORT ||
		    run->io.direction != KVM_EXIT_IO_OUT || run->io.size != 4)
			return UT_EXIT;
		if (value)
			memcpy(value, (uint8_t *)run + run->io.data_offset, sizeof(*value));
		return UT_DONE;
	}
}

uint32_t ut_call(struct ut_vcpu *vcpu, ut_guest_fn fn)
{
	enum ut_result result;
	uint32_t value = 0;

	ut_start(vcpu, fn);
	result = ut_run(vcpu, &value);
	if (result != UT_DONE) {
		ut_fail(__FILE__, __LINE__, "the guest ended with result %d, errno %d, exit %u",
			result, errno, vcpu->run->exit_reason);
		ut_abort();
	}
	return value;
}
