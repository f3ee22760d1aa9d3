// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio block device: what becomes of errors of the host, threads, limits.
 */
#include <errno.h>

#include "blk_toy.h"
#include "unit_test.h"

/* ---- Errors that stop the machine, or that nobody sees ---- */

static void set_up_on_error(enum virtio_blk_on_error on_error, unsigned int queues)
{
	disk.readonly = false;
	extra = (struct virtio_blk_config){ .on_error = on_error };
	set_up_with(queues, ~0ULL);
	extra = (struct virtio_blk_config){ 0 };
}

static void test_error_stops(void)
{
	const struct drv_buf out = { DATA, 512, false }, in = { DATA + 0x1000, 512, true };
	uint32_t id;

	set_up_on_error(VIRTIO_BLK_STOP, 1);
	memset(drv_ptr(&drv, DATA), 0xc3, 512);
	atomic_store(&disk.fail, -ENOSPC);
	request_slot(0, VIRTIO_BLK_T_OUT, 50, &out, 1, 0);
	request_slot(1, VIRTIO_BLK_T_IN, 60, &in, 1, 0);
	drv_kick(&drv, 0);
	WAIT_FOR(atomic_load(&stops) == 2);
	CHECK(!drv_used(&drv, 0, &id, NULL));
	CHECK(status_of(0) == 0xee && status_of(1) == 0xee);
	/* Still no room. */
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	WAIT_FOR(atomic_load(&stops) == 4);
	CHECK(!drv_used(&drv, 0, &id, NULL));
	virtio_dev_pause(dev);
	atomic_store(&disk.fail, 0);
	virtio_dev_resume(dev);
	CHECK(drv_wait_used(&drv, 0, &id, NULL));
	CHECK(drv_wait_used(&drv, 0, &id, NULL));
	CHECK(status_of(0) == VIRTIO_BLK_S_OK && status_of(1) == VIRTIO_BLK_S_OK);
	CHECK_EQ(disk.data[50 * 512], 0xc3);
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, DATA + 0x1000), 60);
	/* Nothing is done twice. */
	disk.data[50 * 512] = 1;
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 1, &in, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(disk.data[50 * 512], 1);
	CHECK_EQ(atomic_load(&stops), 4);
	/* A reset forgets what waits. */
	atomic_store(&disk.fail, -ENOSPC);
	request_slot(0, VIRTIO_BLK_T_OUT, 70, &out, 1, 0);
	drv_kick(&drv, 0);
	WAIT_FOR(atomic_load(&stops) == 5);
	atomic_store(&disk.fail, 0);
	drv_start(&drv, dev->host_features, 1, 64);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 70, &in, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(disk.data[70 * 512], 70);
	/* What is wrong by itself is the guest's own error. */
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, &in, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(atomic_load(&stops), 5);
	tear_down();
}

/* A driver that changes the descriptors of a request that waits. */
static void test_error_stops_hostile(void)
{
	const struct drv_buf out = { DATA, 512, false };
	uint16_t head;

	set_up_on_error(VIRTIO_BLK_STOP, 1);
	atomic_store(&disk.fail, -ENOSPC);
	head = request_slot(0, VIRTIO_BLK_T_OUT, 50, &out, 1, 0);
	drv_kick(&drv, 0);
	WAIT_FOR(atomic_load(&stops) == 1);
	drv.q[0].desc[head].addr = 1ULL << 40;
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	CHECK(virtio_dev_is_broken(dev));
	tear_down();
}

static void test_error_state(void)
{
	const struct drv_buf out = { DATA, 512, false };
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	uint32_t id;
	uint16_t head;

	set_up_on_error(VIRTIO_BLK_STOP, 2);
	memset(drv_ptr(&drv, DATA), 0xc4, 512);
	atomic_store(&disk.fail, -ENOSPC);
	head = request_slot(3, VIRTIO_BLK_T_OUT, 50, &out, 1, 1);
	drv_kick(&drv, 1);
	WAIT_FOR(atomic_load(&stops) == 1);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	virtio_dev_destroy(dev);
	atomic_store(&disk.fail, 0);
	{
		struct virtio_blk_config cfg = { .img = &disk, .queues = 2, .queue_size = 64,
						 .id = "blk7" };

		CHECK_EQ(virtio_blk_create(&cfg, &dev, &err), 0);
	}
	drv_attach(&drv, dev);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	CHECK(disk.data[50 * 512] != 0xc4);
	virtio_dev_resume(dev);
	CHECK(drv_wait_used(&drv, 1, &id, NULL));
	CHECK_EQ(id, head);
	CHECK_EQ(status_of(3), VIRTIO_BLK_S_OK);
	CHECK_EQ(disk.data[50 * 512], 0xc4);
	tear_down();
	hv_state_writer_free(&w);
}

static void test_error_ignored(void)
{
	const struct drv_buf out = { DATA, 512, false }, in = { DATA + 0x1000, 512, true };
	const uint8_t *got;

	set_up_on_error(VIRTIO_BLK_IGNORE, 1);
	got = drv_ptr(&drv, DATA + 0x1000);
	memset(drv_ptr(&drv, DATA + 0x1000), 0x77, 512);
	atomic_store(&disk.fail, -ENOSPC);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 50, &out, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 50, &in, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(used_len, 513);
	CHECK(!got[0] && !got[511]);
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(atomic_load(&stops), 0);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, &in, 1), VIRTIO_BLK_S_IOERR);
	tear_down();
}

/* ---- Threads and limits ---- */

static void test_one_thread(void)
{
	const struct drv_buf in = { DATA, 512, true };

	disk.readonly = false;
	extra = (struct virtio_blk_config){ .one_thread = true };
	set_up_with(3, ~0ULL);
	extra = (struct virtio_blk_config){ 0 };
	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int q = 0; q < 3; q++) {
			request_slot(q, VIRTIO_BLK_T_IN, q + 1, &in, 1, q);
			drv_kick(&drv, q);
		}
		for (unsigned int q = 0; q < 3; q++) {
			CHECK(drv_wait_used(&drv, q, NULL, NULL));
			CHECK_EQ(status_of(q), VIRTIO_BLK_S_OK);
		}
	}
	tear_down();
}

/* Requests come at the rate, whichever queue they are in; a pause and a reset end the waiting. */
static void test_limits(void)
{
	const struct drv_buf in = { DATA, 512, true };
	uint64_t begin = hv_loop_now_ns();

	disk.readonly = false;
	extra = (struct virtio_blk_config){ .limit_iops = 20, .limit_bytes = 1 << 20 };
	set_up_with(2, ~0ULL);
	/* Two at once, then one each 50 ms. */
	for (unsigned int i = 0; i < 8; i++) {
		request_slot(i, VIRTIO_BLK_T_IN, 5, &in, 1, i % 2);
		drv_kick(&drv, i % 2);
	}
	for (unsigned int i = 0; i < 8; i++)
		CHECK(drv_wait_used(&drv, i % 2, NULL, NULL));
	CHECK(hv_loop_now_ns() - begin > 200000000);
	for (unsigned int i = 0; i < 8; i++) {
		request_slot(i, VIRTIO_BLK_T_IN, 5, &in, 1, i % 2);
		drv_kick(&drv, i % 2);
	}
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	for (unsigned int i = 0; i < 8; i++)
		CHECK(drv_wait_used(&drv, i % 2, NULL, NULL));
	tear_down();
	extra = (struct virtio_blk_config){ .limit_bytes = 10000 };
	set_up_with(1, ~0ULL);
	extra = (struct virtio_blk_config){ 0 };
	begin = hv_loop_now_ns();
	for (unsigned int i = 0; i < 6; i++)
		CHECK_EQ(request(VIRTIO_BLK_T_IN, 5, &in, 1), VIRTIO_BLK_S_OK);
	CHECK(hv_loop_now_ns() - begin > 150000000);
	request_slot(0, VIRTIO_BLK_T_IN, 5, &in, 1, 0);
	drv_kick(&drv, 0);
	drv_start(&drv, dev->host_features, 1, 64);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 5, &in, 1), VIRTIO_BLK_S_OK);
	tear_down();
}

int main(void)
{
	TEST_RUN(test_error_stops);
	TEST_RUN(test_error_stops_hostile);
	TEST_RUN(test_error_state);
	TEST_RUN(test_error_ignored);
	TEST_RUN(test_one_thread);
	TEST_RUN(test_limits);
	return TEST_EXIT();
}
