// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket; see server.h. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "json.h"
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

/* ---- Commands ---- */

static void answer_error(struct json_out *o, const char *class, const char *desc)
{
	json_open(o, NULL, '{');
	json_open(o, "error", '{');
	json_string(o, "class", class);
	json_string(o, "desc", desc);
	json_close(o, '}');
	json_close(o, '}');
}

static void answer_begin(struct json_out *o)
{
	json_open(o, NULL, '{');
	json_open(o, "return", '{');
}

static void answer_end(struct json_out *o)
{
	json_close(o, '}');
	json_close(o, '}');
}

static void do_query_status(struct hvm_control *c, struct json_out *o)
{
	struct hvm_machine_info info;

	hvm_machine_info(c->machine, &info);
	answer_begin(o);
	json_string(o, "name", info.name);
	json_u64(o, "pid", (uint64_t)getpid());
	json_string(o, "status", info.status);
	json_u64(o, "cpus", info.cpus);
	json_u64(o, "mem", info.mem);
	json_u64(o, "uptime_ms", info.uptime_ms);
	if (info.serial)
		json_string(o, "serial", info.serial);
	if (info.console)
		json_string(o, "console", info.console);
	answer_end(o);
}

static void do_powerdown(struct hvm_control *c, struct json_out *o)
{
	bool heard = hvm_machine_power_button(c->machine);

	answer_begin(o);
	json_bool(o, "heard", heard);
	answer_end(o);
}

static void do_quit(struct hvm_control *c, struct json_out *o)
{
	hvm_machine_quit(c->machine);
	answer_begin(o);
	answer_end(o);
}

static void control_execute(struct hvm_control *c, const char *line, struct json_out *o)
{
	static const struct {
		const char *name;
		void (*fn)(struct hvm_control *c, struct json_out *o);
	} commands[] = {
		{ "query-status", do_query_status },
		{ "system_powerdown", do_powerdown },
		{ "quit", do_quit },
	};
	char name[64];

	if (json_get_string(line, "execute", name, sizeof(name))) {
		answer_error(o, "GenericError", "not a command: {\"execute\": NAME} is wanted");
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(name, commands[i].name)) {
			commands[i].fn(c, o);
			return;
		}
	}
	answer_error(o, "CommandNotFound", "no such command");
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

/* Answers are short: a client that does not take them has gone wrong. */
static bool client_answer(struct client *cl, const char *line)
{
	char buf[MAX_LINE];
	struct json_out o;

	json_out_init(&o, buf, sizeof(buf) - 1);
	control_execute(cl->control, line, &o);
	buf[o.len] = '\n';
	return !o.full && send(cl->fd, buf, o.len + 1, MSG_DONTWAIT | MSG_NOSIGNAL) ==
			  (ssize_t)o.len + 1;
}

static void client_ready(void *opaque, uint32_t events)
{
	struct client *cl = opaque;
	ssize_t n = recv(cl->fd, cl->line + cl->len, sizeof(cl->line) - 1 - cl->len, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(cl);
		return;
	}
	cl->len += (size_t)n;
	cl->line[cl->len] = '\0';
	while ((end = memchr(cl->line, '\n', cl->len))) {
		size_t used = (size_t)(end + 1 - cl->line);

		*end = '\0';
		if (!client_answer(cl, cl->line)) {
			client_close(cl);
			return;
		}
		cl->len -= used;
		memmove(cl->line, cl->line + used, cl->len + 1);
	}
	if (cl->len == sizeof(cl->line) - 1)
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
