// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio socket device; see vsock.h. This file is the device; packets are in vsock_packet.c,
 * connections in vsock_conn.c. Connections do not outlive a restore: the driver is told to reset
 * them.
 */
#include "vsock.h"

#include <errno.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/listen.h"
#include "vsock_internal.h"

#define VSOCK_QUEUE_SIZE	128
#define VSOCK_STATE_VERSION	1
#define VHOST_VSOCK_PATH	"/dev/vhost-vsock"
#define EVENT_TRANSPORT_RESET	0u	/* virtio 1.2, 5.10.6.7 */

static struct virtio_vsock *to_virtio_vsock(struct virtio_dev *dev)
{
	return (struct virtio_vsock *)((char *)dev - offsetof(struct virtio_vsock, dev));
}

static void vsock_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	uint64_t cid = to_virtio_vsock(dev)->cid;

	memcpy(buf, (const uint8_t *)&cid + off, len);
}

/* ---- Events ---- */

static void vsock_event_kicked(void *opaque, uint32_t events)
{
	struct virtio_vsock *vs = opaque;
	struct virtq *vq = &vs->dev.vqs[VSOCK_EVENT];
	const uint32_t id = EVENT_TRANSPORT_RESET;
	struct virtq_chain c;

	virtq_clear_kick(vq);
	/* Buffers wait in the queue until there is something to tell. */
	if (!vs->tell_reset || virtq_pop(vq, &c) <= 0)
		return;
	if (c.in_len < sizeof(id)) {
		virtio_dev_fail(&vs->dev, "event buffer of %llu bytes",
				(unsigned long long)c.in_len);
		return;
	}
	virtq_iov_from_buf(c.iov + c.out_num, c.in_num, 0, &id, sizeof(id));
	virtq_push(vq, c.head, sizeof(id));
	virtq_flush(vq);
	vs->tell_reset = false;
}

/* ---- Start and stop ---- */

static void unwatch_conn_sockets(struct virtio_vsock *vs)
{
	struct vsock_conn *c;

	for (unsigned int i = 0; i < VSOCK_BUCKETS; i++)
		for (c = vs->bucket[i]; c; c = c->next)
			hv_watch_stop(&c->watch);
	for (c = vs->greeting; c; c = c->next)
		hv_watch_stop(&c->watch);
}

static void vsock_do_stop(void *opaque)
{
	struct virtio_vsock *vs = opaque;

	for (unsigned int i = 0; i < VSOCK_QUEUES; i++) {
		hv_loop_del_fd(vs->kick[i]);
		vs->kick[i] = NULL;
	}
	hv_loop_del_fd(vs->listener);
	vs->listener = NULL;
	unwatch_conn_sockets(vs);
	vs->running = false;
}

static void vsock_do_start(void *opaque)
{
	static const hv_loop_fd_fn fn[VSOCK_QUEUES] = {
		vsock_rx_kicked, vsock_tx_kicked, vsock_event_kicked,
	};
	struct virtio_vsock *vs = opaque;

	vs->running = true;
	for (unsigned int i = vs->vhost ? VSOCK_EVENT : VSOCK_RX; i < VSOCK_QUEUES; i++) {
		struct virtq *vq = &vs->dev.vqs[i];

		if (!vq->enabled)
			continue;
		vs->kick[i] = hv_loop_add_fd(vs->loop, vq->kick_fd, EPOLLIN, fn[i], vs);
		if (!vs->kick[i])
			goto fail;
	}
	if (vs->listen_fd >= 0) {
		vs->listener = hv_loop_add_fd(vs->loop, vs->listen_fd, EPOLLIN, vsock_accept, vs);
		if (!vs->listener)
			goto fail;
	}
	vsock_update_all(vs);
	return;
fail:
	vsock_do_stop(vs);
}

static int vhost_vsock_run(struct virtio_vsock *vs, int run)
{
	return ioctl(vs->vhost->fd, VHOST_VSOCK_SET_RUNNING, &run) ? -errno : 0;
}

static void vsock_vhost_stop(struct virtio_vsock *vs)
{
	vhost_vsock_run(vs, 0);
	for (unsigned int i = 0; i < VHOST_MAX_VRINGS; i++)
		vhost_stop_vring(vs->vhost, i);
}

static int vsock_vhost_start(struct virtio_vsock *vs)
{
	uint64_t cid = vs->cid;
	int ret = vhost_set_up(vs->vhost);

	if (!vs->dev.vqs[VSOCK_RX].enabled || !vs->dev.vqs[VSOCK_TX].enabled)
		return 0;
	if (!ret && ioctl(vs->vhost->fd, VHOST_VSOCK_SET_GUEST_CID, &cid))
		ret = -errno;
	for (unsigned int i = 0; i < VHOST_MAX_VRINGS && !ret; i++)
		ret = vhost_start_vring(vs->vhost, i, &vs->dev.vqs[i]);
	if (!ret)
		ret = vhost_vsock_run(vs, 1);
	if (ret)
		vsock_vhost_stop(vs);
	return ret;
}

static void vsock_stop(struct virtio_dev *dev)
{
	struct virtio_vsock *vs = to_virtio_vsock(dev);

	hv_loop_call(vs->loop, vsock_do_stop, vs);
	if (vs->vhost)
		vsock_vhost_stop(vs);
}

static int vsock_start(struct virtio_dev *dev)
{
	struct virtio_vsock *vs = to_virtio_vsock(dev);
	int ret = vs->vhost ? vsock_vhost_start(vs) : 0;

	if (ret)
		return ret;
	hv_loop_call(vs->loop, vsock_do_start, vs);
	if (!vs->running)
		vsock_stop(dev);
	return vs->running ? 0 : -ENOMEM;
}

static void vsock_do_reset(void *opaque)
{
	struct virtio_vsock *vs = opaque;

	vsock_close_all(vs);
	vsock_reap(vs);
	hv_loop_cancel_deferred(vs->loop, &vs->reap);
	vs->tell_reset = false;
}

static void vsock_reset(struct virtio_dev *dev)
{
	struct virtio_vsock *vs = to_virtio_vsock(dev);

	hv_loop_call(vs->loop, vsock_do_reset, vs);
}

/* ---- State, statistics ---- */

static void vsock_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	hv_state_begin(w, "virtio-vsock", VSOCK_STATE_VERSION);
	hv_state_put_u32(w, to_virtio_vsock(dev)->cid);
	hv_state_end(w);
}

static int vsock_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	struct virtio_vsock *vs = to_virtio_vsock(dev);
	int ret = hv_state_open(r, "virtio-vsock", VSOCK_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	/* Which address it had does not matter: told to reset, the driver reads the new one. */
	hv_state_get_u32(r);
	vs->tell_reset = true;
	return hv_state_close(r, err);
}

static void vsock_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	static const char *const names[VSOCK_NR_STATS] = {
		[VSOCK_STAT_CONNECTIONS] = "connections",
		[VSOCK_STAT_REFUSED] = "refused",
		[VSOCK_STAT_RX_BYTES] = "rx_bytes",
		[VSOCK_STAT_TX_BYTES] = "tx_bytes",
	};
	struct virtio_vsock *vs = to_virtio_vsock(dev);

	for (unsigned int i = 0; i < VSOCK_NR_STATS && !vs->vhost; i++)
		fn(opaque, names[i], atomic_load_explicit(&vs->stat[i], memory_order_relaxed));
}

/* ---- Life ---- */

static void vsock_destroy(struct virtio_dev *dev)
{
	struct virtio_vsock *vs = to_virtio_vsock(dev);

	vsock_reset(dev);
	if (vs->vhost)
		vhost_close(vs->vhost);
	free(vs->vhost);
	if (vs->listen_fd >= 0) {
		unlink(vs->addr.sun_path);
		close(vs->listen_fd);
	}
	virtio_dev_fini(dev);
	free(vs);
}

static const struct virtio_dev_ops vsock_ops = {
	.name = "vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.config_len = sizeof(uint64_t),
	.config_read = vsock_config_read,
	.start = vsock_start,
	.stop = vsock_stop,
	.reset = vsock_reset,
	.save = vsock_save,
	.load = vsock_load,
	.stats = vsock_stats,
	.destroy = vsock_destroy,
};

static int vsock_open_vhost(struct virtio_vsock *vs, struct hv_err *err)
{
	uint64_t cid = vs->cid;
	int ret;

	vs->vhost = calloc(1, sizeof(*vs->vhost));
	if (!vs->vhost)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", vs->dev.id);
	ret = vhost_open(vs->vhost, VHOST_VSOCK_PATH, &vs->dev, vs->loop, err);
	if (ret)
		return ret;
	if (ioctl(vs->vhost->fd, VHOST_VSOCK_SET_GUEST_CID, &cid))
		return hv_err_set(err, -errno, "%s: address %u: %s", vs->dev.id, vs->cid,
				  errno == EADDRINUSE ? "another guest has it; choose another cid" :
							strerror(errno));
	return 0;
}

int virtio_vsock_create(const struct virtio_vsock_config *cfg, struct virtio_dev **dev,
			struct hv_err *err)
{
	const char *id = cfg->id ? cfg->id : "vsock";
	struct virtio_vsock *vs = calloc(1, sizeof(*vs));
	int ret;

	if (!vs)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	ret = virtio_dev_init(&vs->dev, &vsock_ops, id, 0, VSOCK_QUEUES, VSOCK_QUEUE_SIZE, err);
	if (ret) {
		free(vs);
		return ret;
	}
	vs->loop = cfg->loop;
	vs->cid = cfg->cid;
	vs->listen_fd = -1;
	vs->ready_tail = &vs->ready_head;
	vs->reap = (struct hv_loop_deferred){ .fn = vsock_reap, .opaque = vs };
	if (cfg->path)
		ret = vs->listen_fd = hv_listen_unix(id, cfg->path, sizeof("_4294967295"), &vs->addr,
						     err);
	else
		ret = vsock_open_vhost(vs, err);
	if (ret < 0) {
		vsock_destroy(&vs->dev);
		return ret;
	}
	*dev = &vs->dev;
	return 0;
}
