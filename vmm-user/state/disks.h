/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_STATE_DISKS_H
#define HVM_STATE_DISKS_H

#include "../devices.h"
#include "saved_config.h"

/*
 * The disks of a guest that is saved. A guest that ends leaves its disks as they are. For one that
 * goes on, each disk that it can write to stays behind under a new name, and an empty overlay on it
 * takes its name and its place: what the guest writes from then on is not the snapshot's.
 */
struct hvm_save_disks {
	const struct hvm_config *cfg;
	struct hvm_devices *devices;
	bool go_on;
	struct hvm_saved_disk saved[HVM_MAX_DISKS];	/* for hvm_saved_config_write() */
	char *path[HVM_MAX_DISKS];	/* without symbolic links */
	char *overlay[HVM_MAX_DISKS];	/* ready, under a name of its own; NULL: not written to */
	bool moved[HVM_MAX_DISKS];
};

/* While the guest still runs: overlays are made. @suffix names what stays behind. */
int hvm_save_disks_prepare(struct hvm_save_disks *d, const struct hvm_config *cfg,
			   struct hvm_devices *devices, bool go_on, const char *suffix,
			   struct hv_err *err);
/*
 * With the guest paused: flush and close all images that it can write to; if it is to go on, put
 * the overlays in their place and open them. After an error disks are what they were, some closed.
 */
int hvm_save_disks_switch(struct hvm_save_disks *d, struct hv_err *err);
/* After hvm_save_disks_switch(), while nothing has run: disks as they were, some closed. */
void hvm_save_disks_undo(struct hvm_save_disks *d);
/* Open what is closed. An error leaves a guest without a disk, which cannot go on. */
int hvm_save_disks_reopen(struct hvm_save_disks *d, struct hv_err *err);
/* Removes overlays that did not take their place. */
void hvm_save_disks_free(struct hvm_save_disks *d);

/*
 * Run qemu-img to make the overlay @file on @base (a name relative to @file's directory, or
 * absolute), which is a qcow2 image of @size bytes and need not be there yet.
 */
int hvm_make_overlay(const char *file, const char *base, uint64_t size, struct hv_err *err);
/* Bytes that a guest sees of a qcow2 image. */
int hvm_qcow2_size(const char *file, uint64_t *size, struct hv_err *err);

#endif
