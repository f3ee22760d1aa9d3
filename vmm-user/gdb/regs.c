// SPDX-License-Identifier: GPL-2.0-or-later
/* Registers by gdb's numbers; see regs.h. */
#include "regs.h"

#include <stdio.h>
#include <string.h>

#define SEL(f, n, r) { f, n, 4, offsetof(struct gdb_cpu, sregs.r.selector), 2, "int32" }
#define GPR(n, r) { CORE, n, 8, offsetof(struct gdb_cpu, regs.r), 8, "int64" }
#define ST(i) { CORE, "st" #i, 10, offsetof(struct gdb_cpu, fpu.fpr[i]), 10, "i387_ext" }
#define FPC(n, r, len) { CORE, n, 4, offsetof(struct gdb_cpu, fpu.r), len, "int" }
#define NONE_OF(n) { CORE, n, 4, 0, 0, "int" }
#define XMM(i) { SSE, "xmm" #i, 16, offsetof(struct gdb_cpu, fpu.xmm[i]), 16, "vec128" }
#define SYS(n, r) { SYSTEM, n, 8, offsetof(struct gdb_cpu, sregs.r), 8, "int64" }
#define BASE(n, r) { SEGMENTS, n, 8, offsetof(struct gdb_cpu, sregs.r.base), 8, "int64" }

enum feature { CORE, SSE, SEGMENTS, SYSTEM, NR_FEATURES };

static const char *const feature_names[NR_FEATURES] = {
	"org.gnu.gdb.i386.core", "org.gnu.gdb.i386.sse", "org.gnu.gdb.i386.segments",
	"org.hv.system",
};

/* Number 57 is orig_rax for a gdb that expects Linux's user space; here it is none. */
#define REG_FTAG	34
#define REG_ORIG_RAX	57

static const struct {
	enum feature feature;
	const char *name;
	size_t size;		/* for gdb */
	size_t off, len;	/* in struct gdb_cpu; 0: always zero */
	const char *type;
} regs[] = {
	GPR("rax", rax), GPR("rbx", rbx), GPR("rcx", rcx), GPR("rdx", rdx), GPR("rsi", rsi),
	GPR("rdi", rdi), GPR("rbp", rbp), GPR("rsp", rsp), GPR("r8", r8), GPR("r9", r9),
	GPR("r10", r10), GPR("r11", r11), GPR("r12", r12), GPR("r13", r13), GPR("r14", r14),
	GPR("r15", r15), GPR("rip", rip),
	{ CORE, "eflags", 4, offsetof(struct gdb_cpu, regs.rflags), 4, "int32" },
	SEL(CORE, "cs", cs), SEL(CORE, "ss", ss), SEL(CORE, "ds", ds), SEL(CORE, "es", es),
	SEL(CORE, "fs", fs), SEL(CORE, "gs", gs),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FPC("fctrl", fcw, 2), FPC("fstat", fsw, 2), FPC("ftag", ftwx, 1), NONE_OF("fiseg"),
	FPC("fioff", last_ip, 4), NONE_OF("foseg"), FPC("fooff", last_dp, 4),
	FPC("fop", last_opcode, 2),
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8), XMM(9), XMM(10),
	XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
	{ SSE, "mxcsr", 4, offsetof(struct gdb_cpu, fpu.mxcsr), 4, "int" },
	{ SEGMENTS, NULL, 0, 0, 0, NULL },
	BASE("fs_base", fs), BASE("gs_base", gs),
	SYS("cr0", cr0), SYS("cr2", cr2), SYS("cr3", cr3), SYS("cr4", cr4), SYS("cr8", cr8),
	SYS("efer", efer),
};
#define NR_REGS (sizeof(regs) / sizeof(regs[0]))
_Static_assert(NR_REGS == REG_ORIG_RAX + 9, "gdb's numbers");

size_t gdb_reg_size(unsigned int n)
{
	return n < NR_REGS ? regs[n].size : 0;
}

/* ---- The tag word: two bits per register for gdb, one for the processor (Intel SDM 8.1.7) ---- */

static unsigned int tag_of(const uint8_t fpr[16])
{
	unsigned int exponent = (fpr[8] | fpr[9] << 8) & 0x7fff;
	uint64_t mantissa;

	memcpy(&mantissa, fpr, sizeof(mantissa));
	if (!exponent && !mantissa)
		return 1;	/* zero */
	return exponent && exponent != 0x7fff && mantissa >> 63 ? 0 : 2;
}

/* Tags go by number, registers by distance from the top. */
static uint16_t get_tags(const struct kvm_fpu *fpu)
{
	unsigned int top = fpu->fsw >> 11 & 7;
	uint16_t tags = 0;

	for (unsigned int i = 0; i < 8; i++) {
		unsigned int tag = fpu->ftwx & 1 << i ? tag_of(fpu->fpr[(i - top) & 7]) : 3;

		tags |= (uint16_t)(tag << 2 * i);
	}
	return tags;
}

static void set_tags(struct kvm_fpu *fpu, uint16_t tags)
{
	fpu->ftwx = 0;
	for (unsigned int i = 0; i < 8; i++)
		if ((tags >> 2 * i & 3) != 3)
			fpu->ftwx |= (uint8_t)(1 << i);
}

/* ---- All ---- */

size_t gdb_reg_get(const struct gdb_cpu *cpu, unsigned int n, uint8_t buf[GDB_REG_MAX])
{
	memset(buf, 0, GDB_REG_MAX);
	if (n >= NR_REGS)
		return 0;
	memcpy(buf, (const uint8_t *)cpu + regs[n].off, regs[n].len);
	if (n == REG_FTAG) {
		uint16_t tags = get_tags(&cpu->fpu);

		memcpy(buf, &tags, sizeof(tags));
	}
	return regs[n].size;
}

size_t gdb_reg_set(struct gdb_cpu *cpu, unsigned int n, const uint8_t buf[GDB_REG_MAX])
{
	if (n >= NR_REGS)
		return 0;
	if (n == REG_FTAG)
		set_tags(&cpu->fpu, (uint16_t)(buf[0] | buf[1] << 8));
	else
		memcpy((uint8_t *)cpu + regs[n].off, buf, regs[n].len);
	return regs[n].size;
}

/* ---- The description ---- */

#define VECTORS										\
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"				\
	"<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"				\
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"				\
	"<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"				\
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"				\
	"<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"				\
	"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"			\
	"<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"	\
	"<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"	\
	"<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/>"	\
	"</union>"

const char *gdb_target_xml(void)
{
	static char xml[8192];
	int n;

	if (xml[0])
		return xml;
	n = snprintf(xml, sizeof(xml), "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM "
		     "\"gdb-target.dtd\"><target><architecture>i386:x86-64</architecture>");
	for (unsigned int f = 0; f < NR_FEATURES; f++) {
		n += snprintf(xml + n, sizeof(xml) - (size_t)n, "<feature name=\"%s\">%s",
			      feature_names[f], f == SSE ? VECTORS : "");
		for (unsigned int i = 0; i < NR_REGS; i++)
			if (regs[i].name && regs[i].feature == f)
				n += snprintf(xml + n, sizeof(xml) - (size_t)n,
					      "<reg name=\"%s\" bitsize=\"%zu\" type=\"%s\" "
					      "regnum=\"%u\"/>", regs[i].name, 8 * regs[i].size,
					      regs[i].type, i);
		n += snprintf(xml + n, sizeof(xml) - (size_t)n, "</feature>");
	}
	snprintf(xml + n, sizeof(xml) - (size_t)n, "</target>");
	return xml;
}
