// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen guests: what user space sets up and reads back (KVM_XEN_*), the MSR that fills the guest's
 * hypercall page, life. Values and errors follow KVM's, since user space is made for those; but a
 * refused call changes nothing.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <asm/processor.h>

#include "linux/kvm_later.h"
#include "clock_defs.h"
#include "xen.h"

#define HV_XEN_CONFIG_FLAGS (KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |		\
			     KVM_XEN_HVM_CONFIG_EVTCHN_SEND |			\
			     KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE)

/* ---- areas ---------------------------------------------------------------------------------- */

/* Can @len bytes there be written to? They lie in one page. 0 or -EFAULT; may sleep. */
static int hv_xen_area_probe(struct hv_vm *vm, hv_xen_area_t area, u32 len)
{
	void __user *at;
	int r = -EFAULT, idx = srcu_read_lock(&vm->srcu);

	at = hv_xen_user(vm, area, 0);
	if (at && access_ok(at, len) && !fault_in_safe_writeable(at, len))
		r = 0;
	srcu_read_unlock(&vm->srcu, idx);
	return r;
}

static int hv_xen_gpa_probe(struct hv_vm *vm, u64 gpa)
{
	return hv_xen_area_probe(vm, (gpa & PAGE_MASK) | HV_XEN_AREA_ON, PAGE_SIZE);
}

static u64 hv_xen_area_get(hv_xen_area_t area, bool hva, u64 none)
{
	if (!area || !(area & HV_XEN_AREA_HVA) != !hva)
		return none;
	return area & HV_XEN_AREA_ADDR;
}

/* ---- the VM --------------------------------------------------------------------------------- */

static int hv_xen_config(struct hv_vm *vm, const struct kvm_xen_hvm_config *config)
{
	struct hv_xen_vm *xv = vm->xen;
	u32 changed;

	if (config->flags & ~HV_XEN_CONFIG_FLAGS)
		return -EINVAL;
	/* Those of the CPU and of other interfaces keep their meaning. */
	if (config->msr && (config->msr < XEN_MSR_FIRST || config->msr > XEN_MSR_LAST))
		return -EINVAL;
	/* Who has the calls intercepted gets a page of the kernel's making. */
	if ((config->flags & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL) &&
	    (config->blob_addr_32 || config->blob_addr_64 || config->blob_size_32 ||
	     config->blob_size_64))
		return -EINVAL;
	mutex_lock(&xv->lock);
	changed = xv->config.flags ^ config->flags;
	xv->config = *config;
	mutex_unlock(&xv->lock);
	if (changed & KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE)
		hv_request_all(vm, HV_REQ_CLOCK);
	return 0;
}

/* xv->lock held. The time of day has its place by the mode. */
static int hv_xen_set_long_mode(struct hv_vm *vm, bool long_mode)
{
	WRITE_ONCE(vm->xen->long_mode, long_mode);
	return vm->xen->shared ? hv_xen_wall_write(vm) : 0;
}

/* xv->lock held. */
static int hv_xen_set_shared(struct hv_vm *vm, hv_xen_area_t area)
{
	struct hv_xen_vm *xv = vm->xen;
	hv_xen_area_t old = xv->shared;
	int r;

	if (!area) {
		WRITE_ONCE(xv->shared, 0);
		return 0;
	}
	r = hv_xen_area_probe(vm, area, PAGE_SIZE);
	if (r)
		return r;
	WRITE_ONCE(xv->shared, area);
	r = hv_xen_wall_write(vm);
	if (r)
		WRITE_ONCE(xv->shared, old);
	return r;
}

static int hv_xen_set_shared_gfn(struct hv_vm *vm, u64 gfn)
{
	if (gfn == KVM_XEN_INVALID_GFN)
		return hv_xen_set_shared(vm, 0);
	if (gfn > U64_MAX >> PAGE_SHIFT)
		return -EFAULT;
	return hv_xen_set_shared(vm, gfn << PAGE_SHIFT | HV_XEN_AREA_ON);
}

static int hv_xen_set_shared_hva(struct hv_vm *vm, u64 hva)
{
	if (offset_in_page(hva))
		return -EINVAL;
	return hv_xen_set_shared(vm, hva ? hva | HV_XEN_AREA_ON | HV_XEN_AREA_HVA : 0);
}

static int hv_xen_set_vector(u8 *to, u8 vector)
{
	if (vector && vector < XEN_MIN_VECTOR)
		return -EINVAL;
	WRITE_ONCE(*to, vector);
	return 0;
}

/*
 * xv->lock held. Older headers have no names for the user address and the flag; they are where the
 * frame and the mode are.
 */
static int hv_xen_vm_set(struct hv_vm *vm, const struct kvm_xen_hvm_attr *attr)
{
	struct hv_xen_vm *xv = vm->xen;

	switch (attr->type) {
	case KVM_XEN_ATTR_TYPE_LONG_MODE:
		return hv_xen_set_long_mode(vm, attr->u.long_mode);
	case KVM_XEN_ATTR_TYPE_SHARED_INFO:
		return hv_xen_set_shared_gfn(vm, attr->u.shared_info.gfn);
	case KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA:
		return hv_xen_set_shared_hva(vm, attr->u.shared_info.gfn);
	case KVM_XEN_ATTR_TYPE_UPCALL_VECTOR:
		return hv_xen_set_vector(&xv->upcall_vector, attr->u.vector);
	case KVM_XEN_ATTR_TYPE_EVTCHN:
		return hv_xen_port_set(vm, attr);
	case KVM_XEN_ATTR_TYPE_XEN_VERSION:
		WRITE_ONCE(xv->version, attr->u.xen_version);
		return 0;
	case KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG:
		WRITE_ONCE(xv->update_flag, attr->u.long_mode);
		return 0;
	default:
		return -ENOENT;
	}
}

/* xv->lock held. */
static int hv_xen_vm_get(const struct hv_xen_vm *xv, struct kvm_xen_hvm_attr *attr)
{
	switch (attr->type) {
	case KVM_XEN_ATTR_TYPE_LONG_MODE:
		attr->u.long_mode = xv->long_mode;
		return 0;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO:
		attr->u.shared_info.gfn = hv_xen_area_get(xv->shared, false, KVM_XEN_INVALID_GPA);
		if (attr->u.shared_info.gfn != KVM_XEN_INVALID_GFN)
			attr->u.shared_info.gfn >>= PAGE_SHIFT;
		return 0;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA:
		attr->u.shared_info.gfn = hv_xen_area_get(xv->shared, true, 0);
		return 0;
	case KVM_XEN_ATTR_TYPE_UPCALL_VECTOR:
		attr->u.vector = xv->upcall_vector;
		return 0;
	case KVM_XEN_ATTR_TYPE_XEN_VERSION:
		attr->u.xen_version = xv->version;
		return 0;
	case KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG:
		attr->u.long_mode = xv->update_flag;
		return 0;
	default:
		return -ENOENT;
	}
}

static long hv_xen_vm_attr(struct hv_vm *vm, bool set, struct kvm_xen_hvm_attr __user *arg)
{
	struct kvm_xen_hvm_attr attr;
	int r;

	if (copy_from_user(&attr, arg, sizeof(attr)))
		return -EFAULT;
	mutex_lock(&vm->xen->lock);
	r = set ? hv_xen_vm_set(vm, &attr) : hv_xen_vm_get(vm->xen, &attr);
	mutex_unlock(&vm->xen->lock);
	if (!r && !set && copy_to_user(arg, &attr, sizeof(attr)))
		r = -EFAULT;
	return r;
}

static long hv_xen_send(struct hv_vm *vm, const struct kvm_irq_routing_xen_evtchn *evtchn)
{
	struct hv_vcpu *vcpu;
	int r;

	if (!evtchn->port || evtchn->port >= hv_xen_max_ports(vm->xen) ||
	    evtchn->priority != KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL)
		return -EINVAL;
	vcpu = hv_vcpu_by_id(vm, evtchn->vcpu);
	if (!vcpu)
		return -EINVAL;
	r = hv_xen_deliver(vcpu, evtchn->port);
	return r == -ENOTCONN ? 0 : min(r, 0);
}

long hv_xen_vm_ioctl(struct hv_vm *vm, unsigned int cmd, void __user *argp)
{
	struct kvm_irq_routing_xen_evtchn evtchn;
	struct kvm_xen_hvm_config config;
	int r = hv_xen_vm_prepare(vm);

	if (r)
		return r;
	switch (cmd) {
	case KVM_XEN_HVM_CONFIG:
		if (copy_from_user(&config, argp, sizeof(config)))
			return -EFAULT;
		return hv_xen_config(vm, &config);
	case KVM_XEN_HVM_EVTCHN_SEND:
		if (copy_from_user(&evtchn, argp, sizeof(evtchn)))
			return -EFAULT;
		return hv_xen_send(vm, &evtchn);
	default:
		return hv_xen_vm_attr(vm, cmd == KVM_XEN_HVM_SET_ATTR, argp);
	}
}

/* ---- a vCPU --------------------------------------------------------------------------------- */

static int hv_xen_set_info(struct hv_vcpu *vcpu, u64 addr, bool hva)
{
	hv_xen_area_t area = addr | HV_XEN_AREA_ON | (hva ? HV_XEN_AREA_HVA : 0);
	struct hv_xen *xen = vcpu->xen;
	int r;

	if (addr == (hva ? 0 : KVM_XEN_INVALID_GPA)) {
		WRITE_ONCE(xen->info, 0);
		return 0;
	}
	if (addr & 3)
		return -ENXIO;
	if (offset_in_page(addr) + XEN_INFO_SIZE > PAGE_SIZE)
		return -EINVAL;
	r = hv_xen_area_probe(vcpu->vm, area, XEN_INFO_SIZE);
	if (r)
		return r;
	WRITE_ONCE(xen->info, area);
	xen->retry = true;
	hv_request(vcpu, HV_REQ_CLOCK);
	return 0;
}

static int hv_xen_set_time(struct hv_vcpu *vcpu, u64 gpa)
{
	if (gpa != KVM_XEN_INVALID_GPA) {
		if (offset_in_page(gpa) + sizeof(struct hv_pv_time) > PAGE_SIZE)
			return -EINVAL;
		if (hv_xen_gpa_probe(vcpu->vm, gpa))
			return -EFAULT;
		hv_request(vcpu, HV_REQ_CLOCK);
	}
	WRITE_ONCE(vcpu->xen->time_gpa, gpa);
	return 0;
}

static int hv_xen_set_runstate_gpa(struct hv_vcpu *vcpu, u64 gpa)
{
	u32 size = sizeof(struct xen_runstate_times);

	size += vcpu->vm->xen->long_mode ? XEN_RUNSTATE_TIMES_64 : XEN_RUNSTATE_TIMES_32;
	if (gpa != KVM_XEN_INVALID_GPA &&
	    (hv_xen_gpa_probe(vcpu->vm, gpa) || hv_xen_gpa_probe(vcpu->vm, gpa + size - 1)))
		return -EFAULT;
	vcpu->xen->runstate_gpa = gpa;
	hv_xen_runstate_write(vcpu, true);
	return 0;
}

/* Times, or what to add to them, from user space: do they add up, and are they of the past? */
static bool hv_xen_times_valid(struct hv_vm *vm, const struct kvm_xen_vcpu_attr *attr, u64 entry)
{
	return attr->u.runstate.state_entry_time ==
	       attr->u.runstate.time_running + attr->u.runstate.time_runnable +
	       attr->u.runstate.time_blocked + attr->u.runstate.time_offline &&
	       hv_clock_get(vm) >= entry + attr->u.runstate.state_entry_time;
}

static void hv_xen_times_add(struct xen_runstate_times *times, const struct kvm_xen_vcpu_attr *attr)
{
	times->entry += attr->u.runstate.state_entry_time;
	times->time[XEN_RUNNING] += attr->u.runstate.time_running;
	times->time[XEN_RUNNABLE] += attr->u.runstate.time_runnable;
	times->time[XEN_BLOCKED] += attr->u.runstate.time_blocked;
	times->time[XEN_OFFLINE] += attr->u.runstate.time_offline;
}

static int hv_xen_set_runstate(struct hv_vcpu *vcpu, const struct kvm_xen_vcpu_attr *attr)
{
	u64 state = attr->u.runstate.state;

	if (state >= XEN_RUNSTATES)
		return -EINVAL;
	if (attr->type == KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT) {
		hv_xen_runstate_set(vcpu, state, true);
		return 0;
	}
	if (!hv_xen_times_valid(vcpu->vm, attr, 0))
		return -EINVAL;
	memset(&vcpu->xen->times, 0, sizeof(vcpu->xen->times));
	hv_xen_times_add(&vcpu->xen->times, attr);
	vcpu->xen->runstate = state;
	vcpu->xen->last_steal = current->sched_info.run_delay;
	return 0;
}

/* State -1: it stays as it is. */
static int hv_xen_adjust_runstate(struct hv_vcpu *vcpu, const struct kvm_xen_vcpu_attr *attr)
{
	u64 state = attr->u.runstate.state;

	if ((state >= XEN_RUNSTATES && state != (u64)-1) ||
	    !hv_xen_times_valid(vcpu->vm, attr, vcpu->xen->times.entry))
		return -EINVAL;
	hv_xen_times_add(&vcpu->xen->times, attr);
	if (state < XEN_RUNSTATES)
		hv_xen_runstate_set(vcpu, state, true);
	else
		hv_xen_runstate_write(vcpu, true);
	return 0;
}

static int hv_xen_set_timer_port(struct hv_xen *xen, const struct kvm_xen_vcpu_attr *attr)
{
	if (attr->u.timer.port &&
	    attr->u.timer.priority != KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL)
		return -EINVAL;
	hv_xen_timer_stop(xen);
	xen->timer_port = attr->u.timer.port;
	if (attr->u.timer.port && attr->u.timer.expires_ns)
		hv_xen_timer_start(xen, attr->u.timer.expires_ns);
	return 0;
}

static int hv_xen_vcpu_set(struct hv_vcpu *vcpu, const struct kvm_xen_vcpu_attr *attr)
{
	struct hv_xen *xen = vcpu->xen;

	switch (attr->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO:
		return hv_xen_set_info(vcpu, attr->u.gpa, false);
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA:
		return hv_xen_set_info(vcpu, attr->u.gpa, true);
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO:
		return hv_xen_set_time(vcpu, attr->u.gpa);
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
		return hv_xen_set_runstate_gpa(vcpu, attr->u.gpa);
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
		return hv_xen_set_runstate(vcpu, attr);
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
		return hv_xen_adjust_runstate(vcpu, attr);
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID:
		if (attr->u.vcpu_id >= HV_MAX_VCPUS)
			return -EINVAL;
		xen->id = attr->u.vcpu_id;
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER:
		return hv_xen_set_timer_port(xen, attr);
	case KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR:
		return hv_xen_set_vector(&xen->upcall_vector, attr->u.vector);
	default:
		return -ENOENT;
	}
}

static void hv_xen_get_runstate(const struct hv_xen *xen, struct kvm_xen_vcpu_attr *attr)
{
	attr->u.runstate.state = xen->runstate;
	if (attr->type == KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT)
		return;
	attr->u.runstate.state_entry_time = xen->times.entry;
	attr->u.runstate.time_running = xen->times.time[XEN_RUNNING];
	attr->u.runstate.time_runnable = xen->times.time[XEN_RUNNABLE];
	attr->u.runstate.time_blocked = xen->times.time[XEN_BLOCKED];
	attr->u.runstate.time_offline = xen->times.time[XEN_OFFLINE];
}

static int hv_xen_vcpu_get(const struct hv_xen *xen, struct kvm_xen_vcpu_attr *attr)
{
	switch (attr->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO:
		attr->u.gpa = hv_xen_area_get(xen->info, false, KVM_XEN_INVALID_GPA);
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA:
		attr->u.gpa = hv_xen_area_get(xen->info, true, 0);
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO:
		attr->u.gpa = xen->time_gpa;
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
		if (xen->runstate_gpa == KVM_XEN_INVALID_GPA)
			return -ENOENT;
		attr->u.gpa = xen->runstate_gpa;
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
		hv_xen_get_runstate(xen, attr);
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
		return -EINVAL;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID:
		attr->u.vcpu_id = xen->id;
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER:
		attr->u.timer.port = xen->timer_port;
		attr->u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
		attr->u.timer.expires_ns = xen->timer_expires;
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR:
		attr->u.vector = xen->upcall_vector;
		return 0;
	default:
		return -ENOENT;
	}
}

long hv_xen_vcpu_ioctl(struct hv_vcpu *vcpu, unsigned int cmd, void __user *argp)
{
	struct kvm_xen_vcpu_attr attr;
	long r;

	if (copy_from_user(&attr, argp, sizeof(attr)))
		return -EFAULT;
	if (cmd == KVM_XEN_VCPU_SET_ATTR) {
		r = hv_xen_vcpu_set(vcpu, &attr);
		hv_xen_update(vcpu);
		return r;
	}
	/* What is on its way is in the guest's memory when the state is read. */
	hv_xen_update(vcpu);
	r = hv_xen_vcpu_get(vcpu->xen, &attr);
	if (!r && copy_to_user(argp, &attr, sizeof(attr)))
		r = -EFAULT;
	return r;
}

/* ---- the hypercall page --------------------------------------------------------------------- */

/* A call's number is the position of its entry: mov $number, %eax; the call; ret. */
static int hv_xen_fill_page(struct hv_vm *vm, u64 gpa)
{
	bool intel = boot_cpu_data.x86_vendor == X86_VENDOR_INTEL;
	u8 entry[XEN_HYPERCALL_SLOT] = {
		0xb8, 0, 0, 0, 0, 0x0f, 0x01, intel ? 0xc1 : 0xd9, 0xc3,
	};
	u32 i;

	memset(entry + 9, 0xcc, sizeof(entry) - 9);
	for (i = 0; i < PAGE_SIZE / sizeof(entry); i++) {
		entry[1] = i;
		if (hv_guest_write(vm, gpa + i * sizeof(entry), entry, sizeof(entry)))
			return 1;
	}
	return 0;
}

/* One of the pages that user space has made. */
static int hv_xen_copy_page(struct hv_vm *vm, const struct kvm_xen_hvm_config *config, bool wide,
			    u32 nr, u64 gpa)
{
	u64 from = wide ? config->blob_addr_64 : config->blob_addr_32;
	u32 pages = wide ? config->blob_size_64 : config->blob_size_32;
	void *page;
	int r;

	if (nr >= pages)
		return 1;
	page = memdup_user((void __user *)(unsigned long)(from + nr * PAGE_SIZE), PAGE_SIZE);
	if (IS_ERR(page))
		return 1;
	r = hv_guest_write(vm, gpa, page, PAGE_SIZE);
	kfree(page);
	return r != 0;
}

int hv_xen_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	struct hv_xen_vm *xv = hv_xen_vm(vcpu->vm);
	struct kvm_xen_hvm_config config;
	u32 nr = offset_in_page(value);
	bool wide;
	int r = 0;

	/* It is a command of the guest's, no register: user space has nothing to restore. */
	if (!xv || host || !index || index != READ_ONCE(xv->config.msr))
		return -ENOENT;
	if (!may_sleep)
		return -EAGAIN;
	wide = hv_long_mode(vcpu);
	mutex_lock(&xv->lock);
	config = xv->config;
	if (xv->long_mode != wide)
		r = hv_xen_set_long_mode(vcpu->vm, wide);
	mutex_unlock(&xv->lock);
	if (r)
		return 1;
	value &= PAGE_MASK;
	if (!(config.flags & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL))
		return hv_xen_copy_page(vcpu->vm, &config, wide, nr, value);
	return nr ? 1 : hv_xen_fill_page(vcpu->vm, value);
}

/* ---- KVM_RUN -------------------------------------------------------------------------------- */

void hv_xen_run_begin(struct hv_vcpu *vcpu)
{
	struct hv_xen *xen = vcpu->xen;

	xen->retry = true;
	/* User space may have set bits in the guest's memory by itself. */
	hv_request(vcpu, HV_REQ_EVENT);
	if (atomic_long_read(&xen->sel))
		hv_request(vcpu, HV_REQ_XEN);
	if (hv_xen_accounts(vcpu))
		hv_request(vcpu, HV_REQ_STEAL);
}

/* ---- life ----------------------------------------------------------------------------------- */

int hv_xen_vcpu_create(struct hv_vcpu *vcpu)
{
	struct hv_xen *xen = kzalloc(sizeof(*xen), GFP_KERNEL_ACCOUNT);

	if (!xen)
		return -ENOMEM;
	xen->vcpu = vcpu;
	xen->id = vcpu->index;
	xen->time_gpa = KVM_XEN_INVALID_GPA;
	xen->runstate_gpa = KVM_XEN_INVALID_GPA;
	hv_xen_timers_init(xen);
	/* Pairs with hv_xen(). */
	smp_store_release(&vcpu->xen, xen);
	return 0;
}

void hv_xen_vcpu_free(struct hv_vcpu *vcpu)
{
	struct hv_xen *xen = vcpu->xen;

	if (!xen)
		return;
	hrtimer_cancel(&xen->timer);
	hrtimer_cancel(&xen->poll_timer);
	vcpu->xen = NULL;
	kfree(xen);
}

/* vm->lock held: no vCPUs come meanwhile. Those that come later get theirs when they are made. */
static int hv_xen_vcpus_create(struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	unsigned long i;
	int r;

	if (!vm->created_vcpus)
		return 0;
	hv_for_each_vcpu(vm, vcpu, i) {
		r = vcpu->xen ? 0 : hv_xen_vcpu_create(vcpu);
		if (r)
			return r;
	}
	return 0;
}

static struct hv_xen_vm *hv_xen_vm_create(void)
{
	struct hv_xen_vm *xv = kzalloc(sizeof(*xv), GFP_KERNEL_ACCOUNT);

	if (!xv)
		return NULL;
	mutex_init(&xv->lock);
	xa_init(&xv->ports);
	return xv;
}

/* Who has the vCPU's structure has the VM's, too: that comes first, and does nothing alone. */
int hv_xen_vm_prepare(struct hv_vm *vm)
{
	struct hv_xen_vm *xv = hv_xen_vm(vm);
	int r;

	if (xv && smp_load_acquire(&xv->complete))	/* pairs with the release below */
		return 0;
	mutex_lock(&vm->lock);
	if (!vm->xen)
		smp_store_release(&vm->xen, hv_xen_vm_create());	/* pairs with hv_xen_vm() */
	r = vm->xen ? hv_xen_vcpus_create(vm) : -ENOMEM;
	if (!r)
		smp_store_release(&vm->xen->complete, true);
	mutex_unlock(&vm->lock);
	return r;
}

void hv_xen_vm_free(struct hv_vm *vm)
{
	if (!vm->xen)
		return;
	hv_xen_ports_free(vm->xen);
	kfree(vm->xen);
	vm->xen = NULL;
}
