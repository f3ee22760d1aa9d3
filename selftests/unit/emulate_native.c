// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "emulate_native.h"

#define FL_TF		0x100
#define FL_RF		0x10000
/* The signal frame's XSAVE area (Intel SDM vol. 1, 13.4): software bytes, header, AVX state. */
#define XS_SW_SIZE	468
#define XS_XSTATE_BV	512
#define XS_AVX		576
#define XS_XMM		160
#define FRAME_MAX	16384

enum phase { IDLE, ENTER, RUN };

static volatile enum phase phase;
static struct native_state *state;
static gregset_t saved_regs;
static u8 saved_fp[FRAME_MAX];
static u32 saved_fp_size;
static u64 seed = 0x9e3779b97f4a7c15;

static const int reg_index[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

bool native_has_avx(void)
{
	return __builtin_cpu_supports("avx");
}

static void load_vectors(u8 *fp)
{
	unsigned int i;
	u64 bv;

	memcpy(&bv, fp + XS_XSTATE_BV, 8);
	bv |= native_has_avx() ? 7 : 3;
	memcpy(fp + XS_XSTATE_BV, &bv, 8);
	for (i = 0; i < 16; i++) {
		memcpy(fp + XS_XMM + 16 * i, state->xmm[i], 16);
		if (native_has_avx())
			memcpy(fp + XS_AVX + 16 * i, state->xmm[i] + 16, 16);
	}
}

static void store_vectors(const u8 *fp)
{
	unsigned int i;
	u64 bv;

	memcpy(&bv, fp + XS_XSTATE_BV, 8);
	for (i = 0; i < 16; i++) {
		memset(state->xmm[i], 0, 32);
		if (bv & 2)
			memcpy(state->xmm[i], fp + XS_XMM + 16 * i, 16);
		if (bv & 4)
			memcpy(state->xmm[i] + 16, fp + XS_AVX + 16 * i, 16);
	}
}

static void enter(ucontext_t *uc)
{
	greg_t *r = uc->uc_mcontext.gregs;
	u8 *fp = (u8 *)uc->uc_mcontext.fpregs;
	unsigned int i;

	memcpy(saved_regs, r, sizeof(saved_regs));
	memcpy(&saved_fp_size, fp + XS_SW_SIZE, 4);
	if (saved_fp_size > FRAME_MAX)
		_exit(99);
	memcpy(saved_fp, fp, saved_fp_size);
	for (i = 0; i < 16; i++)
		r[reg_index[i]] = state->gpr[i];
	r[REG_RIP] = state->rip;
	r[REG_EFL] = state->rflags | FL_TF | 0x202;
	r[REG_CSGSFS] = (r[REG_CSGSFS] & 0xffffffff0000LL) | state->cs |
			(greg_t)((u64)state->ss << 48);
	load_vectors(fp);
	phase = RUN;
}

static void leave(ucontext_t *uc)
{
	greg_t *r = uc->uc_mcontext.gregs;
	u8 *fp = (u8 *)uc->uc_mcontext.fpregs;
	unsigned int i;

	for (i = 0; i < 16; i++)
		/* The kernel leaks bits 63:32 of its own RSP to 32-bit code on a 16-bit stack. */
		state->gpr[i] = state->cs == NATIVE_CS64 ? (u64)r[reg_index[i]] :
				(u32)r[reg_index[i]];
	state->rip = r[REG_RIP];
	state->rflags = r[REG_EFL] & ~(FL_TF | FL_RF);
	state->vector = r[REG_TRAPNO];
	state->error = r[REG_ERR];
	state->cr2 = r[REG_CR2];
	store_vectors(fp);
	memcpy(fp, saved_fp, saved_fp_size);
	memcpy(r, saved_regs, sizeof(saved_regs));
	r[REG_RIP] += 2;	/* behind the UD2 */
	phase = IDLE;
}

static void handler(int sig, siginfo_t *si, void *context)
{
	/* The instruction under test may have run with RFLAGS.AC set. */
	asm volatile("pushfq; andl $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
	if (phase == ENTER) {
		enter(context);
	} else if (phase == RUN) {
		leave(context);
	} else {
		fprintf(stderr, "unexpected signal %d\n", sig);
		signal(sig, SIG_DFL);
	}
}

void native_init(void)
{
	static const int signals[] = { SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE };
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_size = 1 << 18 };
	unsigned int i;

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL)) {
		perror("sigaltstack");
		exit(1);
	}
	sigfillset(&sa.sa_mask);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigdelset(&sa.sa_mask, signals[i]);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
}

void native_step(struct native_state *s)
{
	u16 flat = NATIVE_DS;

	state = s;
	phase = ENTER;
	asm volatile("mov %0, %%ds\n\tmov %1, %%es\n\tud2\n\tmov %2, %%ds\n\tmov %2, %%es"
		     : : "r" ((u32)(s->ds ? s->ds : flat)), "r" ((u32)(s->es ? s->es : flat)),
		       "r" ((u32)flat)
		     : "memory", "cc");
}

void *native_map(unsigned long addr, unsigned long len, int prot)
{
	void *p = mmap((void *)addr, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);

	if (p != (void *)addr) {
		fprintf(stderr, "cannot map %#lx\n", addr);
		exit(1);
	}
	return p;
}

u16 native_segment(unsigned int entry, u32 base, u32 limit, unsigned int contents, bool seg32,
		   bool readonly)
{
	struct user_desc d = {
		.entry_number = entry,
		.base_addr = base,
		.limit = limit > 0xfffff ? limit >> 12 : limit,
		.limit_in_pages = limit > 0xfffff,
		.seg_32bit = seg32,
		.contents = contents,
		.read_exec_only = readonly,
		.useable = 1,
	};

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
		return 0;
	return entry << 3 | 7;
}

void native_seed(void)
{
	const char *s = getenv("HV_TEST_SEED");

	if (s)
		seed ^= strtoull(s, NULL, 0) * 0xda942042e4dd58b5;
}

/* xorshift64* */
u64 native_random(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1d;
}
