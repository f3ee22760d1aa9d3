// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Named ports of a virtio console device; see ports.h.
 *
 * What the driver must be told of a port is kept as a bit per message, not as a queue, and the
 * value is looked up when the message is sent: a driver that takes none cannot make us keep many.
 */
#include "ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/listen.h"
#include "watch.h"

/* virtio 1.2, 5.3 */
#define VIRTIO_ID_CONSOLE		3
#define VIRTIO_CONSOLE_F_MULTIPORT	1

struct ports_config_space {
	uint16_t cols, rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};

_Static_assert(sizeof(struct ports_config_space) == 12, "virtio 1.2, 5.3.4");

/* 5.3.6.2 */
struct port_control {
	uint32_t id;
	uint16_t event;
	uint16_t value;
};
enum {
	PORT_DEVICE_READY, PORT_ADD, PORT_REMOVE, PORT_READY, PORT_CONSOLE, PORT_RESIZE, PORT_OPEN,
	PORT_NAME,
};

_Static_assert(sizeof(struct port_control) == 8, "virtio 1.2, 5.3.6.2");

#define PORTS_QUEUE_SIZE	128
#define PORTS_STATE_VERSION	1
/* The first port's queues are before those for control (virtio 1.2, 5.3.2). */
enum { CONTROL_RX = 2, CONTROL_TX = 3 };

struct virtio_ports;

/* All of it belongs to the loop's thread. "rx" is to the guest. */
struct port {
	struct virtio_ports *ps;
	uint32_t id;
	char name[VIRTIO_PORT_NAME_MAX + 1];
	struct virtq *rx, *tx;
	struct hv_loop_fd *rx_kick, *tx_kick;	/* NULL: stopped */
	struct sockaddr_un addr;
	int listen_fd, fd;			/* fd -1: nobody is connected */
	struct hv_loop_fd *listener;
	struct hv_watch watch;
	uint32_t pending;			/* 1 << event, to be told to the driver */
	bool guest_ready, guest_open;
	uint64_t tx_done;			/* bytes of the next chain that are out already */
};

struct virtio_ports {
	struct virtio_dev dev;
	struct hv_loop *loop;
	bool running;
	struct hv_loop_fd *control_kick[2];
	_Atomic uint64_t in_bytes, out_bytes, dropped_bytes;
	unsigned int nr;
	struct port port[];
};

static struct virtio_ports *to_virtio_ports(struct virtio_dev *dev)
{
	return (struct virtio_ports *)((char *)dev - offsetof(struct virtio_ports, dev));
}

static void ports_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- Control, to the driver ---- */

/* Fill in the next message about @p; returns the length, 0: there is none. */
static size_t port_message(struct port *p, uint8_t *buf)
{
	static const uint16_t order[] = { PORT_ADD, PORT_NAME, PORT_OPEN };
	struct port_control m = { .id = p->id, .value = 1 };
	size_t len = sizeof(m);

	for (unsigned int i = 0; i < 3; i++) {
		if (!(p->pending >> order[i] & 1))
			continue;
		m.event = order[i];
		if (m.event == PORT_OPEN)
			m.value = p->fd >= 0;
		if (m.event == PORT_NAME) {
			memcpy(buf + len, p->name, strlen(p->name));
			len += strlen(p->name);
		}
		memcpy(buf, &m, sizeof(m));
		return len;
	}
	return 0;
}

static void ports_tell(struct virtio_ports *ps)
{
	struct virtq *vq = &ps->dev.vqs[CONTROL_RX];
	uint8_t buf[sizeof(struct port_control) + VIRTIO_PORT_NAME_MAX];
	struct port_control m;
	struct virtq_chain c;

	if (!ps->running || !ps->control_kick[0] || virtio_dev_is_broken(&ps->dev))
		return;
	for (unsigned int i = 0; i < ps->nr; i++) {
		struct port *p = &ps->port[i];
		size_t len;

		while ((len = port_message(p, buf))) {
			int ret = virtq_pop(vq, &c);

			if (!ret && virtq_enable_kicks(vq))
				continue;
			if (ret <= 0)
				goto out;	/* until the driver kicks */
			if (c.in_len < len) {
				virtio_dev_fail(&ps->dev, "control buffer of %llu bytes",
						(unsigned long long)c.in_len);
				goto out;
			}
			virtq_iov_from_buf(c.iov + c.out_num, c.in_num, 0, buf, len);
			virtq_push(vq, c.head, (uint32_t)len);
			memcpy(&m, buf, sizeof(m));
			p->pending &= ~(1u << m.event);
		}
	}
out:
	virtq_flush(vq);
}

static void ports_control_rx_kicked(void *opaque, uint32_t events)
{
	struct virtio_ports *ps = opaque;

	virtq_clear_kick(&ps->dev.vqs[CONTROL_RX]);
	ports_tell(ps);
}

/* ---- The socket ---- */

static void port_disconnect(struct port *p)
{
	hv_watch_stop(&p->watch);
	close(p->fd);
	p->fd = -1;
	if (p->guest_ready)
		p->pending |= 1u << PORT_OPEN;
	ports_tell(p->ps);
}

/* From the socket to the guest, as far as it has buffers. */
static void port_receive(struct port *p)
{
	unsigned int budget = p->rx->size;
	struct virtq_chain c;

	while (p->fd >= 0 && p->guest_open && p->rx_kick) {
		struct msghdr msg = { 0 };
		ssize_t n;
		int ret = budget ? virtq_pop(p->rx, &c) : 0;

		if (ret < 0 || (!ret && budget && !virtq_enable_kicks(p->rx)))
			break;		/* until the driver kicks */
		if (!budget--) {
			virtio_dev_notify_queue(&p->ps->dev, p->rx->index);
			break;
		}
		if (!ret)
			continue;
		if (!c.in_len || c.in_num > 1024) {
			virtio_dev_fail(&p->ps->dev, "queue %u: buffer that nothing fits into",
					p->rx->index);
			break;
		}
		msg.msg_iov = c.iov + c.out_num;
		msg.msg_iovlen = c.in_num;
		n = recvmsg(p->fd, &msg, MSG_DONTWAIT);
		if (n > 0) {
			virtq_push(p->rx, c.head, (uint32_t)n);
			ports_count(&p->ps->in_bytes, (uint64_t)n);
			continue;
		}
		virtq_unpop(p->rx);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			hv_watch_want(&p->watch, true, false);
		else
			port_disconnect(p);
		break;
	}
	virtq_flush(p->rx);
}

/* Send what is left of the chain: 0 all is out, or nobody wants it; -EAGAIN the socket is full. */
static int port_send(struct port *p, const struct virtq_chain *c)
{
	uint8_t buf[4096];

	while (p->tx_done < c->out_len) {
		size_t n = virtq_iov_to_buf(c->iov, c->out_num, p->tx_done, buf, sizeof(buf));
		ssize_t ret = p->fd < 0 ? 0 : send(p->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0 && errno == EAGAIN)
			return -EAGAIN;
		if (ret <= 0) {
			ports_count(&p->ps->dropped_bytes, c->out_len - p->tx_done);
			if (p->fd >= 0)
				port_disconnect(p);
			break;
		}
		ports_count(&p->ps->out_bytes, (uint64_t)ret);
		p->tx_done += (uint64_t)ret;
	}
	p->tx_done = 0;
	return 0;
}

static void port_transmit(struct port *p)
{
	unsigned int budget = p->tx->size;
	struct virtq_chain c;

	do {
		virtq_disable_kicks(p->tx);
		while (budget && virtq_pop(p->tx, &c) > 0) {
			if (port_send(p, &c)) {
				virtq_unpop(p->tx);
				hv_watch_want(&p->watch, false, true);
				virtq_flush(p->tx);
				return;
			}
			virtq_push(p->tx, c.head, 0);
			budget--;
		}
		virtq_flush(p->tx);
		if (virtio_dev_is_broken(&p->ps->dev))
			return;
		if (!budget) {
			virtio_dev_notify_queue(&p->ps->dev, p->tx->index);
			return;
		}
	} while (virtq_enable_kicks(p->tx));
}

static void port_rx_kicked(void *opaque, uint32_t events)
{
	struct port *p = opaque;

	virtq_clear_kick(p->rx);
	if (!virtio_dev_is_broken(&p->ps->dev))
		port_receive(p);
}

static void port_tx_kicked(void *opaque, uint32_t events)
{
	struct port *p = opaque;

	virtq_clear_kick(p->tx);
	port_transmit(p);
}

static void port_event(void *opaque, bool readable, bool writable)
{
	struct port *p = opaque;

	if (!p->ps->running || virtio_dev_is_broken(&p->ps->dev))
		return;
	if (writable && p->tx_kick)
		port_transmit(p);
	if (readable)
		port_receive(p);
}

static void port_accept(void *opaque, uint32_t events)
{
	struct port *p = opaque;
	int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	/* One at a time: whoever has gone without our noticing makes room. */
	if (p->fd >= 0) {
		char c;

		if (recv(p->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) != 0) {
			close(fd);
			return;
		}
		port_disconnect(p);
	}
	p->fd = fd;
	hv_watch_init(&p->watch, p->ps->loop, fd, port_event, p);
	if (p->guest_ready)
		p->pending |= 1u << PORT_OPEN;
	ports_tell(p->ps);
	port_receive(p);
}

/* ---- Control, from the driver ---- */

static void ports_handle_control(struct virtio_ports *ps, const struct port_control *m)
{
	struct port *p = m->id < ps->nr ? &ps->port[m->id] : NULL;

	if (m->event == PORT_DEVICE_READY) {
		for (unsigned int i = 0; m->value && i < ps->nr; i++)
			ps->port[i].pending |= 1u << PORT_ADD;
	} else if (p && m->event == PORT_READY) {
		p->guest_ready = m->value;
		p->pending = m->value ? 1u << PORT_NAME | 1u << PORT_OPEN : 0;
	} else if (p && m->event == PORT_OPEN) {
		p->guest_open = m->value;
		if (p->guest_open)
			port_receive(p);
	}
}

static void ports_control_tx_kicked(void *opaque, uint32_t events)
{
	struct virtio_ports *ps = opaque;
	struct virtq *vq = &ps->dev.vqs[CONTROL_TX];
	unsigned int budget = vq->size;
	struct port_control m;
	struct virtq_chain c;

	virtq_clear_kick(vq);
	do {
		virtq_disable_kicks(vq);
		while (budget && virtq_pop(vq, &c) > 0) {
			if (virtq_iov_to_buf(c.iov, c.out_num, 0, &m, sizeof(m)) == sizeof(m))
				ports_handle_control(ps, &m);
			virtq_push(vq, c.head, 0);
			budget--;
		}
		virtq_flush(vq);
		ports_tell(ps);
		if (virtio_dev_is_broken(&ps->dev))
			return;
		if (!budget) {
			virtio_dev_notify_queue(&ps->dev, CONTROL_TX);
			return;
		}
	} while (virtq_enable_kicks(vq));
}

/* ---- Start and stop ---- */

static void port_do_stop(struct port *p)
{
	hv_loop_del_fd(p->rx_kick);
	hv_loop_del_fd(p->tx_kick);
	hv_loop_del_fd(p->listener);
	p->rx_kick = NULL;
	p->tx_kick = NULL;
	p->listener = NULL;
	if (p->fd >= 0)
		hv_watch_stop(&p->watch);
}

static void ports_do_stop(void *opaque)
{
	struct virtio_ports *ps = opaque;

	for (unsigned int i = 0; i < 2; i++) {
		hv_loop_del_fd(ps->control_kick[i]);
		ps->control_kick[i] = NULL;
	}
	for (unsigned int i = 0; i < ps->nr; i++)
		port_do_stop(&ps->port[i]);
	ps->running = false;
}

/* Watch the queue if the driver has set it up; false: out of memory. */
static bool watch_queue(struct virtio_ports *ps, struct virtq *vq, hv_loop_fd_fn fn, void *opaque,
			struct hv_loop_fd **kick)
{
	if (vq->enabled)
		*kick = hv_loop_add_fd(ps->loop, vq->kick_fd, EPOLLIN, fn, opaque);
	return !vq->enabled || *kick;
}

static bool port_do_start(struct port *p)
{
	p->listener = hv_loop_add_fd(p->ps->loop, p->listen_fd, EPOLLIN, port_accept, p);
	return p->listener && watch_queue(p->ps, p->rx, port_rx_kicked, p, &p->rx_kick) &&
	       watch_queue(p->ps, p->tx, port_tx_kicked, p, &p->tx_kick);
}

static void ports_do_start(void *opaque)
{
	struct virtio_ports *ps = opaque;
	struct virtq *vqs = ps->dev.vqs;
	bool ok;

	ps->running = true;
	ok = watch_queue(ps, &vqs[CONTROL_RX], ports_control_rx_kicked, ps, &ps->control_kick[0]) &&
	     watch_queue(ps, &vqs[CONTROL_TX], ports_control_tx_kicked, ps, &ps->control_kick[1]);
	for (unsigned int i = 0; i < ps->nr && ok; i++)
		ok = port_do_start(&ps->port[i]);
	if (!ok)
		ports_do_stop(ps);
}

static int ports_start(struct virtio_dev *dev)
{
	struct virtio_ports *ps = to_virtio_ports(dev);

	/* A driver without MULTIPORT sees a console, which this is not. */
	if (!virtio_dev_has_feature(dev, VIRTIO_CONSOLE_F_MULTIPORT))
		return 0;
	hv_loop_call(ps->loop, ports_do_start, ps);
	return ps->running ? 0 : -ENOMEM;
}

static void ports_stop(struct virtio_dev *dev)
{
	struct virtio_ports *ps = to_virtio_ports(dev);

	hv_loop_call(ps->loop, ports_do_stop, ps);
}

static void ports_reset(struct virtio_dev *dev)
{
	struct virtio_ports *ps = to_virtio_ports(dev);

	for (unsigned int i = 0; i < ps->nr; i++) {
		struct port *p = &ps->port[i];

		p->pending = 0;
		p->guest_ready = false;
		p->guest_open = false;
		p->tx_done = 0;
	}
}

/* ---- Configuration, state, statistics ---- */

static void ports_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	const struct ports_config_space config = { .max_nr_ports = to_virtio_ports(dev)->nr };

	memcpy(buf, (const uint8_t *)&config + off, len);
}

static void ports_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	struct virtio_ports *ps = to_virtio_ports(dev);

	hv_state_begin(w, "virtio-ports", PORTS_STATE_VERSION);
	for (unsigned int i = 0; i < ps->nr; i++) {
		const struct port *p = &ps->port[i];

		hv_state_put_u32(w, p->pending);
		hv_state_put_u8(w, p->guest_ready);
		hv_state_put_u8(w, p->guest_open);
		hv_state_put_u64(w, p->tx_done);
	}
	hv_state_end(w);
}

static int ports_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	struct virtio_ports *ps = to_virtio_ports(dev);
	int ret = hv_state_open(r, "virtio-ports", PORTS_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < ps->nr; i++) {
		struct port *p = &ps->port[i];

		p->pending = hv_state_get_u32(r) &
			     (1u << PORT_ADD | 1u << PORT_NAME | 1u << PORT_OPEN);
		p->guest_ready = hv_state_get_u8(r) & 1;
		p->guest_open = hv_state_get_u8(r) & 1;
		p->tx_done = hv_state_get_u64(r);
		/* Whoever was connected is not any more. */
		if (p->guest_ready)
			p->pending |= 1u << PORT_OPEN;
	}
	return hv_state_close(r, err);
}

static void ports_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	struct virtio_ports *ps = to_virtio_ports(dev);

	fn(opaque, "in_bytes", atomic_load_explicit(&ps->in_bytes, memory_order_relaxed));
	fn(opaque, "out_bytes", atomic_load_explicit(&ps->out_bytes, memory_order_relaxed));
	fn(opaque, "dropped_bytes",
	   atomic_load_explicit(&ps->dropped_bytes, memory_order_relaxed));
}

/* ---- Life ---- */

static void ports_destroy(struct virtio_dev *dev)
{
	struct virtio_ports *ps = to_virtio_ports(dev);

	for (unsigned int i = 0; i < ps->nr; i++) {
		struct port *p = &ps->port[i];

		if (p->fd >= 0)
			close(p->fd);
		if (p->listen_fd < 0)
			continue;
		unlink(p->addr.sun_path);
		close(p->listen_fd);
	}
	virtio_dev_fini(dev);
	free(ps);
}

static const struct virtio_dev_ops ports_ops = {
	.name = "ports",
	.device_id = VIRTIO_ID_CONSOLE,
	.config_len = sizeof(struct ports_config_space),
	.config_read = ports_config_read,
	.start = ports_start,
	.stop = ports_stop,
	.reset = ports_reset,
	.save = ports_save,
	.load = ports_load,
	.stats = ports_stats,
	.destroy = ports_destroy,
};

static int port_init(struct virtio_ports *ps, unsigned int i, const struct virtio_port_config *cfg,
		     struct hv_err *err)
{
	struct port *p = &ps->port[i];

	p->ps = ps;
	p->id = i;
	p->rx = &ps->dev.vqs[i ? 2 * i + 2 : 0];
	p->tx = p->rx + 1;
	snprintf(p->name, sizeof(p->name), "%s", cfg->name);
	p->listen_fd = hv_listen_unix(ps->dev.id, cfg->path, 0, &p->addr, err);
	return p->listen_fd < 0 ? p->listen_fd : 0;
}

int virtio_ports_create(const struct virtio_ports_config *cfg, struct virtio_dev **dev,
			struct hv_err *err)
{
	const char *id = cfg->id ? cfg->id : "ports";
	struct virtio_ports *ps;
	int ret;

	if (!cfg->nr || cfg->nr > VIRTIO_PORTS_MAX)
		return hv_err_set(err, -EINVAL, "%s: %u ports, 1 to %u are possible", id, cfg->nr,
				  VIRTIO_PORTS_MAX);
	ps = calloc(1, sizeof(*ps) + cfg->nr * sizeof(ps->port[0]));
	if (!ps)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	ret = virtio_dev_init(&ps->dev, &ports_ops, id, VIRTIO_FEATURE(VIRTIO_CONSOLE_F_MULTIPORT),
			      2 * cfg->nr + 2, PORTS_QUEUE_SIZE, err);
	if (ret) {
		free(ps);
		return ret;
	}
	ps->loop = cfg->loop;
	ps->nr = cfg->nr;
	for (unsigned int i = 0; i < cfg->nr; i++)
		ps->port[i].fd = ps->port[i].listen_fd = -1;
	for (unsigned int i = 0; i < cfg->nr && !ret; i++)
		ret = port_init(ps, i, &cfg->port[i], err);
	if (ret) {
		ports_destroy(&ps->dev);
		return ret;
	}
	*dev = &ps->dev;
	return 0;
}
