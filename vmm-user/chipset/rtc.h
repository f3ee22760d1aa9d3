/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_RTC_H
#define HVM_RTC_H

#include <time.h>

#include "../../virtio-backends/loop.h"
#include "../../virtio-backends/state.h"
#include "../bus.h"
#include "../irq.h"

/*
 * The clock of a PC (Motorola MC146818A data sheet) with its CMOS memory: the host's time in UTC,
 * or what the guest set it to. Update-ended and alarm interrupts work, periodic ones do not.
 */
struct hvm_rtc;

struct hvm_rtc_config {
	struct hvm_vm *vm;
	struct bus *pio;
	uint16_t port;		/* index; data is the next */
	unsigned int gsi;
	struct hv_loop *loop;	/* for its interrupts */
	void (*now)(struct timespec *ts);	/* the host's clock; NULL: CLOCK_REALTIME */
};

int hvm_rtc_create(const struct hvm_rtc_config *cfg, struct hvm_rtc **rtc, struct hv_err *err);
void hvm_rtc_destroy(struct hvm_rtc *rtc);
/* A reset leaves time and memory alone. */
void hvm_rtc_reset(struct hvm_rtc *rtc);
void hvm_rtc_save(struct hvm_rtc *rtc, struct hv_state_writer *w);
int hvm_rtc_load(struct hvm_rtc *r, struct hv_state_reader *rd, struct hv_err *err);

#endif
