// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pair of 8259A interrupt controllers (Intel 8259A data sheet) with the edge/level registers
 * of EISA. State is kept in the format of KVM_GET_IRQCHIP: read_reg_select 0 reads IRR, 1 ISR;
 * init_state is the ICW expected next (0: none).
 */
#include <linux/bitops.h>
#include <linux/string.h>
#include "chips.h"

/* Initialization and operation command words (8259A data sheet, figures 7 and 8) */
#define HV_ICW1_ICW4		BIT(0)
#define HV_ICW1			BIT(4)
#define HV_ICW4_AUTO_EOI	BIT(1)
#define HV_ICW4_SFNM		BIT(4)
#define HV_OCW3			BIT(3)
#define HV_OCW3_READ_ISR	BIT(0)
#define HV_OCW3_READ		BIT(1)
#define HV_OCW3_POLL		BIT(2)
#define HV_OCW3_SMM		BIT(5)
#define HV_OCW3_SET_SMM		BIT(6)
/* OCW2 commands: bits 7:5 */
enum {
	HV_OCW2_CLEAR_AUTO_ROTATE, HV_OCW2_EOI, HV_OCW2_NOP, HV_OCW2_SPECIFIC_EOI,
	HV_OCW2_SET_AUTO_ROTATE, HV_OCW2_ROTATE_EOI, HV_OCW2_SET_PRIORITY,
	HV_OCW2_ROTATE_SPECIFIC_EOI,
};

#define HV_PIC_CASCADE		2	/* the master's pin that the slave drives */
/* Pins that can be level triggered: not the timer, keyboard, cascade, RTC, FPU. */
#define HV_ELCR_MASTER		0xf8
#define HV_ELCR_SLAVE		0xde

/* ---- one chip ------------------------------------------------------------------------------ */

/* Priority of the most urgent pin in @pins: 0 is the highest, 8: none. */
static unsigned int hv_pic_priority(const struct kvm_pic_state *s, u8 pins)
{
	unsigned int turned = (pins | pins << 8) >> s->priority_add & 0xff;

	return turned ? __ffs(turned) : 8;
}

static unsigned int hv_pic_priority_pin(const struct kvm_pic_state *s, unsigned int priority)
{
	return (priority + s->priority_add) & 7;
}

/* The pin to be serviced, -1: none that is more urgent than what is in service. */
static int hv_pic_chip_pending(const struct hv_pic *pic, unsigned int chip)
{
	const struct kvm_pic_state *s = &pic->chip[chip];
	unsigned int priority = hv_pic_priority(s, s->irr & ~s->imr);
	u8 in_service = s->isr;

	if (priority == 8)
		return -1;
	if (s->special_mask)
		in_service &= ~s->imr;
	/* Fully nested with a slave: requests of the slave pass while one of them is served. */
	if (s->special_fully_nested_mode && chip == 0)
		in_service &= ~BIT(HV_PIC_CASCADE);
	if (priority >= hv_pic_priority(s, in_service))
		return -1;
	return hv_pic_priority_pin(s, priority);
}

/* A pin of one chip changes; 1: raised, 0: was up already, -1: masked. */
static int hv_pic_chip_line(struct kvm_pic_state *s, unsigned int pin, bool level)
{
	u8 mask = BIT(pin);
	int ret = 1;

	if (s->elcr & mask) {
		if (level) {
			ret = !(s->irr & mask);
			s->irr |= mask;
			s->last_irr |= mask;
		} else {
			s->irr &= ~mask;
			s->last_irr &= ~mask;
		}
	} else if (level) {
		if (!(s->last_irr & mask)) {
			ret = !(s->irr & mask);
			s->irr |= mask;
		}
		s->last_irr |= mask;
	} else {
		s->last_irr &= ~mask;
	}
	return s->imr & mask ? -1 : ret;
}

/* Recompute the cascade (which follows the slave's INT output) and the INTR output. */
static void hv_pic_update(struct hv_pic *pic)
{
	if (hv_pic_chip_pending(pic, 1) >= 0)
		pic->chip[0].irr |= BIT(HV_PIC_CASCADE);
	else
		pic->chip[0].irr &= ~BIT(HV_PIC_CASCADE);
	WRITE_ONCE(pic->output, hv_pic_chip_pending(pic, 0) >= 0);
}

static void hv_pic_end(struct hv_pic *pic, unsigned int chip, unsigned int pin)
{
	pic->chip[chip].isr &= ~BIT(pin);
	pic->acked |= BIT(chip * 8 + pin);
}

/* The chip's part of an INTA cycle, or a poll, for @pin. */
static void hv_pic_acknowledge(struct hv_pic *pic, unsigned int chip, unsigned int pin)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	s->isr |= BIT(pin);
	/* A level request stays as long as its line. */
	if (!(s->elcr & BIT(pin)))
		s->irr &= ~BIT(pin);
	if (!s->auto_eoi)
		return;
	if (s->rotate_on_auto_eoi)
		s->priority_add = (pin + 1) & 7;
	hv_pic_end(pic, chip, pin);
}

/* ---- locking: what has to be done after the lock is dropped -------------------------------- */

/* Whoever is wired to INTR hears of it (on a PC one CPU is); the first one that can takes it. */
static void hv_pic_wake(struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	hv_for_each_vcpu(vm, vcpu, i) {
		if (vcpu->lapic && hv_lapic_takes_pic(vcpu->lapic))
			hv_request_kick(vcpu, HV_REQ_EVENT);
	}
}

/* Recompute, unlock, wake a vCPU if INTR rose, tell listeners what was acknowledged. */
static void hv_pic_unlock(struct hv_pic *pic, unsigned long flags)
{
	bool before = pic->output, rose;
	unsigned long acked = pic->acked;
	unsigned int pin;

	hv_pic_update(pic);
	rose = pic->output && !before;
	pic->acked = 0;
	spin_unlock_irqrestore(&pic->lock, flags);
	if (rose)
		hv_pic_wake(pic->vm);
	for_each_set_bit(pin, &acked, HV_PIC_PINS)
		hv_irq_notify_ack(pic->vm, KVM_IRQCHIP_PIC_MASTER, pin);
}

int hv_pic_set_irq(struct hv_pic *pic, unsigned int pin, enum hv_irq_source source, int level)
{
	unsigned long flags;
	bool up;
	int ret;

	spin_lock_irqsave(&pic->lock, flags);
	up = hv_line_set(&pic->lines[pin], source, level);
	ret = hv_pic_chip_line(&pic->chip[pin >> 3], pin & 7, up);
	hv_pic_unlock(pic, flags);
	return ret;
}

int hv_pic_inta(struct hv_pic *pic)
{
	unsigned long flags;
	int pin, slave, vector;

	spin_lock_irqsave(&pic->lock, flags);
	pin = hv_pic_chip_pending(pic, 0);
	if (pin < 0) {
		vector = pic->chip[0].irq_base + 7;	/* spurious */
	} else if (pin == HV_PIC_CASCADE) {
		slave = hv_pic_chip_pending(pic, 1);
		if (slave >= 0)
			hv_pic_acknowledge(pic, 1, slave);
		hv_pic_acknowledge(pic, 0, pin);
		vector = pic->chip[1].irq_base + (slave >= 0 ? slave : 7);
	} else {
		hv_pic_acknowledge(pic, 0, pin);
		vector = pic->chip[0].irq_base + pin;
	}
	/* The next request in line, if any, must be looked at again. */
	pic->output = false;
	hv_pic_unlock(pic, flags);
	return vector & 0xff;
}

/* ---- registers ----------------------------------------------------------------------------- */

static void hv_pic_icw1(struct hv_pic *pic, unsigned int chip, u8 value)
{
	struct kvm_pic_state *s = &pic->chip[chip];

	/* Requests from edges are forgotten; level ones come back with their lines. */
	pic->acked |= (u16)s->isr << chip * 8;
	s->irr &= s->elcr;
	s->last_irr = s->irr;
	s->imr = 0;
	s->isr = 0;
	s->priority_add = 0;
	s->read_reg_select = 0;
	s->poll = 0;
	s->special_mask = 0;
	s->auto_eoi = 0;
	s->rotate_on_auto_eoi = 0;
	s->special_fully_nested_mode = 0;
	s->init4 = value & HV_ICW1_ICW4;
	s->init_state = 1;
}

static void hv_pic_ocw3(struct kvm_pic_state *s, u8 value)
{
	if (value & HV_OCW3_POLL)
		s->poll = 1;
	if (value & HV_OCW3_READ)
		s->read_reg_select = value & HV_OCW3_READ_ISR;
	if (value & HV_OCW3_SET_SMM)
		s->special_mask = !!(value & HV_OCW3_SMM);
}

static void hv_pic_ocw2(struct hv_pic *pic, unsigned int chip, u8 value)
{
	struct kvm_pic_state *s = &pic->chip[chip];
	unsigned int command = value >> 5, pin = value & 7;

	switch (command) {
	case HV_OCW2_CLEAR_AUTO_ROTATE:
	case HV_OCW2_SET_AUTO_ROTATE:
		s->rotate_on_auto_eoi = command >> 2;
		return;
	case HV_OCW2_SET_PRIORITY:
		s->priority_add = (pin + 1) & 7;
		return;
	case HV_OCW2_EOI:
	case HV_OCW2_ROTATE_EOI:
		if (hv_pic_priority(s, s->isr) == 8)
			return;
		pin = hv_pic_priority_pin(s, hv_pic_priority(s, s->isr));
		break;
	case HV_OCW2_SPECIFIC_EOI:
	case HV_OCW2_ROTATE_SPECIFIC_EOI:
		break;
	default:
		return;
	}
	hv_pic_end(pic, chip, pin);
	if (command == HV_OCW2_ROTATE_EOI || command == HV_OCW2_ROTATE_SPECIFIC_EOI)
		s->priority_add = (pin + 1) & 7;
}

/* The odd port: ICW2-4 during initialization, else the mask. Returns pins that became open. */
static u8 hv_pic_write_data(struct kvm_pic_state *s, u8 value)
{
	u8 opened;

	switch (s->init_state) {
	case 1:
		s->irq_base = value & 0xf8;
		s->init_state = 2;
		return 0;
	case 2:		/* ICW3: the wiring of the pair is fixed */
		s->init_state = s->init4 ? 3 : 0;
		return 0;
	case 3:
		s->special_fully_nested_mode = !!(value & HV_ICW4_SFNM);
		s->auto_eoi = !!(value & HV_ICW4_AUTO_EOI);
		s->init_state = 0;
		return 0;
	}
	opened = s->imr & ~value;
	s->imr = value;
	return opened;
}

static u8 hv_pic_write_command(struct hv_pic *pic, unsigned int chip, u8 value)
{
	u8 opened = 0;

	if (value & HV_ICW1) {
		opened = pic->chip[chip].imr;
		hv_pic_icw1(pic, chip, value);
	} else if (value & HV_OCW3) {
		hv_pic_ocw3(&pic->chip[chip], value);
	} else {
		hv_pic_ocw2(pic, chip, value);
	}
	return opened;
}

/* Poll command: the read is the acknowledgement (8259A data sheet, "Poll Command"). */
static u8 hv_pic_poll(struct hv_pic *pic, unsigned int chip)
{
	int pin = hv_pic_chip_pending(pic, chip);

	pic->chip[chip].poll = 0;
	if (pin < 0)
		return 0;
	hv_pic_acknowledge(pic, chip, pin);
	return 0x80 | pin;
}

/* Bytes that can be read without the lock. */
static u8 hv_pic_read_port(const struct hv_pic *pic, u64 port)
{
	const struct kvm_pic_state *s = &pic->chip[port >> 7 & 1];

	if (port >= 0x4d0)
		return READ_ONCE(pic->chip[port & 1].elcr);
	if (port & 1)
		return READ_ONCE(s->imr);
	return READ_ONCE(s->read_reg_select) ? READ_ONCE(s->isr) : READ_ONCE(s->irr);
}

static u8 hv_pic_write_port(struct hv_pic *pic, u64 port, u8 value)
{
	unsigned int chip = port >> 7 & 1;

	if (port >= 0x4d0) {
		pic->chip[port & 1].elcr = value & pic->chip[port & 1].elcr_mask;
		return 0;
	}
	if (port & 1)
		return hv_pic_write_data(&pic->chip[chip], value);
	return hv_pic_write_command(pic, chip, value);
}

static int hv_pic_pio_read(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 port, u32 len,
			   void *data)
{
	struct hv_pic *pic = container_of(dev, struct hv_pic, dev);
	unsigned int chip = port >> 7 & 1;
	unsigned long flags;

	if (unlikely(len != 1)) {
		memset(data, 0, len);
	} else if (likely(port >= 0x4d0 || !READ_ONCE(pic->chip[chip].poll))) {
		*(u8 *)data = hv_pic_read_port(pic, port);
	} else {
		spin_lock_irqsave(&pic->lock, flags);
		*(u8 *)data = hv_pic_poll(pic, chip);
		hv_pic_unlock(pic, flags);
	}
	return 0;
}

static int hv_pic_pio_write(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 port, u32 len,
			    const void *data)
{
	struct hv_pic *pic = container_of(dev, struct hv_pic, dev);
	unsigned long flags, opened;
	unsigned int pin;

	if (len != 1)
		return 0;
	spin_lock_irqsave(&pic->lock, flags);
	opened = hv_pic_write_port(pic, port, *(const u8 *)data);
	hv_pic_unlock(pic, flags);
	for_each_set_bit(pin, &opened, 8)
		hv_irq_notify_unmask(pic->vm, KVM_IRQCHIP_PIC_MASTER, (port >> 7 & 1) * 8 + pin);
	return 0;
}

static const struct hv_iodev_ops hv_pic_ops = {
	.read = hv_pic_pio_read,
	.write = hv_pic_pio_write,
};

/* ---- life and saved state ------------------------------------------------------------------ */

void hv_pic_init(struct hv_pic *pic, struct hv_vm *vm)
{
	spin_lock_init(&pic->lock);
	pic->vm = vm;
	pic->dev.ops = &hv_pic_ops;
	pic->chip[0].elcr_mask = HV_ELCR_MASTER;
	pic->chip[1].elcr_mask = HV_ELCR_SLAVE;
}

int hv_pic_register(struct hv_vm *vm)
{
	static const u16 ports[] = { 0x20, 0xa0, 0x4d0 };
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(ports); i++) {
		err = hv_iobus_add(vm, HV_BUS_PIO, ports[i], 2, &vm->pic->dev);
		if (err)
			return err;
	}
	return 0;
}

void hv_pic_get(struct hv_pic *pic, unsigned int chip, struct kvm_pic_state *state)
{
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	*state = pic->chip[chip];
	spin_unlock_irqrestore(&pic->lock, flags);
}

void hv_pic_set(struct hv_pic *pic, unsigned int chip, const struct kvm_pic_state *state)
{
	struct kvm_pic_state *s = &pic->chip[chip];
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	*s = *state;
	s->elcr_mask = chip ? HV_ELCR_SLAVE : HV_ELCR_MASTER;
	s->elcr &= s->elcr_mask;
	s->priority_add &= 7;
	hv_pic_unlock(pic, flags);
}
