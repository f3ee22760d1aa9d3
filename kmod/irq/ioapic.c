// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC: 24 pins, version 0x11 (Intel 82093AA data sheet; the EOI rules are those of the
 * chipsets that came after it).
 */
#include <linux/bitops.h>
#include <linux/string.h>
#include "chips.h"

#define HV_IOAPIC_BASE		0xfec00000ULL
#define HV_IOAPIC_LEN		0x100

/* Offsets in the page (82093AA 3.1) */
#define HV_IOAPIC_SELECT	0x00
#define HV_IOAPIC_WINDOW	0x10

/* Indirect registers (82093AA 3.2) */
#define HV_IOAPIC_REG_ID	0x00
#define HV_IOAPIC_REG_VERSION	0x01
#define HV_IOAPIC_REG_ARB	0x02
#define HV_IOAPIC_REG_REDIR	0x10
#define HV_IOAPIC_VERSION	0x11

/* Redirection entry (82093AA 3.2.4) */
#define HV_REDIR_VECTOR		0xffULL
#define HV_REDIR_LOGICAL	BIT_ULL(11)
#define HV_REDIR_STATUS		BIT_ULL(12)
#define HV_REDIR_REMOTE_IRR	BIT_ULL(14)
#define HV_REDIR_LEVEL		BIT_ULL(15)
#define HV_REDIR_MASKED		BIT_ULL(16)
#define HV_REDIR_RESERVED	0x00fffffffffe0000ULL
#define HV_REDIR_READ_ONLY	(HV_REDIR_STATUS | HV_REDIR_REMOTE_IRR)

/*
 * A level interrupt that comes back this often without a pause is a storm: let the guest breathe.
 */
#define HV_IOAPIC_STORM_COUNT	10000
#define HV_IOAPIC_STORM_PAUSE	(HZ / 100 ?: 1)

/* ---- delivery (lock held) ------------------------------------------------------------------ */

static int hv_ioapic_service(struct hv_ioapic *ioapic, unsigned int pin)
{
	u64 entry = ioapic->redir[pin];
	struct hv_apic_irq irq = {
		.dest = entry >> 56,
		.vector = entry & HV_REDIR_VECTOR,
		.mode = entry >> 8 & 7,
		.logical = entry & HV_REDIR_LOGICAL,
		.level = entry & HV_REDIR_LEVEL,
		.assert = true,
	};
	int ret;

	if ((entry & HV_REDIR_MASKED) || (irq.level && (entry & HV_REDIR_REMOTE_IRR)))
		return -1;
	if (!irq.level)
		ioapic->irr_delivered |= BIT(pin);
	ret = hv_apic_deliver(ioapic->vm, NULL, &irq);
	if (irq.level && ret > 0)
		ioapic->redir[pin] |= HV_REDIR_REMOTE_IRR;
	return ret;
}

int hv_ioapic_set_irq(struct hv_ioapic *ioapic, unsigned int pin, enum hv_irq_source source,
		      int level)
{
	unsigned long flags;
	int ret = 1;
	bool edge;

	spin_lock_irqsave(&ioapic->lock, flags);
	if (!hv_line_set(&ioapic->lines[pin], source, level)) {
		ioapic->irr &= ~BIT(pin);
		goto out;
	}
	edge = !(ioapic->redir[pin] & HV_REDIR_LEVEL);
	if (edge) {
		ioapic->irr_delivered &= ~BIT(pin);
		/* No edge: the line was high already. */
		if (ioapic->irr & BIT(pin)) {
			ret = 0;
			goto out;
		}
	}
	ioapic->irr |= BIT(pin);
	ret = hv_ioapic_service(ioapic, pin);
out:
	spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

/* ---- end of interrupt ---------------------------------------------------------------------- */

static void hv_ioapic_storm_work(struct work_struct *work)
{
	struct hv_ioapic *ioapic = container_of(work, struct hv_ioapic, storm_work.work);
	unsigned long flags;
	unsigned int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	for (pin = 0; pin < HV_IOAPIC_PINS; pin++) {
		if ((ioapic->redir[pin] & HV_REDIR_LEVEL) && (ioapic->irr & BIT(pin)))
			hv_ioapic_service(ioapic, pin);
	}
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* The line is still up after its EOI: deliver again, but not without end. */
static void hv_ioapic_redeliver(struct hv_ioapic *ioapic, unsigned int pin)
{
	if ((ioapic->redir[pin] & HV_REDIR_MASKED) || !(ioapic->irr & BIT(pin))) {
		ioapic->eoi_count[pin] = 0;
		return;
	}
	if (++ioapic->eoi_count[pin] < HV_IOAPIC_STORM_COUNT) {
		hv_ioapic_service(ioapic, pin);
		return;
	}
	ioapic->eoi_count[pin] = 0;
	schedule_delayed_work(&ioapic->storm_work, HV_IOAPIC_STORM_PAUSE);
}

void hv_ioapic_eoi(struct hv_ioapic *ioapic, u8 vector, bool level)
{
	unsigned long flags;
	unsigned int pin;

	for (pin = 0; pin < HV_IOAPIC_PINS; pin++) {
		if ((READ_ONCE(ioapic->redir[pin]) & HV_REDIR_VECTOR) != vector)
			continue;
		/* Listeners may lower the line, so they come before the redelivery. */
		if (READ_ONCE(ioapic->eoi_pins) & BIT(pin))
			hv_irq_notify_ack(ioapic->vm, KVM_IRQCHIP_IOAPIC, pin);
		if (!level)
			continue;
		spin_lock_irqsave(&ioapic->lock, flags);
		if ((ioapic->redir[pin] & (HV_REDIR_VECTOR | HV_REDIR_LEVEL)) ==
		    (vector | HV_REDIR_LEVEL)) {
			ioapic->redir[pin] &= ~HV_REDIR_REMOTE_IRR;
			hv_ioapic_redeliver(ioapic, pin);
		}
		spin_unlock_irqrestore(&ioapic->lock, flags);
	}
}

/* Lock held. */
static void hv_ioapic_update_eoi_vectors(struct hv_ioapic *ioapic)
{
	unsigned long vectors[256 / BITS_PER_LONG] = { 0 };
	struct hv_vcpu *vcpu;
	unsigned long index;
	unsigned int pin, i;

	for (pin = 0; pin < HV_IOAPIC_PINS; pin++) {
		if ((ioapic->eoi_pins & BIT(pin)) || (ioapic->redir[pin] & HV_REDIR_LEVEL))
			__set_bit(ioapic->redir[pin] & HV_REDIR_VECTOR, vectors);
	}
	if (!memcmp(vectors, ioapic->eoi_vectors, sizeof(vectors)))
		return;
	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		WRITE_ONCE(ioapic->eoi_vectors[i], vectors[i]);
	hv_for_each_vcpu(ioapic->vm, vcpu, index)
		hv_request_kick(vcpu, HV_REQ_APIC);
}

void hv_ioapic_set_eoi_pins(struct hv_ioapic *ioapic, u32 pins)
{
	unsigned long flags;

	spin_lock_irqsave(&ioapic->lock, flags);
	WRITE_ONCE(ioapic->eoi_pins, pins);
	hv_ioapic_update_eoi_vectors(ioapic);
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* ---- registers ----------------------------------------------------------------------------- */

static u32 hv_ioapic_read_window(const struct hv_ioapic *ioapic)
{
	u32 index = (ioapic->select - HV_IOAPIC_REG_REDIR) >> 1;

	switch (ioapic->select) {
	case HV_IOAPIC_REG_VERSION:
		return (HV_IOAPIC_PINS - 1) << 16 | HV_IOAPIC_VERSION;
	case HV_IOAPIC_REG_ID:
	case HV_IOAPIC_REG_ARB:
		return (ioapic->id & 0xf) << 24;
	}
	if (ioapic->select < HV_IOAPIC_REG_REDIR || index >= HV_IOAPIC_PINS)
		return 0xffffffff;
	return ioapic->redir[index] >> (ioapic->select & 1 ? 32 : 0);
}

static void hv_ioapic_write_redir(struct hv_ioapic *ioapic, unsigned int pin, bool high, u32 value)
{
	u64 old = ioapic->redir[pin], new;

	if (high)
		new = (u64)value << 32 | (u32)old;
	else
		new = (old & ~0xffffffffULL) | value;
	new &= ~(HV_REDIR_RESERVED | HV_REDIR_READ_ONLY);
	new |= old & HV_REDIR_READ_ONLY;
	/* Guests count on an edge-triggered entry forgetting its Remote IRR. */
	if (!(new & HV_REDIR_LEVEL))
		new &= ~HV_REDIR_REMOTE_IRR;
	WRITE_ONCE(ioapic->redir[pin], new);
	hv_ioapic_update_eoi_vectors(ioapic);
	if ((new & HV_REDIR_LEVEL) && (ioapic->irr & BIT(pin)))
		hv_ioapic_service(ioapic, pin);
}

static void hv_ioapic_write_window(struct hv_ioapic *ioapic, u32 value)
{
	u32 index = (ioapic->select - HV_IOAPIC_REG_REDIR) >> 1;
	unsigned long flags;
	bool unmasked;

	if (ioapic->select == HV_IOAPIC_REG_ID) {
		ioapic->id = value >> 24 & 0xf;
		return;
	}
	if (ioapic->select < HV_IOAPIC_REG_REDIR || index >= HV_IOAPIC_PINS)
		return;
	spin_lock_irqsave(&ioapic->lock, flags);
	unmasked = ioapic->redir[index] & HV_REDIR_MASKED;
	hv_ioapic_write_redir(ioapic, index, ioapic->select & 1, value);
	unmasked = unmasked && !(ioapic->redir[index] & HV_REDIR_MASKED);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	if (unmasked)
		hv_irq_notify_unmask(ioapic->vm, KVM_IRQCHIP_IOAPIC, index);
}

static int hv_ioapic_mmio_read(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len,
			       void *data)
{
	struct hv_ioapic *ioapic = container_of(dev, struct hv_ioapic, dev);
	u64 value = 0;

	switch (addr & 0xff) {
	case HV_IOAPIC_SELECT:
		value = READ_ONCE(ioapic->select);
		break;
	case HV_IOAPIC_WINDOW:
		value = hv_ioapic_read_window(ioapic);
		break;
	}
	memcpy(data, &value, min_t(u32, len, sizeof(value)));
	return 0;
}

static int hv_ioapic_mmio_write(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len,
				const void *data)
{
	struct hv_ioapic *ioapic = container_of(dev, struct hv_ioapic, dev);
	u32 value = 0;

	memcpy(&value, data, min_t(u32, len, sizeof(value)));
	switch (addr & 0xff) {
	case HV_IOAPIC_SELECT:
		WRITE_ONCE(ioapic->select, value & 0xff);
		break;
	case HV_IOAPIC_WINDOW:
		hv_ioapic_write_window(ioapic, value);
		break;
	}
	return 0;
}

static const struct hv_iodev_ops hv_ioapic_ops = {
	.read = hv_ioapic_mmio_read,
	.write = hv_ioapic_mmio_write,
};

/* ---- life and saved state ------------------------------------------------------------------ */

void hv_ioapic_init(struct hv_ioapic *ioapic, struct hv_vm *vm)
{
	unsigned int pin;

	spin_lock_init(&ioapic->lock);
	INIT_DELAYED_WORK(&ioapic->storm_work, hv_ioapic_storm_work);
	ioapic->vm = vm;
	ioapic->dev.ops = &hv_ioapic_ops;
	for (pin = 0; pin < HV_IOAPIC_PINS; pin++)
		ioapic->redir[pin] = HV_REDIR_MASKED;
}

int hv_ioapic_register(struct hv_vm *vm)
{
	return hv_iobus_add(vm, HV_BUS_MMIO, HV_IOAPIC_BASE, HV_IOAPIC_LEN, &vm->ioapic->dev);
}

void hv_ioapic_get(struct hv_ioapic *ioapic, struct kvm_ioapic_state *state)
{
	unsigned long flags;
	unsigned int pin;

	memset(state, 0, sizeof(*state));
	spin_lock_irqsave(&ioapic->lock, flags);
	state->base_address = HV_IOAPIC_BASE;
	state->ioregsel = ioapic->select;
	state->id = ioapic->id;
	/* Only what the guest has still to see. */
	state->irr = ioapic->irr & ~ioapic->irr_delivered;
	for (pin = 0; pin < HV_IOAPIC_PINS; pin++)
		state->redirtbl[pin].bits = ioapic->redir[pin];
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

void hv_ioapic_set(struct hv_ioapic *ioapic, const struct kvm_ioapic_state *state)
{
	unsigned long flags;
	unsigned int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->select = state->ioregsel & 0xff;
	ioapic->id = state->id & 0xf;
	ioapic->irr = 0;
	ioapic->irr_delivered = 0;
	for (pin = 0; pin < HV_IOAPIC_PINS; pin++) {
		WRITE_ONCE(ioapic->redir[pin], state->redirtbl[pin].bits & ~HV_REDIR_RESERVED);
		ioapic->eoi_count[pin] = 0;
	}
	hv_ioapic_update_eoi_vectors(ioapic);
	for (pin = 0; pin < HV_IOAPIC_PINS; pin++) {
		if (!(state->irr & BIT(pin)))
			continue;
		ioapic->irr |= BIT(pin);
		hv_ioapic_service(ioapic, pin);
	}
	spin_unlock_irqrestore(&ioapic->lock, flags);
}
