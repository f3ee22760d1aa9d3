// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket of a guest, against good and hostile clients. */
#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../vmm-user/control/server.h"
#include "control_world.h"
#include "unit_test.h"

#define MAX_CLIENTS	8
/* What one line may make the guest allocate; nothing stays when it has been answered. */
#define MAX_MEMORY	(512 << 10)

static struct hv_err err;

/* ---- Memory of JSON values ---- */

static size_t mem_now, mem_peak;

static void *count_malloc(size_t size)
{
	void *p = malloc(size);

	mem_now += malloc_usable_size(p);
	if (mem_now > mem_peak)
		mem_peak = mem_now;
	return p;
}

static void count_free(void *p)
{
	mem_now -= malloc_usable_size(p);
	free(p);
}

/* ---- A server that the test's own thread drives, and a client's end of a connection ---- */

static struct hv_loop *loop;
static struct hvm_control *control;

static void server_start(void)
{
	CHECK_EQ(hv_loop_create(&loop), 0);
	CHECK_EQ(hvm_control_create(NULL, "g", loop, &control, &err), 0);
	hvm_control_start(control);
	machine_pushes = machine_quits = 0;
	mem_now = mem_peak = 0;
	json_set_alloc_funcs(count_malloc, count_free);
}

static void server_stop(void)
{
	CHECK_EQ(mem_now, 0);
	CHECK(mem_peak <= MAX_MEMORY);
	json_set_alloc_funcs(malloc, free);
	hvm_control_destroy(control);
	hv_loop_destroy(loop);
}

static void server_work(void)
{
	for (int i = 0; i < 4; i++)
		CHECK_EQ(hv_loop_run_once(loop, 0), 0);
}

struct conn {
	int fd;
	char got[16384];	/* all answers since the last ask() */
	size_t len;
	bool closed;
};

static void conn_open(struct conn *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memset(c, 0, sizeof(*c));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/hvm/g.sock", world_dir);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	server_work();
}

static void conn_close(struct conn *c)
{
	close(c->fd);
	server_work();
}

static void conn_read(struct conn *c)
{
	ssize_t n;

	while ((n = recv(c->fd, c->got + c->len, sizeof(c->got) - 1 - c->len, MSG_DONTWAIT)) > 0)
		c->len += (size_t)n;
	if (!n || errno != EAGAIN)
		c->closed = true;
	c->got[c->len] = '\0';
}

/* Send @data, of any size, while the server works; returns what came back. */
static const char *ask(struct conn *c, const char *data, size_t len)
{
	c->len = 0;
	while (len && !c->closed) {
		ssize_t n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN) {
			break;
		}
		server_work();
		conn_read(c);
	}
	server_work();
	conn_read(c);
	return c->got;
}

static const char *ask_text(struct conn *c, const char *text)
{
	return ask(c, text, strlen(text));
}

static const char *ask_line(struct conn *c, const char *line, size_t len)
{
	char buf[MAX_LINE + 1];

	memcpy(buf, line, len);
	buf[len] = '\n';
	return ask(c, buf, len + 1);
}

/* ---- Lines ---- */

#define BAD	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not a command: "		\
		"{\\\"execute\\\": NAME} is wanted\"}}\n"
#define UNKNOWN	"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no such command\"}}\n"

static void check_lines(const struct line *lines, size_t nr, const char *want)
{
	struct conn c;

	server_start();
	conn_open(&c);
	for (size_t i = 0; i < nr; i++)
		CHECK_STR(ask_line(&c, lines[i].text, lines[i].len), want);
	CHECK_EQ(machine_quits, 0);
	CHECK_EQ(machine_pushes, 0);
	conn_close(&c);
	server_stop();
}
#define CHECK_LINES(lines, want) check_lines(lines, sizeof(lines) / sizeof(lines[0]), want)

static void test_commands(void)
{
	struct conn c;
	char want[256];

	server_start();
	conn_open(&c);
	snprintf(want, sizeof(want), "{\"return\": {\"name\": \"g\", \"pid\": %d, \"status\": "
		 "\"running\", \"cpus\": 2, \"mem\": 1099511627776, \"uptime_ms\": 3723004, "
		 "\"console\": \"/dev/pts/\\\"7\\\"\"}}\n", getpid());
	CHECK_STR(ask_text(&c, STATUS "\n"), want);
	CHECK_STR(ask_text(&c, "{\"execute\": \"system_powerdown\"}\n"),
		  "{\"return\": {\"heard\": false}}\n");
	CHECK_STR(ask_text(&c, "{\"execute\": \"system_powerdown\"}\n"),
		  "{\"return\": {\"heard\": true}}\n");
	CHECK_EQ(machine_quits, 0);
	CHECK_STR(ask_text(&c, " {\"id\":[{}],\"execute\":\"\\u0071uit\", \"arguments\": {}}\r\n"),
		  "{\"return\": {}}\n");
	CHECK_EQ(machine_quits, 1);
	machine_pauses = machine_resumes = 0;
	CHECK_STR(ask_text(&c, "{\"execute\": \"stop\"}\n"), "{\"return\": {}}\n");
	CHECK_EQ(machine_pauses, 1);
	CHECK_STR(ask_text(&c, "{\"execute\": \"cont\"}\n"), "{\"return\": {}}\n");
	CHECK_EQ(machine_resumes, 1);
	CHECK(!c.closed);
	conn_close(&c);
	server_stop();
}

static const char *balloon(struct conn *c, const char *arguments)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"execute\": \"balloon\"%s}\n", arguments);
	return ask_text(c, line);
}

#define REFUSED(why)	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"" why "\"}}\n"
#define NO_VALUE	REFUSED("balloon: \\\"value\\\" is missing, bytes for the guest")

static void test_balloon(void)
{
	static const char *const bad[] = {
		"", ", \"arguments\": {}", ", \"arguments\": []", ", \"arguments\": 5",
		", \"arguments\": {\"value\": \"5000\"}", ", \"arguments\": {\"value\": 5000.0}",
		", \"arguments\": {\"value\": -1}", ", \"arguments\": {\"Value\": 5000}",
	};
	struct conn c;

	server_start();
	conn_open(&c);
	machine_balloon = 0;
	CHECK_STR(ask_text(&c, "{\"execute\": \"query-balloon\"}\n"), REFUSED("no balloon"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_STR(balloon(&c, bad[i]), NO_VALUE);
	CHECK_STR(balloon(&c, ", \"arguments\": {\"value\": 5}"), REFUSED("too small"));
	CHECK_EQ(machine_balloon, 0);
	CHECK_STR(balloon(&c, ", \"arguments\": {\"value\": 5000}"), "{\"return\": {}}\n");
	CHECK_EQ(machine_balloon, 5000);
	CHECK_STR(ask_text(&c, "{\"execute\": \"query-balloon\"}\n"),
		  "{\"return\": {\"mem\": 1099511627776, \"value\": 5000, \"actual\": "
		  "1099511623680, \"trimming\": true, \"stats_age_ms\": 0, \"stats\": "
		  "{\"free_memory\": 5, \"major_faults\": -1}}}\n");
	CHECK_STR(ask_text(&c, "{\"execute\": \"x-hv-balloon-trim\"}\n"), REFUSED("busy"));
	conn_close(&c);
	server_stop();
}

static const char *block(struct conn *c, const char *command, const char *arguments)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"execute\": \"%s\", \"arguments\": {%s}}\n", command,
		 arguments);
	return ask_text(c, line);
}

static void test_block(void)
{
	struct conn c;

	server_start();
	conn_open(&c);
	CHECK_STR(block(&c, "block_resize", ""), REFUSED("\\\"device\\\" is missing, a string"));
	CHECK_STR(block(&c, "block_resize", "\"device\": \"blk0\""),
		  REFUSED("\\\"size\\\" is missing, bytes of the disk"));
	CHECK_STR(block(&c, "block_resize", "\"device\": \"blk0\", \"size\": -1"),
		  REFUSED("\\\"size\\\" is missing, bytes of the disk"));
	CHECK_STR(block(&c, "block_resize", "\"device\": \"x\", \"size\": 1"), REFUSED("no disk"));
	CHECK_STR(block(&c, "block_resize", "\"device\": \"blk0\", \"size\": 4096"),
		  "{\"return\": {}}\n");
	CHECK_STR(machine_disk, "resize 4096");
	CHECK_STR(block(&c, "blockdev-snapshot-internal-sync", "\"device\": \"blk0\""),
		  REFUSED("\\\"name\\\" is missing, a string"));
	CHECK_STR(block(&c, "blockdev-snapshot-internal-sync",
			"\"device\": \"blk0\", \"name\": \"s\""), "{\"return\": {}}\n");
	CHECK_STR(machine_disk, "0 s");
	CHECK_STR(block(&c, "blockdev-snapshot-delete-internal-sync",
			"\"device\": \"blk0\", \"name\": \"s\""), "{\"return\": {}}\n");
	CHECK_STR(machine_disk, "2 s");
	CHECK_STR(block(&c, "blockdev-snapshot-sync", "\"device\": \"blk0\""),
		  REFUSED("\\\"snapshot-file\\\" is missing, a string"));
	CHECK_STR(block(&c, "blockdev-snapshot-sync",
			"\"device\": \"blk0\", \"snapshot-file\": \"/f\", \"mode\": \"existing\""),
		  REFUSED("only format \\\"qcow2\\\" and mode \\\"absolute-paths\\\""));
	CHECK_STR(block(&c, "blockdev-snapshot-sync",
			"\"device\": \"blk0\", \"snapshot-file\": \"/f\""), "{\"return\": {}}\n");
	CHECK_STR(machine_disk, "overlay /f");
	conn_close(&c);
	server_stop();
}

static void test_unknown_commands(void)
{
	static const struct line lines[] = {
		LINE("{\"execute\": \"\"}"), LINE("{\"execute\": \"Quit\"}"),
		LINE("{\"execute\": \"quit \"}"), LINE("{\"execute\": \"quit\\n\"}"),
		LINE("{\"execute\": \"\xc3\xa4\"}"), LINE("{\"execute\": \"\\ud83d\\ude00\"}"),
	};

	CHECK_LINES(lines, UNKNOWN);
}

static void test_malformed(void)
{
	static const struct line lines[] = {
		LINE(""), LINE(" "), LINE("\r"), LINE("quit"), LINE("null"), LINE("42"),
		LINE("\"quit\""), LINE("[]"), LINE("[\"execute\", \"quit\"]"), LINE("{}"),
		LINE("{"), LINE("}"), LINE("{\"execute\"}"), LINE("{\"execute\": }"),
		LINE("{\"execute\": 1}"), LINE("{\"execute\": null}"),
		LINE("{\"execute\": [\"quit\"]}"), LINE("{\"execute\": {\"execute\": \"quit\"}}"),
		LINE("{\"x\": {\"execute\": \"quit\"}}"), LINE("{\"Execute\": \"quit\"}"),
		LINE("{\"execute\": \"quit\""), LINE("{\"execute\": \"quit"),
		LINE("{\"execute\": \"quit\"} x"), LINE("{\"execute\": \"quit\"}{}"),
		LINE("{\"execute\": \"quit\",}"), LINE("{'execute': 'quit'}"),
		LINE("{execute: \"quit\"}"), LINE("{\"execute\": \"quit\"} // end"),
		LINE("{\"execute\": \"quit\", \"execute\": \"quit\"}"),
		LINE("{\"execute\": \"quit\", \"x\": 01}"),
		LINE("{\"execute\": \"quit\", \"x\": 9223372036854775808}"),
		LINE("{\"execute\": \"quit\", \"x\": 1e999}"),
		LINE("{\"execute\": \"qu\tit\"}"), LINE("{\"execute\": \"quit\\x\"}"),
		LINE("{\"execute\": \"quit\\u00\"}"), LINE("{\"execute\": \"quit\\"),
	};

	CHECK_LINES(lines, BAD);
}

/* A string in C ends at a NUL, one of the protocol does not. */
static void test_nul(void)
{
	static const struct line lines[] = {
		LINE("\0"), LINE("\0{\"execute\": \"quit\"}"), LINE("{\"execute\": \"quit\"}\0"),
		LINE("{\"execute\": \"quit\"}\0{\"execute\": \"quit\"}"),
		LINE("{\"execute\": \"quit\0\"}"), LINE("{\"execute\": \"quit\\u0000\"}"),
		LINE("{\"execute\0\": \"quit\"}"), LINE("{\"execute\\u0000\": \"quit\"}"),
		LINE("{\"execute\": \"quit\", \"\\u0000\": 1}"), LINE("\0\0\0\0\0\0\0\0"),
	};

	CHECK_LINES(lines, BAD);
}

static void test_not_utf8(void)
{
	static const struct line lines[] = {
		LINE("{\"execute\": \"quit\xff\"}"), LINE("{\"execute\": \"\x80quit\"}"),
		LINE("{\"execute\": \"quit\xc3\"}"), LINE("{\"execute\": \"quit\xc0\x80\"}"),
		LINE("{\"execute\": \"quit\xed\xa0\x80\"}"),
		LINE("{\"execute\": \"quit\xf5\x80\x80\x80\"}"),
		LINE("{\"execute\": \"quit\\ud800\"}"), LINE("{\"execute\": \"quit\\udc00\"}"),
		LINE("{\"execute\": \"quit\", \"\xfe\": 1}"), LINE("\xff\xfe"),
		LINE("\xef\xbb\xbf{\"execute\": \"quit\"}"),
	};

	CHECK_LINES(lines, BAD);
}

/* ---- Size and depth ---- */

/* What takes most memory of all that fits into a line; server_stop() compares with the bound. */
static void test_costly_lines(void)
{
	static const struct {
		const char *head, *unit, *tail, *want;
	} lines[] = {
		{ "", "[", "", BAD },
		{ "", "{\"\":", "", BAD },
		{ "{\"execute\": ", "[", "\"quit\"}", BAD },
		{ "{\"execute\": \"x\", \"y\": [0", ",{}", "]}", UNKNOWN },
		{ "{\"execute\": \"x\", \"y\": [0", ",[]", "]}", UNKNOWN },
		{ "{\"execute\": \"x\", \"y\": [0", ",{\"\":{}}", "]}", UNKNOWN },
		{ "{\"execute\": \"x\", \"y\": [0", ",\"\"", "]}", UNKNOWN },
		{ "{\"execute\": \"x\", \"y\": [0", ",0", "]}", UNKNOWN },
		{ "{\"execute\": \"x\", \"y\": \"", "\\u0001", "\"}", UNKNOWN },
		{ "{\"execute\": \"", "x", "\"}", UNKNOWN },
		{ "{\"execute\": \"x\", \"y\": ", "1", "}", BAD },
	};
	char line[MAX_LINE];
	struct conn c;

	server_start();
	conn_open(&c);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		longest_line(line, lines[i].head, lines[i].unit, lines[i].tail);
		CHECK_STR(ask(&c, line, sizeof(line)), lines[i].want);
		CHECK_EQ(mem_now, 0);
	}
	CHECK(!c.closed);
	conn_close(&c);
	server_stop();
}

/* Deep, but well-formed: a command with @depth arrays in each other. */
static void ask_nested(struct conn *c, size_t depth, const char *want)
{
	static const char head[] = "{\"execute\":\"x\",\"y\":";
	char line[2 * MAX_LINE];
	size_t n = strlen(head);

	memcpy(line, head, n);
	memset(line + n, '[', depth);
	memset(line + n + depth, ']', depth);
	memcpy(line + n + 2 * depth, "}\n", 2);
	CHECK_STR(ask(c, line, n + 2 * depth + 2), want);
}

static void test_nesting(void)
{
	struct conn c;

	server_start();
	conn_open(&c);
	ask_nested(&c, 1, UNKNOWN);
	ask_nested(&c, 2037, UNKNOWN);
	CHECK(!c.closed);
	ask_nested(&c, 2038, "");	/* no longer a line */
	CHECK(c.closed);
	conn_close(&c);
	server_stop();
}

/* A line without end is not kept: its client goes, the others stay. */
static void test_endless_line(void)
{
	size_t len = 1 << 20;
	char *data = malloc(len);
	struct conn c, other;

	server_start();
	conn_open(&other);
	for (size_t n = MAX_LINE; n <= len; n <<= 4) {
		conn_open(&c);
		memset(data, 'x', len);
		CHECK_STR(ask(&c, data, n - 1), "");
		CHECK_EQ(c.closed, n > MAX_LINE);
		CHECK_STR(ask(&c, data, 1), "");
		CHECK(c.closed);
		conn_close(&c);
	}
	CHECK_STR(ask_text(&other, "{}\n"), BAD);
	conn_close(&other);
	server_stop();
	free(data);
}

/* Lines do not arrive as they were sent. */
static void test_pieces(void)
{
	static const char lines[] = "{}\n" "{\"execute\": \"x\"}\n" "\n";
	struct conn c;

	server_start();
	conn_open(&c);
	CHECK_STR(ask(&c, lines, sizeof(lines) - 1), BAD UNKNOWN BAD);
	for (size_t i = 0; i < sizeof(lines) - 2; i++)
		CHECK_EQ(strlen(ask(&c, lines + i, 1)) > 0, lines[i] == '\n');
	/* The last line's end does not come. */
	conn_close(&c);
	conn_open(&c);
	CHECK_STR(ask_text(&c, "{}\n{}"), BAD);
	conn_close(&c);
	server_stop();
}

/* A client that sends and does not read must neither block the guest nor fill its memory. */
static void test_client_that_does_not_read(void)
{
	struct conn c;
	ssize_t n = 0;

	server_start();
	conn_open(&c);
	for (int i = 0; i < 100000 && n >= 0; i++) {
		n = send(c.fd, "{}\n{}\n{}\n", 9, MSG_DONTWAIT | MSG_NOSIGNAL);
		server_work();
	}
	CHECK(n < 0 && (errno == EPIPE || errno == ECONNRESET));
	conn_close(&c);
	conn_open(&c);
	CHECK_STR(ask_text(&c, "{}\n"), BAD);
	conn_close(&c);
	server_stop();
}

static void test_many_clients(void)
{
	static struct conn c[MAX_CLIENTS + 1];

	server_start();
	for (int i = 0; i <= MAX_CLIENTS; i++)
		conn_open(&c[i]);
	CHECK_STR(ask_text(&c[MAX_CLIENTS], "{}\n"), "");
	CHECK(c[MAX_CLIENTS].closed);
	for (int i = 0; i < MAX_CLIENTS; i++)
		CHECK_STR(ask_text(&c[i], "{}\n"), BAD);
	conn_close(&c[3]);
	conn_close(&c[MAX_CLIENTS]);
	conn_open(&c[3]);
	CHECK_STR(ask_text(&c[3], "{}\n"), BAD);
	for (int i = 0; i < MAX_CLIENTS; i++)
		conn_close(&c[i]);
	server_stop();
}

/* Each line of @answers is an object that tells a result or an error. */
static bool answers_valid(const char *answers)
{
	json_error_t e;
	bool good = *answers;

	while (good && *answers) {
		json_t *o = json_loads(answers, JSON_DISABLE_EOF_CHECK, &e);

		good = json_object_get(o, "return") || json_object_get(o, "error");
		json_decref(o);
		answers += strcspn(answers, "\n");
		good = good && *answers++ == '\n';
	}
	return good;
}

/* Every cut and every changed byte of a line: an answer, and no access outside of the line. */
static void test_mutations(void)
{
	static const char line[] = "{\"execute\": \"query-status\", \"x\": [{\"\\u0031\": [null, "
				   "-1e3]}, \"\\\"\xc3\xa4\"]}";
	char buf[sizeof(line)];
	struct conn c;

	server_start();
	conn_open(&c);
	for (size_t len = 1; len < sizeof(line); len++) {
		CHECK_STR(ask_line(&c, line, len - 1), BAD);
		for (int byte = 0; byte < 256; byte++) {
			memcpy(buf, line, sizeof(line) - 1);
			buf[len - 1] = (char)byte;
			CHECK(answers_valid(ask_line(&c, buf, sizeof(line) - 1)));
		}
	}
	CHECK(strstr(ask_line(&c, line, sizeof(line) - 1), "running"));
	conn_close(&c);
	server_stop();
}

/* Nothing is left behind. */
static void test_cleanup(void)
{
	CHECK_EQ(world_stop(), 0);
}

int main(void)
{
	if (world_start())
		return 1;
	TEST_RUN(test_commands);
	TEST_RUN(test_balloon);
	TEST_RUN(test_block);
	TEST_RUN(test_unknown_commands);
	TEST_RUN(test_malformed);
	TEST_RUN(test_nul);
	TEST_RUN(test_not_utf8);
	TEST_RUN(test_costly_lines);
	TEST_RUN(test_nesting);
	TEST_RUN(test_endless_line);
	TEST_RUN(test_pieces);
	TEST_RUN(test_client_that_does_not_read);
	TEST_RUN(test_many_clients);
	TEST_RUN(test_mutations);
	TEST_RUN(test_cleanup);
	return TEST_EXIT();
}
