// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU: creation, its thread coming and going on host CPUs, kicks and requests. */
#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/kvm_para.h>
#include <trace/events/ipi.h>

#include "hv.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "mmu/mmu.h"
#include "vcpu_ioctl.h"
#include "x86/x86.h"

static struct kmem_cache *hv_vcpu_cache;
static DEFINE_PER_CPU(cpumask_var_t, hv_kick_mask);
static DEFINE_PER_CPU(struct hv_vcpu *, hv_loaded);	/* of the thread that runs there */

/* ---- kicks and requests --------------------------------------------------------------------- */

void hv_vcpu_wake(struct hv_vcpu *vcpu)
{
	if (rcuwait_wake_up(&vcpu->wait))
		vcpu->stats.halt_wakeups++;
}

void hv_vcpu_kick(struct hv_vcpu *vcpu)
{
	int cpu;

	/*
	 * Orders the request (or IRR) bit set before against the read of mode. Pairs with the
	 * barrier between mode = HV_IN_GUEST and the check of requests in the run loop: one of the
	 * two sees the other.
	 */
	smp_mb__after_atomic();
	hv_vcpu_wake(vcpu);
	preempt_disable();
	cpu = READ_ONCE(vcpu->cpu);
	if (READ_ONCE(vcpu->mode) == HV_IN_GUEST && cpu != smp_processor_id() && cpu >= 0)
		smp_send_reschedule(cpu);
	preempt_enable();
}

static void hv_ack_kick(void *unused)
{
	/* Arriving here means that the guest was left. */
}

static void hv_request_masked(struct hv_vm *vm, const unsigned long *vcpus, enum hv_req req)
{
	struct cpumask *mask;
	struct hv_vcpu *vcpu;
	unsigned long i;
	int me;

	me = get_cpu();
	mask = this_cpu_cpumask_var_ptr(hv_kick_mask);
	cpumask_clear(mask);
	smp_wmb();
	hv_for_each_vcpu(vm, vcpu, i) {
		int cpu;

		if (vcpus && !test_bit(i, vcpus))
			continue;
		set_bit(req, &vcpu->requests);
		/* As in hv_vcpu_kick(). */
		smp_mb__after_atomic();
		cpu = READ_ONCE(vcpu->cpu);
		if (READ_ONCE(vcpu->mode) == HV_IN_GUEST && cpu != me && cpu >= 0)
			__cpumask_set_cpu(cpu, mask);
		/* A halted vCPU needs to wake up only for its own end. */
		if (req == HV_REQ_VM_DEAD)
			hv_vcpu_wake(vcpu);
	}
	if (!cpumask_empty(mask))
		smp_call_function_many(mask, hv_ack_kick, NULL, true);
	put_cpu();
}

void hv_request_all(struct hv_vm *vm, enum hv_req req)
{
	hv_request_masked(vm, NULL, req);
}

void hv_request_some(struct hv_vm *vm, const unsigned long *mask, enum hv_req req)
{
	hv_request_masked(vm, mask, req);
}

void hv_vcpus_quiesce(struct hv_vm *vm)
{
	/* Before the request: a vCPU that is not asked because it is new sees this instead. */
	atomic_inc(&vm->quiescing);
	smp_mb__after_atomic();
	hv_request_all(vm, HV_REQ_SLOTS);
	synchronize_srcu_expedited(&vm->srcu);
	atomic_dec(&vm->quiescing);
	wake_up_all(&vm->quiesce_wait);
}

/* ---- the thread's comings and goings ------------------------------------------------------- */

struct hv_vcpu *hv_vcpu_loaded(void)
{
	struct hv_vcpu *vcpu;

	preempt_disable();
	vcpu = __this_cpu_read(hv_loaded);
	preempt_enable();
	return vcpu;
}

static void hv_vcpu_arrive(struct hv_vcpu *vcpu, int cpu)
{
	__this_cpu_write(hv_loaded, vcpu);
	hv_call(vcpu_load)(vcpu, cpu);
	if (vcpu->cpu != cpu) {
		hv_clock_vcpu_load(vcpu, cpu);
		WRITE_ONCE(vcpu->cpu, cpu);
	}
}

static void hv_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct hv_vcpu *vcpu = container_of(pn, struct hv_vcpu, notifier);

	WRITE_ONCE(vcpu->displaced, false);
	hv_vcpu_arrive(vcpu, cpu);
	if ((vcpu->pv.msr_steal_time & KVM_MSR_ENABLED) || hv_xen_accounts(vcpu))
		hv_request(vcpu, HV_REQ_STEAL);
}

static void hv_sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct hv_vcpu *vcpu = container_of(pn, struct hv_vcpu, notifier);

	if (!READ_ONCE(current->__state)) {
		WRITE_ONCE(vcpu->displaced, true);
		vcpu->stats.preemptions++;
		if (unlikely(vcpu->xen))
			hv_xen_preempted(vcpu);
	}
	/* It writes to guest memory, which the vCPU's dirty ring hears of. */
	hv_steal_leave(vcpu);
	__this_cpu_write(hv_loaded, NULL);
}

static struct preempt_ops hv_preempt_ops = {
	.sched_in = hv_sched_in,
	.sched_out = hv_sched_out,
};

void hv_vcpu_load(struct hv_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_register(&vcpu->notifier);
	hv_vcpu_arrive(vcpu, smp_processor_id());
	preempt_enable();
}

void hv_vcpu_put(struct hv_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_unregister(&vcpu->notifier);
	hv_steal_leave(vcpu);
	__this_cpu_write(hv_loaded, NULL);
	preempt_enable();
}

/* ---- life and death ------------------------------------------------------------------------ */

void hv_vcpu_reset(struct hv_vcpu *vcpu, bool init)
{
	memset(&vcpu->mmio, 0, sizeof(vcpu->mmio));
	memset(&vcpu->pio, 0, sizeof(vcpu->pio));
	memset(&vcpu->hcall, 0, sizeof(vcpu->hcall));
	vcpu->msr_exit.active = false;
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	vcpu->events.user_irq = -1;
	hv_smm_reset(vcpu, init);
	hv_regs_reset(vcpu, init);
	if (vcpu->lapic)
		hv_lapic_reset(vcpu, init);
	hv_fpu_reset(vcpu, init);
	hv_msr_reset(vcpu, init);
	hv_ops.vcpu_reset(vcpu, init);
	hv_request(vcpu, HV_REQ_EVENT);
}

void hv_vcpu_destroy(struct hv_vcpu *vcpu)
{
	if (vcpu->lapic)
		hv_lapic_free(vcpu);
	hv_mmu_vcpu_free(vcpu);
	hv_dirty_ring_free(vcpu);
	hv_fpu_free(vcpu);
	hv_msr_vcpu_free(vcpu);
	hv_cpuid_free(vcpu);
	hv_vcpu_forget_thread(vcpu);
	hv_apf_vcpu_free(vcpu);
	hv_hyperv_vcpu_free(vcpu);
	hv_xen_vcpu_free(vcpu);
	hv_ops.vcpu_free(vcpu);
	free_page((unsigned long)vcpu->run);
	free_page((unsigned long)vcpu->pio_data);
	kmem_cache_free(hv_vcpu_cache, vcpu);
}

static struct hv_vcpu *hv_vcpu_alloc(struct hv_vm *vm, u32 id)
{
	struct hv_vcpu *vcpu = kmem_cache_zalloc(hv_vcpu_cache, GFP_KERNEL_ACCOUNT);
	int r;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->index = vm->created_vcpus;
	vcpu->vp_index = vcpu->index;
	vcpu->cpu = -1;
	mutex_init(&vcpu->mutex);
	rcuwait_init(&vcpu->wait);
	preempt_notifier_init(&vcpu->notifier, &hv_preempt_ops);
	hv_apf_vcpu_init(vcpu);
	vcpu->regs_valid = HV_REGS_ALL;
	vcpu->events.user_irq = -1;

	r = -ENOMEM;
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run || !vcpu->pio_data)
		goto destroy;
	r = hv_dirty_ring_init(vcpu);
	if (!r)
		r = hv_ops.vcpu_init(vcpu);
	if (!r)
		r = hv_cpuid_init(vcpu);
	if (!r)
		r = hv_msr_vcpu_init(vcpu);
	if (!r)
		r = hv_fpu_init(vcpu);
	if (!r && hv_irqchip_in_kernel(vm))
		r = hv_lapic_create(vcpu);
	if (!r && vm->xen)
		r = hv_xen_vcpu_create(vcpu);
	if (r)
		goto destroy;
	vcpu->mp_state = !vcpu->lapic || id == vm->bsp_id ? KVM_MP_STATE_RUNNABLE :
							    KVM_MP_STATE_UNINITIALIZED;
	hv_vcpu_load(vcpu);
	hv_vcpu_reset(vcpu, false);
	hv_clock_vcpu_init(vcpu);
	hv_vcpu_put(vcpu);
	return vcpu;

destroy:
	hv_vcpu_destroy(vcpu);
	return ERR_PTR(r);
}

static vm_fault_t hv_vcpu_page_fault(struct vm_fault *vmf)
{
	struct hv_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	switch (vmf->pgoff) {
	case 0:
		page = virt_to_page(vcpu->run);
		break;
	case KVM_PIO_PAGE_OFFSET:
		page = virt_to_page(vcpu->pio_data);
		break;
	case KVM_COALESCED_MMIO_PAGE_OFFSET:
		page = virt_to_page(vcpu->vm->ring);
		break;
	default:
		page = vmf->pgoff < KVM_DIRTY_LOG_PAGE_OFFSET ? NULL :
			hv_dirty_ring_page(vcpu, vmf->pgoff - KVM_DIRTY_LOG_PAGE_OFFSET);
		if (!page)
			return VM_FAULT_SIGBUS;
	}
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct hv_vcpu_vm_ops = {
	.fault = hv_vcpu_page_fault,
};

/* A copy of the ring is good for nothing, and so is code in it. */
static int hv_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct hv_vcpu *vcpu = file->private_data;
	unsigned long ring_pages = vcpu->dirty_ring.entries * sizeof(struct kvm_dirty_gfn) >>
				   PAGE_SHIFT;

	if (vma->vm_pgoff < KVM_DIRTY_LOG_PAGE_OFFSET + ring_pages &&
	    vma->vm_pgoff + vma_pages(vma) > KVM_DIRTY_LOG_PAGE_OFFSET &&
	    ring_pages && ((vma->vm_flags & VM_EXEC) || !(vma->vm_flags & VM_SHARED)))
		return -EINVAL;
	vma->vm_ops = &hv_vcpu_vm_ops;
	return 0;
}

static int hv_vcpu_release(struct inode *inode, struct file *file)
{
	struct hv_vcpu *vcpu = file->private_data;

	hv_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations hv_vcpu_fops = {
	.owner = THIS_MODULE,
	.release = hv_vcpu_release,
	.unlocked_ioctl = hv_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = hv_vcpu_mmap,
	.llseek = noop_llseek,
};

/* vm->lock held. The vCPU becomes visible to others before its descriptor does. */
static int hv_vcpu_publish(struct hv_vm *vm, struct hv_vcpu *vcpu)
{
	struct file *file;
	char name[24];
	int fd, r;

	/* Nothing can fail once there is a file: its release, which comes late, uses the vCPU. */
	r = xa_reserve(&vm->vcpus, vcpu->index, GFP_KERNEL_ACCOUNT);
	if (r)
		return r;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		xa_release(&vm->vcpus, vcpu->index);
		return fd;
	}
	snprintf(name, sizeof(name), "hv-vcpu:%u", vcpu->id);
	file = anon_inode_getfile(name, &hv_vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		xa_release(&vm->vcpus, vcpu->index);
		return PTR_ERR(file);
	}
	hv_vm_get(vm);		/* the descriptor's */
	xa_store(&vm->vcpus, vcpu->index, vcpu, GFP_KERNEL_ACCOUNT);
	vm->created_vcpus++;
	/* All of the vCPU is in place; pairs with the READ_ONCE in hv_for_each_vcpu(). */
	smp_store_release(&vm->online_vcpus, vm->created_vcpus);
	/* What changed since its reset, too late for it to be asked. */
	hv_request(vcpu, HV_REQ_UPDATE);
	if (vcpu->lapic)
		hv_apic_map_update(vm);
	fd_install(fd, file);
	return fd;
}

int hv_vcpu_create(struct hv_vm *vm, u32 id)
{
	struct hv_vcpu *vcpu;
	int r, idx;

	mutex_lock(&vm->lock);
	r = -EINVAL;
	if (id >= vm->max_vcpu_id || vm->created_vcpus >= HV_MAX_VCPUS)
		goto unlock;
	r = -EEXIST;
	if (hv_vcpu_by_id(vm, id))
		goto unlock;
	idx = srcu_read_lock(&vm->srcu);	/* the MSR filter decides about intercepts */
	vcpu = hv_vcpu_alloc(vm, id);
	srcu_read_unlock(&vm->srcu, idx);
	r = PTR_ERR(vcpu);
	if (IS_ERR(vcpu))
		goto unlock;
	r = hv_vcpu_publish(vm, vcpu);
	if (r < 0)
		hv_vcpu_destroy(vcpu);
unlock:
	mutex_unlock(&vm->lock);
	return r;
}

int hv_vcpu_module_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (!zalloc_cpumask_var_node(&per_cpu(hv_kick_mask, cpu), GFP_KERNEL,
					     cpu_to_node(cpu)))
			goto nomem;
	}
	hv_vcpu_cache = kmem_cache_create("hv_vcpu", hv_ops.vcpu_size, 64, SLAB_ACCOUNT, NULL);
	if (!hv_vcpu_cache)
		goto nomem;
	preempt_notifier_inc();
	return 0;
nomem:
	for_each_possible_cpu(cpu)
		free_cpumask_var(per_cpu(hv_kick_mask, cpu));
	return -ENOMEM;
}

void hv_vcpu_module_exit(void)
{
	int cpu;

	preempt_notifier_dec();
	kmem_cache_destroy(hv_vcpu_cache);
	for_each_possible_cpu(cpu)
		free_cpumask_var(per_cpu(hv_kick_mask, cpu));
}
