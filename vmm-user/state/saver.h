/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_STATE_SAVER_H
#define HVM_STATE_SAVER_H

#include "disks.h"
#include "job.h"

/*
 * Saving a machine: one file at a time. All functions belong to the thread that runs the machine's
 * loop.
 */
enum hvm_saver_status { HVM_SAVE_NONE, HVM_SAVE_ACTIVE, HVM_SAVE_COMPLETED, HVM_SAVE_FAILED };

struct hvm_saver {
	const struct hvm_config *cfg;
	struct hvm_vm *vm;
	struct hvm_devices *devices;
	struct hv_loop *loop;
	void (*written)(void *opaque, int error);
	void *opaque;

	enum hvm_saver_status status;
	bool go_on;		/* the guest does, meanwhile */
	struct hvm_state_job *job;
	struct hvm_save_disks disks;
	uint64_t done, total;
	struct hv_err err;	/* HVM_SAVE_FAILED: why */
};

/* First: the guest runs. -EBUSY: the last one is not done. */
int hvm_saver_prepare(struct hvm_saver *s, const char *path, bool force, bool go_on,
		      struct hv_err *err);
/*
 * Then, with vCPUs and devices paused: take the state and begin to write it; written() is called in
 * the end. If the guest is not to go on, its disks are closed until hvm_saver_reopen_disks().
 */
int hvm_saver_take(struct hvm_saver *s, struct hv_err *err);
/* Instead of hvm_saver_take(), or after it failed. */
void hvm_saver_abandon(struct hvm_saver *s, const struct hv_err *why);
int hvm_saver_reopen_disks(struct hvm_saver *s, struct hv_err *err);
/* Bytes of RAM. */
void hvm_saver_progress(const struct hvm_saver *s, uint64_t *done, uint64_t *total);
/* Ends what goes on. */
void hvm_saver_fini(struct hvm_saver *s);

#endif
