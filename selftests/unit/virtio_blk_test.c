// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio block device over a block layer that the test controls: requests, their errors,
 * completions in any order, a stop with requests in flight.
 */
#include <errno.h>
#include <unistd.h>

#include "blk_toy.h"
#include "unit_log.h"
#include "unit_test.h"

static void test_config(void)
{
	struct blk_config_space c;

	set_up();
	virtio_dev_config_read(dev, 0, &c, sizeof(c));
	CHECK_EQ(c.capacity, DISK_SECTORS);
	CHECK_EQ(c.seg_max, 62);
	CHECK_EQ(c.blk_size, 512);
	CHECK_EQ(c.num_queues, 1);
	CHECK_EQ(c.discard_sector_alignment, 128);
	CHECK_EQ(c.writeback, 1);
	CHECK(virtio_dev_has_feature(dev, VIRTIO_BLK_F_FLUSH));
	CHECK(virtio_dev_has_feature(dev, VIRTIO_BLK_F_DISCARD));
	CHECK(!virtio_dev_has_feature(dev, VIRTIO_BLK_F_RO));
	CHECK(!virtio_dev_has_feature(dev, VIRTIO_BLK_F_MQ));
	tear_down();
}

static void test_read_and_write(void)
{
	const struct drv_buf in[] = { { DATA, 512, true }, { DATA + 0x1000, 1024, true } };
	const struct drv_buf out[] = { { DATA, 700, false }, { DATA + 0x1000, 836, false } };

	set_up();
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 5, in, 2), VIRTIO_BLK_S_OK);
	CHECK_EQ(used_len, 512 + 1024 + 1);
	CHECK(!memcmp(drv_ptr(&drv, DATA), disk.data + 5 * 512, 512));
	CHECK(!memcmp(drv_ptr(&drv, DATA + 0x1000), disk.data + 6 * 512, 1024));
	memset(drv_ptr(&drv, DATA), 0xa1, 700);
	memset(drv_ptr(&drv, DATA + 0x1000), 0xa2, 836);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 100, out, 2), VIRTIO_BLK_S_OK);
	CHECK_EQ(used_len, 1);
	CHECK_EQ(disk.data[100 * 512 - 1], 99);
	CHECK_EQ(disk.data[100 * 512 + 699], 0xa1);
	CHECK_EQ(disk.data[100 * 512 + 700], 0xa2);
	CHECK_EQ(disk.data[103 * 512 - 1], 0xa2);
	CHECK_EQ(disk.data[103 * 512], 103);
	CHECK_EQ(atomic_load(&disk.fua), 0);
	CHECK(drv.interrupts[0] >= 1);
	tear_down();
}

/* Header and status may be anywhere in the buffers (virtio 1.2, 2.7.4.1). */
static void test_any_layout(void)
{
	struct drv_buf b[] = {
		{ HDR(0), 7, false }, { HDR(0) + 7, 9, false }, { DATA, 300, true },
		{ DATA + 300, 212, true }, { STATUS(0), 1, true },
	};
	struct drv_buf one_in[] = { { HDR(0), 16, false }, { DATA, 513, true } };
	struct drv_buf one_out[] = { { DATA, 16 + 512, false }, { STATUS(0), 1, true } };
	struct blk_request_header *h;
	uint32_t len;

	set_up();
	h = drv_ptr(&drv, HDR(0));
	*h = (struct blk_request_header){ .type = VIRTIO_BLK_T_IN, .sector = 9 };
	drv_avail(&drv, 0, drv_chain(&drv, 0, b, 5));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, &len));
	CHECK_EQ(len, 513);
	CHECK_EQ(status_of(0), 0);
	CHECK(!memcmp(drv_ptr(&drv, DATA), disk.data + 9 * 512, 512));
	/* The status as the last byte of the data's buffer. */
	memset(drv_ptr(&drv, DATA), 0xee, 600);
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_in, 2));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, &len));
	CHECK_EQ(len, 513);
	CHECK(!memcmp(drv_ptr(&drv, DATA), disk.data + 9 * 512, 512));
	CHECK_EQ(((uint8_t *)drv_ptr(&drv, DATA))[512], 0);
	/* Header and data in one. */
	h = drv_ptr(&drv, DATA);
	memset(h, 0xb7, 600);
	*h = (struct blk_request_header){ .type = VIRTIO_BLK_T_OUT, .sector = 30 };
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_out, 2));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, &len));
	CHECK_EQ(status_of(0), 0);
	CHECK_EQ(disk.data[30 * 512], 0xb7);
	CHECK_EQ(disk.data[31 * 512 - 1], 0xb7);
	CHECK_EQ(disk.data[31 * 512], 31);
	tear_down();
}

static void test_ranges(void)
{
	const struct drv_buf in = { DATA, 1024, true }, out = { DATA, 1024, false };
	const struct drv_buf odd = { DATA, 100, true };

	set_up();
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS - 2, &in, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS - 1, &in, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(used_len, 1);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, DISK_SECTORS, &in, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, DISK_SECTORS - 1, &out, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, ~0ULL, &out, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 1ULL << 55, &in, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, &odd, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 0, NULL, 0), VIRTIO_BLK_S_OK);
	/* Data in the wrong direction is no data. */
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 0, &in, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(disk.data[0], 0);
	CHECK(!virtio_dev_is_broken(dev));
	tear_down();
}

static void test_flush_and_id(void)
{
	const struct drv_buf id = { DATA, 20, true }, shorter = { DATA, 4, true };

	set_up();
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, &id, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(used_len, 21);
	CHECK(!memcmp(drv_ptr(&drv, DATA), "serial-0123456789abc", 20));
	memset(drv_ptr(&drv, DATA), 0, 20);
	CHECK_EQ(request(VIRTIO_BLK_T_GET_ID, 0, &shorter, 1), VIRTIO_BLK_S_OK);
	CHECK(!memcmp(drv_ptr(&drv, DATA), "seri\0", 5));
	CHECK_EQ(request(7777, 0, NULL, 0), VIRTIO_BLK_S_UNSUPP);
	tear_down();
}

static uint8_t segments(uint32_t type, const struct blk_segment *s, unsigned int n)
{
	const struct drv_buf b = { DATA, n * (uint32_t)sizeof(*s), false };

	memcpy(drv_ptr(&drv, DATA), s, n * sizeof(*s));
	return request(type, 0, &b, 1);
}

static void test_discard_and_write_zeroes(void)
{
	const struct blk_segment two[] = { { 8, 8, 0 }, { 100, 1, 0 } };
	const struct blk_segment unmap = { 200, 4, VIRTIO_BLK_SEGMENT_UNMAP };
	const struct blk_segment flags = { 200, 4, 2 };
	const struct blk_segment past = { DISK_SECTORS - 1, 2, 0 };
	const struct blk_segment wrap = { ~0ULL, 2, 0 };
	const struct blk_segment none = { 5, 0, 0 };
	const struct blk_segment large = { 0, 0xffffffff, 0 };
	struct blk_segment many[17] = { { 0 } };
	const struct drv_buf cut = { DATA, 15, false };

	set_up();
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, two, 2), VIRTIO_BLK_S_OK);
	CHECK_EQ(disk.data[8 * 512 - 1], 7);
	CHECK_EQ(disk.data[8 * 512], 0xdd);
	CHECK_EQ(disk.data[16 * 512 - 1], 0xdd);
	CHECK_EQ(disk.data[16 * 512], 16);
	CHECK_EQ(disk.data[100 * 512], 0xdd);
	CHECK_EQ(segments(VIRTIO_BLK_T_WRITE_ZEROES, two, 2), VIRTIO_BLK_S_OK);
	CHECK_EQ(disk.data[8 * 512], 0);
	CHECK_EQ(atomic_load(&disk.unmaps), 0);
	CHECK_EQ(segments(VIRTIO_BLK_T_WRITE_ZEROES, &unmap, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(atomic_load(&disk.unmaps), 1);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, &unmap, 1), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(segments(VIRTIO_BLK_T_WRITE_ZEROES, &flags, 1), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, &past, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, &wrap, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, &none, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, &large, 1), VIRTIO_BLK_S_IOERR);
	for (unsigned int i = 0; i < 17; i++)
		many[i] = (struct blk_segment){ 10 * i, 1, 0 };
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, many, 17), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, many, 16), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, &cut, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(request(VIRTIO_BLK_T_DISCARD, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
	atomic_store(&disk.fail, -EOPNOTSUPP);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, two, 2), VIRTIO_BLK_S_UNSUPP);
	tear_down();
}

static void test_errors(void)
{
	const struct drv_buf out = { DATA, 512, false };

	set_up();
	atomic_store(&disk.fail, -ENOSPC);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 3, &out, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(used_len, 1);
	CHECK(test_log_has("blk7: write of 512 bytes at 1536 of 'toy.img' failed: No space left"));
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(test_log_lines, 1);	/* once a second is enough */
	atomic_store(&disk.fail, 0);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 3, &out, 1), VIRTIO_BLK_S_OK);
	CHECK(!virtio_dev_is_broken(dev));
	tear_down();
}

static void test_readonly(void)
{
	const struct drv_buf out = { DATA, 512, false }, in = { DATA, 512, true };
	const struct blk_segment s = { 8, 8, 0 };

	disk.readonly = true;
	set_up_with(1, ~0ULL);
	CHECK(virtio_dev_has_feature(dev, VIRTIO_BLK_F_RO));
	CHECK(!virtio_dev_has_feature(dev, VIRTIO_BLK_F_DISCARD));
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 3, &out, 1), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(segments(VIRTIO_BLK_T_DISCARD, &s, 1), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(segments(VIRTIO_BLK_T_WRITE_ZEROES, &s, 1), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(disk.data[3 * 512], 3);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 3, &in, 1), VIRTIO_BLK_S_OK);
	tear_down();
}

static void test_cache_modes(void)
{
	const struct drv_buf out = { DATA, 512, false };
	const uint32_t at = offsetof(struct blk_config_space, writeback);
	uint8_t wce = 0;

	set_up();
	virtio_dev_config_write(dev, at, &wce, 1);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 3, &out, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(atomic_load(&disk.fua), 1);
	wce = 1;
	virtio_dev_config_write(dev, at, &wce, 1);
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 3, &out, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(atomic_load(&disk.fua), 1);
	virtio_dev_config_write(dev, 0, &wce, 1);	/* the capacity is not for writing */
	virtio_dev_config_read(dev, 0, &wce, 1);
	CHECK_EQ(wce, DISK_SECTORS & 0xff);
	tear_down();
	/* A driver that does not know flushes gets durable writes. */
	set_up_with(1, ~(VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
			 VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE)));
	CHECK_EQ(request(VIRTIO_BLK_T_OUT, 3, &out, 1), VIRTIO_BLK_S_OK);
	CHECK_EQ(atomic_load(&disk.fua), 1);
	tear_down();
}

static void breaks(const struct drv_buf *b, unsigned int n)
{
	set_up();
	drv_avail(&drv, 0, drv_chain(&drv, 0, b, n));
	drv_kick(&drv, 0);
	WAIT_FOR(virtio_dev_is_broken(dev));
	virtio_dev_set_status(dev, 0);	/* waits for the queue's thread: then the log is there */
	CHECK(test_log_has("without header or status"));
	/* A reset brings it back. */
	drv_start(&drv, dev->host_features, 1, 64);
	CHECK_EQ(request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
	tear_down();
}

static void test_malformed_requests(void)
{
	const struct drv_buf no_status[] = { { HDR(0), 16, false } };
	const struct drv_buf no_header[] = { { STATUS(0), 1, true } };
	const struct drv_buf short_header[] = { { HDR(0), 15, false }, { STATUS(0), 1, true } };
	const struct drv_buf empty[] = { { HDR(0), 0, false } };

	breaks(no_status, 1);
	breaks(no_header, 1);
	breaks(short_header, 2);
	breaks(empty, 1);
}

static void test_completions_out_of_order(void)
{
	struct drv_buf in[4];
	uint32_t id;
	uint16_t head[4];

	set_up();
	atomic_store(&disk.hold, true);
	for (unsigned int i = 0; i < 4; i++) {
		in[i] = (struct drv_buf){ DATA + 0x200 * i, 512, true };
		head[i] = request_slot(i, VIRTIO_BLK_T_IN, i, &in[i], 1, 0);
	}
	drv_kick(&drv, 0);
	WAIT_FOR(atomic_load(&disk.held) == 4);
	CHECK(!drv_used(&drv, 0, &id, NULL));
	atomic_store(&disk.hold, false);
	for (unsigned int i = 0; i < 4; i++) {
		CHECK(drv_wait_used(&drv, 0, &id, NULL));
		CHECK_EQ(id, head[3 - i]);
		CHECK_EQ(status_of(3 - i), 0);
		CHECK_EQ(*(uint8_t *)drv_ptr(&drv, DATA + 0x200 * i), i);
	}
	tear_down();
}

static void *release_soon(void *opaque)
{
	usleep(30000);
	atomic_store(&disk.hold, false);
	return NULL;
}

/* A reset waits for what is in flight: after it nobody writes to the guest's memory. */
static void test_reset_with_requests_in_flight(void)
{
	const struct drv_buf in = { DATA, 512, true };
	pthread_t t;

	set_up();
	atomic_store(&disk.hold, true);
	for (unsigned int i = 0; i < 3; i++)
		request_slot(i, VIRTIO_BLK_T_IN, 7, &in, 1, 0);
	drv_kick(&drv, 0);
	WAIT_FOR(atomic_load(&disk.held) == 3);
	pthread_create(&t, NULL, release_soon, NULL);
	virtio_dev_set_status(dev, 0);
	CHECK(!atomic_load(&disk.hold));
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(status_of(i), 0);
	pthread_join(t, NULL);
	drv_start(&drv, dev->host_features, 1, 64);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 7, &in, 1), VIRTIO_BLK_S_OK);
	tear_down();
}

static void test_pause_keeps_requests(void)
{
	const struct drv_buf in = { DATA, 512, true };
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err;
	uint32_t id;

	set_up();
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 7, &in, 1), VIRTIO_BLK_S_OK);
	virtio_dev_pause(dev);
	request_slot(0, VIRTIO_BLK_T_IN, 9, &in, 1, 0);
	drv_kick(&drv, 0);
	usleep(20000);
	CHECK(!drv_used(&drv, 0, &id, NULL));
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	hv_state_writer_free(&w);
	virtio_dev_resume(dev);
	CHECK(drv_wait_used(&drv, 0, &id, NULL));
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, DATA), 9);
	tear_down();
}

static void test_multiqueue(void)
{
	const struct drv_buf in = { DATA, 512, true };
	uint32_t id;

	disk.readonly = false;
	set_up_with(3, ~0ULL);
	CHECK(virtio_dev_has_feature(dev, VIRTIO_BLK_F_MQ));
	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int q = 0; q < 3; q++) {
			const struct drv_buf own = { DATA + 0x400 * q, 512, true };

			request_slot(q, VIRTIO_BLK_T_IN, q, &own, 1, q);
			drv_kick(&drv, q);
		}
		for (unsigned int q = 0; q < 3; q++) {
			CHECK(drv_wait_used(&drv, q, &id, NULL));
			CHECK_EQ(status_of(q), 0);
		}
	}
	CHECK(drv.interrupts[2] > 0);
	tear_down();
	/* A driver may use fewer queues than there are. */
	set_up_with(3, ~0ULL);
	drv_start(&drv, dev->host_features, 1, 64);
	CHECK_EQ(request(VIRTIO_BLK_T_IN, 7, &in, 1), VIRTIO_BLK_S_OK);
	drv_kick(&drv, 2);
	tear_down();
}

static void sum_stat(void *opaque, const char *name, uint64_t value)
{
	uint64_t *got = opaque;

	if (!strcmp(name, "reads"))
		got[0] = value;
	else if (!strcmp(name, "read_bytes"))
		got[1] = value;
	else if (!strcmp(name, "errors"))
		got[2] = value;
}

static void test_statistics(void)
{
	const struct drv_buf in = { DATA, 1024, true };
	uint64_t got[3] = { 0 };

	set_up();
	request(VIRTIO_BLK_T_IN, 7, &in, 1);
	request(VIRTIO_BLK_T_IN, 9, &in, 1);
	request(VIRTIO_BLK_T_IN, DISK_SECTORS, &in, 1);
	virtio_dev_stats(dev, sum_stat, got);
	CHECK_EQ(got[0], 2);
	CHECK_EQ(got[1], 2048);
	CHECK_EQ(got[2], 1);
	tear_down();
}

/* A full ring of large indirect requests, again and again. */
static void test_many_requests(void)
{
	const struct drv_buf in[] = { { DATA, 512, true }, { DATA + 0x400, 512, true } };
	uint32_t id;

	set_up();
	for (unsigned int round = 0; round < 500; round++) {
		for (unsigned int i = 0; i < 16; i++)
			request_slot(i, VIRTIO_BLK_T_IN, i, in, 2, 0);
		drv_kick(&drv, 0);
		for (unsigned int i = 0; i < 16; i++) {
			CHECK(drv_wait_used(&drv, 0, &id, NULL));
			if (status_of(i))
				CHECK_EQ(round, ~0u);
		}
	}
	tear_down();
}

int main(void)
{
	TEST_RUN(test_config);
	TEST_RUN(test_read_and_write);
	TEST_RUN(test_any_layout);
	TEST_RUN(test_ranges);
	TEST_RUN(test_flush_and_id);
	TEST_RUN(test_discard_and_write_zeroes);
	TEST_RUN(test_errors);
	TEST_RUN(test_readonly);
	TEST_RUN(test_cache_modes);
	TEST_RUN(test_malformed_requests);
	TEST_RUN(test_completions_out_of_order);
	TEST_RUN(test_reset_with_requests_in_flight);
	TEST_RUN(test_pause_keeps_requests);
	TEST_RUN(test_multiqueue);
	TEST_RUN(test_statistics);
	TEST_RUN(test_many_requests);
	return TEST_EXIT();
}
