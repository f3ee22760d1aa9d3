// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio console, one port; see console.h.
 *
 * Flow control: input is watched only while the guest has buffers for it; output that the host
 * side does not take leaves its chain taken but not returned, and the descriptor is watched until
 * it can be written. When the device stops, that chain goes back to the queue and only the number
 * of its bytes that are out already is kept.
 */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* virtio 1.2, 5.3 */
#define VIRTIO_ID_CONSOLE	3
#define VIRTIO_CONSOLE_F_SIZE	0

struct console_config_space {
	uint16_t cols, rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};

_Static_assert(sizeof(struct console_config_space) == 12, "virtio 1.2, 5.3.4");

enum { CONSOLE_RX, CONSOLE_TX, CONSOLE_QUEUES };

#define CONSOLE_QUEUE_SIZE	128
#define CONSOLE_STATE_VERSION	1
#define CONSOLE_READ_SIZE	4096
/* A pseudo-terminal whose other side is closed gives errors: look again after this time. */
#define CONSOLE_RETRY_NS	500000000ULL

struct virtio_console {
	struct virtio_dev dev;
	struct hv_loop *loop;
	size_t (*filter)(void *opaque, uint8_t *buf, size_t len);
	void *opaque;
	_Atomic uint32_t size;		/* cols | rows << 16 */

	/* The loop's thread only. */
	int in_fd, out_fd;		/* own copies, -1: none or ended */
	bool running;
	struct hv_loop_fd *rx_kick, *tx_kick;
	struct hv_loop_fd *in;		/* NULL: not watched */
	struct hv_loop_fd *out;		/* NULL: not watched */
	struct hv_loop_timer *retry;
	bool tx_busy;			/* tx_chain is taken */
	struct virtq_chain tx_chain;
	uint64_t tx_done;		/* bytes of the current or next chain that are out */

	_Atomic uint64_t in_bytes, out_bytes, dropped_bytes;
};

static struct virtio_console *to_virtio_console(struct virtio_dev *dev)
{
	return (struct virtio_console *)((char *)dev - offsetof(struct virtio_console, dev));
}

static void console_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- Input ---- */

static void console_in_ready(void *opaque, uint32_t events);

static void console_unwatch_in(struct virtio_console *con)
{
	hv_loop_del_fd(con->in);
	con->in = NULL;
}

static void console_watch_in(struct virtio_console *con)
{
	if (con->in || con->in_fd < 0)
		return;
	con->in = hv_loop_add_fd(con->loop, con->in_fd, EPOLLIN, console_in_ready, con);
	/* What cannot be polled (a file, /dev/null) is not a source of key strokes. */
	if (!con->in && errno == EPERM) {
		close(con->in_fd);
		con->in_fd = -1;
	}
}

static void console_in_failed(struct virtio_console *con, ssize_t ret)
{
	console_unwatch_in(con);
	if (ret < 0) {
		hv_loop_arm_timer(con->retry, hv_loop_now_ns() + CONSOLE_RETRY_NS);
	} else {
		close(con->in_fd);	/* the end of the input */
		con->in_fd = -1;
	}
}

/* Fill one chain of the guest's; false when input or buffers are used up. */
static bool console_receive_one(struct virtio_console *con, struct virtq *vq)
{
	uint8_t buf[CONSOLE_READ_SIZE];
	struct virtq_chain c;
	ssize_t n;
	size_t len;

	if (virtq_pop(vq, &c) <= 0) {
		console_unwatch_in(con);	/* until the guest kicks */
		return false;
	}
	if (!c.in_len) {
		virtio_dev_fail(&con->dev, "input buffer without room");
		return false;
	}
	n = read(con->in_fd, buf, c.in_len < sizeof(buf) ? c.in_len : sizeof(buf));
	if (n <= 0) {
		virtq_unpop(vq);
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			console_in_failed(con, n);
		return false;
	}
	len = con->filter ? con->filter(con->opaque, buf, (size_t)n) : (size_t)n;
	if (!len) {
		virtq_unpop(vq);
		return true;
	}
	virtq_iov_from_buf(c.iov + c.out_num, c.in_num, 0, buf, len);
	virtq_push(vq, c.head, (uint32_t)len);
	console_count(&con->in_bytes, len);
	return true;
}

static void console_in_ready(void *opaque, uint32_t events)
{
	struct virtio_console *con = opaque;
	struct virtq *vq = &con->dev.vqs[CONSOLE_RX];

	/* One read: what is left makes the descriptor ready again at once. */
	console_receive_one(con, vq);
	virtq_flush(vq);
	if (virtio_dev_is_broken(&con->dev))
		console_unwatch_in(con);
	else if (!con->in && virtq_enable_kicks(vq) && !hv_loop_timer_armed(con->retry))
		console_watch_in(con);
}

static void console_rx_kicked(void *opaque, uint32_t events)
{
	struct virtio_console *con = opaque;

	virtq_clear_kick(&con->dev.vqs[CONSOLE_RX]);
	if (!virtio_dev_is_broken(&con->dev) && !hv_loop_timer_armed(con->retry))
		console_watch_in(con);
}

static void console_retry(void *opaque)
{
	console_watch_in(opaque);
}

/* ---- Output ---- */

static void console_out_ready(void *opaque, uint32_t events);

static void console_unwatch_out(struct virtio_console *con)
{
	hv_loop_del_fd(con->out);
	con->out = NULL;
}

/* Write what is left of the chain: 0 all is out, -EAGAIN the host side is full. */
static int console_write_chain(struct virtio_console *con)
{
	const struct virtq_chain *c = &con->tx_chain;

	while (con->tx_done < c->out_len) {
		uint64_t skip = con->tx_done;
		unsigned int i = 0;
		struct iovec v;
		ssize_t n;

		while (skip >= c->iov[i].iov_len)
			skip -= c->iov[i++].iov_len;
		v.iov_base = (char *)c->iov[i].iov_base + skip;
		v.iov_len = c->iov[i].iov_len - skip;
		n = con->out_fd < 0 ? 0 : write(con->out_fd, v.iov_base, v.iov_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return -EAGAIN;
		if (n <= 0) {	/* nobody is there: the guest need not know */
			console_count(&con->dropped_bytes, c->out_len - con->tx_done);
			break;
		}
		console_count(&con->out_bytes, (uint64_t)n);
		con->tx_done += (uint64_t)n;
	}
	con->tx_done = 0;
	return 0;
}

/* Returns false when the queue is empty or the host side is full. */
static bool console_transmit_one(struct virtio_console *con, struct virtq *vq)
{
	if (!con->tx_busy) {
		if (virtq_pop(vq, &con->tx_chain) <= 0)
			return false;
		con->tx_busy = true;
		if (con->tx_done > con->tx_chain.out_len)
			con->tx_done = con->tx_chain.out_len;
	}
	if (console_write_chain(con)) {
		if (!con->out)
			con->out = hv_loop_add_fd(con->loop, con->out_fd, EPOLLOUT,
						  console_out_ready, con);
		return false;
	}
	con->tx_busy = false;
	virtq_push(vq, con->tx_chain.head, 0);
	return true;
}

static void console_transmit(struct virtio_console *con)
{
	struct virtq *vq = &con->dev.vqs[CONSOLE_TX];
	unsigned int budget = vq->size;

	do {
		virtq_disable_kicks(vq);
		while (budget && console_transmit_one(con, vq))
			budget--;
		virtq_flush(vq);
		if (con->tx_busy || virtio_dev_is_broken(&con->dev))
			return;
		if (!budget) {
			virtio_dev_notify_queue(&con->dev, CONSOLE_TX);
			return;
		}
	} while (virtq_enable_kicks(vq));
}

static void console_tx_kicked(void *opaque, uint32_t events)
{
	struct virtio_console *con = opaque;

	virtq_clear_kick(&con->dev.vqs[CONSOLE_TX]);
	if (!con->out)
		console_transmit(con);
}

static void console_out_ready(void *opaque, uint32_t events)
{
	struct virtio_console *con = opaque;

	console_unwatch_out(con);
	console_transmit(con);
}

/* ---- Start and stop ---- */

static void console_do_stop(void *opaque)
{
	struct virtio_console *con = opaque;

	hv_loop_del_fd(con->rx_kick);
	hv_loop_del_fd(con->tx_kick);
	con->rx_kick = NULL;
	con->tx_kick = NULL;
	console_unwatch_in(con);
	console_unwatch_out(con);
	hv_loop_disarm_timer(con->retry);
	if (con->tx_busy)
		virtq_unpop(&con->dev.vqs[CONSOLE_TX]);
	con->tx_busy = false;
	con->running = false;
}

static void console_do_start(void *opaque)
{
	struct virtio_console *con = opaque;
	struct virtq *vqs = con->dev.vqs;

	con->running = true;
	if (vqs[CONSOLE_RX].enabled)
		con->rx_kick = hv_loop_add_fd(con->loop, vqs[CONSOLE_RX].kick_fd, EPOLLIN,
					      console_rx_kicked, con);
	if (vqs[CONSOLE_TX].enabled)
		con->tx_kick = hv_loop_add_fd(con->loop, vqs[CONSOLE_TX].kick_fd, EPOLLIN,
					      console_tx_kicked, con);
	if (!con->rx_kick != !vqs[CONSOLE_RX].enabled || !con->tx_kick != !vqs[CONSOLE_TX].enabled)
		console_do_stop(con);
}

static int console_start(struct virtio_dev *dev)
{
	struct virtio_console *con = to_virtio_console(dev);

	hv_loop_call(con->loop, console_do_start, con);
	return con->running ? 0 : -ENOMEM;
}

static void console_stop(struct virtio_dev *dev)
{
	struct virtio_console *con = to_virtio_console(dev);

	hv_loop_call(con->loop, console_do_stop, con);
}

static void console_reset(struct virtio_dev *dev)
{
	to_virtio_console(dev)->tx_done = 0;	/* stopped: nobody else looks at it */
}

/* ---- Configuration, state, statistics ---- */

static void console_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	uint32_t size = atomic_load(&to_virtio_console(dev)->size);
	struct console_config_space config = {
		.cols = (uint16_t)size,
		.rows = (uint16_t)(size >> 16),
		.max_nr_ports = 1,
	};

	memcpy(buf, (const uint8_t *)&config + off, len);
}

void virtio_console_resize(struct virtio_dev *dev, uint16_t cols, uint16_t rows)
{
	struct virtio_console *con = to_virtio_console(dev);
	uint32_t size = cols | (uint32_t)rows << 16;

	if (atomic_exchange(&con->size, size) != size)
		virtio_dev_config_changed(dev);
}

static void console_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	hv_state_begin(w, "virtio-console", CONSOLE_STATE_VERSION);
	hv_state_put_u64(w, to_virtio_console(dev)->tx_done);
	hv_state_end(w);
}

static int console_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	int ret = hv_state_open(r, "virtio-console", CONSOLE_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	to_virtio_console(dev)->tx_done = hv_state_get_u64(r);
	return hv_state_close(r, err);
}

static void console_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	struct virtio_console *con = to_virtio_console(dev);

	fn(opaque, "in_bytes", atomic_load_explicit(&con->in_bytes, memory_order_relaxed));
	fn(opaque, "out_bytes", atomic_load_explicit(&con->out_bytes, memory_order_relaxed));
	fn(opaque, "dropped_bytes",
	   atomic_load_explicit(&con->dropped_bytes, memory_order_relaxed));
}

/* ---- Life ---- */

static void console_do_del_timer(void *opaque)
{
	struct virtio_console *con = opaque;

	hv_loop_del_timer(con->retry);
	con->retry = NULL;
}

static void console_free(struct virtio_console *con)
{
	hv_loop_call(con->loop, console_do_del_timer, con);
	if (con->in_fd >= 0)
		close(con->in_fd);
	if (con->out_fd >= 0)
		close(con->out_fd);
	free(con);
}

static void console_destroy(struct virtio_dev *dev)
{
	virtio_dev_fini(dev);
	console_free(to_virtio_console(dev));
}

static const struct virtio_dev_ops console_ops = {
	.name = "console",
	.device_id = VIRTIO_ID_CONSOLE,
	.config_len = sizeof(struct console_config_space),
	.config_read = console_config_read,
	.start = console_start,
	.stop = console_stop,
	.reset = console_reset,
	.save = console_save,
	.load = console_load,
	.stats = console_stats,
	.destroy = console_destroy,
};

static void console_do_add_timer(void *opaque)
{
	struct virtio_console *con = opaque;

	con->retry = hv_loop_add_timer(con->loop, console_retry, con);
}

/* Own copies, so that one descriptor for both directions can be watched twice. */
static int console_dup(int fd, int *copy)
{
	*copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd >= 0 && *copy < 0 ? -errno : 0;
}

int virtio_console_create(const struct virtio_console_config *cfg, struct virtio_dev **dev,
			  struct hv_err *err)
{
	const char *id = cfg->id ? cfg->id : "console";
	struct virtio_console *con = calloc(1, sizeof(*con));
	int ret;

	if (!con)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	con->loop = cfg->loop;
	con->filter = cfg->filter;
	con->opaque = cfg->opaque;
	con->out_fd = -1;
	ret = console_dup(cfg->in_fd, &con->in_fd);
	if (!ret)
		ret = console_dup(cfg->out_fd, &con->out_fd);
	if (!ret) {
		hv_loop_call(con->loop, console_do_add_timer, con);
		ret = con->retry ? 0 : -ENOMEM;
	}
	if (ret)
		hv_err_set(err, ret, "%s: %s", id, strerror(-ret));
	else
		ret = virtio_dev_init(&con->dev, &console_ops, id,
				      VIRTIO_FEATURE(VIRTIO_CONSOLE_F_SIZE), CONSOLE_QUEUES,
				      CONSOLE_QUEUE_SIZE, err);
	if (ret) {
		console_free(con);
		return ret;
	}
	*dev = &con->dev;
	return 0;
}
