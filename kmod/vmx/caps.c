// SPDX-License-Identifier: GPL-2.0-only
/*
 * What VMX this host has: the capability MSRs, read once, and the choice of controls from them.
 * References are to the Intel SDM, volume 3.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "mitigate.h"
#include "vmx.h"

struct vmx_caps vmx_caps;

static bool apicv = true;
module_param(apicv, bool, 0444);
MODULE_PARM_DESC(apicv, "Intel: let the CPU handle guests' APIC accesses and interrupts, if it can");

static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml, "Intel: let the CPU log the pages guests write to, if it can");

static int nx_huge_pages = -1;
module_param(nx_huge_pages, int, 0444);
MODULE_PARM_DESC(nx_huge_pages, "Intel: guests execute from small pages only: 1 yes, 0 no, -1 if the CPU needs it");

/*
 * One word of controls: a bit that is not in @must or @may is wanted clear. @must are the names of
 * what hv cannot do without.
 */
struct vmx_control {
	const char *name;
	u32 msr, true_msr;		/* A.3 to A.5: true_msr where IA32_VMX_BASIC says so */
	u32 must, may;
	u32 *value;
};

/* Names for the refusal, of those a CPU may really lack. */
static const struct {
	u32 *word;
	u32 bit;
	const char *name;
} vmx_names[] = {
	{ &vmx_caps.cpu2, VMX_CPU2_EPT, "extended page tables (EPT)" },
	{ &vmx_caps.cpu2, VMX_CPU2_VPID, "virtual processor ids (VPID)" },
	{ &vmx_caps.cpu2, VMX_CPU2_UNRESTRICTED, "unrestricted guest" },
	{ &vmx_caps.cpu, VMX_CPU_MSR_BITMAPS, "MSR bitmaps" },
	{ &vmx_caps.cpu, VMX_CPU_TPR_SHADOW, "TPR shadow" },
	{ &vmx_caps.pin, VMX_PIN_VIRTUAL_NMIS, "virtual NMIs" },
	{ &vmx_caps.entry, VMX_ENTRY_CTL_LOAD_EFER, "loading of EFER" },
	{ &vmx_caps.entry, VMX_ENTRY_CTL_LOAD_PAT, "loading of PAT" },
};

static const struct vmx_control vmx_primary[] = {
	{ "pin-based", MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	  VMX_PIN_EXTINT | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS,
	  VMX_PIN_PREEMPTION_TIMER, &vmx_caps.pin },
	{ "processor-based", MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	  VMX_CPU_INTR_WINDOW | VMX_CPU_TSC_OFFSET | VMX_CPU_HLT | VMX_CPU_MWAIT | VMX_CPU_RDPMC |
	  VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE | VMX_CPU_TPR_SHADOW | VMX_CPU_NMI_WINDOW |
	  VMX_CPU_MOV_DR | VMX_CPU_IO | VMX_CPU_MSR_BITMAPS | VMX_CPU_MONITOR | VMX_CPU_SECONDARY,
	  VMX_CPU_MONITOR_TRAP, &vmx_caps.cpu },
	{ "exit", MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
	  VMX_EXIT_CTL_SAVE_DEBUG | VMX_EXIT_CTL_HOST_64 | VMX_EXIT_CTL_LOAD_PAT |
	  VMX_EXIT_CTL_LOAD_EFER, VMX_EXIT_CTL_PERF_GLOBAL, &vmx_caps.exit },
	{ "entry", MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	  VMX_ENTRY_CTL_LOAD_DEBUG | VMX_ENTRY_CTL_LOAD_PAT | VMX_ENTRY_CTL_LOAD_EFER |
	  VMX_ENTRY_CTL_IA32E, VMX_ENTRY_CTL_PERF_GLOBAL, &vmx_caps.entry },
};

static const struct vmx_control vmx_secondary = {
	"secondary", MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2,
	VMX_CPU2_EPT | VMX_CPU2_VPID | VMX_CPU2_UNRESTRICTED,
	VMX_CPU2_RDTSCP | VMX_CPU2_WBINVD | VMX_CPU2_INVPCID | VMX_CPU2_ENCLS | VMX_CPU2_XSAVES |
	VMX_CPU2_PCONFIG | VMX_CPU2_ENCLV | VMX_CPU2_PLE | VMX_CPU2_APICV |
	VMX_CPU2_APIC_ACCESS | VMX_CPU2_PML | VMX_CPU2_TSC_SCALING | VMX_CPU2_BUS_LOCK |
	VMX_CPU2_NOTIFY | VMX_CPU2_DESC_TABLE,
	&vmx_caps.cpu2,
};

static int vmx_refuse(const u32 *word, u32 missing, const char *class)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vmx_names); i++) {
		if (vmx_names[i].word != word || !(missing & vmx_names[i].bit))
			continue;
		pr_err("this CPU has VMX without %s, which hv needs\n", vmx_names[i].name);
		return -EOPNOTSUPP;
	}
	pr_err("this CPU has VMX without %s controls %#x, which hv needs\n", class, missing);
	return -EOPNOTSUPP;
}

/* Low half of the MSR: bits that must be 1; high half: bits that may be 1 (A.3.1). */
static int vmx_control_choose(const struct vmx_control *c, u32 msr)
{
	u64 allowed;
	u32 must_be_1, may_be_1;

	if (rdmsrl_safe(msr, &allowed))
		return vmx_refuse(c->value, c->must, c->name);
	must_be_1 = allowed;
	may_be_1 = allowed >> 32;
	if (c->must & ~may_be_1)
		return vmx_refuse(c->value, c->must & ~may_be_1, c->name);
	*c->value = ((c->must | c->may) & may_be_1) | must_be_1;
	return 0;
}

static int vmx_read_controls(u64 basic)
{
	unsigned int i;
	int r;

	/* First, since what a CPU may lack is here; without the register it lacks all. */
	r = vmx_control_choose(&vmx_secondary, vmx_secondary.msr);
	if (r)
		return r;
	for (i = 0; i < ARRAY_SIZE(vmx_primary); i++) {
		const struct vmx_control *c = &vmx_primary[i];

		r = vmx_control_choose(c, basic & VMX_BASIC_TRUE ? c->true_msr : c->msr);
		if (r)
			return r;
	}
	/* All of it or none, but for the page; each vCPU turns it on and off. */
	vmx_caps.virtual_intr = vmx_caps.cpu2 & VMX_CPU2_VIRTUAL_INTR;
	vmx_caps.apic_access = apicv && (vmx_caps.cpu2 & VMX_CPU2_APIC_ACCESS);
	apicv = apicv && (vmx_caps.cpu2 & VMX_CPU2_APICV) == VMX_CPU2_APICV;
	vmx_caps.apicv = apicv;
	vmx_caps.cpu2 &= ~(VMX_CPU2_APICV | VMX_CPU2_APIC_ACCESS);
	/* Turned on for the VMs whose user space wants to know. */
	hv_ops.bus_lock_exit = vmx_caps.cpu2 & VMX_CPU2_BUS_LOCK;
	hv_ops.notify_exit = vmx_caps.cpu2 & VMX_CPU2_NOTIFY;
	/* Without EPT these exit; all CPUs with unrestricted guest can turn them off. */
	if (vmx_caps.cpu & (VMX_CPU_CR3_LOAD | VMX_CPU_CR3_STORE | VMX_CPU_INVLPG)) {
		pr_err("this CPU has VMX that cannot leave CR3 to guests, which hv needs\n");
		return -EOPNOTSUPP;
	}
	/* Both or none: one switches in the guest's counters, the other the host's. */
	if (!(vmx_caps.entry & VMX_ENTRY_CTL_PERF_GLOBAL))
		vmx_caps.exit &= ~VMX_EXIT_CTL_PERF_GLOBAL;
	if (!(vmx_caps.exit & VMX_EXIT_CTL_PERF_GLOBAL))
		vmx_caps.entry &= ~VMX_ENTRY_CTL_PERF_GLOBAL;
	return 0;
}

static int vmx_read_ept(void)
{
	u64 need = VMX_EPT_CAP_WALK_4 | VMX_EPT_CAP_WB | VMX_EPT_CAP_INVEPT;
	u64 cap;

	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	vmx_caps.ept_vpid = cap;
	if ((cap & need) != need ||
	    !(cap & (VMX_EPT_CAP_INVEPT_CONTEXT | VMX_EPT_CAP_INVEPT_ALL))) {
		pr_err("this CPU has EPT without 4-level walks, write-back tables or INVEPT, which hv needs\n");
		return -EOPNOTSUPP;
	}
	/* What it logs is that it sets a dirty bit. */
	pml = pml && (cap & VMX_EPT_CAP_AD) && (vmx_caps.cpu2 & VMX_CPU2_PML);
	if (!pml)
		vmx_caps.cpu2 &= ~VMX_CPU2_PML;
	return 0;
}

/* The preemption timer and TSC scaling, as common code wants to know of them. */
static void vmx_read_time(void)
{
	u64 misc;

	rdmsrl(MSR_IA32_VMX_MISC, misc);
	vmx_caps.exit_timer_shift = misc & VMX_MISC_TIMER_SHIFT;
	/*
	 * The timers of several CPUs before Haswell run at a wrong rate (AAX65 and others in
	 * Intel's specification updates). All since have virtual-interrupt delivery, none before.
	 */
	hv_ops.exit_timer = (vmx_caps.pin & VMX_PIN_PREEMPTION_TIMER) &&
			    vmx_caps.virtual_intr;
	vmx_caps.pin &= ~VMX_PIN_PREEMPTION_TIMER;
	if (vmx_caps.cpu2 & VMX_CPU2_TSC_SCALING)
		hv_ops.tsc_ratio_bits = VMX_TSC_RATIO_BITS;
	vmx_caps.cpu2 &= ~VMX_CPU2_TSC_SCALING;
}

/*
 * The CPU may stop with a machine check when code is fetched from a page whose size changes
 * meanwhile (the iTLB multihit erratum), which a guest could bring about at will.
 */
static bool vmx_small_exec(void)
{
	bool multihit = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();

	return nx_huge_pages < 0 ? multihit : nx_huge_pages;
}

static void vmx_fill_tdp(void)
{
	u64 cap = vmx_caps.ept_vpid;
	bool ad = cap & VMX_EPT_CAP_AD;

	hv_ops.tdp = (struct hv_tdp_format) {
		.present = VMX_EPT_READ | VMX_EPT_WRITE | VMX_EPT_EXEC,
		.table = VMX_EPT_READ | VMX_EPT_WRITE | VMX_EPT_EXEC,
		/* Ordinary memory is write-back whatever the guest's PAT says. */
		.leaf = VMX_EPT_TYPE_WB | VMX_EPT_IGNORE_PAT,
		.large = VMX_EPT_LARGE,
		.read = VMX_EPT_READ,
		.write = VMX_EPT_WRITE,
		.exec = VMX_EPT_EXEC,
		.accessed = ad ? VMX_EPT_ACCESSED : 0,
		.dirty = ad ? VMX_EPT_DIRTY : 0,
		.logs_dirty = pml,
		/* A change of size under the fetch of an instruction stops such a CPU for good. */
		.small_exec = vmx_small_exec(),
		.uncached = 0,		/* type UC; the guest's PAT may make it WC */
		/* Five levels only where guests can have addresses that need them. */
		.levels = (cap & VMX_EPT_CAP_WALK_5) && boot_cpu_data.x86_phys_bits > 48 ? 5 : 4,
		.max_leaf_level = cap & VMX_EPT_CAP_1G ? 3 : cap & VMX_EPT_CAP_2M ? 2 : 1,
	};
}

/* Both controls are turned on when a guest needs them. */
static void vmx_read_umip(void)
{
	vmx_caps.umip = !(vmx_caps.cr4_fixed1 & X86_CR4_UMIP) &&
			(vmx_caps.cpu2 & VMX_CPU2_DESC_TABLE) &&
			(vmx_caps.cpu & VMX_CPU_MONITOR_TRAP);
	hv_ops.umip = vmx_caps.umip;
	vmx_caps.cpu2 &= ~VMX_CPU2_DESC_TABLE;
	vmx_caps.cpu &= ~VMX_CPU_MONITOR_TRAP;
}

static void vmx_read_host(void)
{
	rdmsrl(MSR_IA32_CR_PAT, vmx_caps.host_pat);
	rdmsrl(MSR_EFER, vmx_caps.host_efer);
	rdmsrl(MSR_STAR, vmx_caps.syscall[VMX_STAR]);
	rdmsrl(MSR_LSTAR, vmx_caps.syscall[VMX_LSTAR]);
	rdmsrl(MSR_SYSCALL_MASK, vmx_caps.syscall[VMX_FMASK]);
	vmx_caps.pmu = boot_cpu_has(X86_FEATURE_ARCH_PERFMON);
}

int vmx_hw_setup(void)
{
	u64 basic, feature = 0;
	int r;

	if (!(cpuid_ecx(1) & BIT(5))) {
		apicv = pml = false;	/* as the parameters can be read */
		return -ENODEV;
	}
	/* The kernel takes the bit from its feature word when the firmware has locked VMX out. */
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feature) || !boot_cpu_has(X86_FEATURE_VMX) ||
	    !(feature & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) {
		pr_err("VMX is disabled by the firmware; turn it on in its set-up\n");
		return -EOPNOTSUPP;
	}
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	if (VMX_BASIC_SIZE(basic) > PAGE_SIZE || (basic & VMX_BASIC_ADDR32) ||
	    VMX_BASIC_TYPE(basic) != VMX_BASIC_TYPE_WB) {
		pr_err("this CPU wants its VMCS in a form hv does not know (IA32_VMX_BASIC %#llx)\n",
		       basic);
		return -EOPNOTSUPP;
	}
	vmx_caps.revision = basic & VMX_BASIC_REVISION;
	r = vmx_read_controls(basic);
	if (!r)
		r = vmx_read_ept();
	if (r)
		return r;
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, vmx_caps.cr0_fixed1);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, vmx_caps.cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, vmx_caps.cr4_fixed1);
	vmx_read_umip();
	vmx_read_host();
	vmx_read_time();
	vmx_fill_tdp();
	r = vmx_cpu_init();
	if (!r)
		r = vmx_mitigate_init();
	if (r)
		vmx_cpu_exit();
	return r;
}

void vmx_hw_unsetup(void)
{
	vmx_mitigate_exit();
	vmx_cpu_exit();
}
