// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instruction lengths against the real CPU: an instruction of n bytes that ends at the end of a
 * page executes (or faults otherwise), but with only n - 1 bytes before an unmapped page its fetch
 * faults there. What the decoder calls undefined must raise #UD.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "emulate_native.h"
#include "x86/decode.h"

#define PAGE		4096UL
#define VECTOR_UD	6
#define VECTOR_GP	13
#define VECTOR_PF	14
#define MAX_REPORTS	20

struct code_mode {
	const char *name;
	enum hv_insn_mode mode;
	u16 cs;
	u64 ip_base;		/* subtracted from addresses to get offsets in CS */
};

static u8 *page;

/* Run the last @n bytes of the page; every register points nowhere. */
static void run(const struct code_mode *m, const u8 *code, unsigned int n, struct native_state *s)
{
	unsigned int i;

	memcpy(page + PAGE - n, code, n);
	memset(s, 0, sizeof(*s));
	for (i = 0; i < 16; i++)
		s->gpr[i] = m->mode == HV_INSN_64 ? 0x4242424242424242 : 0x42424242;
	s->rip = NATIVE_CODE + PAGE - n - m->ip_base;
	s->cs = m->cs;
	s->ss = NATIVE_DS;
	native_step(s);
}

static bool fetch_faulted(const struct native_state *s)
{
	return s->vector == VECTOR_PF && (s->error & 0x10) && s->cr2 == NATIVE_CODE + PAGE;
}

static bool is_amd(void)
{
	return __builtin_cpu_is("amd");
}

/* Leave out what enters the kernel, changes this process, or may touch its memory. */
static bool is_harmless(const struct hv_insn *in)
{
	if (in->enc != HV_ENC_LEGACY)
		return true;
	if (in->map == HV_MAP_ONE)
		switch (in->opcode) {
		case 0xcd:		/* INT n */
		case 0x9a:
		case 0xea:		/* far CALL and JMP might find a valid selector */
		case 0x8e:		/* MOV Sreg */
			return false;
		}
	if (in->map == HV_MAP_0F)
		switch (in->opcode) {
		case 0x00:		/* the kernel emulates SLDT and STR for UMIP */
		case 0x01:		/* hypercalls and the like */
		case 0x05:
		case 0x07:
		case 0x34:
		case 0x35:
		case 0xb2:		/* LSS, LFS, LGS */
		case 0xb4:
		case 0xb5:
			return false;
		case 0xae:		/* WRFSBASE, WRGSBASE */
			return in->mod != 3;
		}
	/* Intel ignores the operand-size prefix of a near branch; the decoder follows AMD. */
	if (in->mode == HV_INSN_64 && in->opsize == 2 && !is_amd() &&
	    (in->flags & (HV_INSN_IMMZ | HV_INSN_D64)) == (HV_INSN_IMMZ | HV_INSN_D64))
		return false;
	/* The thread's own data is at FS. */
	if (in->seg == HV_SEG_FS && in->base == HV_REG_NONE)
		return false;
	return true;
}

/* Random code that is likely to be an instruction. */
static void make_code(u8 *code, enum hv_insn_mode mode)
{
	static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x65, 0x2e, 0x3e, 0x26, 0x36 };
	unsigned int i, n = 0;
	unsigned int kind = native_below(16);
	u8 mod3 = mode == HV_INSN_64 ? 0 : 0xc0;	/* else C4, C5 and 62 are LES, LDS, BOUND */

	for (i = 0; i < HV_INSN_MAX_LEN + 1; i++)
		code[i] = native_random() >> 32;
	while (n < 5 && native_below(3) == 0)
		code[n++] = prefixes[native_below(sizeof(prefixes))];
	if (mode == HV_INSN_64 && native_below(2))
		code[n++] = 0x40 | native_below(16);
	if (kind < 5) {
		code[n++] = 0x0f;
		if (kind == 0)
			code[n++] = native_below(2) ? 0x38 : 0x3a;
	} else if (kind == 5) {
		code[n++] = 0xc5;
		code[n] |= mod3;
	} else if (kind == 6) {
		code[n++] = 0xc4;
		code[n] = (code[n] & 0xe0) | (1 + native_below(3)) | mod3;
	} else if (kind == 7) {
		code[n++] = 0x62;
		code[n] = (code[n] & 0xf0) | (1 + native_below(3)) | mod3;
		code[n + 1] |= 4;
	}
}

static unsigned int report(const struct code_mode *m, const u8 *code, unsigned int len,
			   const char *what, const struct native_state *s, unsigned int failures)
{
	unsigned int i;

	if (failures < MAX_REPORTS) {
		printf("# %s: %s, decoder says %u:", m->name, what, len);
		for (i = 0; i < HV_INSN_MAX_LEN; i++)
			printf(" %02x", code[i]);
		printf(" (vector %u error %x cr2 %llx)\n", s->vector, s->error,
		       (unsigned long long)s->cr2);
	}
	return failures + 1;
}

static unsigned int check_one(const struct code_mode *m, const u8 *code, unsigned int *checked,
			      unsigned int failures)
{
	struct native_state s;
	struct hv_insn in;
	int err = hv_insn_decode(&in, code, HV_INSN_MAX_LEN, m->mode);

	if (err == -EAGAIN)
		return report(m, code, 0, "wants more than 15 bytes", &(struct native_state){ 0 },
			      failures);
	if (err)
		return failures;
	if (!is_harmless(&in))
		return failures;
	/* An extension this CPU lacks: its length means nothing. */
	run(m, code, HV_INSN_MAX_LEN, &s);
	if (s.vector == VECTOR_UD)
		return failures;
	run(m, code, in.len, &s);
	if (fetch_faulted(&s))
		return report(m, code, in.len, "the CPU needs more bytes", &s, failures);
	++*checked;
	if (in.len == 1)
		return failures;
	run(m, code, in.len - 1, &s);
	if (!fetch_faulted(&s))
		return report(m, code, in.len, "the CPU needs fewer bytes", &s, failures);
	return failures;
}

static bool test_lengths(const struct code_mode *m, unsigned int samples)
{
	unsigned int checked = 0, failures = 0;
	u8 code[HV_INSN_MAX_LEN + 1];

	while (samples--) {
		make_code(code, m->mode);
		failures = check_one(m, code, &checked, failures);
	}
	printf("# %s: %u lengths compared\n", m->name, checked);
	return !failures && checked > 1000;
}

/*
 * With four prefixes the CPU may find the instruction too long (#GP) before it finds it undefined.
 */
static bool may_be_gp(const u8 *code)
{
	unsigned int n = 0;

	while (n < HV_INSN_MAX_LEN && strchr("\x66\x67\xf2\xf3\xf0\x65\x2e\x3e\x26\x36", code[n]))
		n++;
	return n >= 4;
}

/* What the decoder calls undefined, the CPU must not execute. */
static bool test_undefined(const struct code_mode *m, unsigned int samples)
{
	unsigned int checked = 0, failures = 0;
	u8 code[HV_INSN_MAX_LEN + 1];
	struct native_state s;
	struct hv_insn in;

	while (samples--) {
		make_code(code, m->mode);
		if (hv_insn_decode(&in, code, HV_INSN_MAX_LEN, m->mode) != -EINVAL)
			continue;
		/* SLDT and its group: CPUs differ on whether LOCK makes them undefined. */
		if (in.map == HV_MAP_0F && in.opcode == 0)
			continue;
		run(m, code, HV_INSN_MAX_LEN, &s);
		checked++;
		if (s.vector != VECTOR_UD && !(s.vector == VECTOR_GP && may_be_gp(code)))
			failures = report(m, code, 0, "undefined, but the CPU executes it", &s,
					  failures);
	}
	printf("# %s: %u undefined encodings compared\n", m->name, checked);
	return !failures && checked > 1000;
}

/* More than 15 bytes: #GP, whatever they are. */
static bool test_too_long(const struct code_mode *m)
{
	u8 code[32];
	struct native_state s;
	struct hv_insn in;

	memset(code, 0x66, sizeof(code));
	code[15] = 0x90;
	if (hv_insn_decode(&in, code, 16, m->mode) != -E2BIG)
		return false;
	run(m, code, 16, &s);
	if (s.vector != VECTOR_GP)
		return false;
	code[14] = 0x90;
	if (hv_insn_decode(&in, code, 16, m->mode) || in.len != 15)
		return false;
	run(m, code, 15, &s);
	return s.vector == 1;
}

static int result(const char *test, const char *mode, bool ok)
{
	printf("%s decode_cpu_%s_%s\n", ok ? "ok" : "not ok", test, mode);
	return !ok;
}

int main(void)
{
	struct code_mode modes[] = {
		{ "64", HV_INSN_64, NATIVE_CS64, 0 },
		{ "32", HV_INSN_32, NATIVE_CS32, 0 },
		{ "16", HV_INSN_16, 0, NATIVE_CODE },
	};
	unsigned int i;
	int bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	native_seed();
	page = native_map(NATIVE_CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	native_init();
	modes[2].cs = native_segment(0, NATIVE_CODE, 0xffff, 2, false, false);
	for (i = 0; i < 3; i++) {
		if (!modes[i].cs) {
			printf("skip decode_cpu_%s no LDT\n", modes[i].name);
			continue;
		}
		bad |= result("length", modes[i].name, test_lengths(&modes[i], 60000));
		if (is_amd())
			bad |= result("undefined", modes[i].name, test_undefined(&modes[i], 40000));
		else
			printf("skip decode_cpu_undefined_%s not an AMD CPU\n", modes[i].name);
		bad |= result("too_long", modes[i].name, test_too_long(&modes[i]));
	}
	return bad;
}
