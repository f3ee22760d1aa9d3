/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_DEVICES_H
#define HVM_DEVICES_H

#include "../virtio-backends/state.h"
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
/* Put firmware in its place, to be run from the reset vector; after a reset, too. */
int hvm_devices_load_firmware(struct hvm_devices *d, struct hv_err *err);
/* To the power-on state; the VM is paused. */
void hvm_devices_reset(struct hvm_devices *d);

/* Where the PCI window above RAM is. */
uint64_t hvm_devices_pci64_base(uint64_t mem);

/* Is the work of a device done by another process, which must reach the guest's memory? */
bool hvm_devices_need_shared_mem(const struct hvm_config *cfg);

/* Stop all virtio devices with their state in place, and go on. */
void hvm_devices_pause(struct hvm_devices *d);
void hvm_devices_resume(struct hvm_devices *d);

/*
 * State. All with vCPUs and devices paused. Between freeze and thaw (pairs do not nest) the thread
 * of devices that have none of their own stands still: no input comes, no clock ticks. Saving
 * needs it; loading, into fresh devices, returns 0 with the thread frozen.
 */
int hvm_devices_freeze(struct hvm_devices *d, struct hv_err *err);
void hvm_devices_thaw(struct hvm_devices *d);
void hvm_devices_save(struct hvm_devices *d, struct hv_state_writer *w);
int hvm_devices_load(struct hvm_devices *d, struct hv_state_reader *r, uint64_t elapsed_ns,
		     struct hv_err *err);

/*
 * Take the image of disk @n away from its device, which flushes it, and open again what is under
 * its name then. Devices are paused, and must not be resumed while one has no image. What is done
 * already is not done again.
 */
int hvm_devices_close_disk(struct hvm_devices *d, unsigned int n, struct hv_err *err);
int hvm_devices_open_disk(struct hvm_devices *d, unsigned int n, struct hv_err *err);
/* Bytes, as the guest sees it; the image is open. */
uint64_t hvm_devices_disk_size(const struct hvm_devices *d, unsigned int n);

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
