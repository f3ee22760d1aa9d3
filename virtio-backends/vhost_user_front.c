// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of a vhost-user front end with its back end; see vhost_user_front.h. Messages are
 * exchanged on the device's own thread, which others call as they call the loops of other
 * devices; that a back end does not answer ends the wait after some time.
 */
#include "vhost_user_front.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/log.h"
#include "virtq_track.h"

#define STATE_VERSION	1
#define RETRY_FIRST_NS	20000000ULL
#define RETRY_MAX_NS	1000000000ULL

#define RING_FEATURES	(VIRTIO_FEATURE_INDIRECT_DESC | VIRTIO_FEATURE_EVENT_IDX)

static void drain(int fd)
{
	uint64_t n;

	while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

static void front_gone(struct vhost_user_front *f, const char *why);

/* ---- Interrupts ---- */

static void ring_relay(void *opaque, uint32_t events)
{
	struct vhost_user_front_ring *r = opaque;

	drain(r->call_fd);
	r->f->dev.host_ops->queue_interrupt(r->f->dev.host, r->vq->index);
}

static void ring_free_call(struct vhost_user_front_ring *r)
{
	hv_loop_del_fd(r->relay);
	r->relay = NULL;
	if (r->call_fd >= 0)
		close(r->call_fd);
	r->call_fd = -1;
}

/* The eventfd that the back end is to signal, or -errno. */
static int ring_call_fd(struct vhost_user_front_ring *r)
{
	struct virtio_dev *dev = &r->f->dev;
	int fd = dev->host_ops->queue_eventfd ?
		 dev->host_ops->queue_eventfd(dev->host, r->vq->index) : -1;

	if (fd >= 0 || r->call_fd >= 0)
		return fd >= 0 ? fd : r->call_fd;
	r->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->call_fd < 0)
		return -errno;
	r->relay = hv_loop_add_fd(r->f->loop, r->call_fd, EPOLLIN, ring_relay, r);
	if (r->relay)
		return r->call_fd;
	ring_free_call(r);
	return -ENOMEM;
}

static void front_ring_failed(void *opaque, uint32_t events)
{
	struct vhost_user_front *f = opaque;

	drain(f->err_fd);
	virtio_dev_fail(&f->dev, "the back end found a queue that cannot be right");
}

/* ---- Configuration ---- */

void vhost_user_front_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	struct vhost_user_front *f = to_vhost_user_front(dev);

	pthread_mutex_lock(&f->config_lock);
	memcpy(buf, f->config + off, len);
	pthread_mutex_unlock(&f->config_lock);
}

struct config_write {
	struct vhost_user_front *f;
	uint32_t off, len;
	const void *buf;
};

static void front_do_write_config(void *opaque)
{
	const struct config_write *w = opaque;
	struct vhost_user_front *f = w->f;
	struct hv_err err;

	pthread_mutex_lock(&f->config_lock);
	memcpy(f->config + w->off, w->buf, w->len);
	pthread_mutex_unlock(&f->config_lock);
	f->written_off = w->off;
	f->written_len = w->len;
	if (f->conn.sock >= 0 && vhost_user_conn_set_config(&f->conn, w->off, w->buf, w->len, &err))
		front_gone(f, err.msg);
}

void vhost_user_front_config_write(struct virtio_dev *dev, uint32_t off, const void *buf,
				   uint32_t len)
{
	struct config_write w = { to_vhost_user_front(dev), off, len, buf };

	hv_loop_call(w.f->loop, front_do_write_config, &w);
}

/* Ask the back end for configuration space; *@changed: it is not what it was. */
static int front_fetch_config(struct vhost_user_front *f, bool *changed, struct hv_err *err)
{
	uint8_t config[VHOST_USER_MAX_CONFIG];
	uint32_t len = f->kind->ops.config_len;
	int ret;

	*changed = false;
	if (!f->kind->backend_config)
		return 0;
	ret = vhost_user_conn_get_config(&f->conn, config, len, err);
	if (ret)
		return ret;
	if (f->kind->fix_config)
		f->kind->fix_config(f, config);
	pthread_mutex_lock(&f->config_lock);
	/* A back end that has just come does not know what the driver wrote; it will. */
	memcpy(config + f->written_off, f->config + f->written_off, f->written_len);
	*changed = memcmp(f->config, config, len);
	memcpy(f->config, config, len);
	pthread_mutex_unlock(&f->config_lock);
	return 0;
}

/* ---- The back end's own messages ---- */

static void front_close_channel(struct vhost_user_front *f)
{
	hv_loop_del_fd(f->channel_watch);
	f->channel_watch = NULL;
	if (f->channel_fd >= 0)
		close(f->channel_fd);
	f->channel_fd = -1;
}

static void front_channel_readable(void *opaque, uint32_t events)
{
	struct vhost_user_front *f = opaque;
	struct vhost_user_msg m;
	struct hv_err err;
	bool changed;

	/* It ends with the connection, which tells so itself. A message comes whole. */
	if (vhost_user_recv(f->channel_fd, &m, 1000)) {
		front_close_channel(f);
		return;
	}
	vhost_user_msg_close(&m);
	/* Others were not asked for; an answer would be wanted for none of them. */
	if (m.hdr.request != VHOST_USER_BACKEND_CONFIG_CHANGE || f->conn.sock < 0)
		return;
	if (front_fetch_config(f, &changed, &err))
		front_gone(f, err.msg);
	else
		virtio_dev_config_changed(&f->dev);
}

static int front_open_channel(struct vhost_user_front *f, struct hv_err *err)
{
	struct vhost_user_msg m = { .nr_fds = 1 };
	int sv[2], ret;

	if (!(f->conn.protocol & VHOST_USER_PROTOCOL_BACKEND_REQ) || !f->kind->backend_config)
		return 0;
	ret = vhost_user_socketpair(sv);
	if (ret)
		return hv_err_set(err, ret, "%s: socketpair: %s", f->id, strerror(-ret));
	m.fds[0] = sv[1];
	ret = vhost_user_conn_set(&f->conn, &m, VHOST_USER_SET_BACKEND_REQ_FD, 0, err);
	close(sv[1]);
	f->channel_fd = sv[0];
	if (ret)
		return ret;
	f->channel_watch = hv_loop_add_fd(f->loop, f->channel_fd, EPOLLIN, front_channel_readable,
					  f);
	return f->channel_watch ? 0 : hv_err_set(err, -ENOMEM, "%s: out of memory", f->id);
}

/* ---- Queues ---- */

/* What the driver uses must be there, also when another back end comes. */
static int front_check_features(struct vhost_user_front *f, uint64_t features, struct hv_err *err)
{
	uint64_t missing = features & ~f->conn.features;

	if (!missing)
		return 0;
	return hv_err_set(err, -ENOTSUP, "%s: the guest uses features 0x%llx that the back end does not "
			  "have", f->id, (unsigned long long)missing);
}

static int front_start_rings(struct vhost_user_front *f, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < f->dev.nr_queues && !ret; i++) {
		int fd;

		if (!f->ring[i].running)
			continue;
		fd = ring_call_fd(&f->ring[i]);
		if (fd < 0)
			return hv_err_set(err, fd, "%s: eventfd: %s", f->id, strerror(-fd));
		ret = vhost_user_conn_start_ring(&f->conn, f->ring[i].vq, fd, f->err_fd, err);
	}
	return ret;
}

/* Tell a connected back end everything that it needs to work. */
static int front_hand_over(struct vhost_user_front *f, struct hv_err *err)
{
	uint64_t features = f->dev.driver_features & ~f->kind->local_features;
	int ret = front_check_features(f, features, err);

	features |= f->conn.features & 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	if (!ret)
		ret = vhost_user_conn_set_u64(&f->conn, VHOST_USER_SET_FEATURES, features, err);
	if (!ret)
		ret = vhost_user_conn_set_memory(&f->conn, f->dev.mem, err);
	if (!ret)
		ret = vhost_user_front_get_track(f, err);
	if (!ret)
		ret = vhost_user_front_set_track(f, err);
	if (!ret && f->written_len)
		ret = vhost_user_conn_set_config(&f->conn, f->written_off,
						 f->config + f->written_off, f->written_len, err);
	return ret ? ret : front_start_rings(f, err);
}

/* ---- Connecting ---- */

static void front_disconnect(struct vhost_user_front *f)
{
	hv_loop_del_fd(f->sock_watch);
	f->sock_watch = NULL;
	front_close_channel(f);
	vhost_user_conn_close(&f->conn);
}

static void front_sock_event(void *opaque, uint32_t events)
{
	/* Answers are waited for; what comes by itself is the end, or as good as that. */
	front_gone(opaque, "the connection ended");
}

static int front_connect(struct vhost_user_front *f, struct hv_err *err)
{
	int sock, ret = f->connect(f->opaque, &sock, err);

	if (ret)
		return ret;
	ret = vhost_user_conn_open(&f->conn, sock, f->kind->protocol, err);
	if (ret)
		return ret;
	ret = front_open_channel(f, err);
	if (!ret) {
		f->sock_watch = hv_loop_add_fd(f->loop, f->conn.sock, EPOLLIN, front_sock_event, f);
		if (!f->sock_watch)
			ret = hv_err_set(err, -ENOMEM, "%s: out of memory", f->id);
	}
	if (ret)
		front_disconnect(f);
	return ret;
}

/* Once more a bit later; the first time at once, since most often nothing but a crash happened. */
static void front_retry_later(struct vhost_user_front *f)
{
	hv_loop_arm_timer(f->retry, hv_loop_now_ns() + f->retry_ns);
	f->retry_ns = f->retry_ns * 2 < RETRY_MAX_NS ? f->retry_ns * 2 : RETRY_MAX_NS;
}

static void front_gone(struct vhost_user_front *f, const char *why)
{
	front_disconnect(f);
	if (f->gone_ns)
		return;
	f->gone_ns = hv_loop_now_ns();
	f->retry_ns = RETRY_FIRST_NS;
	if (f->started && !f->kind->resumes) {
		virtio_dev_fail(&f->dev, "its back end is gone (%s), and with it what the guest had open",
				why);
		return;
	}
	hv_log("%s: the back end is gone (%s); the guest's requests wait for the next one", f->id,
	       why);
	front_retry_later(f);
}

/* The rings say what the dead back end finished, where nothing else does. */
static void front_look_at_rings(struct vhost_user_front *f)
{
	for (unsigned int i = 0; i < f->dev.nr_queues; i++) {
		struct virtq *vq = f->ring[i].vq;

		if (!f->ring[i].running)
			continue;
		vq->used_idx = __atomic_load_n(&((uint16_t *)vq->used)[1], __ATOMIC_ACQUIRE);
		vq->last_avail = vq->used_idx;
	}
}

static void front_interrupt_all(struct vhost_user_front *f)
{
	for (unsigned int i = 0; i < f->dev.nr_queues; i++)
		if (f->ring[i].running)
			f->dev.host_ops->queue_interrupt(f->dev.host, i);
}

/* Connect to a new back end, and let it go on where the one before stopped. */
static int front_come_back(struct vhost_user_front *f, struct hv_err *err)
{
	bool changed = false;
	int ret = front_connect(f, err);

	if (!ret)
		ret = front_fetch_config(f, &changed, err);
	if (!ret && f->started) {
		front_look_at_rings(f);
		ret = front_hand_over(f, err);
	}
	if (ret) {
		front_disconnect(f);
		return ret;
	}
	hv_log("%s: the back end is back after %llu ms", f->id,
	       (unsigned long long)(hv_loop_now_ns() - f->gone_ns) / 1000000);
	f->gone_ns = 0;
	atomic_fetch_add(&f->reconnects, 1);
	/* The dead one may have finished something and not said so. */
	if (f->started)
		front_interrupt_all(f);
	if (changed)
		virtio_dev_config_changed(&f->dev);
	return 0;
}

static void front_retry(void *opaque)
{
	struct vhost_user_front *f = opaque;
	struct hv_err err = { 0 };
	bool first = f->retry_ns == 2 * RETRY_FIRST_NS;

	if (!front_come_back(f, &err))
		return;
	/* Once: it may take long. */
	if (first)
		hv_log("%s; trying again", err.msg);
	front_retry_later(f);
}

/* ---- Start and stop ---- */

static void front_do_start(void *opaque)
{
	struct vhost_user_front *f = opaque;
	struct hv_err err = { 0 };
	int ret = 0;

	for (unsigned int i = 0; i < f->dev.nr_queues; i++)
		f->ring[i].running = f->dev.vqs[i].enabled;
	f->started = true;
	/* One that could not go on was not asked for again until now. */
	if (f->gone_ns && !hv_loop_timer_armed(f->retry))
		ret = front_come_back(f, &err);
	else if (!f->gone_ns)
		ret = front_hand_over(f, &err);
	if (!ret)
		return;
	hv_log("%s", err.msg);
	if (f->gone_ns)
		front_retry_later(f);
	else
		front_gone(f, "it could not be started");
}

int vhost_user_front_start(struct virtio_dev *dev)
{
	struct vhost_user_front *f = to_vhost_user_front(dev);

	hv_loop_call(f->loop, front_do_start, f);
	return 0;
}

static void front_stop_ring(struct vhost_user_front *f, struct vhost_user_front_ring *r)
{
	struct virtq *vq = r->vq;
	uint16_t heads[VIRTQ_MAX_SIZE];
	struct hv_err err;
	bool stopped = false;

	if (f->conn.sock >= 0) {
		stopped = !vhost_user_conn_stop_ring(&f->conn, vq, &err);
		if (!stopped)
			front_gone(f, err.msg);
	}
	vq->used_idx = __atomic_load_n(&((uint16_t *)vq->used)[1], __ATOMIC_ACQUIRE);
	/* What a dead back end had begun is begun again by the next one. */
	if (!stopped)
		vq->last_avail = (uint16_t)(vq->used_idx + vhost_user_front_inflight(f, vq, heads));
	/* It may have signalled our eventfd just now. */
	if (r->call_fd >= 0)
		f->dev.host_ops->queue_interrupt(f->dev.host, vq->index);
	ring_free_call(r);
	r->running = false;
}

static void front_do_stop(void *opaque)
{
	struct vhost_user_front *f = opaque;

	/* Before the rings: a device that cannot go on has nothing to complain of now. */
	f->started = false;
	for (unsigned int i = 0; i < f->dev.nr_queues; i++)
		if (f->ring[i].running)
			front_stop_ring(f, &f->ring[i]);
}

void vhost_user_front_stop(struct virtio_dev *dev)
{
	struct vhost_user_front *f = to_vhost_user_front(dev);

	hv_loop_call(f->loop, front_do_stop, f);
}

static void front_do_reset(void *opaque)
{
	struct vhost_user_front *f = opaque;
	struct vhost_user_msg m = { 0 };
	struct hv_err err;
	bool changed;
	int ret = 0;

	vhost_user_front_drop_track(f);
	f->written_len = 0;
	if (f->conn.sock < 0)
		return;
	if (f->conn.protocol & VHOST_USER_PROTOCOL_RESET_DEVICE)
		ret = vhost_user_conn_set(&f->conn, &m, VHOST_USER_RESET_DEVICE, 0, &err);
	/* What the driver wrote is gone. */
	if (!ret)
		ret = front_fetch_config(f, &changed, &err);
	if (ret)
		front_gone(f, err.msg);
}

void vhost_user_front_reset(struct virtio_dev *dev)
{
	struct vhost_user_front *f = to_vhost_user_front(dev);

	hv_loop_call(f->loop, front_do_reset, f);
}

/* ---- State and statistics ---- */

/* A back end that stopped as asked leaves nothing in flight; one that died may have. */
void vhost_user_front_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	struct vhost_user_front *f = to_vhost_user_front(dev);
	uint16_t heads[VIRTQ_MAX_SIZE];

	hv_state_begin(w, "vhost-user", STATE_VERSION);
	hv_state_put_u32(w, f->written_off);
	hv_state_put_u32(w, f->written_len);
	hv_state_put(w, f->config + f->written_off, f->written_len);
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		unsigned int n = vhost_user_front_inflight(f, &dev->vqs[i], heads);

		hv_state_put_u16(w, (uint16_t)n);
		hv_state_put(w, heads, n * sizeof(heads[0]));
	}
	hv_state_end(w);
}

/* Put what was in flight at another back end into memory for this one. */
static int front_load_inflight(struct vhost_user_front *f, struct virtq *vq, const uint16_t *heads,
			       unsigned int n, struct hv_err *err)
{
	uint16_t none[VIRTQ_MAX_SIZE];
	struct virtq_track *t;
	uint64_t counter;
	int ret;

	if (!n)
		return 0;
	ret = vhost_user_front_get_track(f, err);
	if (ret)
		return ret;
	t = vhost_user_front_track(f, vq);
	if (!t || virtq_track_recover(t, f->track.entries, vq->size, vq->used_idx, none, &counter))
		return hv_err_set(err, -EINVAL, "%s: %u requests are in flight, which this back end cannot "
				  "take up", f->id, n);
	for (unsigned int i = 0; i < n; i++) {
		if (heads[i] >= vq->size)
			return hv_err_set(err, -EINVAL, "%s: request %u of %u entries is in flight",
					  f->id, heads[i], vq->size);
		virtq_track_take(t, heads[i], i);
	}
	return 0;
}

struct front_load {
	struct vhost_user_front *f;
	struct hv_state_reader *r;
	struct hv_err *err;
	int ret;
};

static void front_do_load(void *opaque)
{
	struct front_load *l = opaque;
	struct vhost_user_front *f = l->f;
	uint16_t heads[VIRTQ_MAX_SIZE];

	f->written_off = hv_state_get_u32(l->r);
	f->written_len = hv_state_get_u32(l->r);
	if (f->written_off > sizeof(f->config) ||
	    f->written_len > sizeof(f->config) - f->written_off) {
		f->written_len = 0;
		l->ret = hv_err_set(l->err, -EINVAL, "%s: the state writes outside of configuration "
				    "space", f->id);
		return;
	}
	hv_state_get(l->r, f->config + f->written_off, f->written_len);
	for (unsigned int i = 0; i < f->dev.nr_queues && !l->ret; i++) {
		unsigned int n = hv_state_get_u16(l->r);

		if (n > f->dev.vqs[i].size) {
			l->ret = hv_err_set(l->err, -EINVAL, "%s: the state has more requests than the "
					    "queue", f->id);
			return;
		}
		hv_state_get(l->r, heads, n * sizeof(heads[0]));
		l->ret = front_load_inflight(f, &f->dev.vqs[i], heads, n, l->err);
	}
}

int vhost_user_front_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	struct front_load l = { .f = to_vhost_user_front(dev), .r = r, .err = err };
	int ret;

	if (!l.f->kind->resumes)
		return hv_err_set(err, -ENOTSUP, "%s: a shared directory cannot be restored: its server "
				  "kept what the guest had open", dev->id);
	ret = hv_state_open(r, "vhost-user", STATE_VERSION, err);
	if (ret < 0)
		return ret;
	hv_loop_call(l.f->loop, front_do_load, &l);
	return l.ret ? l.ret : hv_state_close(r, err);
}

void vhost_user_front_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	struct vhost_user_front *f = to_vhost_user_front(dev);

	fn(opaque, "backend_restarts", atomic_load(&f->reconnects));
}

/* ---- Life ---- */

/* The device as such, when it is known what the back end has. */
static int front_init_dev(struct vhost_user_front *f, unsigned int queues, bool can_have_fewer,
			  struct hv_err *err)
{
	const char *id = f->conn.id;
	const struct vhost_user_kind *k = f->kind;
	uint64_t features = (f->conn.features & k->backend_features) | k->local_features;
	int ret;

	if (!(f->conn.features & VIRTIO_FEATURE_VERSION_1))
		return hv_err_set(err, -ENOTSUP, "%s: the back end knows devices of before virtio 1 only",
				  id);
	if (queues > f->conn.queue_num && can_have_fewer)
		queues = f->conn.queue_num;
	f->ring = calloc(queues, sizeof(*f->ring));
	if (!f->ring)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	ret = virtio_dev_init(&f->dev, &k->ops, id, features, queues, k->queue_size, err);
	if (ret)
		return ret;
	f->dev.host_features &= f->conn.features | k->local_features | ~RING_FEATURES;
	for (unsigned int i = 0; i < queues; i++)
		f->ring[i] = (struct vhost_user_front_ring){
			.f = f, .vq = &f->dev.vqs[i], .call_fd = -1,
		};
	return 0;
}

struct front_create {
	struct vhost_user_front *f;
	unsigned int queues;
	bool can_have_fewer;
	struct hv_err *err;
	int ret;
};

static void front_do_create(void *opaque)
{
	struct front_create *c = opaque;
	struct vhost_user_front *f = c->f;
	bool changed;

	f->retry = hv_loop_add_timer(f->loop, front_retry, f);
	f->err_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (f->err_fd >= 0)
		f->err_watch = hv_loop_add_fd(f->loop, f->err_fd, EPOLLIN, front_ring_failed, f);
	if (!f->retry || !f->err_watch) {
		c->ret = hv_err_set(c->err, -ENOMEM, "%s: out of memory", f->id);
		return;
	}
	c->ret = front_connect(f, c->err);
	if (!c->ret)
		c->ret = front_init_dev(f, c->queues, c->can_have_fewer, c->err);
	if (!c->ret)
		c->ret = front_fetch_config(f, &changed, c->err);
}

static void front_do_destroy(void *opaque)
{
	struct vhost_user_front *f = opaque;

	front_disconnect(f);
	hv_loop_del_timer(f->retry);
	hv_loop_del_fd(f->err_watch);
	if (f->err_fd >= 0)
		close(f->err_fd);
}

static void front_free(struct vhost_user_front *f)
{
	if (f->thread) {
		hv_loop_call(f->loop, front_do_destroy, f);
		hv_io_thread_stop(f->thread);
	}
	vhost_user_front_drop_track(f);
	if (f->dev.vqs)
		virtio_dev_fini(&f->dev);
	pthread_mutex_destroy(&f->config_lock);
	free(f->ring);
	free(f);
}

void vhost_user_front_destroy(struct virtio_dev *dev)
{
	front_free(to_vhost_user_front(dev));
}

int vhost_user_front_create(const struct vhost_user_kind *kind,
			    const struct vhost_user_dev_config *cfg, unsigned int queues,
			    bool can_have_fewer, const void *config, struct virtio_dev **dev,
			    struct hv_err *err)
{
	struct vhost_user_front *f = calloc(1, sizeof(*f));
	struct front_create c = {
		.f = f, .queues = queues, .can_have_fewer = can_have_fewer, .err = err,
	};
	char name[40];
	int ret;

	if (!f)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", cfg->id);
	f->kind = kind;
	f->connect = cfg->connect;
	f->opaque = cfg->opaque;
	f->conn.sock = f->channel_fd = f->err_fd = f->track_fd = -1;
	snprintf(f->id, sizeof(f->id), "%s", cfg->id);
	f->conn.id = f->id;
	pthread_mutex_init(&f->config_lock, NULL);
	if (config)
		memcpy(f->config, config, kind->ops.config_len);
	snprintf(name, sizeof(name), "%s-vu", cfg->id);
	ret = hv_io_thread_start(name, &f->thread);
	if (ret) {
		hv_err_set(err, ret, "%s: no thread: %s", cfg->id, strerror(-ret));
		goto fail;
	}
	f->loop = hv_io_thread_loop(f->thread);
	hv_loop_call(f->loop, front_do_create, &c);
	ret = c.ret;
	if (ret)
		goto fail;
	*dev = &f->dev;
	return 0;
fail:
	front_free(f);
	return ret;
}
