// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's time: TSC offsets and kvm-clock.
 *
 * Where the host's TSC is reliable, kvm-clock is a fixed linear function of it for the VM's whole
 * life: ns(tsc) = scale(tsc - base_tsc) + base_ns. All vCPUs get the same function, so their clocks
 * cannot disagree and the guest may skip its monotonicity check (PVCLOCK_TSC_STABLE_BIT). Nothing has
 * to be refreshed: the host's NTP adjustments do not reach the guest, which runs its own.
 *
 * Where it is not, each vCPU gets a fresh pair (TSC, CLOCK_BOOTTIME) whenever it changes host CPU and
 * at least every HV_CLOCK_REFRESH_NS; the guest keeps the clock from going back.
 */
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/timekeeping.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "x86.h"

#define HV_TSC_SYNC_NS		NSEC_PER_SEC	/* writes this close together mean one TSC */
#define HV_CLOCK_REFRESH_NS	(300 * NSEC_PER_MSEC)

static bool hv_tsc_reliable __ro_after_init;

/* A rate as pvclock wants it: ns = ((tsc << shift) * mul) >> 32, shift may be negative. */
struct hv_scale {
	u32 mul;
	s8 shift;
};

static struct hv_scale hv_scale_of(u32 khz)
{
	struct hv_scale s = {};
	u64 hz = (u64)khz * 1000;

	while (hz > 2 * (u64)NSEC_PER_SEC) {
		hz >>= 1;
		s.shift--;
	}
	while (hz <= NSEC_PER_SEC) {
		hz <<= 1;
		s.shift++;
	}
	s.mul = div64_u64((u64)NSEC_PER_SEC << 32, hz);
	return s;
}

static u64 hv_scale_apply(const struct hv_scale *s, u64 tsc)
{
	tsc = s->shift < 0 ? tsc >> -s->shift : tsc << s->shift;
	return mul_u64_u32_shr(tsc, s->mul, 32);
}

/* ---- kvm-clock ------------------------------------------------------------------------------------ */

/* clock_lock held. */
static u64 hv_clock_at(const struct hv_vm *vm, u64 host_tsc)
{
	struct hv_scale s;

	if (!hv_tsc_reliable)
		return ktime_get_boottime_ns() + vm->kvmclock_offset;
	s = hv_scale_of(vm->default_tsc_khz);
	/* Another CPU may have read its TSC just before the base was set. */
	if ((s64)(host_tsc - vm->clock_base_tsc) < 0)
		return vm->clock_base_ns;
	return hv_scale_apply(&s, host_tsc - vm->clock_base_tsc) + vm->clock_base_ns;
}

/* clock_lock held: from now on the clock shows @ns. */
static void hv_clock_rebase(struct hv_vm *vm, u64 ns)
{
	vm->clock_base_tsc = rdtsc_ordered();
	vm->clock_base_ns = ns;
	vm->kvmclock_offset = ns - ktime_get_boottime_ns();
}

u64 hv_clock_get(struct hv_vm *vm)
{
	unsigned long flags;
	u64 ns;

	spin_lock_irqsave(&vm->clock_lock, flags);
	ns = hv_clock_at(vm, rdtsc_ordered());
	spin_unlock_irqrestore(&vm->clock_lock, flags);
	return ns;
}

void hv_clock_get_ioctl(struct hv_vm *vm, struct kvm_clock_data *data)
{
	unsigned long flags;

	memset(data, 0, sizeof(*data));
	spin_lock_irqsave(&vm->clock_lock, flags);
	data->host_tsc = rdtsc_ordered();
	data->clock = hv_clock_at(vm, data->host_tsc);
	data->realtime = ktime_get_real_ns();
	spin_unlock_irqrestore(&vm->clock_lock, flags);
	if (hv_tsc_reliable) {
		data->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	} else {
		data->host_tsc = 0;
		data->realtime = 0;
	}
}

int hv_clock_set_ioctl(struct hv_vm *vm, const struct kvm_clock_data *data)
{
	u64 ns = data->clock;
	struct hv_vcpu *vcpu;
	unsigned long flags, i;
	u64 now;

	if (data->flags & ~(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return -EINVAL;
	if (data->flags & KVM_CLOCK_REALTIME) {
		/* The guest was away for as long as real time went on. */
		now = ktime_get_real_ns();
		if (now > data->realtime)
			ns += now - data->realtime;
	}
	spin_lock_irqsave(&vm->clock_lock, flags);
	hv_clock_rebase(vm, ns);
	spin_unlock_irqrestore(&vm->clock_lock, flags);
	hv_for_each_vcpu(vm, vcpu, i)
		hv_request_kick(vcpu, HV_REQ_CLOCK);
	return 0;
}

static void hv_clock_fill(struct hv_vcpu *vcpu, struct pvclock_vcpu_time_info *info)
{
	struct hv_scale s = hv_scale_of(vcpu->pv.tsc_khz);
	struct hv_vm *vm = vcpu->vm;
	unsigned long flags;

	memset(info, 0, sizeof(*info));
	info->tsc_to_system_mul = s.mul;
	info->tsc_shift = s.shift;
	spin_lock_irqsave(&vm->clock_lock, flags);
	if (hv_tsc_reliable) {
		info->tsc_timestamp = vm->clock_base_tsc + vcpu->pv.tsc_offset;
		info->system_time = vm->clock_base_ns;
		if (vcpu->pv.tsc_offset == vm->cur_tsc_offset)
			info->flags |= PVCLOCK_TSC_STABLE_BIT;
	} else {
		info->tsc_timestamp = rdtsc_ordered() + vcpu->pv.tsc_offset;
		info->system_time = hv_clock_at(vm, 0);
	}
	spin_unlock_irqrestore(&vm->clock_lock, flags);
	if (vcpu->pv.guest_stopped)
		info->flags |= PVCLOCK_GUEST_STOPPED;
	vcpu->pv.guest_stopped = false;
}

/*
 * The guest reads version, data, version and takes the data if both are the same even number
 * (Documentation/virt/kvm/x86/msr.rst). Stores of one CPU become visible in order on x86.
 */
int hv_clock_update(struct hv_vcpu *vcpu)
{
	u64 gpa = vcpu->pv.msr_system_time & ~1ULL;
	struct pvclock_vcpu_time_info info;
	struct hv_vm *vm = vcpu->vm;
	u32 version;

	if (!(vcpu->pv.msr_system_time & 1))
		return 0;
	hv_clock_fill(vcpu, &info);
	version = (vcpu->pv.clock_version | 1) + 2;
	if (hv_guest_write(vm, gpa, &version, sizeof(version)))
		return -EFAULT;
	info.version = version;
	smp_wmb();
	if (hv_guest_write(vm, gpa, &info, sizeof(info)))
		return -EFAULT;
	smp_wmb();
	vcpu->pv.clock_version = ++version;
	vcpu->pv.clock_written_ns = ktime_get_boottime_ns();
	return hv_guest_write(vm, gpa, &version, sizeof(version));
}

int hv_clock_set_msr(struct hv_vcpu *vcpu, u64 value)
{
	vcpu->pv.msr_system_time = value;
	hv_request(vcpu, HV_REQ_CLOCK);
	return 0;
}

int hv_clock_set_wall(struct hv_vcpu *vcpu, u64 value)
{
	struct pvclock_wall_clock wall = {};
	struct hv_vm *vm = vcpu->vm;
	u64 boot;
	u32 version;

	vm->msr_wall_clock = value;
	if (!value)
		return 0;
	if (hv_guest_read(vm, value, &version, sizeof(version)))
		return 0;	/* as the CPU would: a write to nowhere */
	version = (version | 1) + 2;
	if (hv_guest_write(vm, value, &version, sizeof(version)))
		return 0;
	/* What the wall clock showed when kvm-clock was zero. */
	boot = ktime_get_real_ns() - hv_clock_get(vm);
	wall.version = version;
	wall.sec = div_u64_rem(boot, NSEC_PER_SEC, &wall.nsec);
	hv_guest_write(vm, value, &wall, sizeof(wall));
	version++;
	hv_guest_write(vm, value, &version, sizeof(version));
	return 0;
}

/* ---- the TSC ------------------------------------------------------------------------------------------ */

u64 hv_tsc_read(struct hv_vcpu *vcpu)
{
	return rdtsc() + vcpu->pv.tsc_offset;
}

void hv_tsc_set_offset(struct hv_vcpu *vcpu, u64 offset)
{
	vcpu->pv.tsc_offset = offset;
	hv_ops.update(vcpu);
	hv_request(vcpu, HV_REQ_CLOCK);
}

/*
 * Firmware and user space write the same value to the TSC of one vCPU after the other; what they mean
 * is one TSC. A write close to what the last one would show by now takes over its offset.
 */
void hv_tsc_write(struct hv_vcpu *vcpu, u64 value, bool host)
{
	struct hv_vm *vm = vcpu->vm;
	unsigned long flags;
	u64 now_ns, tsc, elapsed, offset, expected;
	s64 error;

	spin_lock_irqsave(&vm->clock_lock, flags);
	tsc = rdtsc_ordered();
	now_ns = ktime_get_boottime_ns();
	offset = value - tsc;
	elapsed = now_ns - vm->last_tsc_ns;
	expected = vm->last_tsc_write + mul_u64_u64_div_u64(elapsed, vcpu->pv.tsc_khz, 1000000);
	error = value - expected;
	if (vm->tsc_written && vcpu->pv.tsc_khz &&
	    ((host && !value) || abs(error) < (s64)vcpu->pv.tsc_khz * 1000))
		offset = vm->cur_tsc_offset;
	vm->tsc_written = true;
	vm->last_tsc_write = tsc + offset;
	vm->last_tsc_ns = now_ns;
	vm->cur_tsc_offset = offset;
	spin_unlock_irqrestore(&vm->clock_lock, flags);
	hv_tsc_set_offset(vcpu, offset);
}

/* Without TSC scaling the guest's TSC runs at the host's rate, give or take what nobody notices. */
int hv_tsc_set_khz(struct hv_vcpu *vcpu, u32 khz)
{
	u32 tolerance = div_u64((u64)tsc_khz * 250, 1000000);

	if (!khz)
		khz = tsc_khz;
	if (khz > tsc_khz + tolerance || khz < tsc_khz - tolerance)
		return -EINVAL;
	vcpu->pv.tsc_khz = khz;
	hv_request(vcpu, HV_REQ_CLOCK);
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

void hv_clock_vcpu_load(struct hv_vcpu *vcpu, int cpu)
{
	if (boot_cpu_has(X86_FEATURE_RDTSCP))
		rdmsrl(MSR_TSC_AUX, vcpu->fpu.host_tsc_aux);
	if (!hv_tsc_reliable && (vcpu->pv.msr_system_time & 1))
		hv_request(vcpu, HV_REQ_CLOCK);
}

/* Called at each KVM_RUN and after host interrupts: the unreliable kind must not grow old. */
bool hv_clock_stale(const struct hv_vcpu *vcpu)
{
	return !hv_tsc_reliable && (vcpu->pv.msr_system_time & 1) &&
	       ktime_get_boottime_ns() - vcpu->pv.clock_written_ns > HV_CLOCK_REFRESH_NS;
}

void hv_clock_vm_init(struct hv_vm *vm)
{
	unsigned long flags;

	vm->default_tsc_khz = tsc_khz;
	spin_lock_irqsave(&vm->clock_lock, flags);
	hv_clock_rebase(vm, 0);
	spin_unlock_irqrestore(&vm->clock_lock, flags);
}

void hv_clock_vcpu_init(struct hv_vcpu *vcpu)
{
	vcpu->pv.tsc_khz = vcpu->vm->default_tsc_khz;
	hv_tsc_write(vcpu, 0, true);
}

int hv_clock_init(void)
{
	hv_tsc_reliable = boot_cpu_has(X86_FEATURE_CONSTANT_TSC) &&
			  boot_cpu_has(X86_FEATURE_NONSTOP_TSC) && !check_tsc_unstable();
	return 0;
}

void hv_clock_exit(void)
{
}
