/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_STATE_JOB_H
#define HVM_STATE_JOB_H

#include "../../virtio-backends/loop.h"
#include "stream.h"

/*
 * Writing the state of a machine to a file while the machine may go on: a child of this process,
 * whose memory is a copy (on write) of what RAM was at the fork, does it. The file appears under
 * its name when it is whole and on disk, or not at all.
 *
 * All functions belong to the thread that runs the loop.
 */
struct hvm_state_job;

/* @error is 0 or -errno, then @msg says what is wrong. The job is the caller's to destroy. */
typedef void (*hvm_state_job_fn)(void *opaque, int error, const char *msg);

/*
 * Prepare for @path, absolute, which must not exist unless @force. Nothing is written yet; what can
 * be known to fail fails here.
 */
int hvm_state_job_create(const char *path, bool force, uint64_t ram_len, struct hvm_state_job **job,
			 struct hv_err *err);
/*
 * Fork, at a moment when @ram is as the sections in @w say; @w is taken over. @done is called on
 * @loop.
 */
int hvm_state_job_start(struct hvm_state_job *job, struct hv_state_writer *w, const void *ram,
			struct hv_loop *loop, hvm_state_job_fn done, void *opaque,
			struct hv_err *err);
/* Bytes of RAM that are done, and all. */
void hvm_state_job_progress(const struct hvm_state_job *job, uint64_t *done, uint64_t *total);
const char *hvm_state_job_path(const struct hvm_state_job *job);
/* Ends the child if it still writes, and removes what it wrote. NULL is ignored. */
void hvm_state_job_destroy(struct hvm_state_job *job);

#endif
