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
	const char *answer;
	size_t len;
	char command[256];	/* what it was asked */
	int dir_fd, lock_fd, listen_fd;
	pthread_t thread;
};

static void *guest_thread(void *opaque)
{
	struct guest *g = opaque;
	int fd = accept(g->listen_fd, NULL, NULL);
	ssize_t n = recv(fd, g->command, sizeof(g->command) - 1, 0);

	g->command[n > 0 ? n : 0] = '\0';
	if (g->answer)
		send(fd, g->answer, g->len, MSG_NOSIGNAL);
	else
		recv(fd, &n, sizeof(n), 0);	/* until the other gives up */
	close(fd);
	return NULL;
}

/* A guest named "g" that answers one command with these bytes (NULL: not at all). */
static void guest_start(struct guest *g, const char *answer, size_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char path[HVM_RUNTIME_PATH_MAX];

	*g = (struct guest){ .answer = answer, .len = len };
	g->dir_fd = hvm_runtime_open(true, path, &err);
	g->lock_fd = hvm_runtime_lock(g->dir_fd, "g", &err);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/hvm/g.sock", world_dir);
	g->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(g->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(g->listen_fd, 1), 0);
	CHECK_EQ(pthread_create(&g->thread, NULL, guest_thread, g), 0);
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
	CHECK_STR(g.command, STATUS "\n");
}

static void test_call(void)
{
	static const struct line refused[] = {
		LINE("\n"), LINE("{}\n"), LINE("[]\n"), LINE("no\n"), LINE("{\"return\": {}\n"),
		LINE("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n"),
		LINE("{\"return\": {\"a\": \"\xff\"}}\n"), LINE("{\"return\": {}}\0\n"),
		LINE("{\"return\": {}, \"return\": {}}\n"),
	};
	static const struct line good[] = {
		LINE("{\"return\": {}}\n"), LINE("{\"return\": {\"a\": [1]}, \"b\": 1}\nmore"),
	};
	static const struct line ended[] = { LINE(""), LINE("{\"return\": {}}") };
	char line[MAX_LINE + 1];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_call(good[i].text, good[i].len, 0, "");
	for (size_t i = 0; i < sizeof(ended) / sizeof(ended[0]); i++)
		check_call(ended[i].text, ended[i].len, -EPIPE, "guest g ended");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		check_call(refused[i].text, refused[i].len, -EPROTO,
			   "guest g refuses query-status: ");
	longest_line(line, "{\"return\": ", "[", "");
	check_call(line, MAX_LINE, -EPROTO, "guest g refuses query-status: {\"return\": [[[");
	memset(line, 'x', sizeof(line));
	check_call(line, sizeof(line), -EPROTO, "too long");
	check_call(NULL, 0, -ETIMEDOUT, "guest g does not answer");
	CHECK_EQ(hvm_control_call("g", "quit", NULL, &err), -ENOENT);
	CHECK(strstr(err.msg, "no guest named g"));
	CHECK_EQ(hvm_control_call("../g", "quit", NULL, NULL), -ENOENT);
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
		", \"cpus\": 1, \"uptime_ms\": 1, \"mem\": " mem "}}\n"

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
		"\"status\": \"paused\", \"mem\": 1073741824, \"uptime_ms\": 90061999, \"serial\": "
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
	TEST_RUN(test_ps);
	TEST_RUN(test_balloon_refused);
	TEST_RUN(test_ps_of_real_servers);
	TEST_RUN(test_cleanup);
	return TEST_EXIT();
}
