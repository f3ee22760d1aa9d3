// SPDX-License-Identifier: GPL-2.0-or-later
/* GSI routing, MSIs, the I/O buses and coalesced MMIO. */
#include "irq_world.h"

#define ENTRIES 64

static struct kvm_irq_routing_entry entries[ENTRIES];
static u32 nr;

static struct kvm_irq_routing_entry *add(u32 gsi, u32 type)
{
	memset(&entries[nr], 0, sizeof(entries[nr]));
	entries[nr].gsi = gsi;
	entries[nr].type = type;
	return &entries[nr++];
}

static void add_pin(u32 gsi, u32 chip, u32 pin)
{
	struct kvm_irq_routing_entry *e = add(gsi, KVM_IRQ_ROUTING_IRQCHIP);

	e->u.irqchip.irqchip = chip;
	e->u.irqchip.pin = pin;
}

static void add_msi(u32 gsi, u32 address, u32 data)
{
	struct kvm_irq_routing_entry *e = add(gsi, KVM_IRQ_ROUTING_MSI);

	e->u.msi.address_lo = address;
	e->u.msi.data = data;
}

static int set_routing(void)
{
	int r = hv_irq_set_routing(&world, entries, nr, 0);

	nr = 0;
	return r;
}

static int set_gsi(u32 gsi, int level)
{
	return hv_irq_set_level(&world, HV_IRQ_USER, gsi, level, true);
}

static void setup(void)
{
	nr = 0;
	world_pic_setup(0);
	world_enable_apics();
}

static void test_default(void)
{
	setup();
	world_apic_write(0, HV_APIC_LVT_LINT0, HV_APIC_EXTINT << 8);
	CHECK_EQ(set_gsi(4, 1), 1);	/* PIC; the IOAPIC's pin is masked */
	CHECK_EQ(world_take(0), 0x0c);
	world_ioapic_pin(5, 0x55, 0);
	CHECK_EQ(set_gsi(5, 1), 2);	/* both */
	CHECK_EQ(world_take(0), 0x55);	/* at the PIC, IRQ 4 is still in service */
	world_out(0x20, 0x20);
	CHECK_EQ(world_take(0), 0x0d);
	CHECK_EQ(set_gsi(20, 1), -1);
	world_ioapic_pin(21, 0x56, 0);
	CHECK_EQ(set_gsi(21, 1), 1);
	CHECK_EQ(set_gsi(24, 1), -1);	/* not routed */
	CHECK_EQ(set_gsi(0xffffffff, 1), -1);
}

static void test_override(void)
{
	setup();
	/* As PC firmware describes it: ISA IRQ 0 is IOAPIC pin 2. */
	add_pin(0, KVM_IRQCHIP_IOAPIC, 2);
	add_pin(0, KVM_IRQCHIP_PIC_MASTER, 0);
	add_pin(9, KVM_IRQCHIP_PIC_SLAVE, 1);
	CHECK_EQ(set_routing(), 0);
	world_out(0x21, 0xfb);
	world_ioapic_pin(2, 0x30, 0);
	CHECK_EQ(set_gsi(0, 1), 1);
	CHECK_EQ(world_take(0), 0x30);
	world_out(0x21, 0);
	world_take(0);
	world_out(0x20, 0x20);
	CHECK_EQ(set_gsi(9, 1), 1);
	world_apic_write(0, HV_APIC_LVT_LINT0, HV_APIC_EXTINT << 8);
	CHECK_EQ(world_take(0), 0x71);
	CHECK_EQ(set_gsi(4, 1), -1);	/* no longer routed */
	CHECK_EQ(set_routing(), 0);	/* an empty table */
	CHECK_EQ(set_gsi(0, 0), -1);
}

static void test_bad_tables(void)
{
	setup();
	add_pin(0, KVM_IRQCHIP_IOAPIC, 24);
	CHECK_EQ(set_routing(), -EINVAL);
	add_pin(0, KVM_IRQCHIP_PIC_MASTER, 8);
	CHECK_EQ(set_routing(), -EINVAL);
	add_pin(0, KVM_IRQCHIP_PIC_SLAVE, 0xfffffff8);
	CHECK_EQ(set_routing(), -EINVAL);
	add_pin(0, 3, 0);
	CHECK_EQ(set_routing(), -EINVAL);
	add_pin(HV_MAX_GSI, KVM_IRQCHIP_IOAPIC, 0);
	CHECK_EQ(set_routing(), -EINVAL);
	add(0, 77);
	CHECK_EQ(set_routing(), -EINVAL);
	add_pin(3, KVM_IRQCHIP_IOAPIC, 1);
	add_pin(3, KVM_IRQCHIP_IOAPIC, 2);	/* the same chip twice */
	CHECK_EQ(set_routing(), -EINVAL);
	add_pin(3, KVM_IRQCHIP_IOAPIC, 1);
	add_msi(3, 0xfee00000, 0x40);		/* a pin and a message */
	CHECK_EQ(set_routing(), -EINVAL);
	add_msi(3, 0xfee00000, 0x40);
	add_msi(3, 0xfee00000, 0x41);
	CHECK_EQ(set_routing(), -EINVAL);
	add_pin(3, KVM_IRQCHIP_IOAPIC, 1);
	entries[0].flags = 1;
	CHECK_EQ(set_routing(), -EINVAL);
	add_msi(3, 0xfee00000, 0x40);
	entries[0].flags = 2;
	CHECK_EQ(set_routing(), -EINVAL);
	CHECK_EQ(hv_irq_set_routing(&world, entries, 0, 1), -EINVAL);
	CHECK_EQ(hv_irq_set_routing(&world, entries, HV_MAX_GSI + 1, 0), -EINVAL);
	kshim_fail_alloc = true;
	add_msi(3, 0xfee00000, 0x40);
	CHECK_EQ(set_routing(), -ENOMEM);
	kshim_fail_alloc = false;
	/* The old table is still in force. */
	world_ioapic_pin(21, 0x56, 0);
	CHECK_EQ(set_gsi(21, 1), 1);
}

static void test_msi(void)
{
	struct kvm_msi msi = { .address_lo = 0xfee02000, .data = 0x44 };
	unsigned int i;

	setup();
	for (i = 0; i < 4; i++)
		world_apic_write(i, HV_APIC_LDR, 1U << (24 + i));
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), 1);
	CHECK_EQ(world_take(2), 0x44);
	msi.address_lo = 0xfee00000 | 0xa << 12 | 4;	/* logical */
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), 2);
	CHECK_EQ(world_take(1), 0x44);
	CHECK_EQ(world_take(3), 0x44);
	msi.address_lo |= 8;				/* redirection hint: one of them */
	msi.data = 0x55;
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), 1);
	CHECK_EQ((world_take(1) == 0x55) + (world_take(3) == 0x55), 1);
	msi.address_lo = 0xfeeff000;			/* broadcast */
	msi.data = HV_APIC_NMI << 8;
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), 4);
	CHECK_EQ(world_nmis, 0xf);
	msi.address_lo = 0xfee99000;			/* nobody */
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), -1);
	msi.address_lo = 0xfee00000;
	msi.data = 0x05;				/* not a vector */
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), 0);
	msi.flags = 1;
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), -EINVAL);
	msi.flags = 0;
	msi.data = 0x8066;				/* level triggered */
	CHECK_EQ(hv_irq_signal_msi(&world, &msi), 1);
	CHECK_EQ(world_take(0), 0x66);
	CHECK_EQ(world_apic_read(0, HV_APIC_TMR + 0x30), 1 << 6);
}

static void test_msi_routes(void)
{
	struct hv_apic_irq irq;

	setup();
	add_msi(100, 0xfee01000, 0x61);
	add_msi(101, 0xfee00000, 0x62);
	add_pin(5, KVM_IRQCHIP_IOAPIC, 5);
	CHECK_EQ(set_routing(), 0);
	CHECK_EQ(set_gsi(100, 1), 1);
	CHECK_EQ(world_take(1), 0x61);
	CHECK_EQ(set_gsi(100, 0), -1);
	CHECK_EQ(world_take(1), -1);
	CHECK(hv_irq_route_msi(world.routing, 101, &irq));
	CHECK_EQ(irq.vector, 0x62);
	CHECK(!hv_irq_route_msi(world.routing, 5, &irq));
	CHECK(!hv_irq_route_msi(world.routing, 4000, &irq));
	CHECK(!hv_irq_route_msi(NULL, 0, &irq));
}

static void test_no_irqchip(void)
{
	struct hv_vm *none = calloc(1, sizeof(*none));
	struct kvm_msi msi = { 0 };
	struct kvm_irqchip chip = { 0 };
	struct kvm_pit_state2 ps;
	struct kvm_reinject_control rc = { 0 };

	CHECK_EQ(hv_irq_set_level(none, 0, 0, 1, false), -ENXIO);
	CHECK_EQ(hv_irq_signal_msi(none, &msi), -EINVAL);
	CHECK_EQ(hv_irqchip_get(none, &chip), -ENXIO);
	CHECK_EQ(hv_irqchip_set(none, &chip), -ENXIO);
	CHECK_EQ(hv_pit_get(none, &ps), -ENXIO);
	CHECK_EQ(hv_pit_set(none, &ps), -ENXIO);
	CHECK_EQ(hv_pit_reinject(none, &rc), -ENXIO);
	CHECK_EQ(hv_pit_create(none, 0), -ENOENT);
	none->created_vcpus = 1;
	CHECK_EQ(hv_irqchip_create(none), -EINVAL);
	CHECK_EQ(hv_irqchip_create(&world), -EEXIST);
	free(none);
}

static void test_split(void)
{
	struct hv_vcpu *v = world_vcpu[0];
	struct hv_pic *pic = world.pic;
	struct hv_ioapic *ioapic = world.ioapic;
	struct hv_vm *none = calloc(1, sizeof(*none));

	CHECK_EQ(hv_irqchip_split(none, HV_MAX_GSI + 1), -EINVAL);
	CHECK_EQ(hv_irqchip_split(none, 24), 0);
	CHECK_EQ(hv_irqchip_split(none, 24), -EEXIST);
	free(none);
	/* The same VM, with the chips in user space. */
	world.pic = NULL;
	world.ioapic = NULL;
	world.split_pins = 24;
	nr = 0;
	world_enable_apics();
	add_pin(5, KVM_IRQCHIP_IOAPIC, 5);
	CHECK_EQ(set_routing(), -EINVAL);
	add_msi(5, 0xfee00000, 0x8061);
	add_msi(6, 0xfee00000, 0x62);
	add_msi(30, 0xfee00000, 0x8063);
	CHECK_EQ(set_routing(), 0);
	set_gsi(6, 1);
	CHECK_EQ(world_take(0), 0x62);
	world_eoi(0);
	CHECK(!hv_request_take(v, HV_REQ_IOAPIC_EOI));
	set_gsi(30, 1);
	CHECK_EQ(world_take(0), 0x63);
	world_eoi(0);
	CHECK(!hv_request_take(v, HV_REQ_IOAPIC_EOI));	/* no IOAPIC pin */
	set_gsi(5, 1);
	CHECK_EQ(world_take(0), 0x61);
	world_eoi(0);
	CHECK(hv_request_take(v, HV_REQ_IOAPIC_EOI));
	CHECK_EQ(hv_lapic_eoi_vector(v), 0x61);
	/* KVM_INTERRUPT is the PIC's output. */
	world_apic_write(0, HV_APIC_LVT_LINT0, HV_APIC_LVT_MASKED);
	v->events.user_irq = 0x33;
	hv_request(v, HV_REQ_EVENT);
	CHECK_EQ(world_take(0), -1);	/* LINT0 is masked */
	world_apic_write(0, HV_APIC_LVT_LINT0, HV_APIC_EXTINT << 8);
	CHECK_EQ(world_take(0), 0x33);
	CHECK_EQ(v->events.user_irq, -1);
	world.pic = pic;
	world.ioapic = ioapic;
}

/* ---- buses --------------------------------------------------------------------------------- */

struct toy {
	struct hv_iodev dev;
	unsigned int reads, writes;
	bool refuse;
};

static int toy_read(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len, void *data)
{
	struct toy *t = container_of(dev, struct toy, dev);

	if (t->refuse)
		return -EOPNOTSUPP;
	t->reads++;
	memset(data, 0x5a, len);
	return 0;
}

static int toy_write(struct hv_vcpu *vcpu, struct hv_iodev *dev, u64 addr, u32 len,
		     const void *data)
{
	struct toy *t = container_of(dev, struct toy, dev);

	if (t->refuse)
		return -EOPNOTSUPP;
	t->writes++;
	return 0;
}

static const struct hv_iodev_ops toy_ops = { .read = toy_read, .write = toy_write };
static const struct hv_iodev_ops toy_write_only = { .write = toy_write };

static int mmio(u64 addr, u32 len, bool write)
{
	u8 data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	int idx = srcu_read_lock(&world.srcu);
	int r = write ? hv_iobus_write(world_vcpu[0], HV_BUS_MMIO, addr, len, data) :
			hv_iobus_read(world_vcpu[0], HV_BUS_MMIO, addr, len, data);

	srcu_read_unlock(&world.srcu, idx);
	return r;
}

static void add_toy(u64 addr, u32 len, struct toy *toy)
{
	mutex_lock(&world.slots_lock);
	CHECK_EQ(hv_iobus_add(&world, HV_BUS_MMIO, addr, len, &toy->dev), 0);
	mutex_unlock(&world.slots_lock);
}

static void del_toy(struct toy *toy)
{
	mutex_lock(&world.slots_lock);
	hv_iobus_del(&world, HV_BUS_MMIO, &toy->dev);
	mutex_unlock(&world.slots_lock);
}

static void test_bus(void)
{
	struct toy a = {.dev.ops = &toy_ops}, b = a, wide = a, any = {.dev.ops = &toy_write_only};

	add_toy(0x2000, 4, &b);
	add_toy(0x1000, 0x100, &a);
	add_toy(0x3000, 0, &any);
	CHECK_EQ(mmio(0x1000, 8, true), 0);
	CHECK_EQ(mmio(0x10f8, 8, false), 0);
	CHECK_EQ(mmio(0x10f9, 8, false), -EOPNOTSUPP);	/* hangs over the end */
	CHECK_EQ(mmio(0x0fff, 2, false), -EOPNOTSUPP);
	CHECK_EQ(mmio(0x2000, 4, true), 0);
	CHECK_EQ(mmio(0x2000, 8, true), -EOPNOTSUPP);
	CHECK_EQ(mmio(0x3000, 1, true), 0);
	CHECK_EQ(mmio(0x3000, 8, true), 0);
	CHECK_EQ(mmio(0x3001, 1, true), -EOPNOTSUPP);
	CHECK_EQ(mmio(0x3000, 4, false), -EOPNOTSUPP);	/* write-only */
	CHECK_EQ(mmio(~0ULL, 1, true), -EOPNOTSUPP);
	CHECK_EQ(a.writes, 1);
	CHECK_EQ(a.reads, 1);
	CHECK_EQ(b.writes, 1);
	CHECK_EQ(any.writes, 2);
	/* A wide range under narrow ones: the nearest start is asked first. */
	add_toy(0x0, 0x100000, &wide);
	CHECK_EQ(mmio(0x2000, 4, true), 0);
	CHECK_EQ(b.writes, 2);
	b.refuse = true;
	CHECK_EQ(mmio(0x2000, 4, true), 0);
	CHECK_EQ(b.writes, 2);
	CHECK_EQ(wide.writes, 1);
	CHECK_EQ(mmio(0x80000, 4, true), 0);
	CHECK_EQ(wide.writes, 2);
	del_toy(&wide);
	CHECK_EQ(mmio(0x80000, 4, true), -EOPNOTSUPP);
	del_toy(&a);
	del_toy(&a);		/* is not there: nothing */
	CHECK_EQ(mmio(0x1000, 8, true), -EOPNOTSUPP);
	CHECK_EQ(mmio(0x3000, 1, true), 0);
	del_toy(&b);
	del_toy(&any);
}

static void test_bus_full(void)
{
	struct toy toy = { .dev.ops = &toy_ops };
	unsigned int n = 0;

	mutex_lock(&world.slots_lock);
	while (!hv_iobus_add(&world, HV_BUS_MMIO, 0x10000 + n * 8, 8, &toy.dev) && n < 5000)
		n++;
	CHECK_EQ(hv_iobus_add(&world, HV_BUS_MMIO, 0, 8, &toy.dev), -ENOSPC);
	mutex_unlock(&world.slots_lock);
	CHECK(n > 1000 && n < 5000);
	CHECK_EQ(mmio(0x10000, 8, true), 0);
	CHECK_EQ(mmio(0x10000 + (n - 1) * 8, 8, true), 0);
	del_toy(&toy);
	CHECK_EQ(mmio(0x10000, 8, true), -EOPNOTSUPP);
}

static void test_lapic_page(void)
{
	u32 version = 0;
	int idx = srcu_read_lock(&world.srcu);
	struct hv_vcpu *v = world_vcpu[0];

	CHECK_EQ(hv_iobus_read(v, HV_BUS_MMIO, 0xfee00030, 4, &version), 0);
	CHECK_EQ(version, 0x50014);
	CHECK_EQ(hv_iobus_read(v, HV_BUS_PIO, 0xfee00030, 4, &version), -EOPNOTSUPP);
	CHECK_EQ(hv_lapic_set_base(v, 0xfed00900, false), 0);	/* moved */
	CHECK_EQ(hv_iobus_read(v, HV_BUS_MMIO, 0xfee00030, 4, &version), -EOPNOTSUPP);
	CHECK_EQ(hv_iobus_read(v, HV_BUS_MMIO, 0xfed00030, 4, &version), 0);
	srcu_read_unlock(&world.srcu, idx);
}

static void test_coalesced(void)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = 0x5000, .size = 0x100 };
	struct kvm_coalesced_mmio_ring *ring = world.ring;
	unsigned int n = 0;

	CHECK_EQ(hv_coalesced_register(&world, &zone), 0);
	CHECK_EQ(mmio(0x5010, 4, true), 0);
	CHECK_EQ(ring->last, 1);
	CHECK_EQ(ring->coalesced_mmio[0].phys_addr, 0x5010);
	CHECK_EQ(ring->coalesced_mmio[0].len, 4);
	CHECK_EQ(ring->coalesced_mmio[0].pio, 0);
	CHECK_EQ(ring->coalesced_mmio[0].data[3], 4);
	CHECK_EQ(mmio(0x5010, 4, false), -EOPNOTSUPP);
	CHECK_EQ(mmio(0x50fe, 4, true), -EOPNOTSUPP);
	while (!mmio(0x5000, 8, true) && n < 10000)
		n++;
	CHECK_EQ(n + 1, (4096 - 8) / 24 - 1);	/* one entry stays free */
	ring->first = 5;
	CHECK_EQ(mmio(0x5000, 8, true), 0);
	ring->last = 0xffffffff;		/* user space's nonsense */
	CHECK_EQ(mmio(0x5000, 8, true), -EOPNOTSUPP);
	ring->last = 1000;
	CHECK_EQ(mmio(0x5000, 8, true), -EOPNOTSUPP);
	ring->first = ring->last = 0;

	zone.pio = 2;
	CHECK_EQ(hv_coalesced_register(&world, &zone), -EINVAL);
	CHECK_EQ(hv_coalesced_unregister(&world, &zone), -EINVAL);
	zone.pio = 1;
	CHECK_EQ(hv_coalesced_unregister(&world, &zone), 0);	/* none: no error */
	CHECK_EQ(mmio(0x5000, 8, true), 0);
	zone.pio = 0;
	zone.addr = 0x5080;
	zone.size = 0x80;
	CHECK_EQ(hv_coalesced_unregister(&world, &zone), 0);	/* inside: the zone goes */
	CHECK_EQ(mmio(0x5000, 8, true), -EOPNOTSUPP);
	zone.size = 0;
	CHECK_EQ(hv_coalesced_register(&world, &zone), 0);
	CHECK_EQ(mmio(0x5080, 4, true), -EOPNOTSUPP);
	zone.addr = ~0ULL;
	zone.size = 2;
	CHECK_EQ(hv_coalesced_register(&world, &zone), -EINVAL);
}

int main(void)
{
	static const struct world_test tests[] = {
		{ "default routing", 1, test_default },
		{ "a table of user space's", 1, test_override },
		{ "bad tables", 1, test_bad_tables },
		{ "KVM_SIGNAL_MSI", 4, test_msi },
		{ "routed MSIs", 2, test_msi_routes },
		{ "without irqchip", 1, test_no_irqchip },
		{ "split irqchip", 1, test_split },
		{ "bus: ranges", 1, test_bus },
		{ "bus: full", 1, test_bus_full },
		{ "bus: the local APIC's page", 1, test_lapic_page },
		{ "coalesced MMIO", 1, test_coalesced },
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
