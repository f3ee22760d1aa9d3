// SPDX-License-Identifier: GPL-2.0-only
/* From a GSI to chips and messages: the routing table, MSIs, acknowledgement listeners. */
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include "chips.h"
#include "trace.h"

/* MSI address and data (SDM 11.11) */
#define HV_MSI_ADDR_LOGICAL	BIT(2)
#define HV_MSI_ADDR_REDIR_HINT	BIT(3)
#define HV_MSI_DATA_LEVEL	BIT(15)

/* ---- messages ------------------------------------------------------------------------------ */

bool hv_msi_decode(const struct hv_vm *vm, u32 addr_lo, u32 addr_hi, u32 data,
		   struct hv_apic_irq *irq)
{
	/* With 32-bit ids the upper half holds bits 31:8 of the destination, and nothing else. */
	if (vm->x2apic_ids && (addr_hi & 0xff))
		return false;
	*irq = (struct hv_apic_irq) {
		.dest = addr_lo >> 12 & 0xff,
		.vector = data & 0xff,
		.mode = data >> 8 & 7,
		.logical = addr_lo & HV_MSI_ADDR_LOGICAL,
		.redir_hint = addr_lo & HV_MSI_ADDR_REDIR_HINT,
		.level = data & HV_MSI_DATA_LEVEL,
		.assert = true,
	};
	if (vm->x2apic_ids)
		irq->dest |= addr_hi;
	return true;
}

int hv_irq_signal_msi(struct hv_vm *vm, const struct kvm_msi *msi)
{
	struct hv_apic_irq irq;

	if (!hv_irqchip_in_kernel(vm) || msi->flags)
		return -EINVAL;
	trace_hv_msi(msi->address_lo | (u64)msi->address_hi << 32, msi->data);
	if (!hv_msi_decode(vm, msi->address_lo, msi->address_hi, msi->data, &irq))
		return -EINVAL;
	return hv_apic_deliver(vm, NULL, &irq);
}

/* ---- lines --------------------------------------------------------------------------------- */

static const struct hv_irq_route *hv_routes(const struct hv_irq_routing *routing, u32 gsi,
					    unsigned int *nr)
{
	*nr = 0;
	if (!routing || gsi >= routing->nr_gsis)
		return NULL;
	*nr = routing->first[gsi + 1] - routing->first[gsi];
	return &routing->entry[routing->first[gsi]];
}

static int hv_route_set(struct hv_vm *vm, const struct hv_irq_route *route, u32 source_id,
			int level)
{
	if (route->type == KVM_IRQ_ROUTING_MSI)
		return level ? hv_apic_deliver(vm, NULL, &route->msi) : -1;
	if (route->type == KVM_IRQ_ROUTING_HV_SINT)
		return level ? hv_synic_set_irq(vm, route->vp, route->sint) : -1;
	if (route->type == KVM_IRQ_ROUTING_XEN_EVTCHN)
		return level ? hv_xen_set_irq(vm, route->vcpu, route->port) : -1;
	if (route->chip == KVM_IRQCHIP_IOAPIC)
		return hv_ioapic_set_irq(vm->ioapic, route->pin, source_id, level);
	return hv_pic_set_irq(vm->pic, route->pin, source_id, level);
}

int hv_irq_set_level(struct hv_vm *vm, u32 source_id, u32 gsi, int level, bool line_status)
{
	const struct hv_irq_route *route;
	int ret = -1, one, idx;
	unsigned int nr;

	if (!hv_irqchip_in_kernel(vm))
		return -ENXIO;
	trace_hv_irq_line(gsi, level, source_id);
	idx = srcu_read_lock(&vm->irq_srcu);
	route = hv_routes(srcu_dereference(vm->routing, &vm->irq_srcu), gsi, &nr);
	for (; nr; nr--, route++) {
		one = hv_route_set(vm, route, source_id, level);
		if (one >= 0)
			ret = one + max(ret, 0);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
	return ret;
}

bool hv_irq_route_msi(const struct hv_irq_routing *routing, u32 gsi, struct hv_apic_irq *irq)
{
	const struct hv_irq_route *route;
	unsigned int nr;

	route = hv_routes(routing, gsi, &nr);
	if (nr != 1 || route->type != KVM_IRQ_ROUTING_MSI)
		return false;
	*irq = route->msi;
	return true;
}

/* ---- acknowledgement listeners ------------------------------------------------------------- */

/* irq_lock held: which IOAPIC pins have a listener under the routing in force. */
static void hv_irq_update_eoi_pins(struct hv_vm *vm)
{
	const struct hv_irq_routing *routing;
	struct hv_irq_ack *ack;
	unsigned int pin;
	u32 pins = 0;

	routing = rcu_dereference_protected(vm->routing, lockdep_is_held(&vm->irq_lock));
	if (!vm->ioapic || !routing)
		return;
	hlist_for_each_entry(ack, &vm->irq_acks, node) {
		for (pin = 0; pin < HV_IOAPIC_PINS; pin++) {
			if (routing->ioapic_gsi[pin] == (s32)ack->gsi)
				pins |= BIT(pin);
		}
	}
	hv_ioapic_set_eoi_pins(vm->ioapic, pins);
}

void hv_irq_ack_add(struct hv_vm *vm, struct hv_irq_ack *ack)
{
	hlist_add_head_rcu(&ack->node, &vm->irq_acks);
	hv_irq_update_eoi_pins(vm);
}

void hv_irq_ack_del(struct hv_vm *vm, struct hv_irq_ack *ack)
{
	hlist_del_init_rcu(&ack->node);
	hv_irq_update_eoi_pins(vm);
	synchronize_srcu_expedited(&vm->irq_srcu);
}

/* The GSI behind a pin, -1: none. irq_srcu held. */
static int hv_pin_gsi(const struct hv_irq_routing *routing, u32 chip, unsigned int pin)
{
	if (!routing)
		return -1;
	return chip == KVM_IRQCHIP_IOAPIC ? routing->ioapic_gsi[pin] : routing->pic_gsi[pin];
}

/* irq_srcu held. */
static void hv_irq_notify_gsi(struct hv_vm *vm, u32 gsi)
{
	struct hv_irq_ack *ack;

	hlist_for_each_entry_srcu(ack, &vm->irq_acks, node, srcu_read_lock_held(&vm->irq_srcu)) {
		if (ack->gsi == gsi)
			ack->fn(ack);
	}
}

void hv_irq_notify_ack(struct hv_vm *vm, u32 chip, unsigned int pin)
{
	int gsi, idx;

	if (hlist_empty(&vm->irq_acks))
		return;
	idx = srcu_read_lock(&vm->irq_srcu);
	gsi = hv_pin_gsi(srcu_dereference(vm->routing, &vm->irq_srcu), chip, pin);
	if (gsi >= 0)
		hv_irq_notify_gsi(vm, gsi);
	srcu_read_unlock(&vm->irq_srcu, idx);
}

void hv_irq_notify_sint(struct hv_vm *vm, u32 vp, u32 sint)
{
	const struct hv_irq_routing *routing;
	u32 i;
	int idx;

	if (hlist_empty(&vm->irq_acks))
		return;
	idx = srcu_read_lock(&vm->irq_srcu);
	routing = srcu_dereference(vm->routing, &vm->irq_srcu);
	for (i = 0; routing && routing->has_sints && i < routing->nr; i++) {
		const struct hv_irq_route *route = &routing->entry[i];

		if (route->type == KVM_IRQ_ROUTING_HV_SINT && route->vp == vp &&
		    route->sint == sint)
			hv_irq_notify_gsi(vm, route->gsi);
	}
	srcu_read_unlock(&vm->irq_srcu, idx);
}

void hv_irq_notify_unmask(struct hv_vm *vm, u32 chip, unsigned int pin)
{
	struct hv_pit *pit = READ_ONCE(vm->pit);
	int gsi, idx;

	if (!pit)
		return;
	idx = srcu_read_lock(&vm->irq_srcu);
	gsi = hv_pin_gsi(srcu_dereference(vm->routing, &vm->irq_srcu), chip, pin);
	srcu_read_unlock(&vm->irq_srcu, idx);
	if (gsi == 0)
		hv_pit_unmasked(pit);
}

void hv_split_eoi(struct hv_vcpu *vcpu, u8 vector)
{
	const struct hv_irq_routing *routing;
	struct hv_vm *vm = vcpu->vm;
	bool wanted = false;
	unsigned int i, end;
	int idx;

	if (!vm->split_pins)
		return;
	idx = srcu_read_lock(&vm->irq_srcu);
	routing = srcu_dereference(vm->routing, &vm->irq_srcu);
	end = routing ? routing->first[min_t(u32, vm->split_pins, routing->nr_gsis)] : 0;
	for (i = 0; i < end && !wanted; i++)
		wanted = routing->entry[i].type == KVM_IRQ_ROUTING_MSI &&
			 routing->entry[i].msi.level && routing->entry[i].msi.vector == vector;
	srcu_read_unlock(&vm->irq_srcu, idx);
	if (!wanted)
		return;
	vcpu->lapic->eoi_vector = vector;
	hv_request(vcpu, HV_REQ_IOAPIC_EOI);
}

/* ---- the table ----------------------------------------------------------------------------- */

/* One entry from user space; -EINVAL: not a route this VM can have. */
static int hv_route_parse(struct hv_vm *vm, const struct kvm_irq_routing_entry *ue,
			  struct hv_irq_route *route)
{
	memset(route, 0, sizeof(*route));
	route->gsi = ue->gsi;
	route->type = ue->type;
	if (ue->gsi >= HV_MAX_GSI)
		return -EINVAL;
	switch (ue->type) {
	case KVM_IRQ_ROUTING_MSI:
		if (ue->flags & ~KVM_MSI_VALID_DEVID)
			return -EINVAL;
		if (!hv_msi_decode(vm, ue->u.msi.address_lo, ue->u.msi.address_hi,
				   ue->u.msi.data, &route->msi))
			return -EINVAL;
		return 0;
	case KVM_IRQ_ROUTING_HV_SINT:
		route->vp = ue->u.hv_sint.vcpu;
		route->sint = ue->u.hv_sint.sint;
		return 0;
	case KVM_IRQ_ROUTING_XEN_EVTCHN:
		/* Which vCPUs and ports there are may change later, as it may with MSIs. */
		if (ue->u.xen_evtchn.priority != KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL)
			return -EINVAL;
		route->vcpu = ue->u.xen_evtchn.vcpu;
		route->port = ue->u.xen_evtchn.port;
		return 0;
	case KVM_IRQ_ROUTING_IRQCHIP:
		break;
	default:
		return -EINVAL;
	}
	if (ue->flags || !vm->pic)
		return -EINVAL;
	route->chip = ue->u.irqchip.irqchip;
	route->pin = ue->u.irqchip.pin;
	switch (route->chip) {
	case KVM_IRQCHIP_IOAPIC:
		return route->pin < HV_IOAPIC_PINS ? 0 : -EINVAL;
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		if (route->pin >= 8)
			return -EINVAL;
		route->pin += route->chip * 8;
		return 0;
	}
	return -EINVAL;
}

/* Can @route stand next to those of its GSI that are in the table already? */
static bool hv_route_fits(const struct hv_irq_route *have, unsigned int nr,
			  const struct hv_irq_route *route)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (have[i].type != KVM_IRQ_ROUTING_IRQCHIP ||
		    route->type != KVM_IRQ_ROUTING_IRQCHIP || have[i].chip == route->chip)
			return false;
	}
	return true;
}

static void hv_routing_map_pin(struct hv_irq_routing *routing, const struct hv_irq_route *route)
{
	if (route->type != KVM_IRQ_ROUTING_IRQCHIP)
		return;
	if (route->chip == KVM_IRQCHIP_IOAPIC)
		routing->ioapic_gsi[route->pin] = route->gsi;
	else
		routing->pic_gsi[route->pin] = route->gsi;
}

static struct hv_irq_routing *hv_routing_alloc(u32 nr, u32 nr_gsis)
{
	struct hv_irq_routing *routing;
	size_t size = struct_size(routing, entry, nr);

	routing = kvzalloc(size + (nr_gsis + 1) * sizeof(u16), GFP_KERNEL_ACCOUNT);
	if (!routing)
		return NULL;
	routing->nr = nr;
	routing->nr_gsis = nr_gsis;
	routing->first = (void *)routing + size;
	memset(routing->ioapic_gsi, 0xff, sizeof(routing->ioapic_gsi));
	memset(routing->pic_gsi, 0xff, sizeof(routing->pic_gsi));
	return routing;
}

/* A table from user space's entries: counting sort by GSI. */
static struct hv_irq_routing *hv_routing_build(struct hv_vm *vm,
					       const struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct hv_irq_routing *routing;
	struct hv_irq_route route;
	u32 i, nr_gsis = 0;
	u16 *fill;

	for (i = 0; i < nr; i++) {
		if (hv_route_parse(vm, &entries[i], &route))
			return ERR_PTR(-EINVAL);
		nr_gsis = max(nr_gsis, route.gsi + 1);
	}
	routing = hv_routing_alloc(nr, nr_gsis);
	fill = kvcalloc(nr_gsis + 1, sizeof(*fill), GFP_KERNEL);
	if (!routing || !fill)
		goto nomem;
	for (i = 0; i < nr; i++)
		routing->first[entries[i].gsi + 1]++;
	for (i = 0; i < nr_gsis; i++)
		routing->first[i + 1] += routing->first[i];
	for (i = 0; i < nr; i++) {
		struct hv_irq_route *have;

		hv_route_parse(vm, &entries[i], &route);
		have = &routing->entry[routing->first[route.gsi]];
		if (!hv_route_fits(have, fill[route.gsi], &route))
			goto invalid;
		have[fill[route.gsi]++] = route;
		routing->has_sints |= route.type == KVM_IRQ_ROUTING_HV_SINT;
		hv_routing_map_pin(routing, &route);
	}
	kvfree(fill);
	return routing;

nomem:
	kvfree(fill);
	kvfree(routing);
	return ERR_PTR(-ENOMEM);
invalid:
	kvfree(fill);
	kvfree(routing);
	return ERR_PTR(-EINVAL);
}

int hv_irq_set_routing(struct hv_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr,
		       u32 flags)
{
	struct hv_irq_routing *routing, *old;

	if (nr > HV_MAX_GSI || flags)
		return -EINVAL;
	routing = hv_routing_build(vm, entries, nr);
	if (IS_ERR(routing))
		return PTR_ERR(routing);
	mutex_lock(&vm->irq_lock);
	old = rcu_dereference_protected(vm->routing, lockdep_is_held(&vm->irq_lock));
	rcu_assign_pointer(vm->routing, routing);
	hv_irq_update_eoi_pins(vm);
	hv_irqfd_reroute(vm);
	mutex_unlock(&vm->irq_lock);
	synchronize_srcu_expedited(&vm->irq_srcu);
	kvfree(old);
	return 0;
}

/* GSIs 0-15 to the PIC and the IOAPIC, 16-23 to the IOAPIC. */
int hv_irq_default_routing(struct hv_vm *vm)
{
	struct kvm_irq_routing_entry *entries;
	unsigned int i, nr = 0;
	int err;

	entries = kcalloc(HV_PIC_PINS + HV_IOAPIC_PINS, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (i = 0; i < HV_IOAPIC_PINS; i++) {
		entries[nr].gsi = i;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		entries[nr++].u.irqchip.pin = i;
		if (i >= HV_PIC_PINS)
			continue;
		entries[nr].gsi = i;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = i >> 3;
		entries[nr++].u.irqchip.pin = i & 7;
	}
	err = hv_irq_set_routing(vm, entries, nr, 0);
	kfree(entries);
	return err;
}
