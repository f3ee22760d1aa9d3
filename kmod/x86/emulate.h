/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instruction emulator for accesses that the hardware cannot complete: memory-mapped devices and
 * string I/O. It runs one instruction on a register image, with callbacks for memory and ports; it
 * knows nothing about vCPUs and is kernel-independent.
 *
 * How to use it
 *
 *   Fill the input part of struct hv_emul (registers, control registers, segments, cpl), then call
 *   hv_emul_step(). Afterwards, *whatever it returned* except a negative errno or
 *   HV_EMUL_UNHANDLEABLE, write gpr, rip and rflags back to the vCPU: they are always
 *   architecturally right (an instruction that did not complete left them alone; a REP string
 *   instruction left them after its last complete iteration, with rip still on the instruction).
 *
 * Re-execution
 *
 *   A read that user space must complete makes ops->read (or ops->pio for input) return
 *   HV_EMUL_IO, and hv_emul_step() returns HV_EMUL_IO with nothing committed. When user space has
 *   answered, call hv_emul_step() again with the same state: it runs the instruction from the
 *   start and makes the same reads in the same order, and the callback now returns the recorded
 *   data. All reads come before the write; an instruction reads at most three times (CMPS two,
 *   others one or two) and writes once. Forget the recorded data when the result is anything
 *   but HV_EMUL_IO, because the next iteration of a string instruction may read the same address
 *   again and must get new data.
 *
 *   A write (or port output) that user space must complete is different: the callback queues it
 *   and returns HV_EMUL_IO, the instruction then completes, and hv_emul_step() returns
 *   HV_EMUL_OK_IO. An access may be up to 32 bytes long and may cross a page; splitting it into
 *   device accesses and remembering the fragments is the callback's affair.
 *
 * After completion the caller must also do what a retired instruction does: end the interrupt
 * shadow, and raise #DB when e->trap is set (RFLAGS.TF was set when the instruction, or the
 * iteration of a REP string instruction, retired).
 *
 * Permissions of ports (I/O bitmap, IOPL) are not checked: the CPU checks them before the exit.
 *
 * Manuals: AMD APM vol. 3; exceptions, segmentation and canonical addresses: vol. 2 chapters 4, 5
 * and 8.
 */
#ifndef HV_X86_EMULATE_H
#define HV_X86_EMULATE_H

#include <linux/types.h>

#include "decode.h"

/* Results of hv_emul_step() and of the callbacks; a negative value is an errno passed through. */
enum hv_emul_result {
	/* Step: retired (or a bounded number of REP iterations done). Callback: done. */
	HV_EMUL_OK = 0,
	/* Step: nothing committed, complete the read and call again. Callback: see above. */
	HV_EMUL_IO = 1,
	/* Step only: as HV_EMUL_OK, and a queued write must be completed before guest entry. */
	HV_EMUL_OK_IO = 2,
	/* An exception is in hv_emul.exc; inject it. Nothing was committed. */
	HV_EMUL_FAULT = 3,
	/* Not an instruction this emulator executes. Nothing was committed. */
	HV_EMUL_UNHANDLEABLE = 4,
};

/* General registers in encoding order; the index into hv_emul.gpr. */
enum hv_gpr {
	HV_RAX, HV_RCX, HV_RDX, HV_RBX, HV_RSP, HV_RBP, HV_RSI, HV_RDI,
	HV_R8, HV_R9, HV_R10, HV_R11, HV_R12, HV_R13, HV_R14, HV_R15,
	HV_GPR_COUNT,
};

/* Kinds of access (bits), passed to the read and probe callbacks. */
#define HV_EMUL_ACC_WRITE	0x1	/* read: the same place is written next */

/*
 * Segment attributes as the VMCB packs them (APM vol. 2, 15.5.1): the descriptor's type, S, DPL, P
 * in bits 7:0 and AVL, L, D/B, G in bits 11:8. The limit is in bytes, granularity applied.
 */
#define HV_SEG_ATTR_TYPE	0x00f
#define HV_SEG_ATTR_CODE	0x008
#define HV_SEG_ATTR_EXPAND_DOWN	0x004	/* data only */
#define HV_SEG_ATTR_RW		0x002	/* data: writable, code: readable */
#define HV_SEG_ATTR_S		0x010
#define HV_SEG_ATTR_P		0x080
#define HV_SEG_ATTR_L		0x200
#define HV_SEG_ATTR_DB		0x400
#define HV_SEG_ATTR_G		0x800

struct hv_emul_seg {
	u64 base;
	u32 limit;
	u16 attr;	/* HV_SEG_ATTR_*; P clear for a null segment */
	u16 selector;
};

/* An exception to inject. @has_error and @error are as the CPU pushes them in the current mode. */
struct hv_emul_exc {
	u8 vector;
	bool has_error;
	u32 error;
	u64 address;	/* CR2 for #PF */
};

struct hv_emul;

/**
 * struct hv_emul_ops - what the emulator needs from its caller
 *
 * Addresses are linear, checked for canonical form and limits, not for paging. Callbacks return
 * HV_EMUL_OK, HV_EMUL_IO, HV_EMUL_FAULT (with e->exc filled in; hv_emul_raise_pf()),
 * HV_EMUL_UNHANDLEABLE or a negative errno. An access to a device must set e->touched_io, also
 * when it completed at once.
 *
 * @fetch:	read up to @len code bytes at @la with execute permission; *@got is the number read,
 *		at least one. It may stop early at the end of a page.
 * @read:	read @len bytes; @access is HV_EMUL_ACC_*
 * @write:	write @len bytes
 * @cmp_write:	replace @len (1 to 16) bytes when they still equal @old, atomically in RAM, as a
 *		plain write on a device; *@ok tells whether it did
 * @probe:	check that @len bytes could be accessed, without doing it. Devices are fine.
 * @pio:	@count port accesses of @size bytes each. @in: fill @buf, HV_EMUL_IO when user space
 *		must be asked first. Out: write @buf, HV_EMUL_IO when queued.
 * @fpu_read:	copy the low @len (16 or 32) bytes of vector register @reg to @buf
 * @fpu_write:	load the low @len bytes of vector register @reg; with @zero the rest of the register
 *		(up to its full width) becomes zero, otherwise it is kept
 */
struct hv_emul_ops {
	int (*fetch)(struct hv_emul *e, u64 la, u8 *buf, unsigned int len, unsigned int *got);
	int (*read)(struct hv_emul *e, u64 la, void *buf, unsigned int len, unsigned int access);
	int (*write)(struct hv_emul *e, u64 la, const void *buf, unsigned int len);
	int (*cmp_write)(struct hv_emul *e, u64 la, const void *old, const void *new,
		       unsigned int len, bool *ok);
	int (*probe)(struct hv_emul *e, u64 la, unsigned int len, unsigned int access);
	int (*pio)(struct hv_emul *e, bool in, u16 port, unsigned int size, unsigned int count,
		   void *buf);
	/* May INS and OUTS move several elements at once here? Not where a device would see it. */
	bool (*batch)(struct hv_emul *e, u64 la, bool write);
	int (*fpu_read)(struct hv_emul *e, unsigned int reg, void *buf, unsigned int len);
	int (*fpu_write)(struct hv_emul *e, unsigned int reg, const void *buf, unsigned int len,
			 bool zero);
};

/**
 * struct hv_emul - one emulation
 *
 * State, in and out:
 * @gpr:	general registers, indexed by enum hv_gpr
 * @rip:	offset of the instruction in CS
 * @rflags:	RFLAGS
 *
 * In:
 * @ops, @opaque: callbacks and the caller's pointer for them
 * @cr0, @cr4, @efer, @xcr0: control registers (they select the mode and gate vector instructions)
 * @seg:	segment caches, indexed by enum hv_seg
 * @cpl:	current privilege level
 * @max_iterations: most iterations of a REP string instruction per step (0 means 1); an iteration
 *		that touched a device is always the last one
 * @code, @code_len: instruction bytes the CPU reported for @rip, when it did; else code_len 0
 * @pio_buf, @pio_buf_len: buffer for INS and OUTS, at least 4 bytes; with REP they move up to
 *		this many bytes with one call of ops->pio. Must stay the same until HV_EMUL_IO
 *		has been resolved, as the number of elements depends on it.
 *
 * Out:
 * @exc:	the exception, with HV_EMUL_FAULT
 * @insn:	the instruction, decoded
 * @bytes, @bytes_len: the code bytes it was decoded from (more than its length, fewer on a fault)
 * @trap:	it retired with RFLAGS.TF set: raise #DB with DR6.BS
 * @touched_io:	set by callbacks
 */
struct hv_emul {
	u64 gpr[HV_GPR_COUNT];
	u64 rip;
	u64 rflags;

	const struct hv_emul_ops *ops;
	void *opaque;
	u64 cr0;
	u64 cr4;
	u64 efer;
	u64 xcr0;
	struct hv_emul_seg seg[HV_SEG_COUNT];
	u8 *pio_buf;
	unsigned int pio_buf_len;
	unsigned int max_iterations;
	u8 cpl;
	u8 code_len;
	u8 code[HV_INSN_MAX_LEN];

	bool trap;
	bool touched_io;
	u8 bytes_len;
	u8 bytes[HV_INSN_MAX_LEN];
	struct hv_emul_exc exc;
	struct hv_insn insn;

	/* Private to the emulator, valid during one step. */
	u8 mode;		/* enum hv_insn_mode */
	bool write_pending;	/* a write returned HV_EMUL_IO */
	bool must_align;	/* #GP(0) when the memory operand is not naturally aligned */
	u64 next_rip;
	u64 la;			/* linear address of the memory operand */
};

/**
 * hv_emul_step() - execute the instruction at CS:RIP
 *
 * Return: enum hv_emul_result or a negative errno from a callback.
 */
int hv_emul_step(struct hv_emul *e);

/**
 * hv_emul_decode() - fetch and decode the instruction at CS:RIP into e->insn
 *
 * For intercepted instructions whose length the CPU does not report: e->insn.len is the length,
 * hv_emul_skip() moves rip behind it. Only ops->fetch is used.
 *
 * Return: HV_EMUL_OK, HV_EMUL_FAULT (#PF or #GP of the fetch, #UD) or a negative errno.
 */
int hv_emul_decode(struct hv_emul *e);

/**
 * hv_emul_skip() - retire the instruction in e->insn without executing it; sets rip, rflags.RF,
 * trap
 */
void hv_emul_skip(struct hv_emul *e);

/** hv_emul_mode() - width of the code segment, from EFER.LMA and the CS attributes */
enum hv_insn_mode hv_emul_mode(const struct hv_emul *e);

/** hv_emul_raise() - note an exception that has no error code; returns HV_EMUL_FAULT */
int hv_emul_raise(struct hv_emul *e, u8 vector);

/** hv_emul_raise_code() - note an exception with an error code; returns HV_EMUL_FAULT */
int hv_emul_raise_code(struct hv_emul *e, u8 vector, u32 error);

/** hv_emul_raise_pf() - note a page fault; returns HV_EMUL_FAULT */
int hv_emul_raise_pf(struct hv_emul *e, u64 la, u32 error);

#endif
