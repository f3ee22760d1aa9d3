/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects of hv: a VM, its vCPUs, and what common code asks of the vendor code.
 *
 * Lifetimes: /dev/hv makes VM descriptors, a VM descriptor makes vCPU (and device) descriptors.
 * Each descriptor holds a reference on the VM (hv_vm_get/hv_vm_put); the last one tears it down.
 * A vCPU lives as long as its VM. Documentation/locking.rst has the locks and their order.
 */
#ifndef HV_H
#define HV_H

#include <linux/kvm.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/signal_types.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "linux/kvm_later.h"
#include "stats.h"
#include "x86/emulate.h"

#define HV_MAX_VCPUS		1024
#define HV_SOFT_MAX_VCPUS	64		/* what KVM_CAP_NR_VCPUS recommends at most */
#define HV_MAX_VCPU_ID		4096		/* ids are below this: they may have gaps */
#define HV_USER_SLOTS		32764		/* memory slots a VM can have (as KVM on x86) */
#define HV_NR_AS		2		/* address spaces: the second is that of SMM */
#define HV_MAX_GSI		4096		/* routable interrupt lines, routing entries */

typedef u64 hv_gfn_t;				/* guest frame number: gpa >> PAGE_SHIFT */

struct hv_vm;
struct hv_vcpu;
struct hv_lapic;
struct hv_ioapic;
struct hv_pic;
struct hv_pit;
struct hv_irq_routing;
struct hv_iobus;
struct hv_memslots;
struct hv_cpuid;
struct hv_hyperv;
struct hv_hyperv_vm;
struct hv_xen;
struct hv_xen_vm;
struct hv_msr_filter;

/* ---- vCPU registers ------------------------------------------------------------------------ */

/* General registers: enum hv_gpr of x86/emulate.h, in the order of the instruction encoding. */
#define HV_NR_GPRS HV_GPR_COUNT

/* Segment registers in the order of the instruction encoding, then the two system ones. */
enum hv_segreg { HV_ES, HV_CS, HV_SS, HV_DS, HV_FS, HV_GS, HV_LDTR, HV_TR, HV_NR_SEGS };

/*
 * Register state comes in groups. Common code calls hv_regs_need() before it reads a group and
 * hv_regs_dirty() when it has changed one; the vendor code copies a group from or to its control
 * block only then. GPRs, RIP and RFLAGS (HV_REGS_GPR) are always in place between exits.
 */
#define HV_REGS_GPR	BIT(0)	/* gpr[], rip, rflags: always valid, always written back */
#define HV_REGS_SEG	BIT(1)	/* seg[], gdt, idt */
#define HV_REGS_CR	BIT(2)	/* cr0, cr2, cr3, cr4, efer (guest-visible values) */
#define HV_REGS_DR	BIT(3)	/* dr6, dr7 (db[] are kept by x86/debug.c) */
#define HV_REGS_CODE	BIT(4)	/* seg[HV_CS], seg[HV_SS], to read mode and privilege */
#define HV_REGS_ALL	(HV_REGS_GPR | HV_REGS_SEG | HV_REGS_CR | HV_REGS_DR | HV_REGS_CODE)

struct hv_regs {
	u64 gpr[HV_NR_GPRS];
	u64 rip;
	u64 rflags;
	struct kvm_segment seg[HV_NR_SEGS];
	struct kvm_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, efer;
	u64 db[4], dr6, dr7;		/* the guest's debug registers */
};

/* ---- events waiting for a vCPU -------------------------------------------------------------- */

struct hv_exception {
	bool pending;		/* raised, side effects (CR2, DR6) not yet applied */
	bool injected;		/* delivery begun: must be re-injected as it is */
	bool has_error;
	bool has_payload;
	u8 vector;
	u32 error_code;
	u64 payload;		/* #PF: CR2, #DB: DR6 bits */
};

struct hv_events {
	struct hv_exception exception;
	struct {
		bool injected;
		bool soft;
		u8 vector;
	} interrupt;
	bool nmi_injected;
	u8 nmi_pending;		/* 0-2, taken over from nmi_queued */
	atomic_t nmi_queued;	/* from other threads */
	int user_irq;		/* KVM_INTERRUPT without in-kernel irqchip: vector or -1 */
};

/* ---- requests: bits that other threads set and the vCPU acts on before it enters ------------- */

enum hv_req {
	HV_REQ_TLB_FLUSH,	/* second-level entries changed: flush before the next entry */
	HV_REQ_EVENT,		/* look for interrupts, NMIs, exceptions to inject */
	HV_REQ_NMI,		/* nmi_queued is not zero */
	HV_REQ_SLOTS,		/* let go of the memory slots' SRCU and take them again */
	HV_REQ_CLOCK,		/* kvm-clock data is stale */
	HV_REQ_TIMER,		/* the LAPIC timer fired: hv_lapic_timer_inject() */
	HV_REQ_TRIPLE_FAULT,	/* report KVM_EXIT_SHUTDOWN */
	HV_REQ_VM_DEAD,		/* the VM is being torn down or is broken: -EIO */
	HV_REQ_UNBLOCK,		/* wake from HLT without a reason of the guest's */
	HV_REQ_STEAL,		/* write steal time */
	HV_REQ_APIC_EVENT,	/* INIT or SIPI is latched in the LAPIC */
	HV_REQ_IOAPIC_EOI,	/* KVM_EXIT_IOAPIC_EOI (split irqchip); hv_lapic_eoi_vector() */
	HV_REQ_PV_EOI,		/* hv_pv_eoi_disarm() */
	HV_REQ_APF,		/* pages that were missing have come: hv_apf_update() */
	HV_REQ_STIMER,		/* a synthetic timer is due: hv_stimers_run() */
	HV_REQ_HYPERV,		/* user space must hear of something: hv_hyperv_exit() */
	HV_REQ_BUS_LOCK,	/* KVM_EXIT_X86_BUS_LOCK */
	HV_REQ_XEN,		/* events that only this thread can deliver: hv_xen_update() */
	HV_REQ_DEBUG,		/* KVM_EXIT_DEBUG: an emulated instruction was stepped */
	HV_REQ_SMI,		/* enter SMM */
	HV_REQ_TPR_ACCESS,	/* KVM_EXIT_TPR_ACCESS */
	HV_REQ_VAPIC,		/* the VAPIC's word is not in memory: hv_vapic_fault_in() */
	HV_REQ_RING_FULL,	/* KVM_EXIT_DIRTY_RING_FULL until there is room */
	HV_REQ_UPDATE,		/* ops->update(): what depends on the VM's settings changed */
	HV_REQ_APIC,		/* software changed what a CPU that has the LAPIC must know */
	HV_REQ_APIC_PAGE,	/* hv_apic_page_unmap(): not all APICs are there any more */
	HV_NR_REQS
};

enum hv_vcpu_mode { HV_OUTSIDE_GUEST, HV_IN_GUEST };

/* What an exit handler wants to happen next; negative values are -errno for KVM_RUN. */
enum hv_next {
	HV_NEXT_USER = 0,	/* vcpu->run is filled in: return to user space */
	HV_NEXT_RESUME = 1,	/* go on running the guest */
	HV_NEXT_SLEEP = 2,	/* call the handler again where it may sleep (nothing changed) */
	HV_NEXT_NONE = 3,	/* inside handlers: nothing decided yet, go on */
};

/* Per-vCPU MSRs that common code keeps (x86/msr.c); the rest lives in the control block. */
struct hv_msrs {
	u64 apic_base;
	u64 misc_enable;
	u64 ia32_tsc_adjust;
	u64 tsc_aux;
	u64 ucode_rev;
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_var[16];
	u64 mcg_cap, mcg_status, mcg_ctl, mcg_ext_ctl;
	u64 *mce_banks;			/* 4 registers per bank */
	u64 feature_control;
	u64 smi_count;
	u64 hwcr;
	u64 xss;
	u64 spec_ctrl;
	u64 virt_spec_ctrl;
	u64 arch_capabilities;
	u64 platform_info;
	u64 misc_features;		/* IA32_MISC_FEATURES_ENABLES */
	u64 poll_control;
};

/* kvm-clock and steal time of one vCPU (x86/clock.c, x86/pv.c). */
struct hv_pvclock {
	u64 msr_system_time;		/* as the guest wrote it; bit 0: enabled */
	u64 msr_steal_time;
	u64 last_steal;			/* run_delay at the last report, ns */
	bool marked_preempted;		/* the guest was told that this vCPU does not run */
	bool between_insns;		/* no instruction is half emulated */
	u64 clock_written_ns;		/* CLOCK_BOOTTIME of the last hv_clock_update() */
	bool guest_stopped;		/* KVM_KVMCLOCK_CTRL: PVCLOCK_GUEST_STOPPED next time */
	u64 tsc_offset;			/* guest TSC = host TSC (scaled) + tsc_offset */
	u64 tsc_ratio;			/* in hv_ops.tsc_ratio_bits, 0: not scaled */
	u32 tsc_khz;			/* guest's TSC frequency */
};

/* Paravirtual features of KVM's ABI other than clock and steal time (x86/pv*.c). */
struct hv_para {
	bool enforce;			/* KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
	bool unhalted;			/* KVM_HC_KICK_CPU: ends HLT once; set by other vCPUs */
	bool eoi_armed;			/* the guest may EOI by its memory; see x86/pv_eoi.c */
	u64 msr_eoi;			/* MSR_KVM_PV_EOI_EN */
	bool eoi_on;
	u64 eoi_gpa;
};

/* Pages that the host fetches while the guest runs on (x86/async_pf.c). */
struct hv_apf {
	u64 msr_enable, msr_int;	/* MSR_KVM_ASYNC_PF_EN, _INT */
	bool halted;			/* an artificial HLT until a page or an interrupt comes */
	bool ready_pending;		/* a token was given, the guest has not acknowledged it */
	bool wake_all;			/* tell the guest that all pages have come */
	u32 next_token;
	u32 nr;				/* in both lists */
	spinlock_t lock;		/* of both lists */
	struct list_head waiting, done;
};

/* The guest's extended register state (x86/fpu.c): a standard-format XSAVE area. */
struct hv_fpu {
	void *area;			/* 64-byte aligned, hv_caps.xsave_size bytes */
	u64 xcr0;			/* guest's */
	u64 xfeatures;			/* components the guest may enable (from its CPUID) */
	bool loaded;			/* in the CPU's registers now (inner loop) */
	u32 host_pkru;
	u64 host_xcr0;
	u64 host_tsc_aux;
};

/*
 * An emulated instruction that needs user space (emul.c). Reads are recorded, so that the
 * instruction can run again from its start with the answers; writes are done one by one after it.
 */
#define HV_MMIO_FRAGMENTS 12		/* three accesses of 32 bytes, 8 at a time */
struct hv_mmio_frag {
	u64 gpa;
	u32 len;			/* 1-8 */
	u8 data[8];
};
struct hv_mmio {
	bool active;			/* KVM_EXIT_MMIO outstanding for frag[cur] */
	bool is_write;
	u8 nr;				/* fragments recorded (reads) or to do (writes) */
	u8 cur;				/* replayed so far, or the one user space works on */
	u8 code_len;			/* of the instruction at rip, for its second run */
	u8 code[HV_INSN_MAX_LEN];
	bool fault_gpa_valid;
	u64 fault_gpa, rip;
	struct hv_mmio_frag frag[HV_MMIO_FRAGMENTS];
};

/* A hypercall that waits for user space's answer (exits.c). */
struct hv_hcall {
	bool active;
	bool hyperv;			/* KVM_EXIT_HYPERV */
	bool xen;			/* KVM_EXIT_XEN; else KVM_EXIT_HYPERCALL */
	u64 rip, next_rip;		/* the instruction, unless user space moved RIP meanwhile */
};

/* Port I/O that waits for user space. */
struct hv_pio {
	bool active;			/* KVM_EXIT_IO outstanding */
	bool in;
	bool string;			/* INS, OUTS: the emulator moves the data */
	bool answered;			/* INS: the data is in pio_data */
	u8 size;
	u16 port;
	u32 count;
	u64 rip, next_rip;		/* the instruction, unless user space moved RIP meanwhile */
};

/* System management mode (x86/smm.c). */
struct hv_smm {
	bool active;
	bool pending;			/* taken over from queued */
	atomic_t queued;		/* from other threads */
	bool inside_nmi;		/* NMIs were masked already when it began */
	u64 base;			/* SMBASE; RSM sets the lower half only */
};

/* RDMSR or WRMSR that waits for user space (x86/msr_filter.c). */
struct hv_msr_exit {
	bool active;
	bool write;
	u64 rip, next_rip;
};

/* Pages a vCPU has written to, in memory shared with user space (dirty_ring.c). */
struct hv_dirty_ring {
	struct kvm_dirty_gfn *gfns;
	u32 entries;			/* a power of two; 0: there is no ring */
	u32 dirty_index, reset_index;	/* next to fill, next to free; they wrap */
};

#define HV_MMU_CACHE 8

struct hv_vcpu {
	struct hv_vm *vm;
	int cpu;			/* host CPU that last loaded it, -1: none */
	int mode;			/* enum hv_vcpu_mode */
	unsigned long requests;		/* BIT(enum hv_req) */
	u32 id;				/* KVM_CREATE_VCPU's argument, APIC id at reset */
	u32 index;			/* 0 .. created - 1 */

	u32 regs_valid, regs_dirty;	/* HV_REGS_* */
	struct hv_regs regs;
	struct hv_events events;

	struct kvm_run *run;		/* shared with user space: never trust, read once */
	void *pio_data;			/* page 1 of the mapping */

	struct mutex mutex;		/* held by every vCPU ioctl that touches its state */
	struct preempt_notifier notifier;
	int srcu_idx;			/* vm->srcu while running */
	struct pid __rcu *pid;		/* thread that was last in KVM_RUN */
	bool displaced;			/* it is ready to run and does not */
	sigset_t sigset;
	bool sigset_active;

	struct rcuwait wait;		/* a halted vCPU sleeps here */
	u32 mp_state;			/* KVM_MP_STATE_*; written by itself or under its mutex */
	u64 halt_poll_ns;		/* adaptive, ns */
	u64 exit_tsc;			/* host TSC at which to leave the guest, 0: never */

	struct hv_lapic *lapic;		/* NULL without in-kernel irqchip */
	struct hv_cpuid *cpuid;		/* never NULL after creation; replaced under mutex */
	struct hv_msrs msrs;
	struct hv_pvclock pv;
	struct hv_para para;
	struct hv_apf apf;
	struct hv_hyperv *hyperv;	/* x86/hyperv.h; NULL until it is needed, then for ever */
	struct hv_xen *xen;		/* x86/xen.h; likewise */
	u32 vp_index;			/* what Hyper-V's interface calls this vCPU */
	struct hv_fpu fpu;
	struct hv_mmio mmio;
	struct hv_pio pio;
	struct hv_hcall hcall;
	struct hv_msr_exit msr_exit;

	struct hv_smm smm;
	u64 vapic_addr;			/* irq/vapic.c; 0: none */
	bool tpr_reporting, bus_locked;	/* the latter: in this KVM_RUN */
	struct {
		u64 rip;
		bool write;
	} tpr_access;			/* to report */
	u64 user_cr8;			/* CR8 without in-kernel irqchip */
	u32 guest_debug;		/* KVM_GUESTDBG_* in force */
	u64 debug_db[4], debug_dr7;	/* user space's breakpoints */
	bool dr_wanted;			/* some of them are enabled: load DR0-3 before entering */
	bool dr_loaded;			/* guest (or debug) DR0-3 are in the CPU */
	u64 host_db[4];			/* the host's, meanwhile, if it has any in use */

	unsigned int mmu_busy;		/* inside hv_mmu_gate_enter/leave; see mmu/map.c */
	unsigned int mmu_cache_nr;
	struct page *mmu_cache[HV_MMU_CACHE];	/* zeroed table pages for the next fault */
	struct hv_dirty_ring dirty_ring;

	struct hv_vcpu_stats stats;
	struct rcu_head rcu;
};

/* ---- memory slots (slots.c) ------------------------------------------------------------------ */

struct hv_memslot {
	hv_gfn_t base_gfn;
	u64 npages;
	u64 hva;			/* user address, page aligned */
	u32 flags;			/* KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY */
	u32 id;
	bool invalid;			/* going away: faults retry until it is gone */
	unsigned long *dirty;		/* one bit per page, NULL unless logging */
};

/* An immutable sorted array; replaced as a whole under vm->slots_lock, freed after vm->srcu. */
struct hv_memslots {
	u64 generation;
	u32 nr;
	struct hv_memslot *slot[];	/* sorted by base_gfn, no overlap */
};

/* ---- second-level translation (mmu/) ------------------------------------------------------- */

/*
 * Bits of a second-level entry, in the vendor's format. The common code builds entries from these
 * and never tests a vendor.
 */
struct hv_tdp_format {
	u64 present;		/* any of these set: the entry is present */
	u64 table;		/* set in a non-leaf entry */
	u64 leaf;		/* set in every leaf (memory type WB, user...) */
	u64 large;		/* set in a leaf above level 1 */
	u64 read, write, exec;	/* permission bits to set */
	u64 no_exec;		/* bit to set where execution is refused (NPT) */
	u64 accessed, dirty;	/* 0: the CPU has none */
	bool small_exec;	/* only pages of 4 KiB may be executable */
	bool logs_dirty;	/* the CPU notes the pages whose dirty bit it sets */
	u64 uncached;		/* instead of leaf, for device memory */
	u8 levels;		/* 4 or 5 */
	u8 max_leaf_level;	/* 1: 4K, 2: 2M, 3: 1G */
};

struct hv_mmu {
	struct page *root[HV_NR_AS];	/* the second is made when it is first needed */
	spinlock_t lock;	/* all who remove or weaken entries; installers use the gate */
	/* Invalidations in flight, written under lock; see mmu/tdp.h. */
	unsigned long invalidate_seq;
	long invalidate_count;
	hv_gfn_t invalidate_start, invalidate_end;	/* union of the frames in flight */
	u64 invalidate_hva_start, invalidate_hva_end;	/* union of the user addresses */
	atomic_long_t pages_4k, pages_2m, pages_1g, tables;
};

/* ---- the VM -------------------------------------------------------------------------------- */

enum hv_irqchip_mode { HV_IRQCHIP_NONE, HV_IRQCHIP_KERNEL, HV_IRQCHIP_SPLIT };

struct hv_vm {
	struct mm_struct *mm;		/* of the creator; ioctls from another mm: -EIO */
	refcount_t users;
	struct list_head list;		/* hv_vms */
	bool dead;

	struct mutex lock;		/* vCPU creation, irqchip/PIT creation, caps, clock */
	struct xarray vcpus;		/* index -> vCPU; stable once created */
	u32 created_vcpus, online_vcpus;
	u32 max_vcpu_id;
	u32 bsp_id;			/* KVM_SET_BOOT_CPU_ID, default 0 */

	struct mutex slots_lock;
	struct srcu_struct srcu;	/* memory slots and I/O buses */
	atomic_t quiescing;		/* writers in hv_vcpus_quiesce() */
	wait_queue_head_t quiesce_wait;	/* vCPUs wait for them to finish */
	struct hv_memslots __rcu *memslots[HV_NR_AS];
	atomic_t nr_smm;		/* vCPUs in SMM: they see the second of them */
	struct xarray slot_ids;		/* id -> slot; under slots_lock */
	u64 nr_slot_pages;
	atomic_t nr_logging;		/* slots that log; written under slots_lock */
	u32 last_yielded;		/* index of the vCPU that was given time last */
	u64 manual_dirty_log;		/* KVM_DIRTY_LOG_*; under slots_lock */
	u32 dirty_ring_entries;		/* of each vCPU's ring; 0: slots have bitmaps instead */

	struct hv_mmu mmu;
	struct mmu_notifier mmu_notifier;

	/* irq/ */
	int irqchip_mode;		/* enum hv_irqchip_mode; set once, under lock */
	struct hv_ioapic *ioapic;
	struct hv_pic *pic;
	struct hv_pit *pit;
	struct mutex irq_lock;		/* routing and irqfd changes */
	struct srcu_struct irq_srcu;	/* routing */
	struct hv_irq_routing __rcu *routing;
	struct list_head irqfds;	/* under irqfds_lock */
	spinlock_t irqfds_lock;
	struct hv_iobus __rcu *buses[2];	/* HV_BUS_*: slots_lock to replace, srcu to read */
	struct list_head ioeventfds;		/* under slots_lock */
	struct list_head coalesced_zones;	/* under slots_lock */
	spinlock_t ring_lock;
	struct kvm_coalesced_mmio_ring *ring;	/* page 2 of every vCPU's mapping */
	void __rcu *apic_map;		/* irq/lapic.c */
	spinlock_t apic_map_lock;
	struct page *apic_page;			/* irq/apic_page.c; NULL until it is needed */
	atomic_t apic_page_others;		/* vCPUs that must not find it */
	u32 split_pins;			/* split irqchip: pins of user space's IOAPICs */
	struct list_head resamplers;	/* under irq_lock */
	struct hlist_head irq_acks;	/* under irq_lock, read under irq_srcu */

	/* x86/clock.c */
	raw_spinlock_t clock_lock;	/* also under the scheduler's locks */
	s64 kvmclock_offset;		/* ns to add to CLOCK_BOOTTIME */
	u64 clock_base_tsc, clock_base_ns;	/* a point of kvm-clock: host TSC, ns */
	u64 last_tsc_write, last_tsc_ns;	/* to keep TSCs of vCPUs in step */
	u32 last_tsc_khz;
	bool user_set_tsc;
	u64 cur_tsc_offset;
	u32 default_tsc_khz;
	u64 msr_wall_clock;

	struct hv_hyperv_vm *hyperv;	/* x86/hyperv.h */
	struct hv_xen_vm *xen;		/* x86/xen.h; NULL until it is needed, then for ever */

	u64 disabled_quirks;		/* KVM_X86_QUIRK_* */
	bool x2apic_ids;		/* KVM_GET_LAPIC and MSIs have 32-bit APIC ids */
	bool x2apic_no_broadcast_quirk;	/* 0xff in an MSI is id 255 to an x2APIC */
	u64 tss_addr, identity_map_addr;
	bool exception_payload, triple_fault_event;
	struct hv_msr_filter __rcu *msr_filter;	/* slots_lock to replace, srcu to read */
	u64 user_msr_reasons;		/* KVM_MSR_EXIT_REASON_*: failures that user space sees */
	u64 hypercall_exits;		/* BIT(number): hypercalls that user space handles */
	u64 disabled_exits;		/* KVM_X86_DISABLE_EXITS_* in force */
	bool bus_lock_exits;		/* KVM_BUS_LOCK_DETECTION_EXIT */
	u32 notify_flags, notify_window;	/* KVM_CAP_X86_NOTIFY_VMEXIT */
	u32 apic_bus_ns;		/* of one tick of the APIC timer's input clock */
	bool exit_on_emulation_failure;
	s64 halt_poll_ns;			/* longest to poll; -1: the module's parameter */
	bool no_platform_info;		/* the guest cannot read IA32_PLATFORM_INFO */

	struct hv_vm_stats stats;
};

/* ---- vendor operations --------------------------------------------------------------------- */

/* What event_window() can wait for; TPR: the guest lowers CR8. */
enum hv_event_kind { HV_EVENT_IRQ, HV_EVENT_NMI, HV_EVENT_TPR };

/* Interrupt shadow of MOV SS and STI (the ABI's values) and NMIs masked until IRET. */
#define HV_BLOCK_SHADOW	(KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI)
#define HV_BLOCK_NMI	BIT(8)

/*
 * Everything common code asks of SVM or VMX. At most 24 operations; called through static_call
 * (ops.h) from hot paths.
 */
struct hv_x86_ops {
	const char *name;			/* "svm", "vmx" */
	size_t vcpu_size;			/* struct with struct hv_vcpu first */
	struct hv_tdp_format tdp;		/* filled by hw_setup(), as what follows */
	bool blocks_restart;			/* no kernel can start while it is on */
	bool exit_timer;			/* the CPU leaves the guest at vcpu->exit_tsc */
	bool intel_mce;				/* CMCI and LMCE (SDM vol. 3, 15.3.1) */
	bool umip;				/* CR4.UMIP works although the CPU has it not */
	bool bus_lock_exit, notify_exit;	/* the CPU can leave the guest for these */
	u8 tsc_ratio_bits;			/* the TSC can be scaled: bits of the fraction */

	/*
	 * Is the hardware there and complete? 0; -ENODEV: another vendor's CPU, or none with
	 * virtualization; other errors after one pr_err line.
	 */
	int (*hw_setup)(void);
	void (*hw_unsetup)(void);
	/* On each CPU, IRQs off: turn virtualization on (-EBUSY: somebody else has) and off. */
	int (*cpu_enable)(void);
	void (*cpu_disable)(void);

	int (*vcpu_init)(struct hv_vcpu *vcpu);
	void (*vcpu_free)(struct hv_vcpu *vcpu);
	/* Control-block state of RESET/INIT, loaded; common registers were set before. */
	void (*vcpu_reset)(struct hv_vcpu *vcpu, bool init);
	/* The vCPU's thread was scheduled on @cpu, preemption off. */
	void (*vcpu_load)(struct hv_vcpu *vcpu, int cpu);
	/*
	 * The inner loop begins: save the host state that entries will clobber. It ends: bring back
	 * what exits do not (may be NULL).
	 */
	void (*inner_enter)(struct hv_vcpu *vcpu);
	void (*inner_leave)(struct hv_vcpu *vcpu);

	void (*regs_load)(struct hv_vcpu *vcpu, u32 groups);
	void (*regs_store)(struct hv_vcpu *vcpu, u32 groups);

	/* Enter the guest once; IRQs off. Afterwards HV_REGS_GPR is valid, IRQs still off. */
	void (*run)(struct hv_vcpu *vcpu);
	/*
	 * Act on the last exit. IRQs on; @may_sleep false: preemption is off and HV_NEXT_SLEEP asks
	 * for a second call with @may_sleep true. Returns enum hv_next or -errno.
	 */
	int (*handle_exit)(struct hv_vcpu *vcpu, bool may_sleep);

	/* Put the one event marked injected in vcpu->events into the control block. */
	void (*inject)(struct hv_vcpu *vcpu);
	/* Can this event be delivered at the next entry? */
	bool (*event_allowed)(struct hv_vcpu *vcpu, enum hv_event_kind kind);
	/* Ask for an exit as soon as it can be. */
	void (*event_window)(struct hv_vcpu *vcpu, enum hv_event_kind kind);
	/* What keeps events out now: HV_BLOCK_*. The second sets those in @mask to @bits. */
	u32 (*blocking_get)(struct hv_vcpu *vcpu);
	void (*blocking_set)(struct hv_vcpu *vcpu, u32 mask, u32 bits);

	/* MSRs that live in the control block; -ENOENT: not mine. */
	int (*msr_get)(struct hv_vcpu *vcpu, u32 index, u64 *value);
	int (*msr_set)(struct hv_vcpu *vcpu, u32 index, u64 value);

	/* Length of the instruction that caused the last exit, 0 if the CPU does not tell. */
	u8 (*insn_len)(struct hv_vcpu *vcpu);
	/* Before the next entry: flush this vCPU's second-level translations. */
	void (*tlb_flush)(struct hv_vcpu *vcpu);
	/* CPUID, guest debug, CR8 or TSC offset changed: recompute intercepts and offsets. */
	void (*update)(struct hv_vcpu *vcpu);
};

#include "ops.h"

/* ---- main.c -------------------------------------------------------------------------------- */

/* All VMs there are. */
void hv_vms_add(struct hv_vm *vm);
void hv_vms_del(struct hv_vm *vm);
void hv_vms_each(void (*fn)(struct hv_vm *vm));	/* none comes or goes meanwhile */

/* ---- vm.c ---------------------------------------------------------------------------------- */

int hv_vm_create(unsigned long type);		/* returns a descriptor or -errno */
void hv_vm_get(struct hv_vm *vm);
void hv_vm_put(struct hv_vm *vm);

/* ---- caps.c -------------------------------------------------------------------------------- */

int hv_check_extension(struct hv_vm *vm, long cap);	/* vm may be NULL */
int hv_vm_enable_cap(struct hv_vm *vm, const struct kvm_enable_cap *cap);

static inline bool hv_has_quirk(const struct hv_vm *vm, u64 quirk)
{
	return !(READ_ONCE(vm->disabled_quirks) & quirk);
}

static inline bool hv_irqchip_in_kernel(const struct hv_vm *vm)
{
	/* Pairs with the release in hv_irqchip_create(): the chips are set up before the mode. */
	return smp_load_acquire(&vm->irqchip_mode) != HV_IRQCHIP_NONE;
}

#define hv_for_each_vcpu(vm, vcpu, i) \
	xa_for_each_range(&(vm)->vcpus, i, vcpu, 0, READ_ONCE((vm)->online_vcpus) - 1UL)

struct hv_vcpu *hv_vcpu_by_id(struct hv_vm *vm, u32 id);

/* ---- slots.c: call with vm->srcu or vm->slots_lock held ------------------------------------ */

struct hv_memslots *hv_memslots(struct hv_vm *vm, unsigned int as);
/*
 * In the address space of the vCPU whose thread this is: that of SMM, if it is in it. So do all
 * functions below that take guest-physical addresses. NULL: MMIO.
 */
struct hv_memslot *hv_slot_find(struct hv_vm *vm, hv_gfn_t gfn);
struct hv_memslot *hv_slot_find_as(struct hv_vm *vm, unsigned int as, hv_gfn_t gfn);
static inline u64 hv_slot_hva(const struct hv_memslot *slot, hv_gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}
/*
 * Copy to or from guest-physical memory, may cross pages and slots; 0 or -EFAULT. The plain forms
 * may sleep; the _nofault forms do not and return -EFAULT where they would have to.
 */
int hv_guest_read(struct hv_vm *vm, u64 gpa, void *data, unsigned int len);
int hv_guest_write(struct hv_vm *vm, u64 gpa, const void *data, unsigned int len);
int hv_guest_read_nofault(struct hv_vm *vm, u64 gpa, void *data, unsigned int len);
int hv_guest_read_u64_nofault(struct hv_vm *vm, u64 gpa, u64 *val);	/* gpa is 8-byte aligned */
int hv_guest_write_nofault(struct hv_vm *vm, u64 gpa, const void *data, unsigned int len);
/* Returns 0 if exchanged, 1 if the old value differed, -EFAULT. size is 1, 2, 4 or 8, aligned. */
int hv_guest_cmpxchg(struct hv_vm *vm, u64 gpa, u64 *old, u64 new, unsigned int size);
int hv_slot_set(struct hv_vm *vm, const struct kvm_userspace_memory_region2 *mem);
struct hv_memslot *hv_slot_by_id(struct hv_vm *vm, u32 id);	/* slots_lock held; NULL: none */
int hv_slots_init(struct hv_vm *vm);
void hv_slots_free(struct hv_vm *vm);

/* ---- dirty_log.c, dirty_ring.c ------------------------------------------------------------- */

static inline bool hv_slot_logs(const struct hv_memslot *slot)
{
	return slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}
/* After the write, on a vCPU's thread. */
void hv_slot_mark_dirty(struct hv_vm *vm, struct hv_memslot *slot, hv_gfn_t gfn);
int hv_slot_get_dirty_log(struct hv_vm *vm, struct kvm_dirty_log *log);
int hv_slot_clear_dirty_log(struct hv_vm *vm, const struct kvm_clear_dirty_log *log);
int hv_dirty_set_manual(struct hv_vm *vm, u64 flags);	/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */

int hv_dirty_ring_max_bytes(void);
int hv_dirty_ring_enable(struct hv_vm *vm, u64 bytes);	/* vm->lock held */
int hv_dirty_ring_init(struct hv_vcpu *vcpu);
void hv_dirty_ring_free(struct hv_vcpu *vcpu);
struct page *hv_dirty_ring_page(struct hv_vcpu *vcpu, unsigned long index);	/* NULL: beyond */
bool hv_dirty_ring_full(const struct hv_vcpu *vcpu);
u32 hv_dirty_ring_room(const struct hv_vcpu *vcpu);	/* entries until then; many: no ring */
void hv_dirty_ring_push(struct hv_vm *vm, u32 slot, u64 offset);
int hv_dirty_rings_reset(struct hv_vm *vm);		/* entries freed, or -EINVAL */

/* ---- vcpu.c -------------------------------------------------------------------------------- */

#define HV_MAX_IO_MSRS 256			/* KVM_GET/SET_MSRS take fewer than this at once */
#define HV_MCG_CAP_SUPPORTED (BIT_ULL(8) | BIT_ULL(24) | 32)	/* MCG_CTL_P, SER_P, 32 banks */

int hv_vcpu_module_init(void);			/* caches and per-CPU masks */
void hv_vcpu_module_exit(void);
int hv_vcpu_create(struct hv_vm *vm, u32 id);		/* returns a descriptor or -errno */
void hv_vcpu_destroy(struct hv_vcpu *vcpu);
void hv_vcpu_load(struct hv_vcpu *vcpu);
struct hv_vcpu *hv_vcpu_loaded(void);		/* the calling thread's, between load and put */
void hv_vcpu_put(struct hv_vcpu *vcpu);
/* RESET (init false) or INIT: registers, LAPIC, FPU, MSRs to their architectural values. */
void hv_vcpu_reset(struct hv_vcpu *vcpu, bool init);
/* Make it notice: wake it if it is halted, force an exit if it is in guest mode. Any context. */
void hv_vcpu_kick(struct hv_vcpu *vcpu);
void hv_vcpu_wake(struct hv_vcpu *vcpu);
/* Set a request bit on all vCPUs and wait until none of them is still in guest mode without it. */
void hv_request_all(struct hv_vm *vm, enum hv_req req);
/* The same for the vCPUs whose index is in @mask. */
void hv_request_some(struct hv_vm *vm, const unsigned long *mask, enum hv_req req);
/*
 * Wait until no vCPU uses what it has read under vm->srcu before; vm->slots_lock held. Not by
 * synchronize_srcu() alone: a vCPU holds the lock in guest mode, and would hold it for ever.
 */
void hv_vcpus_quiesce(struct hv_vm *vm);

static inline void hv_request(struct hv_vcpu *vcpu, enum hv_req req)
{
	/* The request's data must be visible before the bit; pairs with hv_request_take(). */
	smp_wmb();
	set_bit(req, &vcpu->requests);
}

static inline bool hv_request_pending(const struct hv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) != 0;
}

static inline bool hv_request_take(struct hv_vcpu *vcpu, enum hv_req req)
{
	if (!test_bit(req, &vcpu->requests))
		return false;
	clear_bit(req, &vcpu->requests);
	smp_mb__after_atomic();
	return true;
}

static inline void hv_request_kick(struct hv_vcpu *vcpu, enum hv_req req)
{
	hv_request(vcpu, req);
	hv_vcpu_kick(vcpu);
}

/* ---- yield.c ------------------------------------------------------------------------------- */

/* KVM_RUN begins: remember the thread (mutex held). Forget it at the end of the vCPU's life. */
void hv_vcpu_adopt_thread(struct hv_vcpu *vcpu);
void hv_vcpu_forget_thread(struct hv_vcpu *vcpu);
/* Let @target's thread run in place of this one; may sleep. False: it did not help. */
bool hv_vcpu_yield_to(struct hv_vcpu *target);
/* The same with any vCPU that wants to run and does not. */
void hv_vcpu_yield_to_displaced(struct hv_vcpu *vcpu);
int hv_exit_pause(struct hv_vcpu *vcpu, bool may_sleep);	/* the guest spins */

/* ---- run.c --------------------------------------------------------------------------------- */

int hv_vcpu_run(struct hv_vcpu *vcpu);		/* KVM_RUN */
void hv_srcu_relock(struct hv_vcpu *vcpu);	/* HV_REQ_SLOTS: let go of vm->srcu for a moment */
/* Is there something that ends HLT? */
bool hv_vcpu_runnable(struct hv_vcpu *vcpu);
/* HLT, or an artificial one, has ended. */
void hv_vcpu_unhalt(struct hv_vcpu *vcpu);

/* ---- events.c: exceptions, interrupts, NMIs on their way into the guest -------------------- */

void hv_queue_exception(struct hv_vcpu *vcpu, u8 vector);
void hv_queue_exception_error(struct hv_vcpu *vcpu, u8 vector, u32 error_code);
void hv_queue_exception_payload(struct hv_vcpu *vcpu, u8 vector, u64 payload);
void hv_queue_page_fault(struct hv_vcpu *vcpu, u64 cr2, u32 error_code);
void hv_queue_nmi(struct hv_vcpu *vcpu);		/* any thread */
static inline void hv_queue_gp(struct hv_vcpu *vcpu)
{
	hv_queue_exception_error(vcpu, 13, 0);
}

/* ---- exits.c: exit handlers that both vendors share; return enum hv_next or -errno --------- */

int hv_exit_cpuid(struct hv_vcpu *vcpu, bool may_sleep);
int hv_exit_hlt(struct hv_vcpu *vcpu, bool may_sleep);
int hv_exit_rdmsr(struct hv_vcpu *vcpu, bool may_sleep);
int hv_exit_wrmsr(struct hv_vcpu *vcpu, bool may_sleep);
int hv_exit_hypercall(struct hv_vcpu *vcpu, bool may_sleep);
int hv_hypercall_complete(struct hv_vcpu *vcpu);	/* KVM_RUN after an exit for a hypercall */
int hv_exit_xsetbv(struct hv_vcpu *vcpu, bool may_sleep);
int hv_exit_skip(struct hv_vcpu *vcpu, bool may_sleep);	/* INVD, WBINVD, MONITOR...: a NOP */
int hv_exit_ud(struct hv_vcpu *vcpu, bool may_sleep);
int hv_exit_rsm(struct hv_vcpu *vcpu, bool may_sleep);	/* x86/smm.c */
int hv_exit_mwait(struct hv_vcpu *vcpu, bool may_sleep);	/* MONITOR, MWAIT */
int hv_exit_irq_window(struct hv_vcpu *vcpu);	/* events.c: the guest can take interrupts now */
int hv_exit_pio(struct hv_vcpu *vcpu, bool in, u16 port, unsigned int size, u64 next_rip,
		bool may_sleep);
/* Second-level fault: @access are HV_ACCESS_*. */
int hv_exit_fault(struct hv_vcpu *vcpu, u64 gpa, u32 access, bool may_sleep);
/* MOV to CR4 (decoded) and MOV to or from DR (decoded). */
int hv_exit_mov_cr(struct hv_vcpu *vcpu, unsigned int cr, bool may_sleep);
int hv_write_cr(struct hv_vcpu *vcpu, unsigned int cr, u64 value);	/* 0, 4, 8; 1: #GP */
int hv_exit_mov_dr(struct hv_vcpu *vcpu, bool may_sleep);
/* The instruction ending before @next_rip has retired: RIP, interrupt shadow, single step. */
void hv_retire(struct hv_vcpu *vcpu, u64 next_rip);
int hv_internal_error(struct hv_vcpu *vcpu, u32 suberror, u32 ndata, const u64 *data);

/* ---- emul.c: the emulator's view of a vCPU, MMIO and PIO with user space ------------------- */

int hv_emulate(struct hv_vcpu *vcpu, bool may_sleep);
/* The same after a second-level fault at @gpa of the instruction's own access. */
int hv_emulate_mmio(struct hv_vcpu *vcpu, u64 gpa, bool may_sleep);
/*
 * Where the current instruction ends: HV_NEXT_NONE and *next_rip, or what the exit handler must
 * return (HV_NEXT_SLEEP, HV_NEXT_RESUME with an exception queued, -errno). @insn may be NULL;
 * otherwise the instruction is always decoded into it.
 */
int hv_insn_end(struct hv_vcpu *vcpu, bool may_sleep, u64 *next_rip, struct hv_insn *insn);
/* Translate a guest-virtual address as the guest would: 0, 1 (#PF queued if @fault), -errno. */
int hv_gva_to_gpa(struct hv_vcpu *vcpu, u64 gva, u32 access, u64 *gpa);
/*
 * The guest's #UD: the other vendor's hypercall instruction becomes the CPU's own, whose third byte
 * is @native (KVM_X86_QUIRK_FIX_HYPERCALL_INSN); else the exception goes on to the guest.
 */
int hv_exit_undefined(struct hv_vcpu *vcpu, u8 native, bool may_sleep);
int hv_emulate_complete(struct hv_vcpu *vcpu);		/* KVM_RUN after KVM_EXIT_MMIO/IO */

#endif
