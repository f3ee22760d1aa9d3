// SPDX-License-Identifier: GPL-2.0-or-later
/* What is in flight at a vhost-user back end, kept by its front end; see vhost_user_front.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtq_track.h"
#include "vhost_user_front.h"

static int track_map(struct vhost_user_front *f, const struct vhost_user_inflight *i, int fd,
		     struct hv_err *err)
{
	struct vhost_user_track t = {
		.queues = (uint16_t)f->dev.nr_queues, .entries = (uint16_t)f->kind->queue_size,
	};
	uint64_t need = t.queues * virtq_track_bytes(t.entries);
	void *p;
	int ret;

	if (i->mmap_size < need)
		return hv_err_set(err, -EPROTO, "%s: the back end keeps requests in flight in %llu "
				  "bytes instead of %llu", f->id,
				  (unsigned long long)i->mmap_size, (unsigned long long)need);
	ret = vhost_user_map_fd(fd, i->mmap_offset, i->mmap_size, &t.map, &t.len, &p, err);
	if (ret)
		return hv_err_prefix(err, "%s", f->id);
	t.p = p;
	f->track = t;
	f->track_fd = fd;
	f->track_offset = i->mmap_offset;
	f->track_size = i->mmap_size;
	return 0;
}

int vhost_user_front_get_track(struct vhost_user_front *f, struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.inflight = {
		.num_queues = (uint16_t)f->dev.nr_queues,
		.queue_size = (uint16_t)f->kind->queue_size,
	} };
	int fd, ret;

	if (f->track_fd >= 0 || !(f->conn.protocol & VHOST_USER_PROTOCOL_INFLIGHT))
		return 0;
	ret = vhost_user_conn_get(&f->conn, &m, VHOST_USER_GET_INFLIGHT_FD,
				  sizeof(m.payload.inflight), VHOST_USER_INFLIGHT_MIN, err);
	if (ret)
		return ret;
	fd = vhost_user_take_fd(&m, 0);
	vhost_user_msg_close(&m);
	if (fd < 0)
		return hv_err_set(err, -EPROTO, "%s: the back end gives no memory for what is in flight",
				  f->id);
	ret = track_map(f, &m.payload.inflight, fd, err);
	if (ret)
		close(fd);
	return ret;
}

int vhost_user_front_set_track(struct vhost_user_front *f, struct hv_err *err)
{
	struct vhost_user_msg m = {
		.payload.inflight = {
			.mmap_size = f->track_size, .mmap_offset = f->track_offset,
			.num_queues = f->track.queues, .queue_size = f->track.entries,
		},
		.fds = { f->track_fd }, .nr_fds = 1,
	};

	if (f->track_fd < 0 || !(f->conn.protocol & VHOST_USER_PROTOCOL_INFLIGHT))
		return 0;
	return vhost_user_conn_set(&f->conn, &m, VHOST_USER_SET_INFLIGHT_FD,
				   sizeof(m.payload.inflight), err);
}

void vhost_user_front_drop_track(struct vhost_user_front *f)
{
	vhost_user_track_unmap(&f->track);
	if (f->track_fd >= 0)
		close(f->track_fd);
	f->track_fd = -1;
}

struct virtq_track *vhost_user_front_track(const struct vhost_user_front *f,
					   const struct virtq *vq)
{
	if (!f->track.map)
		return NULL;
	return (void *)(f->track.p + vq->index * virtq_track_bytes(f->track.entries));
}

unsigned int vhost_user_front_inflight(const struct vhost_user_front *f, const struct virtq *vq,
				       uint16_t heads[VIRTQ_MAX_SIZE])
{
	struct virtq_track *t = vhost_user_front_track(f, vq);
	uint64_t counter;
	int n;

	/* Zeroes: the back end has not looked at it yet. */
	if (!t || !__atomic_load_n(&t->version, __ATOMIC_ACQUIRE))
		return 0;
	n = virtq_track_recover(t, f->track.entries, vq->size, vq->used_idx, heads, &counter);
	return n > 0 ? (unsigned int)n : 0;
}
