// SPDX-License-Identifier: GPL-2.0-or-later
/* vhost-user: our front end and our back end against each other. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "unit_log.h"
#include "unit_test.h"
#include "vhost_user_world.h"

static const struct drv_buf out = { DATA, 4096, false }, in = { DATA + 0x1000, 4096, true };

static void fill(uint8_t seed)
{
	uint8_t *p = drv_ptr(&drv, DATA);

	for (unsigned int i = 0; i < 4096; i++)
		p[i] = (uint8_t)(seed + i * 7);
}

static void check_io(uint8_t seed)
{
	fill(seed);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 8, &out, 1), VIRTIO_BLK_S_OK);
	CHECK(!memcmp(disk.data + 4096, drv_ptr(&drv, DATA), 4096));
	memset(drv_ptr(&drv, DATA + 0x1000), 0, 4096);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 8, &in, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(used_len, 4097);
	CHECK(!memcmp(drv_ptr(&drv, DATA), drv_ptr(&drv, DATA + 0x1000), 4096));
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
}

static void reads_and_writes(void)
{
	const struct drv_buf id = { DATA, VIRTIO_BLK_ID_LEN, true };

	world_set_up(1);
	check_io(1);
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, &id, 1), VIRTIO_BLK_S_OK);
	CHECK_STR((char *)drv_ptr(&drv, DATA), "vhost-user");
	WAIT_FOR(atomic_load(&drv.interrupts[0]) > 0);
	world_tear_down();
}

static void has_the_back_ends_configuration(void)
{
	struct blk_config_space c;
	uint8_t through = 0;

	world_set_up(1);
	virtio_dev_config_read(dev, 0, &c, sizeof(c));
	CHECK_EQ(c.capacity, DISK_SECTORS);
	CHECK_EQ(c.num_queues, 1);
	CHECK_EQ(c.writeback, 1);
	CHECK(dev->host_features & VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD));
	CHECK(dev->host_features & VIRTIO_FEATURE_EVENT_IDX);
	/* Write-through: every write is durable at once. */
	virtio_dev_config_write(dev, offsetof(struct blk_config_space, writeback), &through, 1);
	virtio_dev_config_read(dev, 0, &c, sizeof(c));
	CHECK_EQ(c.writeback, 0);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 8, &out, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(atomic_load(&disk.fua), 1);
	/* What a driver chose is forgotten at its reset. */
	drv_start(&drv, dev->host_features, 1, 64);
	virtio_dev_config_read(dev, 0, &c, sizeof(c));
	CHECK_EQ(c.writeback, 1);
	world_tear_down();
}

static void uses_several_queues(void)
{
	world_set_up(3);
	CHECK_EQ(dev->nr_queues, 3);
	for (unsigned int q = 0; q < 3; q++) {
		uint32_t id;

		request_slot(q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, q);
		drv_kick(&drv, q);
		CHECK(drv_wait_used(&drv, q, &id, NULL));
		CHECK_EQ(status_of(q), VIRTIO_BLK_S_OK);
	}
	world_tear_down();
}

static void has_no_more_queues_than_the_back_end(void)
{
	struct virtio_dev *d;
	struct hv_err err = { 0 };
	struct blk_config_space c;

	atomic_store(&refuse_connects, false);
	backend_world_set_up(2);
	CHECK_EQ(world_create(&d, 16, &err), 0);
	CHECK_EQ(d->nr_queues, 2);
	virtio_dev_config_read(d, 0, &c, sizeof(c));
	CHECK_EQ(c.num_queues, 2);
	virtio_dev_destroy(d);
	CHECK_EQ(world_create(&d, 1, &err), 0);
	CHECK_EQ(d->nr_queues, 1);
	virtio_dev_config_read(d, 0, &c, sizeof(c));
	CHECK_EQ(c.num_queues, 1);
	virtio_dev_destroy(d);
	backend_world_tear_down();
}

static void rests_and_goes_on(void)
{
	world_set_up(1);
	for (unsigned int i = 0; i < 5; i++) {
		virtio_dev_pause(dev);
		CHECK_EQ(dev->vqs[0].last_avail, drv.q[0].avail_idx);
		CHECK_EQ(dev->vqs[0].used_idx, drv.q[0].avail_idx);
		/* While it rests nothing is taken. */
		request_slot(1, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0);
		drv_kick(&drv, 0);
		usleep(2000);
		CHECK_EQ(status_of(1), 0xee);
		virtio_dev_resume(dev);
		CHECK(drv_wait_used(&drv, 0, NULL, NULL));
		CHECK_EQ(status_of(1), VIRTIO_BLK_S_OK);
		check_io((uint8_t)i);
	}
	drv_start(&drv, dev->host_features, 1, 32);
	check_io(9);
	world_tear_down();
}

/* ---- The back end goes and comes ---- */

static uint64_t restarts;

static void take_stat(void *opaque, const char *name, uint64_t value)
{
	if (!strcmp(name, "backend_restarts"))
		restarts = value;
}

static uint64_t backend_restarts(void)
{
	virtio_dev_stats(dev, take_stat, NULL);
	return restarts;
}

static void connects_again(void)
{
	unsigned int fds;

	world_set_up(1);
	check_io(1);
	fds = open_fds();
	for (unsigned int i = 1; i <= 10; i++) {
		world_cut();
		/* In the gap, too. */
		request_slot(1, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0);
		drv_kick(&drv, 0);
		CHECK(drv_wait_used(&drv, 0, NULL, NULL));
		CHECK_EQ(status_of(1), VIRTIO_BLK_S_OK);
		WAIT_FOR(backend_restarts() == i);
		check_io((uint8_t)i);
	}
	CHECK(!virtio_dev_is_broken(dev));
	CHECK_EQ(open_fds(), fds);
	world_tear_down();
}

static void waits_for_the_back_end(void)
{
	uint8_t through = 0;

	world_set_up(1);
	virtio_dev_config_write(dev, offsetof(struct blk_config_space, writeback), &through, 1);
	atomic_store(&refuse_connects, true);
	world_cut();
	WAIT_FOR(atomic_load(&backend_ended) == 1);
	fill(77);
	request_slot(1, VIRTIO_BLK_T_OUT, 16, &out, 1, 0);
	drv_kick(&drv, 0);
	WAIT_FOR(atomic_load(&connects) >= 4);
	CHECK_EQ(status_of(1), 0xee);
	/* Rests and goes on while nobody is there. */
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	CHECK_EQ(status_of(1), 0xee);
	atomic_store(&refuse_connects, false);
	CHECK(drv_wait_used(&drv, 0, NULL, NULL));
	CHECK_EQ(status_of(1), VIRTIO_BLK_S_OK);
	/* The new one knows what the driver wrote to the old one. */
	CHECK_EQ(atomic_load(&disk.fua), 1);
	WAIT_FOR(backend_restarts() == 1);
	CHECK(test_log_has("the back end is back after"));
	world_tear_down();
}

static void stops_without_a_back_end(void)
{
	world_set_up(1);
	check_io(1);
	atomic_store(&refuse_connects, true);
	world_cut();
	WAIT_FOR(atomic_load(&connects) >= 2);
	/* The guest resets it, and starts it again. */
	drv_start(&drv, dev->host_features, 1, 64);
	request_slot(1, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0);
	drv_kick(&drv, 0);
	atomic_store(&refuse_connects, false);
	CHECK(drv_wait_used(&drv, 0, NULL, NULL));
	CHECK_EQ(status_of(1), VIRTIO_BLK_S_OK);
	world_tear_down();
}

static void says_when_nobody_is_there(void)
{
	struct virtio_dev *d = NULL;
	struct hv_err err = { 0 };

	backend_world_set_up(1);
	atomic_store(&refuse_connects, true);
	CHECK_EQ(world_create(&d, 1, &err), -ECONNREFUSED);
	CHECK_STR(err.msg, "nobody is there");
	atomic_store(&refuse_connects, false);
	backend_world_tear_down();
}

/* ---- What the back end says by itself ---- */

static void learns_of_a_change(void)
{
	world_set_up(1);
	virtio_dev_config_changed(backend_dev);
	WAIT_FOR(atomic_load(&drv.config_interrupts) == 1);
	check_io(3);
	world_tear_down();
}

static void learns_of_a_broken_queue(void)
{
	world_set_up(1);
	check_io(1);
	/* More requests than the queue has entries. */
	__atomic_store_n(&drv.q[0].avail->idx, (uint16_t)(drv.q[0].avail_idx + 100),
			 __ATOMIC_SEQ_CST);
	drv_kick(&drv, 0);
	WAIT_FOR(virtio_dev_get_status(dev) & VIRTIO_STATUS_NEEDS_RESET);
	WAIT_FOR(atomic_load(&drv.config_interrupts) >= 1);
	/* After a reset it works. */
	drv_start(&drv, dev->host_features, 1, 64);
	check_io(2);
	CHECK(!virtio_dev_is_broken(dev));
	world_tear_down();
}

static void refuses_rings_outside_of_memory(void)
{
	world_set_up(1);
	virtio_dev_set_status(dev, 0);
	virtio_dev_set_status(dev, 3);
	virtio_dev_set_driver_features(dev, 1, 1);
	virtio_dev_set_status(dev, 0xb);
	dev->vqs[0].desc_gpa = DRV_RAM0_SIZE - 16;
	dev->vqs[0].avail_gpa = DRV_AVAIL(0);
	dev->vqs[0].used_gpa = DRV_USED(0);
	dev->vqs[0].enabled = true;
	virtio_dev_set_status(dev, 0xf);
	CHECK(virtio_dev_is_broken(dev));
	drv_start(&drv, dev->host_features, 1, 64);
	check_io(2);
	world_tear_down();
}

/* ---- State ---- */

static void is_saved_and_restored(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	uint8_t through = 0;
	struct virtio_dev *second;

	world_set_up(1);
	virtio_dev_config_write(dev, offsetof(struct blk_config_space, writeback), &through, 1);
	check_io(5);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	virtio_dev_destroy(dev);
	CHECK_EQ(world_create(&second, 1, &err), 0);
	dev = second;
	drv_attach(&drv, dev);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	CHECK_STR(err.msg, "");
	virtio_dev_resume(dev);
	atomic_store(&disk.fua, 0);
	check_io(6);
	CHECK_EQ(atomic_load(&disk.fua), 1);
	hv_state_writer_free(&w);
	world_tear_down();
}

static void refuses_a_damaged_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };

	world_set_up(1);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	hv_state_writer_free(&w);
	/* As many requests in flight as no queue has. */
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	w.len = 0;
	hv_state_begin(&w, "virtio", 1);
	hv_state_put_u16(&w, VIRTIO_ID_BLK);
	hv_state_put_u8(&w, 0xf);
	hv_state_put_u64(&w, VIRTIO_FEATURE_VERSION_1);
	hv_state_put_u32(&w, 0);
	hv_state_put_u16(&w, 1);
	hv_state_put_u16(&w, 64);
	hv_state_put_u8(&w, 1);
	hv_state_put_u8(&w, 0);
	hv_state_put_u64(&w, DRV_DESC(0));
	hv_state_put_u64(&w, DRV_AVAIL(0));
	hv_state_put_u64(&w, DRV_USED(0));
	hv_state_put_u16(&w, 3);
	hv_state_put_u16(&w, 0);
	hv_state_end(&w);
	hv_state_begin(&w, "vhost-user", 1);
	hv_state_put_u32(&w, 0);
	hv_state_put_u32(&w, 0);
	hv_state_put_u16(&w, 65);
	hv_state_end(&w);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), -EINVAL);
	CHECK_STR(err.msg, "front: the state has more requests than the queue");
	hv_state_writer_free(&w);
	world_tear_down();
}

static void needs_shared_memory(void)
{
	world_set_up(1);
	virtio_dev_pause(dev);
	for (unsigned int i = 0; i < 3; i++)
		drv.mem.region[i].shared = false;
	virtio_dev_resume(dev);
	CHECK(test_log_has("the back end is gone (it could not be started)"));
	for (unsigned int i = 0; i < 3; i++)
		drv.mem.region[i].shared = true;
	/* Found right at the next attempt. */
	check_io(4);
	world_tear_down();
}

int main(void)
{
	TEST_RUN(reads_and_writes);
	TEST_RUN(has_the_back_ends_configuration);
	TEST_RUN(uses_several_queues);
	TEST_RUN(has_no_more_queues_than_the_back_end);
	TEST_RUN(rests_and_goes_on);
	TEST_RUN(connects_again);
	TEST_RUN(waits_for_the_back_end);
	TEST_RUN(stops_without_a_back_end);
	TEST_RUN(says_when_nobody_is_there);
	TEST_RUN(learns_of_a_change);
	TEST_RUN(learns_of_a_broken_queue);
	TEST_RUN(refuses_rings_outside_of_memory);
	TEST_RUN(is_saved_and_restored);
	TEST_RUN(refuses_a_damaged_state);
	TEST_RUN(needs_shared_memory);
	return TEST_EXIT();
}
