// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's extended registers: a standard-format XSAVE area per vCPU, loaded once per inner
 * loop.
 *
 * The kernel's own interface for this (fpu_*_kvm*) is closed to other modules in newer kernels, so
 * hv does the work of a kernel FPU section that also replaces XCR0, XSS, PKRU and TSC_AUX:
 * kernel_fpu_begin_mask() saves the user registers of the thread and kernel_fpu_end() has them
 * loaded again before it returns to user space. Host interrupts meanwhile find the FPU in use and
 * fall back, as in any other section.
 *
 * Guest PKRU stays in place between two entries of one inner loop. A guest that denies key 0 to
 * itself makes hv's non-sleeping accesses to its memory fail, which only sends them the slow way,
 * outside the inner loop and with the host's PKRU.
 */
#include <linux/cpufeature.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/asm.h>
#include <asm/fpu/api.h>
#include <asm/msr.h>
#include <asm/segment.h>

#include "x86.h"
#include "xstate_defs.h"

struct hv_caps hv_caps;

static struct kmem_cache *hv_fpu_cache;
static u64 hv_host_xss;		/* supervisor components of the host: none of them is the guest's */
static u32 hv_mxcsr_mask = HV_MXCSR_MASK_DEFAULT;
static bool hv_use_xsaveopt;
static struct {
	u32 offset, size;
} hv_xcomp[HV_XCR0_COMPONENTS];

static struct hv_xsave *hv_area(struct hv_vcpu *vcpu)
{
	return vcpu->fpu.area;
}

/* ---- the instructions ---------------------------------------------------------------------- */

static u64 hv_xgetbv(u32 index)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return (u64)hi << 32 | lo;
}

static void hv_xsetbv(u32 index, u64 value)
{
	asm volatile("xsetbv" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
}

static u32 hv_rdpkru(void)
{
	u32 pkru, edx;

	asm volatile("rdpkru" : "=a"(pkru), "=d"(edx) : "c"(0));
	return pkru;
}

static void hv_wrpkru(u32 pkru)
{
	asm volatile("wrpkru" : : "a"(pkru), "c"(0), "d"(0));
}

static void hv_xsave(void *area, u64 mask)
{
	u32 lo = mask, hi = mask >> 32;

	if (hv_use_xsaveopt)
		asm volatile("xsaveopt64 (%0)" : : "r"(area), "a"(lo), "d"(hi) : "memory");
	else
		asm volatile("xsave64 (%0)" : : "r"(area), "a"(lo), "d"(hi) : "memory");
}

/* 0, or -1 when the area is not acceptable to the CPU. */
static int hv_xrstor(const void *area, u64 mask)
{
	u32 lo = mask, hi = mask >> 32;
	int err = -1;

	asm volatile("1: xrstor64 (%1)\n\txorl %0, %0\n2:" _ASM_EXTABLE(1b, 2b)
		     : "+r"(err) : "r"(area), "a"(lo), "d"(hi) : "memory");
	return err;
}

static void hv_fxsave(void *area)
{
	asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static int hv_fxrstor(const void *area)
{
	int err = -1;

	asm volatile("1: fxrstor64 (%1)\n\txorl %0, %0\n2:" _ASM_EXTABLE(1b, 2b)
		     : "+r"(err) : "r"(area) : "memory");
	return err;
}

/* ---- load time ----------------------------------------------------------------------------- */

static void hv_fpu_probe_mxcsr(void)
{
	struct hv_fxsave fx __aligned(16) = {};

	kernel_fpu_begin_mask(0);
	hv_fxsave(&fx);
	kernel_fpu_end();
	if (fx.mxcsr_mask)
		hv_mxcsr_mask = fx.mxcsr_mask;
}

static void hv_fpu_probe_xsave(void)
{
	u32 eax, ebx, ecx, edx;
	unsigned int i;

	hv_caps.xsave_size = HV_XSAVE_MIN;
	if (!boot_cpu_has(X86_FEATURE_XSAVE) || !boot_cpu_has(X86_FEATURE_OSXSAVE))
		return;
	hv_caps.xcr0 = hv_xgetbv(0) & HV_XCR0_KNOWN;
	for (i = 2; i < HV_XCR0_COMPONENTS; i++) {
		if (!(hv_caps.xcr0 & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		hv_xcomp[i].size = eax;
		hv_xcomp[i].offset = ebx;
		hv_caps.xsave_size = max(hv_caps.xsave_size, ebx + eax);
	}
	cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx);
	hv_use_xsaveopt = eax & BIT(0);
	if (eax & BIT(3))
		rdmsrl_safe(MSR_IA32_XSS, &hv_host_xss);
}

int hv_fpu_module_init(void)
{
	hv_fpu_probe_xsave();
	hv_fpu_probe_mxcsr();
	hv_caps.pku = (hv_caps.xcr0 & HV_XCR0_PKRU) && boot_cpu_has(X86_FEATURE_OSPKE);
	if (!hv_caps.pku)
		hv_caps.xcr0 &= ~HV_XCR0_PKRU;
	hv_fpu_cache = kmem_cache_create("hv_fpu", hv_caps.xsave_size, 64, SLAB_ACCOUNT, NULL);
	return hv_fpu_cache ? 0 : -ENOMEM;
}

void hv_fpu_module_exit(void)
{
	kmem_cache_destroy(hv_fpu_cache);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void hv_fpu_area_init(struct hv_vcpu *vcpu)
{
	struct hv_xsave *x = hv_area(vcpu);

	memset(x, 0, hv_caps.xsave_size);
	x->fx.fcw = HV_FCW_INIT;
	x->fx.mxcsr = HV_MXCSR_INIT;
	x->fx.mxcsr_mask = hv_mxcsr_mask;
}

int hv_fpu_init(struct hv_vcpu *vcpu)
{
	vcpu->fpu.area = kmem_cache_zalloc(hv_fpu_cache, GFP_KERNEL_ACCOUNT);
	if (!vcpu->fpu.area)
		return -ENOMEM;
	hv_fpu_area_init(vcpu);
	vcpu->fpu.xcr0 = HV_XCR0_X87;
	return 0;
}

void hv_fpu_free(struct hv_vcpu *vcpu)
{
	if (vcpu->fpu.area)
		kmem_cache_free(hv_fpu_cache, vcpu->fpu.area);
	vcpu->fpu.area = NULL;
}

/* INIT leaves all of it alone (SDM vol. 3, table 10-1). */
void hv_fpu_reset(struct hv_vcpu *vcpu, bool init)
{
	if (init)
		return;
	hv_fpu_area_init(vcpu);
	vcpu->fpu.xcr0 = HV_XCR0_X87;
}

/* ---- the inner loop ------------------------------------------------------------------------ */

static void hv_fpu_load_xsave(struct hv_vcpu *vcpu)
{
	struct hv_fpu *f = &vcpu->fpu;

	f->host_xcr0 = hv_xgetbv(0);
	if (hv_caps.pku)
		f->host_pkru = hv_rdpkru();
	/* Everything that gets into the area was checked, so this cannot fail; but if it does... */
	if (unlikely(hv_xrstor(f->area, hv_caps.xcr0))) {
		hv_fpu_area_init(vcpu);
		hv_xrstor(f->area, hv_caps.xcr0);
	}
	if (unlikely(hv_host_xss))
		wrmsrl(MSR_IA32_XSS, 0);
	if (f->xcr0 != f->host_xcr0)
		hv_xsetbv(0, f->xcr0);
}

/*
 * Nobody but the scheduler of this CPU's user threads needs TSC_AUX: swap it only where it differs.
 */
static void hv_tsc_aux_load(struct hv_vcpu *vcpu)
{
	struct hv_fpu *f = &vcpu->fpu;

	f->host_tsc_aux = vdso_encode_cpunode(smp_processor_id(), numa_node_id());
	if ((vcpu->cpuid->has_rdtscp || vcpu->cpuid->has_rdpid) &&
	    vcpu->msrs.tsc_aux != f->host_tsc_aux)
		wrmsrl(MSR_TSC_AUX, vcpu->msrs.tsc_aux);
	else
		f->host_tsc_aux = vcpu->msrs.tsc_aux;	/* nothing to bring back */
}

void hv_fpu_enter(struct hv_vcpu *vcpu)
{
	kernel_fpu_begin_mask(0);
	if (likely(hv_caps.xcr0))
		hv_fpu_load_xsave(vcpu);
	else if (unlikely(hv_fxrstor(vcpu->fpu.area))) {
		hv_fpu_area_init(vcpu);
		hv_fxrstor(vcpu->fpu.area);
	}
	if (hv_caps.rdtscp || hv_caps.rdpid)
		hv_tsc_aux_load(vcpu);
	vcpu->fpu.loaded = true;
}

void hv_fpu_leave(struct hv_vcpu *vcpu)
{
	struct hv_fpu *f = &vcpu->fpu;

	f->loaded = false;
	if (f->host_tsc_aux != vcpu->msrs.tsc_aux && (hv_caps.rdtscp || hv_caps.rdpid))
		wrmsrl(MSR_TSC_AUX, f->host_tsc_aux);
	if (likely(hv_caps.xcr0)) {
		if (f->xcr0 != f->host_xcr0)
			hv_xsetbv(0, f->host_xcr0);
		if (unlikely(hv_host_xss))
			wrmsrl(MSR_IA32_XSS, hv_host_xss);
		hv_xsave(f->area, hv_caps.xcr0);
		if (hv_caps.pku && hv_rdpkru() != f->host_pkru)
			hv_wrpkru(f->host_pkru);
	} else {
		hv_fxsave(f->area);
	}
	kernel_fpu_end();
}

/* The guest writes TSC_AUX in the inner loop, or user space does. */
void hv_fpu_set_tsc_aux(struct hv_vcpu *vcpu, u64 value)
{
	struct hv_fpu *f = &vcpu->fpu;

	if (f->loaded) {
		f->host_tsc_aux = vdso_encode_cpunode(smp_processor_id(), numa_node_id());
		wrmsrl(MSR_TSC_AUX, value);
	}
	vcpu->msrs.tsc_aux = value;
}

/* ---- XCR0 ---------------------------------------------------------------------------------- */

/* The combinations XSETBV accepts (SDM vol. 1, 13.3). */
bool hv_xcr0_valid(u64 xcr0, u64 allowed)
{
	u64 avx512 = xcr0 & HV_XCR0_AVX512;

	if (!(xcr0 & HV_XCR0_X87) || (xcr0 & ~(allowed | HV_XCR0_X87)))
		return false;
	if ((xcr0 & HV_XCR0_AVX) && !(xcr0 & HV_XCR0_SSE))
		return false;
	return !avx512 || (avx512 == HV_XCR0_AVX512 && (xcr0 & HV_XCR0_AVX));
}

int hv_fpu_set_xcr(struct hv_vcpu *vcpu, u32 index, u64 xcr)
{
	struct hv_fpu *f = &vcpu->fpu;

	if (index || !hv_xcr0_valid(xcr, f->xfeatures))
		return 1;
	if (f->xcr0 == xcr)
		return 0;
	if (f->loaded)
		hv_xsetbv(0, xcr);
	f->xcr0 = xcr;
	hv_cpuid_refresh(vcpu);
	return 0;
}

int hv_fpu_get_xcrs(struct hv_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	if (!hv_caps.xcr0)
		return -EINVAL;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = 0;
	xcrs->xcrs[0].value = vcpu->fpu.xcr0;
	return 0;
}

int hv_fpu_set_xcrs(struct hv_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u32 i;

	if (!hv_caps.xcr0 || xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++)
		if (xcrs->xcrs[i].xcr == 0)
			return hv_fpu_set_xcr(vcpu, 0, xcrs->xcrs[i].value) ? -EINVAL : 0;
	return 0;
}

/* ---- state ioctls: never while the registers are loaded ------------------------------------ */

/* Give x87 and SSE state in the initial configuration its place in the area. */
static struct hv_fxsave *hv_fpu_legacy(struct hv_vcpu *vcpu)
{
	struct hv_xsave *x = hv_area(vcpu);

	if (!hv_caps.xcr0)
		return &x->fx;
	if (!(x->xstate_bv & HV_XCR0_X87)) {
		memset(&x->fx, 0, offsetof(struct hv_fxsave, mxcsr));
		memset(x->fx.st, 0, sizeof(x->fx.st));
		x->fx.fcw = HV_FCW_INIT;
	}
	if (!(x->xstate_bv & HV_XCR0_SSE))
		memset(x->fx.xmm, 0, sizeof(x->fx.xmm));
	x->xstate_bv |= HV_XCR0_X87 | HV_XCR0_SSE;
	return &x->fx;
}

void hv_fpu_get(struct hv_vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct hv_fxsave *fx = hv_fpu_legacy(vcpu);

	memcpy(fpu->fpr, fx->st, sizeof(fpu->fpr));
	memcpy(fpu->xmm, fx->xmm, sizeof(fpu->xmm));
	fpu->fcw = fx->fcw;
	fpu->fsw = fx->fsw;
	fpu->ftwx = fx->ftw;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->fip;
	fpu->last_dp = fx->fdp;
	fpu->mxcsr = fx->mxcsr;
}

int hv_fpu_set(struct hv_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct hv_fxsave *fx = hv_fpu_legacy(vcpu);

	memcpy(fx->st, fpu->fpr, sizeof(fx->st));
	memcpy(fx->xmm, fpu->xmm, sizeof(fx->xmm));
	fx->fcw = fpu->fcw;
	fx->fsw = fpu->fsw;
	fx->ftw = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->fip = fpu->last_ip;
	fx->fdp = fpu->last_dp;
	/* The CPU refuses reserved bits when it loads the register. */
	fx->mxcsr = fpu->mxcsr & hv_mxcsr_mask;
	return 0;
}

u32 hv_xsave2_size(void)
{
	return max_t(u32, hv_caps.xsave_size, sizeof(struct kvm_xsave));
}

void hv_fpu_get_xsave(struct hv_vcpu *vcpu, void *buf, u32 size)
{
	struct hv_xsave *to = buf;
	const struct hv_xsave *x;
	unsigned int i;

	memset(buf, 0, size);
	if (size < HV_XSAVE_MIN)
		return;
	hv_fpu_legacy(vcpu);
	x = hv_area(vcpu);
	to->fx = x->fx;
	memset(to->fx.reserved2, 0, sizeof(to->fx.reserved2));
	if (!hv_caps.xcr0) {
		/* As the ABI has it: a CPU without XSAVE has x87 and SSE in use. */
		to->xstate_bv = HV_XCR0_X87 | HV_XCR0_SSE;
		return;
	}
	to->xstate_bv = x->xstate_bv;
	for (i = 2; i < HV_XCR0_COMPONENTS; i++) {
		u32 end = hv_xcomp[i].offset + hv_xcomp[i].size;

		/* One in its initial configuration has only stale bytes in the area. */
		if ((x->xstate_bv & BIT_ULL(i)) && end <= size && end <= hv_caps.xsave_size)
			memcpy(buf + hv_xcomp[i].offset, vcpu->fpu.area + hv_xcomp[i].offset,
			       hv_xcomp[i].size);
	}
}

int hv_fpu_set_xsave(struct hv_vcpu *vcpu, const void *buf, u32 size)
{
	const struct hv_xsave *from = buf;
	struct hv_xsave *x = hv_area(vcpu);
	u64 bv;

	if (size < hv_caps.xsave_size || size < HV_XSAVE_MIN)
		return -EINVAL;
	bv = from->xstate_bv;
	if ((bv & ~(hv_caps.xcr0 ?: HV_XCR0_X87 | HV_XCR0_SSE)) || from->xcomp_bv ||
	    memchr_inv(from->reserved, 0, sizeof(from->reserved)))
		return -EINVAL;
	if ((bv & (HV_XCR0_SSE | HV_XCR0_AVX)) && (from->fx.mxcsr & ~hv_mxcsr_mask))
		return -EINVAL;
	memcpy(x, buf, hv_caps.xsave_size);
	x->fx.mxcsr_mask = hv_mxcsr_mask;
	/* MXCSR is loaded whatever XSTATE_BV says, so it must be good in any case (13.8.1). */
	if (!(bv & (HV_XCR0_SSE | HV_XCR0_AVX)))
		x->fx.mxcsr = HV_MXCSR_INIT;
	return 0;
}

u32 hv_fpu_pkru(struct hv_vcpu *vcpu)
{
	if (!hv_caps.pku)
		return 0;
	if (vcpu->fpu.loaded)
		return hv_rdpkru();
	if (!(hv_area(vcpu)->xstate_bv & HV_XCR0_PKRU))
		return 0;
	return *(u32 *)(vcpu->fpu.area + hv_xcomp[9].offset);
}

/* ---- the emulator's accesses --------------------------------------------------------------- */

void hv_fpu_read_xmm(struct hv_vcpu *vcpu, unsigned int nr, void *data16)
{
	struct hv_fxsave fx __aligned(16);

	if (vcpu->fpu.loaded) {
		hv_fxsave(&fx);
		memcpy(data16, fx.xmm[nr & 15], 16);
	} else {
		memcpy(data16, hv_fpu_legacy(vcpu)->xmm[nr & 15], 16);
	}
}

void hv_fpu_write_xmm(struct hv_vcpu *vcpu, unsigned int nr, const void *data16)
{
	struct hv_fxsave fx __aligned(16);

	if (vcpu->fpu.loaded) {
		hv_fxsave(&fx);
		memcpy(fx.xmm[nr & 15], data16, 16);
		hv_fxrstor(&fx);
	} else {
		memcpy(hv_fpu_legacy(vcpu)->xmm[nr & 15], data16, 16);
	}
}
