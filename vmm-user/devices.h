/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_DEVICES_H
#define HVM_DEVICES_H

#include "config.h"
#include "vm.h"

/* The devices of a machine: chipset, serial line, and virtio devices on PCI. */
struct hvm_devices;

struct hvm_devices_config {
	const struct hvm_config *cfg;	/* must outlive the devices */
	struct hvm_vm *vm;
	void (*escape)(void *opaque, enum hvm_escape key);
	void *opaque;
};

int hvm_devices_create(const struct hvm_devices_config *cfg, struct hvm_devices **d,
		       struct hv_err *err);
/* vCPUs must have ended. Flushes disks; -errno and a message if that failed. */
int hvm_devices_destroy(struct hvm_devices *d, struct hv_err *err);
/* To the power-on state; the VM is paused. */
void hvm_devices_reset(struct hvm_devices *d);

/* Where the PCI window above RAM is. */
uint64_t hvm_devices_pci64_base(uint64_t mem);

/* Stop all virtio devices with their state in place, and go on. */
void hvm_devices_pause(struct hvm_devices *d);
void hvm_devices_resume(struct hvm_devices *d);

/* Grow a disk ("blk0"); its internal snapshots. The thread that pauses devices. */
int hvm_devices_disk_resize(struct hvm_devices *d, const char *id, uint64_t size,
			    struct hv_err *err);
int hvm_devices_disk_snapshot(struct hvm_devices *d, const char *id, enum blk_snapshot_op op,
			      const char *name, struct hv_err *err);
/* From now on the disk is the new overlay @file; what it was stays as it is, below. */
int hvm_devices_disk_overlay(struct hvm_devices *d, const char *id, const char *file,
			     struct hv_err *err);

/* Any thread. */
bool hvm_devices_power_button(struct hvm_devices *d);
void hvm_devices_send_break(struct hvm_devices *d);
void hvm_devices_resize(struct hvm_devices *d, uint16_t cols, uint16_t rows);
/* NULL: there is none. */
struct virtio_dev *hvm_devices_balloon(const struct hvm_devices *d);
/* Path of the pty, NULL if it is none. */
const char *hvm_devices_serial_path(const struct hvm_devices *d);
const char *hvm_devices_console_path(const struct hvm_devices *d);

#endif
