// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions that access memory which is a device: each form, what reaches user space, and what
 * the instruction leaves in registers. Byte i of the device is i * 7 + i / 256 + 3.
 */
#include "gt.h"

static struct gt g;

/* Run @insns with rbx at the device and rsi/rdi at test memory; report eax, edx, ecx, and flags. */
#define MMIO(insns)									\
	do {										\
		uint32_t a_ = 0x11223344, d_ = 0x55667788, c_ = 3;			\
		register uint64_t f_ __asm__("r11");					\
		__asm__ volatile("push %%rbx; push %%rsi; push %%rdi; mov $0x40000000, %%ebx;"	\
				 "mov $0x40000, %%esi; mov $0x41000, %%edi; xor %%r8d, %%r8d\n"	\
				 insns "\n"						\
				 "pushfq; pop %%r11; pop %%rdi; pop %%rsi; pop %%rbx"	\
				 : "+a"(a_), "+d"(d_), "+c"(c_), "=r"(f_) : : "r8", "r9",	\
				 "r10", "cc", "memory");				\
		gt_report(a_);								\
		gt_report(d_);								\
		gt_report(c_);								\
		gt_report(f_ & 0x8d5);							\
	} while (0)

/* Run @fn and compare what it reported and accessed. */
#define RUN(fn, log, ...)								\
	do {										\
		gt_create(&g, 1, false);						\
		gt_call(&g, fn);							\
		gt_expect(&g, __VA_ARGS__);						\
		gt_expect_log(&g, log);							\
		gt_destroy(&g);								\
	} while (0)

#define GUEST(name, body)								\
	UT_GUEST static void name(void *args)						\
	{										\
		body									\
		ut_done(0);								\
	}

#define A 0x11223344
#define D 0x55667788
#define C 3

/* ---- plain moves --------------------------------------------------------------------------- */

GUEST(guest_loads, {
	MMIO("mov (%%rbx), %%al; test %%r8, %%r8");
	MMIO("mov 1(%%rbx), %%ah; test %%r8, %%r8");
	MMIO("mov 2(%%rbx), %%ax; test %%r8, %%r8");
	MMIO("mov 4(%%rbx), %%eax; test %%r8, %%r8");
	MMIO("mov 8(%%rbx), %%rax; mov %%rax, %%rdx; shr $32, %%rdx; test %%r8, %%r8");
	MMIO("movabs 0x40000010, %%al; test %%r8, %%r8");
	MMIO("movabs 0x40000010, %%rax; mov %%rax, %%rdx; shr $32, %%rdx; test %%r8, %%r8");
})

static void test_loads(void)
{
	RUN(guest_loads, "r1@0=3 r1@1=a r2@2=1811 r4@4=342d261f r8@8=6c655e575049423b r1@10=73"
	    " r8@10=a49d968f88817a73",
	    0x11223303, D, C, 0x44, 0x11220a44, D, C, 0x44, 0x11221811, D, C, 0x44,
	    0x342d261f, D, C, 0x44, 0x5049423b, 0x6c655e57, C, 0x44,
	    0x11223373, D, C, 0x44, 0x88817a73, 0xa49d968f, C, 0x44);
}

GUEST(guest_stores, {
	MMIO("mov %%al, (%%rbx); test %%r8, %%r8");
	MMIO("mov %%ah, 1(%%rbx); test %%r8, %%r8");
	MMIO("mov %%ax, 2(%%rbx); test %%r8, %%r8");
	MMIO("mov %%eax, 4(%%rbx); test %%r8, %%r8");
	MMIO("shl $32, %%rdx; or %%rax, %%rdx; mov %%rdx, 8(%%rbx); shr $32, %%rdx; test %%r8, %%r8");
	MMIO("movb $0x12, (%%rbx); movw $0x1234, (%%rbx); movl $0x12345678, (%%rbx);"
	     "movq $-2, (%%rbx); test %%r8, %%r8");
	MMIO("movabs %%al, 0x40000010; movabs %%eax, 0x40000014; test %%r8, %%r8");
})

static void test_stores(void)
{
	RUN(guest_stores, "w1@0=44 w1@1=33 w2@2=3344 w4@4=11223344 w8@8=5566778811223344"
	    " w1@0=12 w2@0=1234 w4@0=12345678 w8@0=fffffffffffffffe w1@10=44 w4@14=11223344",
	    A, D, C, 0x44, A, D, C, 0x44, A, D, C, 0x44, A, D, C, 0x44, A, D, C, 0x44,
	    A, D, C, 0x44, A, D, C, 0x44);
}

GUEST(guest_extend, {
	MMIO("movzbl 0x20(%%rbx), %%eax; movzbw 0x20(%%rbx), %%dx; test %%r8, %%r8");
	MMIO("movzwl 0x20(%%rbx), %%eax; movsbl 0x20(%%rbx), %%edx; test %%r8, %%r8");
	MMIO("movswl 0x20(%%rbx), %%eax; movsbw 0x20(%%rbx), %%dx; test %%r8, %%r8");
	MMIO("movslq 0x20(%%rbx), %%rax; shr $32, %%rax; movswq 0x20(%%rbx), %%rdx; shr $32, %%rdx;"
	     "test %%r8, %%r8");
	MMIO("movsbq 0x20(%%rbx), %%rax; shr $32, %%rax; movzbq 0x20(%%rbx), %%rdx; shr $32, %%rdx;"
	     "test %%r8, %%r8");
})

static void test_extend(void)
{
	RUN(guest_extend, "r1@20=e3 r1@20=e3 r2@20=eae3 r1@20=e3 r2@20=eae3 r1@20=e3 r4@20=f8f1eae3"
	    " r2@20=eae3 r1@20=e3 r1@20=e3",
	    0xe3, 0x556600e3, C, 0x44, 0xeae3, 0xffffffe3, C, 0x44,
	    0xffffeae3, 0x5566ffe3, C, 0x44, 0xffffffff, 0xffffffff, C, 0x44,
	    0xffffffff, 0, C, 0x44);
}

/* ---- read, modify, write ------------------------------------------------------------------- */

GUEST(guest_rmw, {
	MMIO("addl %%eax, (%%rbx)");
	MMIO("subb $3, 4(%%rbx)");
	MMIO("orw $0x8000, 8(%%rbx)");
	MMIO("andl $0xff, 12(%%rbx)");
	MMIO("xorb $0xff, 16(%%rbx)");
	MMIO("stc; adcl $0, 20(%%rbx)");
	MMIO("stc; sbbl $0, 20(%%rbx)");
	MMIO("cmpl %%eax, (%%rbx)");
	MMIO("testl $0x80, 24(%%rbx)");
	MMIO("cmp 28(%%rbx), %%al");
})

static void test_rmw(void)
{
	RUN(guest_rmw, "r4@0=18110a03 w4@0=29333d47 r1@4=1f w1@4=1c r2@8=423b w2@8=c23b"
	    " r4@c=6c655e57 w4@c=57 r1@10=73 w1@10=8c r4@14=a49d968f w4@14=a49d9690"
	    " r4@14=a49d9690 w4@14=a49d968f r4@0=29333d47 r4@18=c0b9b2ab r1@1c=c7",
	    A, D, C, 0x4, A, D, C, 0, A, D, C, 0x80, A, D, C, 0, A, D, C, 0x80, A, D, C, 0x94,
	    A, D, C, 0x90, A, D, C, 0x4, A, D, C, 0, A, D, C, 0x15);
}

GUEST(guest_rmw2, {
	MMIO("incl (%%rbx); decb 4(%%rbx); test %%r8, %%r8");
	MMIO("notl 8(%%rbx); negw 12(%%rbx)");
	MMIO("shll $1, (%%rbx); shrb %%cl, 4(%%rbx)");
	MMIO("btsl $31, 16(%%rbx); setc %%al; btl $0, 20(%%rbx); setc %%dl; test %%r8, %%r8");
	MMIO("xchg %%eax, 24(%%rbx); test %%r8, %%r8");
	MMIO("lock xaddl %%eax, 28(%%rbx); test %%r8, %%r8");
	MMIO("mov 32(%%rbx), %%eax; lock cmpxchgl %%edx, 32(%%rbx)");
	MMIO("lock cmpxchgl %%edx, 36(%%rbx); test %%r8, %%r8");
	MMIO("lock orl $0x80000000, 40(%%rbx); test %%r8, %%r8");
	MMIO("setc 44(%%rbx); test %%r8, %%r8");
	MMIO("clc; cmovnc 48(%%rbx), %%eax; test %%r8, %%r8");
})

static void test_rmw2(void)
{
	RUN(guest_rmw2, "r4@0=18110a03 w4@0=18110a04 r1@4=1f w1@4=1e r4@8=5049423b w4@8=afb6bdc4"
	    " r2@c=5e57 w2@c=a1a9 r4@0=18110a04 w4@0=30221408 r1@4=1e w1@4=3 r4@10=88817a73"
	    " w4@10=88817a73 r4@14=a49d968f r4@18=c0b9b2ab w4@18=11223344 r4@1c=dcd5cec7"
	    " w4@1c=edf8020b r4@20=f8f1eae3 r4@20=f8f1eae3 w4@20=55667788 r4@24=140d06ff"
	    " w4@24=140d06ff r4@28=3029221b w4@28=b029221b w1@2c=0 r4@30=68615a53",
	    A, D, C, 0x44, A, D, C, 0x95, A, D, C, 0x5, 0x11223301, 0x55667701, C, 0x44,
	    0xc0b9b2ab, D, C, 0x44, 0xdcd5cec7, D, C, 0x44, 0xf8f1eae3, D, C, 0x44,
	    0x140d06ff, D, C, 0x44, A, D, C, 0x44, A, D, C, 0x44, 0x68615a53, D, C, 0x44);
}

/* ---- addressing ---------------------------------------------------------------------------- */

GUEST(guest_addressing, {
	MMIO("mov $2, %%ecx; mov 0x10(%%rbx,%%rcx,8), %%eax; test %%r8, %%r8");
	MMIO("lea 0x40(%%rbx), %%r9; mov -4(%%r9), %%edx; test %%r8, %%r8");
	MMIO("mov %%rbx, %%r10; mov 0x12345678(%%r10,%%r8), %%eax; test %%r8, %%r8");
	MMIO("mov 0x40000100, %%eax; test %%r8, %%r8");
	MMIO("mov $-1, %%rcx; .byte 0x67; mov 0x41(%%rbx,%%rcx), %%al; mov $3, %%ecx; test %%r8, %%r8");
	MMIO("push 0x48(%%rbx); pop %%rax; test %%r8, %%r8");
	MMIO("push %%rax; pop 0x50(%%rbx); test %%r8, %%r8");
})

static void test_addressing(void)
{
	struct kvm_run *run;

	gt_create(&g, 1, false);
	run = g.vm.vcpu[0].run;
	gt_start(&g, 0, guest_addressing);
	/* The third one is outside of the device: the test answers it. */
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, 0x52345678);
	CHECK_EQ(run->mmio.len, 4);
	gt_expect(&g, 0xf8f1eae3, D, 2, 0x44, A, 0xbcb5aea7, C, 0x44);
	gt_expect_log(&g, "r4@20=f8f1eae3 r4@3c=bcb5aea7");
	memcpy(run->mmio.data, "\x01\x02\x03\x04", 4);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 0x04030201, D, C, 0x44, 0x19120b04, D, C, 0x44, 0x112233c3, D, C, 0x44,
		  0x100902fb, D, C, 0x44, A, D, C, 0x44);
	gt_destroy(&g);
}

/* ---- strings ------------------------------------------------------------------------------- */

GUEST(guest_strings, {
	MMIO("cld; mov %%rbx, %%rdi; rep movsb; lea -0x40000000(%%rdi), %%eax; lea -0x40000(%%rsi), %%edx;"
	     "test %%r8, %%r8");
	MMIO("mov %%rbx, %%rsi; rep movsl; mov -4(%%rdi), %%eax; lea -0x41000(%%rdi), %%edx;"
	     "test %%r8, %%r8");
	MMIO("lea 0x100(%%rbx), %%rdi; rep stosw; lea -0x40000000(%%rdi), %%edx; test %%r8, %%r8");
	MMIO("std; lea 0x100(%%rbx), %%rdi; rep stosb; cld; lea -0x40000000(%%rdi), %%edx;"
	     "test %%r8, %%r8");
	MMIO("lea 0x10(%%rbx), %%rsi; lodsq; mov %%rax, %%rdx; shr $32, %%rdx; test %%r8, %%r8");
	MMIO("mov %%rbx, %%rdi; mov $0x0a, %%al; mov $10, %%ecx; repne scasb;"
	     "lea -0x40000000(%%rdi), %%edx; test %%r8, %%r8");
	MMIO("mov %%rbx, %%rsi; lea 0x200(%%rbx), %%rdi; mov $2, %%ecx; rep movsq; test %%r8, %%r8");
})

static void test_strings(void)
{
	unsigned int i;

	gt_create(&g, 1, false);
	for (i = 0; i < 256; i++)
		g.vm.low[GT_DATA + i] = (uint8_t)(0x80 + i);
	gt_call(&g, guest_strings);
	/* KVM writes repeated bytes one by one, too. */
	gt_expect_log(&g, "w1@0=80 w1@1=81 w1@2=82 r4@0=18828180 r4@4=342d261f r4@8=5049423b"
		      " w2@100=3344 w2@102=3344 w2@104=3344 w1@100=44 w1@ff=44 w1@fe=44"
		      " r8@10=a49d968f88817a73 r1@0=80 r1@1=81 r1@2=82 r1@3=18 r1@4=1f r1@5=26 r1@6=2d"
		      " r1@7=34 r1@8=3b r1@9=42"
		      " r8@0=342d261f18828180 w8@200=342d261f18828180 r8@8=6c655e575049423b"
		      " w8@208=6c655e575049423b");
	gt_expect(&g, 3, 3, 0, 0x44, 0x5049423b, 12, 0, 0x44, A, 0x106, 0, 0x44, A, 0xfd, 0, 0x44,
		  0x88817a73, 0xa49d968f, C, 0x44, 0x1122330a, 10, 0, 0x44, A, D, 0, 0x44);
	gt_destroy(&g);
}

/* From memory into the device and on into memory: the instruction goes on in the other kind. */
GUEST(guest_boundary, {
	MMIO("lea -4(%%rbx), %%rdi; mov $4, %%ecx; rep movsw; lea -0x40000000(%%rdi), %%eax;"
	     "test %%r8, %%r8");
	MMIO("lea -2(%%rbx), %%rsi; mov $4, %%ecx; rep movsb; mov -4(%%rdi), %%eax; test %%r8, %%r8");
	/* One access across the end of memory. */
	MMIO("mov -2(%%rbx), %%eax; test %%r8, %%r8");
	MMIO("mov %%eax, -1(%%rbx); test %%r8, %%r8");
	/* And across two pages of the device. */
	MMIO("mov 0xffe(%%rbx), %%eax; mov %%edx, 0x1ffd(%%rbx); test %%r8, %%r8");
})

static void test_boundary(void)
{
	uint8_t *page;
	unsigned int i;

	gt_create(&g, 1, false);
	page = mmap(NULL, UT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(page != MAP_FAILED);
	NEED(ut_slot(&g.vm, 1, GT_DEV - UT_PAGE, UT_PAGE, page, 0) == 0);
	for (i = 0; i < 256; i++)
		g.vm.low[GT_DATA + i] = (uint8_t)(0x80 + i);
	gt_call(&g, guest_boundary);
	gt_expect(&g, 4, D, 0, 0x44, 0x85848382, D, 0, 0x44, 0x85848382, D, C, 0x44, A, D, C, 0x44,
		  0x1a130b04, D, C, 0x44);
	gt_expect_log(&g, "w2@0=8584 w2@2=8786 r1@0=84 r1@1=85 r2@0=8584 w3@0=112233"
		      " r2@ffe=b04 r2@1000=1a13 w3@1ffd=667788 w1@2000=55");
	CHECK(!memcmp(page + UT_PAGE - 4, "\x80\x81\x82\x44", 4));
	munmap(page, UT_PAGE);
	gt_destroy(&g);
}

/* ---- vectors ------------------------------------------------------------------------------- */

GUEST(guest_sse, {
	MMIO("movups (%%rbx), %%xmm0; movups %%xmm0, 0x100(%%rbx); test %%r8, %%r8");
	MMIO("movaps 0x20(%%rbx), %%xmm1; movaps %%xmm1, (%%rsi); mov 12(%%rsi), %%eax; test %%r8, %%r8");
	MMIO("movdqu 0x30(%%rbx), %%xmm2; movdqa %%xmm2, 0x110(%%rbx); test %%r8, %%r8");
	MMIO("movntps %%xmm0, 0x120(%%rbx); movnti %%eax, 0x130(%%rbx); test %%r8, %%r8");
})

static void test_sse(void)
{
	RUN(guest_sse, "r8@0=342d261f18110a03 r8@8=6c655e575049423b w8@100=342d261f18110a03"
	    " w8@108=6c655e575049423b r8@20=140d06fff8f1eae3 r8@28=4c453e373029221b"
	    " r8@30=847d766f68615a53 r8@38=bcb5aea7a099928b w8@110=847d766f68615a53"
	    " w8@118=bcb5aea7a099928b w8@120=342d261f18110a03 w8@128=6c655e575049423b w4@130=11223344",
	    A, D, C, 0x44, 0x4c453e37, D, C, 0x44, A, D, C, 0x44, A, D, C, 0x44);
}

/* ---- what cannot be emulated --------------------------------------------------------------- */

UT_GUEST static void guest_unknown(void *args)
{
	__asm__ volatile("fninit; fldt 0x40000000");
	ut_done(0);
}

static void test_unknown(void)
{
	struct kvm_run *run;

	gt_create(&g, 1, false);
	run = g.vm.vcpu[0].run;
	gt_start(&g, 0, guest_unknown);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	gt_destroy(&g);
}

/* A page that the guest's own tables do not let it touch is no business of the device. */
UT_GUEST static void guest_guarded(void *args)
{
	volatile uint64_t *pd = (volatile uint64_t *)0x4000;

	__asm__ volatile("mov %%cr0, %%rax; or $0x10000, %%eax; mov %%rax, %%cr0" : : : "rax");
	pd[0] = 0x40000000 | 0x81;			/* read-only */
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
	gt_try("mov 0x40000000, %%eax");
	gt_report(GT_T->vector);
	gt_try("mov %%eax, 0x40000123");
	gt_report(GT_T->vector);
	gt_report(GT_T->error);
	gt_report(GT_T->cr2);
	gt_try("addl %%eax, 0x40000123");
	gt_report(GT_T->vector);
	gt_report(GT_T->error);
	/* One that crosses into a missing page. */
	pd[0] = 0x40000000 | 0x83;
	pd[1] = 0;
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
	gt_try("mov %%eax, 0x401ffffe");
	gt_report(GT_T->vector);
	gt_report(GT_T->error);
	gt_report(GT_T->cr2);
	ut_done(0);
}

static void test_guarded(void)
{
	gt_create(&g, 1, false);
	gt_call(&g, guest_guarded);
	if (!strcmp(ut_device(), "/dev/kvm")) {
		/* KVM forgets the page's protection once it was read. */
		gt_quirk(&g, 4, 0x100, 14);
		gt_quirk(&g, 5, 0, 3);
	}
	gt_expect(&g, 0x100, 14, 3, 0x40000123, 14, 3, 14, 2, 0x40200000);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "mmio-loads", test_loads },
	{ "mmio-stores", test_stores },
	{ "mmio-extend", test_extend },
	{ "mmio-read-modify-write", test_rmw },
	{ "mmio-read-modify-write-more", test_rmw2 },
	{ "mmio-addressing", test_addressing },
	{ "mmio-strings", test_strings },
	{ "mmio-boundary", test_boundary },
	{ "mmio-sse", test_sse },
	{ "mmio-unknown-instruction", test_unknown },
	{ "mmio-guarded-by-guest", test_guarded },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
