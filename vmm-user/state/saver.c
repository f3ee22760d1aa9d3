// SPDX-License-Identifier: GPL-2.0-or-later
/* Saving a machine; see saver.h. */
#include "saver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "machine_state.h"

static void saver_end(struct hvm_saver *s, enum hvm_saver_status status)
{
	if (s->job)
		hvm_state_job_progress(s->job, &s->done, &s->total);
	hvm_state_job_destroy(s->job);
	s->job = NULL;
	s->status = status;
}

/* What stays behind of disk x.qcow2 is x.qcow2.FILE-1234abcd: no two snapshots share a name. */
static void name_suffix(const char *path, char *suffix, size_t len)
{
	uint32_t tag = (uint32_t)hvm_realtime_ns();

	/* That few bytes never fail. */
	getrandom(&tag, sizeof(tag), 0);
	snprintf(suffix, len, "%s-%08x", strrchr(path, '/') + 1, tag);
}

int hvm_saver_prepare(struct hvm_saver *s, const char *path, bool force, bool go_on,
		      struct hv_err *err)
{
	char suffix[300];
	int ret;

	if (s->status == HVM_SAVE_ACTIVE)
		return hv_err_set(err, -EBUSY, "it is being saved to %s already",
				  hvm_state_job_path(s->job));
	/* A child's copy of shared memory is no copy, and other processes' state is not ours. */
	if (s->vm->ram.fd >= 0)
		return hv_err_set(err, -ENOTSUP, "its memory is shared with devices in other processes "
				  "(vhost-user); such a guest cannot be saved yet");
	for (unsigned int i = 0; i < s->cfg->nr_disks; i++) {
		const struct blk_image *img = hvm_devices_image(s->devices, i);

		/* The state names images as the guest's options do. */
		if (img && strcmp(blk_filename(img), s->cfg->disk[i].path))
			return hv_err_set(err, -ENOTSUP, "blk%u is on the overlay %s, made since the guest "
					  "was started; such a guest cannot be saved yet", i,
					  blk_filename(img));
	}
	ret = hvm_state_job_create(path, force, s->vm->ram.size, &s->job, err);
	if (ret)
		return ret;
	name_suffix(path, suffix, sizeof(suffix));
	hvm_save_disks_free(&s->disks);
	ret = hvm_save_disks_prepare(&s->disks, s->cfg, s->devices, go_on, suffix, err);
	if (ret) {
		saver_end(s, s->status);
		return ret;
	}
	s->go_on = go_on;
	s->done = 0;
	s->total = s->vm->ram.size;
	s->status = HVM_SAVE_ACTIVE;
	return 0;
}

void hvm_saver_abandon(struct hvm_saver *s, const struct hv_err *why)
{
	s->err = *why;
	saver_end(s, HVM_SAVE_FAILED);
	hvm_save_disks_free(&s->disks);
}

static void saver_written(void *opaque, int error, const char *msg)
{
	struct hvm_saver *s = opaque;

	if (error)
		hv_err_set(&s->err, error, "%s", msg);
	saver_end(s, error ? HVM_SAVE_FAILED : HVM_SAVE_COMPLETED);
	s->written(s->opaque, error);
}

int hvm_saver_take(struct hvm_saver *s, struct hv_err *err)
{
	struct hv_state_writer w;
	int ret = hvm_save_disks_switch(&s->disks, err);

	if (ret)
		return ret;
	hv_state_writer_init(&w);
	hvm_stream_put_start(&w, hvm_realtime_ns());
	hvm_saved_config_write(s->cfg, s->disks.saved, &w);
	ret = hvm_state_save(s->vm, s->devices, &w, err);
	if (!ret)
		ret = hvm_state_job_start(s->job, &w, s->vm->ram.map, s->loop, saver_written, s,
					  err);
	hv_state_writer_free(&w);
	if (ret)
		hvm_save_disks_undo(&s->disks);
	return ret;
}

int hvm_saver_reopen_disks(struct hvm_saver *s, struct hv_err *err)
{
	return hvm_save_disks_reopen(&s->disks, err);
}

void hvm_saver_progress(const struct hvm_saver *s, uint64_t *done, uint64_t *total)
{
	*done = s->done;
	*total = s->total;
	if (s->job)
		hvm_state_job_progress(s->job, done, total);
}

void hvm_saver_fini(struct hvm_saver *s)
{
	saver_end(s, HVM_SAVE_NONE);
	hvm_save_disks_free(&s->disks);
}
