// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What one VM exit costs, in ticks of the guest's time-stamp counter.
 *
 * On an emulated host whose clock counts instructions (lab --deterministic) that is the number of
 * instructions the host executes per round trip; on real hardware it is TSC cycles. Each row runs a
 * loop of ROUNDS exits in the guest, takes the smallest of several runs, and subtracts the same
 * loop without the exit.
 *
 * usage: exit_cost DEVICE		prints "NAME<TAB>TICKS" lines; exit status 1 if a row failed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS		200
#define RUNS		7
#define MEM_SIZE	(32ul << 20)
#define CODE_GPA	0x100000
#define STACK_GPA	0x200000
#define TOUCH_GPA	0x1000000	/* pages nobody has touched yet */
#define GDT_GPA		0x8000
#define IDT_GPA		0x9000
#define PT_GPA		0x1000		/* PML4, PDPT, four page directories */
#define PORT_USER	0x500
#define PORT_EVENTFD	0x510
#define MMIO_USER	0xd0000000ul
#define MMIO_EVENTFD	0xd0001000ul
#define LAPIC_ID_REG	0xfee00020ul

#define X86_CR0_PE_PG	0x80000001ull
#define X86_CR4_PAE	0x20ull
#define X86_EFER_LME_LMA 0x500ull

/*
 * Guest code: RDI rounds; result in RAX: ticks. Each body is what is measured. The loop runs once
 * to warm up (first touches), then is timed.
 */
#define GUEST_LOOP(name, setup, body)						\
	extern const char name##_begin[], name##_end[];				\
	asm(".pushsection .rodata\n"						\
	    #name "_begin:\n"							\
	    "	mov $2, %r12d\n"						\
	    "1:	mov %rdi, %r13\n"						\
	    "	" setup "\n"							\
	    "	rdtsc\n"							\
	    "	shl $32, %rdx\n"						\
	    "	or %rdx, %rax\n"						\
	    "	mov %rax, %r14\n"						\
	    "2:	" body "\n"							\
	    "	dec %r13\n"							\
	    "	jnz 2b\n"							\
	    "	rdtsc\n"							\
	    "	shl $32, %rdx\n"						\
	    "	or %rdx, %rax\n"						\
	    "	sub %r14, %rax\n"						\
	    "	dec %r12d\n"							\
	    "	jnz 1b\n"							\
	    "	mov %rax, %rbx\n"						\
	    "	mov $0x5ff, %edx\n"						\
	    "	out %al, %dx\n"							\
	    #name "_end:\n"							\
	    ".popsection\n")

GUEST_LOOP(g_empty, "nop", "nop");
GUEST_LOOP(g_cpuid, "nop", "xor %eax, %eax; cpuid");
GUEST_LOOP(g_cpuid_base, "nop", "xor %eax, %eax; nop");
GUEST_LOOP(g_hypercall, "nop", "mov $99, %eax; vmmcall");
GUEST_LOOP(g_hypercall_intel, "nop", "mov $99, %eax; vmcall");
GUEST_LOOP(g_rdmsr, "mov $0x1b, %ecx", "rdmsr");
GUEST_LOOP(g_wrmsr, "mov $0x8b, %ecx", "xor %eax, %eax; xor %edx, %edx; wrmsr");
GUEST_LOOP(g_pio_out, "nop", "mov $0x500, %edx; out %al, %dx");
GUEST_LOOP(g_pio_in, "nop", "mov $0x500, %edx; in %dx, %al");
GUEST_LOOP(g_pio_evfd, "nop", "mov $0x510, %edx; out %al, %dx");
GUEST_LOOP(g_pio_pic, "nop", "mov $0x21, %edx; in %dx, %al");
GUEST_LOOP(g_mmio_evfd, "mov $0xd0001000, %esi", "movl %eax, (%rsi)");
GUEST_LOOP(g_mmio_write, "mov $0xd0000000, %esi", "movl %eax, (%rsi)");
GUEST_LOOP(g_mmio_read, "mov $0xd0000000, %esi", "movl (%rsi), %eax");
GUEST_LOOP(g_lapic, "mov $0xfee00020, %esi", "movl (%rsi), %eax");
/* The second pass walks on where the first one stopped: fresh pages both times. */
GUEST_LOOP(g_touch, "nop", "movb $1, (%r15); add $4096, %r15");
/* x2APIC self-IPI: the write, the delivery, the handler with its EOI. */
GUEST_LOOP(g_ipi, "mov $0x83f, %ecx; sti", "mov $0x40, %eax; xor %edx, %edx; wrmsr; nop");

extern const char g_handler_begin[], g_handler_end[];
asm(".pushsection .rodata\n"
    "g_handler_begin:\n"
    "	push %rax; push %rcx; push %rdx\n"
    "	mov $0x80b, %ecx\n"
    "	xor %eax, %eax\n"
    "	xor %edx, %edx\n"
    "	wrmsr\n"
    "	pop %rdx; pop %rcx; pop %rax\n"
    "	iretq\n"
    "g_handler_end:\n"
    ".popsection\n");

struct machine {
	int dev, vm, vcpu, evfd;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *mem;
};

static int fail(const char *what)
{
	fprintf(stderr, "exit_cost: %s: %s\n", what, strerror(errno));
	return -1;
}

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (uint64_t)hi << 32;
}

/* Identity map of the first 4 GiB with 2 MiB pages; a flat code segment; one interrupt gate. */
static void build_tables(uint8_t *mem)
{
	uint64_t *pml4 = (uint64_t *)(mem + PT_GPA), *pdpt = pml4 + 512, *pd = pdpt + 512;
	uint64_t *gdt = (uint64_t *)(mem + GDT_GPA);
	uint32_t *gate = (uint32_t *)(mem + IDT_GPA + 0x40 * 16);
	uint32_t handler = CODE_GPA + 0x1000;
	unsigned int i;

	pml4[0] = (PT_GPA + 0x1000) | 7;
	for (i = 0; i < 4; i++)
		pdpt[i] = (PT_GPA + 0x2000 + i * 0x1000ul) | 7;
	for (i = 0; i < 2048; i++)
		pd[i] = (uint64_t)i << 21 | 0xe7;
	gdt[1] = 0x00af9b000000ffffull;
	gdt[2] = 0x00cf93000000ffffull;
	gate[0] = (8 << 16) | (handler & 0xffff);
	gate[1] = (handler & 0xffff0000) | 0x8e00;
	memcpy(mem + handler, g_handler_begin, g_handler_end - g_handler_begin);
}

static int set_cpuid(struct machine *m)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	int r;

	cpuid->nent = 256;
	r = ioctl(m->dev, KVM_GET_SUPPORTED_CPUID, cpuid);
	if (!r)
		r = ioctl(m->vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return r;
}

static int set_long_mode(struct machine *m)
{
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = 16,
		.type = 3,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
	struct kvm_sregs s;

	if (ioctl(m->vcpu, KVM_GET_SREGS, &s))
		return -1;
	s.cs = code;
	s.ds = s.es = s.ss = s.fs = s.gs = data;
	s.cr0 = X86_CR0_PE_PG;
	s.cr3 = PT_GPA;
	s.cr4 = X86_CR4_PAE;
	s.efer = X86_EFER_LME_LMA;
	s.gdt.base = GDT_GPA;
	s.gdt.limit = 0x17;
	s.idt.base = IDT_GPA;
	s.idt.limit = 0xfff;
	return ioctl(m->vcpu, KVM_SET_SREGS, &s);
}

static int open_machine(struct machine *m, const char *path, bool full);

static void close_machine(struct machine *m)
{
	munmap(m->run, m->run_size);
	close(m->vcpu);
	close(m->vm);
	close(m->dev);
	if (m->mem)
		munmap(m->mem, MEM_SIZE);
	if (m->evfd >= 0)
		close(m->evfd);
}

static int add_devices(struct machine *m)
{
	struct kvm_ioeventfd pio = { .addr = PORT_EVENTFD, .len = 1,
				     .flags = KVM_IOEVENTFD_FLAG_PIO };
	struct kvm_ioeventfd mmio = { .addr = MMIO_EVENTFD, .len = 4 };

	m->evfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pio.fd = mmio.fd = m->evfd;
	if (m->evfd < 0 || ioctl(m->vm, KVM_IOEVENTFD, &pio) || ioctl(m->vm, KVM_IOEVENTFD, &mmio))
		return fail("KVM_IOEVENTFD");
	return 0;
}

static int add_memory(struct machine *m)
{
	struct kvm_userspace_memory_region slot = { .memory_size = MEM_SIZE };

	m->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->mem == MAP_FAILED)
		return fail("mmap");
	/* 4 KiB pages, so that "first touch" means one page each. */
	madvise(m->mem, MEM_SIZE, MADV_NOHUGEPAGE);
	slot.userspace_addr = (uintptr_t)m->mem;
	if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return fail("KVM_SET_USER_MEMORY_REGION");
	build_tables(m->mem);
	return 0;
}

static int open_machine(struct machine *m, const char *path, bool full)
{
	*m = (struct machine) { .evfd = -1 };
	m->dev = open(path, O_RDWR | O_CLOEXEC);
	if (m->dev < 0)
		return fail(path);
	m->vm = ioctl(m->dev, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		return fail("KVM_CREATE_VM");
	if (full && (ioctl(m->vm, KVM_CREATE_IRQCHIP, 0) || add_memory(m) || add_devices(m)))
		return fail("set-up");
	m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
	if (m->vcpu < 0)
		return fail("KVM_CREATE_VCPU");
	m->run_size = ioctl(m->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	m->run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED)
		return fail("mmap of kvm_run");
	if (full && (set_cpuid(m) || set_long_mode(m)))
		return fail("vCPU state");
	return 0;
}

static int enable_x2apic(struct machine *m)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs = {
		.head.nmsrs = 2,
		.entry = {{.index = 0x1b, .data = 0xfee00d00}, {.index = 0x80f, .data = 0x1ff}},
	};

	return ioctl(m->vcpu, KVM_SET_MSRS, &msrs) == 2 ? 0 : fail("x2APIC");
}

/* Run the guest until it reports; ticks of the timed pass, or -1. */
static int64_t run_guest(struct machine *m)
{
	struct kvm_regs regs;

	for (;;) {
		if (ioctl(m->vcpu, KVM_RUN, 0))
			return fail("KVM_RUN");
		switch (m->run->exit_reason) {
		case KVM_EXIT_IO:
			if (m->run->io.port != 0x5ff)
				break;
			if (ioctl(m->vcpu, KVM_GET_REGS, &regs))
				return fail("KVM_GET_REGS");
			return regs.rbx;
		case KVM_EXIT_MMIO:
			break;
		default:
			errno = 0;
			fprintf(stderr, "exit_cost: exit reason %u, suberror %u\n",
				m->run->exit_reason, m->run->internal.suberror);
			return -1;
		}
	}
}

struct row {
	const char *name;
	const char *begin, *end;
	const char *base_begin, *base_end;
	bool x2apic;
};

#define ROW(text, loop, base) { text, loop##_begin, loop##_end, base##_begin, base##_end, false }

static int64_t measure(const char *path, const char *begin, const char *end, bool x2apic)
{
	struct kvm_regs regs = { .rip = CODE_GPA, .rsp = STACK_GPA, .rflags = 2, .rdi = ROUNDS };
	int64_t best = -1;
	struct machine m;
	int i;

	for (i = 0; i < RUNS; i++) {
		int64_t ticks;

		if (open_machine(&m, path, true) || (x2apic && enable_x2apic(&m)))
			return -1;
		memcpy(m.mem + CODE_GPA, begin, end - begin);
		regs.r15 = TOUCH_GPA;
		if (ioctl(m.vcpu, KVM_SET_REGS, &regs))
			return fail("KVM_SET_REGS");
		ticks = run_guest(&m);
		close_machine(&m);
		if (ticks < 0)
			return -1;
		if (best < 0 || ticks < best)
			best = ticks;
	}
	return best;
}

static int print_row(const char *path, const struct row *row)
{
	int64_t ticks = measure(path, row->begin, row->end, row->x2apic);
	int64_t base = measure(path, row->base_begin, row->base_end, false);

	if (ticks < 0 || base < 0) {
		printf("%s\tfailed\n", row->name);
		return 1;
	}
	printf("%s\t%lld\n", row->name, (long long)(ticks - base) / ROUNDS);
	return 0;
}

static int print_create(const char *path)
{
	uint64_t best = ~0ull;
	int i;

	for (i = 0; i < RUNS; i++) {
		uint64_t start = rdtsc(), ticks;
		struct machine m;

		if (open_machine(&m, path, false)) {
			printf("VM and vCPU create and destroy\tfailed\n");
			return 1;
		}
		close_machine(&m);
		ticks = rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	printf("VM and vCPU create and destroy\t%llu\n", (unsigned long long)best);
	return 0;
}

int main(int argc, char **argv)
{
	struct row rows[] = {
		ROW("CPUID", g_cpuid, g_cpuid_base),
		ROW("hypercall (unknown)", g_hypercall, g_empty),
		ROW("RDMSR APIC_BASE", g_rdmsr, g_empty),
		ROW("WRMSR microcode revision", g_wrmsr, g_empty),
		ROW("PIO out to user space", g_pio_out, g_cpuid_base),
		ROW("PIO in from user space", g_pio_in, g_cpuid_base),
		ROW("PIO out to ioeventfd", g_pio_evfd, g_cpuid_base),
		ROW("PIO in, in-kernel PIC", g_pio_pic, g_cpuid_base),
		ROW("MMIO write to ioeventfd", g_mmio_evfd, g_empty),
		ROW("MMIO write to user space", g_mmio_write, g_empty),
		ROW("MMIO read from user space", g_mmio_read, g_empty),
		ROW("MMIO read of local APIC", g_lapic, g_empty),
		ROW("x2APIC self-IPI with EOI", g_ipi, g_empty),
		ROW("first touch of a 4 KiB page", g_touch, g_cpuid_base),
	};
	unsigned int i;
	int failed = 0;
	FILE *f;
	char line[256];

	if (argc != 2) {
		fprintf(stderr, "usage: exit_cost DEVICE\n");
		return 2;
	}
	f = fopen("/proc/cpuinfo", "r");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "GenuineIntel")) {
			rows[1].begin = g_hypercall_intel_begin;
			rows[1].end = g_hypercall_intel_end;
		}
	if (f)
		fclose(f);
	rows[12].x2apic = true;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		failed |= print_row(argv[1], &rows[i]);
	return failed | print_create(argv[1]);
}
