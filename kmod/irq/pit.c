// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 interval timer and port 0x61 (Intel 8254 data sheet). Counters are not stepped: what
 * they show follows from the time since they were loaded. Counter 0 interrupts through a hrtimer.
 * BCD counting is stored but counts binary, as nobody uses it.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "chips.h"
#include "compat/hrtimer.h"

#define HV_PIT_HZ		1193182
#define HV_PIT_PORT		0x40
#define HV_PIT_SPEAKER_PORT	0x61
#define HV_PIT_GSI		0
/* Shortest period of counter 0, ns: a guest must not drown the host in timer interrupts. */
#define HV_PIT_MIN_PERIOD	100000ULL

/* Control word (8254 data sheet, figure 7) */
#define HV_PIT_READ_BACK	3	/* bits 7:6 */
#define HV_PIT_RB_NO_COUNT	BIT(5)
#define HV_PIT_RB_NO_STATUS	BIT(4)

/* Values of read_state, write_state and rw_mode */
enum { HV_PIT_LATCH, HV_PIT_LOW, HV_PIT_HIGH, HV_PIT_WORD0, HV_PIT_WORD1 };

struct hv_pit {
	struct hv_vm *vm;
	spinlock_t lock;
	struct kvm_pit_channel_state ch[3];
	u32 flags;			/* KVM_PIT_FLAGS_HPET_LEGACY */
	bool speaker;
	struct hrtimer timer;
	u64 target, period;		/* of the hrtimer, ns; 0: not armed, one shot */
	bool reinject;			/* deliver ticks that the guest was late for */
	bool acked;			/* the guest has taken the last tick */
	u32 lost;			/* ticks to be delivered later */
	struct hv_irq_ack ack;
	struct hv_iodev dev, speaker_dev;
};

/* ---- counters ------------------------------------------------------------------------------ */

static u64 hv_pit_ticks_to_ns(u64 ticks)
{
	return mul_u64_u64_div_u64(ticks, NSEC_PER_SEC, HV_PIT_HZ);
}

/* Clock ticks since the counter was loaded. */
static u64 hv_pit_elapsed(const struct kvm_pit_channel_state *c, u64 now)
{
	u64 loaded = c->count_load_time;

	return now > loaded ? mul_u64_u64_div_u64(now - loaded, HV_PIT_HZ, NSEC_PER_SEC) : 0;
}

static u16 hv_pit_count(const struct kvm_pit_channel_state *c, u64 now)
{
	u64 elapsed = hv_pit_elapsed(c, now), rest;

	div64_u64_rem(elapsed, c->count, &rest);
	switch (c->mode) {
	case 2:
		return c->count - rest;
	case 3:		/* counts by two, twice per period */
		div64_u64_rem(elapsed * 2, c->count, &rest);
		return c->count - (rest & ~1ULL);
	}
	return c->count - elapsed;
}

static bool hv_pit_out(const struct kvm_pit_channel_state *c, u64 now)
{
	u64 elapsed = hv_pit_elapsed(c, now), rest;

	div64_u64_rem(elapsed, c->count, &rest);
	switch (c->mode) {
	case 0:
	case 1:
		return elapsed >= c->count;
	case 2:
		return rest != c->count - 1;
	case 3:
		return rest < (c->count + 1) / 2;
	}
	return elapsed != c->count;	/* 4, 5: one low strobe */
}

/* Lock held. The callback may be running: it finds out under the lock that it is late. */
static void hv_pit_arm(struct hv_pit *pit, u64 target, u64 period)
{
	pit->target = target;
	pit->period = period;
	if (target)
		hrtimer_start(&pit->timer, ns_to_ktime(target), HRTIMER_MODE_ABS);
	else
		hrtimer_try_to_cancel(&pit->timer);
}

/* Start counter @nr from @count (0 means 65536). */
static void hv_pit_load(struct hv_pit *pit, unsigned int nr, u32 count)
{
	struct kvm_pit_channel_state *c = &pit->ch[nr];
	u64 now = ktime_get_ns(), ns;

	c->count = count ? min_t(u32, count, 0x10000) : 0x10000;
	c->count_load_time = now;
	if (nr)
		return;
	ns = hv_pit_ticks_to_ns(c->count);
	/* Under HPET legacy replacement counter 0's output goes nowhere. */
	if (pit->flags & KVM_PIT_FLAGS_HPET_LEGACY)
		hv_pit_arm(pit, 0, 0);
	else if (c->mode == 2 || c->mode == 3)
		hv_pit_arm(pit, now + ns, max(ns, HV_PIT_MIN_PERIOD));
	else if (c->mode == 0 || c->mode == 1 || c->mode == 4)
		hv_pit_arm(pit, now + ns, 0);
	else
		hv_pit_arm(pit, 0, 0);
}

static void hv_pit_set_gate(struct hv_pit *pit, unsigned int nr, bool gate)
{
	struct kvm_pit_channel_state *c = &pit->ch[nr];

	/* A rising gate restarts modes 1, 2, 3 and 5. */
	if (gate && !c->gate && c->mode != 0 && c->mode != 4)
		c->count_load_time = ktime_get_ns();
	c->gate = gate;
}

/* ---- counter 0's interrupt ----------------------------------------------------------------- */

static void hv_pit_pulse(struct hv_pit *pit)
{
	hv_irq_set_level(pit->vm, HV_IRQ_PIT, HV_PIT_GSI, 1, false);
	hv_irq_set_level(pit->vm, HV_IRQ_PIT, HV_PIT_GSI, 0, false);
}

static enum hrtimer_restart hv_pit_timer_fn(struct hrtimer *timer)
{
	struct hv_pit *pit = container_of(timer, struct hv_pit, timer);
	enum hrtimer_restart restart = HRTIMER_NORESTART;
	unsigned long flags;
	bool fire;

	spin_lock_irqsave(&pit->lock, flags);
	/* Stopped or started anew while this callback waited for the lock. */
	if (!pit->target || hrtimer_is_queued(timer)) {
		spin_unlock_irqrestore(&pit->lock, flags);
		return HRTIMER_NORESTART;
	}
	fire = !pit->reinject || pit->acked;
	if (fire)
		pit->acked = false;
	else if (pit->lost < U32_MAX)
		pit->lost++;
	if (pit->period) {
		pit->target += pit->period;
		hrtimer_set_expires(timer, ns_to_ktime(pit->target));
		restart = HRTIMER_RESTART;
	} else {
		pit->target = 0;
	}
	spin_unlock_irqrestore(&pit->lock, flags);
	if (fire)
		hv_pit_pulse(pit);
	return restart;
}

/* The guest acknowledged IRQ 0. */
static void hv_pit_acked(struct hv_irq_ack *ack)
{
	struct hv_pit *pit = container_of(ack, struct hv_pit, ack);
	unsigned long flags;
	bool fire;

	spin_lock_irqsave(&pit->lock, flags);
	fire = pit->reinject && pit->lost;
	if (fire)
		pit->lost--;
	else
		pit->acked = true;
	spin_unlock_irqrestore(&pit->lock, flags);
	if (fire)
		hv_pit_pulse(pit);
}

static void hv_pit_forget_lost(struct hv_pit *pit)
{
	pit->lost = 0;
	pit->acked = true;
}

void hv_pit_unmasked(struct hv_pit *pit)
{
	unsigned long flags;

	spin_lock_irqsave(&pit->lock, flags);
	hv_pit_forget_lost(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
}

/* ---- ports --------------------------------------------------------------------------------- */

static void hv_pit_latch_count(struct kvm_pit_channel_state *c, u64 now)
{
	if (c->count_latched)
		return;
	c->latched_count = hv_pit_count(c, now);
	c->count_latched = c->rw_mode;
}

static void hv_pit_latch_status(struct kvm_pit_channel_state *c, u64 now)
{
	if (c->status_latched)
		return;
	c->status = hv_pit_out(c, now) << 7 | c->rw_mode << 4 | c->mode << 1 | c->bcd;
	c->status_latched = 1;
}

static void hv_pit_control(struct hv_pit *pit, u8 value)
{
	unsigned int nr = value >> 6, access = value >> 4 & 3;
	struct kvm_pit_channel_state *c = &pit->ch[nr % 3];
	u64 now = ktime_get_ns();

	if (nr == HV_PIT_READ_BACK) {
		for (nr = 0; nr < 3; nr++) {
			if (!(value & BIT(nr + 1)))
				continue;
			if (!(value & HV_PIT_RB_NO_COUNT))
				hv_pit_latch_count(&pit->ch[nr], now);
			if (!(value & HV_PIT_RB_NO_STATUS))
				hv_pit_latch_status(&pit->ch[nr], now);
		}
		return;
	}
	if (access == HV_PIT_LATCH) {
		hv_pit_latch_count(c, now);
		return;
	}
	c->rw_mode = access;
	c->read_state = access;
	c->write_state = access;
	c->mode = value >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;	/* 6 and 7 are 2 and 3 */
	c->bcd = value & 1;
	/* A mode without a count: the counter waits. */
	if (nr == 0)
		hv_pit_arm(pit, 0, 0);
}

static void hv_pit_write_counter(struct hv_pit *pit, unsigned int nr, u8 value)
{
	struct kvm_pit_channel_state *c = &pit->ch[nr];

	switch (c->write_state) {
	case HV_PIT_LOW:
		hv_pit_load(pit, nr, value);
		break;
	case HV_PIT_HIGH:
		hv_pit_load(pit, nr, value << 8);
		break;
	case HV_PIT_WORD0:
		c->write_latch = value;
		c->write_state = HV_PIT_WORD1;
		break;
	case HV_PIT_WORD1:
		hv_pit_load(pit, nr, c->write_latch | value << 8);
		c->write_state = HV_PIT_WORD0;
		break;
	}
}

static u8 hv_pit_read_latched(struct kvm_pit_channel_state *c)
{
	switch (c->count_latched) {
	case HV_PIT_HIGH:
		c->count_latched = 0;
		return c->latched_count >> 8;
	case HV_PIT_WORD0:
		c->count_latched = HV_PIT_HIGH;
		return c->latched_count;
	}
	c->count_latched = 0;
	return c->latched_count;
}

static u8 hv_pit_read_counter(struct hv_pit *pit, unsigned int nr)
{
	struct kvm_pit_channel_state *c = &pit->ch[nr];
	u16 count;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->count_latched)
		return hv_pit_read_latched(c);
	count = hv_pit_count(c, ktime_get_ns());
	switch (c->read_state) {
	case HV_PIT_HIGH:
		return count >> 8;
	case HV_PIT_WORD0:
		c->read_state = HV_PIT_WORD1;
		return count;
	case HV_PIT_WORD1:
		c->read_state = HV_PIT_WORD0;
		return count >> 8;
	}
	return count;
}

static int hv_pit_pio_read(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 port, u32 len,
			   void *data)
{
	struct hv_pit *pit = container_of(dev, struct hv_pit, dev);
	unsigned int nr = port & 3;
	unsigned long flags;
	u8 value = 0;

	memset(data, 0, len);
	if (nr < 3) {		/* the control word cannot be read */
		spin_lock_irqsave(&pit->lock, flags);
		value = hv_pit_read_counter(pit, nr);
		spin_unlock_irqrestore(&pit->lock, flags);
	}
	*(u8 *)data = value;
	return 0;
}

static int hv_pit_pio_write(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 port, u32 len,
			    const void *data)
{
	struct hv_pit *pit = container_of(dev, struct hv_pit, dev);
	u8 value = *(const u8 *)data;
	unsigned int nr = port & 3;
	unsigned long flags;

	spin_lock_irqsave(&pit->lock, flags);
	if (nr == 3)
		hv_pit_control(pit, value);
	else
		hv_pit_write_counter(pit, nr, value);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static const struct hv_iodev_ops hv_pit_ops = {
	.read = hv_pit_pio_read,
	.write = hv_pit_pio_write,
};

/*
 * Port 0x61: bit 0 gate of counter 2, bit 1 speaker, bit 4 refresh toggle, bit 5 counter 2's OUT.
 */
static int hv_speaker_read(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 port, u32 len,
			   void *data)
{
	struct hv_pit *pit = container_of(dev, struct hv_pit, speaker_dev);
	u64 now = ktime_get_ns();
	unsigned long flags;
	u8 value;

	memset(data, 0, len);
	spin_lock_irqsave(&pit->lock, flags);
	value = pit->ch[2].gate | pit->speaker << 1 | hv_pit_out(&pit->ch[2], now) << 5;
	spin_unlock_irqrestore(&pit->lock, flags);
	/* The DRAM refresh bit toggles about every 15 us. */
	*(u8 *)data = value | (now >> 14 & 1) << 4;
	return 0;
}

static int hv_speaker_write(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 port, u32 len,
			    const void *data)
{
	struct hv_pit *pit = container_of(dev, struct hv_pit, speaker_dev);
	u8 value = *(const u8 *)data;
	unsigned long flags;

	spin_lock_irqsave(&pit->lock, flags);
	pit->speaker = value >> 1 & 1;
	hv_pit_set_gate(pit, 2, value & 1);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static const struct hv_iodev_ops hv_speaker_ops = {
	.read = hv_speaker_read,
	.write = hv_speaker_write,
};

/* ---- life and saved state ------------------------------------------------------------------ */

static void hv_pit_reset(struct hv_pit *pit)
{
	unsigned int nr;

	for (nr = 0; nr < 3; nr++) {
		pit->ch[nr].mode = 0xff;	/* not programmed: stands still */
		pit->ch[nr].gate = nr != 2;
		hv_pit_load(pit, nr, 0);
	}
	hv_pit_forget_lost(pit);
}

static int hv_pit_register(struct hv_vm *vm, struct hv_pit *pit, bool speaker)
{
	int err;

	mutex_lock(&vm->slots_lock);
	err = hv_iobus_add(vm, HV_BUS_PIO, HV_PIT_PORT, 4, &pit->dev);
	if (!err && speaker) {
		err = hv_iobus_add(vm, HV_BUS_PIO, HV_PIT_SPEAKER_PORT, 1, &pit->speaker_dev);
		if (err)
			hv_iobus_del(vm, HV_BUS_PIO, &pit->dev);
	}
	mutex_unlock(&vm->slots_lock);
	return err;
}

int hv_pit_create(struct hv_vm *vm, u32 flags)
{
	struct hv_pit *pit;
	int err;

	if (vm->pit)
		return -EEXIST;
	if (!vm->pic)
		return -ENOENT;
	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	pit->vm = vm;
	pit->reinject = true;
	pit->dev.ops = &hv_pit_ops;
	pit->speaker_dev.ops = &hv_speaker_ops;
	spin_lock_init(&pit->lock);
	hv_hrtimer_setup(&pit->timer, hv_pit_timer_fn, HRTIMER_MODE_ABS);
	hv_pit_reset(pit);
	err = hv_pit_register(vm, pit, flags & KVM_PIT_SPEAKER_DUMMY);
	if (err) {
		kfree(pit);
		return err;
	}
	pit->ack.gsi = HV_PIT_GSI;
	pit->ack.fn = hv_pit_acked;
	WRITE_ONCE(vm->pit, pit);
	mutex_lock(&vm->irq_lock);
	hv_irq_ack_add(vm, &pit->ack);
	mutex_unlock(&vm->irq_lock);
	return 0;
}

/* No vCPU runs any more and no ioctl: nobody starts it again. */
void hv_pit_stop(struct hv_vm *vm)
{
	if (vm->pit)
		hrtimer_cancel(&vm->pit->timer);
}

void hv_pit_free(struct hv_vm *vm)
{
	kfree(vm->pit);
	vm->pit = NULL;
}

int hv_pit_get(struct hv_vm *vm, struct kvm_pit_state2 *ps)
{
	struct hv_pit *pit = READ_ONCE(vm->pit);
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	memset(ps, 0, sizeof(*ps));
	spin_lock_irqsave(&pit->lock, flags);
	memcpy(ps->channels, pit->ch, sizeof(ps->channels));
	ps->flags = pit->flags;
	if (pit->speaker)
		ps->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int hv_pit_set(struct hv_vm *vm, const struct kvm_pit_state2 *ps)
{
	struct hv_pit *pit = READ_ONCE(vm->pit);
	unsigned long flags;
	unsigned int nr;

	if (!pit)
		return -ENXIO;
	spin_lock_irqsave(&pit->lock, flags);
	pit->flags = ps->flags & KVM_PIT_FLAGS_HPET_LEGACY;
	pit->speaker = ps->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	for (nr = 0; nr < 3; nr++) {
		struct kvm_pit_channel_state *c = &pit->ch[nr];

		*c = ps->channels[nr];
		c->rw_mode &= 3;
		c->bcd &= 1;
		c->gate = !!c->gate;
		hv_pit_load(pit, nr, c->count);
	}
	hv_pit_forget_lost(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int hv_pit_reinject(struct hv_vm *vm, const struct kvm_reinject_control *rc)
{
	struct hv_pit *pit = READ_ONCE(vm->pit);
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	spin_lock_irqsave(&pit->lock, flags);
	pit->reinject = rc->pit_reinject;
	hv_pit_forget_lost(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}
