// SPDX-License-Identifier: GPL-2.0-or-later
/* The console and entropy devices. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../virtio-backends/console.h"
#include "../../virtio-backends/io_thread.h"
#include "../../virtio-backends/rng.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

static struct hv_io_thread *thread;
static struct virtio_dev *dev;
static struct drv drv;

#define DATA DRV_BUFFERS

static void tear_down(void)
{
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
}

/* ---- Entropy ---- */

static void set_up_rng(uint64_t rate)
{
	struct virtio_rng_config cfg = { .bytes_per_second = rate, .id = "rng0" };
	struct hv_err err;

	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_rng_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	drv_start(&drv, dev->host_features, 1, 8);
}

static uint32_t entropy(uint32_t len)
{
	const struct drv_buf b[] = {{DATA, len / 2, true}, {DATA + 0x8000, len - len / 2, true}};
	uint32_t got = 0;

	drv_avail(&drv, 0, drv_chain(&drv, 0, b, 2));
	drv_kick(&drv, 0);
	CHECK(drv_wait_used(&drv, 0, NULL, &got));
	return got;
}

static void test_rng_fills(void)
{
	unsigned int zeroes = 0;
	uint8_t *p;

	set_up_rng(0);
	p = drv_ptr(&drv, DATA);
	CHECK_EQ(entropy(512), 512);
	for (unsigned int i = 0; i < 256; i++)
		zeroes += !p[i] + !p[0x8000 + i];
	CHECK(zeroes < 20);
	CHECK_EQ(p[256], 0);
	CHECK_EQ(entropy(20000), 4096);	/* as much as it gives at once */
	CHECK_EQ(entropy(1), 1);
	tear_down();
}

static void test_rng_rate(void)
{
	uint64_t start;

	/* 4000 bytes a second come as 1000 in each quarter. */
	set_up_rng(4000);
	start = hv_loop_now_ns();
	CHECK_EQ(entropy(1000), 1000);
	CHECK(hv_loop_now_ns() - start < 200000000);
	CHECK_EQ(entropy(4000), 1000);
	CHECK_EQ(entropy(500), 500);
	CHECK(hv_loop_now_ns() - start > 400000000);
	tear_down();
}

/* A driver that asks while it waits must not be forgotten when the budget is back. */
static void test_rng_waiters_are_served(void)
{
	const struct drv_buf b = { DATA, 100, true };
	uint32_t total = 0, len;

	set_up_rng(2000);
	for (unsigned int i = 0; i < 7; i++) {
		drv_avail(&drv, 0, drv_chain(&drv, 0, &b, 1));
		drv_kick(&drv, 0);
		usleep(5000);
	}
	for (unsigned int i = 0; i < 7; i++) {
		CHECK(drv_wait_used(&drv, 0, NULL, &len));
		total += len;
	}
	CHECK(total >= 500);
	tear_down();
}

static void test_rng_reset_while_waiting(void)
{
	const struct drv_buf b = { DATA, 100, true };

	set_up_rng(400);
	CHECK_EQ(entropy(100), 100);
	drv_avail(&drv, 0, drv_chain(&drv, 0, &b, 1));
	drv_kick(&drv, 0);
	usleep(20000);
	virtio_dev_set_status(dev, 0);
	memset(drv_ptr(&drv, DATA), 0, 100);
	usleep(300000);
	for (unsigned int i = 0; i < 100; i++)
		CHECK_EQ(((uint8_t *)drv_ptr(&drv, DATA))[i], 0);
	tear_down();
}

static void test_rng_no_room(void)
{
	const struct drv_buf b = { DATA, 100, false };

	set_up_rng(0);
	drv_avail(&drv, 0, drv_chain(&drv, 0, &b, 1));
	drv_kick(&drv, 0);
	WAIT_FOR(virtio_dev_is_broken(dev));
	tear_down();
}

/* ---- Console ---- */

enum { RX, TX };

static int host_side;	/* our end of the console's socket */

/* Upper-cases, and swallows '!'. */
static size_t filter(void *opaque, uint8_t *buf, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++)
		if (buf[i] != '!')
			buf[out++] = buf[i] >= 'a' && buf[i] <= 'z' ? buf[i] - 32 : buf[i];
	return out;
}

static void set_up_console_fds(int in, int out, bool filtered)
{
	struct virtio_console_config cfg = {
		.in_fd = in, .out_fd = out, .filter = filtered ? filter : NULL, .id = "console0",
	};
	struct hv_err err;

	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_console_create(&cfg, &dev, &err), 0);
	drv_init(&drv, dev);
	test_catch_log();
	drv_start(&drv, dev->host_features, 2, 16);
}

static void set_up_console(bool filtered)
{
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	host_side = fd[0];
	set_up_console_fds(fd[1], fd[1], filtered);
	close(fd[1]);
}

static void tear_down_console(void)
{
	tear_down();
	if (host_side >= 0)
		close(host_side);
	host_side = -1;
}

static size_t host_read(char *buf, size_t want)
{
	size_t have = 0;

	for (unsigned int i = 0; i < 20000 && have < want; i++) {
		ssize_t n = read(host_side, buf + have, want - have);

		if (n > 0)
			have += (size_t)n;
		else
			usleep(100);
	}
	return have;
}

static void give_room(uint32_t len)
{
	const struct drv_buf b = { DATA, len, true };

	drv_avail(&drv, RX, drv_chain(&drv, RX, &b, 1));
	drv_kick(&drv, RX);
}

static void print(const char *s)
{
	const struct drv_buf b = { DATA + 0x4000, (uint32_t)strlen(s), false };

	memcpy(drv_ptr(&drv, DATA + 0x4000), s, strlen(s));
	drv_avail(&drv, TX, drv_chain(&drv, TX, &b, 1));
	drv_kick(&drv, TX);
}

static void test_console_output(void)
{
	char buf[32] = "";

	set_up_console(false);
	print("hello");
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	print(" world");
	CHECK_EQ(host_read(buf, 11), 11);
	CHECK(!strcmp(buf, "hello world"));
	tear_down_console();
}

static void test_console_input(void)
{
	uint32_t len;

	set_up_console(false);
	CHECK_EQ(write(host_side, "abcdef", 6), 6);
	usleep(20000);
	CHECK(!drv_used(&drv, RX, NULL, &len));	/* no room: it stays outside */
	give_room(4);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK_EQ(len, 4);
	CHECK(!memcmp(drv_ptr(&drv, DATA), "abcd", 4));
	give_room(100);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK_EQ(len, 2);
	/* Room first, input later. */
	give_room(100);
	usleep(10000);
	CHECK_EQ(write(host_side, "xyz", 3), 3);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK_EQ(len, 3);
	tear_down_console();
}

static void test_console_filter(void)
{
	uint32_t len;

	set_up_console(true);
	give_room(100);
	CHECK_EQ(write(host_side, "!!", 2), 2);
	usleep(20000);
	CHECK(!drv_used(&drv, RX, NULL, &len));
	CHECK_EQ(write(host_side, "a!b", 3), 3);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK_EQ(len, 2);
	CHECK(!memcmp(drv_ptr(&drv, DATA), "AB", 2));
	tear_down_console();
}

#define FLOOD 0x8000u
#define FLOOD_CHAINS 14u

static void flood(void)
{
	const struct drv_buf b = { DATA + 0x10000, FLOOD, false };
	uint8_t *p = drv_ptr(&drv, DATA + 0x10000);

	for (unsigned int i = 0; i < FLOOD; i++)
		p[i] = (uint8_t)(i * 7 + i / 256);
	for (unsigned int i = 0; i < FLOOD_CHAINS; i++)
		drv_avail(&drv, TX, drv_chain(&drv, TX, &b, 1));
	drv_kick(&drv, TX);
}

static void check_flood(void)
{
	uint8_t *p = drv_ptr(&drv, DATA + 0x10000);
	char *got = malloc(FLOOD);

	for (unsigned int i = 0; i < FLOOD_CHAINS; i++) {
		CHECK_EQ(host_read(got, FLOOD), FLOOD);
		CHECK(!memcmp(got, p, FLOOD));
	}
	free(got);
}

/* The host side does not read: the guest's buffers wait, and nothing is lost. */
static void test_console_flow_control(void)
{
	unsigned int done = 0;

	set_up_console(false);
	flood();
	usleep(50000);
	while (drv_used(&drv, TX, NULL, NULL))
		done++;
	CHECK(done < FLOOD_CHAINS);
	check_flood();
	for (; done < FLOOD_CHAINS; done++)
		CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	tear_down_console();
}

/* A stop in the middle of a chain, saved and loaded: the output is still complete. */
static void test_console_pause_when_blocked(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err;

	set_up_console(false);
	flood();
	usleep(50000);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	hv_state_writer_free(&w);
	virtio_dev_resume(dev);
	check_flood();
	tear_down_console();
}

static void test_console_reset_when_blocked(void)
{
	char buf[8];

	set_up_console(false);
	flood();
	usleep(20000);
	virtio_dev_set_status(dev, 0);
	while (read(host_side, buf, sizeof(buf)) > 0)
		;
	drv_start(&drv, dev->host_features, 2, 16);
	print("again");
	CHECK_EQ(host_read(buf, 5), 5);
	CHECK(!memcmp(buf, "again", 5));
	tear_down_console();
}

static void test_console_host_goes_away(void)
{
	uint32_t len;

	set_up_console(false);
	give_room(100);
	CHECK_EQ(write(host_side, "bye", 3), 3);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	close(host_side);
	host_side = -1;
	give_room(100);
	usleep(20000);
	print("into the void");
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	print("into the void");
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	CHECK(!virtio_dev_is_broken(dev));
	tear_down_console();
}

static void test_console_without_descriptors(void)
{
	set_up_console_fds(-1, -1, false);
	give_room(100);
	print("nobody");
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	tear_down();
	/* Descriptors that cannot be polled. */
	host_side = open("/dev/null", O_RDWR | O_CLOEXEC);
	set_up_console_fds(host_side, host_side, false);
	give_room(100);
	print("nobody");
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	tear_down_console();
}

static void test_console_input_without_room(void)
{
	const struct drv_buf b = { DATA, 10, false };

	set_up_console(false);
	CHECK_EQ(write(host_side, "x", 1), 1);
	drv_avail(&drv, RX, drv_chain(&drv, RX, &b, 1));
	drv_kick(&drv, RX);
	WAIT_FOR(virtio_dev_is_broken(dev));
	tear_down_console();
}

static void test_console_resize(void)
{
	uint16_t size[2];

	set_up_console(false);
	virtio_console_resize(dev, 132, 43);
	virtio_dev_config_read(dev, 0, size, sizeof(size));
	CHECK_EQ(size[0], 132);
	CHECK_EQ(size[1], 43);
	CHECK_EQ(drv.config_interrupts, 1);
	virtio_console_resize(dev, 132, 43);
	CHECK_EQ(drv.config_interrupts, 1);
	tear_down_console();
}

int main(void)
{
	TEST_RUN(test_rng_fills);
	TEST_RUN(test_rng_rate);
	TEST_RUN(test_rng_waiters_are_served);
	TEST_RUN(test_rng_reset_while_waiting);
	TEST_RUN(test_rng_no_room);
	TEST_RUN(test_console_output);
	TEST_RUN(test_console_input);
	TEST_RUN(test_console_filter);
	TEST_RUN(test_console_flow_control);
	TEST_RUN(test_console_pause_when_blocked);
	TEST_RUN(test_console_reset_when_blocked);
	TEST_RUN(test_console_host_goes_away);
	TEST_RUN(test_console_without_descriptors);
	TEST_RUN(test_console_input_without_room);
	TEST_RUN(test_console_resize);
	return TEST_EXIT();
}
