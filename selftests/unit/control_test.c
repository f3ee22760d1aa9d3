// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket of a guest, against good and hostile clients. */
#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../vmm-user/control/framer.h"
#include "control_conn.h"
#include "control_world.h"
#include "unit_test.h"

/* What one command may make the guest allocate for JSON; nothing stays when it is answered. */
#define MAX_MEMORY	(6u << 20)

#define REFUSED(why)	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"" why "\"}}\r\n"
#define NOT_FOUND(why)	"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" why "\"}}\r\n"
#define NO_OBJECT	REFUSED("this is no JSON object")
#define NO_JSON		REFUSED("this is no JSON")
#define TOO_LONG	REFUSED("the command is too long")
#define DONE		"{\"return\": {}}\r\n"

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

static struct conn conn;

static void start(void)
{
	mem_now = mem_peak = 0;
	json_set_alloc_funcs(count_malloc, count_free);
	server_start();
	conn_begin(&conn);
}

static void stop(void)
{
	conn_close(&conn);
	server_stop();
	CHECK_EQ(mem_now, 0);
	CHECK(mem_peak <= MAX_MEMORY);
	json_set_alloc_funcs(malloc, free);
}

/* ---- Beginning ---- */

static void test_greeting(void)
{
	static struct conn c;

	server_start();
	conn_open(&c);
	CHECK_STR(c.got, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 8, \"minor\": 2, "
		  "\"micro\": 0}, \"package\": \"hvm " HVM_VERSION "\"}, \"capabilities\": []}}\r\n");
	CHECK_STR(ask_text(&c, STATUS "\n"), NOT_FOUND("qmp_capabilities has to come first"));
	CHECK_STR(ask_text(&c, "{\"execute\": \"x\"}\n"),
		  NOT_FOUND("qmp_capabilities has to come first"));
	CHECK_STR(ask_text(&c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": "
			       "[\"oob\"]}}\n"), REFUSED("qmp_capabilities: enable: there are none"));
	CHECK_STR(ask_text(&c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": "
			       "[1]}}\n"), REFUSED("qmp_capabilities: enable: a string is wanted"));
	CHECK_STR(ask_text(&c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []},"
			       " \"id\": 1}"), "{\"return\": {}, \"id\": 1}\r\n");
	CHECK_STR(ask_text(&c, BEGIN "\n"),
		  NOT_FOUND("qmp_capabilities: this client has begun already"));
	CHECK(!c.closed);
	conn_close(&c);
	server_stop();
}

static void test_id(void)
{
	static const char *const ids[] = {
		"1", "null", "\"libvirt-12\"", "[{\"a\": []}]", "{}", "false", "\"\\u0001\\\\\"",
	};
	char line[128], want[128];

	start();
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		snprintf(line, sizeof(line), "{\"execute\": \"cont\", \"id\": %s}", ids[i]);
		snprintf(want, sizeof(want), "\"return\": {}, \"id\": %s}\r\n", ids[i]);
		CHECK(strstr(ask_text(&conn, line), want));
		snprintf(line, sizeof(line), "{\"id\": %s, \"execute\": \"x\"}", ids[i]);
		snprintf(want, sizeof(want), "no such command\"}, \"id\": %s}\r\n", ids[i]);
		CHECK(strstr(ask_text(&conn, line), want));
		snprintf(line, sizeof(line), "{\"id\": %s}", ids[i]);
		snprintf(want, sizeof(want), "is missing\"}, \"id\": %s}\r\n", ids[i]);
		CHECK(strstr(ask_text(&conn, line), want));
	}
	stop();
}

/* ---- Commands ---- */

static void check_return(const char *command, const char *want)
{
	char line[256], answer[2048];

	snprintf(line, sizeof(line), "{\"execute\": \"%s\"}\n", command);
	snprintf(answer, sizeof(answer), "{\"return\": %s}\r\n", want);
	CHECK_STR(ask_text(&conn, line), answer);
}

static void test_queries(void)
{
	start();
	check_return("query-status", "{\"running\": true, \"status\": \"running\"}");
	machine_status = "io-error";
	check_return("query-status", "{\"running\": false, \"status\": \"io-error\"}");
	CHECK(strstr(ask_text(&conn, "{\"execute\": \"query-block\"}"), "\"io-status\": \"failed\""));
	machine_status = "running";
	check_return("query-name", "{\"name\": \"g\"}");
	check_return("query-uuid", "{\"UUID\": \"00000000-0000-0000-0000-000000000000\"}");
	check_return("query-kvm", "{\"enabled\": true, \"present\": true}");
	check_return("query-target", "{\"arch\": \"x86_64\"}");
	/* A file's name that is not UTF-8 is left out; the rest is told. */
	check_return("query-chardev", "[{\"label\": \"serial0\", \"filename\": \"file:\", "
		     "\"frontend-open\": true}, {\"label\": \"console0\", \"filename\": "
		     "\"pty:/dev/pts/\\\"7\\\"\", \"frontend-open\": true}]");
	check_return("query-cpus-fast", "[{\"cpu-index\": 0, \"qom-path\": \"/machine/cpu[0]\", "
		     "\"thread-id\": 1000, \"props\": {\"socket-id\": 0, \"core-id\": 0, "
		     "\"thread-id\": 0}, \"target\": \"x86_64\"}, {\"cpu-index\": 1, \"qom-path\": "
		     "\"/machine/cpu[1]\", \"thread-id\": 1001, \"props\": {\"socket-id\": 0, "
		     "\"core-id\": 1, \"thread-id\": 0}, \"target\": \"x86_64\"}]");
	stop();
}

static void test_disks(void)
{
	start();
	ask_text(&conn, "{\"execute\": \"query-block\"}");
	CHECK(strstr(conn.got, "[{\"device\": \"blk0\", \"qdev\": \"blk0\", \"type\": \"unknown\", "
		     "\"removable\": false, \"locked\": false, \"io-status\": \"ok\", \"inserted\": "
		     "{\"file\": \"a \\\"b\\\"\", \"ro\": false, \"drv\": \"qcow2\", "
		     "\"encrypted\": false, \"bps\": 1048576, "));
	CHECK(strstr(conn.got, "\"iops\": 500, "));
	CHECK(strstr(conn.got, "\"image\": {\"filename\": \"b\", \"format\": \"raw\", "
		     "\"virtual-size\": 1073741824, \"actual-size\": 4096}"));
	check_return("query-blockstats", "[{\"device\": \"blk0\", \"qdev\": \"blk0\", \"stats\": "
		     "{\"rd_bytes\": 5, \"wr_bytes\": 0, \"unmap_bytes\": 0, \"rd_operations\": 4, "
		     "\"wr_operations\": 0, \"flush_operations\": 0, \"unmap_operations\": 0, "
		     "\"failed_operations\": 0}}, {\"device\": \"blk1\", \"qdev\": \"blk1\", "
		     "\"stats\": {\"rd_bytes\": 0, \"wr_bytes\": 0, \"unmap_bytes\": 0, "
		     "\"rd_operations\": 0, \"wr_operations\": 7, \"flush_operations\": 0, "
		     "\"unmap_operations\": 0, \"failed_operations\": 0}}]");
	stop();
}

static void test_hv_queries(void)
{
	char want[512];

	start();
	snprintf(want, sizeof(want), "{\"name\": \"g\", \"pid\": %d, \"version\": \"" HVM_VERSION
		 "\", \"accel\": \"/dev/hv\", \"status\": \"running\", \"cpus\": 2, \"mem\": "
		 "1099511627776, \"uptime-ms\": 3723004, \"console\": \"/dev/pts/\\\"7\\\"\", "
		 "\"nics\": [{\"id\": \"net0\", \"kind\": \"tap\", \"to\": \"t0\"}, {\"id\": "
		 "\"net1\", \"kind\": \"tap\"}, {\"id\": \"net2\", \"kind\": \"switch\", \"to\": "
		 "\"lan\"}]}", getpid());
	check_return("x-hv-info", want);
	check_return("x-hv-stats", "{\"process\": {\"resident-bytes\": 3000, \"private-bytes\": 1000,"
		     " \"guest-bytes\": 2000, \"cpu-ns\": 2500000000, \"threads\": 5}, \"vm\": "
		     "{\"pages_4k\": 7}, \"vcpus\": [{\"id\": \"0\", \"stats\": {\"exits\": "
		     "1099511627776, \"io_exits\": 2}}, {\"id\": \"1\", \"stats\": {\"exits\": 3}}], "
		     "\"devices\": [{\"id\": \"blk0\", \"stats\": {\"reads\": 4, \"read_bytes\": 5}}, "
		     "{\"id\": \"blk1\", \"stats\": {\"writes\": 6, \"write_zeroes\": 1}}, {\"id\": "
		     "\"net0\", \"stats\": {\"rx_bytes\": 8}}]}");
	stop();
}

/* Events come before the answer, as from QEMU. */
static void test_actions(void)
{
	start();
	CHECK_STR(ask_text(&conn, "{\"execute\": \"quit\"}\n"), DONE);
	CHECK_EQ(machine_quits, 1);
	CHECK_STR(ask_text(&conn, " {\"id\":[{}],\"execute\":\"\\u0071uit\", \"arguments\": {}}\r\n"),
		  "{\"return\": {}, \"id\": [{}]}\r\n");
	CHECK_EQ(machine_quits, 2);
	CHECK_STR(ask_text(&conn, "{\"execute\": \"system_reset\"}"), DONE);
	CHECK_EQ(machine_resets, 1);
	ask_text(&conn, "{\"execute\": \"system_powerdown\"}");
	CHECK(!strncmp(conn.got, "{\"event\": \"POWERDOWN\", \"timestamp\": ", 36));
	CHECK_STR(strchr(conn.got, '\n') + 1, DONE);
	CHECK_EQ(machine_pushes, 1);
	ask_text(&conn, "{\"execute\": \"stop\"}\n");
	CHECK(!strncmp(conn.got, "{\"event\": \"STOP\", ", 18));
	ask_text(&conn, "{\"execute\": \"cont\"}\n");
	CHECK(!strncmp(conn.got, "{\"event\": \"RESUME\", ", 20));
	CHECK_EQ(machine_pauses, 1);
	CHECK_EQ(machine_resumes, 1);
	CHECK(!conn.closed);
	stop();
}

static const char *balloon(const char *arguments)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"execute\": \"balloon\"%s}\n", arguments);
	return ask_text(&conn, line);
}

static void check_balloon_refused(const char *arguments, const char *why)
{
	char want[256];

	snprintf(want, sizeof(want), REFUSED("balloon: %s"), why);
	CHECK_STR(balloon(arguments), want);
}

static void test_balloon(void)
{
	static const char none[] = "{\"error\": {\"class\": \"DeviceNotActive\", \"desc\": "
				   "\"no balloon\"}}\r\n";

	start();
	machine_balloon = 0;
	CHECK_STR(ask_text(&conn, "{\"execute\": \"query-balloon\"}\n"), none);
	CHECK_STR(ask_text(&conn, "{\"execute\": \"x-hv-balloon-info\"}\n"), none);
	check_balloon_refused("", "\\\"value\\\" is missing");
	check_balloon_refused(", \"arguments\": {}", "\\\"value\\\" is missing");
	check_balloon_refused(", \"arguments\": []", "an object is wanted");
	check_balloon_refused(", \"arguments\": 5", "an object is wanted");
	check_balloon_refused(", \"arguments\": null", "an object is wanted");
	check_balloon_refused(", \"arguments\": {\"value\": \"5000\"}",
			      "value: an integer is wanted");
	check_balloon_refused(", \"arguments\": {\"value\": 5000.0}", "value: an integer is wanted");
	check_balloon_refused(", \"arguments\": {\"value\": -1}",
			      "value: 1 to 9223372036854775807 is wanted");
	check_balloon_refused(", \"arguments\": {\"value\": 0}",
			      "value: 1 to 9223372036854775807 is wanted");
	check_balloon_refused(", \"arguments\": {\"Value\": 5000}",
			      "\\\"Value\\\" is not known here");
	check_balloon_refused(", \"arguments\": {\"value\": 5000, \"x\": 1}",
			      "\\\"x\\\" is not known here");
	CHECK_STR(balloon(", \"arguments\": {\"value\": 5}"), REFUSED("too small"));
	CHECK_EQ(machine_balloon, 0);
	CHECK_STR(balloon(", \"arguments\": {\"value\": 5000}"), DONE);
	CHECK_EQ(machine_balloon, 5000);
	check_return("query-balloon", "{\"actual\": 1099511623680}");
	check_return("x-hv-balloon-info", "{\"mem\": 1099511627776, \"value\": 5000, \"actual\": "
		     "1099511623680, \"trimming\": true, \"stats-age-ms\": 0, \"stats\": "
		     "{\"free_memory\": 5, \"major_faults\": -1}}");
	CHECK_STR(ask_text(&conn, "{\"execute\": \"x-hv-balloon-trim\"}\n"), REFUSED("busy"));
	stop();
}

#define SAVE(arguments)	"{\"execute\": \"x-hv-save\"" arguments "}\n"
#define QUERY_SAVE	"query-x-hv-save"

static void test_save(void)
{
	start();
	machine_saved[0] = '\0';
	CHECK_STR(ask_text(&conn, SAVE("")), REFUSED("x-hv-save: \\\"file\\\" is missing"));
	CHECK_STR(ask_text(&conn, SAVE(", \"arguments\": {\"file\": 5}")),
		  REFUSED("x-hv-save: file: a string is wanted"));
	CHECK_STR(ask_text(&conn, SAVE(", \"arguments\": {\"file\": \"/busy\"}")), REFUSED("busy"));
	CHECK_STR(machine_saved, "");
	check_return(QUERY_SAVE, "{\"status\": \"active\", \"done\": 5, \"total\": 1099511627776}");
	ask_text(&conn, "{\"execute\": \"" QUERY_SAVE "\"}");
	check_return(QUERY_SAVE, "{\"status\": \"failed\", \"error\": \"no space\", \"done\": 5, "
		     "\"total\": 1099511627776}");
	CHECK_STR(ask_text(&conn, SAVE(", \"arguments\": {\"file\": \"/f\"}")), DONE);
	CHECK_STR(machine_saved, "/f");
	CHECK_STR(ask_text(&conn, SAVE(", \"arguments\": {\"file\": \"/f\", \"force\": true, "
				       "\"go-on\": true}")), DONE);
	CHECK_STR(machine_saved, "/f force go-on");
	/* What is saved is not to go on. */
	machine_is_held = true;
	CHECK_STR(ask_text(&conn, "{\"execute\": \"cont\"}\n"), REFUSED("it is being saved"));
	CHECK_EQ(machine_resumes, 0);
	machine_is_held = false;
	stop();
}

/* ---- What is no command ---- */

static void check_lines(const struct line *lines, size_t nr, const char *want)
{
	start();
	for (size_t i = 0; i < nr; i++) {
		ask_line(&conn, lines[i].text, lines[i].len);
		if (!strstr(conn.got, want)) {
			CHECK_STR(conn.got, want);
			printf("# line %zu: %s\n", i, lines[i].text);
		}
		/* Whatever it was, the next line is a new one. */
		CHECK(strstr(ask_text(&conn, STATUS "\n"), "running"));
	}
	CHECK_EQ(machine_quits, 0);
	CHECK_EQ(machine_pushes, 0);
	CHECK(!conn.closed);
	stop();
}
#define CHECK_LINES(lines, want) check_lines(lines, sizeof(lines) / sizeof(lines[0]), want)
static const char *block(const char *command, const char *arguments)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"execute\": \"%s\", \"arguments\": {%s}}\n", command,
		 arguments);
	return ask_text(&conn, line);
}

static void test_block(void)
{
	start();
	machine_disk[0] = '\0';
	CHECK_STR(block("block_resize", ""), REFUSED("block_resize: \\\"device\\\" is missing"));
	CHECK_STR(block("block_resize", "\"device\": \"blk0\""),
		  REFUSED("block_resize: \\\"size\\\" is missing"));
	CHECK_STR(block("block_resize", "\"device\": \"blk0\", \"size\": -1"),
		  REFUSED("block_resize: size: 1 to 9223372036854775807 is wanted"));
	CHECK_STR(block("block_resize", "\"device\": \"x\", \"size\": 1"),
		  "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no disk\"}}\r\n");
	CHECK_STR(machine_disk, "");
	CHECK_STR(block("block_resize", "\"device\": \"blk0\", \"size\": 4096"), DONE);
	CHECK_STR(machine_disk, "resize 4096");
	CHECK_STR(block("blockdev-snapshot-internal-sync", "\"device\": \"blk0\""),
		  REFUSED("blockdev-snapshot-internal-sync: \\\"name\\\" is missing"));
	CHECK_STR(block("blockdev-snapshot-internal-sync",
			"\"device\": \"blk0\", \"name\": \"s\""), DONE);
	CHECK_STR(machine_disk, "0 s");
	CHECK_STR(block("blockdev-snapshot-delete-internal-sync",
			"\"device\": \"blk0\", \"name\": \"s\""), DONE);
	CHECK_STR(machine_disk, "2 s");
	CHECK(strstr(block("blockdev-snapshot-sync", "\"device\": \"blk0\", \"snapshot-file\": "
			   "\"/f\", \"mode\": \"existing\""), "mode: "));
	CHECK_STR(machine_disk, "2 s");
	CHECK_STR(block("blockdev-snapshot-sync", "\"device\": \"blk0\", \"snapshot-file\": "
			"\"/f\", \"format\": \"qcow2\""), DONE);
	CHECK_STR(machine_disk, "overlay /f");
	stop();
}

static void test_unknown_commands(void)
{
	static const struct line lines[] = {
		LINE("{\"execute\": \"\"}"), LINE("{\"execute\": \"Quit\"}"),
		LINE("{\"execute\": \"quit \"}"), LINE("{\"execute\": \"quit\\n\"}"),
		LINE("{\"execute\": \"\xc3\xa4\"}"), LINE("{\"execute\": \"\\ud83d\\ude00\"}"),
		LINE("{\"execute\": \"human-monitor-command\", \"arguments\": "
		     "{\"command-line\": \"info\"}}"),
	};

	CHECK_LINES(lines, "no such command\"}}\r\n");
}

static void test_no_objects(void)
{
	static const struct line lines[] = {
		LINE("quit"), LINE("null"), LINE("42"), LINE("\"quit\""), LINE("[]"),
		LINE("[\"execute\", \"quit\"]"), LINE("}"), LINE("\0"), LINE("\xff"), LINE("\xff\xfe"),
		LINE("\0{\"execute\": \"quit\"}"), LINE("\xef\xbb\xbf{\"execute\": \"quit\"}"),
		LINE("{\"execute\": \"quit\0\"}"), LINE("{\"execute\0\": \"quit\"}"),
		LINE("{\"execute\": \"qu\tit\"}"), LINE("{\"execute\": \"quit"), LINE("{\"execute\": \xff"),
		LINE("{\"execute\": \"quit\\"), LINE("\0\0\0\0\0\0\0\0"), LINE("{\x1b"),
	};

	CHECK_LINES(lines, NO_OBJECT);
}

static void test_malformed(void)
{
	static const struct line lines[] = {
		LINE("{\"execute\"}"), LINE("{\"execute\": }"), LINE("{]"), LINE("{\"execute\": [}}"),
		LINE("{\"execute\": \"quit\",}"), LINE("{'execute': 'quit'}"),
		LINE("{execute: \"quit\"}"), LINE("{\"execute\": \"quit\" // end\n}"),
		LINE("{\"execute\": \"quit\", \"execute\": \"quit\"}"),
		LINE("{\"execute\": \"quit\", \"id\": 01}"),
		LINE("{\"execute\": \"quit\", \"id\": 9223372036854775808}"),
		LINE("{\"execute\": \"quit\", \"id\": 1e999}"), LINE("{\"execute\": \"quit\\x\"}"),
		LINE("{\"execute\": \"quit\\u00\"}"), LINE("{\"execute\": \"quit\\u0000\"}"),
		LINE("{\"execute\\u0000\": \"quit\"}"), LINE("{\"execute\": \"quit\xff\"}"),
		LINE("{\"execute\": \"\x80quit\"}"), LINE("{\"execute\": \"quit\xc3\"}"),
		LINE("{\"execute\": \"quit\xc0\x80\"}"), LINE("{\"execute\": \"quit\xed\xa0\x80\"}"),
		LINE("{\"execute\": \"quit\xf5\x80\x80\x80\"}"), LINE("{\"execute\": \"quit\\ud800\"}"),
		LINE("{\"execute\": \"quit\\udc00\"}"), LINE("{\"execute\": \"quit\", \"\xfe\": 1}"),
	};

	CHECK_LINES(lines, NO_JSON);
}

static void test_wrong_members(void)
{
	static const struct line lines[] = {
		LINE("{}"), LINE("{\"execute\": 1}"), LINE("{\"execute\": null}"),
		LINE("{\"execute\": [\"quit\"]}"), LINE("{\"execute\": {\"execute\": \"quit\"}}"),
		LINE("{\"Execute\": \"quit\"}"), LINE("{\"exec-oob\": \"quit\"}"),
		LINE("{\"execute\": \"quit\", \"x\": 1}"), LINE("{\"id\": {\"execute\": \"quit\"}}"),
	};

	CHECK_LINES(lines, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"command: ");
}

/* ---- Size and depth ---- */

/* What takes most memory of all that fits; stop() compares with the bound. */
static void test_costly_lines(void)
{
	static const struct {
		const char *head, *unit, *tail, *want;
	} lines[] = {
		{ "{\"execute\": \"x\", \"id\": [0", ",{}", "]}", "\"}, \"id\": [0, {}, {}," },
		{ "{\"execute\": \"x\", \"y\": [0", ",[]", "]}", "not known here" },
		{ "{\"execute\": \"x\", \"y\": [0", ",{\"\":{}}", "]}", "not known here" },
		{ "{\"execute\": \"x\", \"arguments\": [0", ",\"\"", "]}", "no such command" },
		{ "{\"execute\": \"x\", \"y\": [0", ",0", "]}", "not known here" },
		{ "{\"execute\": \"x\", \"y\": \"", "\\u0001", "\"}", "not known here" },
		{ "{\"execute\": \"", "x", "\"}", "xxxx: no such command" },
		{ "{\"execute\": \"quit\", \"", "x", "\": 1}", "xxxx\\\" is not known here" },
		{ "{\"execute\": \"balloon\", \"arguments\": {\"", "x", "\": 1}}", "xxx\\\" is not" },
		{ "{\"execute\": \"x\", \"y\": ", "1", "}", NO_JSON },
	};
	size_t len = QMP_MAX_REQUEST + 1;
	char *line = malloc(len);

	start();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		long_line(line, len, lines[i].head, lines[i].unit, lines[i].tail);
		CHECK(strstr(ask(&conn, line, len), lines[i].want));
		CHECK_EQ(mem_now, 0);
	}
	CHECK(!conn.closed);
	stop();
	free(line);
}

static void test_too_long(void)
{
	size_t len = QMP_MAX_REQUEST + 2;
	char *line = malloc(len);

	start();
	long_line(line, len, "{\"execute\": \"quit\"", " ", "}");
	CHECK_STR(ask(&conn, line, len), TOO_LONG);
	/* Without an end: one answer, nothing is kept. */
	memset(line, 'x', len);
	CHECK_STR(ask(&conn, line, len), NO_OBJECT);
	CHECK_STR(ask(&conn, line, len), "");
	CHECK_STR(ask_text(&conn, "\n{\"execute\": \"x\", \"y\": \""), "");
	for (int i = 0; i < 16; i++)
		CHECK_STR(ask(&conn, line, len), i ? "" : TOO_LONG);
	CHECK(strstr(ask_text(&conn, "\n" STATUS), "running"));
	CHECK_EQ(machine_quits, 0);
	stop();
	free(line);
}

/* A command with @depth arrays in each other. */
static const char *ask_nested(size_t depth)
{
	static const char head[] = "{\"execute\":\"x\",\"id\":";
	char line[2048];
	size_t n = strlen(head);

	memcpy(line, head, n);
	memset(line + n, '[', depth);
	memset(line + n + depth, ']', depth);
	memcpy(line + n + 2 * depth, "}\n", 2);
	return ask(&conn, line, n + 2 * depth + 2);
}

static void test_nesting(void)
{
	start();
	CHECK(strstr(ask_nested(1), "\"id\": []}"));
	CHECK(strstr(ask_nested(QMP_MAX_NESTING - 1), "]]]}"));
	CHECK_STR(ask_nested(QMP_MAX_NESTING), NO_OBJECT);
	CHECK_STR(ask_nested(1000), NO_OBJECT);
	CHECK(!conn.closed);
	stop();
}

/* ---- Pieces ---- */

/* Commands do not arrive as they were sent, and may have any space between and inside. */
static void test_pieces(void)
{
	static const char lines[] = "{}\r\n{\"execute\":\n\n\t\"x\"}{}\n\n  [\n{}";
	const char *want = "\"error\"";
	unsigned int answers = 0;

	start();
	ask(&conn, lines, sizeof(lines) - 1);
	for (const char *p = conn.got; (p = strstr(p, want)); p++)
		answers++;
	CHECK_EQ(answers, 5);
	for (size_t i = 0; i < sizeof(lines) - 1; i++)
		CHECK_EQ(strlen(ask(&conn, lines + i, 1)) > 0, lines[i] == '}' || lines[i] == '[');
	/* Braces in strings are not braces. */
	CHECK(strstr(ask_text(&conn, "{\"execute\": \"x\", \"id\": \"}{\\\"}[\"}"),
		     "\"id\": \"}{\\\"}[\"}"));
	/* Half a command of one that goes disturbs nobody. */
	ask_text(&conn, "{\"execute\": ");
	stop();
}

/* Each cut and each changed byte of a command: an answer or none, and no access outside. */
static void test_mutations(void)
{
	static const char line[] = "{\"execute\": \"query-status\", \"id\": [{\"\\u0031\": [null, "
				   "-1e3]}, \"\\\"\xc3\xa4\"]}";
	char buf[sizeof(line)];

	start();
	for (size_t at = 0; at < sizeof(line) - 1; at++) {
		for (int byte = 0; byte < 256; byte++) {
			memcpy(buf, line, sizeof(line) - 1);
			buf[at] = (char)byte;
			ask_line(&conn, buf, sizeof(line) - 1);
			/* Out of whatever it opened: no text has this byte. */
			ask_text(&conn, "\x01\n");
		}
		CHECK(!conn.closed);
	}
	CHECK(strstr(ask_line(&conn, line, sizeof(line) - 1), "running"));
	stop();
}

/* ---- Clients ---- */

/*
 * A client that sends and does not read neither blocks the guest nor fills its memory: its
 * commands wait. When it reads, all are answered.
 */
static void test_client_that_does_not_read(void)
{
	static const char command[] = "{\"execute\": \"query-qmp-schema\"}\n";
	size_t len = sizeof(command) - 1, sent = 0, answers = 0;
	static char buf[1 << 16];
	ssize_t n;

	start();
	for (int i = 0; i < 20000; i++) {
		n = send(conn.fd, command, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n != (ssize_t)len)
			break;
		sent++;
		server_work();
	}
	CHECK(n < 0 && errno == EAGAIN);
	CHECK(sent > 3);
	do {
		n = recv(conn.fd, buf, sizeof(buf), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			answers += buf[i] == '\n';
		server_work();
	} while (n > 0 || (n < 0 && errno == EAGAIN && answers < sent));
	CHECK_EQ(answers, sent);
	stop();
}

/* One that ends its half gets its answers before the guest closes. */
static void test_half_closed(void)
{
	start();
	CHECK_EQ(send(conn.fd, STATUS STATUS, 2 * strlen(STATUS), 0), 2 * strlen(STATUS));
	shutdown(conn.fd, SHUT_WR);
	conn.len = 0;
	server_work();
	conn_read(&conn);
	CHECK(conn.closed);
	CHECK_STR(conn.got, "{\"return\": {\"running\": true, \"status\": \"running\"}}\r\n"
			    "{\"return\": {\"running\": true, \"status\": \"running\"}}\r\n");
	stop();
}

static void test_many_clients(void)
{
	static struct conn c[HVM_CONTROL_CLIENTS + 1];

	server_start();
	for (int i = 0; i <= HVM_CONTROL_CLIENTS; i++)
		conn_open(&c[i]);
	CHECK_STR(ask_text(&c[HVM_CONTROL_CLIENTS], BEGIN), "");
	CHECK(c[HVM_CONTROL_CLIENTS].closed);
	for (int i = 0; i < HVM_CONTROL_CLIENTS; i++)
		CHECK_STR(ask_text(&c[i], BEGIN), DONE);
	conn_close(&c[3]);
	conn_close(&c[HVM_CONTROL_CLIENTS]);
	conn_open(&c[3]);
	CHECK_STR(ask_text(&c[3], BEGIN), DONE);
	for (int i = 0; i < HVM_CONTROL_CLIENTS; i++)
		conn_close(&c[i]);
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
	TEST_RUN(test_greeting);
	TEST_RUN(test_id);
	TEST_RUN(test_queries);
	TEST_RUN(test_disks);
	TEST_RUN(test_hv_queries);
	TEST_RUN(test_actions);
	TEST_RUN(test_balloon);
	TEST_RUN(test_save);
	TEST_RUN(test_block);
	TEST_RUN(test_unknown_commands);
	TEST_RUN(test_no_objects);
	TEST_RUN(test_malformed);
	TEST_RUN(test_wrong_members);
	TEST_RUN(test_costly_lines);
	TEST_RUN(test_too_long);
	TEST_RUN(test_nesting);
	TEST_RUN(test_pieces);
	TEST_RUN(test_mutations);
	TEST_RUN(test_client_that_does_not_read);
	TEST_RUN(test_half_closed);
	TEST_RUN(test_many_clients);
	TEST_RUN(test_cleanup);
	return TEST_EXIT();
}
