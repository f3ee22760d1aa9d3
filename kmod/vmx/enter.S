/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX world switch.
 *
 * VMLAUNCH and VMRESUME save and restore RIP, RSP, RFLAGS, control and segment registers by the
 * VMCS (SDM 26.3, 27.5); the general registers are moved by the code below. An exit arrives at
 * vmx_exit_point with the stack as the entry left it.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/ibt.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#include "compat/untrain.h"

/* struct vmx_world */
#define WORLD_HOST_RSP		0
#define WORLD_GUEST_SPEC	8
#define WORLD_HOST_SPEC		12
#define WORLD_LAUNCHED		16
#define WORLD_SPEC_DIRECT	17

#define VMX_HOST_RSP		0x6c14

/* What vmx_enter() returns */
#define VMX_FAILED		1
#define VMX_OFF			2

/* enum hv_gpr */
#define GPR(n)	((n) * 8)
#define RAX	0
#define RCX	1
#define RDX	2
#define RBX	3
#define RBP	5
#define RSI	6
#define RDI	7

.section .noinstr.text, "ax"

/* int vmx_enter(u64 *gpr, struct vmx_world *world) */
SYM_FUNC_START(vmx_enter)
	pushq	%rbp
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%rbx
	pushq	%rsi
	pushq	%rdi

	cmpq	%rsp, WORLD_HOST_RSP(%rsi)
	je	1f
	movq	%rsp, WORLD_HOST_RSP(%rsi)
	movl	$VMX_HOST_RSP, %eax
0:	vmwrite	%rsp, %rax
1:
	/* The guest's SPEC_CTRL, where it differs. */
	ALTERNATIVE "jmp 2f", "", X86_FEATURE_MSR_SPEC_CTRL
	movl	WORLD_GUEST_SPEC(%rsi), %eax
	cmpl	%eax, WORLD_HOST_SPEC(%rsi)
	je	2f
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	xorl	%edx, %edx
	wrmsr
2:
	/* The carry flag survives what follows: moves, and VERW, which changes ZF only. */
	btl	$0, WORLD_LAUNCHED(%rsi)
	movq	GPR(RAX)(%rdi), %rax
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

	UNWIND_HINT_SAVE
	jnc	4f
3:	vmresume
	jmp	.Lfailed
4:	vmlaunch
	jmp	.Lfailed

SYM_INNER_LABEL(vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	pushq	%rdi
	movq	8(%rsp), %rdi
	movq	%rax, GPR(RAX)(%rdi)
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
	xorl	%ebx, %ebx
.Lleft:
	movq	8(%rsp), %rsi

	/* The guest's return predictions must not steer the host (RSB underflow and poisoning). */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE

	/*
	 * The host's SPEC_CTRL: before the first RET or indirect branch. With the legacy IBRS the
	 * bit must be written again even if it is set, to bar what the guest has trained.
	 */
	ALTERNATIVE "jmp 7f", "", X86_FEATURE_MSR_SPEC_CTRL
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	cmpb	$0, WORLD_SPEC_DIRECT(%rsi)
	je	5f
	rdmsr
	movl	%eax, WORLD_GUEST_SPEC(%rsi)
5:
	movl	WORLD_HOST_SPEC(%rsi), %eax
	ALTERNATIVE "", "jmp 6f", X86_FEATURE_KERNEL_IBRS
	cmpl	%eax, WORLD_GUEST_SPEC(%rsi)
	je	7f
6:	xorl	%edx, %edx
	wrmsr
7:
	/* Neither the comparison nor anything before it may be speculated past. */
	lfence
	CLEAR_BRANCH_HISTORY_VMEXIT

	/* No guest value may remain in a register that the host could use speculatively. */
	movl	%ebx, %eax
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d

	popq	%rdi
	popq	%rsi
	popq	%rbx
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	popq	%rbp
	RET

	/* Not entered: the registers hold the guest's values, which stay as they were. */
.Lfailed:
	movl	$VMX_FAILED, %ebx
	jmp	.Lleft
.Loff:
	movl	$VMX_OFF, %ebx
	jmp	.Lleft

	_ASM_EXTABLE(0b, 1b)
	_ASM_EXTABLE(3b, .Loff)
	_ASM_EXTABLE(4b, .Loff)
SYM_FUNC_END(vmx_enter)
