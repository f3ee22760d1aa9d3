// SPDX-License-Identifier: GPL-2.0-or-later
/* The I/O buses: who answers where, and changes while handlers run. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../../vmm-user/bus.h"
#include "unit_test.h"

struct dev {
	uint64_t value;
	uint64_t last_off, last_value;
	unsigned int last_size;
};

static uint64_t dev_read(void *opaque, uint64_t off, unsigned int size)
{
	struct dev *d = opaque;

	d->last_off = off;
	d->last_size = size;
	return d->value;
}

static void dev_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct dev *d = opaque;

	d->last_off = off;
	d->last_size = size;
	d->last_value = value;
}

static const struct bus_ops dev_ops = { .read = dev_read, .write = dev_write };

static void test_dispatch(void)
{
	struct bus *bus = bus_create(BUS_MMIO);
	struct dev a = { .value = 0x1122334455667788 }, b = { .value = ~0ULL };
	struct bus_range *ra, *rb;

	CHECK_EQ(bus_add(bus, 0x1000, 0x100, &dev_ops, &a, "a", &ra), 0);
	CHECK_EQ(bus_add(bus, 0x1100, 0x100, &dev_ops, &b, "b", &rb), 0);
	CHECK_EQ(bus_read(bus, 0x10f8, 8), 0x1122334455667788);
	CHECK_EQ(a.last_off, 0xf8);
	CHECK_EQ(a.last_size, 8);
	CHECK_EQ(bus_read(bus, 0x1000, 4), 0x55667788);
	CHECK_EQ(bus_read(bus, 0x1000, 2), 0x7788);
	CHECK_EQ(bus_read(bus, 0x1000, 1), 0x88);
	bus_write(bus, 0x1101, 1, 0x1234);
	CHECK_EQ(b.last_off, 1);
	CHECK_EQ(b.last_value, 0x34);
	bus_destroy(bus);
}

static void test_nobody(void)
{
	struct bus *bus = bus_create(BUS_MMIO);
	struct dev a = { .value = 5 };
	struct bus_range *ra;

	CHECK_EQ(bus_read(bus, 0, 1), 0xff);
	CHECK_EQ(bus_read(bus, ~0ULL, 4), 0xffffffff);
	CHECK_EQ(bus_add(bus, 0x1000, 0x10, &dev_ops, &a, "a", &ra), 0);
	CHECK_EQ(bus_read(bus, 0xfff, 1), 0xff);
	CHECK_EQ(bus_read(bus, 0x1010, 8), ~0ULL);
	/* An access that is only partly inside is nobody's. */
	CHECK_EQ(bus_read(bus, 0xffe, 4), 0xffffffff);
	CHECK_EQ(bus_read(bus, 0x100e, 4), 0xffffffff);
	bus_write(bus, 0x100e, 4, 1);
	CHECK_EQ(a.last_size, 0);
	CHECK_EQ(bus_read(bus, 0x1000, 3), 0xffffff);
	bus_destroy(bus);
}

static void test_bad_ranges(void)
{
	struct bus *mmio = bus_create(BUS_MMIO), *pio = bus_create(BUS_PIO);
	struct bus_range *r;
	struct dev a = { 0 };

	CHECK_EQ(bus_add(mmio, 0x1000, 0, &dev_ops, &a, "a", &r), -EINVAL);
	CHECK_EQ(bus_add(mmio, ~0ULL, 2, &dev_ops, &a, "a", &r), -EINVAL);
	CHECK_EQ(bus_add(mmio, ~0ULL, 1, &dev_ops, &a, "top", &r), 0);
	CHECK_EQ(bus_read(mmio, ~0ULL, 1), 0);
	CHECK_EQ(bus_read(mmio, ~0ULL, 2), 0xffff);
	CHECK_EQ(bus_add(mmio, 0x1000, 0x100, &dev_ops, &a, "a", &r), 0);
	CHECK_EQ(bus_add(mmio, 0x10ff, 1, &dev_ops, &a, "b", &r), -EEXIST);
	CHECK_EQ(bus_add(mmio, 0xf00, 0x101, &dev_ops, &a, "b", &r), -EEXIST);
	CHECK_EQ(bus_add(mmio, 0x0, 0x10000, &dev_ops, &a, "b", &r), -EEXIST);
	CHECK_EQ(bus_add(mmio, 0xf00, 0x100, &dev_ops, &a, "b", &r), 0);
	CHECK_EQ(bus_add(pio, 0xfff0, 0x11, &dev_ops, &a, "a", &r), -EINVAL);
	CHECK_EQ(bus_add(pio, 0xfff0, 0x10, &dev_ops, &a, "a", &r), 0);
	CHECK_EQ(bus_read(pio, 0xfff0, 8), ~0ULL);	/* no such port access */
	bus_destroy(mmio);
	bus_destroy(pio);
}

static void test_many(void)
{
	struct bus *bus = bus_create(BUS_PIO);
	struct bus_range *r[256];
	struct dev d[256];

	/* In an order that is neither up nor down. */
	for (unsigned int i = 0; i < 256; i++) {
		unsigned int n = i * 101 % 256;

		d[n].value = n;
		CHECK_EQ(bus_add(bus, n * 16, 8, &dev_ops, &d[n], "d", &r[n]), 0);
	}
	for (unsigned int n = 0; n < 256; n++) {
		CHECK_EQ(bus_read(bus, n * 16 + 7, 1), n);
		CHECK_EQ(bus_read(bus, n * 16 + 8, 1), 0xff);
	}
	for (unsigned int n = 0; n < 256; n += 2)
		bus_remove(bus, r[n]);
	for (unsigned int n = 0; n < 256; n++)
		CHECK_EQ(bus_read(bus, n * 16, 1), n % 2 ? n : 0xff);
	bus_destroy(bus);
}

/* A handler that moves another range of the same bus, as PCI configuration space does. */
struct mover {
	struct bus *bus;
	struct dev dev;
	struct bus_range *range;
	uint64_t base;
};

static void mover_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct mover *m = opaque;

	bus_remove(m->bus, m->range);
	m->base = value;
	CHECK_EQ(bus_add(m->bus, value, 0x10, &dev_ops, &m->dev, "moved", &m->range), 0);
}

static const struct bus_ops mover_ops = { .write = mover_write };

static void test_change_in_handler(void)
{
	struct mover m = { .bus = bus_create(BUS_MMIO), .dev.value = 7 };
	struct bus_range *r;

	CHECK_EQ(bus_add(m.bus, 0x5000, 0x10, &dev_ops, &m.dev, "dev", &m.range), 0);
	CHECK_EQ(bus_add(m.bus, 0x1000, 0x10, &mover_ops, &m, "mover", &r), 0);
	CHECK_EQ(bus_read(m.bus, 0x5000, 1), 7);
	bus_write(m.bus, 0x1000, 8, 0x9000);
	CHECK_EQ(bus_read(m.bus, 0x5000, 1), 0xff);
	CHECK_EQ(bus_read(m.bus, 0x9000, 1), 7);
	CHECK_EQ(bus_read(m.bus, 0x1000, 4), 0xffffffff);	/* no read handler */
	bus_destroy(m.bus);
}

/* remove() waits for handlers: none runs afterwards. */
struct slow {
	atomic_bool inside, go, gone, late;
};

static uint64_t slow_read(void *opaque, uint64_t off, unsigned int size)
{
	struct slow *s = opaque;

	atomic_store(&s->inside, true);
	while (!atomic_load(&s->go))
		usleep(100);
	usleep(20000);
	if (atomic_load(&s->gone))
		atomic_store(&s->late, true);
	return 1;
}

static const struct bus_ops slow_ops = { .read = slow_read };

static void *slow_reader(void *opaque)
{
	bus_read(opaque, 0x10, 1);
	return NULL;
}

static void test_remove_waits(void)
{
	struct bus *bus = bus_create(BUS_PIO);
	struct slow s = { 0 };
	struct bus_range *r;
	pthread_t t;

	CHECK_EQ(bus_add(bus, 0x10, 1, &slow_ops, &s, "slow", &r), 0);
	pthread_create(&t, NULL, slow_reader, bus);
	WAIT_FOR(atomic_load(&s.inside));
	atomic_store(&s.go, true);
	bus_remove(bus, r);
	atomic_store(&s.gone, true);
	pthread_join(t, NULL);
	CHECK(!atomic_load(&s.late));
	bus_destroy(bus);
}

/* Readers on two threads while a range comes and goes: its owner frees it at once each time. */
struct storm {
	struct bus *bus;
	atomic_bool stop;
	atomic_ulong answered;
};

static uint64_t storm_read(void *opaque, uint64_t off, unsigned int size)
{
	return *(volatile uint8_t *)opaque;
}

static const struct bus_ops storm_ops = { .read = storm_read };

static void *storm_reader(void *opaque)
{
	struct storm *s = opaque;

	while (!atomic_load(&s->stop)) {
		uint64_t v = bus_read(s->bus, 0x2000, 1);

		CHECK(v == 0x5a || v == 0xff);
		if (v == 0x5a)
			atomic_fetch_add(&s->answered, 1);
	}
	return NULL;
}

static void test_storm(void)
{
	struct storm s = { .bus = bus_create(BUS_MMIO) };
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, storm_reader, &s);
	for (int i = 0; i < 20000 || (!atomic_load(&s.answered) && i < 2000000); i++) {
		uint8_t *p = malloc(1);
		struct bus_range *r;

		*p = 0x5a;
		CHECK_EQ(bus_add(s.bus, 0x2000, 4, &storm_ops, p, "storm", &r), 0);
		bus_remove(s.bus, r);
		free(p);
	}
	atomic_store(&s.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	CHECK(atomic_load(&s.answered));
	bus_destroy(s.bus);
}

int main(void)
{
	TEST_RUN(test_dispatch);
	TEST_RUN(test_nobody);
	TEST_RUN(test_bad_ranges);
	TEST_RUN(test_many);
	TEST_RUN(test_change_in_handler);
	TEST_RUN(test_remove_waits);
	TEST_RUN(test_storm);
	return TEST_EXIT();
}
