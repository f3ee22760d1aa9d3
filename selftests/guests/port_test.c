// SPDX-License-Identifier: GPL-2.0-or-later
/* Ports: strings of them in both directions, their prefixes, and where they fail half-way. */
#include "gt.h"

static struct gt g;

#define GUEST(name, body)								\
	UT_GUEST static void name(void *args)						\
	{										\
		body									\
		ut_done(0);								\
	}

/* Run @insns; report ecx and how far rsi and rdi moved. */
#define STRING(insns)									\
	do {										\
		uint64_t s_ = GT_DATA, d_ = GT_DATA + 0x2000, c_ = 4;			\
		__asm__ volatile("cld; mov $0x1010, %%edx\n" insns "\ncld"			\
				 : "+S"(s_), "+D"(d_), "+c"(c_) : : "rax", "rdx", "cc", "memory"); \
		gt_report(c_);								\
		gt_report(s_ - GT_DATA);						\
		gt_report(d_ - GT_DATA - 0x2000);					\
	} while (0)

static void begin(void)
{
	unsigned int i;

	gt_create(&g, 1, false);
	for (i = 0; i < 0x2000; i++)
		g.vm.low[GT_DATA + i] = (uint8_t)(0x80 + i);
}

GUEST(guest_outs, {
	STRING("outsb");
	STRING("outsw");
	STRING("outsl");
	STRING("rep outsb");
	STRING("rep outsw");
	STRING("rep outsl");
	STRING("std; lea 0x10(%%rsi), %%rsi; rep outsw");
	STRING("xor %%ecx, %%ecx; rep outsb");
	STRING("mov $2, %%ecx; .byte 0xf2; outsb");		/* REPNE repeats, too */
})

static void test_outs(void)
{
	begin();
	gt_call(&g, guest_outs);
	gt_expect(&g, 4, 1, 0, 4, 2, 0, 4, 4, 0, 0, 4, 0, 0, 8, 0, 0, 16, 0, 0, 8, 0, 0, 0, 0, 0, 2,
		  0);
	gt_expect_log(&g, "out1@1010=80 out2@1010=8180 out4@1010=83828180"
		      " out1@1010=80 out1@1010=81 out1@1010=82 out1@1010=83"
		      " out2@1010=8180 out2@1010=8382 out2@1010=8584 out2@1010=8786"
		      " out4@1010=83828180 out4@1010=87868584 out4@1010=8b8a8988 out4@1010=8f8e8d8c"
		      " out2@1010=9190 out2@1010=8f8e out2@1010=8d8c out2@1010=8b8a"
		      " out1@1010=80 out1@1010=81");
	gt_destroy(&g);
}

GUEST(guest_ins, {
	STRING("insb");
	STRING("insw");
	STRING("insl");
	STRING("add $0x10, %%rdi; rep insb");
	STRING("add $0x20, %%rdi; rep insl");
	STRING("std; add $0x40, %%rdi; rep insw");
	STRING("xor %%ecx, %%ecx; rep insb");
})

static void test_ins(void)
{
	static const uint8_t want[] = {
		0xb2, 0xb1, 0xb2, 0xb3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0xb3, 0xb4, 0xb5, 0xb6,
	};

	begin();
	gt_call(&g, guest_ins);
	gt_expect(&g, 4, 0, 1, 4, 0, 2, 4, 0, 4, 0, 0, 0x14, 0, 0, 0x30, 0, 0, 0x38, 0, 0, 0);
	CHECK(!memcmp(g.vm.low + GT_DATA + 0x2000, want, sizeof(want)));
	CHECK(!memcmp(g.vm.low + GT_DATA + 0x2020, "\xb7\xb1\xb2\xb3\xb8\xb1\xb2\xb3", 8));
	CHECK(!memcmp(g.vm.low + GT_DATA + 0x203a, "\xbe\xb1\xbd\xb1\xbc\xb1\xbb\xb1", 8));
	gt_destroy(&g);
}

/* More than a page, unaligned: several exits, nothing lost. */
GUEST(guest_long, {
	STRING("add $0x123, %%rsi; mov $5000, %%ecx; rep outsb");
	STRING("mov $1500, %%ecx; add $0xf01, %%rdi; rep insl");
})

static void test_long(void)
{
	uint8_t last = (uint8_t)(0x80 + 0x123 + 4999);
	unsigned int i, bad = 0;

	begin();
	gt_call(&g, guest_long);
	gt_expect(&g, 0, 5000 + 0x123, 0, 0, 0, 6000 + 0xf01);
	for (i = 0; i < GT_MAX_LOG; i++)
		bad += g.log[i].data != (uint8_t)(0x80 + 0x123 + i);
	CHECK_EQ(bad, 0);
	for (i = 0; i < 1500; i++)
		bad += g.vm.low[GT_DATA + 0x2f01 + i * 4] != (uint8_t)(last + i);
	CHECK_EQ(bad, 0);
	gt_destroy(&g);
}

/* A missing page in the middle: the instruction faults there, with the registers so far. */
static void build_pages(void)
{
	uint64_t *pd = (void *)(g.vm.low + 0x5000), *pte = (void *)(g.vm.low + GT_TABLES);

	pd[0] = GT_TABLES | 7;
	memset(pte, 0, 4096);
	pte[0] = GT_DATA | 3;
	pte[2] = (GT_DATA + 0x2000) | 3;
}

GUEST(guest_fault, {
	GT_T->vector = 0x100;
	/* rcx, rsi and rdi at the fault are what the registers still hold after it. */
	STRING("lea 9f(%%rip), %%rax; mov %%rax, 0x37000; mov %%rsp, 0x37270;"
	       "mov $0x80000ffe, %%esi; mov $8, %%ecx; rep outsb; 9: movq $0, 0x37000");
	gt_report(GT_T->vector);
	gt_report(GT_T->error);
	gt_report(GT_T->cr2);
	GT_T->vector = 0x100;
	STRING("lea 9f(%%rip), %%rax; mov %%rax, 0x37000; mov %%rsp, 0x37270;"
	       "mov $0x80002ff8, %%edi; mov $8, %%ecx; rep insl; 9: movq $0, 0x37000");
	gt_report(GT_T->vector);
	gt_report(GT_T->error);
	gt_report(GT_T->cr2);
})

static void test_fault(void)
{
	begin();
	build_pages();
	gt_call(&g, guest_fault);
	if (!strcmp(ut_device(), "/dev/kvm")) {
		/* KVM does not tell how far it got. */
		gt_quirk(&g, 6, 8, 6);
		gt_quirk(&g, 8, 0x80002ff8 - GT_DATA - 0x2000, 0x80003000 - GT_DATA - 0x2000);
	}
	gt_expect(&g, 6, 0x80001000 - GT_DATA, 0, 14, 0, 0x80001000,
		  6, 0, 0x80003000 - GT_DATA - 0x2000, 14, 2, 0x80003000);
	gt_destroy(&g);
}

/* Between ports and a device's memory. */
GUEST(guest_mixed, {
	STRING("mov $0x40000000, %%esi; rep outsw");
	STRING("mov $0x40000100, %%edi; mov $2, %%ecx; rep insl");
})

static void test_mixed(void)
{
	begin();
	gt_call(&g, guest_mixed);
	gt_expect(&g, 0, 0x40000008 - GT_DATA, 0, 0, 0, 0x40000108 - GT_DATA - 0x2000);
	CHECK(!memcmp(g.dev + 0x100, "\x2d\x34\xb2\xb3\x2e\x34\xb2\xb3", 8));
	if (strcmp(ut_device(), "/dev/kvm"))	/* which stores both elements of INS at once */
		gt_expect_log(&g, "r2@0=a03 out2@1010=a03 r2@2=1811 out2@1010=1811 r2@4=261f"
			      " out2@1010=261f r2@6=342d out2@1010=342d in4@1010=b3b2342d"
			      " w4@100=b3b2342d in4@1010=b3b2342e w4@104=b3b2342e");
	gt_destroy(&g);
}

/* Operand and address sizes, segments. */
GUEST(guest_prefixes, {
	STRING("mov $0x1122334455667788, %%rax; out %%al, $0x80; out %%eax, %%dx; out %%ax, %%dx");
	STRING("mov $-1, %%rax; in %%dx, %%al; mov %%rax, (%%rdi); mov $-1, %%rax; in %%dx, %%ax;"
	       "mov %%rax, 8(%%rdi); mov $-1, %%rax; in %%dx, %%eax; mov %%rax, 16(%%rdi)");
	STRING(".byte 0xf3; in %%dx, %%al; .byte 0xf3; out %%al, %%dx");	/* REP of no string */
	STRING("btsq $32, %%rsi; btsq $33, %%rcx; .byte 0xf3, 0x67, 0x6e");	/* rep outsb (%esi) */
	STRING(".byte 0x48, 0x6f");						/* REX.W outsl */
})

static void test_prefixes(void)
{
	static const uint64_t want[] = { 0xffffffffffffff88, 0xffffffffffff7789, 0x5566778a };

	begin();
	gt_start(&g, 0, guest_prefixes);
	/* Port 0x80 belongs to nobody. */
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(g.vm.vcpu[0].run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(g.vm.vcpu[0].run->io.port, 0x80);
	CHECK_EQ(g.vm.vcpu[0].run->io.size, 1);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect_log(&g, "out4@1010=55667788 out2@1010=7788 in1@1010=88 in2@1010=7789"
		      " in4@1010=5566778a in1@1010=8b out1@1010=8b out1@1010=80 out1@1010=81"
		      " out1@1010=82 out1@1010=83 out4@1010=83828180");
	CHECK(!memcmp(g.vm.low + GT_DATA + 0x2000, want, sizeof(want)));
	gt_expect(&g, 4, 0, 0, 4, 0, 0, 4, 0, 0, 0, 4, 0, 4, 4, 0);
	gt_destroy(&g);
}

/* The registers change when user space comes back, not before. */
GUEST(guest_in, {
	uint32_t v;

	__asm__ volatile("mov $0x12345678, %%eax; inl %%dx, %%eax" : "=a"(v) : "d"(0x2000));
	gt_report(v);
})

static void test_completion(void)
{
	struct kvm_run *run;
	struct kvm_regs regs;
	uint32_t answer = 0xcafe;

	begin();
	run = g.vm.vcpu[0].run;
	gt_start(&g, 0, guest_in);
	CHECK_EQ(gt_run(&g, 0), UT_EXIT);
	CHECK_EQ(run->io.port, 0x2000);
	CHECK_EQ(run->io.direction, KVM_EXIT_IO_IN);
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(regs.rax, 0x12345678);
	memcpy((uint8_t *)run + run->io.data_offset, &answer, 4);
	run->immediate_exit = 1;
	CHECK_ERRNO(ioctl(g.vm.vcpu[0].fd, KVM_RUN, 0), EINTR);
	run->immediate_exit = 0;
	CHECK_EQ(ioctl(g.vm.vcpu[0].fd, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(regs.rax, 0xcafe);
	CHECK_EQ(gt_run(&g, 0), UT_DONE);
	gt_expect(&g, 0xcafe);
	gt_destroy(&g);
}

static const struct ut_test tests[] = {
	{ "port-outs", test_outs },
	{ "port-ins", test_ins },
	{ "port-long-strings", test_long },
	{ "port-fault-half-way", test_fault },
	{ "port-to-device-memory", test_mixed },
	{ "port-prefixes", test_prefixes },
	{ "port-completion", test_completion },
};

int main(int argc, char **argv)
{
	return ut_main(argc, argv, tests, ARRAY_SIZE(tests));
}
