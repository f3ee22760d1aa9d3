// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time: the guest's TSC (host TSC, scaled where the CPU can, plus an offset) and kvm-clock.
 *
 * kvm-clock of a VM is one line through one pair (host TSC, ns), taken when the VM is made or its
 * clock is set. As long as the host keeps its own time by the TSC, the pair stays: all vCPUs' pages
 * and KVM_GET_CLOCK are computed from it, so that no two of them ever disagree and time cannot step
 * back. Both the pair's slope and the host's CLOCK_MONOTONIC_RAW are the same tsc_khz.
 *
 * On a host whose clocksource is something else, the pair is taken anew (from CLOCK_BOOTTIME)
 * whenever a page is written: when a vCPU changes its host CPU and every HV_CLOCK_REFRESH_NS.
 * Guests are not told that the TSC is stable; they then keep time monotonic themselves.
 *
 * Locks: vm->clock_lock (innermost) protects the pair and the TSC bookkeeping.
 */
#include <linux/clocksource.h>
#include <linux/math64.h>
#include <linux/pvclock_gtod.h>
#include <linux/time64.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "../irq/irq.h"
#include "clock_defs.h"
#include "x86.h"

#define HV_CLOCK_REFRESH_NS	(300 * NSEC_PER_MSEC)

/* The host's clocksource is the TSC. Written from the timekeeper's notifier. */
static bool hv_host_on_tsc;

/* ---- ns and cycles ------------------------------------------------------------------------- */

struct hv_scale {
	u32 mul;
	s8 shift;
};

/* ns = (cycles << shift) * mul >> 32, with cycles << shift counting at 1 to 2 GHz. */
static struct hv_scale hv_scale_of(u32 khz)
{
	u64 hz = (u64)max(khz, 1U) * 1000;
	struct hv_scale s = {};

	for (; hz > 2ULL * NSEC_PER_SEC; s.shift--)
		hz >>= 1;
	for (; hz <= NSEC_PER_SEC; s.shift++)
		hz <<= 1;
	s.mul = div64_u64((u64)NSEC_PER_SEC << 32, hz);
	return s;
}

static u64 hv_scale_cycles(struct hv_scale s, u64 cycles)
{
	if (s.shift < 0)
		cycles >>= -s.shift;
	else
		cycles <<= s.shift;
	return mul_u64_u32_shr(cycles, s.mul, 32);
}

static u64 hv_ns_to_cycles(u64 ns, u32 khz)
{
	return hv_rescale(ns, khz, NSEC_PER_MSEC);
}

/* What a guest's TSC has counted, but for its offset, when the host's is @tsc. */
static u64 hv_tsc_scale(const struct hv_vcpu *vcpu, u64 tsc)
{
	u64 ratio = READ_ONCE(vcpu->pv.tsc_ratio);

	return ratio ? mul_u64_u64_shr(tsc, ratio, hv_ops.tsc_ratio_bits) : tsc;
}

/* The rate of its TSC; what the guest was told may differ from an unscaled one by a little. */
static u32 hv_tsc_rate(const struct hv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->pv.tsc_ratio) ? vcpu->pv.tsc_khz : tsc_khz;
}

void hv_clock_rate(const struct hv_vcpu *vcpu, u32 *mul, s8 *shift)
{
	struct hv_scale s = hv_scale_of(hv_tsc_rate(vcpu));

	*mul = s.mul;
	*shift = s.shift;
}

/* ---- the VM's clock ------------------------------------------------------------------------ */

/* vm->clock_lock held: move the pair to now. */
static void hv_pair_take(struct hv_vm *vm)
{
	vm->clock_base_tsc = rdtsc_ordered();
	vm->clock_base_ns = ktime_get_boottime_ns() + vm->kvmclock_offset;
}

/* vm->clock_lock held. */
static u64 hv_pair_read(struct hv_vm *vm, u64 tsc)
{
	/* The host's TSC began again (suspend): go on from the time that has passed since. */
	if (!READ_ONCE(hv_host_on_tsc) || tsc < vm->clock_base_tsc) {
		hv_pair_take(vm);
		return vm->clock_base_ns;
	}
	return vm->clock_base_ns + hv_scale_cycles(hv_scale_of(tsc_khz), tsc - vm->clock_base_tsc);
}

static u64 hv_clock_read(struct hv_vm *vm, u64 *tsc)
{
	unsigned long flags;
	u64 ns;

	raw_spin_lock_irqsave(&vm->clock_lock, flags);
	*tsc = rdtsc_ordered();
	ns = hv_pair_read(vm, *tsc);
	raw_spin_unlock_irqrestore(&vm->clock_lock, flags);
	return ns;
}

u64 hv_clock_get(struct hv_vm *vm)
{
	u64 tsc;

	return hv_clock_read(vm, &tsc);
}

/* Do all vCPUs' TSCs read the same? Only then may a guest take one CPU's page for all. */
static bool hv_tsc_in_step(struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	unsigned long i;
	u64 offset = 0, ratio = 0;

	hv_for_each_vcpu(vm, vcpu, i) {
		if (!i) {
			offset = READ_ONCE(vcpu->pv.tsc_offset);
			ratio = READ_ONCE(vcpu->pv.tsc_ratio);
		} else if (READ_ONCE(vcpu->pv.tsc_offset) != offset ||
			   READ_ONCE(vcpu->pv.tsc_ratio) != ratio) {
			return false;
		}
	}
	return true;
}

static bool hv_clock_stable(struct hv_vm *vm)
{
	return READ_ONCE(hv_host_on_tsc) && hv_tsc_in_step(vm);
}

/* Has the guest a page with the clock? */
static bool hv_clock_wanted(const struct hv_vcpu *vcpu)
{
	return (READ_ONCE(vcpu->pv.msr_system_time) & HV_PV_TIME_ENABLED) ||
	       unlikely(hv_xen_has_clock(vcpu));
}

/* All pages are stale. */
static void hv_clock_request_all(struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	unsigned long i;
	bool reference;

	if (!READ_ONCE(vm->online_vcpus))
		return;
	reference = hv_hyperv_clock_changed(vm);
	hv_for_each_vcpu(vm, vcpu, i)
		if (reference || hv_clock_wanted(vcpu))
			hv_request_kick(vcpu, HV_REQ_CLOCK);
}

void hv_clock_get_ioctl(struct hv_vm *vm, struct kvm_clock_data *data)
{
	memset(data, 0, sizeof(*data));
	data->clock = hv_clock_read(vm, &data->host_tsc);
	if (!READ_ONCE(hv_host_on_tsc)) {
		data->host_tsc = 0;
		return;
	}
	data->realtime = ktime_get_real_ns();
	data->flags = KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	if (hv_tsc_in_step(vm))
		data->flags |= KVM_CLOCK_TSC_STABLE;
}

int hv_clock_set_ioctl(struct hv_vm *vm, const struct kvm_clock_data *data)
{
	u64 clock = data->clock, now = ktime_get_real_ns();
	unsigned long flags;

	if (data->flags & ~(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return -EINVAL;
	/* The time that passed while the VM was on its way; never backwards. */
	if ((data->flags & KVM_CLOCK_REALTIME) && now > data->realtime)
		clock += now - data->realtime;
	raw_spin_lock_irqsave(&vm->clock_lock, flags);
	vm->kvmclock_offset = clock - ktime_get_boottime_ns();
	hv_pair_take(vm);
	raw_spin_unlock_irqrestore(&vm->clock_lock, flags);
	hv_clock_request_all(vm);
	return 0;
}

/* ---- a vCPU's page ------------------------------------------------------------------------- */

static void hv_clock_fill(struct hv_vcpu *vcpu, struct hv_pv_time *t)
{
	struct hv_vm *vm = vcpu->vm;
	struct hv_scale scale;
	unsigned long flags;
	u64 tsc;

	raw_spin_lock_irqsave(&vm->clock_lock, flags);
	tsc = rdtsc_ordered();
	hv_pair_read(vm, tsc);		/* takes a new pair where the old one does not hold */
	t->tsc_timestamp = hv_tsc_scale(vcpu, vm->clock_base_tsc) + vcpu->pv.tsc_offset;
	t->system_time = vm->clock_base_ns;
	raw_spin_unlock_irqrestore(&vm->clock_lock, flags);
	scale = hv_scale_of(hv_tsc_rate(vcpu));
	t->tsc_to_system_mul = scale.mul;
	t->tsc_shift = scale.shift;
}

static int hv_clock_get_page(struct hv_vcpu *vcpu, const struct hv_clock_page *page,
			     struct hv_pv_time *t)
{
	if (!page->hva)
		return hv_guest_read(vcpu->vm, page->gpa, t, sizeof(*t));
	return copy_from_user(t, page->hva, sizeof(*t)) ? -EFAULT : 0;
}

static int hv_clock_put_page(struct hv_vcpu *vcpu, const struct hv_clock_page *page,
			     const void *data, unsigned int len)
{
	if (!page->hva)
		return hv_guest_write(vcpu->vm, page->gpa, data, len);
	return copy_to_user(page->hva, data, len) ? -EFAULT : 0;
}

int hv_clock_write(struct hv_vcpu *vcpu, const struct hv_clock_page *page)
{
	struct hv_pv_time t;
	u8 flags;

	if (hv_clock_get_page(vcpu, page, &t))
		return -EFAULT;
	/* The guest clears this one when it has seen it. */
	flags = t.flags & HV_PV_TIME_GUEST_STOPPED;
	if (vcpu->pv.guest_stopped)
		flags |= HV_PV_TIME_GUEST_STOPPED;
	if (!page->unstable && hv_clock_stable(vcpu->vm))
		flags |= HV_PV_TIME_TSC_STABLE;

	/* It comes first. */
	BUILD_BUG_ON(offsetof(struct hv_pv_time, version) != 0);
	t.version = (t.version + 1) | 1;
	if (hv_clock_put_page(vcpu, page, &t.version, sizeof(t.version)))
		return -EFAULT;
	/* Readers must see the odd version before any of the new data, and the even one after. */
	smp_wmb();
	hv_clock_fill(vcpu, &t);
	t.flags = flags;
	t.pad = 0;
	memset(t.pad2, 0, sizeof(t.pad2));
	if (hv_clock_put_page(vcpu, page, &t, sizeof(t)))
		return -EFAULT;
	smp_wmb();
	t.version++;
	return hv_clock_put_page(vcpu, page, &t.version, sizeof(t.version));
}

void hv_clock_update(struct hv_vcpu *vcpu)
{
	struct hv_clock_page page = { .gpa = vcpu->pv.msr_system_time & ~HV_PV_TIME_ENABLED };

	if (vcpu->pv.msr_system_time & HV_PV_TIME_ENABLED) {
		if (!hv_clock_write(vcpu, &page))
			vcpu->pv.guest_stopped = false;
	}
	if (unlikely(vcpu->xen))
		hv_xen_clock_update(vcpu);
	vcpu->pv.clock_written_ns = ktime_get_boottime_ns();
}

bool hv_clock_line_get(struct hv_vm *vm, struct hv_clock_line *line)
{
	struct hv_vcpu *vcpu = xa_load(&vm->vcpus, 0);
	struct hv_scale scale;
	u64 tsc;

	if (!vcpu || !hv_clock_stable(vm))
		return false;
	scale = hv_scale_of(hv_tsc_rate(vcpu));
	/* Now, and not the VM's pair: that may be older than the vCPU, whose TSC began at 0. */
	line->ns = hv_clock_read(vm, &tsc);
	line->tsc = hv_tsc_scale(vcpu, tsc) + READ_ONCE(vcpu->pv.tsc_offset);
	line->mul = scale.mul;
	line->shift = scale.shift;
	return true;
}

bool hv_clock_stale(const struct hv_vcpu *vcpu)
{
	return !READ_ONCE(hv_host_on_tsc) && hv_clock_wanted(vcpu) &&
	       ktime_get_boottime_ns() - vcpu->pv.clock_written_ns > HV_CLOCK_REFRESH_NS;
}

int hv_clock_set_msr(struct hv_vcpu *vcpu, u64 value)
{
	WRITE_ONCE(vcpu->pv.msr_system_time, value);
	if (value & HV_PV_TIME_ENABLED)
		hv_request(vcpu, HV_REQ_CLOCK);
	return 0;
}

int hv_clock_set_wall(struct hv_vcpu *vcpu, u64 value)
{
	struct hv_vm *vm = vcpu->vm;
	struct hv_pv_wall wall;
	u64 ns;
	u32 rest;

	vm->msr_wall_clock = value;
	if (!value)
		return 0;
	if (hv_guest_read(vm, value, &wall.version, sizeof(wall.version)))
		return 0;	/* nowhere to write it: the guest's own fault */
	wall.version = (wall.version + 1) | 1;
	if (hv_guest_write(vm, value, &wall.version, sizeof(wall.version)))
		return 0;
	smp_wmb();
	/* The time of day when kvm-clock was 0; the guest adds its kvm-clock. */
	ns = ktime_get_real_ns() - hv_clock_get(vm);
	wall.sec = div_u64_rem(ns, NSEC_PER_SEC, &rest);
	wall.nsec = rest;
	if (hv_guest_write(vm, value, &wall, sizeof(wall)))
		return 0;
	smp_wmb();
	wall.version++;
	hv_guest_write(vm, value, &wall.version, sizeof(wall.version));
	return 0;
}

/* ---- the TSC ------------------------------------------------------------------------------- */

u64 hv_tsc_read(struct hv_vcpu *vcpu)
{
	return hv_tsc_scale(vcpu, rdtsc()) + vcpu->pv.tsc_offset;
}

u64 hv_tsc_to_host(struct hv_vcpu *vcpu, u64 guest)
{
	u64 now, left;

	if (!vcpu->pv.tsc_ratio)
		return guest - vcpu->pv.tsc_offset;
	now = rdtsc();
	left = guest - hv_tsc_scale(vcpu, now) - vcpu->pv.tsc_offset;
	if ((s64)left <= 0)
		return now;
	return now + hv_rescale(left, tsc_khz, vcpu->pv.tsc_khz);
}

void hv_tsc_set_offset(struct hv_vcpu *vcpu, u64 offset)
{
	if (vcpu->pv.tsc_offset == offset)
		return;
	WRITE_ONCE(vcpu->pv.tsc_offset, offset);
	hv_ops.update(vcpu);
	if (vcpu->lapic)
		hv_lapic_timer_restart(vcpu);
	hv_clock_request_all(vcpu->vm);
}

/*
 * Which offset a TSC written by user space gets. vCPUs' TSCs are written one after the other, at
 * creation, by reset code and by migration: values that would be less than a second apart if they
 * were written at once are meant to be the same clock, and 0 is always meant as "now begins".
 */
static u64 hv_tsc_sync(struct hv_vcpu *vcpu, u64 value, bool user)
{
	struct hv_vm *vm = vcpu->vm;
	u32 khz = vcpu->pv.tsc_khz;
	u64 second = (u64)khz * 1000, now_ns, now, expected, offset;
	unsigned long flags;
	bool same = false;

	raw_spin_lock_irqsave(&vm->clock_lock, flags);
	now = rdtsc_ordered();
	now_ns = ktime_get_boottime_ns();
	if (!value) {
		same = true;
	} else if (vm->user_set_tsc) {
		expected = vm->last_tsc_write + hv_ns_to_cycles(now_ns - vm->last_tsc_ns, khz);
		same = value < expected + second && value + second > expected;
	}
	if (user)
		vm->user_set_tsc = true;
	if (same && vm->last_tsc_khz == khz) {
		offset = vm->cur_tsc_offset;
	} else {
		offset = value - hv_tsc_scale(vcpu, now);
		vm->cur_tsc_offset = offset;
	}
	vm->last_tsc_khz = khz;
	vm->last_tsc_ns = now_ns;
	vm->last_tsc_write = value;
	raw_spin_unlock_irqrestore(&vm->clock_lock, flags);
	return offset;
}

void hv_tsc_set_user_offset(struct hv_vcpu *vcpu, u64 offset)
{
	struct hv_vm *vm = vcpu->vm;
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->clock_lock, flags);
	/* As if this value had been written now: what is written next is compared with it. */
	vm->user_set_tsc = true;
	vm->cur_tsc_offset = offset;
	vm->last_tsc_khz = vcpu->pv.tsc_khz;
	vm->last_tsc_write = hv_tsc_scale(vcpu, rdtsc_ordered()) + offset;
	vm->last_tsc_ns = ktime_get_boottime_ns();
	raw_spin_unlock_irqrestore(&vm->clock_lock, flags);
	hv_tsc_set_offset(vcpu, offset);
}

void hv_tsc_write(struct hv_vcpu *vcpu, u64 value, bool host)
{
	u64 offset;

	if (host) {
		hv_tsc_set_offset(vcpu, hv_tsc_sync(vcpu, value, true));
		return;
	}
	/* A guest's write moves its TSC_ADJUST along (SDM vol. 3, 17.17.3). */
	offset = value - hv_tsc_scale(vcpu, rdtsc());
	vcpu->msrs.ia32_tsc_adjust += offset - vcpu->pv.tsc_offset;
	hv_tsc_set_offset(vcpu, offset);
}

/* What clocks differ by anyway is not worth scaling. */
static bool hv_tsc_khz_native(u32 khz)
{
	u32 tolerance = tsc_khz / 4000;		/* 250 ppm */

	return khz <= tsc_khz + tolerance && khz >= tsc_khz - tolerance;
}

/* The ratio has 64 bits. */
static bool hv_tsc_khz_valid(u32 khz)
{
	return hv_tsc_khz_native(khz) ||
	       (hv_ops.tsc_ratio_bits && khz < S32_MAX &&
		khz / tsc_khz < GENMASK(63 - hv_ops.tsc_ratio_bits, 0));
}

static u64 hv_tsc_ratio(u32 khz)
{
	if (hv_tsc_khz_native(khz))
		return 0;
	/* Not 0, as slow as it may be: that is no ratio. */
	return mul_u64_u32_div(1ULL << hv_ops.tsc_ratio_bits, khz, tsc_khz) ?: 1;
}

int hv_tsc_set_khz(struct hv_vcpu *vcpu, u32 khz)
{
	if (!khz)
		khz = tsc_khz;
	if (!hv_tsc_khz_valid(khz))
		return -EINVAL;
	vcpu->pv.tsc_khz = khz;
	WRITE_ONCE(vcpu->pv.tsc_ratio, hv_tsc_ratio(khz));
	hv_cpuid_refresh(vcpu);
	hv_ops.update(vcpu);
	if (vcpu->lapic)
		hv_lapic_timer_restart(vcpu);
	hv_clock_request_all(vcpu->vm);
	return 0;
}

int hv_tsc_set_default_khz(struct hv_vm *vm, u32 khz)
{
	if (!khz)
		khz = tsc_khz;
	if (!hv_tsc_khz_valid(khz))
		return -EINVAL;
	WRITE_ONCE(vm->default_tsc_khz, khz);
	return 0;
}

void hv_clock_vcpu_load(struct hv_vcpu *vcpu, int cpu)
{
	if (!READ_ONCE(hv_host_on_tsc) && hv_clock_wanted(vcpu))
		hv_request(vcpu, HV_REQ_CLOCK);
	/* Timers expire where they were started: let it be the CPU that the vCPU runs on. */
	if (vcpu->lapic)
		hv_lapic_timer_restart(vcpu);
}

/* ---- life ---------------------------------------------------------------------------------- */

void hv_clock_vm_init(struct hv_vm *vm)
{
	unsigned long flags;

	vm->default_tsc_khz = tsc_khz;
	raw_spin_lock_irqsave(&vm->clock_lock, flags);
	vm->kvmclock_offset = -ktime_get_boottime_ns();
	hv_pair_take(vm);
	raw_spin_unlock_irqrestore(&vm->clock_lock, flags);
}

void hv_clock_vcpu_init(struct hv_vcpu *vcpu)
{
	vcpu->pv.tsc_khz = vcpu->vm->default_tsc_khz;
	vcpu->pv.tsc_ratio = hv_tsc_ratio(vcpu->pv.tsc_khz);
	vcpu->pv.tsc_offset = hv_tsc_sync(vcpu, 0, false);
	hv_ops.update(vcpu);
}

/* Guests must hear at once that a page they took for stable is not. */
static void hv_gtod_work_fn(struct work_struct *work)
{
	hv_vms_each(hv_clock_request_all);
}

static DECLARE_WORK(hv_gtod_work, hv_gtod_work_fn);

/* The timekeeper was updated: hard interrupt context, its lock held. */
static int hv_gtod_notify(struct notifier_block *nb, unsigned long was_set, void *data)
{
	const struct timekeeper *tk = data;
	bool on_tsc = tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;

	if (on_tsc != hv_host_on_tsc) {
		WRITE_ONCE(hv_host_on_tsc, on_tsc);
		queue_work(system_long_wq, &hv_gtod_work);
	}
	return 0;
}

static struct notifier_block hv_gtod_notifier = {
	.notifier_call = hv_gtod_notify,
};

int hv_clock_init(void)
{
	return pvclock_gtod_register_notifier(&hv_gtod_notifier);
}

void hv_clock_exit(void)
{
	pvclock_gtod_unregister_notifier(&hv_gtod_notifier);
	cancel_work_sync(&hv_gtod_work);
}
