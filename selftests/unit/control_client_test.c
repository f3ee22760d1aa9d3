// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The commands that talk to running guests, against good and hostile ones, and the directory
 * where they find them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../../virtio-backends/io_thread.h"
#include "../../vmm-user/cli/cli.h"
#include "../../vmm-user/control/client.h"
#include "../../vmm-user/control/server.h"
#include "control_world.h"
#include "unit_test.h"

static struct hv_err err;

/* ---- Names of running guests ---- */

static void test_runtime(void)
{
	char path[HVM_RUNTIME_PATH_MAX];
	int fd, lock;

	CHECK_EQ(hvm_runtime_open(false, path, &err), -ENOENT);
	fd = hvm_runtime_open(true, path, &err);
	CHECK(fd >= 0);
	lock = hvm_runtime_lock(fd, "g", &err);
	CHECK(lock >= 0);
	CHECK_EQ(hvm_runtime_lock(fd, "g", &err), -EEXIST);
	CHECK(strstr(err.msg, "g is running"));
	CHECK(hvm_runtime_alive(fd, "g"));
	/* Killed: the lock is gone, the file is not. */
	close(lock);
	CHECK_EQ(faccessat(fd, "g.lock", F_OK, 0), 0);
	CHECK(!hvm_runtime_alive(fd, "g"));
	CHECK(faccessat(fd, "g.lock", F_OK, 0));
	lock = hvm_runtime_lock(fd, "g", &err);
	CHECK(lock >= 0);
	hvm_runtime_unlock(fd, "g", lock);
	CHECK(faccessat(fd, "g.lock", F_OK, 0));
	close(fd);
	/* A directory that others can write to is not ours to trust. */
	CHECK_EQ(chmod(path, 0777), 0);
	CHECK_EQ(hvm_runtime_open(true, path, &err), -EPERM);
	CHECK_EQ(chmod(path, 0700), 0);
}

/* ---- Guests that answer in all ways ---- */

struct guest {
	const char *greeting, *begun, *answer;
	size_t len;
	char command[256];	/* what it was asked */
	bool hang_up;		/* after the answer to qmp_capabilities */
	int dir_fd, lock_fd, listen_fd;
	pthread_t thread;
};

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

/* One line, without its end; false: the other gave up. */
static bool read_line(int fd, char *buf, size_t len)
{
	size_t n = 0;

	while (n + 1 < len && recv(fd, buf + n, 1, 0) == 1 && buf[n] != '\n')
		n++;
	buf[n] = '\0';
	return n;
}

static void *guest_thread(void *opaque)
{
	struct guest *g = opaque;
	int fd = accept(g->listen_fd, NULL, NULL);
	char line[256];

	if (!g->greeting[0])
		goto out;
	send(fd, g->greeting, strlen(g->greeting), MSG_NOSIGNAL);
	if (read_line(fd, line, sizeof(line)))
		CHECK_STR(line, BEGIN);
	if (!g->begun[0])
		goto out;
	send(fd, g->begun, strlen(g->begun), MSG_NOSIGNAL);
	if (g->hang_up || !read_line(fd, g->command, sizeof(g->command)))
		goto out;
	if (g->answer)
		send(fd, g->answer, g->len, MSG_NOSIGNAL);
	else
		read_line(fd, line, sizeof(line));	/* until the other gives up */
out:
	close(fd);
	return NULL;
}

/*
 * A guest named "g" that answers one command with these bytes (NULL: not at all). It hangs up instead
 * of an empty greeting, or of an empty answer to qmp_capabilities.
 */
static void guest_start_as(struct guest *g, const char *greeting, const char *begun,
			   const char *answer, size_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char path[HVM_RUNTIME_PATH_MAX];

	*g = (struct guest){ .greeting = greeting, .begun = begun, .answer = answer, .len = len };
	g->dir_fd = hvm_runtime_open(true, path, &err);
	g->lock_fd = hvm_runtime_lock(g->dir_fd, "g", &err);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/hvm/g.sock", world_dir);
	g->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(g->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(g->listen_fd, 1), 0);
	CHECK_EQ(pthread_create(&g->thread, NULL, guest_thread, g), 0);
}

static void guest_start(struct guest *g, const char *answer, size_t len)
{
	guest_start_as(g, GREETING, "{\"return\": {}}\r\n", answer, len);
}

static void guest_stop(struct guest *g)
{
	shutdown(g->listen_fd, SHUT_RDWR);	/* should nobody have come */
	pthread_join(g->thread, NULL);
	close(g->listen_fd);
	hvm_runtime_unlock(g->dir_fd, "g", g->lock_fd);
	close(g->dir_fd);
}

/* Ask a guest that answers like that; an error's message contains @msg. */
static void check_call(const char *answer, size_t len, int want, const char *msg)
{
	json_t *value = NULL;
	struct guest g;

	guest_start(&g, answer, len);
	err.msg[0] = '\0';
	CHECK_EQ(hvm_control_call("g", "query-status", &value, &err), want);
	CHECK(strstr(err.msg, msg));
	CHECK_EQ(value != NULL, want == 0);
	json_decref(value);
	guest_stop(&g);
	CHECK_STR(g.command, STATUS);
}

static void test_call(void)
{
	static const struct line nonsense[] = {
		LINE("\n"), LINE("[]\n"), LINE("no\n"), LINE("{\"return\": {}\n"), LINE("null\n"),
		LINE("{\"return\": {\"a\": \"\xff\"}}\n"), LINE("{\"return\": {}}\0\n"),
		LINE("{\"return\": {}, \"return\": {}}\n"),
	};
	static const struct line refused[] = {
		LINE("{}\n"), LINE("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n"),
		LINE("{\"error\": 1}\n"), LINE("{\"error\": {\"desc\": {}}}\n"),
	};
	static const struct line good[] = {
		LINE("{\"return\": {}}\n"), LINE("{\"return\": {\"a\": [1]}, \"b\": 1}\nmore"),
		LINE("{\"event\": \"STOP\"}\r\n{\"event\": 1, \"return\": {}}\r\n{\"return\": []}\r\n"),
	};
	static const struct line ended[] = {
		LINE(""), LINE("{\"return\": {}}"), LINE("{\"event\": \"STOP\"}\n"),
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_call(good[i].text, good[i].len, 0, "");
	for (size_t i = 0; i < sizeof(ended) / sizeof(ended[0]); i++)
		check_call(ended[i].text, ended[i].len, -EPIPE, "guest g ended");
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		check_call(nonsense[i].text, nonsense[i].len, -EPROTO, "guest g answers nonsense: ");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		check_call(refused[i].text, refused[i].len, -EPROTO,
			   "guest g refuses query-status: ");
	check_call(NULL, 0, -ETIMEDOUT, "guest g does not answer");
	CHECK_EQ(hvm_control_call("g", "quit", NULL, &err), -ENOENT);
	CHECK(strstr(err.msg, "no guest named g"));
	CHECK_EQ(hvm_control_call("../g", "quit", NULL, NULL), -ENOENT);
}

/* Answers of any size up to the bound, deep or long. */
static void test_call_bounds(void)
{
	size_t len = HVM_CONTROL_ANSWER_MAX + 1;
	char *line = malloc(len);

	long_line(line, 3 << 20, "{\"return\": {\"a\": \"", "a", "\"}}");
	check_call(line, 3 << 20, 0, "");
	long_line(line, 1 << 16, "{\"return\": ", "[", "");
	check_call(line, 1 << 16, -EPROTO, "guest g answers nonsense: {\"return\": [[[");
	memset(line, 'x', len);
	check_call(line, len, -EPROTO, "too long");
	free(line);
}

/* Guests that do not get so far. */
static void test_no_beginning(void)
{
	static const struct {
		const char *greeting, *begun;
		int want;
		const char *msg;
	} guests[] = {
		{ "", "", -EPIPE, "ended" },
		{ "x\n", "", -EPROTO, "nonsense" },
		{ "{\"return\": {}}\n", "", -EPROTO, "does not speak QMP; another version" },
		{ GREETING, "", -EPIPE, "ended" },
		{ GREETING, "{\"error\": {\"desc\": \"no\"}}\n", -EPROTO,
		  "guest g refuses qmp_capabilities: no" },
	};

	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		struct guest g;

		guest_start_as(&g, guests[i].greeting, guests[i].begun, "", 0);
		CHECK_EQ(hvm_control_call("g", "query-status", NULL, &err), guests[i].want);
		CHECK(strstr(err.msg, guests[i].msg));
		guest_stop(&g);
	}
}

/* ---- hvm ps ---- */

static char printed[4096];

/* Run it with the standard output going to a file, whose text goes to printed[]. */
static void run_ps(const char *option)
{
	char *argv[] = { "ps", (char *)option, NULL };
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO);
	ssize_t n;

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	CHECK_EQ(hvm_cmd_ps.run(option ? 2 : 1, argv, &err), 0);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	n = pread(fileno(file), printed, sizeof(printed) - 1, 0);
	printed[n > 0 ? n : 0] = '\0';
	fclose(file);
}

static void check_ps(const char *option, const char *answer, const char *want)
{
	struct guest g;

	guest_start(&g, answer, strlen(answer));
	run_ps(option);
	CHECK_STR(printed, want);
	guest_stop(&g);
}

#define HEAD	"NAME                      PID STATE        CPUS      MEM      TIME\n"

#define ANSWER(pid, status, mem) "{\"return\": {\"pid\": " pid ", \"status\": " status		\
		", \"cpus\": 1, \"uptime-ms\": 1, \"mem\": " mem "}}\n"

static void test_ps(void)
{
	/* Types, signs, and what is missing. */
	static const char *const senseless[] = {
		"no\n", "{\"return\": {}}\n", "{\"return\": []}\n", "{\"return\": null}\n",
		ANSWER("1", "1", "1"), ANSWER("1", "\"a\"", "1.5"), ANSWER("1", "\"a\"", "-1"),
		ANSWER("0", "\"a\"", "1"), ANSWER("-1", "\"a\"", "1"),
		ANSWER("1", "\"a\"", "1, \"serial\": 1"),
		"{\"return\": {\"pid\": 1, \"status\": \"a\", \"cpus\": 1, \"mem\": 1}}\n",
	};
	static const char good[] = "{\"return\": {\"name\": \"other\", \"pid\": 42, \"cpus\": 3, "
		"\"status\": \"paused\", \"mem\": 1073741824, \"uptime-ms\": 90061999, \"serial\": "
		"\"/dev/pts/1\", \"new\": {}}}\n";

	run_ps(NULL);
	CHECK_STR(printed, HEAD);
	run_ps("--json");
	CHECK_STR(printed, "[]\n");
	check_ps(NULL, good,
		 HEAD "g                          42 paused          3     1024  25:01:01\n");
	check_ps("--json", good, "[{\"name\": \"g\", \"status\": \"paused\", \"pid\": 42, "
		 "\"cpus\": 3, \"mem\": 1073741824, \"uptime_ms\": 90061999, \"serial\": "
		 "\"/dev/pts/1\"}]\n");
	for (size_t i = 0; i < sizeof(senseless) / sizeof(senseless[0]); i++)
		check_ps("--json", senseless[i],
			 "[{\"name\": \"g\", \"status\": \"unresponsive\"}]\n");
	check_ps("--json", ANSWER("1", "\"a\"", "1"), "[{\"name\": \"g\", \"status\": \"a\", "
		 "\"pid\": 1, \"cpus\": 1, \"mem\": 1, \"uptime_ms\": 1}]\n");
	check_ps(NULL, "no\n",
		 HEAD "g                           0 unresponsive    0        0   0:00:00\n");
	/* It ended meanwhile. */
	check_ps("--json", "", "[]\n");
}

/* ---- hvm balloon ---- */

static int run_balloon(const char *a, const char *b)
{
	char *argv[] = { "balloon", (char *)a, (char *)b, NULL };

	err.msg[0] = '\0';
	return hvm_cmd_balloon.run(b ? 3 : a ? 2 : 1, argv, &err);
}

static void test_balloon_refused(void)
{
	static const char answer[] = "{\"error\": {\"class\": \"GenericError\", \"desc\": "
				     "\"it has none\"}}\n";
	struct guest g;

	CHECK_EQ(run_balloon(NULL, NULL), 1);
	CHECK(strstr(err.msg, "name is wanted"));
	CHECK_EQ(run_balloon("../g", NULL), 1);
	CHECK(strstr(err.msg, "no guest"));
	CHECK_EQ(run_balloon("g", "--trimx"), 1);
	CHECK(strstr(err.msg, "--trimx"));
	CHECK_EQ(run_balloon("g", "5Q"), 1);
	CHECK(strstr(err.msg, "balloon 5Q"));
	guest_start(&g, answer, strlen(answer));
	CHECK_EQ(run_balloon("g", "512M"), 1);
	CHECK_STR(err.msg, "guest g refuses balloon: it has none");
	guest_stop(&g);
}

static void start_on_loop(void *opaque)
{
	hvm_control_start(opaque);
}

static void stop_on_loop(void *opaque)
{
	hvm_control_destroy(opaque);
}

/* ---- The other commands, with both real ends ---- */

/* Run a command as main() would, its output to printed[]; returns its status. */
static int run_command(const struct hvm_command *cmd, const char *a, const char *b, const char *c)
{
	char *argv[] = { (char *)cmd->name, (char *)a, (char *)b, (char *)c, NULL };
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), status;
	ssize_t n;

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	err.msg[0] = '\0';
	status = cmd->run(c ? 4 : b ? 3 : a ? 2 : 1, argv, &err);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	n = pread(fileno(file), printed, sizeof(printed) - 1, 0);
	printed[n > 0 ? n : 0] = '\0';
	fclose(file);
	return status;
}

static void start_on_loop(void *opaque);
static void stop_on_loop(void *opaque);

static void test_commands(void)
{
	struct hvm_control *guest;
	struct hv_io_thread *thread;

	CHECK_EQ(run_command(&hvm_cmd_stats, NULL, NULL, NULL), 0);
	CHECK_STR(printed, "");
	CHECK_EQ(run_command(&hvm_cmd_stats, "--json", NULL, NULL), 0);
	CHECK_STR(printed, "[]\n");
	CHECK_EQ(hv_io_thread_start("guests", &thread), 0);
	CHECK_EQ(hvm_control_create(NULL, "g", hv_io_thread_loop(thread), &guest, &err), 0);
	hv_loop_call(hv_io_thread_loop(thread), start_on_loop, guest);
	CHECK_EQ(run_command(&hvm_cmd_info, "g", NULL, NULL), 0);
	CHECK(strstr(printed, "state      running\n") && strstr(printed, "network    net2 switch lan\n"));
	CHECK(strstr(printed, "disk       blk1 b, raw, read-only, 1024 MiB, of which the file has 0\n"));
	CHECK_EQ(run_command(&hvm_cmd_info, "g", "--json", NULL), 0);
	CHECK(strstr(printed, "{\"guest\": {\"name\": \"g\", "));
	CHECK_EQ(run_command(&hvm_cmd_stats, "g", NULL, NULL), 0);
	CHECK(strstr(printed, "vcpu1      exits                                3\n"));
	CHECK_EQ(run_command(&hvm_cmd_stats, "--json", "g", NULL), 0);
	CHECK(strstr(printed, "{\"name\": \"g\", \"stats\": {\"process\": {") == printed);
	CHECK_EQ(run_command(&hvm_cmd_stats, "--prometheus", NULL, NULL), 0);
	CHECK(strstr(printed, "\nhvm_vcpu_exits{name=\"g\",vcpu=\"0\"} 1099511627776\n"));
	machine_resets = machine_pauses = 0;
	CHECK_EQ(run_command(&hvm_cmd_reset, "g", NULL, NULL), 0);
	CHECK_EQ(machine_resets, 1);
	CHECK_EQ(run_command(&hvm_cmd_pause, "g", NULL, NULL), 0);
	CHECK_EQ(machine_pauses, 1);
	CHECK_EQ(run_command(&hvm_cmd_qmp, "g", "query-name", NULL), 0);
	CHECK_STR(printed, "{\"name\": \"g\"}\n");
	CHECK_EQ(run_command(&hvm_cmd_qmp, "g", "balloon", "value=5000"), 0);
	CHECK_EQ(machine_balloon, 5000);
	CHECK_EQ(run_command(&hvm_cmd_qmp, "g", "balloon", "value=x"), 1);
	CHECK_STR(err.msg, "guest g refuses balloon: balloon: value: an integer is wanted");
	CHECK_EQ(run_command(&hvm_cmd_qmp, "g", "balloon", "=5"), 1);
	CHECK(strstr(err.msg, "KEY=VALUE is wanted"));
	CHECK_EQ(run_command(&hvm_cmd_console, "g", "--serial", NULL), 1);
	CHECK(strstr(err.msg, "no pseudo-terminal for its serial"));
	CHECK_EQ(run_command(&hvm_cmd_console, "g", NULL, NULL), 1);
	CHECK(strstr(err.msg, "/dev/pts/\"7\""));
	hv_loop_call(hv_io_thread_loop(thread), stop_on_loop, guest);
	hv_io_thread_stop(thread);
}

static void test_bad_lines(void)
{
	static const struct hvm_command *const of_guests[] = {
		&hvm_cmd_info, &hvm_cmd_console, &hvm_cmd_reset, &hvm_cmd_pause, &hvm_cmd_stats,
		&hvm_cmd_events, &hvm_cmd_qmp,
	};

	for (size_t i = 0; i < sizeof(of_guests) / sizeof(of_guests[0]); i++) {
		const struct hvm_command *cmd = of_guests[i];

		CHECK_EQ(run_command(cmd, "--help", NULL, NULL), 0);
		CHECK_STR(printed, cmd->usage);
		CHECK_EQ(run_command(cmd, "--nonsense", NULL, NULL), 1);
		CHECK(strstr(err.msg, "unknown option --nonsense"));
		CHECK_EQ(run_command(cmd, "nobody", NULL, NULL), 1);
		CHECK_STR(err.msg, "no guest named nobody is running");
		CHECK_EQ(run_command(cmd, "../x", NULL, NULL), 1);
		CHECK(strstr(err.msg, "no guest named ../x"));
		if (cmd == &hvm_cmd_stats)
			continue;
		CHECK_EQ(run_command(cmd, NULL, NULL, NULL), 1);
		CHECK(strstr(err.msg, "name is wanted"));
	}
	CHECK_EQ(run_command(&hvm_cmd_stats, "--json", "--prometheus", NULL), 1);
	CHECK(strstr(err.msg, "not both"));
}

/* What happens to a guest is followed until it ends. */
static void test_events_command(void)
{
	struct guest g;

	setenv("TZ", "UTC", 1);
	guest_start_as(&g, GREETING, "{\"return\": {}}\r\n{\"event\": \"STOP\", \"timestamp\": "
		       "{\"seconds\": 0, \"microseconds\": 12345}}\r\n{\"event\": 1}\r\n"
		       "{\"event\": \"RESET\", \"data\": {\"guest\": true}}\r\n", "", 0);
	g.hang_up = true;
	CHECK_EQ(run_command(&hvm_cmd_events, "g", NULL, NULL), 0);
	CHECK_STR(printed, "1970-01-01 00:00:00.012 STOP\n1970-01-01 00:00:00.000 RESET "
			   "{\"guest\": true}\n");
	guest_stop(&g);
}

/* Both real ends, and three guests. */
static void test_ps_of_real_servers(void)
{
	static const char rest[] = "\"cpus\": 2, \"mem\": 1099511627776, \"uptime_ms\": 3723004, "
				   "\"console\": \"/dev/pts/\\\"7\\\"\"}";
	struct hvm_control *guest[3];
	struct hv_io_thread *thread;
	char want[1024];
	int n = 0;

	CHECK_EQ(hv_io_thread_start("guests", &thread), 0);
	for (int i = 2; i >= 0; i--) {
		char name[] = { (char)('a' + i), '\0' };

		CHECK_EQ(hvm_control_create(NULL, name, hv_io_thread_loop(thread), &guest[i],
					    &err), 0);
		hv_loop_call(hv_io_thread_loop(thread), start_on_loop, guest[i]);
	}
	run_ps("--json");
	for (int i = 0; i < 3; i++)
		n += snprintf(want + n, sizeof(want) - (size_t)n, "%s{\"name\": \"%c\", "
			      "\"status\": \"running\", \"pid\": %d, %s%s", i ? " " : "[",
			      'a' + i, getpid(), rest, i < 2 ? ",\n" : "]\n");
	CHECK_STR(printed, want);
	for (int i = 0; i < 3; i++)
		hv_loop_call(hv_io_thread_loop(thread), stop_on_loop, guest[i]);
	hv_io_thread_stop(thread);
	run_ps("--json");
	CHECK_STR(printed, "[]\n");
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
	TEST_RUN(test_runtime);
	TEST_RUN(test_call);
	TEST_RUN(test_call_bounds);
	TEST_RUN(test_no_beginning);
	TEST_RUN(test_ps);
	TEST_RUN(test_balloon_refused);
	TEST_RUN(test_commands);
	TEST_RUN(test_bad_lines);
	TEST_RUN(test_events_command);
	TEST_RUN(test_ps_of_real_servers);
	TEST_RUN(test_cleanup);
	return TEST_EXIT();
}
