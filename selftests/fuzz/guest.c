// SPDX-License-Identifier: GPL-2.0-or-later
/* What guests execute: snippets that leave the guest in every way, and random bytes. */
#include <string.h>
#include <sys/ioctl.h>

#include "fuzz.h"

/* ---- code ---------------------------------------------------------------------------------- */

static const struct snippet {
	uint8_t size;
	uint8_t code[15];
} snippets[] = {
	{1, {0xf4}},                   /* hlt */
	{2, {0x0f, 0xa2}},             /* cpuid */
	{2, {0x0f, 0x32}},             /* rdmsr */
	{2, {0x0f, 0x30}},             /* wrmsr */
	{2, {0x0f, 0x31}},             /* rdtsc */
	{3, {0x0f, 0x01, 0xf9}},       /* rdtscp */
	{3, {0x0f, 0x01, 0xd9}},       /* vmmcall */
	{3, {0x0f, 0x01, 0xc1}},       /* vmcall */
	{3, {0x0f, 0x01, 0xd0}},       /* xgetbv */
	{3, {0x0f, 0x01, 0xd1}},       /* xsetbv */
	{3, {0x0f, 0x01, 0xd8}},       /* vmrun */
	{3, {0x0f, 0x01, 0xdc}},       /* stgi */
	{3, {0x0f, 0x01, 0xdf}},       /* invlpga */
	{3, {0x0f, 0x01, 0xc8}},       /* monitor */
	{3, {0x0f, 0x01, 0xc9}},       /* mwait */
	{2, {0x0f, 0x09}},             /* wbinvd */
	{2, {0x0f, 0x08}},             /* invd */
	{2, {0x0f, 0x06}},             /* clts */
	{2, {0x0f, 0x0b}},             /* ud2 */
	{2, {0x0f, 0xaa}},             /* rsm */
	{2, {0x0f, 0x33}},             /* rdpmc */
	{2, {0x0f, 0x05}},             /* syscall */
	{3, {0x0f, 0x01, 0x3b}},       /* invlpg [rbx] */
	{3, {0x0f, 0x01, 0x13}},       /* lgdt [rbx] */
	{3, {0x0f, 0x01, 0x1b}},       /* lidt [rbx] */
	{3, {0x0f, 0x00, 0xd8}},       /* ltr ax */
	{3, {0x0f, 0x01, 0xf0}},       /* lmsw ax */
	{3, {0x0f, 0x22, 0xc0}},       /* mov cr0, rax */
	{3, {0x0f, 0x22, 0xd8}},       /* mov cr3, rax */
	{3, {0x0f, 0x22, 0xe0}},       /* mov cr4, rax */
	{4, {0x44, 0x0f, 0x22, 0xc0}}, /* mov cr8, rax */
	{3, {0x0f, 0x20, 0xc0}},       /* mov rax, cr0 */
	{3, {0x0f, 0x23, 0xf8}},       /* mov dr7, rax */
	{3, {0x0f, 0x21, 0xf0}},       /* mov rax, dr6 */
	{1, {0xec}},
	{1, {0xed}}, /* in */
	{1, {0xee}},
	{1, {0xef}},                         /* out */
	{2, {0xe4, 0x21}},                   /* in al, 0x21 */
	{2, {0xe6, 0x20}},                   /* out 0x20, al */
	{2, {0xe6, 0x43}},                   /* out 0x43, al */
	{2, {0xf3, 0x6c}},                   /* rep insb */
	{2, {0xf3, 0x6f}},                   /* rep outsd */
	{2, {0xf3, 0xa4}},                   /* rep movsb */
	{3, {0xf3, 0x48, 0xa5}},             /* rep movsq */
	{2, {0xf3, 0xaa}},                   /* rep stosb */
	{2, {0xf3, 0xae}},                   /* rep scasb */
	{2, {0x89, 0x03}},                   /* mov [rbx], eax */
	{2, {0x8b, 0x03}},                   /* mov eax, [rbx] */
	{2, {0x88, 0x03}},                   /* mov [rbx], al */
	{3, {0x48, 0x89, 0x03}},             /* mov [rbx], rax */
	{3, {0x0f, 0xb6, 0x03}},             /* movzx eax, byte [rbx] */
	{4, {0xf0, 0x0f, 0xb1, 0x0b}},       /* lock cmpxchg [rbx], ecx */
	{5, {0xf0, 0x48, 0x0f, 0xc7, 0x0b}}, /* lock cmpxchg16b [rbx] */
	{3, {0xf0, 0x01, 0x03}},             /* lock add [rbx], eax */
	{2, {0x87, 0x03}},                   /* xchg [rbx], eax */
	{3, {0x0f, 0x11, 0x03}},             /* movups [rbx], xmm0 */
	{3, {0x0f, 0x10, 0x03}},             /* movups xmm0, [rbx] */
	{4, {0xc5, 0xfe, 0x6f, 0x03}},       /* vmovdqu ymm0, [rbx] */
	{2, {0xff, 0x33}},                   /* push [rbx] */
	{2, {0x8f, 0x03}},                   /* pop [rbx] */
	{2, {0xff, 0x13}},                   /* call [rbx] */
	{2, {0xff, 0x23}},                   /* jmp [rbx] */
	{2, {0xf7, 0x33}},                   /* div dword [rbx] */
	{2, {0xff, 0xe3}},                   /* jmp rbx */
	{1, {0xfb}},
	{1, {0xfa}}, /* sti, cli */
	{1, {0x9d}},
	{1, {0x9c}}, /* popf, pushf */
	{1, {0xcf}},
	{2, {0x48, 0xcf}}, /* iret */
	{1, {0xcc}},
	{1, {0xf1}},       /* int3, int1 */
	{2, {0xcd, 0x80}}, /* int 0x80 */
	{2, {0x8e, 0xd0}}, /* mov ss, ax */
	{2, {0xf3, 0x90}}, /* pause */
	{2, {0xeb, 0xfe}}, /* jmp $ */
	{1, {0x66}},
	{1, {0x67}},
	{1, {0xf0}},
	{1, {0x2e}},
	{1, {0x48}},
};

/* MSRs, ports and addresses of which the hypervisor knows something. */
static const uint32_t msrs[] = {
	0x10,       0x1b,       0x2f,       0x3a,       0x3b,       0x48,       0x49,
	0x6e0,      0x8b,       0xfe,       0x174,      0x175,      0x176,      0x179,
	0x17a,      0x17b,      0x1a0,      0x1d9,      0x200,      0x201,      0x250,
	0x277,      0x2ff,      0x400,      0x401,      0x402,      0x403,      0x802,
	0x808,      0x80b,      0x80f,      0x830,      0x832,      0x838,      0x83e,
	0x83f,      0xda0,      0x40000000, 0x40000001, 0x40000002, 0x40000020, 0x40000021,
	0x40000073, 0x40000080, 0x40000083, 0x40000082, 0x40000084, 0x40000090, 0x400000b0,
	0x400000b1, 0x40000105, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04,
	0x4b564d05, 0x4b564d06, 0x4b564d07, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084,
	0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0010015, 0xc001001f, 0xc0010114,
	0xc0010117, 0xc0010140,
};
static const uint64_t addresses[] = {
	0,          0x1000,      0x8000,          0xff000,        WORLD_LOW - 4,
	WORLD_LOW,  0xfec00000,  0xfec00010,      0xfee00000,     0xfee00020,
	0xfee000b0, 0xfee00300,  0xfee00380,      0xd0000000,     0xd0000ffe,
	0xfffffffe, 0x100000000, 0x3ffffffffffff, 0x800000000000, 0xfffffffffffff000,
};
static const uint16_t ports[] = {
	0x20,  0x21, 0xa0, 0xa1,  0x40,  0x42, 0x43,  0x61,   0x4d0,
	0x4d1, 0xf0, 0x70, 0x3f8, 0x510, 0xb2, 0xcf8, 0xffff,
};

uint32_t pick_msr(struct rng *r)
{
	return rng_one_in(r, 16) ? (uint32_t)rng_number(r) : msrs[rng_below(r, ARRAY_SIZE(msrs))];
}

uint64_t pick_address(struct rng *r)
{
	return rng_one_in(r, 8) ? rng_number(r) : addresses[rng_below(r, ARRAY_SIZE(addresses))];
}

/* mov REGISTER, imm32, as 64-bit and 32-bit code read it. */
static size_t load(uint8_t *to, uint8_t reg, uint64_t value)
{
	uint32_t imm = (uint32_t)value;

	to[0] = 0xb8 + reg;
	memcpy(to + 1, &imm, sizeof(imm));
	return 5;
}

/* An instruction or two with something sensible in its registers. */
static size_t emit(struct rng *r, uint8_t *to)
{
	const struct snippet *s = &snippets[rng_below(r, ARRAY_SIZE(snippets))];
	size_t n = 0;

	if (rng_one_in(r, 2))
		n += load(to + n, 0, rng_number(r));
	switch (rng_below(r, 4)) {
	case 0:
		n += load(to + n, 1, pick_msr(r));
		break;
	case 1:
		n += load(to + n, 2, ports[rng_below(r, ARRAY_SIZE(ports))]);
		break;
	case 2:
		n += load(to + n, 3, pick_address(r));
		break;
	}
	memcpy(to + n, s->code, s->size);
	return n + s->size;
}

void guest_write_code(struct context *c, uint8_t *to, size_t size)
{
	size_t n = 0;

	while (n + 32 <= size) {
		if (rng_one_in(&c->rng, 8))
			to[n++] = (uint8_t)rng_next(&c->rng);
		else
			n += emit(&c->rng, to + n);
	}
}

/* ---- the state it starts in ---------------------------------------------------------------- */

#define CODE   0x8000
#define TABLES 0x1000 /* of 64-bit code: PML4, PDPT, four page directories */

static void tables(uint8_t *mem)
{
	uint64_t *pml4 = (void *)(mem + TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;
	unsigned int i;

	pml4[0] = (TABLES + FUZZ_PAGE) | 3;
	for (i = 0; i < 4; i++)
		pdpt[i] = (TABLES + (2 + i) * FUZZ_PAGE) | 3;
	for (i = 0; i < 2048; i++)
		pd[i] = (uint64_t)i << 21 | 0x83;
}

static struct kvm_segment segment(uint8_t type, bool wide)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = 8,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = wide,
		.db = !wide,
	};
}

void guest_setup(struct context *c, struct fuzz_vcpu *vcpu)
{
	struct rng *r = &c->rng;
	struct kvm_sregs sregs;
	struct kvm_regs regs = {0};
	unsigned int i;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) != 0)
		return;
	switch (rng_below(r, 3)) {
	case 0: /* real mode */
		sregs.cs.base = sregs.cs.selector = 0;
		break;
	case 1:
		sregs.cr0 |= 1;
		sregs.cs = segment(0xb, false);
		sregs.ds = sregs.es = sregs.ss = segment(3, false);
		break;
	case 2:
		tables(c->world->mem);
		sregs.cr0 |= 0x80000031;
		sregs.cr4 |= 0x220;
		sregs.cr3 = TABLES;
		sregs.efer |= 0x500;
		sregs.cs = segment(0xb, true);
		sregs.ds = sregs.es = sregs.ss = segment(3, false);
		break;
	}
	if (rng_one_in(r, 16))
		sregs.efer ^= 1ULL << rng_below(r, 16);
	ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
	for (i = 0; i < 16; i++)
		((uint64_t *)&regs)[i] = rng_one_in(r, 2) ? rng_number(r) : pick_address(r);
	regs.rcx &= 0xffff; /* bounds what a repeated instruction does */
	regs.rsp = 0x7f00;
	regs.rip = CODE;
	regs.rflags = 2 | (rng_next(r) & 0x4600);
	ioctl(vcpu->fd, KVM_SET_REGS, &regs);
	guest_write_code(c, c->world->mem + CODE, 512);
}
