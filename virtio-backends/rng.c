// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtio entropy device; see rng.h. */
#include "rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#define VIRTIO_ID_ENTROPY	4
#define RNG_QUEUE_SIZE		8
#define RNG_DEFAULT_RATE	(1024 * 1024)
#define RNG_REFILLS_PER_SECOND	4
#define NS_PER_S		1000000000ULL
/* A request gets at most this much; drivers ask again for the rest. */
#define RNG_MAX_REQUEST		4096
/* A small request costs this many bytes of the rate, because it takes us as long. */
#define RNG_MIN_COST		64

struct virtio_rng {
	struct virtio_dev dev;
	struct hv_loop *loop;
	struct hv_loop_fd *kick;	/* NULL: stopped */
	struct hv_loop_timer *refill;
	uint64_t quantum;	/* bytes per refill period */
	uint64_t tokens;	/* bytes left in this period */
	uint64_t period_end;	/* ns; 0: no period runs */
	_Atomic uint64_t requests, bytes;
};

static struct virtio_rng *to_virtio_rng(struct virtio_dev *dev)
{
	return (struct virtio_rng *)((char *)dev - offsetof(struct virtio_rng, dev));
}

/* Take up to @want bytes from the budget; 0: wait until period_end. */
static uint64_t rng_take_tokens(struct virtio_rng *rng, uint64_t want)
{
	uint64_t now = hv_loop_now_ns();
	uint64_t cost;

	if (now >= rng->period_end) {
		rng->tokens = rng->quantum;
		rng->period_end = now + NS_PER_S / RNG_REFILLS_PER_SECOND;
	}
	if (want > rng->tokens)
		want = rng->tokens;
	cost = want > RNG_MIN_COST ? want : RNG_MIN_COST;
	rng->tokens -= cost < rng->tokens ? cost : rng->tokens;
	return want;
}

/* Returns false if getrandom() fails, which a kernel that booted does not let happen. */
static bool rng_fill(struct virtio_rng *rng, const struct virtq_chain *c, size_t len)
{
	uint8_t buf[RNG_MAX_REQUEST];
	size_t have = 0;

	while (have < len) {
		ssize_t n = getrandom(buf + have, len - have, 0);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			have += (size_t)n;
	}
	virtq_iov_from_buf(c->iov + c->out_num, c->in_num, 0, buf, len);
	explicit_bzero(buf, len);
	return true;
}

/* Serve one chain; false if there is nothing more to do now. */
static bool rng_serve_one(struct virtio_rng *rng, struct virtq *vq)
{
	struct virtq_chain c;
	uint64_t len;

	if (virtq_pop(vq, &c) <= 0)
		return false;
	len = c.in_len < RNG_MAX_REQUEST ? c.in_len : RNG_MAX_REQUEST;
	if (!len) {
		virtio_dev_fail(&rng->dev, "request without a buffer to fill");
		return false;
	}
	len = rng_take_tokens(rng, len);
	if (!len) {
		virtq_unpop(vq);
		hv_loop_arm_timer(rng->refill, rng->period_end);
		return false;
	}
	if (!rng_fill(rng, &c, len)) {
		virtio_dev_fail(&rng->dev, "no random numbers: %s", strerror(errno));
		return false;
	}
	atomic_fetch_add_explicit(&rng->requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&rng->bytes, len, memory_order_relaxed);
	virtq_push(vq, c.head, (uint32_t)len);
	return true;
}

static void rng_process(struct virtio_rng *rng)
{
	struct virtq *vq = &rng->dev.vqs[0];

	do {
		virtq_disable_kicks(vq);
		while (rng_serve_one(rng, vq))	/* ends when the budget does */
			;
		virtq_flush(vq);
		/* Out of budget, the timer brings us back, whether the driver kicks or not. */
		if (virtio_dev_is_broken(&rng->dev) || hv_loop_timer_armed(rng->refill))
			return;
	} while (virtq_enable_kicks(vq));
}

static void rng_kicked(void *opaque, uint32_t events)
{
	struct virtio_rng *rng = opaque;

	virtq_clear_kick(&rng->dev.vqs[0]);
	rng_process(rng);
}

static void rng_refilled(void *opaque)
{
	rng_process(opaque);
}

static void rng_do_start(void *opaque)
{
	struct virtio_rng *rng = opaque;

	rng->kick = hv_loop_add_fd(rng->loop, rng->dev.vqs[0].kick_fd, EPOLLIN, rng_kicked, rng);
}

static int rng_start(struct virtio_dev *dev)
{
	struct virtio_rng *rng = to_virtio_rng(dev);

	if (!dev->vqs[0].enabled)
		return 0;
	hv_loop_call(rng->loop, rng_do_start, rng);
	return rng->kick ? 0 : -ENOMEM;
}

static void rng_do_stop(void *opaque)
{
	struct virtio_rng *rng = opaque;

	hv_loop_del_fd(rng->kick);
	rng->kick = NULL;
	hv_loop_disarm_timer(rng->refill);
}

static void rng_stop(struct virtio_dev *dev)
{
	struct virtio_rng *rng = to_virtio_rng(dev);

	hv_loop_call(rng->loop, rng_do_stop, rng);
}

static void rng_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	struct virtio_rng *rng = to_virtio_rng(dev);

	fn(opaque, "requests", atomic_load_explicit(&rng->requests, memory_order_relaxed));
	fn(opaque, "bytes", atomic_load_explicit(&rng->bytes, memory_order_relaxed));
}

static void rng_do_del_timer(void *opaque)
{
	struct virtio_rng *rng = opaque;

	hv_loop_del_timer(rng->refill);
}

static void rng_destroy(struct virtio_dev *dev)
{
	struct virtio_rng *rng = to_virtio_rng(dev);

	hv_loop_call(rng->loop, rng_do_del_timer, rng);
	virtio_dev_fini(dev);
	free(rng);
}

/* The model has neither configuration nor state of its own: the queue is all there is. */
static const struct virtio_dev_ops rng_ops = {
	.name = "rng",
	.device_id = VIRTIO_ID_ENTROPY,
	.start = rng_start,
	.stop = rng_stop,
	.stats = rng_stats,
	.destroy = rng_destroy,
};

static void rng_do_add_timer(void *opaque)
{
	struct virtio_rng *rng = opaque;

	rng->refill = hv_loop_add_timer(rng->loop, rng_refilled, rng);
}

int virtio_rng_create(const struct virtio_rng_config *cfg, struct virtio_dev **dev,
		      struct hv_err *err)
{
	const char *id = cfg->id ? cfg->id : "rng";
	uint64_t rate = cfg->bytes_per_second ? cfg->bytes_per_second : RNG_DEFAULT_RATE;
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	int ret;

	if (!rng)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	rng->loop = cfg->loop;
	rng->quantum = rate / RNG_REFILLS_PER_SECOND ? rate / RNG_REFILLS_PER_SECOND : 1;
	hv_loop_call(rng->loop, rng_do_add_timer, rng);
	if (!rng->refill) {
		free(rng);
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	}
	ret = virtio_dev_init(&rng->dev, &rng_ops, id, 0, 1, RNG_QUEUE_SIZE, err);
	if (ret) {
		hv_loop_call(rng->loop, rng_do_del_timer, rng);
		free(rng);
		return ret;
	}
	*dev = &rng->dev;
	return 0;
}
