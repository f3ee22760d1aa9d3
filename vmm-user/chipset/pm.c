// SPDX-License-Identifier: GPL-2.0-or-later
/* Power management; see pm.h. */
#include "pm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../memory/layout.h"

/* PM1 (ACPI 6.5, 4.8.3). */
#define STS_TMR		(1u << 0)
#define STS_GBL		(1u << 5)
#define STS_PWRBTN	(1u << 8)
#define STS_RTC		(1u << 10)	/* never up, but Linux insists on enabling it */
#define STS_WAK		(1u << 15)
#define STS_ALL		(STS_TMR | STS_GBL | STS_PWRBTN | STS_RTC | STS_WAK)
#define EN_ALL		(STS_TMR | STS_GBL | STS_PWRBTN | STS_RTC)
#define CNT_SCI_EN	(1u << 0)
#define CNT_SLP_TYP(v)	(((v) >> 10) & 7)
#define CNT_SLP_EN	(1u << 13)
#define CNT_KEPT	0x1c07u		/* SLP_TYP, GBL_RLS, BM_RLD, SCI_EN */

#define PM_TMR_HZ	3579545u	/* 4.8.3.3 */
#define NSEC		1000000000u

/* Keyboard controller: command that pulses output lines; line 0 is the processor's reset. */
#define I8042_PULSE	0xf0
#define I8042_PULSE_NOT_RESET 0x01
#define I8042_STATUS_NONE 0x00

#define CF9_RESET_NOW	0x04

#define PM_STATE_VERSION 1

struct hvm_pm {
	struct hvm_vm *vm;
	struct bus_range *ports, *i8042, *post;
	pthread_mutex_t lock;	/* all below */
	uint16_t sts, en, cnt;
	uint8_t cf9;
	bool sci;
	uint64_t start_ns;	/* when the timer was 0 */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

static uint32_t pm_timer(struct hvm_pm *pm)
{
	return (uint32_t)((unsigned __int128)(now_ns() - pm->start_ns) * PM_TMR_HZ / NSEC);
}

/* The lock is held over the system call: levels must arrive in order. */
static void pm_update_sci(struct hvm_pm *pm)
{
	bool level = (pm->sts & pm->en) != 0;

	if (level == pm->sci)
		return;
	pm->sci = level;
	hvm_irq_line(pm->vm, HVM_GSI_SCI, level);
}

/* ---- Registers ---- */

/* PM1 registers byte by byte, so that every width of access works. */
static uint8_t pm_read_byte(struct hvm_pm *pm, uint64_t off)
{
	const uint16_t reg[] = { pm->sts, pm->en, pm->cnt };

	return off < PM1_CNT + PM1_CNT_LEN ? (uint8_t)(reg[off / 2] >> (8 * (off & 1))) : 0;
}

static uint64_t pm_read(void *opaque, uint64_t off, unsigned int size)
{
	struct hvm_pm *pm = opaque;
	uint64_t v = 0;

	pthread_mutex_lock(&pm->lock);
	if (off >= PM_TMR)
		v = pm_timer(pm) >> (8 * (off - PM_TMR));
	else
		for (unsigned int i = 0; i < size; i++)
			v |= (uint64_t)pm_read_byte(pm, off + i) << (8 * i);
	pthread_mutex_unlock(&pm->lock);
	return v;
}

static bool pm_write_cnt(struct hvm_pm *pm, uint16_t v)
{
	pm->cnt = (v & CNT_KEPT) | CNT_SCI_EN;
	return (v & CNT_SLP_EN) && CNT_SLP_TYP(v) == PM_S5_TYPE;
}

static bool pm_write_byte(struct hvm_pm *pm, uint64_t off, uint8_t b)
{
	unsigned int shift = 8 * (off & 1);
	uint16_t keep = (uint16_t)(0xff00u >> shift), v = (uint16_t)(b << shift);

	switch (off & ~1ULL) {
	case PM1_STS:
		pm->sts &= (uint16_t)~v;
		return false;
	case PM1_EN:
		pm->en = ((pm->en & keep) | v) & EN_ALL;
		return false;
	case PM1_CNT:
		return pm_write_cnt(pm, (pm->cnt & keep) | v);
	}
	return false;
}

static void pm_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct hvm_pm *pm = opaque;
	bool off_now = false;

	pthread_mutex_lock(&pm->lock);
	for (unsigned int i = 0; i < size; i++)
		off_now |= pm_write_byte(pm, off + i, (uint8_t)(value >> (8 * i)));
	pm_update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
	if (off_now)
		hvm_vm_notify(pm->vm, HVM_EVENT_POWEROFF, NULL);
}

static uint64_t cf9_read(void *opaque, uint64_t off, unsigned int size)
{
	struct hvm_pm *pm = opaque;
	uint8_t v;

	pthread_mutex_lock(&pm->lock);
	v = pm->cf9;
	pthread_mutex_unlock(&pm->lock);
	return v;
}

static void cf9_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct hvm_pm *pm = opaque;

	pthread_mutex_lock(&pm->lock);
	pm->cf9 = (uint8_t)value & ~CF9_RESET_NOW;
	pthread_mutex_unlock(&pm->lock);
	if (value & CF9_RESET_NOW)
		hvm_vm_notify(pm->vm, HVM_EVENT_RESET, NULL);
}

static uint64_t i8042_read(void *opaque, uint64_t off, unsigned int size)
{
	return I8042_STATUS_NONE;
}

static void i8042_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct hvm_pm *pm = opaque;

	if ((value & 0xf0) == I8042_PULSE && !(value & I8042_PULSE_NOT_RESET))
		hvm_vm_notify(pm->vm, HVM_EVENT_RESET, NULL);
}

static const struct bus_ops pm_ops = { .read = pm_read, .write = pm_write };
static const struct bus_ops i8042_ops = { .read = i8042_read, .write = i8042_write };
/* Systems write progress codes, or use the port to wait a little. */
static const struct bus_ops post_ops = { 0 };
const struct bus_ops hvm_pm_cf9_ops = { .read = cf9_read, .write = cf9_write };

/* ---- Life ---- */

bool hvm_pm_press_power_button(struct hvm_pm *pm)
{
	bool heard;

	pthread_mutex_lock(&pm->lock);
	pm->sts |= STS_PWRBTN;
	heard = pm->en & STS_PWRBTN;
	pm_update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
	return heard;
}

void hvm_pm_reset(struct hvm_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	pm->sts = pm->en = 0;
	pm->cnt = CNT_SCI_EN;
	pm->cf9 = 0;
	pm->start_ns = now_ns();
	pm_update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
}

int hvm_pm_create(struct hvm_vm *vm, struct hvm_pm **res, struct hv_err *err)
{
	struct hvm_pm *pm = calloc(1, sizeof(*pm));
	int ret;

	if (!pm)
		return hv_err_set(err, -ENOMEM, "power management: out of memory");
	pm->vm = vm;
	pthread_mutex_init(&pm->lock, NULL);
	hvm_pm_reset(pm);
	ret = bus_add(vm->pio, HVM_PORT_PM, PM_PORTS, &pm_ops, pm, "pm", &pm->ports);
	if (!ret)
		ret = bus_add(vm->pio, HVM_PORT_I8042_CMD, 1, &i8042_ops, pm, "i8042", &pm->i8042);
	if (!ret)
		ret = bus_add(vm->pio, HVM_PORT_POST, 1, &post_ops, pm, "post", &pm->post);
	if (ret) {
		hvm_pm_destroy(pm);
		return hv_err_set(err, ret, "power management: ports: %s", strerror(-ret));
	}
	*res = pm;
	return 0;
}

void hvm_pm_destroy(struct hvm_pm *pm)
{
	if (!pm)
		return;
	bus_remove(pm->vm->pio, pm->ports);
	bus_remove(pm->vm->pio, pm->i8042);
	bus_remove(pm->vm->pio, pm->post);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

void hvm_pm_save(struct hvm_pm *pm, struct hv_state_writer *w)
{
	pthread_mutex_lock(&pm->lock);
	hv_state_begin(w, "pm", PM_STATE_VERSION);
	hv_state_put_u16(w, pm->sts);
	hv_state_put_u16(w, pm->en);
	hv_state_put_u16(w, pm->cnt);
	hv_state_put_u8(w, pm->cf9);
	hv_state_put_u64(w, now_ns() - pm->start_ns);
	hv_state_end(w);
	pthread_mutex_unlock(&pm->lock);
}

int hvm_pm_load(struct hvm_pm *pm, struct hv_state_reader *r, struct hv_err *err)
{
	uint16_t sts, en, cnt;
	uint64_t age;
	uint8_t cf9;
	int ret = hv_state_open(r, "pm", PM_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	sts = hv_state_get_u16(r) & STS_ALL;
	en = hv_state_get_u16(r) & EN_ALL;
	cnt = (hv_state_get_u16(r) & CNT_KEPT) | CNT_SCI_EN;
	cf9 = hv_state_get_u8(r);
	age = hv_state_get_u64(r);
	ret = hv_state_close(r, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&pm->lock);
	pm->sts = sts;
	pm->en = en;
	pm->cnt = cnt;
	pm->cf9 = cf9;
	pm->start_ns = now_ns() - age;
	/* The line's level is the interrupt controllers' state. */
	pm->sci = (sts & en) != 0;
	pthread_mutex_unlock(&pm->lock);
	return 0;
}

void hvm_pm_advance(struct hvm_pm *pm, uint64_t ns)
{
	pthread_mutex_lock(&pm->lock);
	pm->start_ns -= ns;
	pthread_mutex_unlock(&pm->lock);
}
