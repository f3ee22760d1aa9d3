/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hardware task switches, in 32-bit protected mode with paging. Linked at 0x8000, entered in real
 * mode; task_test.c has what is to be reported, and builds the page tables: task A's at 0x50000,
 * task B's at 0x52000. At 0x400000 each sees a page of its own.
 */
#define REPORT	outl %eax, $0xf4
#define DONE	xorl %eax, %eax; outl %eax, $0xf0

#define CODE	0x08
#define DATA	0x10
#define TSS_A	0x18
#define TSS_B	0x20
#define TSS_C	0x28			/* 16 bits */
#define GATE_B	0x30
#define MISSING	0x38			/* a TSS that is not present */
#define SHORT	0x40			/* one that is too small */
#define ABSENT	0x48			/* a data segment that is not present */

#define PRIVATE	0x400000

	.macro report value
	movl \value, %eax
	REPORT
	.endm

	.macro report_b value
	movzbl \value, %eax
	REPORT
	.endm

	.code16
	.text
	.globl _start
_start:
	xorl %ebp, %ebp
	jmp start
	.balign 8
	movl $1, %ebp
	jmp start
	.balign 8
	xorl %ebp, %ebp
	decl %ebp
	jmp start

start:	cli
	lgdtl gdtr
	lidtl idtr
	movl $0x50000, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x10, %eax			/* PSE */
	movl %eax, %cr4
	movl %cr0, %eax
	orl $0x80000001, %eax
	movl %eax, %cr0
	ljmpl $CODE, $1f

	.code32
1:	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movl $0x7f00, %esp
	xorl %ebx, %ebx
	movw $TSS_A, %ax
	ltr %ax
	/* Touched before: QEMU's TCG cannot resume a switch that a second-level fault stopped. */
	orl $0, 0x52000
	orl $0, 0x53000
	orl $0, 0x40000
	orl $0, 0x41000
	orl $0, 0x7d00
	testl %ebp, %ebp
	jg segment
	jl narrow
	report PRIVATE

	/* CALL: B is nested in A. */
	movl $0xaaaa, %ebx
	clts
	lcall $TSS_B, $0
	report %ebx
	report %esp
	report_b gdt + TSS_A + 5
	report_b gdt + TSS_B + 5
	pushfl
	popl %eax
	andl $0x4000, %eax
	REPORT
	report PRIVATE

	/* Once more: it goes on after its IRET. */
	lcall $TSS_B, $0
	report %ebx

	/* JMP through a gate: nothing is nested. */
	ljmp $GATE_B, $0
	report_b gdt + TSS_A + 5
	report_b gdt + TSS_B + 5

	/* INT n and an exception through a task gate. */
	movl $on_int, tss_b + 0x20
	int $0x30
	report %ebx
	movl $on_gp, tss_b + 0x20
	movl $0x7e00, tss_b + 0x38	/* ESP */
	movw $0x1000, %ax		/* beyond the GDT */
fault:	movw %ax, %ds
	report %ebx

	/* What is wrong with a TSS is the old task's fault. */
	lcall $MISSING, $0
	lcall $SHORT, $0
	DONE

	/* A 16-bit TSS. */
narrow:	movl $0x12345678, %ebx
	lcall $TSS_C, $0
	report %ebx
	DONE

segment:
	/* What is wrong with a segment is the new one's. */
	movl $on_again, tss_b + 0x20
	movl $ABSENT, tss_b + 0x54	/* DS */
	lcall $TSS_B, $0
	report %ebx
	DONE

/* ---- task B -------------------------------------------------------------------------------- */

task_b:	report %ebx
	str %eax
	REPORT
	report_b tss_b
	report_b gdt + TSS_A + 5
	report_b gdt + TSS_B + 5
	pushfl
	popl %eax
	andl $0x4000, %eax
	REPORT
	movl %cr0, %eax
	andl $8, %eax			/* TS */
	REPORT
	report PRIVATE
	report tss_a + 0x34		/* EBX of A */
	movl $0xb0b, %ebx
	iretl
	report %ebx
	iretl
	/* By JMP. */
	pushfl
	popl %eax
	andl $0x4000, %eax
	REPORT
	report_b gdt + TSS_A + 5
	report_b gdt + TSS_B + 5
	ljmp $TSS_A, $0

on_int:	report $0x1a7
	report tss_a + 0x20		/* where A goes on: after INT n */
	iretl

on_gp:	popl %eax			/* the error code */
	REPORT
	movl tss_a + 0x20, %eax
	subl $fault, %eax
	REPORT
	addl $2, tss_a + 0x20		/* not again */
	iretl

on_again:
	report $0xa9a1
	movw %ds, %ax
	movzwl %ax, %eax
	REPORT
	iretl

task_c:	movzwl %bx, %eax
	REPORT
	str %eax
	REPORT
	movzwl tss_c, %eax
	REPORT
	iretl

/* ---- exceptions ---------------------------------------------------------------------------- */

/* Vector, error code, the task; the instruction is 7 bytes long, if it is task A's. */
	.macro handler n
	pushl %eax
	report $\n
	movl 4(%esp), %eax
	REPORT
	str %eax
	REPORT
	cmpl $TSS_A, %eax
	jne 1f
	addl $7, 8(%esp)
	jmp 2f
1:	movw $DATA, %ax			/* B's DS */
	movw %ax, %ds
2:	popl %eax
	addl $4, %esp
	iretl
	.endm

on_ts:	handler 10
on_np:	handler 11

/* ---- tables -------------------------------------------------------------------------------- */

	.macro descriptor base limit access flags
	.word \limit & 0xffff
	.word \base
	.byte 0, \access, \flags | (\limit >> 16), 0
	.endm

	.balign 16
gdt:	.quad 0
	descriptor 0, 0xfffff, 0x9b, 0xc0
	descriptor 0, 0xfffff, 0x93, 0xc0
	descriptor tss_a, 0x67, 0x89, 0
	descriptor tss_b, 0x67, 0x89, 0
	descriptor tss_c, 0x2b, 0x81, 0
	.word 0, TSS_B
	.byte 0, 0x85, 0, 0
	descriptor tss_c, 0x67, 0x09, 0
	descriptor tss_c, 0x66, 0x89, 0
	descriptor 0, 0xfffff, 0x13, 0xc0
gdt_end:
gdtr:	.word gdt_end - gdt - 1
	.long gdt
idtr:	.word 0x31 * 8 - 1
	.long idt

	.macro gate target
	.word \target, CODE
	.byte 0, 0x8e
	.word 0
	.endm

	.macro task_gate
	.word 0, TSS_B
	.byte 0, 0x85
	.word 0
	.endm

	.balign 16
idt:	.fill 10, 8, 0
	gate on_ts
	gate on_np
	.quad 0
	task_gate
	.fill 0x30 - 14, 8, 0
	task_gate

	.balign 16
tss_a:	.fill 7, 4, 0
	.long 0x50000			/* a switch saves neither this nor LDTR */
	.fill 0x67 - 0x1f, 1, 0

	.balign 16
tss_b:	.fill 7, 4, 0
	.long 0x52000, task_b, 2
	.long 0, 0, 0, 0x1111		/* EAX, ECX, EDX, EBX */
	.long 0x7e00, 0, 0, 0		/* ESP, EBP, ESI, EDI */
	.long DATA, CODE, DATA, DATA, DATA, DATA, 0
	.word 0, 0x68

	.balign 16
tss_c:	.fill 7, 2, 0
	.word task_c, 2
	.word 0, 0, 0, 0xcc, 0x7d00, 0, 0, 0
	.word DATA, CODE, DATA, DATA, 0
	.balign 16
