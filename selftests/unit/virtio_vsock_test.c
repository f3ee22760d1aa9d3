// SPDX-License-Identifier: GPL-2.0-or-later
/* The socket device over Unix sockets; the test is the guest and the programs of the host. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../../virtio-backends/io_thread.h"
#include "../../virtio-backends/vsock_internal.h"
#include "unit_log.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define QSIZE	16
#define CID	7u
#define BUF_LEN	4096u
#define HEADER	((uint32_t)sizeof(struct vsock_header))
#define RX_BUF(i) (DRV_BUFFERS + (i) * BUF_LEN)
#define TX_BUF	(DRV_BUFFERS + 0x40000)

static struct hv_io_thread *thread;
static struct virtio_dev *dev;
static struct drv drv;
static char dir[] = "/tmp/hvm-vsock-XXXXXX", path[64];

static void create(void)
{
	struct virtio_vsock_config cfg = { .cid = CID, .path = path, .id = "vsock0" };
	struct hv_err err = { 0 };

	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_vsock_create(&cfg, &dev, &err), 0);
}

static void give_buffer(void)
{
	static unsigned int next;
	const struct drv_buf b = { RX_BUF(next++ % QSIZE), BUF_LEN, true };

	drv_avail(&drv, VSOCK_RX, drv_chain(&drv, VSOCK_RX, &b, 1));
	drv_kick(&drv, VSOCK_RX);
}

static void set_up(void)
{
	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	snprintf(path, sizeof(path), "%s/vsock", dir);
	create();
	drv_init(&drv, dev);
	test_catch_log();
	drv_start(&drv, dev->host_features, 3, QSIZE);
	for (unsigned int i = 0; i < QSIZE; i++)
		give_buffer();
}

static void tear_down(void)
{
	virtio_dev_destroy(dev);
	hv_io_thread_stop(thread);
	drv_fini(&drv);
	CHECK(access(path, F_OK));
}

/* ---- The guest ---- */

static struct vsock_header got;		/* the last packet, and its data */
static uint8_t data[BUF_LEN];

/* The next packet from the device; false: none comes. Its buffer is given back. */
static bool get(void)
{
	struct vring_desc *d;
	uint32_t id, len;

	memset(&got, 0, sizeof(got));
	if (!drv_wait_used(&drv, VSOCK_RX, &id, &len))
		return false;
	d = &drv.q[VSOCK_RX].desc[id];
	memcpy(&got, drv_ptr(&drv, d->addr), sizeof(got));
	CHECK_EQ(len, HEADER + got.len);
	memcpy(data, (uint8_t *)drv_ptr(&drv, d->addr) + HEADER, len - HEADER);
	CHECK(got.src_cid == VSOCK_CID_HOST && got.dst_cid == CID && got.type == 1);
	give_buffer();
	return true;
}

static bool get_op(uint16_t op, uint32_t guest_port)
{
	return get() && got.op == op && got.dst_port == guest_port;
}

static bool silent(void)
{
	usleep(20000);
	return !drv_used(&drv, VSOCK_RX, NULL, NULL);
}

static struct vsock_header header(uint16_t op, uint32_t from, uint32_t to)
{
	return (struct vsock_header){
		.src_cid = CID, .dst_cid = VSOCK_CID_HOST, .src_port = from, .dst_port = to,
		.type = VSOCK_TYPE_STREAM, .op = op, .buf_alloc = 100000,
	};
}

static void put_header(const struct vsock_header *h, const void *payload, uint32_t len)
{
	const struct drv_buf b = { TX_BUF, HEADER + len, false };
	uint8_t *p = drv_ptr(&drv, TX_BUF);

	memcpy(p, h, sizeof(*h));
	if (len)
		memcpy(p + HEADER, payload, len);
	drv_avail(&drv, VSOCK_TX, drv_chain(&drv, VSOCK_TX, &b, 1));
	drv_kick(&drv, VSOCK_TX);
	CHECK(drv_wait_used(&drv, VSOCK_TX, NULL, NULL));
}

static void put(uint16_t op, uint32_t from, uint32_t to)
{
	struct vsock_header h = header(op, from, to);

	put_header(&h, NULL, 0);
}

static void put_data(uint32_t from, uint32_t to, const void *payload, uint32_t len)
{
	struct vsock_header h = header(VSOCK_OP_RW, from, to);

	h.len = len;
	put_header(&h, payload, len);
}

/* ---- Programs of the host ---- */

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

static int host_listen(unsigned int port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", path, port);
	unlink(addr.sun_path);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(fd, 8), 0);
	return fd;
}

static void host_unlisten(int fd, unsigned int port)
{
	char name[96];

	snprintf(name, sizeof(name), "%s_%u", path, port);
	unlink(name);
	close(fd);
}

static void say(int fd, const char *text)
{
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
}

static bool hears(int fd, const char *text)
{
	char buf[256] = { 0 };
	size_t have = 0, len = strlen(text);
	ssize_t n;

	while (have < len && (n = read(fd, buf + have, len - have)) > 0)
		have += (size_t)n;
	if (have == len && !memcmp(buf, text, len))
		return true;
	printf("# heard \"%s\"\n", buf);
	return false;
}

static bool hears_end(int fd)
{
	char c;

	return read(fd, &c, 1) <= 0;
}

/* A connection that the guest began: its end in the host. */
static int guest_connects(int listener, uint32_t from, uint32_t to)
{
	put(VSOCK_OP_REQUEST, from, to);
	CHECK(get_op(VSOCK_OP_RESPONSE, from));
	CHECK_EQ(got.src_port, to);
	CHECK_EQ(got.buf_alloc, VSOCK_BUFFER);
	return accept(listener, NULL, NULL);
}

/* ---- Tests ---- */

static void test_guest_connects(void)
{
	int listener, fd;
	uint64_t cid;

	set_up();
	virtio_dev_config_read(dev, 0, &cid, sizeof(cid));
	CHECK_EQ(cid, CID);
	listener = host_listen(80);
	fd = guest_connects(listener, 1000, 80);
	put_data(1000, 80, "hello", 5);
	CHECK(hears(fd, "hello"));
	say(fd, "world");
	CHECK(get_op(VSOCK_OP_RW, 1000));
	CHECK(got.len == 5 && !memcmp(data, "world", 5));
	CHECK_EQ(got.fwd_cnt, 5);
	/* Half a close each, and a reset when both are done. */
	put_header(&(struct vsock_header){ CID, 2, 1000, 80, 0, 1, VSOCK_OP_SHUTDOWN,
					   VSOCK_SHUTDOWN_SEND, 100000, 5 }, NULL, 0);
	CHECK(hears_end(fd));
	say(fd, "still");
	CHECK(get_op(VSOCK_OP_RW, 1000));
	close(fd);
	CHECK(get_op(VSOCK_OP_SHUTDOWN, 1000));
	put_header(&(struct vsock_header){ CID, 2, 1000, 80, 0, 1, VSOCK_OP_SHUTDOWN,
					   VSOCK_SHUTDOWN_SEND | VSOCK_SHUTDOWN_RCV, 100000, 5 },
		   NULL, 0);
	CHECK(get_op(VSOCK_OP_RST, 1000));
	host_unlisten(listener, 80);
	/* Nobody is there. */
	put(VSOCK_OP_REQUEST, 1001, 80);
	CHECK(get_op(VSOCK_OP_RST, 1001));
	CHECK_EQ(got.src_port, 80);
	tear_down();
}

static void test_host_connects(void)
{
	char line[64];
	uint32_t port;
	int fd;

	set_up();
	fd = host_connect();
	say(fd, "CONN");
	CHECK(silent());
	say(fd, "ECT 22\nearly");
	CHECK(get_op(VSOCK_OP_REQUEST, 22));
	port = got.src_port;
	CHECK(silent());
	put(VSOCK_OP_RESPONSE, 22, port);
	snprintf(line, sizeof(line), "OK %u\n", port);
	CHECK(hears(fd, line));
	CHECK(get_op(VSOCK_OP_RW, 22));
	CHECK(got.len == 5 && !memcmp(data, "early", 5));
	put_data(22, port, "banner", 6);
	CHECK(hears(fd, "banner"));
	put(VSOCK_OP_RST, 22, port);
	CHECK(hears_end(fd));
	close(fd);
	/* The guest refuses. */
	fd = host_connect();
	say(fd, "CONNECT 23\n");
	CHECK(get_op(VSOCK_OP_REQUEST, 23));
	CHECK(got.src_port != port);
	put(VSOCK_OP_RST, 23, got.src_port);
	CHECK(hears_end(fd));
	close(fd);
	tear_down();
}

static void test_bad_greetings(void)
{
	static const char *const bad[] = {
		"\n", "connect 5\n", "CONNECT\n", "CONNECT \n", "CONNECT -1\n", "CONNECT 5 \n",
		"CONNECT 4294967295\n", "CONNECT 99999999999999999999\n",
		"CONNECT 0000000000000000000000000000000000000000000001\n",
	};

	set_up();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = host_connect();

		say(fd, bad[i]);
		CHECK(hears_end(fd));
		close(fd);
	}
	CHECK(silent());
	tear_down();
}

/* The guest says how much it can take. */
static void test_credit_of_guest(void)
{
	struct vsock_header h = header(VSOCK_OP_REQUEST, 1, 80);
	int listener, fd;

	set_up();
	listener = host_listen(80);
	h.buf_alloc = 10;
	put_header(&h, NULL, 0);
	CHECK(get_op(VSOCK_OP_RESPONSE, 1));
	fd = accept(listener, NULL, NULL);
	say(fd, "0123456789abcdef");
	CHECK(get_op(VSOCK_OP_RW, 1));
	CHECK_EQ(got.len, 10);
	CHECK(get_op(VSOCK_OP_CREDIT_REQUEST, 1));
	CHECK(silent());
	h.op = VSOCK_OP_CREDIT_UPDATE;
	h.fwd_cnt = 4;
	put_header(&h, NULL, 0);
	CHECK(get_op(VSOCK_OP_RW, 1));
	CHECK(got.len == 4 && !memcmp(data, "abcd", 4));
	h.fwd_cnt = 14;
	put_header(&h, NULL, 0);
	while (get() && got.op == VSOCK_OP_CREDIT_REQUEST)
		;
	CHECK(got.op == VSOCK_OP_RW && got.len == 2);
	close(fd);
	host_unlisten(listener, 80);
	tear_down();
}

/* The host's program does not read: what the guest may send ahead is bounded. */
static void test_credit_of_host(void)
{
	static uint8_t chunk[16384], back[16384];
	uint32_t sent = 0, credit = VSOCK_BUFFER;
	int listener, fd;
	bool reset = false;

	set_up();
	listener = host_listen(80);
	fd = guest_connects(listener, 1, 80);
	for (unsigned int i = 0; i < sizeof(chunk); i++)
		chunk[i] = (uint8_t)(i * 5);
	/* As much as the device says it takes. */
	while (sent + sizeof(chunk) <= credit) {
		put_data(1, 80, chunk, sizeof(chunk));
		sent += sizeof(chunk);
		put(VSOCK_OP_CREDIT_REQUEST, 1, 80);
		CHECK(get_op(VSOCK_OP_CREDIT_UPDATE, 1));
		credit = got.fwd_cnt + got.buf_alloc;
	}
	CHECK(sent >= VSOCK_BUFFER);
	for (uint32_t n = 0; n < sent; n += sizeof(back)) {
		CHECK_EQ(recv(fd, back, sizeof(back), MSG_WAITALL), sizeof(back));
		CHECK(!memcmp(back, chunk, sizeof(back)));
	}
	/* It says that there is room again, without being asked. */
	CHECK(get_op(VSOCK_OP_CREDIT_UPDATE, 1));
	CHECK(got.fwd_cnt > 0);
	/* More than it takes. */
	for (unsigned int i = 0; i < 64 && !reset; i++) {
		put_data(1, 80, chunk, sizeof(chunk));
		while (!reset && drv.q[VSOCK_RX].used->idx != drv.q[VSOCK_RX].used_seen && get())
			reset = got.op == VSOCK_OP_RST;
	}
	CHECK(reset);
	close(fd);
	host_unlisten(listener, 80);
	tear_down();
}

static void test_bad_packets(void)
{
	struct vsock_header h = header(VSOCK_OP_RW, 5, 6);
	int listener, fd;

	set_up();
	put(VSOCK_OP_RW, 5, 6);			/* no such connection */
	CHECK(get_op(VSOCK_OP_RST, 5));
	put(VSOCK_OP_RST, 5, 6);
	put(99, 5, 6);
	CHECK(get_op(VSOCK_OP_RST, 5));
	h.type = 2;
	put_header(&h, NULL, 0);
	CHECK(get_op(VSOCK_OP_RST, 5));
	h.type = 1;
	h.src_cid = CID + 1;			/* somebody else's */
	put_header(&h, NULL, 0);
	h.src_cid = CID;
	h.dst_cid = 1;
	put_header(&h, NULL, 0);
	CHECK(silent());
	listener = host_listen(80);
	fd = guest_connects(listener, 1, 80);
	put(VSOCK_OP_REQUEST, 1, 80);		/* once more */
	CHECK(get_op(VSOCK_OP_RST, 1));
	CHECK(hears_end(fd));
	close(fd);
	fd = guest_connects(listener, 1, 80);
	put(VSOCK_OP_RESPONSE, 1, 80);		/* to what it asked itself */
	CHECK(get_op(VSOCK_OP_RST, 1));
	close(fd);
	CHECK(!virtio_dev_is_broken(dev));
	host_unlisten(listener, 80);
	tear_down();
}

static void bad_chain(uint32_t out, uint32_t claimed)
{
	const struct drv_buf b = { TX_BUF, out, false };
	struct vsock_header h = header(VSOCK_OP_RW, 5, 6);

	set_up();
	h.len = claimed;
	memcpy(drv_ptr(&drv, TX_BUF), &h, sizeof(h));
	drv_avail(&drv, VSOCK_TX, drv_chain(&drv, VSOCK_TX, &b, 1));
	drv_kick(&drv, VSOCK_TX);
	WAIT_FOR(virtio_dev_is_broken(dev));
	tear_down();
}

static void test_bad_lengths(void)
{
	bad_chain(HEADER - 1, 0);
	bad_chain(HEADER, 1);
	bad_chain(HEADER + 10, 0xffffffff);
	bad_chain(HEADER + 70000, 65537);
}

/* A guest that gives no buffers gets its resets later; its other packets wait meanwhile. */
static void test_many_resets(void)
{
	const struct drv_buf b = { TX_BUF, HEADER, false };
	struct vsock_header h = header(VSOCK_OP_RW, 5, 6);
	unsigned int taken = 0;

	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	create();
	drv_init(&drv, dev);
	drv_start(&drv, dev->host_features, 3, QSIZE);
	memcpy(drv_ptr(&drv, TX_BUF), &h, sizeof(h));
	for (unsigned int i = 0; i < VSOCK_MAX_RESETS + 5; i++) {
		drv_avail(&drv, VSOCK_TX, drv_chain(&drv, VSOCK_TX, &b, 1));
		drv_kick(&drv, VSOCK_TX);
		if (i >= VSOCK_MAX_RESETS)
			continue;
		CHECK(drv_wait_used(&drv, VSOCK_TX, NULL, NULL));
	}
	usleep(20000);
	CHECK(!drv_used(&drv, VSOCK_TX, NULL, NULL));
	for (unsigned int i = 0; i < QSIZE; i++)
		give_buffer();
	while (taken < VSOCK_MAX_RESETS + 5 && get_op(VSOCK_OP_RST, 5))
		taken++;
	CHECK_EQ(taken, VSOCK_MAX_RESETS + 5);
	for (unsigned int i = 0; i < 5; i++)
		CHECK(drv_wait_used(&drv, VSOCK_TX, NULL, NULL));
	tear_down();
}

/* How many of them have not been closed by the device. */
static unsigned int count_open(const int *fds, unsigned int n)
{
	unsigned int open = 0;
	char c;

	for (unsigned int i = 0; i < n; i++)
		open += recv(fds[i], &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	return open;
}

static void test_too_many_connections(void)
{
	int fds[VSOCK_MAX_CONNS + 1];

	set_up();
	for (unsigned int i = 0; i <= VSOCK_MAX_CONNS; i++)
		fds[i] = host_connect();
	/* One of them is turned away; the others wait for their greeting. */
	WAIT_FOR(count_open(fds, VSOCK_MAX_CONNS + 1) == VSOCK_MAX_CONNS);
	drv_start(&drv, dev->host_features, 3, QSIZE);
	for (unsigned int i = 0; i <= VSOCK_MAX_CONNS; i++) {
		CHECK(hears_end(fds[i]));	/* the reset closed them */
		close(fds[i]);
	}
	tear_down();
}

static void test_pause(void)
{
	int listener, fd;

	set_up();
	listener = host_listen(80);
	fd = guest_connects(listener, 1, 80);
	virtio_dev_pause(dev);
	say(fd, "meanwhile");
	usleep(10000);
	CHECK(!drv_used(&drv, VSOCK_RX, NULL, NULL));
	virtio_dev_resume(dev);
	CHECK(get_op(VSOCK_OP_RW, 1));
	CHECK(got.len == 9 && !memcmp(data, "meanwhile", 9));
	put_data(1, 80, "yes", 3);
	CHECK(hears(fd, "yes"));
	close(fd);
	host_unlisten(listener, 80);
	tear_down();
}

static void test_state(void)
{
	const struct drv_buf b = { TX_BUF + 0x1000, 4, true };
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err = { 0 };
	uint32_t *event;
	int listener, fd;

	set_up();
	listener = host_listen(80);
	fd = guest_connects(listener, 1, 80);
	event = drv_ptr(&drv, TX_BUF + 0x1000);
	*event = 99;
	drv_avail(&drv, VSOCK_EVENT, drv_chain(&drv, VSOCK_EVENT, &b, 1));
	drv_kick(&drv, VSOCK_EVENT);
	usleep(10000);
	CHECK(!drv_used(&drv, VSOCK_EVENT, NULL, NULL));
	virtio_dev_pause(dev);
	hv_state_writer_init(&w);
	virtio_dev_save(dev, &w);
	virtio_dev_destroy(dev);
	CHECK(hears_end(fd));
	close(fd);
	create();
	drv_attach(&drv, dev);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(virtio_dev_load(dev, &r, &err), 0);
	virtio_dev_resume(dev);
	/* The driver is told that its connections are gone. */
	CHECK(drv_wait_used(&drv, VSOCK_EVENT, NULL, NULL));
	CHECK_EQ(*event, 0);
	put_data(1, 80, "old", 3);
	CHECK(get_op(VSOCK_OP_RST, 1));
	fd = guest_connects(listener, 1, 80);
	close(fd);
	host_unlisten(listener, 80);
	tear_down();
	hv_state_writer_free(&w);
}

static void test_path(void)
{
	struct virtio_vsock_config cfg = { .cid = CID, .path = path, .id = "vsock1" };
	struct virtio_dev *other;
	struct hv_err err = { 0 };
	char longest[200];
	struct stat st;

	set_up();
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	cfg.loop = hv_io_thread_loop(thread);
	CHECK_EQ(virtio_vsock_create(&cfg, &other, &err), -EADDRINUSE);
	CHECK(strstr(err.msg, "another guest"));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	cfg.path = longest;
	CHECK_EQ(virtio_vsock_create(&cfg, &other, &err), -ENAMETOOLONG);
	cfg.path = dir;
	CHECK_EQ(virtio_vsock_create(&cfg, &other, &err), -EADDRINUSE);
	CHECK(strstr(err.msg, "no socket"));
	tear_down();
}

int main(void)
{
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	TEST_RUN(test_guest_connects);
	TEST_RUN(test_host_connects);
	TEST_RUN(test_bad_greetings);
	TEST_RUN(test_credit_of_guest);
	TEST_RUN(test_credit_of_host);
	TEST_RUN(test_bad_packets);
	TEST_RUN(test_bad_lengths);
	TEST_RUN(test_many_resets);
	TEST_RUN(test_too_many_connections);
	TEST_RUN(test_pause);
	TEST_RUN(test_state);
	TEST_RUN(test_path);
	rmdir(dir);
	return TEST_EXIT();
}
