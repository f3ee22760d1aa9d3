// SPDX-License-Identifier: GPL-2.0-or-later
#include <stddef.h>

#include "gt.h"

_Static_assert(GT_TRAPS == 0x37000, "gt_try() and the handlers have it as a literal");

/* ---- handlers in the guest ----------------------------------------------------------------- */

/*
 * 256 entries of 16 bytes, each of which pushes an error code if the CPU does not, and its vector.
 */
extern const uint8_t gt_stubs[];
__asm__(".pushsection ut_guest, \"ax\"\n"
	".balign 16\n"
	"gt_stubs:\n"
	"vec = 0\n"
	".rept 256\n"
	"	.balign 16\n"
	"	.if vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21\n"
	"	.else\n"
	"	pushq $0\n"
	"	.endif\n"
	"	pushq $vec\n"
	"	jmp gt_trap\n"
	"	vec = vec + 1\n"
	".endr\n"
	".balign 16\n"
	"gt_trap:\n"
	"	push %rax\n"
	"	push %rcx\n"
	"	mov $0x37000, %ecx\n"
	"	incq 8(%rcx)\n"
	"	mov 16(%rsp), %rax\n	mov %rax, 16(%rcx)\n"	/* vector */
	"	mov 24(%rsp), %rax\n	mov %rax, 24(%rcx)\n"	/* error code */
	"	mov 32(%rsp), %rax\n	mov %rax, 32(%rcx)\n"	/* rip */
	"	mov 40(%rsp), %rax\n	mov %rax, 40(%rcx)\n"	/* cs */
	"	mov 48(%rsp), %rax\n	mov %rax, 48(%rcx)\n"	/* rflags */
	"	mov 56(%rsp), %rax\n	mov %rax, 56(%rcx)\n"	/* rsp */
	"	mov 64(%rsp), %rax\n	mov %rax, 64(%rcx)\n"	/* ss */
	"	mov %cr2, %rax\n	mov %rax, 72(%rcx)\n"
	"	mov %dr6, %rax\n	mov %rax, 80(%rcx)\n"
	"	mov 88(%rcx), %rax\n"				/* log_rip: the number of the next */
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	cmp $64, %rax\n"
	"	ja 1f\n"
	"	push %rdx\n"
	"	mov 32(%rcx), %rdx\n"
	"	mov %rdx, 88(%rcx,%rax,8)\n"
	"	incq 88(%rcx)\n"
	"	pop %rdx\n"
	"1:	cmpq $0, 608(%rcx)\n"				/* clear_tf */
	"	je 2f\n"
	"	andq $~0x100, 48(%rsp)\n"
	"2:	cmpq $0, 616(%rcx)\n"				/* set_rf */
	"	je 3f\n"
	"	orq $0x10000, 48(%rsp)\n"
	"3:	mov (%rcx), %rax\n"
	"	test %rax, %rax\n"
	"	jz 4f\n"
	"	mov %rax, 32(%rsp)\n"
	"	movq $8, 40(%rsp)\n"
	"	andq $~0x10000, 48(%rsp)\n"
	"	mov 624(%rcx), %rax\n"
	"	mov %rax, 56(%rsp)\n"
	"	movq $0x10, 64(%rsp)\n"
	"	movq $0, (%rcx)\n"
	"4:	pop %rcx\n"
	"	pop %rax\n"
	"	add $16, %rsp\n"
	"	iretq\n"
	".popsection\n");

_Static_assert(offsetof(struct gt_traps, log_rip) == 88 && offsetof(struct gt_traps, rips) == 96 &&
	       offsetof(struct gt_traps, clear_tf) == 608 &&
	       offsetof(struct gt_traps, set_rf) == 616 &&
	       offsetof(struct gt_traps, resume_rsp) == 624, "offsets in gt_trap");

extern const uint8_t __start_ut_guest[];

static void build_descriptors(uint8_t *low)
{
	uint64_t stubs = UT_CODE + (uint64_t)(gt_stubs - __start_ut_guest);
	uint64_t *gdt = (void *)(low + IG_GDT), rsp0 = GT_TSS_STACK;
	uint16_t no_io_map = 0x68;		/* beyond the limit: no port in user mode */
	unsigned int i;

	gdt[1] = 0x00af9b000000ffffULL;			/* 0x08: 64-bit code */
	gdt[2] = 0x00cf93000000ffffULL;			/* 0x10: data */
	gdt[3] = 0x00cffb000000ffffULL;			/* 0x18: 32-bit code of user mode */
	gdt[4] = 0x00cff3000000ffffULL;			/* 0x20: data of user mode */
	gdt[5] = 0x00affb000000ffffULL;			/* 0x28: 64-bit code of user mode */
	gdt[6] = 0x0000890000000067ULL | (GT_TSS & 0xffffff) << 16;	/* 0x30: TSS */
	gdt[7] = 0;
	gdt[8] = 0x00cf9b000000ffffULL;			/* 0x40: 32-bit code */
	gdt[9] = 0x00cf13000000ffffULL;			/* 0x48: data, not present */
	gdt[10] = 0x00009b000000ffffULL;		/* 0x50: 16-bit code */
	gdt[11] = 0x000093000000ffffULL;		/* 0x58: 16-bit data */
	memset(low + GT_TSS, 0, 104);
	memcpy(low + GT_TSS + 4, &rsp0, 8);
	memcpy(low + GT_TSS + 0x66, &no_io_map, 2);
	for (i = 0; i < 256; i++) {
		uint64_t addr = stubs + i * 16, *gate = (void *)(low + GT_IDT + i * 16);

		gate[0] = (addr & 0xffff) | 0x08 << 16 | 0xeeULL << 40 | (addr >> 16) << 48;
		gate[1] = addr >> 32;
	}
}

/* ---- VMs ----------------------------------------------------------------------------------- */

void gt_dev_reset(struct gt *g)
{
	unsigned int i;

	for (i = 0; i < GT_DEV_SIZE; i++)
		g->dev[i] = (uint8_t)(i * 7 + i / 256 + 3);
	for (i = 0; i < sizeof(g->port); i++)
		g->port[i] = (uint8_t)(0xa0 + i);
}

void gt_create(struct gt *g, unsigned int vcpus, bool irqchip)
{
	memset(g, 0, sizeof(*g));
	if (irqchip)
		ig_vm_create(&g->vm, vcpus);
	else
		ut_vm_create(&g->vm, vcpus);
	build_descriptors(g->vm.low);
	gt_dev_reset(g);
}

void gt_destroy(struct gt *g)
{
	ut_vm_destroy(&g->vm);
}

void gt_start(struct gt *g, unsigned int vcpu, ut_guest_fn fn)
{
	struct ut_vcpu *v = &g->vm.vcpu[vcpu];
	struct kvm_sregs sregs;

	memset(g->vm.low + GT_TRAPS, 0, sizeof(struct gt_traps));
	ut_start(v, fn);
	NEED(ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.idt = (struct kvm_dtable){ .base = GT_IDT, .limit = 4095 };
	sregs.gdt = (struct kvm_dtable){ .base = IG_GDT, .limit = 12 * 8 - 1 };
	sregs.tr = (struct kvm_segment){
		.base = GT_TSS, .limit = 0x67, .selector = 0x30, .type = 11, .present = 1,
	};
	NEED(ioctl(v->fd, KVM_SET_SREGS, &sregs) == 0);
}

void gt_start_flat(struct gt *g, const uint8_t *begin, const uint8_t *end, unsigned int entry)
{
	struct ut_vcpu *v = &g->vm.vcpu[0];
	struct kvm_segment zero = {
		.limit = 0xffff, .type = 3, .present = 1, .s = 1,
	};
	struct kvm_regs regs = { .rip = GT_FLAT + entry * 8, .rsp = 0x7f00, .rflags = 2 };
	struct kvm_sregs sregs;

	NEED((size_t)(end - begin) <= UT_ARGS(0) - GT_FLAT);
	memcpy(g->vm.low + GT_FLAT, begin, (size_t)(end - begin));
	NEED(ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs = sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = zero;
	sregs.cs.type = 11;
	sregs.cr0 = 0x10;
	sregs.cr3 = sregs.cr4 = sregs.efer = 0;
	sregs.idt = (struct kvm_dtable){ .base = 0, .limit = 0x3ff };
	sregs.gdt = (struct kvm_dtable){ .base = IG_GDT, .limit = 12 * 8 - 1 };
	NEED(ioctl(v->fd, KVM_SET_SREGS, &sregs) == 0);
	NEED(ioctl(v->fd, KVM_SET_REGS, &regs) == 0);
}

/* ---- the toy device ------------------------------------------------------------------------ */

static void keep(struct gt *g, enum gt_kind kind, uint32_t addr, uint32_t size, const void *data)
{
	struct gt_access *a = &g->log[g->nr_log];

	if (g->nr_log >= GT_MAX_LOG)
		return;
	*a = (struct gt_access){ .kind = kind, .addr = addr, .size = size };
	memcpy(&a->data, data, size < 8 ? size : 8);
	g->nr_log++;
}

static bool do_mmio(struct gt *g, struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - GT_DEV;
	uint32_t len = run->mmio.len;

	if (offset >= GT_DEV_SIZE || offset + len > GT_DEV_SIZE)
		return false;
	if (run->mmio.is_write)
		memcpy(g->dev + offset, run->mmio.data, len);
	else
		memcpy(run->mmio.data, g->dev + offset, len);
	keep(g, run->mmio.is_write ? GT_WRITE : GT_READ, (uint32_t)offset, len, run->mmio.data);
	return true;
}

static bool do_port(struct gt *g, struct kvm_run *run)
{
	uint8_t *p = (uint8_t *)run + run->io.data_offset;
	uint32_t port = run->io.port, size = run->io.size, i;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;

	if (port == GT_REPORT_PORT && out && size == 4) {
		for (i = 0; i < run->io.count && g->nr_reports < GT_MAX_REPORTS; i++)
			memcpy(&g->report[g->nr_reports++], p + i * 4, 4);
		return true;
	}
	if (port < GT_PORT || port + size > GT_PORT + sizeof(g->port))
		return false;
	g->pio_exits++;
	for (i = 0; i < run->io.count; i++, p += size) {
		if (out) {
			memcpy(g->port + port - GT_PORT, p, size);
		} else {
			/* Each element differs from the one before. */
			memcpy(p, g->port + port - GT_PORT, size);
			g->port[port - GT_PORT]++;
		}
		keep(g, out ? GT_OUT : GT_IN, port, size, p);
	}
	return true;
}

static bool do_exit(struct gt *g, struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		return do_mmio(g, run);
	case KVM_EXIT_IO:
		return do_port(g, run);
	default:
		return false;
	}
}

enum ut_result gt_run(struct gt *g, unsigned int vcpu)
{
	struct ut_vcpu *v = &g->vm.vcpu[vcpu];

	g->nr_reports = g->nr_log = g->pio_exits = 0;
	do {
		g->result = ut_run(v, &g->value);
	} while (g->result == UT_EXIT && do_exit(g, v->run));
	return g->result;
}

static void print_state(struct gt *g)
{
	struct kvm_run *run = g->vm.vcpu[0].run;
	struct kvm_sregs s;
	struct kvm_regs r;

	if (ioctl(g->vm.vcpu[0].fd, KVM_GET_REGS, &r) || ioctl(g->vm.vcpu[0].fd, KVM_GET_SREGS, &s))
		return;
	printf("# result %d value %#x exit %u/%u at cs %x:%llx (base %llx) cr0 %llx cr2 %llx efer %llx rsp %llx\n",
	       g->result, g->value, run->exit_reason, run->internal.suberror, s.cs.selector, r.rip,
	       s.cs.base, s.cr0, s.cr2, s.efer, r.rsp);
	if (run->exit_reason == KVM_EXIT_MMIO)
		printf("# mmio %llx len %u write %u\n", run->mmio.phys_addr, run->mmio.len,
		       run->mmio.is_write);
	if (run->exit_reason == KVM_EXIT_IO)
		printf("# port %x size %u count %u\n", run->io.port, run->io.size, run->io.count);
}

static void finish(struct gt *g)
{
	if (gt_run(g, 0) == UT_DONE && g->value == 0)
		return;
	ut_fail(__FILE__, __LINE__, "the guest did not end well after %u reports", g->nr_reports);
	print_state(g);
}

void gt_call(struct gt *g, ut_guest_fn fn)
{
	gt_start(g, 0, fn);
	finish(g);
}

void gt_call_flat(struct gt *g, const uint8_t *begin, const uint8_t *end, unsigned int entry)
{
	gt_start_flat(g, begin, end, entry);
	finish(g);
}

/* ---- expectations -------------------------------------------------------------------------- */

void gt_expect_(struct gt *g, const char *file, int line, unsigned int n, const uint32_t *want)
{
	unsigned int i;

	if (n == g->nr_reports && !memcmp(want, g->report, n * sizeof(*want)))
		return;
	ut_fail(file, line, "reports differ:");
	for (i = 0; i < n || i < g->nr_reports; i++) {
		if (i >= n)
			printf("#   %u: got %#x, want nothing\n", i, g->report[i]);
		else if (i >= g->nr_reports)
			printf("#   %u: got nothing, want %#x\n", i, want[i]);
		else if (want[i] != g->report[i])
			printf("#   %u: got %#x, want %#x\n", i, g->report[i], want[i]);
	}
}

void gt_quirk(struct gt *g, unsigned int i, uint32_t quirk, uint32_t right)
{
	if (i < g->nr_reports && g->report[i] == quirk)
		g->report[i] = right;
}

static void host_cpuid(uint32_t leaf, uint32_t *ebx, uint32_t *ecx)
{
	uint32_t edx;

	*ecx = 0;
	__asm__ volatile("cpuid" : "+a"(leaf), "=b"(*ebx), "+c"(*ecx), "=d"(edx));
}

bool gt_intel(void)
{
	uint32_t ebx, ecx;

	host_cpuid(0, &ebx, &ecx);
	return ebx == 0x756e6547;		/* "Genu" */
}

bool gt_kvm_intel(void)
{
	return gt_intel() && !strcmp(ut_device(), "/dev/kvm");
}

bool gt_pcid(void)
{
	uint32_t ebx, ecx;

	host_cpuid(1, &ebx, &ecx);
	return ecx & 1U << 17;
}

void gt_expect_log_(struct gt *g, const char *file, int line, const char *want)
{
	static const char *const names[] = { "r", "w", "in", "out" };
	static char text[GT_MAX_LOG * 40];
	size_t n = 0;
	unsigned int i;

	text[0] = 0;
	for (i = 0; i < g->nr_log; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%u@%x=%llx", n ? " " : "",
				      names[g->log[i].kind], g->log[i].size, g->log[i].addr,
				      (unsigned long long)g->log[i].data);
	if (strcmp(text, want) != 0)
		ut_fail(file, line, "accesses differ:\n#   got  %.1200s\n#   want %s", text, want);
}
