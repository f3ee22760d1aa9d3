// SPDX-License-Identifier: GPL-2.0-or-later
/* Named ports: the test is the driver, and the programs of the host. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../virtio-backends/io_thread.h"
#include "../../virtio-backends/ports.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define QSIZE		16
#define DATA		DRV_BUFFERS
#define CONTROL		(DRV_BUFFERS + 0x10000)	/* to the driver: 64 bytes for each descriptor */
#define MESSAGE		(DRV_BUFFERS + 0x20000)	/* from the driver */

enum { RX, TX, CONTROL_RX, CONTROL_TX };
enum { DEVICE_READY, ADD, REMOVE, READY, CONSOLE, RESIZE, OPEN, NAME };

struct message {
	uint32_t id;
	uint16_t event, value;
};

static struct hv_io_thread *thread;
static struct virtio_dev *dev;
static struct drv drv;
static char dir[] = "/tmp/hvm-ports-XXXXXX", path[64];

static void create(void)
{
	const struct virtio_port_config port = { "org.example.0", path };
	struct virtio_ports_config cfg = { .nr = 1, .port = &port, .id = "ports0" };
	struct hv_err err = { 0 };

	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_ports_create(&cfg, &dev, &err), 0);
}

static void give_control(void)
{
	uint16_t slot = drv.q[CONTROL_RX].next_desc;
	const struct drv_buf b = { CONTROL + slot * 128u, 128, true };

	drv_avail(&drv, CONTROL_RX, drv_chain(&drv, CONTROL_RX, &b, 1));
	drv_kick(&drv, CONTROL_RX);
}

static void start(void)
{
	drv_start(&drv, dev->host_features, 4, QSIZE);
	for (unsigned int i = 0; i < 4; i++)
		give_control();
}

static void set_up(void)
{
	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	snprintf(path, sizeof(path), "%s/port", dir);
	create();
	drv_init(&drv, dev);
	test_catch_log();
	start();
}

static void tear_down(void)
{
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
	CHECK(access(path, F_OK));
}

static void tell(uint32_t id, uint16_t event, uint16_t value)
{
	const struct drv_buf b = { MESSAGE, sizeof(struct message), false };
	struct message *m = drv_ptr(&drv, MESSAGE);

	*m = (struct message){ id, event, value };
	drv_avail(&drv, CONTROL_TX, drv_chain(&drv, CONTROL_TX, &b, 1));
	drv_kick(&drv, CONTROL_TX);
	CHECK(drv_wait_used(&drv, CONTROL_TX, NULL, NULL));
}

/* The next message is this; its text, if it has one, goes to @text. */
static bool told(uint16_t event, uint16_t value, char *text)
{
	struct message m;
	uint32_t id, len;

	if (!drv_wait_used(&drv, CONTROL_RX, &id, &len))
		return false;
	memcpy(&m, drv_ptr(&drv, CONTROL + id * 128), sizeof(m));
	if (text) {
		memcpy(text, (char *)drv_ptr(&drv, CONTROL + id * 128) + sizeof(m),
		       len - sizeof(m));
		text[len - sizeof(m)] = '\0';
	} else {
		CHECK_EQ(len, sizeof(m));
	}
	give_control();
	return m.id == 0 && m.event == event && m.value == value;
}

static int host_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval tv = { .tv_sec = 10 };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd;
}

static void handshake(void)
{
	char name[128];

	tell(0, DEVICE_READY, 1);
	CHECK(told(ADD, 1, NULL));
	tell(0, READY, 1);
	CHECK(told(NAME, 1, name));
	CHECK_STR(name, "org.example.0");
	CHECK(told(OPEN, 0, NULL));
}

static void give_buffer(uint32_t at, uint32_t len)
{
	const struct drv_buf b = { DATA + at, len, true };

	drv_avail(&drv, RX, drv_chain(&drv, RX, &b, 1));
	drv_kick(&drv, RX);
}

static void send_text(const char *text)
{
	const struct drv_buf b = { DATA + 0x4000, (uint32_t)strlen(text), false };

	memcpy(drv_ptr(&drv, DATA + 0x4000), text, strlen(text));
	drv_avail(&drv, TX, drv_chain(&drv, TX, &b, 1));
	drv_kick(&drv, TX);
}

static bool hears(int fd, const char *text)
{
	char buf[64] = { 0 };
	size_t have = 0, len = strlen(text);
	ssize_t n;

	while (have < len && (n = read(fd, buf + have, len - have)) > 0)
		have += (size_t)n;
	return have == len && !memcmp(buf, text, len);
}

static void test_both_ways(void)
{
	uint32_t len, max;
	int fd;

	set_up();
	virtio_dev_config_read(dev, 4, &max, 4);
	CHECK_EQ(max, 1);
	handshake();
	fd = host_connect();
	CHECK(told(OPEN, 1, NULL));
	/* Until the guest has opened it, nothing is taken from the program. */
	CHECK_EQ(write(fd, "hello", 5), 5);
	give_buffer(0, 3);
	usleep(10000);
	CHECK(!drv_used(&drv, RX, NULL, NULL));
	tell(0, OPEN, 1);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK(len == 3 && !memcmp(drv_ptr(&drv, DATA), "hel", 3));
	give_buffer(0, 100);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK(len == 2 && !memcmp(drv_ptr(&drv, DATA), "lo", 2));
	give_buffer(0, 100);
	CHECK_EQ(write(fd, "more", 4), 4);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK_EQ(len, 4);
	send_text("world");
	CHECK(hears(fd, "world"));
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	give_buffer(0, 100);
	close(fd);
	CHECK(told(OPEN, 0, NULL));
	/* Nobody is there: what is sent is lost, and the next program can connect. */
	send_text("lost");
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	fd = host_connect();
	CHECK(told(OPEN, 1, NULL));
	send_text("again");
	CHECK(hears(fd, "again"));
	close(fd);
	tear_down();
}

static void test_one_at_a_time(void)
{
	char c;
	int fd, other;

	set_up();
	handshake();
	fd = host_connect();
	CHECK(told(OPEN, 1, NULL));
	other = host_connect();
	CHECK_EQ(read(other, &c, 1), 0);
	close(other);
	send_text("still");
	CHECK(hears(fd, "still"));
	/* The first one goes while the guest has the port closed, so that nobody notices. */
	close(fd);
	other = host_connect();
	CHECK(told(OPEN, 1, NULL) || told(OPEN, 1, NULL));
	send_text("new");
	CHECK(hears(other, "new"));
	close(other);
	tear_down();
}

/* A program that does not read. */
static void test_full(void)
{
	static char chunk[0x4000], got[0x4000];
	const struct drv_buf b = { DATA, sizeof(chunk), false };
	unsigned int sent = 0, read_back = 0;
	int fd;

	set_up();
	handshake();
	fd = host_connect();
	CHECK(told(OPEN, 1, NULL));
	for (unsigned int i = 0; i < sizeof(chunk); i++)
		((char *)drv_ptr(&drv, DATA))[i] = chunk[i] = (char)(i * 3);
	do {
		drv_avail(&drv, TX, drv_chain(&drv, TX, &b, 1));
		drv_kick(&drv, TX);
		sent++;
		usleep(5000);
	} while (sent < 200 && drv_used(&drv, TX, NULL, NULL));
	CHECK(sent < 200);
	virtio_dev_pause(dev);
	virtio_dev_resume(dev);
	for (; read_back < sent; read_back++) {
		if (recv(fd, got, sizeof(got), MSG_WAITALL) != sizeof(got) ||
		    memcmp(got, chunk, sizeof(got)))
			break;
	}
	CHECK_EQ(read_back, sent);
	CHECK(drv_wait_used(&drv, TX, NULL, NULL));
	CHECK(recv(fd, got, 1, MSG_DONTWAIT) < 0);
	close(fd);
	tear_down();
}

static void test_bad_messages(void)
{
	const struct drv_buf small = { MESSAGE, 7, false };

	set_up();
	handshake();
	tell(1, READY, 1);
	tell(0xffffffff, OPEN, 1);
	tell(0, 99, 1);
	tell(0, DEVICE_READY, 0);
	drv_avail(&drv, CONTROL_TX, drv_chain(&drv, CONTROL_TX, &small, 1));
	drv_kick(&drv, CONTROL_TX);
	CHECK(drv_wait_used(&drv, CONTROL_TX, NULL, NULL));
	usleep(10000);
	CHECK(!drv_used(&drv, CONTROL_RX, NULL, NULL));
	/* However often it is asked, the answer waits once. */
	for (unsigned int i = 0; i < 300; i++)
		tell(0, DEVICE_READY, 1);
	CHECK(!virtio_dev_is_broken(dev));
	tear_down();
}

static void test_small_control_buffer(void)
{
	const struct drv_buf b = { CONTROL, 7, true };

	set_up();
	drv_start(&drv, dev->host_features, 4, QSIZE);
	drv_avail(&drv, CONTROL_RX, drv_chain(&drv, CONTROL_RX, &b, 1));
	tell(0, DEVICE_READY, 1);
	WAIT_FOR(virtio_dev_is_broken(dev));
	CHECK(test_log_has("control buffer"));
	tear_down();
}

static void test_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	uint32_t len;
	char c;
	int fd;

	set_up();
	handshake();
	fd = host_connect();
	CHECK(told(OPEN, 1, NULL));
	tell(0, OPEN, 1);
	give_buffer(0, 100);
	usleep(10000);
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	virtio_dev_destroy(dev);
	CHECK_EQ(read(fd, &c, 1), 0);
	close(fd);
	create();
	drv_attach(&drv, dev);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	virtio_dev_resume(dev);
	tell(0, 99, 0);		/* makes it look at what is to be told */
	CHECK(told(OPEN, 0, NULL));
	fd = host_connect();
	CHECK(told(OPEN, 1, NULL));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK(drv_wait_used(&drv, RX, NULL, &len));
	CHECK_EQ(len, 1);
	close(fd);
	tear_down();
	hv_state_writer_free(&w);
}

static void test_create(void)
{
	const struct virtio_port_config port = { "a", path };
	struct virtio_ports_config cfg = { .nr = 0, .port = &port, .id = "ports1" };
	struct virtio_dev *other;
	struct hv_err err = { 0 };

	set_up();
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_ports_create(&cfg, &other, &err), -EINVAL);
	cfg.nr = 1;
	CHECK_EQ(virtio_ports_create(&cfg, &other, &err), -EADDRINUSE);
	CHECK(strstr(err.msg, "another guest"));
	/* A driver that takes it for a console gets nothing, and breaks nothing. */
	drv_start(&drv, 0, 2, QSIZE);
	send_text("hello?");
	usleep(10000);
	CHECK(!drv_used(&drv, TX, NULL, NULL));
	start();
	handshake();
	tear_down();
}

int main(void)
{
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	TEST_RUN(test_both_ways);
	TEST_RUN(test_one_at_a_time);
	TEST_RUN(test_full);
	TEST_RUN(test_bad_messages);
	TEST_RUN(test_small_control_buffer);
	TEST_RUN(test_state);
	TEST_RUN(test_create);
	rmdir(dir);
	return TEST_EXIT();
}
