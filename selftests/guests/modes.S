/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode and the ways out of it. Linked at 0x8000, entered in real mode with all segments 0 at
 * one of the slots of 8 bytes; see modes_test.c for what each is to report.
 *
 * Memory: GDT at 0x36000 (gt.c), page tables of identity mappings: 0x1000 (4-level, by ut.c),
 * 0x50000 (2-level), 0x51000 (PAE), as modes_test.c builds them.
 */
#define REPORT	outl %eax, $0xf4
#define DONE	xorl %eax, %eax; outl %eax, $0xf0

#define GDT	0x36000
#define CODE64	0x08
#define DATA	0x10
#define CODE32	0x40
#define CODE16	0x50
#define DATA16	0x58

	.macro slot target
	.balign 8
	jmp \target
	.endm

	.code16
	.text
	.globl _start
_start:
	slot int_n
	slot limits
	slot segments
	slot unreal
	slot strings
	slot protected
	slot paging2
	slot pae
	slot long_mode
	slot exceptions
	slot stack
	slot v86
	slot breakpoint

/* Handler @n stores where @handler is in the real-mode vector table. */
	.macro vector n handler
	movw $\handler, \n * 4
	movw $0, \n * 4 + 2
	.endm

	.macro report_w value
	xorl %eax, %eax
	movw \value, %ax
	REPORT
	.endm

/* ---- INT n: flags, CS, IP on the stack, IF and TF clear, IRET ------------------------------ */

int_n:
	vector 0x21 1f
	sti
	xorl %ebx, %ebx
	movw $0x7f00, %sp
	int $0x21
0:	report_w %bx
	report_w %sp
	pushf
	popw %bx
	andw $0x200, %bx
	report_w %bx
	/* INT3 and INTO go through the table, too. */
	vector 3 2f
	vector 4 2f
	int3
	report_w %bx
	movb $0x7f, %al
	addb $1, %al
	into
	report_w %bx
	DONE
1:	/* In the handler. */
	pushf
	popw %bx
	andw $0x200, %bx
	report_w %bx
	popw %bx
	pushw %bx
	subw $0b, %bx
	report_w %bx
	movw $0x1234, %bx
	iret
2:	movw $0x5678, %bx
	iret

/* ---- a breakpoint on an instruction is at a linear address, wherever CS begins ------------- */

breakpoint:
	vector 1 2f
	movw $0x7f00, %sp
	movl $1f, %eax
	movl %eax, %dr0
	movl $0x401, %eax		/* L0, and a bit that is always set */
	movl %eax, %dr7
	ljmp $0x800, $0f - 0x8000
0:	nop
1:	nop
	DONE
2:	movl %dr6, %eax
	REPORT
	popw %bx
	pushw %bx
	subw $1b - 0x8000, %bx
	report_w %bx
	movl $0x400, %eax
	movl %eax, %dr7
	iret

/* ---- limits: #GP past 64 KiB, #SS on the stack --------------------------------------------- */

limits:
	vector 13 2f
	vector 12 3f
	vector 6 7f			/* no fault where one should have been */
	movl $0x10000, %esi
	movw $1f, %di
	movb (%esi), %al
	ud2
1:	movw $4f, %di
	movw $0xffff, %si
	movw (%si), %ax
	ud2
4:	movl $0x10000, %ebp
	movw $5f, %di
	movb (%ebp), %al
	ud2
5:	movb 0xffff, %al
	DONE
2:	report_w $13
	jmp 6f
7:	report_w $6
	jmp 6f
3:	report_w $12
6:	addw $6, %sp
	jmp *%di

/* ---- segment arithmetic, wrap-around at 1 MiB, LDS, far jumps and calls -------------------- */

segments:
	movw $0x4000, %ax
	movw %ax, %ds
	movl $0xcafe1234, 0x20
	movw $0x3ff0, %ax
	movw %ax, %es
	movl %es:0x120, %eax
	REPORT
	movw $0x4002, %ax
	movw %ax, %fs
	xorl %eax, %eax
	movw %fs:2, %ax
	REPORT
	xorw %ax, %ax
	movw %ax, %ds
	lcall $0x0010, $1f - 0x100
	report_w %bx
	ljmp $0x0100, $2f - 0x1000
1:	movw %cs, %bx
	lret
2:	report_w %cs
	ljmp $0, $3f
3:	report_w %cs
	DONE

/* ---- unreal mode: a limit from protected mode stays ---------------------------------------- */

unreal:
	cli
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	jmp 1f
1:	movw $DATA, %bx
	movw %bx, %es
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $0, $2f
2:	movl $0x120000, %esi
	movl $0x600df00d, %es:(%esi)
	movl %es:(%esi), %eax
	REPORT
	/* A device above 1 MiB, too. */
	movl $0x40000000, %esi
	movl %es:(%esi), %eax
	REPORT
	movw $0, %ax
	movw %ax, %es			/* the base changes, the limit does not */
	movl $0x120000, %esi
	movl %es:(%esi), %eax
	REPORT
	DONE

/* ---- strings and ports in real mode -------------------------------------------------------- */

strings:
	cld
	movw $1f, %si
	movw $0x1010, %dx
	movw $4, %cx
	rep outsb
	report_w %cx
	movw $0x4000, %ax
	movw %ax, %es
	xorw %di, %di
	movw $3, %cx
	rep insw
	report_w %di
	movl %es:0, %eax
	REPORT
	/* A segment override on OUTS. */
	xorw %si, %si
	es outsw
	report_w %si
	hlt
	report_w $0x77
	DONE
1:	.ascii "real"

/* ---- 16-bit and 32-bit protected mode ------------------------------------------------------ */

	.macro enter_protected
	cli
	lgdtl 90f
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $CODE32, $91f
	.balign 4
90:	.word 12 * 8 - 1
	.long GDT
	.code32
91:	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw %ax, %fs
	movw %ax, %gs
	movl $0x7f00, %esp
	.endm

protected:
	enter_protected
	xorl %eax, %eax
	movw %cs, %ax
	REPORT
	/* 32-bit code reaches everything. */
	movl $0x11223344, 0x120000
	movl 0x120000, %eax
	REPORT
	movl 0x40000004, %eax
	REPORT
	/* 16-bit protected mode: offsets wrap at 64 KiB, the limit is 64 KiB. */
	ljmpl $CODE16, $1f
	.code16
1:	movw $DATA16, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0x7f00, %sp
	xorl %eax, %eax
	movw %cs, %ax
	REPORT
	pushl $0x55667788
	popl %eax
	REPORT
	/* And back to real mode. */
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $0, $2f
2:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	report_w %cs
	vector 0x22 3f
	movw $0x7f00, %sp
	int $0x22
	DONE
3:	report_w $0x22
	iret

/* ---- two-level paging ---------------------------------------------------------------------- */

	.code16
paging2:
	enter_protected
	movl $0x50000, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x10, %eax			/* PSE: directory entry 0 is a 4 MiB page */
	movl %eax, %cr4
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	jmp 1f
1:	movl $0x1111, 0x120000
	movl 0x120000, %eax
	REPORT
	/* 0x00400000 is a page table; its first page is 0x40000, its second the device's. */
	movl $0x2222, 0x400010
	movl 0x40010, %eax
	REPORT
	movl 0x401008, %eax
	REPORT
	movw $0x1234, 0x401010
	/* The entry's accessed and dirty bits were set. */
	movl 0x52000, %eax
	andl $0x60, %eax
	REPORT
	movl 0x50004, %eax
	andl $0x20, %eax
	REPORT
	DONE

/* ---- PAE ----------------------------------------------------------------------------------- */

	.code16
pae:
	enter_protected
	movl $0x51000, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax
	movl %eax, %cr4
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	jmp 1f
1:	movl $0x3333, 0x120000
	movl 0x120000, %eax
	REPORT
	movl $0x4444, 0x200010		/* a 4 KiB page: 0x40000 */
	movl 0x40010, %eax
	REPORT
	movl 0x40000008, %eax		/* the device, by a 2 MiB page of the second quarter */
	REPORT
	/* A change of a directory pointer counts from the next load of CR3 on. */
	movl 0x51000, %eax
	movl %eax, 0x51010		/* the third quarter is the first again */
	movl %cr3, %eax
	movl %eax, %cr3
	movl 0x80120000, %eax
	REPORT
	DONE

/* ---- long mode, compatibility mode, and back ----------------------------------------------- */

	.code16
long_mode:
	enter_protected
	movl %cr4, %eax
	orl $0x20, %eax
	movl %eax, %cr4
	movl $0x1000, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	rdmsr
	REPORT				/* LMA is set; this is compatibility mode */
	ljmp $CODE64, $1f
	.code64
1:	movabs $0x1122334455667788, %rax
	shr $32, %rax
	REPORT
	movl 0x40000008, %eax
	REPORT
	/* Compatibility mode: 32-bit code, device accesses, CPUID. */
	pushq $CODE32
	pushq $2f
	lretq
	.code32
2:	movl 0x4000000c, %eax
	REPORT
	xorl %eax, %eax
	movw %cs, %ax
	REPORT
	/* Leave: paging off, then LME. */
	movl %cr0, %eax
	andl $0x7fffffff, %eax
	movl %eax, %cr0
	movl $0xc0000080, %ecx
	rdmsr
	REPORT
	andl $0xfffffeff, %eax
	wrmsr
	movl %cr4, %eax
	andl $0xffffffdf, %eax
	movl %eax, %cr4
	rdmsr
	REPORT
	DONE

/* ---- exceptions in real mode: no error code on the stack ----------------------------------- */

	.code16
exceptions:
	vector 0 1f
	vector 6 2f
	vector 13 3f
	vector 1 4f
	movw $0x7f00, %sp
	xorw %dx, %dx
	xorw %cx, %cx
	divw %cx
0:	ud2
	movl $0x12345, %ecx
	rdmsr				/* an MSR that does not exist */
	pushf
	orw $0x100, (%esp)
	popf
	nop
	cpuid
	pushf
	andw $0xfeff, (%esp)
	popf
	report_w %si
	DONE
1:	report_w $0x100
	jmp 5f
2:	report_w $0x106
	jmp 5f
3:	report_w $0x10d
5:	report_w %sp
	addw $2, (%esp)			/* all of them are two bytes long */
	iret
4:	incw %si
	iret

/* ---- the stack wraps ----------------------------------------------------------------------- */

stack:
	xorw %sp, %sp
	movw $0x4000, %ax
	movw %ax, %ss
	pushw $0x4321
	report_w %sp
	xorl %eax, %eax
	popw %ax
	REPORT
	report_w %sp
	/* push %sp pushes the old value. */
	movw $0x100, %sp
	pushw %sp
	popw %bx
	report_w %bx
	pusha
	popa
	report_w %sp
	enter $8, $0
	report_w %sp
	leave
	report_w %sp
	DONE

/* ---- virtual-8086 mode --------------------------------------------------------------------- */

v86:
	enter_protected
	/* The handler of #GP, by a 32-bit gate; the TSS at 0x39000 has the stack. */
	movl $1f, %eax
	movw %ax, 0x38000 + 13 * 8
	movw $CODE32, 0x38000 + 13 * 8 + 2
	shrl $16, %eax
	movw $0x8e00, 0x38000 + 13 * 8 + 4
	movw %ax, 0x38000 + 13 * 8 + 6
	lidt 2f
	movl $0x7e00, 0x39004
	movw $DATA, 0x39008
	movb $0x89, GDT + 0x35		/* not busy */
	movw $0x30, %ax
	ltr %ax
	pushl $0			/* gs, fs, ds, es */
	pushl $0
	pushl $0x4000
	pushl $0
	pushl $0			/* ss, esp */
	pushl $0x7000
	pushl $0x20002			/* VM, IOPL 0 */
	pushl $0
	pushl $3f
	iret
2:	.word 14 * 8 - 1
	.long 0x38000
	.code16
3:	movw $0x1357, 0x10		/* ds = 0x4000 */
	movw $0x11, %bx
	cpuid
	movw $0x2468, %bx
	int $0x21			/* IOPL < 3: #GP */
	.code32
1:	popl %eax			/* error code: vector 0x21, IDT */
	REPORT
	movl 8(%esp), %eax
	andl $0x20000, %eax
	REPORT
	xorl %esi, %esi
	movw %ds, %si			/* 0 after a trap out of virtual-8086 mode */
	movw $DATA, %ax
	movw %ax, %ds
	movzwl 0x40010, %eax
	REPORT
	movzwl %bx, %eax
	REPORT
	movl %esi, %eax
	REPORT
	DONE
