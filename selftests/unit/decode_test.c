// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction decoder: known encodings in all modes, the intercepted instructions whose length
 * the module asks for, truncated and invalid input, and a disassembler's opinion on whole programs.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bool_test.h"
#include "emulate_native.h"
#include "x86/decode.h"

/*
 * Lengths: hex with spaces; a '.' stands where the instruction ends, bytes behind it are ignored.
 */
struct known {
	enum hv_insn_mode mode;
	const char *hex;
	int err;		/* expected error, or 0 */
};

static const struct known known[] = {
	/* Intercepted instructions, with prefixes that change nothing. */
	{ HV_INSN_64, "0f a2 .", 0 }, { HV_INSN_64, "48 0f a2 .", 0 },		/* CPUID */
	{ HV_INSN_16, "66 67 0f a2 .", 0 }, { HV_INSN_64, "f3 2e 0f a2 .", 0 },
	{ HV_INSN_64, "0f 32 .", 0 }, { HV_INSN_64, "0f 30 .", 0 },		/* RDMSR, WRMSR */
	{ HV_INSN_64, "f4 .", 0 }, { HV_INSN_32, "66 f4 .", 0 },		/* HLT */
	{ HV_INSN_64, "0f 01 d9 .", 0 }, { HV_INSN_64, "0f 01 c1 .", 0 }, /* VMMCALL, VMCALL */
	{ HV_INSN_64, "0f 01 d8 .", 0 }, { HV_INSN_64, "0f 01 dd .", 0 },	/* VMRUN, CLGI */
	{ HV_INSN_64, "0f 01 df .", 0 }, { HV_INSN_64, "0f 01 de .", 0 }, /* INVLPGA, SKINIT */
	{ HV_INSN_64, "0f 08 .", 0 }, { HV_INSN_64, "0f 09 .", 0 },		/* INVD, WBINVD */
	{ HV_INSN_64, "f3 0f 09 .", 0 },					/* WBNOINVD */
	{ HV_INSN_64, "0f 01 d1 .", 0 }, { HV_INSN_64, "0f 01 d0 .", 0 },	/* XSETBV, XGETBV */
	{ HV_INSN_64, "0f 33 .", 0 }, { HV_INSN_64, "0f 31 .", 0 },		/* RDPMC, RDTSC */
	{ HV_INSN_64, "0f 01 f9 .", 0 },					/* RDTSCP */
	{ HV_INSN_64, "0f 01 c8 .", 0 }, { HV_INSN_64, "0f 01 c9 .", 0 },	/* MONITOR, MWAIT */
	{ HV_INSN_64, "f3 90 .", 0 },						/* PAUSE */
	{ HV_INSN_64, "0f 20 c0 .", 0 }, { HV_INSN_64, "44 0f 20 c0 .", 0 }, /* MOV r, CR0; CR8 */
	{ HV_INSN_64, "0f 22 1c .", 0 }, { HV_INSN_32, "0f 22 25 .", 0 },	/* MOD is ignored */
	{ HV_INSN_64, "0f 23 f8 .", 0 }, { HV_INSN_16, "0f 21 3d .", 0 },	/* MOV DR */
	{ HV_INSN_32, "f0 0f 20 c0 .", 0 }, /* MOV r, CR8 on AMD */
	{ HV_INSN_64, "0f 06 .", 0 },						/* CLTS */
	{ HV_INSN_16, "0f 01 f0 .", 0 }, { HV_INSN_16, "0f 01 36 34 12 .", 0 },	/* LMSW */
	{ HV_INSN_64, "0f 01 3c 25 00 10 00 00 .", 0 },				/* INVLPG */
	{ HV_INSN_64, "66 0f 38 82 03 .", 0 },					/* INVPCID */
	{ HV_INSN_64, "cd 80 .", 0 }, { HV_INSN_64, "cc .", 0 },		/* INT n, INT3 */
	{ HV_INSN_32, "ce .", 0 }, { HV_INSN_64, "ce", -EINVAL },		/* INTO */
	{ HV_INSN_64, "f1 .", 0 }, { HV_INSN_64, "cf .", 0 },			/* ICEBP, IRET */
	{ HV_INSN_64, "e4 60 .", 0 }, { HV_INSN_64, "66 ed .", 0 },		/* IN */
	{ HV_INSN_64, "e7 80 .", 0 }, { HV_INSN_64, "f3 6f .", 0 },		/* OUT, REP OUTS */
	{ HV_INSN_64, "0f 00 d8 .", 0 }, { HV_INSN_64, "0f 00 58 08 .", 0 },	/* LTR */
	{ HV_INSN_64, "0f 01 18 .", 0 }, { HV_INSN_64, "0f 01 90 00 00 00 80 .", 0 },
	{ HV_INSN_64, "0f c7 f0 .", 0 }, { HV_INSN_64, "f3 0f c7 f8 .", 0 },	/* RDRAND, RDPID */
	/* Addressing. */
	{ HV_INSN_64, "8b 04 25 00 00 00 80 .", 0 }, { HV_INSN_64, "8b 05 00 00 00 80 .", 0 },
	{ HV_INSN_64, "8b 44 24 08 .", 0 }, { HV_INSN_64, "67 8b 84 88 11 22 33 44 .", 0 },
	{ HV_INSN_64, "8b 04 ad 11 22 33 44 .", 0 }, { HV_INSN_64, "41 8b 45 00 .", 0 },
	{ HV_INSN_32, "67 8b 86 34 12 .", 0 }, { HV_INSN_32, "67 8b 06 34 12 .", 0 },
	{ HV_INSN_16, "8b 06 34 12 .", 0 }, { HV_INSN_16, "67 8b 44 24 08 .", 0 },
	{ HV_INSN_64, "a1 88 77 66 55 44 33 22 11 .", 0 }, { HV_INSN_64, "67 a1 44 33 22 11 .", 0 },
	{ HV_INSN_16, "a1 34 12 .", 0 }, { HV_INSN_16, "67 a1 44 33 22 11 .", 0 },
	/* Immediates. */
	{ HV_INSN_64, "48 b8 88 77 66 55 44 33 22 11 .", 0 }, { HV_INSN_64, "66 b8 22 11 .", 0 },
	{ HV_INSN_64, "48 c7 00 44 33 22 11 .", 0 }, { HV_INSN_64, "66 c7 00 22 11 .", 0 },
	{ HV_INSN_64, "66 48 c7 00 44 33 22 11 .", 0 }, { HV_INSN_16, "c7 07 22 11 .", 0 },
	{ HV_INSN_64, "f6 00 80 .", 0 }, { HV_INSN_64, "f7 00 44 33 22 11 .", 0 },
	{ HV_INSN_64, "f7 10 .", 0 }, { HV_INSN_64, "c8 22 11 01 .", 0 },
	{ HV_INSN_32, "ea 44 33 22 11 08 00 .", 0 }, { HV_INSN_16, "ea 22 11 08 00 .", 0 },
	{ HV_INSN_16, "66 ea 44 33 22 11 08 00 .", 0 }, { HV_INSN_64, "ea", -EINVAL },
	{ HV_INSN_64, "e8 44 33 22 11 .", 0 }, { HV_INSN_16, "e8 22 11 .", 0 },
	{ HV_INSN_64, "66 0f 78 c0 01 02 .", 0 },				/* EXTRQ */
	/* Vector prefixes. */
	{ HV_INSN_64, "c5 f8 77 .", 0 }, { HV_INSN_64, "c5 fd 6f 00 .", 0 },
	{ HV_INSN_64, "c4 e3 7d 18 00 01 .", 0 }, { HV_INSN_64, "c4 e2 79 18 00 .", 0 },
	{ HV_INSN_32, "c5 f8 77 .", 0 }, { HV_INSN_32, "c5 00 .", 0 },		/* LDS eax, [eax] */
	{ HV_INSN_64, "62 f1 7c 48 10 40 01 .", 0 }, { HV_INSN_32, "62 00 .", 0 },	/* BOUND */
	{ HV_INSN_64, "62 f3 7d 48 1f 00 01 .", 0 }, { HV_INSN_64, "8f e8 78 c0 00 01 .", 0 },
	{ HV_INSN_64, "8f 00 .", 0 }, { HV_INSN_64, "8f e9 78 80 00 .", 0 },
	{ HV_INSN_64, "8f ea 78 10 00 44 33 22 11 .", 0 },
	{ HV_INSN_64, "66 c5 f8 77", -EINVAL }, { HV_INSN_64, "48 c5 f8 77", -EINVAL },
	{ HV_INSN_64, "c4 e0 78 10", -EINVAL },
	/* Undefined. */
	{ HV_INSN_64, "06", -EINVAL },
	{ HV_INSN_64, "0f 04", -EINVAL },
	{ HV_INSN_64, "0f 0a", -EINVAL },
	{ HV_INSN_64, "0f 38 0f", -EINVAL }, { HV_INSN_64, "0f 3a 00", -EINVAL },
	{ HV_INSN_64, "8d c0", -EINVAL },
	{ HV_INSN_64, "fe d0", -EINVAL },
	{ HV_INSN_64, "ff f8", -EINVAL },
	{ HV_INSN_64, "8e c8", -EINVAL }, { HV_INSN_64, "0f ba 00 00", -EINVAL },
	{ HV_INSN_64, "0f 20 08", -EINVAL }, { HV_INSN_64, "ff d8", -EINVAL },
	{ HV_INSN_64, "f0 90", -EINVAL }, { HV_INSN_64, "f0 01 c0", -EINVAL },
	{ HV_INSN_64, "f0 38 00", -EINVAL }, { HV_INSN_64, "f0 01 00 .", 0 },
	/* Length. */
	{ HV_INSN_64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90 .", 0 },
	{ HV_INSN_64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", -E2BIG },
	{ HV_INSN_64, "2e 2e 2e 2e 2e 2e 2e 2e 2e 81 05 00 00 00 00 00 00 00 00", -E2BIG },
};

static unsigned int parse_hex(const char *hex, u8 *buf, unsigned int *end)
{
	unsigned int n = 0;

	*end = 0;
	for (; *hex; hex++) {
		if (*hex == '.')
			*end = n;
		else if (isxdigit((unsigned char)*hex)) {
			buf[n++] = strtoul((char[]){ hex[0], hex[1], 0 }, NULL, 16);
			hex++;
		}
	}
	return n;
}

static bool test_known(void)
{
	unsigned int i, n, end;
	struct hv_insn in;
	bool ok = true;
	u8 buf[32];
	int err;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		n = parse_hex(known[i].hex, buf, &end);
		err = hv_insn_decode(&in, buf, n, known[i].mode);
		if (err == known[i].err && (err || in.len == end))
			continue;
		printf("# %s (mode %d): error %d length %u\n", known[i].hex, known[i].mode, err,
		       err ? 0 : in.len);
		ok = false;
	}
	return ok;
}

static bool test_operands(void)
{
	u64 gpr[16] = { 0 };
	struct hv_insn in;

	gpr[0] = 0x1000;
	gpr[12] = 0x100000000;
	/* mov r9, [r12 + rax*4 - 0x80] */
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x4d\x8b\x4c\x84\x80", 5, HV_INSN_64));
	CHECK(in.opsize == 8 && in.reg == 9 && in.base == 12 && in.index == 0 && in.scale == 2);
	CHECK(in.disp == -0x80ULL && in.seg == HV_SEG_DS && hv_insn_is_mem(&in));
	CHECK(hv_insn_ea(&in, gpr, 0) == 0x100003f80);
	/* cmp word gs:[rip - 1], 0xfffe: the displacement is relative to the end */
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x65\x66\x81\x3d\xff\xff\xff\xff\xfe\xff", 10,
			      HV_INSN_64));
	CHECK(in.base == HV_REG_RIP && in.imm == (u64)-2 && in.seg == HV_SEG_GS && in.opsize == 2);
	CHECK(hv_insn_ea(&in, gpr, 0x2000) == 0x1fff);
	/* ES does not count in 64-bit code, also behind FS */
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x64\x26\x8b\x00", 4, HV_INSN_64));
	CHECK(in.seg == HV_SEG_FS);
	/* RBP-based operands are on the stack, also with a SIB byte, R13-based ones are not */
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x8b\x45\x00", 3, HV_INSN_64));
	CHECK(in.seg == HV_SEG_SS);
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x8b\x04\x24", 3, HV_INSN_32));
	CHECK(in.seg == HV_SEG_SS);
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x41\x8b\x45\x00", 4, HV_INSN_64));
	CHECK(in.seg == HV_SEG_DS && in.base == 13);
	/* 16-bit: [bp+di+2], which wraps */
	gpr[5] = 0xffff;
	gpr[7] = 1;
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x8a\x63\x02", 3, HV_INSN_16));
	CHECK(in.seg == HV_SEG_SS && in.opsize == 1 && in.reg == 4 && hv_insn_ea(&in, gpr, 0) == 2);
	/* A REX prefix that is not the last one is lost */
	CHECK(!hv_insn_decode(&in, (const u8 *)"\x48\x66\x8b\xc1", 4, HV_INSN_64));
	CHECK(in.opsize == 2 && !in.rex && in.reg == 0 && in.rm == 1);
	/* VEX: vmovdqu ymm10, [r8] */
	CHECK(!hv_insn_decode(&in, (const u8 *)"\xc4\x41\x7e\x6f\x10", 5, HV_INSN_64));
	CHECK(in.enc == HV_ENC_VEX && in.map == HV_MAP_0F && in.pp == HV_PP_F3 && in.vl == 32);
	CHECK(in.reg == 10 && in.base == 8 && in.vvvv == 0);
	return true;
}

/*
 * Every proper prefix of an instruction asks for more, and no byte behind the given ones is read.
 */
static bool test_truncated(void)
{
	static const enum hv_insn_mode modes[] = { HV_INSN_16, HV_INSN_32, HV_INSN_64 };
	unsigned int i, j, n, checked = 0;
	struct hv_insn in, part;
	u8 code[HV_INSN_MAX_LEN];
	enum hv_insn_mode mode;

	for (i = 0; i < 100000; i++) {
		mode = modes[i % 3];
		for (j = 0; j < sizeof(code); j++)
			code[j] = native_random() >> 32;
		if (native_below(3) == 0)
			code[0] = 0x0f;
		if (native_below(3) == 0)
			code[0] = native_below(2) ? 0xc4 : 0x66;
		if (hv_insn_decode(&in, code, sizeof(code), mode))
			continue;
		checked++;
		for (n = 0; n < in.len; n++) {
			u8 *exact = malloc(n ? n : 1);	/* the sanitizer sees reads beyond it */
			int err;

			memcpy(exact, code, n);
			err = hv_insn_decode(&part, exact, n, mode);
			free(exact);
			CHECK(err == -EAGAIN);
		}
		CHECK(!hv_insn_decode(&part, code, in.len, mode) && part.len == in.len);
	}
	return checked > 10000;
}

/* One line of objdump -d: "  addr:\tbytes...\tmnemonic". Returns the number of bytes. */
static unsigned int parse_line(char *line, u8 *code, const char **mnemonic)
{
	char *tab = strchr(line, '\t'), *end;
	unsigned int n = 0;

	if (!tab || tab == line || tab[-1] != ':')
		return 0;
	for (tab++; isxdigit((unsigned char)tab[0]) && isxdigit((unsigned char)tab[1]) && n < 16;
	     tab += 3) {
		code[n++] = strtoul((char[]){ tab[0], tab[1], 0 }, &end, 16);
		if (tab[2] != ' ')
			return 0;
	}
	while (*tab == ' ')
		tab++;
	if (*tab != '\t')
		return 0;
	*mnemonic = tab + 1;
	return n;
}

/* Lines where the disassembler gives prefixes a line of their own or folds FWAIT into x87 code. */
static bool is_oddity(const u8 *code, const char *mnemonic)
{
	return strstr(mnemonic, "(bad)") || code[0] == 0x9b || !strncmp(mnemonic, "rex", 3) ||
	       !strncmp(mnemonic, "data16\n", 7) || !strncmp(mnemonic, "lock\n", 5) ||
	       !strncmp(mnemonic, "repz\n", 5) || !strncmp(mnemonic, "repnz\n", 6) ||
	       !strncmp(mnemonic, "addr32\n", 7);
}

/* Lengths of all instructions of the files that make up this very process. */
static int test_objdump(const char *file)
{
	unsigned int n, checked = 0, bad = 0;
	char command[512], line[1024];
	const char *mnemonic;
	struct hv_insn in;
	u8 code[16];
	FILE *f;
	int err;

	snprintf(command, sizeof(command),
		 "LC_ALL=C objdump -d -w -z --insn-width=16 --section=.text '%s' 2>/dev/null",
		 file);
	f = popen(command, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		n = parse_line(line, code, &mnemonic);
		if (!n || is_oddity(code, mnemonic))
			continue;
		checked++;
		err = hv_insn_decode(&in, code, n, HV_INSN_64);
		if ((err || in.len != n) && bad++ < 10)
			printf("# %s#   error %d length %u, not %u\n", line, err, err ? 0 : in.len,
			       n);
	}
	pclose(f);
	printf("# %s: %u instructions\n", file, checked);
	return checked < 1000 ? -1 : bad == 0;
}

static bool find_libc(char *path)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[1024];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *at = strchr(line, '/');

		if (!at || !strstr(at, "/libc.so"))
			continue;
		at[strcspn(at, "\n")] = 0;
		snprintf(path, 256, "%.255s", at);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

int main(void)
{
	static const struct bool_test tests[] = {
		{ "known", test_known }, { "operands", test_operands },
		{ "truncated", test_truncated },
	};
	char libc[256];
	int bad, ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	native_seed();
	bad = bool_tests_run(tests, sizeof(tests) / sizeof(tests[0]));
	ret = find_libc(libc) ? test_objdump(libc) : -1;
	if (ret < 0)
		printf("skip objdump no disassembler\n");
	else
		bad |= bool_test_end("objdump", ret);
	return bad;
}
