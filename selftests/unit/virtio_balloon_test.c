// SPDX-License-Identifier: GPL-2.0-or-later
/* The memory balloon: pages go and read as zeroes, statistics come, hints and reports are taken. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../virtio-backends/balloon.h"
#include "../../virtio-backends/io_thread.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define PAGE	4096u
#define DATA	0x60000ULL	/* pages to drop; page numbers are at DRV_BUFFERS */
#define F(n)	(1ULL << (n))
#define STATS	F(1)
#define HINT	F(3)
#define POISON	F(4)
#define REPORT	F(5)

enum { INFLATE, DEFLATE, STATS_Q, HINT_Q, REPORT_Q };

static struct hv_io_thread *thread;
static struct virtio_dev *dev;
static struct drv drv;

static void set_up(uint64_t features)
{
	struct virtio_balloon_config cfg = { .id = "balloon0" };
	struct hv_err err;

	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_balloon_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	drv_start(&drv, features & dev->host_features, 5, 16);
	memset(drv_ptr(&drv, DATA), 0x55, 16 * PAGE);
}

static void tear_down(void)
{
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
}

static void put(unsigned int q, uint64_t gpa, uint32_t len, bool write)
{
	const struct drv_buf b = { gpa, len, write };

	drv_avail(&drv, q, drv_chain(&drv, q, &b, 1));
	drv_kick(&drv, q);
}

static void put_pfns(unsigned int q, const uint32_t *pfn, unsigned int n)
{
	memcpy(drv_ptr(&drv, DRV_BUFFERS), pfn, n * sizeof(*pfn));
	put(q, DRV_BUFFERS, n * (uint32_t)sizeof(*pfn), false);
	CHECK(drv_wait_used(&drv, q, NULL, NULL));
}

/* Which of the 16 pages at DATA were dropped, a bit each. */
static unsigned int dropped(void)
{
	const uint8_t *p = drv_ptr(&drv, DATA);
	unsigned int mask = 0;

	for (unsigned int i = 0; i < 16; i++)
		if (!p[i * PAGE] && !p[i * PAGE + PAGE - 1])
			mask |= 1u << i;
		else
			CHECK(p[i * PAGE] == 0x55 && p[i * PAGE + PAGE - 1] == 0x55);
	return mask;
}

#define PFN(i)	((uint32_t)(DATA / PAGE + (i)))

static void test_inflate(void)
{
	const uint32_t pfn[] = { PFN(1), PFN(2), PFN(3), PFN(7), PFN(5), PFN(6), PFN(15) };
	const uint32_t down[] = { PFN(11), PFN(10), PFN(9), PFN(12), PFN(8) };
	/* The border of two regions of memory, in one run. */
	const uint32_t border[] = { (uint32_t)(DRV_RAM2 / PAGE - 1), (uint32_t)(DRV_RAM2 / PAGE) };

	set_up(~0ULL);
	put_pfns(INFLATE, pfn, 7);
	CHECK_EQ(dropped(), 0x80ee);
	put_pfns(INFLATE, down, 5);
	CHECK_EQ(dropped(), 0x9fee);
	memset(drv_ptr(&drv, DRV_RAM2 - PAGE), 1, PAGE);
	memset(drv_ptr(&drv, DRV_RAM2), 1, PAGE);
	put_pfns(INFLATE, border, 2);
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, DRV_RAM2 - PAGE), 0);
	CHECK_EQ(*(uint8_t *)drv_ptr(&drv, DRV_RAM2), 0);
	put_pfns(DEFLATE, pfn, 7);
	memset(drv_ptr(&drv, DATA), 0x55, 16 * PAGE);	/* usable again */
	CHECK(!virtio_dev_is_broken(dev));
	tear_down();
}

static void bad_pfns(unsigned int q, uint32_t len, uint32_t pfn)
{
	set_up(~0ULL);
	memcpy(drv_ptr(&drv, DRV_BUFFERS), &pfn, sizeof(pfn));
	put(q, DRV_BUFFERS, len, false);
	WAIT_FOR(virtio_dev_is_broken(dev));
	CHECK_EQ(dropped(), 0);
	tear_down();
}

static void test_bad_pages(void)
{
	bad_pfns(INFLATE, 4, (uint32_t)(DRV_RAM0_SIZE / PAGE));	/* the hole */
	bad_pfns(INFLATE, 4, 0xffffffff);
	bad_pfns(INFLATE, 3, 0);
	bad_pfns(INFLATE, 65540, 0);
	bad_pfns(DEFLATE, 2, 0);
}

static void test_config(void)
{
	struct virtio_balloon_info info;
	uint32_t v, actual = 3, odd = 0xffffffff;

	set_up(~0ULL);
	virtio_balloon_set_target(dev, 5 * PAGE);
	CHECK_EQ(atomic_load(&drv.config_interrupts), 1);
	virtio_dev_config_read(dev, 0, &v, 4);
	CHECK_EQ(v, 5);
	virtio_dev_config_write(dev, 4, &actual, 4);
	virtio_dev_config_write(dev, 0, &odd, 4);	/* the target is the host's */
	virtio_dev_config_write(dev, 5, &odd, 2);
	virtio_balloon_info(dev, &info);
	CHECK_EQ(info.target, 5 * PAGE);
	CHECK_EQ(info.actual, 3 * PAGE);
	CHECK_EQ(info.nr_stats, 0);
	drv_start(&drv, dev->host_features, 5, 16);
	virtio_balloon_info(dev, &info);
	CHECK_EQ(info.target, 5 * PAGE);
	CHECK_EQ(info.actual, 0);
	virtio_balloon_set_target(dev, ~0ULL);
	virtio_dev_config_read(dev, 0, &v, 4);
	CHECK_EQ(v, 0xffffffff);
	tear_down();
}

static void do_nothing(void *opaque)
{
}

/* Ask for statistics, and wait until the device has looked whether it can. */
static void poll_stats(void)
{
	virtio_balloon_poll_stats(dev);
	hv_loop_call(hv_io_thread_loop(thread), do_nothing, NULL);
}

static void put_stats(uint64_t free)
{
	struct {
		uint16_t tag;
		uint64_t value;
	} __attribute__((packed)) s[3] = {{ 4, free }, { 99, 1 }, { 2, 77 }};

	memcpy(drv_ptr(&drv, DRV_BUFFERS), s, sizeof(s));
	put(STATS_Q, DRV_BUFFERS, sizeof(s) + 5, false);	/* and a part of a fourth */
}

static uint64_t stat_value(const char *name)
{
	struct virtio_balloon_info info;

	virtio_balloon_info(dev, &info);
	for (unsigned int i = 0; i < info.nr_stats; i++)
		if (!strcmp(info.stat[i].name, name))
			return info.stat[i].value;
	return ~0ULL;
}

static void test_statistics(void)
{
	set_up(~0ULL);
	poll_stats();		/* before there is a buffer */
	put_stats(1000);
	WAIT_FOR(stat_value("free_memory") == 1000);
	CHECK_EQ(stat_value("major_faults"), 77);
	CHECK_EQ(stat_value("total_memory"), ~0ULL);
	CHECK(!drv_used(&drv, STATS_Q, NULL, NULL));
	poll_stats();
	CHECK(drv_wait_used(&drv, STATS_Q, NULL, NULL));
	put_stats(2000);
	WAIT_FOR(stat_value("free_memory") == 2000);
	/* The buffer that is held survives a pause. */
	virtio_dev_pause(dev);
	poll_stats();
	virtio_dev_resume(dev);
	for (unsigned int i = 0; i < 1000 && !drv_used(&drv, STATS_Q, NULL, NULL); i++) {
		usleep(1000);
		poll_stats();
	}
	CHECK_EQ(drv.q[STATS_Q].used_seen, 2);
	/* Two at a time are one too many. */
	put_stats(3000);
	put_stats(3000);
	WAIT_FOR(virtio_dev_is_broken(dev));
	tear_down();
}

static void test_report(void)
{
	uint32_t poison = 0xaa;

	set_up(~0ULL);
	put(REPORT_Q, DATA + PAGE, 2 * PAGE, true);
	CHECK(drv_wait_used(&drv, REPORT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 6);
	/* Only whole pages. */
	put(REPORT_Q, DATA + 4 * PAGE + 1, 2 * PAGE, true);
	CHECK(drv_wait_used(&drv, REPORT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 6 | 1 << 5);
	/* A guest that looks at its free pages keeps them. */
	virtio_dev_config_write(dev, 12, &poison, 4);
	put(REPORT_Q, DATA + 8 * PAGE, PAGE, true);
	CHECK(drv_wait_used(&drv, REPORT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 6 | 1 << 5);
	tear_down();
}

/* Queues are numbered without gaps. */
static void test_queue_numbers(void)
{
	set_up(~(STATS | HINT));
	put(2, DATA, PAGE, true);
	CHECK(drv_wait_used(&drv, 2, NULL, NULL));
	CHECK_EQ(dropped(), 1);
	tear_down();
}

static void put_id(uint32_t id)
{
	memcpy(drv_ptr(&drv, DRV_BUFFERS), &id, sizeof(id));
	put(HINT_Q, DRV_BUFFERS, sizeof(id), false);
	CHECK(drv_wait_used(&drv, HINT_Q, NULL, NULL));
}

static uint32_t hint_id(void)
{
	uint32_t v;

	virtio_dev_config_read(dev, 8, &v, 4);
	return v;
}

static void test_trim(void)
{
	struct virtio_balloon_info info;
	uint32_t id;

	set_up(~0ULL);
	/* Nobody asked: hints are not taken. */
	put(HINT_Q, DATA, PAGE, true);
	CHECK(drv_wait_used(&drv, HINT_Q, NULL, NULL));
	put_id(5);
	put(HINT_Q, DATA, PAGE, true);
	CHECK(drv_wait_used(&drv, HINT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 0);
	CHECK_EQ(virtio_balloon_trim(dev), 0);
	CHECK_EQ(virtio_balloon_trim(dev), -EBUSY);
	id = hint_id();
	CHECK(id >= 2);
	put_id(id + 1);
	put(HINT_Q, DATA, PAGE, true);
	CHECK(drv_wait_used(&drv, HINT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 0);
	put_id(id);
	put(HINT_Q, DATA + 3 * PAGE, PAGE, true);
	CHECK(drv_wait_used(&drv, HINT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 8);
	virtio_balloon_info(dev, &info);
	CHECK(info.trimming);
	put_id(0);
	CHECK_EQ(hint_id(), 1);
	virtio_balloon_info(dev, &info);
	CHECK(!info.trimming);
	put(HINT_Q, DATA, PAGE, true);
	CHECK(drv_wait_used(&drv, HINT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 8);
	CHECK_EQ(virtio_balloon_trim(dev), 0);
	CHECK(hint_id() != id);
	/* A reset ends the round. */
	drv_start(&drv, ~HINT & dev->host_features, 4, 16);
	CHECK_EQ(virtio_balloon_trim(dev), -ENOTSUP);
	tear_down();
}

static void test_state(void)
{
	struct virtio_balloon_info info;
	struct virtio_balloon_config cfg = { .id = "balloon0" };
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	uint32_t actual = 9, poison = 1;

	set_up(~0ULL);
	virtio_balloon_set_target(dev, 10 * PAGE);
	virtio_dev_config_write(dev, 4, &actual, 4);
	virtio_dev_config_write(dev, 12, &poison, 4);
	put_stats(1);
	WAIT_FOR(stat_value("free_memory") == 1);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	virtio_dev_destroy(dev);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_balloon_create(&cfg, &dev, &err), 0);
	drv_attach(&drv, dev);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	virtio_dev_resume(dev);
	virtio_balloon_info(dev, &info);
	CHECK_EQ(info.target, 10 * PAGE);
	CHECK_EQ(info.actual, 9 * PAGE);
	WAIT_FOR(stat_value("free_memory") == 1);	/* from the buffer that was held */
	put(REPORT_Q, DATA, PAGE, true);
	CHECK(drv_wait_used(&drv, REPORT_Q, NULL, NULL));
	CHECK_EQ(dropped(), 0);
	tear_down();
	/* Cut anywhere, it is refused. */
	for (size_t len = 0; len < w.len; len += 3) {
		set_up(0);
		hv_state_reader_init(&r, w.buf, len);
		CHECK(virtio_dev_load(dev, &r, &err) < 0);
		tear_down();
	}
	hv_state_writer_free(&w);
}

int main(void)
{
	TEST_RUN(test_inflate);
	TEST_RUN(test_bad_pages);
	TEST_RUN(test_config);
	TEST_RUN(test_statistics);
	TEST_RUN(test_report);
	TEST_RUN(test_queue_numbers);
	TEST_RUN(test_trim);
	TEST_RUN(test_state);
	return TEST_EXIT();
}
