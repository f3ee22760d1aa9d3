// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The back end of vhost-user; see vhost_user_backend.h. Queues run or rest together: what changes
 * one of them pauses the device, which then has nothing in flight, and lets it go on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/log.h"
#include "vhost_user_backend_internal.h"

/* ---- What the device asks of its transport; its own threads ---- */

static void backend_queue_interrupt(void *host, unsigned int queue)
{
	struct vhost_user_backend *b = host;

	vhost_user_ring_signal_call(&b->ring[queue]);
}

static void backend_config_interrupt(void *host)
{
	const struct vhost_user_msg m = { .hdr = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE, .flags = VHOST_USER_VERSION,
	} };
	struct vhost_user_backend *b = host;

	if (virtio_dev_is_broken(b->dev))
		for (unsigned int i = 0; i < b->dev->nr_queues; i++)
			vhost_user_ring_signal_err(&b->ring[i]);
	pthread_mutex_lock(&b->channel_lock);
	/* Who does not read does not want to know. */
	if (b->channel_fd >= 0)
		vhost_user_send(b->channel_fd, &m, 0);
	pthread_mutex_unlock(&b->channel_lock);
}

static const struct virtio_host_ops backend_host_ops = {
	.queue_interrupt = backend_queue_interrupt,
	.config_interrupt = backend_config_interrupt,
};

void vhost_user_backend_set_channel(struct vhost_user_backend *b, int fd)
{
	pthread_mutex_lock(&b->channel_lock);
	if (b->channel_fd >= 0)
		close(b->channel_fd);
	b->channel_fd = fd;
	pthread_mutex_unlock(&b->channel_lock);
}

/* ---- Running the queues ---- */

static bool ring_wanted(const struct vhost_user_backend *b, const struct vhost_user_ring *r)
{
	bool enabled = r->enabled || !(b->features & 1ULL << VHOST_USER_F_PROTOCOL_FEATURES);

	return r->kicked && enabled && r->num_set && r->addr_set && b->features_set &&
	       b->mem.mem.nr;
}

/* The device is paused. Start and stop queues as the front end wants them. */
static int backend_apply(struct vhost_user_backend *b, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < b->dev->nr_queues; i++) {
		struct vhost_user_ring *r = &b->ring[i];
		struct virtq *vq = &b->dev->vqs[i];
		bool wanted = ring_wanted(b, r);
		int failed;

		if (vq->enabled && !wanted)
			vhost_user_ring_stop(r, vq);
		if (vq->enabled || !wanted)
			continue;
		failed = vhost_user_ring_start(r, vq, &b->mem, &b->track, ret ? NULL : err);
		if (failed) {
			r->kicked = false;
			ret = ret ? ret : failed;
		}
	}
	return ret;
}

bool vhost_user_backend_running(const struct vhost_user_backend *b)
{
	for (unsigned int i = 0; i < b->dev->nr_queues; i++)
		if (b->dev->vqs[i].enabled)
			return true;
	return false;
}

/* Go on after virtio_dev_pause() and whatever was changed. */
int vhost_user_backend_resume(struct vhost_user_backend *b, struct hv_err *err)
{
	int ret = backend_apply(b, err);

	if (!vhost_user_backend_running(b))
		return ret;
	virtio_dev_set_status(b->dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			      VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
	virtio_dev_resume(b->dev);
	return ret;
}

int vhost_user_backend_update(struct vhost_user_backend *b, struct hv_err *err)
{
	virtio_dev_pause(b->dev);
	return vhost_user_backend_resume(b, err);
}

void vhost_user_backend_reset(struct vhost_user_backend *b)
{
	virtio_dev_pause(b->dev);
	for (unsigned int i = 0; i < b->dev->nr_queues; i++) {
		if (b->dev->vqs[i].enabled)
			vhost_user_ring_stop(&b->ring[i], &b->dev->vqs[i]);
		vhost_user_ring_clear(&b->ring[i]);
	}
	virtio_dev_reset(b->dev);
	b->features_set = false;
	b->features = 0;
	b->status = 0;
}

/* ---- Connections ---- */

static int backend_watch(struct vhost_user_backend *b);

static void backend_disconnect(struct vhost_user_backend *b)
{
	hv_loop_del_fd(b->watch);
	b->watch = NULL;
	vhost_user_backend_reset(b);
	vhost_user_mem_clear(&b->mem);
	vhost_user_track_unmap(&b->track);
	vhost_user_backend_set_channel(b, -1);
	b->protocol = 0;
	if (b->conn_fd >= 0)
		close(b->conn_fd);
	b->conn_fd = -1;
}

static void backend_readable(void *opaque, uint32_t events)
{
	struct vhost_user_backend *b = opaque;
	struct hv_err err = { 0 };
	struct vhost_user_msg m;
	int ret = vhost_user_recv(b->conn_fd, &m, VHOST_USER_MESSAGE_MS);

	if (ret == -ECONNRESET)
		hv_err_set(&err, ret, "gone");
	else if (ret)
		hv_err_set(&err, ret, "no message can be read: %s", strerror(-ret));
	else
		ret = vhost_user_backend_handle(b, &m, &err);
	vhost_user_msg_close(&m);
	if (!ret)
		return;
	if (ret != -ECONNRESET)
		hv_log("%s: the front end is disconnected: %s", b->dev->id, err.msg);
	backend_disconnect(b);
	if (!b->listening || backend_watch(b))
		b->cfg.ended(b->cfg.opaque);
}

static void backend_accept(void *opaque, uint32_t events)
{
	struct vhost_user_backend *b = opaque;
	int fd = accept4(b->cfg.fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	hv_loop_del_fd(b->watch);
	b->watch = NULL;
	b->conn_fd = fd;
	if (backend_watch(b)) {
		hv_log("%s: a front end cannot be served: %s", b->dev->id, strerror(errno));
		backend_disconnect(b);
		if (backend_watch(b))
			b->cfg.ended(b->cfg.opaque);
	}
}

/* Wait for a message, or for somebody to connect. */
static int backend_watch(struct vhost_user_backend *b)
{
	if (b->conn_fd >= 0)
		b->watch = hv_loop_add_fd(b->cfg.loop, b->conn_fd, EPOLLIN, backend_readable, b);
	else
		b->watch = hv_loop_add_fd(b->cfg.loop, b->cfg.fd, EPOLLIN, backend_accept, b);
	return b->watch ? 0 : -errno;
}

/* ---- Life ---- */

static int backend_check_fd(struct vhost_user_backend *b, struct hv_err *err)
{
	int listening = 0, type = 0;
	socklen_t len = sizeof(listening), type_len = sizeof(type);

	if (getsockopt(b->cfg.fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) ||
	    getsockopt(b->cfg.fd, SOL_SOCKET, SO_TYPE, &type, &type_len) || type != SOCK_STREAM)
		return hv_err_set(err, -EINVAL, "%s: descriptor %d is no stream socket", b->dev->id,
				  b->cfg.fd);
	b->listening = listening;
	if (!listening)
		b->conn_fd = b->cfg.fd;
	return 0;
}

int vhost_user_backend_create(const struct vhost_user_backend_config *cfg,
			      struct vhost_user_backend **res, struct hv_err *err)
{
	struct vhost_user_backend *b = calloc(1, sizeof(*b));
	unsigned int nr = cfg->dev->nr_queues;
	int ret;

	if (b)
		b->ring = calloc(nr, sizeof(*b->ring));
	if (!b || !b->ring) {
		free(b);
		return hv_err_set(err, -ENOMEM, "%s: out of memory", cfg->dev->id);
	}
	b->cfg = *cfg;
	b->dev = cfg->dev;
	b->conn_fd = b->channel_fd = -1;
	pthread_mutex_init(&b->channel_lock, NULL);
	for (unsigned int i = 0; i < nr; i++)
		vhost_user_ring_init(&b->ring[i]);
	ret = backend_check_fd(b, err);
	if (!ret && backend_watch(b))
		ret = hv_err_set(err, -errno, "%s: event loop: %s", b->dev->id, strerror(errno));
	if (ret) {
		b->conn_fd = b->cfg.fd = -1;
		vhost_user_backend_destroy(b);
		return ret;
	}
	virtio_dev_attach(b->dev, &b->mem.mem, &backend_host_ops, b);
	virtio_dev_pause(b->dev);
	*res = b;
	return 0;
}

void vhost_user_backend_destroy(struct vhost_user_backend *b)
{
	backend_disconnect(b);
	if (b->listening && b->cfg.fd >= 0)
		close(b->cfg.fd);
	for (unsigned int i = 0; i < b->dev->nr_queues; i++)
		vhost_user_ring_fini(&b->ring[i]);
	pthread_mutex_destroy(&b->channel_lock);
	free(b->ring);
	free(b);
}
