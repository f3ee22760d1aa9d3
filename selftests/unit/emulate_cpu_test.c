// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The emulator against the real CPU: the same instruction with the same registers, flags and memory
 * runs on both; registers, defined flags, memory and exceptions must agree.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emulate_forms.h"
#include "emulate_native.h"
#include "x86/emulate.h"
#include "x86/emulate_alu.h"

/* The data area: a page nobody may touch, two writable ones, a read-only one, and nothing again. */
#define PAGE		0x1000UL
#define DATA_RW		(NATIVE_DATA + PAGE)
#define DATA_RO		(NATIVE_DATA + 3 * PAGE)
#define DATA_END	(NATIVE_DATA + 4 * PAGE)
#define DATA_LEN	(DATA_END - DATA_RW)
#define CODE_OFFSET	0x100
#define GS_BASE		(NATIVE_DATA + 0x40)
/* undefined_flags(): not even the result is defined */
#define RESULT_UNDEFINED	(~0ULL)
#define MAX_REPORTS	8

#define FL_USER		(HV_FL_STATUS | HV_FL_DF)
#define FL_AC		0x40000UL
#define FL_IF		0x202UL

struct code_mode {
	const char *name;
	enum hv_insn_mode mode;
	const char *groups;	/* run only these; NULL: all */
	struct hv_emul_seg seg[HV_SEG_COUNT];
};

/* One sample: an instruction and the state before it. */
struct sample {
	const struct form *form;
	const struct code_mode *mode;
	u8 code[HV_INSN_MAX_LEN];
	struct hv_insn insn;
	struct native_state native, before;
	struct hv_emul emul;
	int result;
};

static u8 *code_page;
static u8 shadow[DATA_LEN];	/* the emulator's copy of the data area */
static u8 vectors[16][32];	/* the emulator's vector registers */

/* Both pages of an access are checked before anything moves, as the CPU does. */
static int check_pages(struct hv_emul *e, u64 la, unsigned int len, bool write)
{
	u64 at = la;

	while (at < la + len) {
		bool data = at >= DATA_RW && at < DATA_END;
		/* Linux pretends that all of its own half is mapped. */
		bool present = data || at >> 63;

		if (!data || (write && at >= DATA_RO))
			return hv_emul_raise_pf(e, at, 4 | present | (write ? 2 : 0));
		at = (at & ~(PAGE - 1)) + PAGE;
	}
	return HV_EMUL_OK;
}

static int data_read(struct hv_emul *e, u64 la, void *buf, unsigned int len, unsigned int access)
{
	int ret = check_pages(e, la, len, access & HV_EMUL_ACC_WRITE);

	if (!ret)
		memcpy(buf, shadow + (la - DATA_RW), len);
	return ret;
}

static int data_write(struct hv_emul *e, u64 la, const void *buf, unsigned int len)
{
	int ret = check_pages(e, la, len, true);

	if (!ret)
		memcpy(shadow + (la - DATA_RW), buf, len);
	return ret;
}

static int data_cmpxchg(struct hv_emul *e, u64 la, const void *old, const void *new,
			unsigned int len, bool *ok)
{
	int ret = check_pages(e, la, len, true);

	if (ret)
		return ret;
	*ok = !memcmp(shadow + (la - DATA_RW), old, len);
	if (*ok)
		memcpy(shadow + (la - DATA_RW), new, len);
	return HV_EMUL_OK;
}

static int data_probe(struct hv_emul *e, u64 la, unsigned int len, unsigned int access)
{
	return check_pages(e, la, len, access & HV_EMUL_ACC_WRITE);
}

static int code_fetch(struct hv_emul *e, u64 la, u8 *buf, unsigned int len, unsigned int *got)
{
	(void)e;
	memcpy(buf, code_page + (la - NATIVE_CODE), len);
	*got = len;
	return HV_EMUL_OK;
}

static int no_pio(struct hv_emul *e, bool in, u16 port, unsigned int size, unsigned int count,
		  void *buf)
{
	return HV_EMUL_UNHANDLEABLE;
}

static int vec_read(struct hv_emul *e, unsigned int reg, void *buf, unsigned int len)
{
	memcpy(buf, vectors[reg], len);
	return HV_EMUL_OK;
}

static int vec_write(struct hv_emul *e, unsigned int reg, const void *buf, unsigned int len,
		     bool zero)
{
	memcpy(vectors[reg], buf, len);
	if (zero)
		memset(vectors[reg] + len, 0, 32 - len);
	return HV_EMUL_OK;
}

static const struct hv_emul_ops ops = {
	.fetch = code_fetch, .read = data_read, .write = data_write, .cmp_write = data_cmpxchg,
	.probe = data_probe, .pio = no_pio, .fpu_read = vec_read, .fpu_write = vec_write,
};

static bool is_amd(void)
{
	return __builtin_cpu_is("amd");
}

/* A random number with as many significant bits as any other: small values and ~0 are common. */
static u64 random_value(void)
{
	u64 v = native_random() >> native_below(64);

	return native_below(3) ? v : -v;
}

static unsigned int put_vex(u8 *code, const struct form *f)
{
	static const u8 pp[4] = { 0, 0x66, 0xf3, 0xf2 };
	u8 last = 0x78 | (native_below(2) ? 4 : 0), i;

	for (i = 0; i < 4; i++)
		if (pp[i] == (u8)f->pp)
			last |= i;
	code[0] = 0xc4;
	code[1] = 0xe0 | f->map;
	code[2] = last;
	if (native_below(2))
		code[2] |= 0x80;
	return 3;
}

static void make_code(struct sample *s)
{
	const struct form *f = s->form;
	bool long_mode = s->mode->mode == HV_INSN_64;
	unsigned int i, n = 0;
	u8 modrm;

	for (i = 0; i < HV_INSN_MAX_LEN; i++)
		s->code[i] = native_random() >> 32;
	if (native_below(8) == 0)
		s->code[n++] = long_mode || native_below(4) == 0 ? 0x65 : 0x3e;
	if (native_below(8) == 0)
		s->code[n++] = 0x67;
	if (f->pp == 1 && native_below(3) == 0)
		s->code[n++] = 0x66;
	if ((f->how & FORM_LOCK) && native_below(4) == 0)
		s->code[n++] = 0xf0;
	else if ((f->how & FORM_STRING) && native_below(3))
		s->code[n++] = native_below(2) ? 0xf2 : 0xf3;
	if (f->how & FORM_VEX) {
		n += put_vex(s->code + n, f);
	} else {
		if (f->pp != 0 && f->pp != 1)
			s->code[n++] = f->pp;
		if (long_mode && native_below(2))
			s->code[n++] = 0x40 | native_below(16);
		if (f->map)
			s->code[n++] = 0x0f;
		if (f->map == 2)
			s->code[n++] = 0x38;
	}
	s->code[n++] = f->first + native_below(f->last - f->first + 1);
	if (f->how & FORM_NOMODRM)
		return;
	do {
		modrm = native_random() >> 32;
		if ((f->how & FORM_MEM) || native_below(4))
			modrm = (modrm & 0x3f) | native_below(3) << 6;
	} while (f->ext && !(f->ext >> (modrm >> 3 & 7) & 1));
	s->code[n] = modrm;
}

static void add_segment_base(const struct sample *s, u64 *off, unsigned int seg, bool to_offset)
{
	u64 base = s->mode->seg[seg].base;

	*off = to_offset ? *off - base : *off + base;
}

/* Somewhere in the data area, at times where it ends or turns read-only. */
static u64 random_target(void)
{
	switch (native_below(16)) {
	case 0:
		return DATA_RO - native_below(16);
	case 1:
		return DATA_END - native_below(16);
	case 2:
		return DATA_RW - native_below(16);
	case 3:
		return DATA_RO + native_below(PAGE - 64);
	case 4:
	case 5:
		return DATA_RW + 64 + (native_below(2 * PAGE - 128) & ~31u);
	default:
		return DATA_RW + 64 + native_below(2 * PAGE - 128);
	}
}

static unsigned int imm_len(const struct hv_insn *in)
{
	if ((in->flags & HV_INSN_GROUP3) && (in->reg & 7) > 1)
		return 0;
	if (in->flags & HV_INSN_IMM8)
		return 1;
	if (in->flags & HV_INSN_IMMZ)
		return in->opsize == 2 ? 2 : 4;
	return 0;
}

/* Change a register or the displacement so that the operand is at @target. */
static bool aim_operand(struct sample *s, u64 target)
{
	struct hv_insn *in = &s->insn;
	u64 *gpr = s->native.gpr;
	u64 mask = hv_alu_mask(in->addrsize);
	u64 rip = s->native.rip + in->len;
	u64 delta;

	add_segment_base(s, &target, in->seg, true);
	delta = target - hv_insn_ea(in, gpr, rip);
	if (in->base < 16) {
		gpr[in->base] += delta;
	} else if (in->disp || in->base == HV_REG_RIP) {
		unsigned int len = in->addrsize == 2 ? 2 : 4;
		u64 disp = in->disp + delta;

		memcpy(s->code + in->len - imm_len(in) - len, &disp, len);
		if (hv_insn_decode(in, s->code, HV_INSN_MAX_LEN, s->mode->mode))
			return false;
	}
	return hv_insn_ea(in, gpr, rip) == (target & mask);
}

static void set_index(struct sample *s, unsigned int reg, u64 val)
{
	u64 mask = hv_alu_mask(s->insn.addrsize);

	s->native.gpr[reg] = (val & mask) | (random_value() & ~mask);
}

static bool aim(struct sample *s)
{
	u64 target = random_target(), other = random_target();
	unsigned int addrsize = s->insn.addrsize;

	if (s->form->how & FORM_STRING) {
		add_segment_base(s, &target, s->insn.seg, true);
		add_segment_base(s, &other, HV_SEG_ES, true);
		if (addrsize == 2 && (target > 0xffff || other > 0xffff))
			return false;
		set_index(s, HV_RSI, target);
		set_index(s, HV_RDI, other);
		set_index(s, HV_RCX, native_below(4));
	} else if (s->form->how & FORM_XLAT) {
		add_segment_base(s, &target, s->insn.seg, true);
		s->native.gpr[HV_RBX] = target - (u8)s->native.gpr[HV_RAX];
		if (addrsize == 2 && target > 0xffff)
			return false;
	} else if (s->form->how & FORM_MOFFS) {
		add_segment_base(s, &target, s->insn.seg, true);
		if (addrsize == 2 && target > 0xffff)
			return false;
		memcpy(s->code + s->insn.len - addrsize, &target, addrsize);
		return !hv_insn_decode(&s->insn, s->code, HV_INSN_MAX_LEN, s->mode->mode);
	} else if (hv_insn_is_mem(&s->insn)) {
		return aim_operand(s, target);
	}
	return true;
}

/* Fill both copies of the memory around the operand, with values that make sense for the form. */
static void fill_memory(struct sample *s)
{
	u64 at, val;
	unsigned int i;

	if (!hv_insn_is_mem(&s->insn))
		return;
	at = hv_insn_ea(&s->insn, s->native.gpr, s->native.rip + s->insn.len);
	add_segment_base(s, &at, s->insn.seg, false);
	if (at < DATA_RW + 16 || at + 48 > DATA_RO)
		return;
	for (i = 0; i < 4; i++) {
		val = random_value();
		if ((s->form->how & FORM_BRANCH) && native_below(4))
			val = NATIVE_CODE + native_below(0x10000) - s->mode->seg[HV_SEG_CS].base;
		if ((s->form->how & FORM_PAIR) && native_below(2))
			val = s->native.gpr[i == 0 ? HV_RAX : HV_RDX];
		if (s->form->how & FORM_PAIR && s->insn.opcode == 0xc7 && s->insn.opsize != 8)
			val = (u32)s->native.gpr[HV_RAX] | s->native.gpr[HV_RDX] << 32;
		memcpy(shadow + (at - DATA_RW) + 8 * i, &val, 8);
		memcpy((void *)(at + 8 * i), &val, 8);
	}
}

static bool make_sample(struct sample *s)
{
	struct native_state *n = &s->native;
	unsigned int i, j;

	memset(n, 0, sizeof(*n));
	for (i = 0; i < 16; i++)
		n->gpr[i] = random_value();
	for (i = 0; i < 16; i++)
		for (j = 0; j < 32; j++)
			n->xmm[i][j] = native_random() >> 32;
	n->rflags = (native_random() & FL_USER) | FL_IF;
	/* Other vendors check the alignment of vectors differently. */
	if (native_below(16) == 0 && is_amd())
		n->rflags |= FL_AC;
	n->cs = s->mode->seg[HV_SEG_CS].selector;
	n->ss = s->mode->seg[HV_SEG_SS].selector;
	n->ds = s->mode->seg[HV_SEG_DS].selector;
	n->es = s->mode->seg[HV_SEG_ES].selector;
	n->rip = NATIVE_CODE + CODE_OFFSET - s->mode->seg[HV_SEG_CS].base;
	if (s->mode->mode != HV_INSN_64)
		for (i = 0; i < 16; i++)
			n->gpr[i] = i < 8 ? (u32)n->gpr[i] : 0;

	make_code(s);
	if (hv_insn_decode(&s->insn, s->code, HV_INSN_MAX_LEN, s->mode->mode))
		return false;
	if (s->form->how & FORM_STACK)
		n->gpr[HV_RSP] = random_target() - s->mode->seg[HV_SEG_SS].base;
	if ((s->form->how & FORM_DIV) && native_below(2)) {
		n->gpr[HV_RDX] = native_below(2) ? 0 : hv_alu_mask(s->insn.opsize == 8 ? 8 : 4);
		n->gpr[HV_RAX] = s->insn.opsize == 1 ? n->gpr[HV_RAX] & 0xff : n->gpr[HV_RAX];
	}
	if ((s->form->how & FORM_BITS) && native_below(4))
		n->gpr[s->insn.reg] = hv_alu_sext(native_below(2048) - 1024, 4) &
				      hv_alu_mask(s->mode->mode == HV_INSN_64 ? 8 : 4);
	if (!aim(s))
		return false;
	if (s->mode->mode != HV_INSN_64)
		for (i = 0; i < 8; i++)
			n->gpr[i] = (u32)n->gpr[i];
	fill_memory(s);
	return true;
}

/* Flags that the manuals leave undefined, and that CPUs set differently. */
static u64 undefined_flags(const struct sample *s)
{
	const struct hv_insn *in = &s->insn;
	unsigned int bits = 8 * in->opsize, count;
	u8 ext = in->reg & 7;

	if (!strcmp(s->form->group, "imul"))
		return HV_FL_SF | HV_FL_ZF | HV_FL_AF | HV_FL_PF;
	if (s->form->how & FORM_DIV)
		return ext < 6 ? HV_FL_SF | HV_FL_ZF | HV_FL_AF | HV_FL_PF : HV_FL_STATUS;
	if (!strcmp(s->form->group, "bt"))
		return HV_FL_OF | HV_FL_SF | HV_FL_AF | HV_FL_PF;
	if (!strcmp(s->form->group, "alu") || !strcmp(s->form->group, "alu_imm")) {
		ext = in->opcode >= 0x80 ? ext : in->opcode >> 3;
		return ext == 1 || ext == 4 || ext == 6 ? HV_FL_AF : 0;
	}
	if (!strcmp(s->form->group, "test"))
		return HV_FL_AF;
	if (!strcmp(s->form->group, "shift")) {
		count = in->opcode < 0xd0 ? (u8)in->imm :
			in->opcode < 0xd2 ? 1 : (u8)s->before.gpr[HV_RCX];
		count &= bits == 64 ? 63 : 31;
		return (count != 1 ? HV_FL_OF : 0) | (ext >= 4 && count ? HV_FL_AF : 0) |
		       (count > bits && ext >= 4 ? HV_FL_CF : 0);
	}
	if (!strcmp(s->form->group, "double_shift")) {
		count = in->opcode & 1 ? (u8)s->before.gpr[HV_RCX] : (u8)in->imm;
		count &= bits == 64 ? 63 : 31;
		if (count > bits)
			return RESULT_UNDEFINED;
		return (count > 1 ? HV_FL_OF : 0) | (count ? HV_FL_AF : 0);
	}
	return 0;
}

static void run_emulator(struct sample *s)
{
	struct hv_emul *e = &s->emul;

	memset(e, 0, sizeof(*e));
	memcpy(e->gpr, s->native.gpr, sizeof(e->gpr));
	memcpy(vectors, s->native.xmm, sizeof(vectors));
	e->rip = s->native.rip;
	e->rflags = s->native.rflags | HV_FL_TF;
	e->ops = &ops;
	e->cr0 = 0x80050033;
	e->cr4 = 0x40620;
	e->efer = 0xd00;
	e->xcr0 = 7;
	e->cpl = 3;
	e->max_iterations = 100;
	memcpy(e->seg, s->mode->seg, sizeof(e->seg));
	s->result = hv_emul_step(e);
}

static void print_regs(const char *who, const u64 *gpr, u64 rip, u64 rflags)
{
	unsigned int i;

	printf("#   %s", who);
	for (i = 0; i < 16; i++)
		printf(" %llx", (unsigned long long)gpr[i]);
	printf(" rip %llx fl %llx\n", (unsigned long long)rip, (unsigned long long)rflags);
}

static void report(const struct sample *s, const char *what)
{
	unsigned int i;

	printf("# %s/%s: %s:", s->form->group, s->mode->name, what);
	for (i = 0; i < s->insn.len; i++)
		printf(" %02x", s->code[i]);
	printf("\n#   CPU vector %u error %x cr2 %llx;"
	       " emulator result %d vector %u error %x cr2 %llx\n",
	       s->native.vector, s->native.error, (unsigned long long)s->native.cr2, s->result,
	       s->emul.exc.vector, s->emul.exc.error, (unsigned long long)s->emul.exc.address);
	print_regs("before", s->before.gpr, s->before.rip, s->before.rflags);
	print_regs("CPU   ", s->native.gpr, s->native.rip, s->native.rflags);
	print_regs("emul  ", s->emul.gpr, s->emul.rip, s->emul.rflags);
}

static bool violates_segment(const struct sample *s, const struct hv_emul_seg *seg, u64 off,
			     bool write)
{
	u64 last = off + s->insn.opsize - 1;

	if (s->mode->mode == HV_INSN_64)
		return false;
	if (!(seg->attr & HV_SEG_ATTR_P) || (write && !(seg->attr & HV_SEG_ATTR_RW)))
		return true;
	if (seg->attr & HV_SEG_ATTR_EXPAND_DOWN)
		return off <= seg->limit ||
		       last > (seg->attr & HV_SEG_ATTR_DB ? 0xffffffff : 0xffff);
	return last > seg->limit;
}

static bool is_bad(const struct sample *s, unsigned int reg, unsigned int seg, bool write)
{
	u64 at = s->before.gpr[reg] & hv_alu_mask(s->insn.addrsize);

	if (violates_segment(s, &s->mode->seg[seg], at, write))
		return true;
	add_segment_base(s, &at, seg, false);
	return at < DATA_RW || at + s->insn.opsize > (write ? DATA_RO : DATA_END) ||
	       ((s->before.rflags & FL_AC) && (at & (s->insn.opsize - 1)));
}

/* CPUs differ on which of two faults they report. */
static bool both_fault(const struct sample *s)
{
	bool movs = !strcmp(s->form->group, "movs");

	if (!movs && strcmp(s->form->group, "cmps"))
		return false;
	return is_bad(s, HV_RSI, s->insn.seg, false) && is_bad(s, HV_RDI, HV_SEG_ES, movs);
}

/*
 * A repeated string instruction of 64-bit code with 32-bit addresses: Intel CPUs clear the upper
 * halves of the registers even before the first iteration. Between iterations of CMPS and SCAS
 * they show the flags from before the instruction (SDM vol. 2, REP).
 */
static void string_as_amd(struct sample *s)
{
	static const unsigned int index[] = { HV_RCX, HV_RSI, HV_RDI };
	struct native_state *n = &s->native;
	unsigned int i;

	if (!(s->insn.prefixes & (HV_PFX_REP | HV_PFX_REPNE)))
		return;
	for (i = 0; s->insn.mode == HV_INSN_64 && s->insn.addrsize == 4 && i < 3; i++) {
		u64 before = s->before.gpr[index[i]];

		if (n->gpr[index[i]] == (u32)before && s->emul.gpr[index[i]] == before)
			n->gpr[index[i]] = before;
	}
	if ((!strcmp(s->form->group, "cmps") || !strcmp(s->form->group, "scas")) &&
	    n->rip == s->before.rip && !((n->rflags ^ s->before.rflags) & HV_FL_STATUS))
		n->rflags = (n->rflags & ~HV_FL_STATUS) | (s->emul.rflags & HV_FL_STATUS);
}

/* CALL to an address that raises #GP: Intel CPUs have pushed the return address by then. */
static void call_as_amd(const struct sample *s)
{
	const struct hv_emul_seg *ss = &s->mode->seg[HV_SEG_SS];
	unsigned int len = s->insn.mode == HV_INSN_64 && s->insn.opsize == 4 ? 8 : s->insn.opsize;
	u64 mask = s->insn.mode == HV_INSN_64 ? ~0ULL : ss->attr & HV_SEG_ATTR_DB ? ~0U : 0xffff;
	u64 next = s->before.rip + s->insn.len;
	u64 slot = ((s->before.gpr[HV_RSP] - len) & mask) + ss->base;

	if (s->native.vector != 13 || slot < DATA_RW || slot + len > DATA_RO)
		return;
	if (!memcmp((void *)slot, &next, len))
		memcpy((void *)slot, shadow + (slot - DATA_RW), len);
}

/* Where vendors differ, the emulator follows AMD: undo what is known of the others' ways. */
static void follow_amd(struct sample *s)
{
	if (is_amd())
		return;
	if (s->form->how & FORM_STRING)
		string_as_amd(s);
	else if (!strcmp(s->form->group, "call"))
		call_as_amd(s);
}

static const char *compare(const struct sample *s, u64 undefined)
{
	const struct native_state *n = &s->native;
	const struct hv_emul *e = &s->emul;

	if (n->vector == 1) {
		if (s->result != HV_EMUL_OK)
			return "the emulator failed";
		if (!e->trap)
			return "no single step";
	} else if (s->result == HV_EMUL_FAULT && both_fault(s)) {
		return NULL;
	} else {
		if (s->result != HV_EMUL_FAULT || e->exc.vector != n->vector)
			return "different exceptions";
		if (e->exc.has_error && e->exc.error != n->error)
			return "different error codes";
		if (n->vector == 14 && e->exc.address != n->cr2)
			return "different fault addresses";
	}
	if (undefined == RESULT_UNDEFINED)
		return NULL;
	if (memcmp(e->gpr, n->gpr, sizeof(e->gpr)))
		return "different registers";
	if (e->rip != n->rip)
		return "different RIP";
	if ((e->rflags ^ n->rflags) & (HV_FL_STATUS | HV_FL_DF) & ~undefined)
		return "different flags";
	if (memcmp(shadow, (void *)DATA_RW, DATA_LEN))
		return "different memory";
	if (memcmp(vectors, n->xmm, sizeof(vectors)))
		return "different vector registers";
	return NULL;
}

/* Emulator results that are no mismatch: what it leaves out on purpose. */
static bool is_left_out(const struct sample *s)
{
	/* Where vendors differ, the emulator follows AMD. */
	if (!is_amd() && !strcmp(s->form->group, "movsxd") && s->insn.opsize == 2)
		return true;
	if (!is_amd() && !strcmp(s->form->group, "cmpxchg") && s->insn.mod == 3)
		return true;
	return (s->form->how & FORM_BRANCH) && s->mode->mode == HV_INSN_64 && s->insn.opsize == 2 &&
	       s->result == HV_EMUL_UNHANDLEABLE;
}

/* A bit string may reach memory of this process that only the CPU would find. */
static bool is_stray(const struct sample *s)
{
	u64 at = s->emul.exc.address;

	return s->result == HV_EMUL_FAULT && s->emul.exc.vector == 14 && !(at >> 63) &&
	       (at < NATIVE_DATA || at >= DATA_END + PAGE);
}

static bool run_sample(struct sample *s, unsigned int *compared, unsigned int *reports)
{
	const char *bad;
	u64 undefined;

	if (!make_sample(s))
		return true;
	memcpy(code_page + CODE_OFFSET, s->code, HV_INSN_MAX_LEN);
	s->before = s->native;
	run_emulator(s);
	if (is_stray(s))
		return true;
	native_step(&s->native);
	follow_amd(s);
	undefined = undefined_flags(s);
	bad = compare(s, undefined);
	if (s->native.vector == 6 || is_left_out(s))
		bad = NULL;	/* the CPU does not have it */
	else
		++*compared;
	if (bad && (*reports)++ < MAX_REPORTS)
		report(s, bad);
	memcpy(shadow, (void *)DATA_RW, DATA_LEN);
	return !bad;
}

static int run_group(const struct code_mode *m, const char *group, unsigned int samples)
{
	static struct sample s;
	unsigned int nr = 0, i, compared = 0, reports = 0;
	const struct form *list[FORM_COUNT];
	bool ok = true;

	for (i = 0; i < FORM_COUNT; i++)
		if (!strcmp(forms[i].group, group) &&
		    (m->mode == HV_INSN_64 || !(forms[i].how & FORM_ONLY64)))
			list[nr++] = &forms[i];
	if (!nr)
		return 0;
	s.mode = m;
	for (i = 0; i < samples * (nr > 4 ? 4 : 1); i++) {
		s.form = list[native_below(nr)];
		ok &= run_sample(&s, &compared, &reports);
	}
	if (!compared)
		printf("skip emulate_cpu_%s_%s this CPU does not have it\n", group, m->name);
	else
		printf("%s emulate_cpu_%s_%s (%u compared)\n", ok ? "ok" : "not ok", group, m->name,
		       compared);
	return !ok;
}

static bool is_first_of_group(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!strcmp(forms[i].group, forms[n].group))
			return false;
	return true;
}

/* Attributes as in hv_emul.seg. */
#define DATA32		0xcf3
#define DATA16		0x0f3
#define CODE32		0xcfb
#define CODE64		0xafb
#define CODE16		0x0fb

static void flat_mode(struct code_mode *m, const char *name, enum hv_insn_mode mode)
{
	unsigned int i;

	memset(m, 0, sizeof(*m));
	m->name = name;
	m->mode = mode;
	for (i = 0; i < HV_SEG_COUNT; i++)
		m->seg[i] = (struct hv_emul_seg){ 0, 0xffffffff, DATA32, NATIVE_DS };
	m->seg[HV_SEG_CS].attr = mode == HV_INSN_64 ? CODE64 : CODE32;
	m->seg[HV_SEG_CS].selector = mode == HV_INSN_64 ? NATIVE_CS64 : NATIVE_CS32;
	m->seg[HV_SEG_FS] = (struct hv_emul_seg){ 0 };
	m->seg[HV_SEG_GS] = (struct hv_emul_seg){ .base = GS_BASE };	/* null in 32-bit code */
}

/* A segment of the LDT, for the CPU and for the emulator. */
static struct hv_emul_seg ldt_segment(u32 base, u32 limit, u16 attr)
{
	static unsigned int entry;
	unsigned int contents = attr & HV_SEG_ATTR_CODE ? 2 :
				attr & HV_SEG_ATTR_EXPAND_DOWN ? 1 : 0;
	struct hv_emul_seg seg = { base, limit, attr, 0 };

	seg.selector = native_segment(entry++, base, limit, contents, attr & HV_SEG_ATTR_DB,
				      !(attr & HV_SEG_ATTR_RW));
	return seg;
}

/* 16-bit code with 64 KiB segments, as real programs of that kind have. */
static void mode_16(struct code_mode *m, const char *name)
{
	flat_mode(m, name, HV_INSN_16);
	m->seg[HV_SEG_CS] = ldt_segment(NATIVE_CODE, 0xffff, CODE16);
	m->seg[HV_SEG_DS] = ldt_segment(NATIVE_DATA, 0xffff, DATA16);
	m->seg[HV_SEG_ES] = m->seg[HV_SEG_DS];
}

#define SEGMENT_GROUPS	" mov alu movs stos lods push pop call cmpxchg sse xlat "

/* Limits and types: segments that end within the data area, grow down, or are read-only. */
static void mode_segments(struct code_mode *m, const char *name, enum hv_insn_mode mode, u32 limit,
			  u16 attr)
{
	flat_mode(m, name, mode);
	if (mode == HV_INSN_16)
		mode_16(m, name);
	m->groups = SEGMENT_GROUPS;
	m->seg[HV_SEG_DS] = ldt_segment(NATIVE_DATA, limit, attr);
	m->seg[HV_SEG_ES] = m->seg[HV_SEG_DS];
	/* The CPU accepts only writable segments for the stack. */
	if (attr & HV_SEG_ATTR_RW)
		m->seg[HV_SEG_SS] = m->seg[HV_SEG_DS];
}

static bool mode_runs(const struct code_mode *m, const char *group)
{
	char word[32];

	snprintf(word, sizeof(word), " %s ", group);
	return !m->groups || strstr(m->groups, word);
}

static unsigned int make_modes(struct code_mode *m)
{
	flat_mode(&m[0], "64", HV_INSN_64);
	flat_mode(&m[1], "32", HV_INSN_32);
	mode_16(&m[2], "16");
	mode_segments(&m[3], "32_limit", HV_INSN_32, 0x1fff, DATA32 & ~0x800);
	mode_segments(&m[4], "32_down", HV_INSN_32, 0x1fff, (DATA32 & ~0x800) | 4);
	mode_segments(&m[5], "32_down16", HV_INSN_32, 0x1fff, DATA16 | 4);
	mode_segments(&m[6], "32_readonly", HV_INSN_32, 0xffff, (DATA32 & ~0x802));
	mode_segments(&m[7], "16_stack", HV_INSN_16, 0xffff, DATA16);
	mode_segments(&m[8], "16_limit", HV_INSN_16, 0x1fff, DATA16);
	return 9;
}

int main(int argc, char **argv)
{
	static struct code_mode modes[16];
	unsigned int m, i, nr, samples = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
	int bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	native_seed();
	code_page = native_map(NATIVE_CODE, 0x11000, PROT_READ | PROT_WRITE | PROT_EXEC);
	native_map(DATA_RW, DATA_LEN, PROT_READ | PROT_WRITE);
	for (i = 0; i < DATA_LEN; i++)
		shadow[i] = native_random() >> 32;
	memcpy((void *)DATA_RW, shadow, DATA_LEN);
	mprotect((void *)DATA_RO, PAGE, PROT_READ);
	native_init();
	nr = make_modes(modes);
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE)) {
		perror("arch_prctl");
		return 1;
	}
	for (m = 0; m < nr; m++) {
		if (!modes[m].seg[HV_SEG_CS].selector || !modes[m].seg[HV_SEG_DS].selector) {
			printf("skip emulate_cpu_%s no LDT\n", modes[m].name);
			continue;
		}
		for (i = 0; i < FORM_COUNT; i++)
			if (is_first_of_group(i) && mode_runs(&modes[m], forms[i].group))
				bad |= run_group(&modes[m], forms[i].group, samples);
	}
	return bad;
}
