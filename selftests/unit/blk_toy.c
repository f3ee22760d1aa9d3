// SPDX-License-Identifier: GPL-2.0-or-later
/* See blk_toy.h. */
#include "blk_toy.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "unit_log.h"
#include "unit_test.h"

/* ---- The block layer ---- */

struct blk_queue {
	struct blk_image *img;
	struct hv_loop *loop;
	pthread_t thread;
	struct blk_req *waiting[64];
	unsigned int nr_waiting;
	struct hv_loop_timer *timer;
};

struct blk_image disk;

uint64_t blk_size(const struct blk_image *img)
{
	return sizeof(img->data);
}

bool blk_is_readonly(const struct blk_image *img)
{
	return img->readonly;
}

uint32_t blk_cluster_size(const struct blk_image *img)
{
	return 65536;
}

const char *blk_filename(const struct blk_image *img)
{
	return "toy.img";
}

static void execute(struct blk_image *img, struct blk_req *req)
{
	uint8_t *p = img->data + req->offset;
	uint64_t sum = 0;

	if (req->op == BLK_FLUSH)
		return;
	CHECK(req->offset + req->len <= DISK_SIZE);
	for (int i = 0; i < req->iovcnt; i++) {
		if (req->op == BLK_READ)
			memcpy(req->iov[i].iov_base, p + sum, req->iov[i].iov_len);
		else
			memcpy(p + sum, req->iov[i].iov_base, req->iov[i].iov_len);
		sum += req->iov[i].iov_len;
	}
	if (req->op == BLK_READ || req->op == BLK_WRITE)
		CHECK_EQ(sum, req->len);
	else
		memset(p, req->op == BLK_DISCARD ? 0xdd : 0, req->len);
}

static void complete(struct blk_queue *q, struct blk_req *req)
{
	int ret = atomic_load(&q->img->fail);

	if (!ret)
		execute(q->img, req);
	req->done(req, ret);
}

/* Held requests are completed in reverse order. */
static void poll_held(void *opaque)
{
	struct blk_queue *q = opaque;

	if (!atomic_load(&q->img->hold))
		while (q->nr_waiting)
			complete(q, q->waiting[--q->nr_waiting]);
	atomic_store(&q->img->held, q->nr_waiting);
	hv_loop_arm_timer(q->timer, hv_loop_now_ns() + 1000000);
}

int blk_queue_create(struct blk_image *img, struct hv_loop *loop, struct blk_queue **res,
		     struct hv_err *err)
{
	struct blk_queue *q = calloc(1, sizeof(*q));

	q->img = img;
	q->loop = loop;
	q->thread = pthread_self();
	q->timer = hv_loop_add_timer(loop, poll_held, q);
	poll_held(q);
	atomic_fetch_add(&img->queues, 1);
	*res = q;
	return 0;
}

void blk_queue_destroy(struct blk_queue *q)
{
	CHECK_EQ(q->nr_waiting, 0);
	CHECK(pthread_equal(q->thread, pthread_self()));
	hv_loop_del_timer(q->timer);
	atomic_fetch_sub(&q->img->queues, 1);
	free(q);
}

void blk_submit(struct blk_queue *q, struct blk_req *req)
{
	CHECK(pthread_equal(q->thread, pthread_self()));
	if (req->flags & BLK_REQ_FUA)
		atomic_fetch_add(&q->img->fua, 1);
	if (req->flags & BLK_REQ_UNMAP)
		atomic_fetch_add(&q->img->unmaps, 1);
	atomic_store(&q->img->last_len, req->len);
	if (atomic_load(&q->img->hold)) {
		q->waiting[q->nr_waiting++] = req;
		atomic_store(&q->img->held, q->nr_waiting);
	} else {
		complete(q, req);
	}
}

void blk_kick(struct blk_queue *q)
{
	atomic_fetch_add(&q->img->kicks, 1);
}

/* ---- The driver ---- */

struct virtio_dev *dev;
struct drv drv;

atomic_uint stops;

static void on_stop(void *opaque, const char *id, int error)
{
	CHECK_STR(id, "blk7");
	CHECK_EQ(error, -ENOSPC);
	atomic_fetch_add(&stops, 1);
}

struct virtio_blk_config extra;

void set_up_with(unsigned int queues, uint64_t features)
{
	struct virtio_blk_config cfg = extra;
	struct hv_err err;

	cfg.img = &disk;
	cfg.queues = queues;
	cfg.queue_size = 64;
	cfg.serial = "serial-0123456789abcdefgh";
	cfg.id = "blk7";
	cfg.stopped = on_stop;
	atomic_store(&stops, 0);
	for (unsigned int i = 0; i < sizeof(disk.data); i++)
		disk.data[i] = (uint8_t)(i >> 9);
	atomic_store(&disk.fail, 0);
	atomic_store(&disk.hold, false);
	atomic_store(&disk.fua, 0);
	atomic_store(&disk.unmaps, 0);
	CHECK_EQ(virtio_blk_create(&cfg, &dev, &err), 0);
	CHECK_EQ(atomic_load(&disk.queues), queues);
	drv_init(&drv, dev);
	test_catch_log();
	drv_start(&drv, features & dev->host_features, queues, 64);
}

void set_up(void)
{
	disk.readonly = false;
	set_up_with(1, ~0ULL);
}

void tear_down(void)
{
	virtio_dev_destroy(dev);
	CHECK_EQ(atomic_load(&disk.queues), 0);
	drv_fini(&drv);
}

uint16_t request_slot(unsigned int i, uint32_t type, uint64_t sector, const struct drv_buf *data,
		      unsigned int n, unsigned int queue)
{
	struct blk_request_header *h = drv_ptr(&drv, HDR(i));
	struct drv_buf b[16] = { { HDR(i), sizeof(*h), false } };
	uint16_t head;

	*h = (struct blk_request_header){ .type = type, .sector = sector };
	*(uint8_t *)drv_ptr(&drv, STATUS(i)) = 0xee;
	if (n)
		memcpy(b + 1, data, n * sizeof(*data));
	b[n + 1] = (struct drv_buf){ STATUS(i), 1, true };
	head = drv_chain(&drv, queue, b, n + 2);
	drv_avail(&drv, queue, head);
	return head;
}

uint8_t status_of(unsigned int i)
{
	return *(volatile uint8_t *)drv_ptr(&drv, STATUS(i));
}

uint32_t used_len;

uint8_t request(uint32_t type, uint64_t sector, const struct drv_buf *data, unsigned int n)
{
	uint16_t head = request_slot(0, type, sector, data, n, 0);
	uint32_t id = ~0u;

	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, &id, &used_len));
	CHECK_EQ(id, head);
	return status_of(0);
}

void blk_queue_set_image(struct blk_queue *q, struct blk_image *img)
{
	q->img = img;
}
