/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_MACHINE_H
#define HVM_MACHINE_H

#include "../virtio-backends/balloon.h"
#include "config.h"
#include "stats.h"
#include "vm.h"

/*
 * A whole machine: a VM, its devices, and its life from power-on to power-off. The thread that
 * calls hvm_machine_run() waits for vCPUs when the machine stops; devices work on other threads.
 */
struct hvm_machine;

int hvm_machine_create(const struct hvm_config *cfg, struct hvm_machine **m, struct hv_err *err);
/*
 * Run until the guest switches off, crashes, or somebody ends it. Returns the exit status; for all
 * but HVM_STATUS_OK @err says why.
 */
enum hvm_status hvm_machine_run(struct hvm_machine *m, struct hv_err *err);
/* Flush and close everything. Returns 0 or -errno if something could not be written. */
int hvm_machine_destroy(struct hvm_machine *m, struct hv_err *err);

/* ---- For control/; on the machine's loop unless it says otherwise ---- */

struct hvm_machine_info {
	const char *name;
	const char *status;	/* "running", "paused", "io-error", "saving", "debug" */
	unsigned int cpus;
	uint64_t mem;		/* bytes */
	uint64_t uptime_ms;
	const char *serial;	/* path of the pty, or NULL */
	const char *console;
};
void hvm_machine_info(struct hvm_machine *m, struct hvm_machine_info *info);
const struct hvm_config *hvm_machine_config(const struct hvm_machine *m);
/* The thread of a vCPU; 0: it has none. */
int hvm_machine_vcpu_tid(const struct hvm_machine *m, unsigned int vcpu);

struct hvm_disk_info {
	char id[16];		/* "blk0" */
	const char *file;	/* the image's; NULL: hvm has none open now */
	const char *format;
	uint64_t size;		/* what the guest sees, bytes */
	uint64_t allocated;	/* what the file takes, bytes */
	bool readonly;
};
void hvm_machine_disk(const struct hvm_machine *m, unsigned int n, struct hvm_disk_info *info);

void hvm_machine_stats(struct hvm_machine *m, hvm_stat_fn fn, void *opaque);
void hvm_machine_process_stats(const struct hvm_machine *m, struct hvm_process_stats *p);

/* Push the power button; false: the guest does not listen to it (yet). Any thread. */
bool hvm_machine_power_button(struct hvm_machine *m);
/*
 * The balloon: what the guest is to keep of its memory, how it is, and giving back what is free
 * now. 0 or -errno, -ENODEV: it has none. Any thread; the information also asks the guest for
 * newer.
 */
int hvm_machine_balloon(struct hvm_machine *m, uint64_t bytes, struct hv_err *err);
int hvm_machine_balloon_info(struct hvm_machine *m, struct virtio_balloon_info *info,
			     struct hv_err *err);
int hvm_machine_balloon_trim(struct hvm_machine *m, struct hv_err *err);
/*
 * Disks, by their ids ("blk0"): grow one to @size bytes and tell the guest; make or delete an
 * internal snapshot, as if the power failed at that moment; or put a new overlay @file on top, and
 * keep what it was. The machine's thread only.
 */
int hvm_machine_disk_resize(struct hvm_machine *m, const char *disk, uint64_t size,
			    struct hv_err *err);
int hvm_machine_disk_snapshot(struct hvm_machine *m, const char *disk, enum blk_snapshot_op op,
			      const char *name, struct hv_err *err);
int hvm_machine_disk_overlay(struct hvm_machine *m, const char *disk, const char *file,
			     struct hv_err *err);
/* Stop vCPUs and devices, and let them go on. The machine's thread only. */
void hvm_machine_pause(struct hvm_machine *m);
void hvm_machine_resume(struct hvm_machine *m);

/*
 * Write the machine's state to the file @path, absolute; @go_on: the guest does meanwhile, on
 * overlays of its disks, else it stands still, and is to be ended when the state is written. This
 * only begins (-EBUSY: one is written already); the rest is in the information. The machine's
 * thread only.
 */
int hvm_machine_save(struct hvm_machine *m, const char *path, bool force, bool go_on,
		     struct hv_err *err);
struct hvm_save_info {
	const char *status;	/* "none", "active", "completed", "failed" */
	const char *error;	/* failed: why; else NULL */
	uint64_t done, total;	/* bytes of RAM */
};
void hvm_machine_save_info(const struct hvm_machine *m, struct hvm_save_info *info);
/* Does it stand still to be saved? Then it cannot be resumed. */
bool hvm_machine_held(const struct hvm_machine *m);

/*
 * Halt vCPUs for the debugger, and let them go on unless the machine is paused. Devices work
 * meanwhile.
 */
void hvm_machine_debug_halt(struct hvm_machine *m);
void hvm_machine_debug_resume(struct hvm_machine *m);
/* As if its reset button were pushed; one that is paused stays so. Any thread. */
void hvm_machine_reset(struct hvm_machine *m);
/* End the machine as if its plug were pulled; disks are flushed. Any thread. */
void hvm_machine_quit(struct hvm_machine *m);

#endif
