/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupt controllers, routing, eventfds and the in-kernel I/O buses. */
#ifndef HV_IRQ_H
#define HV_IRQ_H

#include "../hv.h"

/* ---- I/O buses (iobus.c): devices in the kernel that answer ports or MMIO ------------------ */

enum hv_bus_kind { HV_BUS_PIO, HV_BUS_MMIO };

struct hv_iodev;
struct hv_iodev_ops {
	/* 0: done; -EOPNOTSUPP: not mine after all (size, offset, datamatch), ask the next. */
	int (*read)(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len, void *data);
	int (*write)(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len,
		     const void *data);
	void (*release)(struct hv_iodev *dev);
};
struct hv_iodev {
	const struct hv_iodev_ops *ops;
};

/* vm->slots_lock held. */
int hv_iobus_add(struct hv_vm *vm, enum hv_bus_kind kind, u64 addr, u32 len, struct hv_iodev *dev);
void hv_iobus_del(struct hv_vm *vm, enum hv_bus_kind kind, struct hv_iodev *dev);
/*
 * vm->srcu held for reading; do not sleep. 0: a device in the kernel did it; -EOPNOTSUPP: user
 * space must. The local APIC's page is found here too (for HV_BUS_MMIO).
 */
int hv_iobus_read(struct hv_vcpu *vcpu, enum hv_bus_kind kind, u64 addr, u32 len, void *data);
int hv_iobus_write(struct hv_vcpu *vcpu, enum hv_bus_kind kind, u64 addr, u32 len,
		   const void *data);
void hv_iobus_free(struct hv_vm *vm);

/* Coalesced MMIO (coalesced.c); vm->slots_lock taken inside. */
int hv_coalesced_register(struct hv_vm *vm, const struct kvm_coalesced_mmio_zone *zone);
int hv_coalesced_unregister(struct hv_vm *vm, const struct kvm_coalesced_mmio_zone *zone);

/* ---- VM-wide ------------------------------------------------------------------------------- */

int hv_irq_vm_init(struct hv_vm *vm);
void hv_irq_vm_release(struct hv_vm *vm);	/* VM descriptor closed: detach all irqfds */
void hv_irq_vm_quiesce(struct hv_vm *vm);	/* last reference gone: stop timers */
void hv_irq_vm_free(struct hv_vm *vm);		/* the vCPUs are gone */

/* KVM_CREATE_IRQCHIP; vm->lock held. -EEXIST twice, -EINVAL once vCPUs exist. */
int hv_irqchip_create(struct hv_vm *vm);
/* KVM_CAP_SPLIT_IRQCHIP; vm->lock held. -EINVAL: too many pins, -EEXIST: irqchip or vCPUs exist. */
int hv_irqchip_split(struct hv_vm *vm, u64 pins);
int hv_irqchip_get(struct hv_vm *vm, struct kvm_irqchip *chip);
int hv_irqchip_set(struct hv_vm *vm, const struct kvm_irqchip *chip);
/* KVM_CREATE_PIT2; vm->lock held. */
int hv_pit_create(struct hv_vm *vm, u32 flags);
int hv_pit_get(struct hv_vm *vm, struct kvm_pit_state2 *ps);	/* -ENXIO without PIT */
int hv_pit_set(struct hv_vm *vm, const struct kvm_pit_state2 *ps);
int hv_pit_reinject(struct hv_vm *vm, const struct kvm_reinject_control *rc);

/*
 * KVM_IRQ_LINE: the status of KVM_IRQ_LINE_STATUS (-1 ignored as masked or unrouted, 0 coalesced,
 * >0 delivered), -ENXIO without an in-kernel irqchip. Any context.
 */
int hv_irq_set_level(struct hv_vm *vm, u32 source_id, u32 gsi, int level, bool line_status);
int hv_irq_set_routing(struct hv_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr,
		       u32 flags);
int hv_irq_signal_msi(struct hv_vm *vm, const struct kvm_msi *msi);

/*
 * Xen's event channels (x86/xen_event.c) as an interrupt controller: send an event to a port (any
 * context, as hv_apic_deliver() or -errno). For vCPUs that have vcpu->xen, on their own thread:
 * does the VM's vector wait, which one is it; the local APIC has been turned on.
 */
int hv_xen_set_irq(struct hv_vm *vm, u32 vcpu_id, u32 port);
bool hv_xen_irq_pending(struct hv_vcpu *vcpu);
u8 hv_xen_upcall_vector(const struct hv_vcpu *vcpu);
void hv_xen_apic_enabled(struct hv_vcpu *vcpu);

/*
 * Hyper-V's SynIC (x86/synic.c) as an interrupt controller: raise a SINT of a VP (any context, as
 * hv_apic_deliver() or -errno); what its vectors mean to the local APIC.
 */
int hv_synic_set_irq(struct hv_vm *vm, u32 vp, u32 sint);
bool hv_synic_has_vector(const struct hv_vcpu *vcpu, u8 vector);
bool hv_synic_auto_eoi(const struct hv_vcpu *vcpu, u8 vector);
void hv_synic_eoi(struct hv_vcpu *vcpu, u8 vector);	/* of a vector that it has */
/* The guest is done with a SINT: tell those who listen to its GSI. */
void hv_irq_notify_sint(struct hv_vm *vm, u32 vp, u32 sint);

int hv_irqfd(struct hv_vm *vm, const struct kvm_irqfd *args);
int hv_ioeventfd(struct hv_vm *vm, const struct kvm_ioeventfd *args);
int hv_irqfd_init(void);			/* module load: work queue */
void hv_irqfd_exit(void);

/* ---- local APIC (lapic.c) ------------------------------------------------------------------ */

int hv_lapic_create(struct hv_vcpu *vcpu);	/* when the VM has an in-kernel irqchip */
void hv_lapic_free(struct hv_vcpu *vcpu);
void hv_lapic_reset(struct hv_vcpu *vcpu, bool init);
/* Not negative: an interrupt may be delivered now (above PPR, or ExtINT from the PIC); -1: none. */
int hv_irq_pending(struct hv_vcpu *vcpu);
/* Acknowledge it: returns the vector, moves it IRR -> ISR (or the PIC's INTA), or -1. */
int hv_irq_ack(struct hv_vcpu *vcpu);
bool hv_lapic_enabled(const struct hv_vcpu *vcpu);
/* The register page, in the layout of SDM table 11-1: a CPU may have the guest use it directly. */
void *hv_lapic_page(const struct hv_vcpu *vcpu);
/*
 * A CPU that virtualizes the APIC moves vectors from IRR to ISR and out of it by itself, while the
 * guest runs. The vendor code says when it does; the rest of hv then only sets IRR bits. It calls
 * the others before an entry, for what the CPU keeps outside of the page, and after an EOI that the
 * CPU was told to report. HV_REQ_APIC asks for ops->update when mode, sets or EOI vectors change.
 */
void hv_lapic_set_virtual(struct hv_vcpu *vcpu, bool virtual);
bool hv_lapic_x2apic(const struct hv_vcpu *vcpu);
u8 hv_lapic_new_irr(struct hv_vcpu *vcpu);	/* highest vector hv requested, or 0; may be old */
void hv_lapic_tops(struct hv_vcpu *vcpu, u8 *irr, u8 *isr);	/* highest of both sets, or 0 */
void hv_lapic_eoi_vectors(struct hv_vcpu *vcpu, u64 vectors[4]);	/* whose EOIs to report */
void hv_lapic_eoi_done(struct hv_vcpu *vcpu, u8 vector);
/* The CPU has put what the guest wrote to @reg into the page: do what the write means. */
void hv_lapic_written(struct hv_vcpu *vcpu, u32 reg);
/* In xAPIC mode, and where systems expect it? */
bool hv_lapic_at_default(const struct hv_vcpu *vcpu);
/*
 * apic_page.c: the page that a CPU wants to find mapped where an APIC in xAPIC mode is. It is,
 * while all vCPUs' APICs are there and all their CPUs know (hv_apic_page_use()).
 */
int hv_apic_page_create(struct hv_vm *vm);	/* if there is none yet; may sleep */
void hv_apic_page_free(struct hv_vm *vm);
u64 hv_apic_page(const struct hv_vm *vm);	/* physical address */
void hv_apic_page_use(struct hv_vcpu *vcpu, bool use);
bool hv_apic_page_map(struct hv_vcpu *vcpu, u64 gpa);	/* after a fault; false: not now */
void hv_apic_page_unmap(struct hv_vm *vm);	/* may sleep */
/* INIT/SIPI latched: act on it on the vCPU's own thread (may change mp_state). -errno never. */
bool hv_lapic_has_event(const struct hv_vcpu *vcpu);
void hv_lapic_accept_event(struct hv_vcpu *vcpu);
/* An INIT that waits for the end of SMM. */
bool hv_lapic_init_latched(const struct hv_vcpu *vcpu);
void hv_lapic_latch_init(struct hv_vcpu *vcpu, bool latched);
/* HV_REQ_TIMER: the timer expired, raise LVTT's vector. */
void hv_lapic_timer_inject(struct hv_vcpu *vcpu);
bool hv_lapic_timer_pending(const struct hv_vcpu *vcpu);
/* CR8 and TPR are two names of one thing; HV_REQ_EVENT is set when TPR drops. */
u64 hv_lapic_get_cr8(const struct hv_vcpu *vcpu);
void hv_lapic_set_cr8(struct hv_vcpu *vcpu, u64 cr8);
/* The lowest TPR class that still blocks the highest pending interrupt, or -1: none is blocked. */
int hv_lapic_tpr_threshold(const struct hv_vcpu *vcpu);
/* IA32_APIC_BASE, x2APIC registers 0x800-0x8ff, IA32_TSC_DEADLINE: 0 or 1 (#GP). */
int hv_lapic_set_base(struct hv_vcpu *vcpu, u64 value, bool host_initiated);
int hv_lapic_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value);
int hv_lapic_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value);
/* Hyper-V's MSRs for three APIC registers, in either mode: 0 or 1 (#GP). */
enum hv_lapic_hyperv_reg { HV_LAPIC_HYPERV_EOI, HV_LAPIC_HYPERV_ICR, HV_LAPIC_HYPERV_TPR };
int hv_lapic_hyperv_get(struct hv_vcpu *vcpu, enum hv_lapic_hyperv_reg reg, u64 *value);
int hv_lapic_hyperv_set(struct hv_vcpu *vcpu, enum hv_lapic_hyperv_reg reg, u64 value);
/* HV_REQ_IOAPIC_EOI: the vector for KVM_EXIT_IOAPIC_EOI. */
u8 hv_lapic_eoi_vector(const struct hv_vcpu *vcpu);
/* Corrected machine checks: there is (or is no longer) an LVT entry for them; raise it. */
void hv_lapic_cmci_changed(struct hv_vcpu *vcpu);
void hv_lapic_cmci(struct hv_vcpu *vcpu);
u64 hv_lapic_get_tscdeadline(const struct hv_vcpu *vcpu);
void hv_lapic_set_tscdeadline(struct hv_vcpu *vcpu, u64 value);
int hv_lapic_mmio_read(struct hv_vcpu *vcpu, u64 addr, u32 len, void *data);
int hv_lapic_mmio_write(struct hv_vcpu *vcpu, u64 addr, u32 len, const void *data);
int hv_lapic_get_state(struct hv_vcpu *vcpu, struct kvm_lapic_state *state);
int hv_lapic_set_state(struct hv_vcpu *vcpu, const struct kvm_lapic_state *state);
/* vapic.c: the word in guest memory that stands for the TPR; vm->srcu held, do not sleep... */
bool hv_vapic_enter(struct hv_vcpu *vcpu);	/* false: the word is not there now */
void hv_vapic_leave(struct hv_vcpu *vcpu);
void hv_vapic_fault_in(struct hv_vcpu *vcpu);	/* ...but here */
int hv_vapic_set_addr(struct hv_vcpu *vcpu, u64 addr);		/* KVM_SET_VAPIC_ADDR; 0: none */
void hv_tpr_accessed(struct hv_vcpu *vcpu, bool write);		/* KVM_TPR_ACCESS_REPORTING is on */
void hv_tpr_access_exit(struct hv_vcpu *vcpu);			/* HV_REQ_TPR_ACCESS */
/*
 * Where hv_ops.exit_timer says that the CPU can, it is the CPU that ends guest mode when the timer
 * expires, by vcpu->exit_tsc; a hrtimer stands in for it while the vCPU is halted.
 */
void hv_lapic_timer_due(struct hv_vcpu *vcpu);		/* exit_tsc has come, or nearly */
void hv_lapic_timer_halt(struct hv_vcpu *vcpu);
void hv_lapic_timer_unhalt(struct hv_vcpu *vcpu);
/* The vCPU moved to another host CPU or its TSC changed: move or restart its timer. */
void hv_lapic_timer_restart(struct hv_vcpu *vcpu);

#endif
