// SPDX-License-Identifier: GPL-2.0-only
/*
 * hv.ko: loading, owning the CPUs' virtualization hardware, /dev/hv.
 *
 * Ownership: only one module may use SVM or VMX. hv takes KVM's own slot in the CPU hotplug states
 * (so whoever is second gets -EBUSY, without a race) and then looks at each CPU: one that is
 * already enabled belongs to somebody else.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/syscore_ops.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "irq/irq.h"
#include "compat/emergency.h"
#include "compat/syscore.h"
#include "svm/svm_ops.h"
#include "vcpu_ioctl.h"
#include "vmx/vmx_ops.h"
#include "x86/x86.h"

static bool kvm_device;
module_param(kvm_device, bool, 0444);
MODULE_PARM_DESC(kvm_device, "also register /dev/kvm, for programs that know no other name");

struct hv_x86_ops hv_ops __ro_after_init;
static LIST_HEAD(hv_vms);
static DEFINE_MUTEX(hv_lock);
static bool hv_emergency_armed;		/* under hv_lock */

#define HV_DEFINE_OP(op) DEFINE_STATIC_CALL_NULL(hv_op_##op, *((struct hv_x86_ops *)NULL)->op);
HV_HOT_OPS(HV_DEFINE_OP)
#undef HV_DEFINE_OP

/* ---- CPUs come and go ---------------------------------------------------------------------- */

#ifdef HV_HAVE_CPUHP_KVM_ONLINE
#define HV_CPUHP_STATE CPUHP_AP_KVM_ONLINE
#else
#define HV_CPUHP_STATE CPUHP_AP_KVM_STARTING
#endif

static atomic_t hv_enable_error;
static bool hv_rebooting;		/* the CPUs were given back for good */

static void hv_cpu_enable(void *unused)
{
	int r = hv_ops.cpu_enable();

	if (r)
		atomic_set(&hv_enable_error, r);
}

static void hv_cpu_disable(void *unused)
{
	hv_ops.cpu_disable();
}

static int hv_cpu_online(unsigned int cpu)
{
	unsigned long flags;
	int r;

	/* vCPUs fail on it, as on the others. */
	if (READ_ONCE(hv_rebooting))
		return 0;
	local_irq_save(flags);
	r = hv_ops.cpu_enable();
	local_irq_restore(flags);
	if (r)
		pr_err("CPU %u: somebody else uses its virtualization hardware; keeping it offline\n",
		       cpu);
	return r;
}

static int hv_cpu_offline(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	hv_ops.cpu_disable();
	local_irq_restore(flags);
	return 0;
}

/* vCPU threads are frozen during suspend; only the boot CPU is left, with interrupts off. */
static int hv_suspend(void)
{
	hv_ops.cpu_disable();
	return 0;
}

static void hv_resume(void)
{
	hv_ops.cpu_enable();
}

/*
 * kexec and reboot: the next kernel must find the CPUs as the firmware would leave them. Processes
 * run on for a while; their KVM_RUN fails. A notifier, for 6.1's kexec does not call the system
 * devices' shutdown.
 */
static int hv_reboot(struct notifier_block *nb, unsigned long event, void *unused)
{
	cpus_read_lock();
	WRITE_ONCE(hv_rebooting, true);
	on_each_cpu(hv_cpu_disable, NULL, 1);
	cpus_read_unlock();
	return NOTIFY_OK;
}

static struct notifier_block hv_reboot_notifier = {
	.notifier_call = hv_reboot,
};

/* A crash: the CPU, maybe with a guest's state in it, is about to be stopped for good. */
static void hv_emergency(void)
{
	hv_ops.cpu_disable();
}

/*
 * The kernel has one place for such a callback and complains when a second module wants it: where
 * a crash kernel can start without it, hv has it only while it has VMs, so that an attempt to load
 * kvm fails quietly the rest of the time.
 */
static void hv_emergency_release(void)
{
	mutex_lock(&hv_lock);
	if (hv_emergency_armed && list_empty(&hv_vms)) {
		hv_emergency_unregister(hv_emergency);
		hv_emergency_armed = false;
	}
	mutex_unlock(&hv_lock);
}

static void hv_emergency_disarm(struct work_struct *unused)
{
	if (!hv_ops.blocks_restart)
		hv_emergency_release();
}

static DECLARE_DELAYED_WORK(hv_emergency_work, hv_emergency_disarm);

/* hv_lock held, or nobody else is there yet. */
static void hv_emergency_arm(void)
{
	if (!hv_emergency_armed)
		hv_emergency_register(hv_emergency);
	hv_emergency_armed = true;
}

void hv_vms_add(struct hv_vm *vm)
{
	mutex_lock(&hv_lock);
	hv_emergency_arm();
	list_add(&vm->list, &hv_vms);
	mutex_unlock(&hv_lock);
}

void hv_vms_del(struct hv_vm *vm)
{
	mutex_lock(&hv_lock);
	list_del(&vm->list);
	/* Giving the place back waits for RCU: not in the way of who closes a VM. */
	if (list_empty(&hv_vms))
		schedule_delayed_work(&hv_emergency_work, HZ);
	mutex_unlock(&hv_lock);
}

void hv_vms_each(void (*fn)(struct hv_vm *vm))
{
	struct hv_vm *vm;

	mutex_lock(&hv_lock);
	list_for_each_entry(vm, &hv_vms, list)
		fn(vm);
	mutex_unlock(&hv_lock);
}

static int hv_own_cpus(void)
{
	int r;

	cpus_read_lock();
	r = cpuhp_setup_state_nocalls_cpuslocked(HV_CPUHP_STATE, "virt/hv:online", hv_cpu_online,
						 hv_cpu_offline);
	if (r)
		goto unlock;
	atomic_set(&hv_enable_error, 0);
	on_each_cpu(hv_cpu_enable, NULL, 1);
	r = atomic_read(&hv_enable_error);
	if (!r)
		goto unlock;
	on_each_cpu(hv_cpu_disable, NULL, 1);
	cpuhp_remove_state_nocalls_cpuslocked(HV_CPUHP_STATE);
unlock:
	cpus_read_unlock();
	if (r == -EBUSY)
		pr_err("kvm or another hypervisor uses this CPU's virtualization hardware: stop its guests, run 'modprobe -r kvm_amd kvm_intel kvm', then 'modprobe hv'\n");
	else if (r)
		pr_err("cannot take the CPUs: error %d\n", r);
	return r;
}

static void hv_disown_cpus(void)
{
	cpus_read_lock();
	on_each_cpu(hv_cpu_disable, NULL, 1);
	cpuhp_remove_state_nocalls_cpuslocked(HV_CPUHP_STATE);
	cpus_read_unlock();
}

/* ---- /dev/hv ------------------------------------------------------------------------------- */

static long hv_dev_get_cpuid(struct kvm_cpuid2 __user *arg, bool emulated)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;
	int n;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > HV_MAX_CPUID_ENTRIES)
		head.nent = HV_MAX_CPUID_ENTRIES;
	entries = kvcalloc(head.nent ?: 1, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	n = emulated ? hv_cpuid_emulated(entries, head.nent) :
		       hv_cpuid_supported(entries, head.nent);
	if (n >= 0) {
		head.nent = n;
		n = 0;
		if (copy_to_user(arg, &head, sizeof(head)) ||
		    copy_to_user(arg->entries, entries, head.nent * sizeof(*entries)))
			n = -EFAULT;
	}
	kvfree(entries);
	return n;
}

static long hv_dev_msr_list(struct kvm_msr_list __user *arg, const u32 *indices, u32 n)
{
	u32 room;

	if (get_user(room, &arg->nmsrs) || put_user(n, &arg->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	return copy_to_user(arg->indices, indices, n * sizeof(u32)) ? -EFAULT : 0;
}

static long hv_dev_get_msrs(struct kvm_msrs __user *arg)
{
	struct kvm_msr_entry entry;
	struct kvm_msrs head;
	u32 i;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= HV_MAX_IO_MSRS)
		return -E2BIG;
	for (i = 0; i < head.nmsrs; i++) {
		if (copy_from_user(&entry, &arg->entries[i], sizeof(entry)))
			return -EFAULT;
		if (hv_msr_feature_get(entry.index, &entry.data))
			break;
		if (copy_to_user(&arg->entries[i], &entry, sizeof(entry)))
			return -EFAULT;
	}
	return i;
}

static long hv_dev_attr(const struct kvm_device_attr __user *arg, bool get)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, arg, sizeof(attr)))
		return -EFAULT;
	return get ? hv_dev_get_attr(&attr) : hv_dev_has_attr(&attr);
}

static long hv_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	const u32 *indices;
	u64 mce_cap;
	u32 n;

	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return hv_vm_create(arg);
	case KVM_CHECK_EXTENSION:
		return hv_check_extension(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : 3 * PAGE_SIZE;	/* run, PIO data, coalesced ring */
	case KVM_GET_SUPPORTED_CPUID:
		return hv_dev_get_cpuid(argp, false);
	case KVM_GET_EMULATED_CPUID:
		return hv_dev_get_cpuid(argp, true);
	case KVM_GET_SUPPORTED_HV_CPUID:
		return hv_copy_hyperv_cpuid(NULL, argp);
	case KVM_GET_MSR_INDEX_LIST:
		n = hv_msr_list(&indices);
		return hv_dev_msr_list(argp, indices, n);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		n = hv_msr_feature_list(&indices);
		return hv_dev_msr_list(argp, indices, n);
	case KVM_GET_MSRS:
		return hv_dev_get_msrs(argp);
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return hv_dev_attr(argp, cmd == KVM_GET_DEVICE_ATTR);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		mce_cap = hv_mce_supported();
		return copy_to_user(argp, &mce_cap, sizeof(mce_cap)) ? -EFAULT : 0;
	default:
		return -EINVAL;
	}
}

static const struct file_operations hv_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = hv_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice hv_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hv",
	.mode = 0660,
	.fops = &hv_dev_fops,
};

static struct miscdevice kvm_misc = {
	.minor = 232,			/* KVM_MINOR, fixed so that static nodes match */
	.name = "kvm",
	.mode = 0660,
	.fops = &hv_dev_fops,
};

static int hv_register_devices(void)
{
	int r = misc_register(&hv_misc);

	if (r) {
		pr_err("cannot register /dev/hv: error %d\n", r);
		return r;
	}
	if (!kvm_device)
		return 0;
	r = misc_register(&kvm_misc);
	if (r) {
		pr_err("cannot register /dev/kvm (is kvm loaded?): error %d\n", r);
		misc_deregister(&hv_misc);
	}
	return r;
}

static void hv_unregister_devices(void)
{
	if (kvm_device)
		misc_deregister(&kvm_misc);
	misc_deregister(&hv_misc);
}

/* ---- load and unload ----------------------------------------------------------------------- */

/* The one place that knows the vendors. Kbuild says for which of them the kernel exports enough. */
static struct hv_x86_ops *const hv_vendors[] __initconst = {
#ifdef HV_HAVE_VMX
	&hv_vmx_ops,
#endif
	&hv_svm_ops,
};

static int __init hv_pick_vendor(void)
{
	unsigned int i;
	int r;

	for (i = 0; i < ARRAY_SIZE(hv_vendors); i++) {
		hv_ops = *hv_vendors[i];
		r = hv_ops.hw_setup();
		if (!r)
			goto found;
		if (r != -ENODEV)
			return r;
	}
	pr_err("this CPU offers no hardware virtualization that hv supports (AMD SVM with nested paging, Intel VMX with EPT)\n");
	return -EOPNOTSUPP;
found:
#define HV_UPDATE_OP(op) static_call_update(hv_op_##op, hv_ops.op);
	HV_HOT_OPS(HV_UPDATE_OP)
#undef HV_UPDATE_OP
	return 0;
}

static int __init hv_init(void)
{
	int r;

	r = hv_pick_vendor();
	if (r)
		return r;
	r = hv_vcpu_module_init();
	if (r)
		goto unsetup;
	r = hv_x86_init();
	if (r)
		goto vcpu_exit;
	r = hv_irqfd_init();
	if (r)
		goto x86_exit;
	r = hv_apf_init();
	if (r)
		goto irqfd_exit;
	r = hv_own_cpus();
	if (r)
		goto apf_exit;
	r = hv_clock_init();
	if (r)
		goto disown;
	if (hv_ops.blocks_restart)
		hv_emergency_arm();
	register_reboot_notifier(&hv_reboot_notifier);
	hv_syscore_register();
	r = hv_register_devices();
	if (r)
		goto syscore;
	pr_info("ready (%s%s)\n", hv_ops.name, kvm_device ? ", also as /dev/kvm" : "");
	return 0;

syscore:
	hv_syscore_unregister();
	unregister_reboot_notifier(&hv_reboot_notifier);
	hv_emergency_release();
	hv_clock_exit();
disown:
	hv_disown_cpus();
apf_exit:
	hv_apf_exit();
irqfd_exit:
	hv_irqfd_exit();
x86_exit:
	hv_x86_exit();
vcpu_exit:
	hv_vcpu_module_exit();
unsetup:
	hv_ops.hw_unsetup();
	return r;
}

static void __exit hv_exit(void)
{
	hv_unregister_devices();
	/* First: its workers may hold the last reference of a VM. */
	hv_apf_exit();
	cancel_delayed_work_sync(&hv_emergency_work);
	hv_syscore_unregister();
	unregister_reboot_notifier(&hv_reboot_notifier);
	hv_clock_exit();
	hv_disown_cpus();
	hv_emergency_release();
	hv_irqfd_exit();
	hv_x86_exit();
	hv_vcpu_module_exit();
	hv_ops.hw_unsetup();
	pr_info("unloaded\n");
}

HV_SYSCORE_DEFINE(hv_suspend, hv_resume);

module_init(hv_init);
module_exit(hv_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hv: guests as ordinary processes, on AMD SVM and Intel VMX");
MODULE_SOFTDEP("pre: irqbypass");
