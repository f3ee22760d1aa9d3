// SPDX-License-Identifier: GPL-2.0-or-later
/* Events of the control socket: who gets them, how often, and what a slow reader costs. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../vmm-user/control/schema.h"
#include "control_conn.h"
#include "control_world.h"
#include "unit_test.h"

static struct conn a, b;

static unsigned int count(const char *text, const char *what)
{
	unsigned int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void forget(void)
{
	a.len = b.len = 0;
	a.got[0] = b.got[0] = '\0';
}

static void both_read(void)
{
	server_work();
	conn_read(&a);
	conn_read(&b);
}

/* All clients that have begun, and no others. */
static void test_who(void)
{
	server_start();
	hvm_control_event(NULL, "STOP", json_object());
	hvm_control_event(control, "STOP", NULL);
	conn_open(&a);
	conn_begin(&b);
	forget();
	hvm_control_event(control, "RESET", json_pack("{s:b, s:s}", "guest", 1, "reason",
						      "guest-reset"));
	both_read();
	CHECK_STR(a.got, "");
	CHECK(!strncmp(b.got, "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": "
		       "\"guest-reset\"}, \"timestamp\": {\"seconds\": ", 90));
	CHECK(strstr(b.got, ", \"microseconds\": "));
	CHECK_STR(ask_text(&a, BEGIN), "{\"return\": {}}\r\n");
	forget();
	/* What no table names does not leave. */
	hvm_control_event(control, "NEWS", NULL);
	hvm_control_event(control, "STOP", NULL);
	both_read();
	CHECK_EQ(count(a.got, "\n"), 1);
	CHECK_EQ(count(b.got, "STOP"), 1);
	CHECK(!strstr(b.got, "data"));
	conn_close(&a);
	hvm_control_event(control, "RESUME", NULL);
	forget();
	server_work();
	conn_read(&b);
	CHECK_EQ(count(b.got, "RESUME"), 1);
	conn_close(&b);
	server_stop();
}

static void tell_balloon(unsigned int n)
{
	hvm_control_event(control, "BALLOON_CHANGE", json_pack("{s:i}", "actual", (int)n));
}

/* The first at once, then the last one of each second. */
static void test_limit(void)
{
	uint64_t t0;

	server_start();
	conn_begin(&b);
	forget();
	t0 = hv_loop_now_ns();
	for (unsigned int i = 1; i <= 1000; i++)
		tell_balloon(i);
	server_work();
	conn_read(&b);
	/* A machine that stands still may let some more seconds pass. */
	if (hv_loop_now_ns() - t0 < 900000000) {
		CHECK_EQ(count(b.got, "BALLOON_CHANGE"), 1);
		CHECK(strstr(b.got, "\"actual\": 1}"));
	}
	WAIT_FOR((server_work(), conn_read(&b), strstr(b.got, "\"actual\": 1000}")));
	CHECK(count(b.got, "BALLOON_CHANGE") <= 2 + (hv_loop_now_ns() - t0) / 1000000000);
	/* One that waits goes with the server. */
	tell_balloon(1);
	tell_balloon(2);
	conn_close(&b);
	server_stop();
}

/* One that reads no events goes when too much waits; the others get all. */
static void test_slow_reader(void)
{
	unsigned int sent = 0, got = 0;

	server_start();
	conn_begin(&a);
	conn_begin(&b);
	a.len = 0;
	for (; sent < 100000 && !a.closed; sent++) {
		forget();
		hvm_control_event(control, "STOP", NULL);
		server_work();
		conn_read(&b);
		got += count(b.got, "STOP");
		/* Gone? Do not take anything. */
		if (sent % 256 == 0 && sent * 80 > HVM_CONTROL_OUT_MAX)
			a.closed = send(a.fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
				   errno == EPIPE;
	}
	CHECK(a.closed);
	CHECK_EQ(got, sent);
	CHECK(!b.closed);
	conn_close(&a);
	conn_close(&b);
	server_stop();
}

/* A client that its own command's event is too much for. */
static void test_killed_by_own_event(void)
{
	static const char stop[] = "{\"execute\": \"stop\"}\n";
	ssize_t n = 1;

	server_start();
	conn_begin(&a);
	for (int i = 0; i < 40000 && n > 0; i++) {
		hvm_control_event(control, "STOP", NULL);
		n = send(a.fd, stop, sizeof(stop) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			n = 1;
		if (i % 16 == 0)
			server_work();
	}
	CHECK(n < 0 && (errno == EPIPE || errno == ECONNRESET));
	server_work();
	conn_begin(&b);
	conn_close(&a);
	conn_close(&b);
	server_stop();
}

static void test_cleanup(void)
{
	CHECK_EQ(world_stop(), 0);
}

int main(void)
{
	if (world_start())
		return 1;
	TEST_RUN(test_who);
	TEST_RUN(test_limit);
	TEST_RUN(test_slow_reader);
	TEST_RUN(test_killed_by_own_event);
	TEST_RUN(test_cleanup);
	return TEST_EXIT();
}
