/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The SVM world switch.
 *
 * VMRUN saves and restores only part of the state (APM2 15.5.1): RAX, RSP, RIP, RFLAGS, control
 * and segment registers of the VMCB. FS, GS, TR, LDTR, KernelGSBase and the SYSCALL/SYSENTER MSRs
 * are moved by VMLOAD/VMSAVE, the other general registers by the code below.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>

#include "compat/untrain.h"

/* struct svm_world */
#define WORLD_GUEST_PA		0
#define WORLD_HOST_PA		8
#define WORLD_GUEST_SPEC	16
#define WORLD_HOST_SPEC		20

/* enum hv_gpr */
#define GPR(n)	((n) * 8)
#define RCX	1
#define RDX	2
#define RBX	3
#define RBP	5
#define RSI	6
#define RDI	7

/*
 * Give SPEC_CTRL the guest's (or the host's) value if they differ. \world is preserved; RAX, RCX
 * and RDX are not. With V_SPEC_CTRL the CPU does it.
 */
.macro SWITCH_SPEC_CTRL world, to, from
	ALTERNATIVE_2 "jmp .Lspec_done\@", "", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lspec_done\@", X86_FEATURE_V_SPEC_CTRL
	movl	\to(\world), %eax
	cmpl	%eax, \from(\world)
	je	.Lspec_done\@
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	xorl	%edx, %edx
	wrmsr
.Lspec_done\@:
.endm

.section .noinstr.text, "ax"

/* void svm_enter(u64 *gpr, struct svm_world *world) */
SYM_FUNC_START(svm_enter)
	pushq	%rbp
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%rbx
	pushq	%rsi
	pushq	%rdi

	SWITCH_SPEC_CTRL %rsi, WORLD_GUEST_SPEC, WORLD_HOST_SPEC

	movq	WORLD_GUEST_PA(%rsi), %rax
	movq	GPR(RCX)(%rdi), %rcx
	movq	GPR(RDX)(%rdi), %rdx
	movq	GPR(RBX)(%rdi), %rbx
	movq	GPR(RBP)(%rdi), %rbp
	movq	GPR(RSI)(%rdi), %rsi
	movq	GPR(8)(%rdi), %r8
	movq	GPR(9)(%rdi), %r9
	movq	GPR(10)(%rdi), %r10
	movq	GPR(11)(%rdi), %r11
	movq	GPR(12)(%rdi), %r12
	movq	GPR(13)(%rdi), %r13
	movq	GPR(14)(%rdi), %r14
	movq	GPR(15)(%rdi), %r15
	movq	GPR(RDI)(%rdi), %rdi

	HV_CLEAR_CPU_BUFFERS

	/*
	 * With V_INTR_MASKING, host interrupts leave the guest only if the host's IF was set at
	 * VMRUN. GIF is 0 from here to the STGI of the caller, so nothing is taken meanwhile.
	 */
	sti
1:	vmload	%rax
2:	vmrun	%rax
3:	vmsave	%rax
4:	cli

	pushq	%rdi
	movq	8(%rsp), %rdi
	movq	%rcx, GPR(RCX)(%rdi)
	movq	%rdx, GPR(RDX)(%rdi)
	movq	%rbx, GPR(RBX)(%rdi)
	movq	%rbp, GPR(RBP)(%rdi)
	movq	%rsi, GPR(RSI)(%rdi)
	movq	%r8, GPR(8)(%rdi)
	movq	%r9, GPR(9)(%rdi)
	movq	%r10, GPR(10)(%rdi)
	movq	%r11, GPR(11)(%rdi)
	movq	%r12, GPR(12)(%rdi)
	movq	%r13, GPR(13)(%rdi)
	movq	%r14, GPR(14)(%rdi)
	movq	%r15, GPR(15)(%rdi)
	popq	GPR(RDI)(%rdi)

	movq	8(%rsp), %rsi
	movq	WORLD_HOST_PA(%rsi), %rax
5:	vmload	%rax
6:
	/* The guest's return predictions must not steer the host (RSB underflow and poisoning). */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	SWITCH_SPEC_CTRL %rsi, WORLD_HOST_SPEC, WORLD_GUEST_SPEC
	HV_UNTRAIN_RET

	/* No guest value may remain in a register that the host could use speculatively. */
	xorl	%eax, %eax
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d

	addq	$16, %rsp
	popq	%rbx
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	popq	%rbp
	RET

	/* An emergency restart turns SVM off under us: the instructions then fault; go on. */
	_ASM_EXTABLE(1b, 2b)
	_ASM_EXTABLE(2b, 3b)
	_ASM_EXTABLE(3b, 4b)
	_ASM_EXTABLE(5b, 6b)
SYM_FUNC_END(svm_enter)
