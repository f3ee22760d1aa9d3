// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtqueues: what a driver may do, and everything that it may not. */
#include <errno.h>
#include <stdlib.h>

#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

/* A device that leaves its queues to the test. */
static struct virtio_dev toy;
static struct drv drv;
static unsigned int toy_starts, toy_stops;

static int toy_start(struct virtio_dev *dev)
{
	toy_starts++;
	return 0;
}

static void toy_stop(struct virtio_dev *dev)
{
	toy_stops++;
}

static const struct virtio_dev_ops toy_ops = {
	.name = "toy", .device_id = 42, .start = toy_start, .stop = toy_stop,
};

#define QSIZE		8
#define ALL_FEATURES	(VIRTIO_FEATURE_INDIRECT_DESC | VIRTIO_FEATURE_EVENT_IDX)

static struct virtq *vq;

static void set_up(uint64_t features, uint16_t size)
{
	memset(&toy, 0, sizeof(toy));
	CHECK_EQ(virtio_dev_init(&toy, &toy_ops, "toy0", 0, 2, 256, NULL), 0);
	drv_init(&drv, &toy);
	test_catch_log();
	drv_start(&drv, features, 1, size);
	vq = &toy.vqs[0];
}

static void tear_down(void)
{
	virtio_dev_reset(&toy);
	virtio_dev_fini(&toy);
	drv_fini(&drv);
}

static const struct drv_buf one_each[] = {
	{ DRV_BUFFERS, 16, false },
	{ DRV_BUFFERS + 0x1000, 512, true },
};

static void test_chain(void)
{
	struct virtq_chain c;
	uint32_t id, len;
	uint16_t head;

	set_up(0, QSIZE);
	CHECK_EQ(virtq_pop(vq, &c), 0);
	head = drv_chain(&drv, 0, one_each, 2);
	drv_avail(&drv, 0, head);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.head, head);
	CHECK_EQ(c.out_num, 1);
	CHECK_EQ(c.in_num, 1);
	CHECK_EQ(c.out_len, 16);
	CHECK_EQ(c.in_len, 512);
	CHECK(c.iov[0].iov_base == drv_ptr(&drv, DRV_BUFFERS));
	CHECK(c.iov[1].iov_base == drv_ptr(&drv, DRV_BUFFERS + 0x1000));
	CHECK_EQ(virtq_pop(vq, &c), 0);
	virtq_push(vq, head, 77);
	CHECK(!drv_used(&drv, 0, &id, &len));	/* not before the flush */
	virtq_flush(vq);
	CHECK(drv_used(&drv, 0, &id, &len));
	CHECK_EQ(id, head);
	CHECK_EQ(len, 77);
	CHECK_EQ(drv.interrupts[0], 1);
	virtq_flush(vq);			/* nothing new: no interrupt */
	CHECK_EQ(drv.interrupts[0], 1);
	tear_down();
}

static void test_unpop(void)
{
	struct virtq_chain c;

	set_up(0, QSIZE);
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 2));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	virtq_unpop(vq);
	CHECK_EQ(vq->inflight, 0);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(virtq_pop(vq, &c), 0);
	tear_down();
}

static void test_indirect(void)
{
	struct virtq_chain c;
	struct drv_buf b[QSIZE];

	set_up(ALL_FEATURES, QSIZE);
	for (unsigned int i = 0; i < QSIZE; i++)
		b[i] = (struct drv_buf){ DRV_BUFFERS + 0x100 * i, 8 + i, i >= 3 };
	drv_avail(&drv, 0, drv_chain_indirect(&drv, 0, b, QSIZE));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.out_num, 3);
	CHECK_EQ(c.in_num, 5);
	CHECK_EQ(c.out_len, 8 + 9 + 10);
	/* Direct descriptors before an indirect one (virtio 1.2, 2.7.5.3.2). */
	((struct vring_desc *)drv_ptr(&drv, DRV_INDIRECT(0)))[1].flags = 0;
	drv.q[0].desc[1] = (struct vring_desc){ DRV_BUFFERS, 4, VRING_DESC_F_NEXT, 2 };
	drv.q[0].desc[2] = (struct vring_desc){ DRV_INDIRECT(0), 32, VRING_DESC_F_INDIRECT, 0 };
	drv_avail(&drv, 0, 1);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.out_num, 3);
	CHECK_EQ(c.out_len, 4 + 8 + 9);
	CHECK_EQ(test_log_lines, 0);
	tear_down();
}

static void test_zero_length_is_skipped(void)
{
	const struct drv_buf b[] = {
		{ DRV_BUFFERS, 0, false }, { DRV_BUFFERS, 5, false }, { 0xdead000000, 0, true },
	};
	struct virtq_chain c;

	set_up(0, QSIZE);
	drv_avail(&drv, 0, drv_chain(&drv, 0, b, 3));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.out_num, 1);
	CHECK_EQ(c.in_num, 0);
	CHECK_EQ(c.in_len, 0);
	tear_down();
}

static void test_buffer_over_adjacent_regions(void)
{
	const struct drv_buf b = { DRV_RAM2 - 0x10, 0x30, true };
	struct virtq_chain c;

	set_up(0, QSIZE);
	drv_avail(&drv, 0, drv_chain(&drv, 0, &b, 1));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.in_num, 2);
	CHECK_EQ(c.in_len, 0x30);
	CHECK_EQ(c.iov[0].iov_len, 0x10);
	CHECK_EQ(c.iov[1].iov_len, 0x20);
	CHECK(c.iov[1].iov_base == drv.ram[2]);
	tear_down();
}

/* Segments of one chain may be twice the descriptors: the scratch space has to grow. */
static void test_scratch_grows(void)
{
	struct drv_buf b[QSIZE];
	struct virtq_chain c;

	set_up(0, QSIZE);
	for (unsigned int i = 0; i < QSIZE; i++)
		b[i] = (struct drv_buf){ DRV_RAM2 - 1, 2, false };
	drv_avail(&drv, 0, drv_chain(&drv, 0, b, QSIZE));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.out_num, 2 * QSIZE);
	tear_down();
}

static void test_indices_wrap(void)
{
	struct virtq_chain c;
	uint32_t id = 0, len = 0;
	uint16_t head = 0;

	set_up(ALL_FEATURES, QSIZE);
	for (uint32_t i = 0; i < 70000; i++) {
		head = drv_chain(&drv, 0, one_each, 2);
		drv_avail(&drv, 0, head);
		if (virtq_pop(vq, &c) != 1 || c.head != head)
			break;
		virtq_push(vq, head, i);
		virtq_flush(vq);
		if (!drv_used(&drv, 0, &id, &len) || id != head || len != i)
			break;
	}
	CHECK_EQ(len, 69999);
	CHECK_EQ(id, head);
	tear_down();
}

static void test_event_index(void)
{
	struct virtq_chain c;
	uint16_t *used_event, *avail_event;

	set_up(ALL_FEATURES, QSIZE);
	used_event = &drv.q[0].avail->ring[QSIZE];
	avail_event = (uint16_t *)&drv.q[0].used->ring[QSIZE];
	for (unsigned int i = 0; i < 4; i++)
		drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 1));
	*used_event = 0;
	CHECK_EQ(virtq_pop(vq, &c), 1);
	virtq_push(vq, c.head, 0);
	virtq_flush(vq);
	CHECK_EQ(drv.interrupts[0], 1);		/* 0 -> 1 passes 0 */
	*used_event = 2;
	CHECK_EQ(virtq_pop(vq, &c), 1);
	virtq_push(vq, c.head, 0);
	virtq_flush(vq);
	CHECK_EQ(drv.interrupts[0], 1);		/* 1 -> 2: not yet */
	CHECK_EQ(virtq_pop(vq, &c), 1);
	virtq_push(vq, c.head, 0);
	virtq_flush(vq);
	CHECK_EQ(drv.interrupts[0], 2);		/* 2 -> 3 passes 2 */
	CHECK(virtq_enable_kicks(vq));		/* one is left */
	CHECK_EQ(*avail_event, 3);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK(!virtq_enable_kicks(vq));
	CHECK_EQ(*avail_event, 4);
	/* A batch that passes the event somewhere in its middle. */
	virtq_push(vq, c.head, 0);
	for (unsigned int i = 0; i < 3; i++) {
		drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 1));
		CHECK_EQ(virtq_pop(vq, &c), 1);
		virtq_push(vq, c.head, 0);
	}
	*used_event = 5;
	virtq_flush(vq);
	CHECK_EQ(drv.interrupts[0], 3);
	tear_down();
}

static void test_flags_suppress(void)
{
	struct virtq_chain c;

	set_up(0, QSIZE);
	virtq_disable_kicks(vq);
	CHECK_EQ(drv.q[0].used->flags, VRING_USED_F_NO_NOTIFY);
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 1));
	CHECK(virtq_enable_kicks(vq));
	CHECK_EQ(drv.q[0].used->flags, 0);
	drv.q[0].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	CHECK_EQ(virtq_pop(vq, &c), 1);
	virtq_push(vq, c.head, 0);
	virtq_flush(vq);
	CHECK_EQ(drv.interrupts[0], 0);
	tear_down();
}

/* ---- Hostile drivers ---- */

/* The chain at @head must break the device with @message, once, and nothing else. */
static void check_breaks(const char *message)
{
	struct virtq_chain c;

	CHECK_EQ(virtq_pop(vq, &c), -EIO);
	CHECK(test_log_has(message));
	CHECK_EQ(virtio_dev_get_status(&toy), 0xf | VIRTIO_STATUS_NEEDS_RESET);
	CHECK_EQ(drv.config_interrupts, 1);
	CHECK_EQ(virtq_pop(vq, &c), -EIO);
	CHECK(!virtq_enable_kicks(vq));
	CHECK_EQ(test_log_lines, 1);
	CHECK_EQ(drv.interrupts[0], 0);
	/* A reset heals it. */
	drv_start(&drv, 0, 1, QSIZE);
	CHECK_EQ(virtio_dev_get_status(&toy), 0xf);
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 2));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	tear_down();
}

static void hostile_desc(struct vring_desc d0, struct vring_desc d1, const char *message)
{
	set_up(ALL_FEATURES, QSIZE);
	drv.q[0].desc[0] = d0;
	drv.q[0].desc[1] = d1;
	drv_avail(&drv, 0, 0);
	check_breaks(message);
}

#define DESC(a, l, f, n) ((struct vring_desc){ .addr = (a), .len = (l), .flags = (f), .next = (n) })
#define NO_DESC DESC(0, 0, 0, 0)
#define F_NEXT VRING_DESC_F_NEXT
#define F_WRITE VRING_DESC_F_WRITE
#define F_INDIRECT VRING_DESC_F_INDIRECT

static void test_loop_of_descriptors(void)
{
	hostile_desc(DESC(DRV_BUFFERS, 1, F_NEXT, 1), DESC(DRV_BUFFERS, 1, F_NEXT, 0), "a loop");
	hostile_desc(DESC(DRV_BUFFERS, 0, F_NEXT, 0), NO_DESC, "a loop");
}

static void test_next_out_of_range(void)
{
	hostile_desc(DESC(DRV_BUFFERS, 1, F_NEXT, QSIZE), NO_DESC, "out of range");
	hostile_desc(DESC(DRV_BUFFERS, 1, F_NEXT, 0xffff), NO_DESC, "out of range");
}

static void test_head_out_of_range(void)
{
	set_up(ALL_FEATURES, QSIZE);
	drv_avail(&drv, 0, QSIZE);
	check_breaks("descriptor 8 is out of range");
}

static void test_readable_after_writable(void)
{
	hostile_desc(DESC(DRV_BUFFERS, 1, F_NEXT | F_WRITE, 1), DESC(DRV_BUFFERS, 1, 0, 0),
		     "readable buffer after a writable one");
}

static void test_outside_of_ram(void)
{
	hostile_desc(DESC(DRV_RAM0_SIZE, 1, 0, 0), NO_DESC, "not in guest memory");
	hostile_desc(DESC(DRV_RAM0_SIZE - 1, 2, F_WRITE, 0), NO_DESC, "not in guest memory");
	hostile_desc(DESC(DRV_RAM2 + DRV_RAM2_SIZE - 1, 2, F_WRITE, 0), NO_DESC,
		     "not in guest memory");
	hostile_desc(DESC(~0ULL, 1, 0, 0), NO_DESC, "not in guest memory");
	hostile_desc(DESC(~0ULL - 0xfff, 0xffffffff, 0, 0), NO_DESC, "not in guest memory");
	hostile_desc(DESC(0, 0xffffffff, 0, 0), NO_DESC, "not in guest memory");
}

static void test_bad_indirect(void)
{
	hostile_desc(DESC(DRV_INDIRECT(0), 17, F_INDIRECT, 0), NO_DESC, "multiple of 16");
	hostile_desc(DESC(DRV_INDIRECT(0), 0, F_INDIRECT, 0), NO_DESC, "multiple of 16");
	hostile_desc(DESC(DRV_INDIRECT(0), 32, F_INDIRECT | F_NEXT, 1), NO_DESC, "with a next one");
	hostile_desc(DESC(DRV_RAM0_SIZE - 16, 32, F_INDIRECT, 0), NO_DESC,
		     "table is not in guest memory");
	hostile_desc(DESC(~0ULL - 15, 16, F_INDIRECT, 0), NO_DESC, "table is not in guest memory");
	hostile_desc(DESC(0, 0xfffffff0, F_INDIRECT, 0), NO_DESC, "table is not in guest memory");
}

static void hostile_indirect(struct vring_desc t0, struct vring_desc t1, const char *message)
{
	struct vring_desc *t;

	set_up(ALL_FEATURES, QSIZE);
	t = drv_ptr(&drv, DRV_INDIRECT(0));
	t[0] = t0;
	t[1] = t1;
	drv.q[0].desc[0] = DESC(DRV_INDIRECT(0), 32, F_INDIRECT, 0);
	drv_avail(&drv, 0, 0);
	check_breaks(message);
}

static void test_bad_indirect_table(void)
{
	hostile_indirect(DESC(DRV_INDIRECT(0), 32, F_INDIRECT, 0), NO_DESC,
			 "inside an indirect table");
	hostile_indirect(DESC(DRV_BUFFERS, 1, F_NEXT, 2), NO_DESC, "descriptor 2 is out of range");
	hostile_indirect(DESC(DRV_BUFFERS, 1, F_NEXT, 1), DESC(DRV_BUFFERS, 1, F_NEXT, 0),
			 "a loop");
}

static void test_indirect_not_negotiated(void)
{
	set_up(0, QSIZE);
	drv.q[0].desc[0] = DESC(DRV_INDIRECT(0), 16, F_INDIRECT, 0);
	drv_avail(&drv, 0, 0);
	check_breaks("not negotiated");
}

/* A table may have more entries than the queue, a chain may not. */
static void test_chain_longer_than_queue(void)
{
	struct drv_buf b[QSIZE + 1];

	set_up(ALL_FEATURES, QSIZE);
	for (unsigned int i = 0; i < QSIZE + 1; i++)
		b[i] = (struct drv_buf){ DRV_BUFFERS, 1, false };
	drv_avail(&drv, 0, drv_chain_indirect(&drv, 0, b, QSIZE + 1));
	check_breaks("longer than the queue");
}

static void test_chain_longer_than_4g(void)
{
	struct guest_mem_region *r;
	struct drv_buf b[5];

	set_up(ALL_FEATURES, QSIZE);
	/* Descriptors that say 1 GiB each: nothing is touched, so lie about the region. */
	r = &drv.mem.region[1];
	r->gpa = 1ULL << 40;
	r->size = 1ULL << 31;
	for (unsigned int i = 0; i < 5; i++)
		b[i] = (struct drv_buf){ 1ULL << 40, 1U << 30, true };
	drv_avail(&drv, 0, drv_chain(&drv, 0, b, 5));
	check_breaks("longer than 4 GiB");
}

static void test_avail_index_jumps(void)
{
	set_up(ALL_FEATURES, QSIZE);
	drv.q[0].avail->idx = QSIZE + 1;
	check_breaks("avail index jumped from 0 to 9");
	set_up(ALL_FEATURES, QSIZE);
	drv.q[0].avail->idx = 0xffff;
	check_breaks("avail index jumped");
}

static void test_too_many_in_flight(void)
{
	struct virtq_chain c;

	set_up(ALL_FEATURES, QSIZE);
	for (unsigned int i = 0; i < QSIZE; i++) {
		drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 1));
		CHECK_EQ(virtq_pop(vq, &c), 1);
	}
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 1));
	check_breaks("more buffers than the queue has entries");
}

static void hostile_rings(uint64_t desc, uint64_t avail, uint64_t used, const char *message)
{
	unsigned int starts;

	set_up(ALL_FEATURES, QSIZE);
	virtio_dev_set_status(&toy, 0);
	virtio_dev_set_status(&toy, 3);
	virtio_dev_set_driver_features(&toy, 1, 1);
	virtio_dev_set_status(&toy, 0xb);
	vq->desc_gpa = desc;
	vq->avail_gpa = avail;
	vq->used_gpa = used;
	vq->enabled = true;
	starts = toy_starts;
	virtio_dev_set_status(&toy, 0xf);
	CHECK_EQ(toy_starts, starts);
	CHECK(test_log_has(message));
	CHECK_EQ(test_log_lines, 1);
	CHECK(virtio_dev_is_broken(&toy));
	tear_down();
}

static void test_rings_outside_of_ram(void)
{
	uint64_t d = DRV_DESC(0), a = DRV_AVAIL(0), u = DRV_USED(0);

	hostile_rings(d + 1, a, u, "misaligned");
	hostile_rings(d, a + 1, u, "misaligned");
	hostile_rings(d, a, u + 2, "misaligned");
	hostile_rings(DRV_RAM0_SIZE, a, u, "not in guest memory");
	hostile_rings(DRV_RAM0_SIZE - 0x100, a, u, "not in guest memory");
	hostile_rings(d, DRV_RAM0_SIZE - 6, u, "not in guest memory");
	hostile_rings(d, a, DRV_RAM0_SIZE - 4, "not in guest memory");
	hostile_rings(d, a, ~0ULL & ~3ULL, "not in guest memory");
	/* Rings must be in one piece. */
	hostile_rings(DRV_RAM2 - 16, a, u, "not in guest memory");
}

/* Random descriptors and indices: whatever comes out lies in guest memory (or ASan objects). */
static void test_random_rings(void)
{
	static const uint64_t bases[] = { DRV_BUFFERS, DRV_INDIRECT(0), DRV_RAM0_SIZE - 8,
					  DRV_RAM2 - 8, 0, ~0ULL - 7 };
	unsigned int good = 0, bad = 0;
	uint64_t sum = 0;

	srandom(1);
	set_up(ALL_FEATURES, QSIZE);
	for (unsigned int i = 0; i < 100000; i++) {
		struct vring_desc *t = drv_ptr(&drv, DRV_INDIRECT(0));
		struct virtq_chain c;

		for (unsigned int j = 0; j < 2 * QSIZE; j++) {
			struct vring_desc *e = j < QSIZE ? &drv.q[0].desc[j] : &t[j - QSIZE];

			e->addr = bases[random() % (random() % 4 ? 2 : 6)];
			e->len = random() % 8 ? 16 * (random() % 9) : (uint32_t)random();
			e->flags = (random() % 2 ? F_NEXT : 0) | (random() % 2 ? F_WRITE : 0) |
				   (random() % 8 ? 0 : F_INDIRECT);
			e->next = random() % (random() % 16 ? QSIZE : 65536);
		}
		drv_avail(&drv, 0, random() % (random() % 64 ? QSIZE : 65536));
		if (virtq_pop(vq, &c) == 1) {
			good++;
			for (unsigned int s = 0; s < c.out_num + c.in_num; s++)
				sum += ((uint8_t *)c.iov[s].iov_base)[0] +
				       ((uint8_t *)c.iov[s].iov_base)[c.iov[s].iov_len - 1];
			virtq_push(vq, c.head, (uint32_t)sum);
			virtq_flush(vq);
		} else {
			bad++;
			drv_start(&drv, ALL_FEATURES, 1, QSIZE);
		}
	}
	printf("# %u chains were good, %u broke the device\n", good, bad);
	CHECK(good > 1000);
	CHECK(bad > 1000);
	tear_down();
}

/* ---- Status and features ---- */

static void test_status_rules(void)
{
	unsigned int starts;

	set_up(0, QSIZE);
	starts = toy_starts;
	virtio_dev_set_status(&toy, 0);
	CHECK_EQ(virtio_dev_get_status(&toy), 0);
	CHECK(!vq->enabled);
	CHECK_EQ(vq->size, 256);
	virtio_dev_set_status(&toy, 3);
	virtio_dev_set_status(&toy, 0xf & ~VIRTIO_STATUS_FEATURES_OK);
	CHECK_EQ(virtio_dev_get_status(&toy), 3);	/* no DRIVER_OK without FEATURES_OK */
	virtio_dev_set_status(&toy, 0xb);
	CHECK_EQ(virtio_dev_get_status(&toy), 3);	/* VERSION_1 is missing */
	virtio_dev_set_driver_features(&toy, 1, 1);
	virtio_dev_set_driver_features(&toy, 0, 1);
	virtio_dev_set_status(&toy, 0xb);
	CHECK_EQ(virtio_dev_get_status(&toy), 3);	/* bit 0 was not offered */
	virtio_dev_set_driver_features(&toy, 0, 0);
	virtio_dev_set_driver_features(&toy, 2, 1);	/* no such page */
	virtio_dev_set_status(&toy, 0xb);
	CHECK_EQ(virtio_dev_get_status(&toy), 0xb);
	virtio_dev_set_driver_features(&toy, 0, 1u << 28);
	CHECK_EQ(virtio_dev_get_driver_features(&toy, 0), 0);	/* too late */
	virtio_dev_set_status(&toy, 1);
	CHECK_EQ(virtio_dev_get_status(&toy), 0xb);	/* bits only go by a reset */
	virtio_dev_set_status(&toy, 0xb | VIRTIO_STATUS_NEEDS_RESET);
	CHECK_EQ(virtio_dev_get_status(&toy), 0xb);	/* that one is ours */
	CHECK_EQ(toy_starts, starts);
	virtio_dev_set_status(&toy, 0xf);
	CHECK_EQ(toy_starts, starts + 1);
	virtio_dev_set_status(&toy, 0xf);
	CHECK_EQ(toy_starts, starts + 1);
	tear_down();
}

static void test_pause_and_resume(void)
{
	struct virtq_chain c;
	unsigned int stops;

	set_up(0, QSIZE);
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 2));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	virtq_push(vq, c.head, 0);
	virtq_flush(vq);
	stops = toy_stops;
	virtio_dev_pause(&toy);
	CHECK_EQ(toy_stops, stops + 1);
	CHECK(!vq->started);
	virtio_dev_resume(&toy);
	CHECK(vq->started);
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 2));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(vq->used_idx, 1);
	tear_down();
}

static void test_state_round_trip(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct virtio_dev copy = { 0 };
	struct virtq_chain c;
	struct hv_err err;

	set_up(VIRTIO_FEATURE_EVENT_IDX, QSIZE);
	for (unsigned int i = 0; i < 3; i++) {
		drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 2));
		CHECK_EQ(virtq_pop(vq, &c), 1);
		virtq_push(vq, c.head, 0);
	}
	virtq_flush(vq);
	virtio_dev_pause(&toy);
	hv_state_writer_init(&w);
	virtio_dev_save(&toy, &w);
	CHECK_EQ(w.error, 0);
	CHECK_EQ(virtio_dev_init(&copy, &toy_ops, "toy1", 0, 2, 256, NULL), 0);
	virtio_dev_attach(&copy, &drv.mem, toy.host_ops, toy.host);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(&copy, &r, &err), 0);
	CHECK(!copy.started);
	virtio_dev_resume(&copy);
	CHECK(copy.started);
	CHECK_EQ(copy.vqs[0].last_avail, 3);
	CHECK_EQ(copy.vqs[0].used_idx, 3);
	CHECK(copy.vqs[0].event_idx);
	CHECK(!copy.vqs[1].enabled);
	drv_avail(&drv, 0, drv_chain(&drv, 0, one_each, 2));
	CHECK_EQ(virtq_pop(&copy.vqs[0], &c), 1);
	/* Damage of any byte is found. */
	for (size_t i = 0; i < w.len; i++) {
		w.buf[i] ^= 0x10;
		hv_state_reader_init(&r, w.buf, w.len);
		if (virtio_dev_load(&copy, &r, &err) >= 0)
			CHECK_EQ(i, SIZE_MAX);
		w.buf[i] ^= 0x10;
	}
	for (size_t len = 0; len < w.len; len++) {
		hv_state_reader_init(&r, w.buf, len);
		if (virtio_dev_load(&copy, &r, &err) >= 0)
			CHECK_EQ(len, SIZE_MAX);
	}
	virtio_dev_reset(&copy);
	virtio_dev_fini(&copy);
	hv_state_writer_free(&w);
	tear_down();
}

static void test_state_of_another_device(void)
{
	static const struct virtio_dev_ops other_ops = {
		.name = "other", .device_id = 43, .start = toy_start, .stop = toy_stop,
	};
	struct virtio_dev other = { 0 };
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err;

	set_up(0, QSIZE);
	virtio_dev_pause(&toy);
	hv_state_writer_init(&w);
	virtio_dev_save(&toy, &w);
	CHECK_EQ(virtio_dev_init(&other, &other_ops, "other0", 0, 2, 256, NULL), 0);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(&other, &r, &err), -EINVAL);
	virtio_dev_fini(&other);
	/* The same device with fewer or smaller queues. */
	CHECK_EQ(virtio_dev_init(&other, &toy_ops, "toy1", 0, 1, 256, NULL), 0);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(&other, &r, &err), -EINVAL);
	virtio_dev_fini(&other);
	CHECK_EQ(virtio_dev_init(&other, &toy_ops, "toy1", 0, 2, 4, NULL), 0);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(&other, &r, &err), -EINVAL);
	virtio_dev_fini(&other);
	hv_state_writer_free(&w);
	tear_down();
}

static void test_iov_copies(void)
{
	char a[4] = "abcd", b[3] = "efg", out[8] = "";
	struct iovec iov[] = { { a, 4 }, { b, 3 } };

	CHECK_EQ(virtq_iov_to_buf(iov, 2, 2, out, 4), 4);
	CHECK(!memcmp(out, "cdef", 4));
	CHECK_EQ(virtq_iov_to_buf(iov, 2, 5, out, 8), 2);
	CHECK_EQ(virtq_iov_to_buf(iov, 2, 7, out, 8), 0);
	CHECK_EQ(virtq_iov_from_buf(iov, 2, 3, "XYZ", 3), 3);
	CHECK(!memcmp(a, "abcX", 4) && !memcmp(b, "YZg", 3));
}

int main(void)
{
	TEST_RUN(test_chain);
	TEST_RUN(test_unpop);
	TEST_RUN(test_indirect);
	TEST_RUN(test_zero_length_is_skipped);
	TEST_RUN(test_buffer_over_adjacent_regions);
	TEST_RUN(test_scratch_grows);
	TEST_RUN(test_indices_wrap);
	TEST_RUN(test_event_index);
	TEST_RUN(test_flags_suppress);
	TEST_RUN(test_loop_of_descriptors);
	TEST_RUN(test_next_out_of_range);
	TEST_RUN(test_head_out_of_range);
	TEST_RUN(test_readable_after_writable);
	TEST_RUN(test_outside_of_ram);
	TEST_RUN(test_bad_indirect);
	TEST_RUN(test_bad_indirect_table);
	TEST_RUN(test_indirect_not_negotiated);
	TEST_RUN(test_chain_longer_than_queue);
	TEST_RUN(test_chain_longer_than_4g);
	TEST_RUN(test_avail_index_jumps);
	TEST_RUN(test_too_many_in_flight);
	TEST_RUN(test_rings_outside_of_ram);
	TEST_RUN(test_random_rings);
	TEST_RUN(test_status_rules);
	TEST_RUN(test_pause_and_resume);
	TEST_RUN(test_state_round_trip);
	TEST_RUN(test_state_of_another_device);
	TEST_RUN(test_iov_copies);
	return TEST_EXIT();
}
