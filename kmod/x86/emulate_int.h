/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the files of the instruction emulator; nothing else includes this.
 *
 * Functions return enum hv_emul_result or a negative errno. A handler changes gpr, rflags and
 * next_rip only after its last fallible step.
 */
#ifndef HV_X86_EMULATE_INT_H
#define HV_X86_EMULATE_INT_H

#include "emulate.h"
#include "emulate_alu.h"

/* Exception vectors (APM vol. 2, 8.2). */
#define HV_EXC_DE	0
#define HV_EXC_UD	6
#define HV_EXC_NM	7
#define HV_EXC_SS	12
#define HV_EXC_GP	13
#define HV_EXC_PF	14
#define HV_EXC_AC	17

/* Control register bits (APM vol. 2, 3.1). */
#define HV_CR0_PE	0x00000001UL
#define HV_CR0_EM	0x00000004UL
#define HV_CR0_TS	0x00000008UL
#define HV_CR0_AM	0x00040000UL
#define HV_CR4_OSFXSR	0x00000200UL
#define HV_CR4_LA57	0x00001000UL
#define HV_CR4_OSXSAVE	0x00040000UL
#define HV_EFER_LMA	0x00000400UL
#define HV_XCR0_AVX	0x6UL		/* SSE and AVX state */

/* Real-address or virtual-8086 mode: no segment types, no vector extensions. */
bool emul_is_real(const struct hv_emul *e);

/* Segmentation: limit, type, canonical and alignment checks of @len bytes at @off. */
int emul_linear(struct hv_emul *e, unsigned int seg, u64 off, unsigned int len, bool write,
		u64 *la);

/* Checks for a branch target; #GP(0) when it is outside the code segment. */
int emul_branch(struct hv_emul *e, u64 target);

/* Access to memory at a checked linear address; emul_write() absorbs HV_EMUL_IO. */
int emul_read(struct hv_emul *e, u64 la, void *buf, unsigned int len, unsigned int access);
int emul_write(struct hv_emul *e, u64 la, const void *buf, unsigned int len);

/* General registers; with size 1 and no REX prefix 4..7 are AH, CH, DH, BH. */
u64 emul_reg_read(const struct hv_emul *e, unsigned int reg, unsigned int size);
void emul_reg_write(struct hv_emul *e, unsigned int reg, unsigned int size, u64 val);

/* Compute and check the address of the ModRM operand into e->la; nothing to do for a register. */
int emul_rm_address(struct hv_emul *e, u64 extra, unsigned int len, bool write);
/* Read the ModRM operand; memory at e->la. */
int emul_rm_read(struct hv_emul *e, unsigned int size, unsigned int access, u64 *val);
/* Address and read in one, for operands that are only read. */
int emul_rm_load(struct hv_emul *e, unsigned int size, u64 *val);
/* Write the ModRM operand; memory at e->la. */
int emul_rm_write(struct hv_emul *e, unsigned int size, u64 val);
/* Replace @old, which was read before; atomically if @locked. *@done is false when it changed. */
int emul_rm_replace(struct hv_emul *e, unsigned int size, u64 old, u64 val, bool locked,
		    bool *done);
/* Address and write in one, for operands that are only written. */
int emul_rm_store(struct hv_emul *e, unsigned int size, u64 val);

/* Stack; nothing is committed, the new stack pointer is returned for emul_stack_set(). */
int emul_push(struct hv_emul *e, unsigned int size, u64 val, u64 *sp);
/* Would emul_push() fault? */
int emul_push_probe(struct hv_emul *e, unsigned int size);
int emul_pop(struct hv_emul *e, unsigned int size, u64 *val, u64 *sp);
void emul_stack_set(struct hv_emul *e, u64 sp);

/* The instruction did not retire: stay on it, the guest executes it again. */
static inline int emul_stay(struct hv_emul *e)
{
	e->next_rip = e->rip;
	return HV_EMUL_OK;
}

static inline bool emul_locked(const struct hv_emul *e)
{
	return e->insn.prefixes & HV_PFX_LOCK;
}

/* Handlers by opcode map. */
int emul_map_one(struct hv_emul *e);
int emul_map_0f(struct hv_emul *e);
int emul_map_0f38(struct hv_emul *e);
/* Read-modify-write of the ModRM operand with an operation of the ALU. */
int emul_rmw(struct hv_emul *e, enum hv_alu_op op, u64 src, unsigned int count);
/* MOVS, CMPS, STOS, LODS, SCAS with any repeat prefix. */
int emul_string(struct hv_emul *e);
/* INS, OUTS with any repeat prefix; IN, OUT. */
int emul_string_io(struct hv_emul *e);
int emul_port_io(struct hv_emul *e);
/* Moves between vector registers and memory. */
int emul_vector(struct hv_emul *e);

#endif
