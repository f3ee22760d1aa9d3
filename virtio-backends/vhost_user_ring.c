// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues of a vhost-user back end; see vhost_user_ring.h. */
#include "vhost_user_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtq_track.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- Life ---- */

void vhost_user_ring_init(struct vhost_user_ring *r)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	r->call_fd = r->err_fd = r->kick_fd = -1;
}

void vhost_user_ring_clear(struct vhost_user_ring *r)
{
	vhost_user_ring_set_call(r, -1);
	vhost_user_ring_set_err(r, -1);
	close_fd(&r->kick_fd);
	r->kicked = r->enabled = r->num_set = r->addr_set = false;
	r->num = r->base = 0;
}

void vhost_user_ring_fini(struct vhost_user_ring *r)
{
	vhost_user_ring_clear(r);
	pthread_mutex_destroy(&r->lock);
}

void vhost_user_track_unmap(struct vhost_user_track *t)
{
	if (t->map)
		munmap(t->map, t->len);
	memset(t, 0, sizeof(*t));
}

/* ---- Signals to the front end ---- */

void vhost_user_ring_set_call(struct vhost_user_ring *r, int fd)
{
	pthread_mutex_lock(&r->lock);
	close_fd(&r->call_fd);
	r->call_fd = fd;
	pthread_mutex_unlock(&r->lock);
}

void vhost_user_ring_set_err(struct vhost_user_ring *r, int fd)
{
	pthread_mutex_lock(&r->lock);
	close_fd(&r->err_fd);
	r->err_fd = fd;
	pthread_mutex_unlock(&r->lock);
}

/* A full counter (EAGAIN) says it already; other failures are the front end's own doing. */
static void signal_fd(struct vhost_user_ring *r, const int *fd)
{
	uint64_t one = 1;

	pthread_mutex_lock(&r->lock);
	while (*fd >= 0 && write(*fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_mutex_unlock(&r->lock);
}

void vhost_user_ring_signal_call(struct vhost_user_ring *r)
{
	signal_fd(r, &r->call_fd);
}

void vhost_user_ring_signal_err(struct vhost_user_ring *r)
{
	signal_fd(r, &r->err_fd);
}

/* ---- Start and stop ---- */

static int ring_set_addresses(const struct vhost_user_ring *r, struct virtq *vq,
			      const struct vhost_user_mem *mem, struct hv_err *err)
{
	if (vhost_user_mem_gpa(mem, r->desc, &vq->desc_gpa) ||
	    vhost_user_mem_gpa(mem, r->avail, &vq->avail_gpa) ||
	    vhost_user_mem_gpa(mem, r->used, &vq->used_gpa))
		return hv_err_set(err, -EFAULT, "queue %u: rings are not in guest memory", vq->index);
	return 0;
}

int vhost_user_ring_start(struct vhost_user_ring *r, struct virtq *vq,
			  const struct vhost_user_mem *mem, const struct vhost_user_track *track,
			  struct hv_err *err)
{
	struct virtq_track *t = NULL;
	const uint16_t *used_idx;
	int ret = ring_set_addresses(r, vq, mem, err);

	if (ret)
		return ret;
	/* The used ring's index is its second word (virtio 1.2, 2.7.8). */
	used_idx = guest_mem_ptr(&mem->mem, vq->used_gpa + 2, sizeof(*used_idx));
	if (!used_idx || (vq->used_gpa & 3))
		return hv_err_set(err, -EFAULT, "queue %u: the used ring is misaligned or not in guest "
				  "memory", vq->index);
	vq->size = r->num;
	vq->last_avail = r->base;
	vq->used_idx = __atomic_load_n(used_idx, __ATOMIC_ACQUIRE);
	vq->inflight = 0;
	vq->broken = false;
	if (track->map && vq->index < track->queues)
		t = (void *)(track->p + vq->index * virtq_track_bytes(track->entries));
	ret = virtq_set_track(vq, t, track->entries, vq->used_idx);
	if (ret)
		return hv_err_set(err, ret, "queue %u: what is in flight is kept for a queue of "
				  "another size", vq->index);
	if (r->kick_fd >= 0)
		virtq_set_kick_fd(vq, r->kick_fd);
	r->kick_fd = -1;
	vq->enabled = true;
	return 0;
}

void vhost_user_ring_stop(struct vhost_user_ring *r, struct virtq *vq)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	r->base = vq->last_avail;
	vq->enabled = false;
	virtq_set_track(vq, NULL, 0, 0);
	/*
	 * The front end's descriptor: kept for the next start, unless the ring is stopped for
	 * good.
	 */
	if (fd < 0)
		return;
	r->kick_fd = vq->kick_fd;
	vq->kick_fd = fd;
}
