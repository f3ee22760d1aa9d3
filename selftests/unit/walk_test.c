// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest page walk against the rules of the manuals (APM vol. 2 chapter 5), rule by rule, in all
 * paging modes, with a small physical memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bool_test.h"
#include "emulate_native.h"
#include "mmu/walk.h"

#define CR0_PG		0x80000001UL
#define CR0_WP		0x10000UL
#define CR4_PSE		0x10UL
#define CR4_PAE		0x20UL
#define CR4_LA57	0x1000UL
#define CR4_SMEP	0x100000UL
#define CR4_SMAP	0x200000UL
#define CR4_PKE		0x400000UL
#define EFER_LONG	0x500UL
#define EFER_NXE	0x800UL
#define FL_AC		0x40000UL

#define P	1ULL
#define W	2ULL
#define U	4ULL
#define A	0x20ULL
#define D	0x40ULL
#define PS	0x80ULL
#define NX	(1ULL << 63)
#define RIGHTS	(P | W | U)

#define MEM_SIZE	0x10000u
#define ROOT		0x1000u

struct mem {
	u8 bytes[MEM_SIZE];
	unsigned int reads, updates, races, lost;
	bool always_race;
	int read_error;
};

static int mem_read(void *ctx, u64 gpa, u64 *val, unsigned int size)
{
	struct mem *m = ctx;

	m->reads++;
	if (m->read_error)
		return m->read_error;
	if (gpa > MEM_SIZE - size || gpa % size)
		return -EFAULT;
	*val = 0;
	memcpy(val, m->bytes + gpa, size);
	return 0;
}

static int mem_cmpxchg(void *ctx, u64 gpa, u64 old, u64 new, unsigned int size)
{
	struct mem *m = ctx;

	if (gpa > MEM_SIZE - size)
		return -EFAULT;
	if (memcmp(m->bytes + gpa, &old, size)) {
		m->lost++;
		return HV_WALK_RACED;
	}
	if (m->always_race || m->races) {
		m->races -= !m->always_race;
		return HV_WALK_RACED;
	}
	m->updates++;
	memcpy(m->bytes + gpa, &new, size);
	return 0;
}

static const struct hv_walk_ops mem_ops = { .read = mem_read, .cmp_write = mem_cmpxchg };

/* Table n is at ROOT + n * 0x1000; the top one is table 0. */
static void set8(struct mem *m, unsigned int table, unsigned int index, u64 val)
{
	memcpy(m->bytes + ROOT + table * 0x1000 + index * 8, &val, 8);
}

static u64 get8(const struct mem *m, unsigned int table, unsigned int index)
{
	u64 val;

	memcpy(&val, m->bytes + ROOT + table * 0x1000 + index * 8, 8);
	return val;
}

static void set4(struct mem *m, unsigned int table, unsigned int index, u32 val)
{
	memcpy(m->bytes + ROOT + table * 0x1000 + index * 4, &val, 4);
}

static u32 get4(const struct mem *m, unsigned int table, unsigned int index)
{
	u32 val;

	memcpy(&val, m->bytes + ROOT + table * 0x1000 + index * 4, 4);
	return val;
}

static u64 table(unsigned int n)
{
	return ROOT + n * 0x1000;
}

/*
 * Four levels: LA maps through index 1 of the top, 2, 3 and 4 to the page at 0x123456789000. The
 * 2 MiB page at level 2 and the 1 GiB page at level 3 are set by their tests.
 */
#define LA	((1ULL << 39) | (2ULL << 30) | (3ULL << 21) | (4ULL << 12) | 0xabc)
#define PAGE	0x123456789000ULL

static void setup_long(struct mem *m, struct hv_walk_env *env)
{
	memset(m, 0, sizeof(*m));
	set8(m, 0, 1, table(1) | RIGHTS);
	set8(m, 1, 2, table(2) | RIGHTS);
	set8(m, 2, 3, table(3) | RIGHTS);
	set8(m, 3, 4, PAGE | RIGHTS);
	*env = (struct hv_walk_env){
		.ops = &mem_ops, .ctx = m, .cr0 = CR0_PG | CR0_WP, .cr3 = ROOT | 0x18,
		.cr4 = CR4_PAE, .efer = EFER_LONG | EFER_NXE, .maxphyaddr = 48,
	};
}

static struct mem m;
static struct hv_walk_env env;
static struct hv_walk_result r;

static int walk(u64 la, u32 access)
{
	return hv_walk(&env, la, access, &r);
}

/* Walk and expect #PF with the code. */
static bool faults(u64 la, u32 access, u32 error)
{
	return walk(la, access) == HV_WALK_FAULT && r.error == error;
}

static bool test_no_paging(void)
{
	setup_long(&m, &env);
	env.cr0 = 1;
	env.efer = 0;
	CHECK(!walk(0x112345678, HV_WALK_WRITE | HV_WALK_USER));
	CHECK(r.gpa == 0x12345678 && r.writable && r.user && !r.no_exec && r.dirty && !m.reads);
	return true;
}

static bool test_4level(void)
{
	setup_long(&m, &env);
	CHECK(!walk(LA, 0) && r.gpa == (PAGE | 0xabc) && r.page_shift == 12);
	CHECK(r.writable && r.user && !r.no_exec && !r.dirty && m.reads == 4);
	return true;
}

static bool test_5level(void)
{
	setup_long(&m, &env);
	/* The table of level 4 becomes level 5's entry 7. */
	set8(&m, 4, 7, table(0) | RIGHTS);
	env.cr3 = table(4);
	env.cr4 |= CR4_LA57;
	CHECK(!walk(LA | 7ULL << 48, 0) && r.gpa == (PAGE | 0xabc) && m.reads == 5);
	CHECK(faults(LA | 6ULL << 48, 0, 0));
	set8(&m, 4, 7, table(0) | RIGHTS | PS);
	CHECK(faults(LA | 7ULL << 48, 0, HV_PF_P | HV_PF_RSVD));
	return true;
}

static bool test_large_pages(void)
{
	setup_long(&m, &env);
	set8(&m, 2, 3, 0x40000000 | RIGHTS | PS | 0x1000);	/* bit 12 is PAT */
	CHECK(!walk(LA, 0) && r.gpa == (0x40000000 | (LA & 0x1fffff)) && r.page_shift == 21);
	set8(&m, 2, 3, 0x40002000 | RIGHTS | PS);
	CHECK(faults(LA, 0, HV_PF_P | HV_PF_RSVD));
	set8(&m, 1, 2, 0x80000000 | RIGHTS | PS);
	CHECK(!walk(LA, 0) && r.gpa == (0x80000000 | (LA & 0x3fffffff)) && r.page_shift == 30);
	set8(&m, 1, 2, 0x80000000 | RIGHTS | PS | 1 << 21);
	CHECK(faults(LA, 0, HV_PF_P | HV_PF_RSVD));
	set8(&m, 0, 1, table(1) | RIGHTS | PS);
	CHECK(faults(LA, 0, HV_PF_P | HV_PF_RSVD));
	return true;
}

static bool test_not_present(void)
{
	unsigned int level;

	for (level = 0; level < 4; level++) {
		setup_long(&m, &env);
		set8(&m, level, level + 1, (~0ULL) & ~P);	/* reserved bits do not count */
		CHECK(faults(LA, 0, 0));
		CHECK(faults(LA, HV_WALK_WRITE, HV_PF_W));
		CHECK(faults(LA, HV_WALK_USER, HV_PF_U));
		CHECK(faults(LA, HV_WALK_FETCH, HV_PF_ID));
		CHECK(!m.updates);
	}
	return true;
}

/* Rights are the AND of all levels, for each level. */
static bool test_rights(void)
{
	unsigned int level;
	u64 pte;

	for (level = 0; level < 4; level++) {
		setup_long(&m, &env);
		pte = get8(&m, level, level + 1);
		set8(&m, level, level + 1, pte & ~W);
		CHECK(!walk(LA, 0) && !r.writable);
		CHECK(faults(LA, HV_WALK_WRITE, HV_PF_P | HV_PF_W));
		CHECK(faults(LA, HV_WALK_WRITE | HV_WALK_USER, HV_PF_P | HV_PF_W | HV_PF_U));
		env.cr0 &= ~CR0_WP;
		CHECK(!walk(LA, HV_WALK_WRITE) && r.writable);
		CHECK(faults(LA, HV_WALK_WRITE | HV_WALK_USER, HV_PF_P | HV_PF_W | HV_PF_U));
		env.cr0 |= CR0_WP;
		set8(&m, level, level + 1, pte & ~U);
		CHECK(!walk(LA, HV_WALK_WRITE) && !r.user);
		CHECK(faults(LA, HV_WALK_USER, HV_PF_P | HV_PF_U));
		CHECK(faults(LA, HV_WALK_USER | HV_WALK_FETCH, HV_PF_P | HV_PF_U | HV_PF_ID));
		set8(&m, level, level + 1, pte | NX);
		CHECK(!walk(LA, 0) && r.no_exec);
		CHECK(faults(LA, HV_WALK_FETCH, HV_PF_P | HV_PF_ID));
		env.efer &= ~EFER_NXE;
		CHECK(faults(LA, 0, HV_PF_P | HV_PF_RSVD));
		CHECK(faults(LA, HV_WALK_FETCH, HV_PF_P | HV_PF_RSVD));	/* no I/D bit without NXE */
		env.cr4 |= CR4_SMEP;
		CHECK(faults(LA, HV_WALK_FETCH, HV_PF_P | HV_PF_RSVD | HV_PF_ID));
	}
	return true;
}

static bool test_smep_smap(void)
{
	setup_long(&m, &env);
	env.cr4 |= CR4_SMEP;
	CHECK(faults(LA, HV_WALK_FETCH, HV_PF_P | HV_PF_ID));
	CHECK(!walk(LA, HV_WALK_FETCH | HV_WALK_USER) && !walk(LA, 0));
	env.cr4 ^= CR4_SMEP | CR4_SMAP;
	CHECK(faults(LA, 0, HV_PF_P));
	CHECK(faults(LA, HV_WALK_WRITE, HV_PF_P | HV_PF_W));
	CHECK(!walk(LA, HV_WALK_FETCH) && !walk(LA, HV_WALK_USER));
	env.rflags = FL_AC;
	CHECK(!walk(LA, 0));
	CHECK(faults(LA, HV_WALK_IMPLICIT, HV_PF_P));
	set8(&m, 3, 4, PAGE | P | W);	/* a supervisor page */
	env.rflags = 0;
	env.cr4 |= CR4_SMEP;
	CHECK(!walk(LA, HV_WALK_WRITE) && !walk(LA, HV_WALK_FETCH) && !walk(LA, HV_WALK_IMPLICIT));
	return true;
}

static bool test_protection_keys(void)
{
	setup_long(&m, &env);
	set8(&m, 3, 4, PAGE | RIGHTS | 5ULL << 59);
	env.pkru = 2 << 10;			/* key 5: no writes */
	CHECK(!walk(LA, HV_WALK_WRITE | HV_WALK_USER));	/* not enabled */
	env.cr4 |= CR4_PKE;
	env.pku = true;
	CHECK(!walk(LA, HV_WALK_USER) && !r.writable);
	CHECK(faults(LA, HV_WALK_USER | HV_WALK_WRITE, HV_PF_P | HV_PF_W | HV_PF_U | HV_PF_PK));
	CHECK(faults(LA, HV_WALK_WRITE, HV_PF_P | HV_PF_W | HV_PF_PK));
	env.cr0 &= ~CR0_WP;
	CHECK(!walk(LA, HV_WALK_WRITE));
	env.pkru = 1 << 10;			/* no access */
	CHECK(faults(LA, HV_WALK_USER, HV_PF_P | HV_PF_U | HV_PF_PK));
	CHECK(faults(LA, 0, HV_PF_P | HV_PF_PK));
	CHECK(!walk(LA, HV_WALK_USER | HV_WALK_FETCH));
	env.pkru = ~(3u << 10);			/* all other keys */
	CHECK(!walk(LA, HV_WALK_USER | HV_WALK_WRITE));
	env.pkru = ~0u;
	set8(&m, 3, 4, PAGE | P | W | 5ULL << 59);	/* a supervisor page */
	CHECK(!walk(LA, HV_WALK_WRITE));
	return true;
}

static bool test_reserved_address(void)
{
	unsigned int level, bit;

	for (level = 0; level < 4; level++)
		for (bit = 40; bit < 63; bit++) {
			setup_long(&m, &env);
			env.maxphyaddr = 40;
			set8(&m, 3, 4, 0x5000 | RIGHTS);
			set8(&m, level, level + 1, get8(&m, level, level + 1) | 1ULL << bit);
			if (bit < 52)
				CHECK(faults(LA, 0, HV_PF_P | HV_PF_RSVD));
			else
				CHECK(!walk(LA, 0) && r.gpa == 0x5abc);
		}
	setup_long(&m, &env);
	env.maxphyaddr = 52;
	set8(&m, 3, 4, 0xfffffffffe000 | RIGHTS);
	CHECK(!walk(LA, 0) && r.gpa == 0xfffffffffeabc);
	return true;
}

static bool test_accessed_dirty(void)
{
	unsigned int level;

	setup_long(&m, &env);
	CHECK(!walk(LA, HV_WALK_PEEK | HV_WALK_WRITE) && !m.updates);
	CHECK(!walk(LA, 0) && m.updates == 4 && !r.dirty);
	for (level = 0; level < 4; level++)
		CHECK((get8(&m, level, level + 1) & (A | D)) == A);
	CHECK(!walk(LA, 0) && m.updates == 4);
	CHECK(!walk(LA, HV_WALK_WRITE) && m.updates == 5 && r.dirty);
	for (level = 0; level < 4; level++)
		CHECK((get8(&m, level, level + 1) & (A | D)) == (level == 3 ? A | D : A));
	CHECK(!walk(LA, 0) && r.dirty);
	/* A fault of rights sets nothing. */
	setup_long(&m, &env);
	set8(&m, 3, 4, PAGE | P | U);
	CHECK(faults(LA, HV_WALK_WRITE, HV_PF_P | HV_PF_W) && !m.updates);
	return true;
}

static bool test_races(void)
{
	setup_long(&m, &env);
	m.races = 3;
	CHECK(!walk(LA, HV_WALK_WRITE) && r.gpa == (PAGE | 0xabc));
	setup_long(&m, &env);
	m.races = 4 + 1;	/* an A bit each, D: all that other walks can win */
	CHECK(!walk(LA, HV_WALK_WRITE) && !m.races);
	setup_long(&m, &env);
	m.always_race = true;
	CHECK(walk(LA, 0) == -EAGAIN && m.reads < 1000);
	setup_long(&m, &env);
	m.read_error = -EAGAIN;
	CHECK(walk(LA, 0) == -EAGAIN && m.reads == 1);	/* the callback's own errno is final */
	setup_long(&m, &env);
	set8(&m, 0, 1, 0x10000000 | RIGHTS);
	CHECK(walk(LA, 0) == -EFAULT);
	return true;
}

static void setup_2level(void)
{
	memset(&m, 0, sizeof(m));
	set4(&m, 0, 3, (u32)table(1) | RIGHTS);
	set4(&m, 1, 5, 0xfedcb000 | RIGHTS);
	env = (struct hv_walk_env){
		.ops = &mem_ops, .ctx = &m, .cr0 = CR0_PG | CR0_WP, .cr3 = ROOT,
		.maxphyaddr = 40,
	};
}

static bool test_2level(void)
{
	const u32 la = 3u << 22 | 5 << 12 | 0x123;

	setup_2level();
	CHECK(!walk(la | 1ULL << 40, HV_WALK_WRITE) && r.gpa == 0xfedcb123 && r.page_shift == 12);
	CHECK((get4(&m, 0, 3) & (A | D)) == A && (get4(&m, 1, 5) & (A | D)) == (A | D));
	CHECK(faults(la ^ 1 << 12, HV_WALK_FETCH | HV_WALK_USER, HV_PF_U));	/* never I/D */
	set4(&m, 1, 5, 0xfedcb000 | P | U);
	CHECK(faults(la, HV_WALK_USER | HV_WALK_WRITE, HV_PF_P | HV_PF_W | HV_PF_U));
	return true;
}

static bool test_pse(void)
{
	const u32 la = 3u << 22 | 0x323456;

	setup_2level();
	set4(&m, 0, 3, (u32)table(1) | RIGHTS | PS);
	set4(&m, 1, la >> 12 & 0x3ff, 0xfedcb000 | RIGHTS);
	CHECK(!walk(la, 0) && r.page_shift == 12);	/* without CR4.PSE the bit means nothing */
	env.cr4 = CR4_PSE;
	set4(&m, 0, 3, 0xc0000000 | RIGHTS | PS);
	CHECK(!walk(la, HV_WALK_WRITE) && r.gpa == 0xc0323456 && r.page_shift == 22);
	CHECK((get4(&m, 0, 3) & (A | D)) == (A | D));
	set4(&m, 0, 3, 0xc0000000 | RIGHTS | PS | 0xab << 13);	/* PSE-36 */
	CHECK(!walk(la, 0) && r.gpa == 0xabc0323456);
	env.maxphyaddr = 36;
	CHECK(faults(la, 0, HV_PF_P | HV_PF_RSVD));
	set4(&m, 0, 3, 0xc0000000 | RIGHTS | PS | 0xf << 13);
	CHECK(!walk(la, 0) && r.gpa == 0xfc0323456);
	set4(&m, 0, 3, 0xc0000000 | RIGHTS | PS | 1 << 21);
	CHECK(faults(la, 0, HV_PF_P | HV_PF_RSVD));
	return true;
}

static bool test_pae(void)
{
	const u32 la = 3u << 30 | 2 << 21 | 5 << 12 | 0x123;
	unsigned int bit;

	setup_long(&m, &env);
	memset(m.bytes, 0, sizeof(m.bytes));
	env.efer = EFER_NXE;
	env.cr3 = ROOT + 0x20;			/* 32-byte aligned */
	set8(&m, 0, 4 + 3, table(1) | P);
	set8(&m, 1, 2, table(2) | RIGHTS);
	set8(&m, 2, 5, PAGE | RIGHTS);
	CHECK(!walk(la, HV_WALK_WRITE | HV_WALK_USER) && r.gpa == (PAGE | 0x123) && m.reads == 3);
	CHECK(get8(&m, 0, 7) == (table(1) | P));	/* a PDPT entry has no A bit */
	CHECK(get8(&m, 1, 2) & A);
	CHECK(get8(&m, 2, 5) & D);
	CHECK(faults(la ^ 1u << 30, HV_WALK_WRITE, HV_PF_W));
	for (bit = 1; bit < 64; bit++) {
		bool bad = bit == 1 || bit == 2 || (bit >= 6 && bit <= 8) || bit >= 48;

		if (bit >= 12 && bit < 48)
			continue;
		set8(&m, 0, 7, table(1) | P | 1ULL << bit);
		CHECK((walk(la, 0) == HV_WALK_FAULT) == bad);
		CHECK(!bad || r.error == (HV_PF_P | HV_PF_RSVD));
	}
	set8(&m, 0, 7, table(1) | P);
	set8(&m, 2, 5, PAGE | RIGHTS | 1ULL << 52);
	CHECK(faults(la, 0, HV_PF_P | HV_PF_RSVD));
	set8(&m, 2, 5, PAGE | RIGHTS | NX);
	CHECK(faults(la, HV_WALK_FETCH, HV_PF_P | HV_PF_ID));
	set8(&m, 1, 2, 0x40000000 | RIGHTS | PS);
	CHECK(!walk(la, 0) && r.gpa == (0x40000000 | (la & 0x1fffff)) && r.page_shift == 21);
	return true;
}

/* Random tables in all modes: the walk ends, stays in bounds and agrees with itself. */
static bool test_fuzz(void)
{
	struct hv_walk_result peek;
	unsigned int i, j;
	u32 access;
	int ret;
	u64 la;

	for (i = 0; i < 200000; i++) {
		setup_long(&m, &env);
		for (j = 0; j < 16; j++) {
			u64 pte = native_random() & native_random();

			if (native_below(3))
				pte = (pte & 0x80000000000001ff) | table(native_below(8));
			set8(&m, native_below(8), native_below(4), pte | (native_below(8) ? P : 0));
		}
		env.cr0 ^= native_below(2) ? CR0_WP : 0;
		env.cr4 = native_random() &
			  (CR4_PSE | CR4_PAE | CR4_LA57 | CR4_SMEP | CR4_SMAP | CR4_PKE);
		env.efer = native_below(2) ? EFER_LONG | EFER_NXE : 0;
		env.maxphyaddr = 32 + native_below(21);
		env.pku = native_below(2);
		env.pkru = native_random();
		la = (native_random() & 0x0003c0c0c060303f) & ~0ULL;
		access = native_random() & 0xf;
		ret = hv_walk(&env, la, access | HV_WALK_PEEK, &peek);
		CHECK(!m.updates && m.reads <= 5);
		if (walk(la, access) != ret) {
			/* A table that maps itself changes under the walk. */
			CHECK(m.lost);
			continue;
		}
		if (ret == HV_WALK_FAULT)
			CHECK(r.error == peek.error && !m.updates);
		else if (!ret)
			CHECK(r.gpa == peek.gpa && r.gpa >> 52 == 0 && m.updates <= 5 &&
			      (!(access & HV_WALK_WRITE) || (r.writable && r.dirty)));
	}
	return true;
}

static const struct bool_test tests[] = {
#define T(name) { #name, test_##name }
	T(no_paging), T(2level), T(pse), T(pae), T(4level), T(5level), T(large_pages),
	T(not_present), T(rights), T(smep_smap), T(protection_keys), T(reserved_address),
	T(accessed_dirty), T(races), T(fuzz),
};

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	native_seed();
	return bool_tests_run(tests, sizeof(tests) / sizeof(tests[0]));
}
