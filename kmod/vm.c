// SPDX-License-Identifier: GPL-2.0-only
/* A VM: creation, lifetime, its ioctls (one function per ioctl that needs more than a line). */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv.h"
#include "irq/irq.h"
#include "irq/lapic_defs.h"
#include "mmu/mmu.h"
#include "x86/x86.h"

#define HV_MIN_MMU_PAGES	64	/* what KVM takes at least */

/* ---- small ioctls -------------------------------------------------------------------------- */

static int hv_vm_create_irqchip(struct hv_vm *vm)
{
	int r;

	mutex_lock(&vm->lock);
	r = hv_irqchip_create(vm);
	mutex_unlock(&vm->lock);
	return r;
}

static int hv_vm_create_pit(struct hv_vm *vm, u32 flags)
{
	int r;

	mutex_lock(&vm->lock);
	r = hv_pit_create(vm, flags);
	mutex_unlock(&vm->lock);
	return r;
}

static int hv_vm_set_boot_cpu(struct hv_vm *vm, unsigned long id)
{
	int r = 0;

	mutex_lock(&vm->lock);
	if (vm->created_vcpus)
		r = -EBUSY;
	else if (id >= vm->max_vcpu_id)
		r = -EINVAL;
	else
		vm->bsp_id = id;
	mutex_unlock(&vm->lock);
	return r;
}

/* SVM needs neither; they are kept because the ABI lets user space set them before vCPUs. */
static int hv_vm_set_tss_addr(struct hv_vm *vm, unsigned long addr)
{
	if (addr > U32_MAX - 3 * PAGE_SIZE)
		return -EINVAL;
	vm->tss_addr = addr;
	return 0;
}

static int hv_vm_set_identity_map(struct hv_vm *vm, u64 addr)
{
	int r = -EINVAL;

	mutex_lock(&vm->lock);
	if (!vm->created_vcpus) {
		vm->identity_map_addr = addr;
		r = 0;
	}
	mutex_unlock(&vm->lock);
	return r;
}

/*
 * A wish of the days of shadow paging. Second-level tables are as many as the guest's memory
 * needs.
 */
static int hv_vm_set_nr_mmu_pages(struct hv_vm *vm, unsigned long nr)
{
	return nr < HV_MIN_MMU_PAGES ? -EINVAL : 0;
}

static int hv_vm_get_irqchip(struct hv_vm *vm, struct kvm_irqchip __user *arg)
{
	struct kvm_irqchip *chip = memdup_user(arg, sizeof(*chip));
	u32 id;
	int r;

	if (IS_ERR(chip))
		return PTR_ERR(chip);
	id = chip->chip_id;
	memset(chip, 0, sizeof(*chip));
	chip->chip_id = id;
	r = hv_irqchip_get(vm, chip);
	if (!r && copy_to_user(arg, chip, sizeof(*chip)))
		r = -EFAULT;
	kfree(chip);
	return r;
}

static int hv_vm_set_irqchip(struct hv_vm *vm, const struct kvm_irqchip __user *arg)
{
	struct kvm_irqchip *chip = memdup_user(arg, sizeof(*chip));
	int r;

	if (IS_ERR(chip))
		return PTR_ERR(chip);
	r = hv_irqchip_set(vm, chip);
	kfree(chip);
	return r;
}

static int hv_vm_set_routing(struct hv_vm *vm, struct kvm_irq_routing __user *arg)
{
	struct kvm_irq_routing_entry *entries = NULL;
	struct kvm_irq_routing head;
	int r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (!hv_irqchip_in_kernel(vm) || head.nr > HV_MAX_GSI || head.flags)
		return -EINVAL;
	if (head.nr) {
		entries = vmemdup_user(arg->entries, array_size(sizeof(*entries), head.nr));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = hv_irq_set_routing(vm, entries, head.nr, head.flags);
	kvfree(entries);
	return r;
}

static int hv_vm_irq_line(struct hv_vm *vm, struct kvm_irq_level __user *arg, bool status)
{
	struct kvm_irq_level line;
	int r;

	if (copy_from_user(&line, arg, sizeof(line)))
		return -EFAULT;
	if (!hv_irqchip_in_kernel(vm))
		return -ENXIO;
	r = hv_irq_set_level(vm, 0, line.irq, line.level, status);
	if (!status)
		return 0;
	line.status = r;
	return copy_to_user(arg, &line, sizeof(line)) ? -EFAULT : 0;
}

/* KVM_GET_PIT and KVM_SET_PIT carry the state without its flags. */
static int hv_vm_get_pit(struct hv_vm *vm, void __user *arg, size_t size)
{
	struct kvm_pit_state2 ps = {};
	int r = hv_pit_get(vm, &ps);

	if (r)
		return r;
	return copy_to_user(arg, &ps, size) ? -EFAULT : 0;
}

static int hv_vm_set_pit(struct hv_vm *vm, const void __user *arg, size_t size)
{
	struct kvm_pit_state2 ps = {};

	if (copy_from_user(&ps, arg, size))
		return -EFAULT;
	return hv_pit_set(vm, &ps);
}

static int hv_vm_get_clock(struct hv_vm *vm, void __user *arg)
{
	struct kvm_clock_data data = {};

	hv_clock_get_ioctl(vm, &data);
	return copy_to_user(arg, &data, sizeof(data)) ? -EFAULT : 0;
}

static int hv_vm_set_clock(struct hv_vm *vm, const void __user *arg)
{
	struct kvm_clock_data data;

	if (copy_from_user(&data, arg, sizeof(data)))
		return -EFAULT;
	return hv_clock_set_ioctl(vm, &data);
}

/* ---- the ioctl table, in three parts: memory and vCPUs, interrupts, the rest --------------- */

#define HV_COPY_IN(type, name)					\
	type name;						\
								\
	if (copy_from_user(&(name), argp, sizeof(name)))	\
		return -EFAULT

/* The second form of the argument begins with the first. */
static long hv_vm_ioctl_slots(struct hv_vm *vm, void __user *argp, size_t size)
{
	struct kvm_userspace_memory_region2 mem = {};

	BUILD_BUG_ON(offsetofend(struct kvm_userspace_memory_region2, userspace_addr) !=
		     sizeof(struct kvm_userspace_memory_region));
	if (copy_from_user(&mem, argp, size))
		return -EFAULT;
	return hv_slot_set(vm, &mem);
}

static long hv_vm_ioctl_dirty_log(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_dirty_log, log);
	return hv_slot_get_dirty_log(vm, &log);
}

static long hv_vm_ioctl_clear_dirty(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_clear_dirty_log, log);
	return hv_slot_clear_dirty_log(vm, &log);
}

static long hv_vm_ioctl_coalesced(struct hv_vm *vm, void __user *argp, bool add)
{
	HV_COPY_IN(struct kvm_coalesced_mmio_zone, zone);
	return add ? hv_coalesced_register(vm, &zone) : hv_coalesced_unregister(vm, &zone);
}

static long hv_vm_ioctl_irqfd(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_irqfd, args);
	return hv_irqfd(vm, &args);
}

static long hv_vm_ioctl_ioeventfd(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_ioeventfd, args);
	return hv_ioeventfd(vm, &args);
}

static long hv_vm_ioctl_msi(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_msi, msi);
	return hv_irq_signal_msi(vm, &msi);
}

static long hv_vm_ioctl_hyperv_eventfd(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_hyperv_eventfd, args);
	return hv_hyperv_eventfd(vm, &args);
}

static long hv_vm_ioctl_create_pit(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_pit_config, config);
	return hv_vm_create_pit(vm, config.flags);
}

static long hv_vm_ioctl_reinject(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_reinject_control, rc);
	return hv_pit_reinject(vm, &rc);
}

static long hv_vm_ioctl_identity(struct hv_vm *vm, void __user *argp)
{
	u64 addr;

	/* As with KVM, being late is the first complaint; the lock settles it for good. */
	if (READ_ONCE(vm->created_vcpus))
		return -EINVAL;
	if (copy_from_user(&addr, argp, sizeof(addr)))
		return -EFAULT;
	return hv_vm_set_identity_map(vm, addr);
}

static long hv_vm_ioctl_enable_cap(struct hv_vm *vm, void __user *argp)
{
	HV_COPY_IN(struct kvm_enable_cap, cap);
	return hv_vm_enable_cap(vm, &cap);
}

static long hv_vm_ioctl_irq(struct hv_vm *vm, unsigned int cmd, void __user *argp)
{
	switch (cmd) {
	case KVM_CREATE_IRQCHIP:
		return hv_vm_create_irqchip(vm);
	case KVM_GET_IRQCHIP:
		return hv_vm_get_irqchip(vm, argp);
	case KVM_SET_IRQCHIP:
		return hv_vm_set_irqchip(vm, argp);
	case KVM_CREATE_PIT:
		return hv_vm_create_pit(vm, KVM_PIT_SPEAKER_DUMMY);
	case KVM_CREATE_PIT2:
		return hv_vm_ioctl_create_pit(vm, argp);
	case KVM_GET_PIT:
		return hv_vm_get_pit(vm, argp, sizeof(struct kvm_pit_state));
	case KVM_SET_PIT:
		return hv_vm_set_pit(vm, argp, sizeof(struct kvm_pit_state));
	case KVM_GET_PIT2:
		return hv_vm_get_pit(vm, argp, sizeof(struct kvm_pit_state2));
	case KVM_SET_PIT2:
		return hv_vm_set_pit(vm, argp, sizeof(struct kvm_pit_state2));
	case KVM_REINJECT_CONTROL:
		return hv_vm_ioctl_reinject(vm, argp);
	case KVM_SET_GSI_ROUTING:
		return hv_vm_set_routing(vm, argp);
	case KVM_IRQ_LINE:
		return hv_vm_irq_line(vm, argp, false);
	case KVM_IRQ_LINE_STATUS:
		return hv_vm_irq_line(vm, argp, true);
	case KVM_SIGNAL_MSI:
		return hv_vm_ioctl_msi(vm, argp);
	case KVM_IRQFD:
		return hv_vm_ioctl_irqfd(vm, argp);
	case KVM_IOEVENTFD:
		return hv_vm_ioctl_ioeventfd(vm, argp);
	case KVM_HYPERV_EVENTFD:
		return hv_vm_ioctl_hyperv_eventfd(vm, argp);
	default:
		return -ENOTTY;
	}
}

static long hv_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hv_vm *vm = file->private_data;
	void __user *argp = (void __user *)arg;

	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;
	switch (cmd) {
	case KVM_CREATE_VCPU:
		return arg >> 32 ? -EINVAL : hv_vcpu_create(vm, arg);
	case KVM_SET_USER_MEMORY_REGION:
		return hv_vm_ioctl_slots(vm, argp, sizeof(struct kvm_userspace_memory_region));
	case KVM_SET_USER_MEMORY_REGION2:
		return hv_vm_ioctl_slots(vm, argp, sizeof(struct kvm_userspace_memory_region2));
	case KVM_GET_DIRTY_LOG:
		return hv_vm_ioctl_dirty_log(vm, argp);
	case KVM_CLEAR_DIRTY_LOG:
		return hv_vm_ioctl_clear_dirty(vm, argp);
	case KVM_RESET_DIRTY_RINGS:
		return hv_dirty_rings_reset(vm);
	case KVM_REGISTER_COALESCED_MMIO:
		return hv_vm_ioctl_coalesced(vm, argp, true);
	case KVM_UNREGISTER_COALESCED_MMIO:
		return hv_vm_ioctl_coalesced(vm, argp, false);
	case KVM_CHECK_EXTENSION:
		return hv_check_extension(vm, arg);
	case KVM_ENABLE_CAP:
		return hv_vm_ioctl_enable_cap(vm, argp);
	case KVM_SET_TSS_ADDR:
		return hv_vm_set_tss_addr(vm, arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return hv_vm_ioctl_identity(vm, argp);
	case KVM_SET_BOOT_CPU_ID:
		return hv_vm_set_boot_cpu(vm, arg);
	case KVM_GET_CLOCK:
		return hv_vm_get_clock(vm, argp);
	case KVM_SET_CLOCK:
		return hv_vm_set_clock(vm, argp);
	case KVM_GET_STATS_FD:
		return hv_vm_stats_fd(vm);
	case KVM_X86_SET_MSR_FILTER:
		return hv_msr_filter_set(vm, argp);
	case KVM_SET_NR_MMU_PAGES:
		return hv_vm_set_nr_mmu_pages(vm, arg);
	case KVM_GET_TSC_KHZ:
		return READ_ONCE(vm->default_tsc_khz);
	case KVM_XEN_HVM_CONFIG:
	case KVM_XEN_HVM_GET_ATTR:
	case KVM_XEN_HVM_SET_ATTR:
	case KVM_XEN_HVM_EVTCHN_SEND:
		return hv_xen_vm_ioctl(vm, cmd, argp);
	case KVM_SET_TSC_KHZ:
		return hv_tsc_set_default_khz(vm, arg);
	default:
		return hv_vm_ioctl_irq(vm, cmd, argp);
	}
}

/* ---- life and death ------------------------------------------------------------------------ */

static int hv_vm_release(struct inode *inode, struct file *file)
{
	struct hv_vm *vm = file->private_data;

	hv_irq_vm_release(vm);
	hv_vm_put(vm);
	return 0;
}

static const struct file_operations hv_vm_fops = {
	.owner = THIS_MODULE,
	.release = hv_vm_release,
	.unlocked_ioctl = hv_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static void hv_vm_free(struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	hv_vms_del(vm);
	hv_irq_vm_quiesce(vm);
	hv_mmu_destroy(vm);
	xa_for_each(&vm->vcpus, i, vcpu)
		hv_vcpu_destroy(vcpu);
	xa_destroy(&vm->vcpus);
	hv_hyperv_vm_free(vm);
	hv_xen_vm_free(vm);
	hv_irq_vm_free(vm);
	hv_slots_free(vm);
	hv_msr_filter_free(vm);
	cleanup_srcu_struct(&vm->irq_srcu);
	cleanup_srcu_struct(&vm->srcu);
	if (vm->ring)
		free_page((unsigned long)vm->ring);
	mmdrop(vm->mm);
	kvfree(vm);
}

void hv_vm_get(struct hv_vm *vm)
{
	refcount_inc(&vm->users);
}

void hv_vm_put(struct hv_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		hv_vm_free(vm);
}

static struct hv_vm *hv_vm_alloc(void)
{
	struct hv_vm *vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int r;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	refcount_set(&vm->users, 1);
	INIT_LIST_HEAD(&vm->list);
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	mutex_init(&vm->irq_lock);
	spin_lock_init(&vm->apic_map_lock);
	spin_lock_init(&vm->irqfds_lock);
	spin_lock_init(&vm->ring_lock);
	raw_spin_lock_init(&vm->clock_lock);
	xa_init(&vm->vcpus);
	init_waitqueue_head(&vm->quiesce_wait);
	INIT_LIST_HEAD(&vm->irqfds);
	INIT_LIST_HEAD(&vm->ioeventfds);
	INIT_LIST_HEAD(&vm->coalesced_zones);
	vm->max_vcpu_id = HV_MAX_VCPU_ID;
	vm->halt_poll_ns = -1;
	vm->apic_bus_ns = HV_APIC_BUS_NS;
	vm->mm = current->mm;
	mmgrab(vm->mm);

	r = -ENOMEM;
	vm->ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vm->ring)
		goto free;
	r = init_srcu_struct(&vm->srcu);
	if (r)
		goto free;
	r = init_srcu_struct(&vm->irq_srcu);
	if (r)
		goto srcu;
	r = hv_slots_init(vm);
	if (r)
		goto irq_srcu;
	r = hv_irq_vm_init(vm);
	if (r)
		goto slots;
	r = hv_hyperv_vm_init(vm);
	if (r)
		goto irq;
	hv_clock_vm_init(vm);
	r = hv_mmu_init(vm);
	if (r)
		goto hyperv;
	return vm;

hyperv:
	hv_hyperv_vm_free(vm);
irq:
	hv_irq_vm_free(vm);
slots:
	hv_slots_free(vm);
irq_srcu:
	cleanup_srcu_struct(&vm->irq_srcu);
srcu:
	cleanup_srcu_struct(&vm->srcu);
free:
	free_page((unsigned long)vm->ring);
	mmdrop(vm->mm);
	kvfree(vm);
	return ERR_PTR(r);
}

int hv_vm_create(unsigned long type)
{
	struct hv_vm *vm;
	int fd;

	if (type)
		return -EINVAL;
	vm = hv_vm_alloc();
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	hv_vms_add(vm);
	fd = anon_inode_getfd("hv-vm", &hv_vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		hv_vm_put(vm);
	return fd;
}

struct hv_vcpu *hv_vcpu_by_id(struct hv_vm *vm, u32 id)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	hv_for_each_vcpu(vm, vcpu, i)
		if (vcpu->id == id)
			return vcpu;
	return NULL;
}
