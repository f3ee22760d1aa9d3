// SPDX-License-Identifier: GPL-2.0-or-later
/* The host's side of network devices: streams of frames, and the switch between guests. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../virtio-backends/io_thread.h"
#include "../../virtio-backends/net/port.h"
#include "../../virtio-backends/net_defs.h"
#include "unit_log.h"
#include "unit_test.h"

#define HDR	sizeof(struct net_header)
#define NPORTS	4

/* A port and what its device would know. All but the atomics belong to the loop. */
struct side {
	struct net_port *port;
	atomic_uint ready, links_down, links_up;
	uint8_t packet[NET_MAX_PACKET];
	ssize_t len;
	int ret;
};

static struct side side[NPORTS];
static struct hv_io_thread *thread;
static char dir[] = "/tmp/hvm-net-XXXXXX";

static void on_ready(void *opaque, bool receive, bool send)
{
	atomic_fetch_add(&((struct side *)opaque)->ready, 1);
}

static void on_link(void *opaque, bool up)
{
	struct side *s = opaque;

	atomic_fetch_add(up ? &s->links_up : &s->links_down, 1);
}

static void adopt(struct side *s)
{
	s->port->ready = on_ready;
	s->port->link = on_link;
	s->port->opaque = s;
}

static void do_receive(void *opaque)
{
	struct side *s = opaque;
	/* Split, so that copying across parts is seen to work. */
	struct iovec iov[2] = {{ s->packet, 20 }, { s->packet + 20, sizeof(s->packet) - 20 }};

	memset(s->packet, 0xee, 64);
	s->len = s->port->ops->receive(s->port, iov, 2);
	if (s->len < 0)
		s->port->ops->want(s->port, true, false);
}

/* Wait for a packet: its length without the header, 0: none came in @tries times 100 us. */
static size_t receive_within(struct side *s, unsigned int tries)
{
	for (unsigned int i = 0; i < tries; i++) {
		hv_loop_call(hv_io_thread_loop(thread), do_receive, s);
		if (s->len >= 0)
			return (size_t)s->len - HDR;
		usleep(100);
	}
	return 0;
}

static size_t receive(struct side *s)
{
	return receive_within(s, 50000);
}

static void do_send(void *opaque)
{
	struct side *s = opaque;
	struct iovec iov[3] = {
		{ s->packet, 5 }, { s->packet + 5, 20 }, { s->packet + 25, (size_t)s->len - 25 },
	};

	s->ret = s->port->ops->send(s->port, iov, 3, (size_t)s->len);
	if (s->ret == -EAGAIN)
		s->port->ops->want(s->port, false, true);
}

/* Send a frame of @len bytes from @from to @to (last bytes of addresses). */
static int send_frame(struct side *s, uint8_t to, uint8_t from, size_t len)
{
	for (size_t i = 0; i < HDR + len; i++)
		s->packet[i] = (uint8_t)(i * 3 + from);
	memset(s->packet, 0xff, HDR);	/* a header nobody should believe */
	memcpy(s->packet + HDR, (const uint8_t[]){ 2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from }, 12);
	if (to == 0xff)
		memset(s->packet + HDR, 0xff, 6);
	s->len = (ssize_t)(HDR + len);
	hv_loop_call(hv_io_thread_loop(thread), do_send, s);
	return s->ret;
}

static void do_destroy(void *opaque)
{
	struct side *s = opaque;

	s->port->ops->destroy(s->port);
	s->port = NULL;
}

static void leave(struct side *s)
{
	hv_loop_call(hv_io_thread_loop(thread), do_destroy, s);
}

/* ---- Streams ---- */

static int listener, conn;
static char socket_path[64];

struct stream_create {
	struct side *s;
	struct hv_err err;
	int ret;
};

static void do_create_stream(void *opaque)
{
	struct stream_create *c = opaque;

	c->ret = net_stream_port_create(socket_path, "net0", hv_io_thread_loop(thread), &c->s->port,
					&c->err);
	if (!c->ret)
		adopt(c->s);
}

static void serve(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	unlink(socket_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(listener, 1), 0);
}

static void set_up_stream(void)
{
	struct stream_create c = { .s = &side[0] };

	memset(side, 0, sizeof(side));
	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/passt", dir);
	serve();
	test_catch_log();
	hv_loop_call(hv_io_thread_loop(thread), do_create_stream, &c);
	CHECK_EQ(c.ret, 0);
	conn = accept(listener, NULL, NULL);
}

static void tear_down_stream(void)
{
	leave(&side[0]);
	hv_io_thread_stop(thread);
	close(conn);
	close(listener);
	unlink(socket_path);
}

static void write_frame(size_t len, uint8_t fill)
{
	static uint8_t buf[4 + NET_MAX_PACKET];
	uint32_t length = htonl((uint32_t)len);

	memcpy(buf, &length, 4);
	memset(buf + 4, fill, len);
	CHECK_EQ(write(conn, buf, 4 + len), 4 + len);
}

static void test_stream_receive(void)
{
	static const uint8_t none[HDR];
	uint32_t length = htonl(100);
	uint8_t half[50];

	set_up_stream();
	CHECK_EQ(receive_within(&side[0], 10), 0);
	write_frame(60, 1);
	write_frame(65000, 2);
	write_frame(14, 3);
	WAIT_FOR(atomic_load(&side[0].ready) > 0);
	CHECK_EQ(receive(&side[0]), 60);
	CHECK(!memcmp(side[0].packet, none, HDR));
	CHECK(side[0].packet[HDR] == 1 && side[0].packet[HDR + 59] == 1);
	CHECK_EQ(receive(&side[0]), 65000);
	CHECK(side[0].packet[HDR] == 2 && side[0].packet[HDR + 64999] == 2);
	CHECK_EQ(receive(&side[0]), 14);
	/* In parts. */
	memset(half, 4, sizeof(half));
	CHECK_EQ(write(conn, &length, 2), 2);
	CHECK_EQ(receive_within(&side[0], 10), 0);
	CHECK_EQ(write(conn, (uint8_t *)&length + 2, 2), 2);
	CHECK_EQ(write(conn, half, 50), 50);
	CHECK_EQ(receive_within(&side[0], 10), 0);
	CHECK_EQ(write(conn, half, 50), 50);
	CHECK_EQ(receive(&side[0]), 100);
	tear_down_stream();
}

static void read_all(uint8_t *buf, size_t len)
{
	size_t have = 0;
	ssize_t n;

	while (have < len && (n = read(conn, buf + have, len - have)) > 0)
		have += (size_t)n;
	CHECK_EQ(have, len);
}

static void test_stream_send(void)
{
	static uint8_t buf[4 + NET_MAX_PACKET];
	unsigned int sent = 0;
	uint32_t length;

	set_up_stream();
	CHECK_EQ(send_frame(&side[0], 1, 2, 90), 0);
	read_all(buf, 94);
	memcpy(&length, buf, 4);
	CHECK_EQ(ntohl(length), 90);
	CHECK(!memcmp(buf + 4, side[0].packet + HDR, 90));
	/* Until the other side is full: each frame arrives whole and once. */
	while (sent < 1000 && !send_frame(&side[0], 1, (uint8_t)sent, 30000))
		sent++;
	CHECK_EQ(side[0].ret, -EAGAIN);
	CHECK(sent > 1 && sent < 1000);
	for (unsigned int i = 0; i < sent; i++) {
		read_all(buf, 4);
		memcpy(&length, buf, 4);
		CHECK_EQ(ntohl(length), 30000);
		read_all(buf, 30000);
		CHECK_EQ(buf[11], i & 0xff);
		CHECK_EQ(buf[29999], (uint8_t)((HDR + 29999) * 3 + i));
	}
	WAIT_FOR(atomic_load(&side[0].ready) > 0);
	CHECK_EQ(send_frame(&side[0], 1, 2, 60), 0);
	read_all(buf, 64);
	tear_down_stream();
}

static void test_stream_bad_length(void)
{
	static const uint32_t bad[] = { 0, 13, 70000, 0xffffffff };

	set_up_stream();
	for (unsigned int i = 0; i < 4; i++) {
		uint32_t length = htonl(bad[i]);

		CHECK_EQ(write(conn, &length, 4), 4);
		for (unsigned int j = 0; j < 50000 && atomic_load(&side[0].links_down) == i; j++)
			receive_within(&side[0], 1);
		CHECK_EQ(atomic_load(&side[0].links_down), i + 1);
		CHECK(test_log_has("impossible length"));
		close(conn);
		conn = accept(listener, NULL, NULL);	/* it comes back after a second */
		WAIT_FOR(atomic_load(&side[0].links_up) == i + 1);
	}
	write_frame(60, 1);
	CHECK_EQ(receive(&side[0]), 60);
	tear_down_stream();
}

/* The other side goes, and comes again later. */
static void test_stream_reconnect(void)
{
	set_up_stream();
	receive_within(&side[0], 1);
	close(conn);
	close(listener);
	unlink(socket_path);
	for (unsigned int j = 0; j < 50000 && !atomic_load(&side[0].links_down); j++)
		receive_within(&side[0], 1);
	CHECK(test_log_has("closed"));
	CHECK_EQ(send_frame(&side[0], 1, 2, 60), -ENOTCONN);
	usleep(1200000);
	CHECK_EQ(atomic_load(&side[0].links_up), 0);
	serve();
	conn = accept(listener, NULL, NULL);
	WAIT_FOR(atomic_load(&side[0].links_up) == 1);
	CHECK_EQ(atomic_load(&side[0].links_down), 1);
	write_frame(60, 1);
	CHECK_EQ(receive(&side[0]), 60);
	tear_down_stream();
}

static void test_stream_nobody(void)
{
	struct stream_create c = { .s = &side[0] };

	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/nothing", dir);
	hv_loop_call(hv_io_thread_loop(thread), do_create_stream, &c);
	CHECK_EQ(c.ret, -ENOENT);
	CHECK(strstr(c.err.msg, "start passt first"));
	hv_io_thread_stop(thread);
}

/* ---- The switch ---- */

static char switch_dir[64];

struct mesh_create {
	struct side *s;
	const char *name;
	struct hv_err err;
	int ret;
};

static void do_create_mesh(void *opaque)
{
	struct mesh_create *c = opaque;

	c->ret = net_mesh_port_create(switch_dir, c->name, "net0", hv_io_thread_loop(thread),
				      &c->s->port, &c->err);
	if (!c->ret)
		adopt(c->s);
}

static void join(unsigned int n, const char *name)
{
	struct mesh_create c = { .s = &side[n], .name = name };

	hv_loop_call(hv_io_thread_loop(thread), do_create_mesh, &c);
	CHECK_EQ(c.ret, 0);
}

static void set_up_mesh(void)
{
	memset(side, 0, sizeof(side));
	snprintf(switch_dir, sizeof(switch_dir), "%s/lan.switch", dir);
	CHECK_EQ(hv_io_thread_start("test", &thread), 0);
	test_catch_log();
	join(0, "a.0");
	join(1, "b.0");
	join(2, "c.0");
	/* Connections are there when they have been accepted. */
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < 50000 && receive_within(&side[i], 1); j++)
			;
}

static void tear_down_mesh(void)
{
	for (unsigned int i = 0; i < NPORTS; i++)
		if (side[i].port)
			leave(&side[i]);
	hv_io_thread_stop(thread);
	/* The last one took the directory away. */
	CHECK(access(switch_dir, F_OK) && errno == ENOENT);
}

static void test_mesh_floods_and_learns(void)
{
	static const uint8_t none[HDR];

	set_up_mesh();
	CHECK_EQ(send_frame(&side[0], 0xff, 1, 100), 0);
	CHECK_EQ(receive(&side[1]), 100);
	CHECK(!memcmp(side[1].packet, none, HDR));
	CHECK_EQ(side[1].packet[HDR + 99], (uint8_t)((HDR + 99) * 3 + 1));
	CHECK_EQ(receive(&side[2]), 100);
	CHECK(atomic_load(&side[1].ready) > 0);
	/* Both know where 1 is now, and only it gets the answer. */
	CHECK_EQ(send_frame(&side[1], 1, 2, 200), 0);
	CHECK_EQ(receive(&side[0]), 200);
	CHECK_EQ(receive_within(&side[2], 200), 0);
	CHECK_EQ(send_frame(&side[0], 2, 1, 65000), 0);
	CHECK_EQ(receive(&side[1]), 65000);
	CHECK_EQ(receive_within(&side[2], 200), 0);
	/* The address moves. */
	CHECK_EQ(send_frame(&side[2], 0xff, 2, 50), 0);
	CHECK_EQ(receive(&side[0]), 50);
	CHECK_EQ(receive(&side[1]), 50);
	CHECK_EQ(send_frame(&side[0], 2, 1, 70), 0);
	CHECK_EQ(receive(&side[2]), 70);
	CHECK_EQ(receive_within(&side[1], 200), 0);
	tear_down_mesh();
}

static void test_mesh_leaves_and_returns(void)
{
	set_up_mesh();
	CHECK_EQ(send_frame(&side[1], 0xff, 2, 100), 0);
	CHECK_EQ(receive(&side[0]), 100);
	CHECK_EQ(receive(&side[2]), 100);
	leave(&side[1]);
	/* To who is gone: the first may be lost when that is noticed, then it goes to all. */
	send_frame(&side[0], 2, 1, 60);
	CHECK_EQ(send_frame(&side[0], 2, 1, 61), 0);
	CHECK_EQ(receive(&side[2]), 61);
	join(3, "b.0");
	CHECK_EQ(send_frame(&side[3], 0xff, 2, 90), 0);
	CHECK_EQ(receive(&side[0]), 90);
	CHECK_EQ(receive(&side[2]), 90);
	CHECK_EQ(send_frame(&side[0], 2, 1, 80), 0);
	CHECK_EQ(receive(&side[3]), 80);
	tear_down_mesh();
}

/* One that does not take its packets holds up neither the sender nor the others. */
static void test_mesh_slow_peer(void)
{
	unsigned int lost = 0;

	set_up_mesh();
	for (unsigned int i = 0; i < 2000; i++) {
		lost += send_frame(&side[0], 0xff, 1, 1500) != 0;
		CHECK_EQ(receive(&side[1]), 1500);
	}
	CHECK(lost > 0);
	CHECK_EQ(receive(&side[2]), 1500);
	tear_down_mesh();
}

/* What a killed process left behind is removed, and a full network says so. */
static void test_mesh_left_over_and_full(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct side *many = calloc(65, sizeof(*many));
	struct mesh_create c = { .s = &side[3], .name = "one-too-many.0" };
	char name[16];
	int fd;

	set_up_mesh();
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dead.0", switch_dir);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	for (unsigned int i = 0; i < 62; i++) {
		struct mesh_create m = { .s = &many[i], .name = name };

		snprintf(name, sizeof(name), "m%u.0", i);
		hv_loop_call(hv_io_thread_loop(thread), do_create_mesh, &m);
		CHECK_EQ(m.ret, 0);
	}
	CHECK(access(addr.sun_path, F_OK));
	hv_loop_call(hv_io_thread_loop(thread), do_create_mesh, &c);
	CHECK_EQ(c.ret, -ENOSPC);
	CHECK(strstr(c.err.msg, "65 guests"));
	for (unsigned int i = 0; i < 62; i++)
		leave(&many[i]);
	free(many);
	tear_down_mesh();
}

int main(void)
{
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	TEST_RUN(test_stream_receive);
	TEST_RUN(test_stream_send);
	TEST_RUN(test_stream_bad_length);
	TEST_RUN(test_stream_reconnect);
	TEST_RUN(test_stream_nobody);
	TEST_RUN(test_mesh_floods_and_learns);
	TEST_RUN(test_mesh_leaves_and_returns);
	TEST_RUN(test_mesh_slow_peer);
	TEST_RUN(test_mesh_left_over_and_full);
	rmdir(dir);
	return TEST_EXIT();
}
