// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket; see server.h. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands_block.h"
#include "runtime.h"

#define MAX_CLIENTS	8
#define MAX_LINE	4096

struct client {
	struct hvm_control *control;
	int fd;			/* -1: free */
	struct hv_loop_fd *watch;
	char line[MAX_LINE];
	size_t len;
};

struct hvm_control {
	struct hvm_machine *machine;
	struct hv_loop *loop;
	char name[HVM_NAME_MAX + 1];
	int dir_fd, lock_fd, listen_fd;
	struct hv_loop_fd *watch;
	struct client client[MAX_CLIENTS];
};

/* ---- Commands: each returns the answer, or NULL when there is no memory for it ---- */

static json_t *answer_error(const char *class, const char *desc)
{
	return json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", desc);
}

static json_t *answer_err(const struct hv_err *err)
{
	return answer_error("GenericError", err->msg);
}

static json_t *do_query_status(struct hvm_control *c, const json_t *arguments)
{
	struct hvm_machine_info info;

	hvm_machine_info(c->machine, &info);
	return json_pack("{s:{s:s, s:I, s:s, s:I, s:I, s:I, s:s*, s:s*}}", "return",
			 "name", info.name,
			 "pid", (json_int_t)getpid(),
			 "status", info.status,
			 "cpus", (json_int_t)info.cpus,
			 "mem", (json_int_t)info.mem,
			 "uptime_ms", (json_int_t)info.uptime_ms,
			 "serial", info.serial,
			 "console", info.console);
}

static json_t *do_powerdown(struct hvm_control *c, const json_t *arguments)
{
	bool heard = hvm_machine_power_button(c->machine);

	return json_pack("{s:{s:b}}", "return", "heard", heard);
}

static json_t *do_quit(struct hvm_control *c, const json_t *arguments)
{
	hvm_machine_quit(c->machine);
	return json_pack("{s:{}}", "return");
}

static json_t *do_stop(struct hvm_control *c, const json_t *arguments)
{
	hvm_machine_pause(c->machine);
	return json_pack("{s:{}}", "return");
}

static json_t *do_cont(struct hvm_control *c, const json_t *arguments)
{
	hvm_machine_resume(c->machine);
	return json_pack("{s:{}}", "return");
}

/* As QEMU has it: "value" and "actual" are what the guest keeps, in bytes. */
static json_t *do_balloon(struct hvm_control *c, const json_t *arguments)
{
	const json_t *value = json_object_get(arguments, "value");
	struct hv_err err = { 0 };

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return answer_error("GenericError", "balloon: \"value\" is missing, bytes for the guest");
	if (hvm_machine_balloon(c->machine, (uint64_t)json_integer_value(value), &err))
		return answer_err(&err);
	return json_pack("{s:{}}", "return");
}

static json_t *do_query_balloon(struct hvm_control *c, const json_t *arguments)
{
	struct virtio_balloon_info info;
	struct hvm_machine_info machine;
	struct hv_err err = { 0 };
	json_t *stats = json_object();

	if (hvm_machine_balloon_info(c->machine, &info, &err)) {
		json_decref(stats);
		return answer_err(&err);
	}
	hvm_machine_info(c->machine, &machine);
	for (unsigned int i = 0; i < info.nr_stats; i++)
		json_object_set_new(stats, info.stat[i].name,
				    json_integer((json_int_t)info.stat[i].value));
	return json_pack("{s:{s:I, s:I, s:I, s:b, s:I, s:o}}", "return",
			 "mem", (json_int_t)machine.mem,
			 "value", (json_int_t)(machine.mem - info.target),
			 "actual", (json_int_t)(machine.mem - info.actual),
			 "trimming", info.trimming,
			 "stats_age_ms", (json_int_t)info.stats_age_ms,
			 "stats", stats);
}

static json_t *do_balloon_trim(struct hvm_control *c, const json_t *arguments)
{
	struct hv_err err = { 0 };

	if (hvm_machine_balloon_trim(c->machine, &err))
		return answer_err(&err);
	return json_pack("{s:{}}", "return");
}

/* Commands of other files return a value, or NULL and a message. */
typedef json_t *(*handler_fn)(struct hvm_machine *m, const json_t *arguments, struct hv_err *err);

static json_t *answer_handler(struct hvm_control *c, const json_t *arguments, handler_fn fn)
{
	struct hv_err err = { 0 };
	json_t *value = fn(c->machine, arguments, &err);

	return value ? json_pack("{s:o}", "return", value) : answer_err(&err);
}

static json_t *do_block_resize(struct hvm_control *c, const json_t *arguments)
{
	return answer_handler(c, arguments, qmp_block_resize);
}

static json_t *do_snapshot(struct hvm_control *c, const json_t *arguments)
{
	return answer_handler(c, arguments, qmp_blockdev_snapshot_sync);
}

static json_t *do_snapshot_internal(struct hvm_control *c, const json_t *arguments)
{
	return answer_handler(c, arguments, qmp_blockdev_snapshot_internal_sync);
}

static json_t *do_snapshot_delete_internal(struct hvm_control *c, const json_t *arguments)
{
	return answer_handler(c, arguments, qmp_blockdev_snapshot_delete_internal_sync);
}

static json_t *control_execute(struct hvm_control *c, const json_t *request)
{
	static const struct {
		const char *name;
		json_t *(*fn)(struct hvm_control *c, const json_t *arguments);
	} commands[] = {
		{ "query-status", do_query_status },
		{ "system_powerdown", do_powerdown },
		{ "quit", do_quit },
		{ "stop", do_stop },
		{ "cont", do_cont },
		{ "balloon", do_balloon },
		{ "query-balloon", do_query_balloon },
		{ "x-hv-balloon-trim", do_balloon_trim },
		{ "block_resize", do_block_resize },
		{ "blockdev-snapshot-sync", do_snapshot },
		{ "blockdev-snapshot-internal-sync", do_snapshot_internal },
		{ "blockdev-snapshot-delete-internal-sync", do_snapshot_delete_internal },
	};
	const char *name = json_string_value(json_object_get(request, "execute"));

	if (!name)
		return answer_error("GenericError", "not a command: {\"execute\": NAME} is wanted");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].fn(c, json_object_get(request, "arguments"));
	return answer_error("CommandNotFound", "no such command");
}

/* ---- Clients ---- */

static void client_close(struct client *cl)
{
	if (cl->watch)
		hv_loop_del_fd(cl->watch);
	if (cl->fd >= 0)
		close(cl->fd);
	cl->watch = NULL;
	cl->fd = -1;
	cl->len = 0;
}

/*
 * A line is not trusted. Its length bounds what reading it can take: MAX_LINE bytes become at most
 * 320 KiB of values, freed before the next line, and 170 KiB of stack at the 2048 levels of nesting
 * where the library stops. Answers are short: a client that does not take one has gone wrong.
 */
static bool client_answer(struct client *cl, const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *answer = control_execute(cl->control, request);
	char buf[MAX_LINE];
	size_t n = json_dumpb(answer, buf, sizeof(buf) - 1, 0);	/* 0: no answer */

	json_decref(request);
	json_decref(answer);
	if (!n || n >= sizeof(buf))
		return false;
	buf[n++] = '\n';
	return send(cl->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

static void client_ready(void *opaque, uint32_t events)
{
	struct client *cl = opaque;
	ssize_t n = recv(cl->fd, cl->line + cl->len, sizeof(cl->line) - cl->len, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(cl);
		return;
	}
	cl->len += (size_t)n;
	while ((end = memchr(cl->line, '\n', cl->len))) {
		size_t used = (size_t)(end + 1 - cl->line);

		if (!client_answer(cl, cl->line, used - 1)) {
			client_close(cl);
			return;
		}
		cl->len -= used;
		memmove(cl->line, cl->line + used, cl->len);
	}
	if (cl->len == sizeof(cl->line))
		client_close(cl);	/* a line that long is no command */
}

static void control_accept(void *opaque, uint32_t events)
{
	struct hvm_control *c = opaque;
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		struct client *cl = &c->client[i];

		if (cl->fd >= 0)
			continue;
		cl->watch = hv_loop_add_fd(c->loop, fd, EPOLLIN, client_ready, cl);
		if (!cl->watch)
			break;
		cl->fd = fd;
		return;
	}
	close(fd);
}

/* ---- Life ---- */

static int control_listen(struct hvm_control *c, const char *dir, struct hv_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char file[HVM_NAME_MAX + 8];
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s.sock", dir, c->name);

	if (n >= (int)sizeof(addr.sun_path))
		return hv_err_set(err, -ENAMETOOLONG, "%s/%s.sock: too long for a socket; choose a "
				  "shorter --name", dir, c->name);
	/* We hold the lock: a socket that is there is a left-over. */
	snprintf(file, sizeof(file), "%s.sock", c->name);
	unlinkat(c->dir_fd, file, 0);
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listen_fd < 0 || bind(c->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    chmod(addr.sun_path, 0600) || listen(c->listen_fd, MAX_CLIENTS))
		return hv_err_set(err, -errno, "%s: %s", addr.sun_path, strerror(errno));
	return 0;
}

int hvm_control_create(struct hvm_machine *m, const char *name, struct hv_loop *loop,
		       struct hvm_control **res, struct hv_err *err)
{
	struct hvm_control *c = calloc(1, sizeof(*c));
	char dir[HVM_RUNTIME_PATH_MAX];
	int ret;

	if (!c)
		return hv_err_set(err, -ENOMEM, "control socket: out of memory");
	c->machine = m;
	c->loop = loop;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->lock_fd = c->listen_fd = -1;
	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		c->client[i].control = c;
		c->client[i].fd = -1;
	}
	ret = c->dir_fd = hvm_runtime_open(true, dir, err);
	if (ret >= 0)
		ret = c->lock_fd = hvm_runtime_lock(c->dir_fd, name, err);
	if (ret >= 0)
		ret = control_listen(c, dir, err);
	if (ret < 0) {
		hvm_control_destroy(c);
		return ret;
	}
	*res = c;
	return 0;
}

void hvm_control_start(struct hvm_control *c)
{
	c->watch = hv_loop_add_fd(c->loop, c->listen_fd, EPOLLIN, control_accept, c);
}

void hvm_control_destroy(struct hvm_control *c)
{
	if (!c)
		return;
	for (unsigned int i = 0; i < MAX_CLIENTS; i++)
		client_close(&c->client[i]);
	if (c->watch)
		hv_loop_del_fd(c->watch);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	if (c->lock_fd >= 0)
		hvm_runtime_unlock(c->dir_fd, c->name, c->lock_fd);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	free(c);
}
