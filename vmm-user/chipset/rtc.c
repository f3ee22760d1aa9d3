// SPDX-License-Identifier: GPL-2.0-or-later
/* The clock; see rtc.h. */
#include "rtc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CMOS_SIZE	128

/* Registers (MC146818A, "Address map"), and where PCs have the century. */
#define REG_SEC		0x00
#define REG_SEC_ALARM	0x01
#define REG_MIN		0x02
#define REG_MIN_ALARM	0x03
#define REG_HOUR	0x04
#define REG_HOUR_ALARM	0x05
#define REG_WDAY	0x06
#define REG_MDAY	0x07
#define REG_MONTH	0x08
#define REG_YEAR	0x09
#define REG_A		0x0a
#define REG_B		0x0b
#define REG_C		0x0c
#define REG_D		0x0d
#define REG_CENTURY	0x32

#define A_UIP		0x80
#define A_DIVIDER	0x26	/* 32.768 kHz; rate 6: 1024 Hz */
#define B_SET		0x80
#define B_AIE		0x20
#define B_UIE		0x10
#define B_BINARY	0x04
#define B_24H		0x02
#define C_IRQF		0x80
#define C_AF		0x20
#define C_UF		0x10
#define D_VALID		0x80
#define HOUR_PM		0x80
#define ALARM_ANY	0xc0	/* both bits set: every value matches */

#define UPDATE_NS	244000		/* how long before a change A_UIP is up */
#define NSEC		1000000000L
#define RTC_STATE_VERSION 1

struct hvm_rtc {
	struct hvm_rtc_config cfg;
	struct bus_range *range;
	struct hv_loop_timer *timer;	/* the loop's thread */

	pthread_mutex_t lock;	/* all below */
	uint8_t index;
	uint8_t reg[CMOS_SIZE];	/* time registers: only alarms and what SET holds */
	int64_t offset;		/* seconds that the guest's clock is ahead of the host's */
	bool irq;
};

static void rtc_host_now(struct timespec *ts)
{
	clock_gettime(CLOCK_REALTIME, ts);
}

/* ---- Values ---- */

static uint8_t rtc_encode(const struct hvm_rtc *r, int v)
{
	return (uint8_t)(r->reg[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int rtc_decode(const struct hvm_rtc *r, uint8_t v)
{
	return r->reg[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 0x0f);
}

static uint8_t rtc_encode_hour(const struct hvm_rtc *r, int hour)
{
	if (r->reg[REG_B] & B_24H)
		return rtc_encode(r, hour);
	return rtc_encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int rtc_decode_hour(const struct hvm_rtc *r, uint8_t v)
{
	if (r->reg[REG_B] & B_24H)
		return rtc_decode(r, v);
	return rtc_decode(r, v & (uint8_t)~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

static void rtc_now(const struct hvm_rtc *r, struct timespec *ts, struct tm *tm)
{
	time_t t;

	r->cfg.now(ts);
	ts->tv_sec += r->offset;
	t = ts->tv_sec;
	if (!gmtime_r(&t, tm))
		memset(tm, 0, sizeof(*tm));
}

/* Put the time into the registers, as they show it. */
static void rtc_latch(struct hvm_rtc *r)
{
	struct timespec ts;
	struct tm tm;
	int year;

	if (r->reg[REG_B] & B_SET)
		return;		/* the guest is setting it */
	rtc_now(r, &ts, &tm);
	year = tm.tm_year + 1900;
	r->reg[REG_SEC] = rtc_encode(r, tm.tm_sec > 59 ? 59 : tm.tm_sec);
	r->reg[REG_MIN] = rtc_encode(r, tm.tm_min);
	r->reg[REG_HOUR] = rtc_encode_hour(r, tm.tm_hour);
	r->reg[REG_WDAY] = rtc_encode(r, tm.tm_wday + 1);
	r->reg[REG_MDAY] = rtc_encode(r, tm.tm_mday);
	r->reg[REG_MONTH] = rtc_encode(r, tm.tm_mon + 1);
	r->reg[REG_YEAR] = rtc_encode(r, year % 100);
	r->reg[REG_CENTURY] = rtc_encode(r, year / 100 % 100);
}

/* The guest has set the registers: from now on they are the time. */
static void rtc_take(struct hvm_rtc *r)
{
	struct tm tm = {
		.tm_sec = rtc_decode(r, r->reg[REG_SEC]),
		.tm_min = rtc_decode(r, r->reg[REG_MIN]),
		.tm_hour = rtc_decode_hour(r, r->reg[REG_HOUR]),
		.tm_mday = rtc_decode(r, r->reg[REG_MDAY]),
		.tm_mon = rtc_decode(r, r->reg[REG_MONTH]) - 1,
		.tm_year = rtc_decode(r, r->reg[REG_CENTURY]) * 100 +
			   rtc_decode(r, r->reg[REG_YEAR]) - 1900,
	};
	struct timespec host;

	r->cfg.now(&host);
	r->offset = (int64_t)timegm(&tm) - host.tv_sec;
}

/* ---- Interrupts: a tick at each change of the second while somebody wants one ---- */

static void rtc_update_irq(struct hvm_rtc *r)
{
	bool level = r->reg[REG_C] & r->reg[REG_B] & (C_AF | C_UF);

	if (level)
		r->reg[REG_C] |= C_IRQF;
	if (level == r->irq)
		return;
	r->irq = level;
	hvm_irq_line(r->cfg.vm, r->cfg.gsi, level);
}

static bool rtc_wants_ticks(const struct hvm_rtc *r)
{
	return (r->reg[REG_B] & (B_AIE | B_UIE)) && !(r->reg[REG_B] & B_SET);
}

static bool rtc_alarm_matches(const struct hvm_rtc *r, unsigned int alarm, unsigned int time)
{
	return (r->reg[alarm] & ALARM_ANY) == ALARM_ANY || r->reg[alarm] == r->reg[time];
}

static void rtc_arm(void *opaque)
{
	struct hvm_rtc *r = opaque;
	struct timespec ts;
	struct tm tm;
	bool wanted;

	pthread_mutex_lock(&r->lock);
	wanted = rtc_wants_ticks(r);
	rtc_now(r, &ts, &tm);
	pthread_mutex_unlock(&r->lock);
	if (wanted)
		hv_loop_arm_timer(r->timer, hv_loop_now_ns() + (uint64_t)(NSEC - ts.tv_nsec));
	else
		hv_loop_disarm_timer(r->timer);
}

static void rtc_tick(void *opaque)
{
	struct hvm_rtc *r = opaque;

	pthread_mutex_lock(&r->lock);
	if (rtc_wants_ticks(r)) {
		rtc_latch(r);
		r->reg[REG_C] |= C_UF;
		if (rtc_alarm_matches(r, REG_SEC_ALARM, REG_SEC) &&
		    rtc_alarm_matches(r, REG_MIN_ALARM, REG_MIN) &&
		    rtc_alarm_matches(r, REG_HOUR_ALARM, REG_HOUR))
			r->reg[REG_C] |= C_AF;
		rtc_update_irq(r);
	}
	pthread_mutex_unlock(&r->lock);
	rtc_arm(r);
}

/* ---- Ports ---- */

static bool rtc_is_time(uint8_t index)
{
	return index == REG_SEC || index == REG_MIN || index == REG_HOUR ||
	       (index >= REG_WDAY && index <= REG_YEAR) || index == REG_CENTURY;
}

static uint8_t rtc_read_reg(struct hvm_rtc *r)
{
	struct timespec ts;
	struct tm tm;
	uint8_t v;

	switch (r->index) {
	case REG_A:
		rtc_now(r, &ts, &tm);
		v = r->reg[REG_A];
		if (!(r->reg[REG_B] & B_SET) && ts.tv_nsec >= NSEC - UPDATE_NS)
			v |= A_UIP;
		return v;
	case REG_C:
		v = r->reg[REG_C];
		r->reg[REG_C] = 0;
		rtc_update_irq(r);
		return v;
	case REG_D:
		return D_VALID;
	}
	if (rtc_is_time(r->index))
		rtc_latch(r);
	return r->reg[r->index];
}

/* Returns true if the timer must be looked at. */
static bool rtc_write_reg(struct hvm_rtc *r, uint8_t v)
{
	bool ticks = rtc_wants_ticks(r), was_set = r->reg[REG_B] & B_SET;

	switch (r->index) {
	case REG_A:
		r->reg[REG_A] = v & (uint8_t)~A_UIP;
		return false;
	case REG_B:
		if (v & B_SET) {
			rtc_latch(r);	/* in the old format */
			v &= (uint8_t)~B_UIE;
		}
		r->reg[REG_B] = v;
		if (was_set && !(v & B_SET))
			rtc_take(r);
		rtc_update_irq(r);
		return ticks != rtc_wants_ticks(r);
	case REG_C:
	case REG_D:
		return false;
	}
	if (rtc_is_time(r->index))
		rtc_latch(r);	/* the others go on */
	r->reg[r->index] = v;
	if (rtc_is_time(r->index) && !(r->reg[REG_B] & B_SET))
		rtc_take(r);
	return false;
}

static uint64_t rtc_read(void *opaque, uint64_t off, unsigned int size)
{
	struct hvm_rtc *r = opaque;
	uint64_t v = ~0ULL;

	if (off == 0 || size != 1)
		return v;	/* the index is write-only */
	pthread_mutex_lock(&r->lock);
	v = rtc_read_reg(r);
	pthread_mutex_unlock(&r->lock);
	return v;
}

static void rtc_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct hvm_rtc *r = opaque;
	bool arm = false;

	pthread_mutex_lock(&r->lock);
	if (off == 0)
		r->index = (uint8_t)value & (CMOS_SIZE - 1);	/* bit 7 masks NMIs */
	if (off == 0 && size == 2)	/* index and data at once */
		arm = rtc_write_reg(r, (uint8_t)(value >> 8));
	else if (off == 1 && size == 1)
		arm = rtc_write_reg(r, (uint8_t)value);
	pthread_mutex_unlock(&r->lock);
	if (arm)
		hv_loop_post(r->cfg.loop, rtc_arm, r);
}

static const struct bus_ops rtc_ops = { .read = rtc_read, .write = rtc_write };

/* ---- Life ---- */

static void rtc_start(void *opaque)
{
	struct hvm_rtc *r = opaque;

	r->timer = hv_loop_add_timer(r->cfg.loop, rtc_tick, r);
}

static void rtc_stop(void *opaque)
{
	struct hvm_rtc *r = opaque;

	if (r->timer)
		hv_loop_del_timer(r->timer);
}

void hvm_rtc_reset(struct hvm_rtc *r)
{
	pthread_mutex_lock(&r->lock);
	r->index = 0;
	r->reg[REG_B] &= (uint8_t)~(B_SET | B_AIE | B_UIE);
	r->reg[REG_C] = 0;
	rtc_update_irq(r);
	pthread_mutex_unlock(&r->lock);
	hv_loop_post(r->cfg.loop, rtc_arm, r);
}

int hvm_rtc_create(const struct hvm_rtc_config *cfg, struct hvm_rtc **res, struct hv_err *err)
{
	struct hvm_rtc *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return hv_err_set(err, -ENOMEM, "clock: out of memory");
	r->cfg = *cfg;
	if (!r->cfg.now)
		r->cfg.now = rtc_host_now;
	pthread_mutex_init(&r->lock, NULL);
	r->reg[REG_A] = A_DIVIDER;
	r->reg[REG_B] = B_24H;
	hv_loop_call(cfg->loop, rtc_start, r);
	if (!r->timer) {
		ret = hv_err_set(err, -ENOMEM, "clock: out of memory");
		goto fail;
	}
	ret = bus_add(cfg->pio, cfg->port, 2, &rtc_ops, r, "rtc", &r->range);
	if (ret) {
		hv_err_set(err, ret, "clock: port 0x%x: %s", cfg->port, strerror(-ret));
		goto fail;
	}
	*res = r;
	return 0;
fail:
	hvm_rtc_destroy(r);
	return ret;
}

void hvm_rtc_destroy(struct hvm_rtc *r)
{
	if (!r)
		return;
	if (r->range)
		bus_remove(r->cfg.pio, r->range);
	/* Runs after all that was posted. */
	hv_loop_call(r->cfg.loop, rtc_stop, r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void hvm_rtc_save(struct hvm_rtc *r, struct hv_state_writer *w)
{
	pthread_mutex_lock(&r->lock);
	hv_state_begin(w, "rtc", RTC_STATE_VERSION);
	hv_state_put_u8(w, r->index);
	hv_state_put_u64(w, (uint64_t)r->offset);
	hv_state_put(w, r->reg, sizeof(r->reg));
	hv_state_end(w);
	pthread_mutex_unlock(&r->lock);
}

int hvm_rtc_load(struct hvm_rtc *r, struct hv_state_reader *rd, struct hv_err *err)
{
	uint8_t index, reg[CMOS_SIZE];
	int64_t offset;
	int ret = hv_state_open(rd, "rtc", RTC_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	index = hv_state_get_u8(rd) & (CMOS_SIZE - 1);
	offset = (int64_t)hv_state_get_u64(rd);
	hv_state_get(rd, reg, sizeof(reg));
	ret = hv_state_close(rd, err);
	if (ret)
		return ret;
	/* Thousands of years either way: nothing that a guest can set. */
	if (offset > (INT64_C(1) << 40) || offset < -(INT64_C(1) << 40))
		return hv_err_set(err, -EINVAL, "clock: the state is damaged");
	pthread_mutex_lock(&r->lock);
	r->index = index;
	r->offset = offset;
	memcpy(r->reg, reg, sizeof(reg));
	r->irq = r->reg[REG_C] & r->reg[REG_B] & (C_AF | C_UF);
	pthread_mutex_unlock(&r->lock);
	hv_loop_post(r->cfg.loop, rtc_arm, r);
	return 0;
}
