/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The instruction forms that emulate_cpu_test compares with the CPU. */
#ifndef HV_UNIT_EMULATE_FORMS_H
#define HV_UNIT_EMULATE_FORMS_H

#include <linux/types.h>

/* form.how */
#define FORM_LOCK		0x0001	/* LOCK is allowed on memory */
#define FORM_MEM		0x0002	/* memory operand only */
#define FORM_STRING	0x0004
#define FORM_MOFFS		0x0008
#define FORM_STACK		0x0010
#define FORM_XLAT		0x0020
#define FORM_BRANCH	0x0040
#define FORM_NOMODRM	0x0080
#define FORM_ONLY64	0x0100
#define FORM_VEX		0x0200
#define FORM_DIV		0x0400
#define FORM_PAIR		0x0800	/* CMPXCHG: let the comparison succeed now and then */
#define FORM_BITS		0x1000

struct form {
	const char *group;	/* one test line per group */
	u8 map, first, last;
	u8 ext;			/* allowed ModRM.reg, a bit each; 0: all */
	s8 pp;			/* mandatory prefix: 0x66, ... as a signed byte; 0: none, 1: any */
	u16 how;
};

#define ALU(op) \
	{ "alu", 0, op, (op) + 1, 0, 1, FORM_LOCK }, { "alu", 0, (op) + 2, (op) + 3, 0, 1, 0 }

static const struct form forms[] = {
	ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30),
	{ "alu", 0, 0x38, 0x3b, 0, 1, 0 },
	{ "alu_imm", 0, 0x80, 0x81, 0x7f, 1, FORM_LOCK },
	{ "alu_imm", 0, 0x83, 0x83, 0x7f, 1, FORM_LOCK },
	{ "alu_imm", 0, 0x80, 0x83, 0x80, 1, 0 },
	{ "test", 0, 0x84, 0x85, 0, 1, 0 }, { "test", 0, 0xf6, 0xf7, 0x03, 1, 0 },
	{ "xchg", 0, 0x86, 0x87, 0, 1, FORM_LOCK },
	{ "mov", 0, 0x88, 0x8b, 0, 1, 0 }, { "mov", 0, 0xc6, 0xc7, 0x01, 1, 0 },
	{ "mov_moffs", 0, 0xa0, 0xa3, 0, 1, FORM_MOFFS | FORM_NOMODRM },
	{ "mov_sreg", 0, 0x8c, 0x8c, 0x0f, 1, 0 },
	{ "movsxd", 0, 0x63, 0x63, 0, 1, FORM_ONLY64 },
	{ "movx", 1, 0xb6, 0xb7, 0, 1, 0 }, { "movx", 1, 0xbe, 0xbf, 0, 1, 0 },
	{ "movbe", 2, 0xf0, 0xf1, 0, 0, FORM_MEM }, { "movbe", 2, 0xf0, 0xf1, 0, 0x66, FORM_MEM },
	{ "movnti", 1, 0xc3, 0xc3, 0, 0, FORM_MEM }, { "movdiri", 2, 0xf9, 0xf9, 0, 0, FORM_MEM },
	{ "imul", 0, 0x69, 0x69, 0, 1, 0 }, { "imul", 0, 0x6b, 0x6b, 0, 1, 0 },
	{ "imul", 1, 0xaf, 0xaf, 0, 1, 0 },
	{ "muldiv", 0, 0xf6, 0xf7, 0xf0, 1, FORM_DIV },
	{ "notneg", 0, 0xf6, 0xf7, 0x0c, 1, FORM_LOCK },
	{ "incdec", 0, 0xfe, 0xff, 0x03, 1, FORM_LOCK },
	{ "shift", 0, 0xc0, 0xc1, 0, 1, 0 }, { "shift", 0, 0xd0, 0xd3, 0, 1, 0 },
	{ "double_shift", 1, 0xa4, 0xa5, 0, 1, 0 }, { "double_shift", 1, 0xac, 0xad, 0, 1, 0 },
	{ "push", 0, 0xff, 0xff, 0x40, 1, FORM_STACK },
	{ "pop", 0, 0x8f, 0x8f, 0x01, 1, FORM_STACK },
	{ "call", 0, 0xff, 0xff, 0x04, 1, FORM_STACK | FORM_BRANCH },
	{ "jmp", 0, 0xff, 0xff, 0x10, 1, FORM_BRANCH },
	{ "xlat", 0, 0xd7, 0xd7, 0, 1, FORM_NOMODRM | FORM_XLAT },
	{ "movs", 0, 0xa4, 0xa5, 0, 1, FORM_NOMODRM | FORM_STRING },
	{ "cmps", 0, 0xa6, 0xa7, 0, 1, FORM_NOMODRM | FORM_STRING },
	{ "stos", 0, 0xaa, 0xab, 0, 1, FORM_NOMODRM | FORM_STRING },
	{ "lods", 0, 0xac, 0xad, 0, 1, FORM_NOMODRM | FORM_STRING },
	{ "scas", 0, 0xae, 0xaf, 0, 1, FORM_NOMODRM | FORM_STRING },
	{ "cmov", 1, 0x40, 0x4f, 0, 1, 0 }, { "setcc", 1, 0x90, 0x9f, 0, 1, 0 },
	{ "bt", 1, 0xa3, 0xa3, 0, 1, FORM_BITS },
	{ "bt", 1, 0xab, 0xab, 0, 1, FORM_BITS | FORM_LOCK },
	{ "bt", 1, 0xb3, 0xb3, 0, 1, FORM_BITS | FORM_LOCK },
	{ "bt", 1, 0xbb, 0xbb, 0, 1, FORM_BITS | FORM_LOCK },
	{ "bt", 1, 0xba, 0xba, 0x10, 1, 0 }, { "bt", 1, 0xba, 0xba, 0xe0, 1, FORM_LOCK },
	{ "cmpxchg", 1, 0xb0, 0xb1, 0, 1, FORM_LOCK | FORM_PAIR },
	{ "xadd", 1, 0xc0, 0xc1, 0, 1, FORM_LOCK },
	{ "cmpxchg8b", 1, 0xc7, 0xc7, 0x02, 1, FORM_MEM | FORM_LOCK | FORM_PAIR },
	{ "nop", 1, 0x18, 0x18, 0x0f, 0, FORM_MEM }, { "nop", 1, 0x1f, 0x1f, 0, 0, 0 },
	{ "clflush", 1, 0xae, 0xae, 0x80, 0, FORM_MEM },
	{ "clflush", 1, 0xae, 0xae, 0xc0, 0x66, FORM_MEM },
#define VEC(map, pp, first, last) \
	{ "sse", map, first, last, 0, pp, FORM_MEM }, \
	{ "vex", map, first, last, 0, pp, FORM_MEM | FORM_VEX }
	VEC(1, 0, 0x10, 0x11), VEC(1, 0x66, 0x10, 0x11),
	VEC(1, (s8)0xf3, 0x10, 0x11), VEC(1, (s8)0xf2, 0x10, 0x11),
	VEC(1, 0, 0x13, 0x13),
	VEC(1, 0x66, 0x13, 0x13),
	VEC(1, 0, 0x17, 0x17),
	VEC(1, 0x66, 0x17, 0x17),
	{ "sse", 1, 0x12, 0x12, 0, 0, FORM_MEM }, { "sse", 1, 0x12, 0x12, 0, 0x66, FORM_MEM },
	{ "sse", 1, 0x16, 0x16, 0, 0, FORM_MEM }, { "sse", 1, 0x16, 0x16, 0, 0x66, FORM_MEM },
	VEC(1, 0, 0x28, 0x29),
	VEC(1, 0x66, 0x28, 0x29),
	VEC(1, 0, 0x2b, 0x2b),
	VEC(1, 0x66, 0x2b, 0x2b),
	VEC(1, 0x66, 0x6e, 0x6f), VEC(1, 0x66, 0x7e, 0x7f), VEC(1, (s8)0xf3, 0x6f, 0x6f),
	VEC(1, (s8)0xf3, 0x7e, 0x7f), VEC(1, 0x66, 0xd6, 0xd6), VEC(1, 0x66, 0xe7, 0xe7),
	VEC(1, (s8)0xf2, 0xf0, 0xf0), VEC(2, 0x66, 0x2a, 0x2a),
};

#define FORM_COUNT	(sizeof(forms) / sizeof(forms[0]))

#endif
