// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues that the host's kernel processes; see vhost.h. */
#include "vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the rings that virtio.c offers need. */
#define RING_FEATURES	(VIRTIO_FEATURE_INDIRECT_DESC | VIRTIO_FEATURE_EVENT_IDX | \
			 VIRTIO_FEATURE_VERSION_1)

static int vhost_ioctl(struct vhost *v, unsigned long request, void *arg)
{
	return ioctl(v->fd, request, arg) < 0 ? -errno : 0;
}

static void drain(int fd)
{
	uint64_t n;

	while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

/* ---- Opening ---- */

static void vhost_failed(void *opaque, uint32_t events)
{
	struct vhost *v = opaque;

	drain(v->err_fd);
	virtio_dev_fail(v->dev, "the kernel found a queue that cannot be right");
}

static void vhost_do_watch(void *opaque)
{
	struct vhost *v = opaque;

	v->err_watch = hv_loop_add_fd(v->loop, v->err_fd, EPOLLIN, vhost_failed, v);
}

static void vhost_do_unwatch(void *opaque)
{
	struct vhost *v = opaque;

	hv_loop_del_fd(v->err_watch);
	v->err_watch = NULL;
}

int vhost_open(struct vhost *v, const char *path, struct virtio_dev *dev, struct hv_loop *loop,
	       struct hv_err *err)
{
	int ret;

	*v = (struct vhost){ .dev = dev, .loop = loop, .err_fd = -1 };
	for (unsigned int i = 0; i < VHOST_MAX_VRINGS; i++)
		v->vring[i].call_fd = -1;
	v->fd = open(path, O_RDWR | O_CLOEXEC);
	if (v->fd < 0)
		return hv_err_set(err, -errno, "%s: %s: %s%s", dev->id, path, strerror(errno),
				  errno == EACCES ? "; join the group that owns it" :
				  "; load its module, or do without vhost");
	v->err_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (v->err_fd < 0) {
		ret = -errno;
		goto fail;
	}
	ret = vhost_ioctl(v, VHOST_SET_OWNER, NULL);
	if (!ret)
		ret = vhost_ioctl(v, VHOST_GET_FEATURES, &v->features);
	if (!ret && (v->features & RING_FEATURES) != RING_FEATURES)
		ret = -ENOTSUP;
	if (!ret) {
		hv_loop_call(loop, vhost_do_watch, v);
		ret = v->err_watch ? 0 : -ENOMEM;
	}
	if (!ret)
		return 0;
fail:
	vhost_close(v);
	return hv_err_set(err, ret, "%s: %s: %s", dev->id, path, strerror(-ret));
}

void vhost_close(struct vhost *v)
{
	if (v->fd < 0)
		return;
	hv_loop_call(v->loop, vhost_do_unwatch, v);
	close(v->fd);
	v->fd = -1;
	if (v->err_fd >= 0)
		close(v->err_fd);
}

/* ---- Set-up ---- */

static int vhost_set_memory(struct vhost *v)
{
	const struct guest_mem *mem = v->dev->mem;
	struct vhost_memory *m = calloc(1, sizeof(*m) + mem->nr * sizeof(m->regions[0]));
	int ret;

	if (!m)
		return -ENOMEM;
	m->nregions = mem->nr;
	for (unsigned int i = 0; i < mem->nr; i++)
		m->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->region[i].gpa,
			.memory_size = mem->region[i].size,
			.userspace_addr = (uintptr_t)mem->region[i].hva,
		};
	ret = vhost_ioctl(v, VHOST_SET_MEM_TABLE, m);
	free(m);
	return ret;
}

int vhost_set_up(struct vhost *v)
{
	uint64_t features = v->dev->driver_features & v->features;
	int ret = vhost_ioctl(v, VHOST_SET_FEATURES, &features);

	return ret ? ret : vhost_set_memory(v);
}

/* ---- Interrupts ---- */

static void vring_relay(void *opaque, uint32_t events)
{
	struct vhost_vring *r = opaque;

	drain(r->call_fd);
	r->vq->dev->host_ops->queue_interrupt(r->vq->dev->host, r->vq->index);
}

struct vring_call {
	struct vhost *v;
	struct vhost_vring *r;
};

static void vring_do_relay(void *opaque)
{
	struct vring_call *c = opaque;

	c->r->relay = hv_loop_add_fd(c->v->loop, c->r->call_fd, EPOLLIN, vring_relay, c->r);
}

static void vring_do_unrelay(void *opaque)
{
	struct vring_call *c = opaque;

	hv_loop_del_fd(c->r->relay);
	c->r->relay = NULL;
}

/* The eventfd that the kernel is to signal, or -errno. */
static int vring_call_fd(struct vhost *v, struct vhost_vring *r)
{
	const struct virtio_host_ops *ops = v->dev->host_ops;
	int fd = ops->queue_eventfd ? ops->queue_eventfd(v->dev->host, r->vq->index) : -1;
	struct vring_call c = { v, r };

	if (fd >= 0)
		return fd;
	r->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->call_fd < 0)
		return -errno;
	hv_loop_call(v->loop, vring_do_relay, &c);
	return r->relay ? r->call_fd : -ENOMEM;
}

static void vring_free_call(struct vhost *v, struct vhost_vring *r)
{
	struct vring_call c = { v, r };

	if (r->call_fd < 0)
		return;
	hv_loop_call(v->loop, vring_do_unrelay, &c);
	close(r->call_fd);
	r->call_fd = -1;
}

/* ---- Queues ---- */

static int vring_set_addresses(struct vhost *v, unsigned int i, const struct virtq *vq)
{
	struct vhost_vring_state size = { .index = i, .num = vq->size };
	struct vhost_vring_state base = { .index = i, .num = vq->last_avail };
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (uintptr_t)vq->desc,
		.avail_user_addr = (uintptr_t)vq->avail,
		.used_user_addr = (uintptr_t)vq->used,
	};
	int ret = vhost_ioctl(v, VHOST_SET_VRING_NUM, &size);

	if (!ret)
		ret = vhost_ioctl(v, VHOST_SET_VRING_BASE, &base);
	return ret ? ret : vhost_ioctl(v, VHOST_SET_VRING_ADDR, &addr);
}

int vhost_start_vring(struct vhost *v, unsigned int i, struct virtq *vq)
{
	struct vhost_vring *r = &v->vring[i];
	struct vhost_vring_file file = { .index = i };
	int ret = vring_set_addresses(v, i, vq);

	if (ret)
		return ret;
	r->vq = vq;
	file.fd = vring_call_fd(v, r);
	if (file.fd < 0)
		ret = file.fd;
	if (!ret)
		ret = vhost_ioctl(v, VHOST_SET_VRING_CALL, &file);
	file.fd = v->err_fd;
	if (!ret)
		ret = vhost_ioctl(v, VHOST_SET_VRING_ERR, &file);
	file.fd = vq->kick_fd;
	if (!ret)
		ret = vhost_ioctl(v, VHOST_SET_VRING_KICK, &file);
	if (ret) {
		vring_free_call(v, r);
		r->vq = NULL;
	}
	return ret;
}

void vhost_stop_vring(struct vhost *v, unsigned int i)
{
	struct vhost_vring_file none = { .index = i, .fd = -1 };
	struct vhost_vring_state base = { .index = i };
	struct vhost_vring *r = &v->vring[i];

	if (!r->vq)
		return;
	/* Also waits until the kernel has let go of the ring. */
	if (!vhost_ioctl(v, VHOST_GET_VRING_BASE, &base))
		r->vq->last_avail = (uint16_t)base.num;
	/* The kernel writes what it knows of the used ring into the ring only. */
	r->vq->used_idx = __atomic_load_n(&r->vq->used->idx, __ATOMIC_ACQUIRE);
	vhost_ioctl(v, VHOST_SET_VRING_KICK, &none);
	vhost_ioctl(v, VHOST_SET_VRING_CALL, &none);
	vring_free_call(v, r);
	r->vq = NULL;
}
