// SPDX-License-Identifier: GPL-2.0-or-later
/* The clock, and power management: registers, formats, interrupts, power button, off and reset. */
#include <errno.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../../virtio-backends/io_thread.h"
#include "../../vmm-user/chipset/pm.h"
#include "../../vmm-user/chipset/rtc.h"
#include "../../vmm-user/memory/layout.h"
#include "unit_test.h"

static struct hvm_vm vm;
static struct hv_io_thread *io;
static struct hvm_rtc *rtc;
static struct hvm_pm *pm;
static atomic_uint level[24], raised[24];
static unsigned int events[8];
static struct hv_err err;
static _Atomic int64_t host_time;	/* 0: the real one */

int hvm_irq_line(struct hvm_vm *v, unsigned int gsi, bool on)
{
	atomic_store(&level[gsi], on);
	if (on)
		atomic_fetch_add(&raised[gsi], 1);
	return 0;
}

void hvm_vm_notify(struct hvm_vm *v, enum hvm_event event, const char *fmt, ...)
{
	events[event]++;
}

static void fake_now(struct timespec *ts)
{
	if (atomic_load(&host_time))
		*ts = (struct timespec){ .tv_sec = atomic_load(&host_time), .tv_nsec = 500000000 };
	else
		clock_gettime(CLOCK_REALTIME, ts);
}

static void set_up(void)
{
	struct hvm_rtc_config cfg = {
		.vm = &vm, .port = HVM_PORT_RTC, .gsi = HVM_GSI_RTC, .now = fake_now,
	};

	memset(events, 0, sizeof(events));
	for (int i = 0; i < 24; i++) {
		atomic_store(&level[i], 0);
		atomic_store(&raised[i], 0);
	}
	vm.pio = bus_create(BUS_PIO);
	CHECK_EQ(hv_io_thread_start("test-io", &io), 0);
	cfg.pio = vm.pio;
	cfg.loop = hv_io_thread_loop(io);
	CHECK_EQ(hvm_rtc_create(&cfg, &rtc, &err), 0);
	CHECK_EQ(hvm_pm_create(&vm, &pm, &err), 0);
}

static void tear_down(void)
{
	hvm_rtc_destroy(rtc);
	hvm_pm_destroy(pm);
	hv_io_thread_stop(io);
	bus_destroy(vm.pio);
}

static uint8_t get(uint8_t reg)
{
	bus_write(vm.pio, 0x70, 1, reg);
	return (uint8_t)bus_read(vm.pio, 0x71, 1);
}

static void put(uint8_t reg, uint8_t v)
{
	bus_write(vm.pio, 0x70, 1, reg);
	bus_write(vm.pio, 0x71, 1, v);
}

#define T_2026	1782907509	/* 2026-07-01 12:05:09 UTC, a Wednesday */

static void check_time(uint8_t sec, uint8_t min, uint8_t hour, uint8_t wday, uint8_t mday,
		       uint8_t month, uint8_t year, uint8_t century)
{
	CHECK_EQ(get(0), sec);
	CHECK_EQ(get(2), min);
	CHECK_EQ(get(4), hour);
	CHECK_EQ(get(6), wday);
	CHECK_EQ(get(7), mday);
	CHECK_EQ(get(8), month);
	CHECK_EQ(get(9), year);
	CHECK_EQ(get(0x32), century);
}

static void test_formats(void)
{
	atomic_store(&host_time, T_2026);
	set_up();
	CHECK_EQ(get(0x0d), 0x80);
	CHECK_EQ(get(0x0b), 0x02);
	check_time(0x09, 0x05, 0x12, 0x04, 0x01, 0x07, 0x26, 0x20);	/* BCD, 24 hours */
	put(0x0b, 0x06);
	check_time(9, 5, 12, 4, 1, 7, 26, 20);				/* binary */
	put(0x0b, 0x00);
	CHECK_EQ(get(4), 0x92);						/* 12 p.m. */
	atomic_store(&host_time, T_2026 - 12 * 3600);
	CHECK_EQ(get(4), 0x12);						/* 12 a.m. */
	atomic_store(&host_time, T_2026 + 3600);
	CHECK_EQ(get(4), 0x81);
	tear_down();
}

static void test_set_time(void)
{
	static const uint8_t regs[] = { 0, 2, 4, 7, 8, 9, 0x32 };
	static const uint8_t values[] = { 0x58, 0x59, 0x23, 0x31, 0x12, 0x99, 0x19 };

	atomic_store(&host_time, T_2026);
	set_up();
	put(0x0b, 0x82);	/* SET: the registers stand still */
	for (size_t i = 0; i < sizeof(regs); i++)
		put(regs[i], values[i]);
	atomic_store(&host_time, T_2026 + 5);
	CHECK_EQ(get(0), 0x58);
	put(0x0b, 0x02);
	check_time(0x58, 0x59, 0x23, 0x06, 0x31, 0x12, 0x99, 0x19);
	atomic_store(&host_time, T_2026 + 5 + 2);
	check_time(0x00, 0x00, 0x00, 0x07, 0x01, 0x01, 0x00, 0x20);
	tear_down();
}

static void test_memory(void)
{
	set_up();
	for (unsigned int i = 0x0e; i < 0x80; i++)
		if (i != 0x32)
			put((uint8_t)i, (uint8_t)(i ^ 0x5a));
	for (unsigned int i = 0x0e; i < 0x80; i++)
		if (i != 0x32)
			CHECK_EQ(get((uint8_t)i), i ^ 0x5a);
	CHECK_EQ(get(0x8e), 0x0e ^ 0x5a);	/* bit 7 is not the index' */
	hvm_rtc_reset(rtc);
	CHECK_EQ(get(0x40), 0x40 ^ 0x5a);
	CHECK_EQ(bus_read(vm.pio, 0x70, 1), 0xff);
	CHECK_EQ(bus_read(vm.pio, 0x70, 2), 0xffff);
	tear_down();
}

static void test_update_interrupt(void)
{
	atomic_store(&host_time, 0);
	set_up();
	put(0x0b, 0x12);
	WAIT_FOR(atomic_load(&level[HVM_GSI_RTC]));
	CHECK_EQ(get(0x0c) & 0x90, 0x90);
	CHECK(!atomic_load(&level[HVM_GSI_RTC]));
	CHECK_EQ(get(0x0c), 0);
	WAIT_FOR(atomic_load(&raised[HVM_GSI_RTC]) == 2);
	put(0x0b, 0x02);
	CHECK(!atomic_load(&level[HVM_GSI_RTC]));
	tear_down();
}

static void test_alarm(void)
{
	atomic_store(&host_time, 0);
	set_up();
	put(1, 0xff);
	put(3, 0xff);
	put(5, 0x99);		/* an hour that never comes */
	put(0x0b, 0x22);
	usleep(1200000);
	CHECK(!atomic_load(&level[HVM_GSI_RTC]));
	put(5, 0xc0);		/* any */
	WAIT_FOR(atomic_load(&level[HVM_GSI_RTC]));
	CHECK_EQ(get(0x0c) & 0xa0, 0xa0);
	tear_down();
}

static void test_rtc_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;

	atomic_store(&host_time, T_2026);
	set_up();
	put(0x0b, 0x06);
	put(9, 30);		/* four years ahead */
	put(0x40, 0x12);
	hv_state_writer_init(&w);
	hvm_rtc_save(rtc, &w);
	put(9, 26);
	put(0x40, 0);
	put(0x0b, 0x02);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hvm_rtc_load(rtc, &r, &err), 0);
	CHECK_EQ(get(9), 30);
	CHECK_EQ(get(0x40), 0x12);
	w.buf[w.len - 1] ^= 1;
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK(hvm_rtc_load(rtc, &r, &err) < 0);
	hv_state_writer_free(&w);
	tear_down();
}

/* ---- Power management ---- */

static uint64_t pm_in(unsigned int reg, unsigned int size)
{
	return bus_read(vm.pio, HVM_PORT_PM + reg, size);
}

static void pm_out(unsigned int reg, unsigned int size, uint64_t v)
{
	bus_write(vm.pio, HVM_PORT_PM + reg, size, v);
}

static void test_power_button(void)
{
	set_up();
	CHECK_EQ(pm_in(PM1_CNT, 2) & 1, 1);	/* in ACPI mode */
	CHECK(!hvm_pm_press_power_button(pm));	/* nobody listens */
	CHECK(!atomic_load(&level[HVM_GSI_SCI]));
	pm_out(PM1_EN, 2, 0x0100);
	CHECK(atomic_load(&level[HVM_GSI_SCI]));
	CHECK_EQ(pm_in(PM1_STS, 2), 0x0100);
	CHECK_EQ(pm_in(PM1_STS, 4), 0x01000100);
	pm_out(PM1_STS, 2, 0x0001);		/* another bit */
	CHECK(atomic_load(&level[HVM_GSI_SCI]));
	pm_out(PM1_STS, 2, 0x0100);
	CHECK(!atomic_load(&level[HVM_GSI_SCI]));
	CHECK_EQ(pm_in(PM1_EN, 2), 0x0100);
	CHECK(hvm_pm_press_power_button(pm));
	CHECK(atomic_load(&level[HVM_GSI_SCI]));
	hvm_pm_reset(pm);
	CHECK(!atomic_load(&level[HVM_GSI_SCI]));
	tear_down();
}

static void test_soft_off(void)
{
	set_up();
	pm_out(PM1_CNT, 2, 5 << 10 | 1);		/* without SLP_EN */
	pm_out(PM1_CNT, 2, 1 << 10 | 1 << 13 | 1);	/* another state */
	CHECK_EQ(events[HVM_EVENT_POWEROFF], 0);
	pm_out(PM1_CNT, 2, 5 << 10 | 1 << 13 | 1);
	CHECK_EQ(events[HVM_EVENT_POWEROFF], 1);
	CHECK_EQ(pm_in(PM1_CNT, 2) & 1 << 13, 0);	/* SLP_EN reads as zero */
	pm_out(PM1_CNT + 1, 1, 5 << 2 | 1 << 5);	/* the upper byte alone */
	CHECK_EQ(events[HVM_EVENT_POWEROFF], 2);
	tear_down();
}

static void test_reset_ports(void)
{
	set_up();
	hvm_pm_cf9_ops.write(pm, 0, 1, 0x02);
	CHECK_EQ(events[HVM_EVENT_RESET], 0);
	CHECK_EQ(hvm_pm_cf9_ops.read(pm, 0, 1), 0x02);
	hvm_pm_cf9_ops.write(pm, 0, 1, 0x06);
	CHECK_EQ(events[HVM_EVENT_RESET], 1);
	bus_write(vm.pio, 0x64, 1, 0xd1);
	bus_write(vm.pio, 0x64, 1, 0xff);	/* pulses, but not the reset line */
	CHECK_EQ(events[HVM_EVENT_RESET], 1);
	bus_write(vm.pio, 0x64, 1, 0xfe);
	CHECK_EQ(events[HVM_EVENT_RESET], 2);
	bus_write(vm.pio, 0x80, 1, 0x42);
	CHECK_EQ(bus_read(vm.pio, 0x80, 1), 0xff);
	tear_down();
}

static void test_timer(void)
{
	uint32_t a, b;
	uint64_t hz;

	set_up();
	a = (uint32_t)pm_in(PM_TMR, 4);
	usleep(200000);
	b = (uint32_t)pm_in(PM_TMR, 4);
	hz = (uint64_t)(b - a) * 5;
	/* A busy machine sleeps longer than asked for, never shorter. */
	CHECK(hz >= 3570000 && hz < 40000000);
	tear_down();
}

static void test_pm_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;

	set_up();
	pm_out(PM1_EN, 2, 0x0120);
	hvm_pm_press_power_button(pm);
	usleep(10000);
	hv_state_writer_init(&w);
	hvm_pm_save(pm, &w);
	hvm_pm_reset(pm);
	CHECK_EQ(pm_in(PM1_EN, 2), 0);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hvm_pm_load(pm, &r, &err), 0);
	CHECK_EQ(pm_in(PM1_EN, 2), 0x0120);
	CHECK_EQ(pm_in(PM1_STS, 2), 0x0100);
	CHECK(pm_in(PM_TMR, 4) >= 35000);
	hv_state_writer_free(&w);
	tear_down();
}

int main(void)
{
	TEST_RUN(test_formats);
	TEST_RUN(test_set_time);
	TEST_RUN(test_memory);
	TEST_RUN(test_update_interrupt);
	TEST_RUN(test_alarm);
	TEST_RUN(test_rtc_state);
	TEST_RUN(test_power_button);
	TEST_RUN(test_soft_off);
	TEST_RUN(test_reset_ports);
	TEST_RUN(test_timer);
	TEST_RUN(test_pm_state);
	return TEST_EXIT();
}
