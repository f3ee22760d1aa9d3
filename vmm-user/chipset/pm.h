/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_PM_H
#define HVM_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "../../virtio-backends/state.h"
#include "../vm.h"

/*
 * Power management: ACPI's fixed hardware (ACPI 6.5, 4.8) with power button, soft off and timer,
 * and the two old ways to reset a PC: port 0xcf9 and the keyboard controller's pulse.
 */

/* Offsets from HVM_PORT_PM. */
#define PM1_STS		0
#define PM1_EN		2
#define PM1_CNT		4
#define PM_TMR		8
#define PM_PORTS	12
#define PM1_EVT_LEN	4
#define PM1_CNT_LEN	2
#define PM_TMR_LEN	4

#define PM_S5_TYPE	5	/* \_S5 of dsdt.asl */
#define PM_RESET_VALUE	0x06	/* to port 0xcf9: hard reset */

struct hvm_pm;

int hvm_pm_create(struct hvm_vm *vm, struct hvm_pm **pm, struct hv_err *err);
void hvm_pm_destroy(struct hvm_pm *pm);
void hvm_pm_reset(struct hvm_pm *pm);
void hvm_pm_save(struct hvm_pm *pm, struct hv_state_writer *w);
int hvm_pm_load(struct hvm_pm *pm, struct hv_state_reader *r, struct hv_err *err);
/* The timer goes on as if @ns more had passed. */
void hvm_pm_advance(struct hvm_pm *pm, uint64_t ns);
/* Push the power button. Any thread. False: the guest does not listen to it. */
bool hvm_pm_press_power_button(struct hvm_pm *pm);

/* The handler of port 0xcf9, which lies inside the PCI host's ports; opaque: the struct hvm_pm. */
extern const struct bus_ops hvm_pm_cf9_ops;

#endif
