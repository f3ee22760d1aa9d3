// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket; see server.h. */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"
#include "framer.h"
#include "runtime.h"

#define RAW_LEN	4096

struct client {
	struct hvm_control *control;
	int fd;			/* -1: free */
	struct hv_loop_fd *watch;
	bool ready;		/* qmp_capabilities came */
	bool ended;		/* it sends no more */
	bool dead;		/* to be closed as soon as nobody uses it */

	/* Bytes that were read, of which those from raw_pos on wait. */
	unsigned char raw[RAW_LEN];
	size_t raw_pos, raw_len;
	/* The object that is coming in. */
	struct qmp_framer framer;
	char *in;
	size_t in_len, in_cap;
	/* Answers and events that the socket did not take yet. */
	char *out;
	size_t out_len, out_cap;
};

/* An event that may not come too often. */
struct limited {
	struct hvm_control *control;
	const struct qmp_event *event;
	struct hv_loop_timer *timer;	/* NULL: no limit, or never needed */
	uint64_t last_ns;		/* 0: it has not come yet */
	json_t *waits;
};

struct hvm_control {
	struct hvm_machine *machine;
	struct hv_loop *loop;
	char name[HVM_NAME_MAX + 1];
	int dir_fd, lock_fd, listen_fd;
	struct hv_loop_fd *watch;
	struct client client[HVM_CONTROL_CLIENTS];
	unsigned int nr_events;
	struct limited *events;
};

/* ---- Answers: each is NULL when there is no memory for it ---- */

static json_t *answer_error(const char *class, const char *desc)
{
	return json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", desc);
}

static json_t *answer_err(const struct hv_err *err)
{
	const char *class = err->code == -ENODEV ? "DeviceNotActive" :
			    err->code == -ENOENT ? "DeviceNotFound" : "GenericError";
	json_t *answer = answer_error(class, err->msg);

	/* A message may name a file in any encoding, cut anywhere. */
	return answer ? answer : answer_error(class, "failed; the message is not UTF-8");
}

static json_t *answer_return(json_t *value)
{
	return json_pack("{s:o}", "return", value);
}

/* ---- Commands ---- */

static json_t *begin(struct client *cl, const json_t *arguments)
{
	if (json_array_size(json_object_get(arguments, "enable")))
		return answer_error("GenericError", "qmp_capabilities: enable: there are none");
	cl->ready = true;
	return answer_return(json_object());
}

static json_t *run_command(struct client *cl, const struct qmp_command *cmd,
			   const json_t *arguments)
{
	struct hv_err err = { 0 };
	json_t *value;

	if (qmp_check_members(cmd->arguments, arguments, cmd->name, &err))
		return answer_err(&err);
	if (!cmd->run)
		return begin(cl, arguments);
	value = cmd->run(cl->control->machine, arguments, &err);
	if (value)
		return answer_return(value);
	if (!err.code)
		hv_err_set(&err, -ENOMEM, "%s: out of memory", cmd->name);
	return answer_err(&err);
}

static const struct qmp_command *find_command(const char *name)
{
	for (const struct qmp_command *c = qmp_commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static json_t *execute(struct client *cl, const json_t *request)
{
	static const struct qmp_member members[] = {
		{ .name = "execute", .type = &qmp_str },
		{ .name = "arguments", .type = &qmp_any, .optional = true },
		{ .name = "id", .type = &qmp_any, .optional = true },
		{ .name = NULL },
	};
	const struct qmp_command *cmd;
	struct hv_err err = { 0 };
	const char *name;

	if (qmp_check_members(members, request, "command", &err))
		return answer_err(&err);
	name = json_string_value(json_object_get(request, "execute"));
	cmd = find_command(name);
	if (!cl->ready && (!cmd || cmd->run))
		return answer_error("CommandNotFound", "qmp_capabilities has to come first");
	if (!cmd || (cl->ready && !cmd->run)) {
		hv_err_set(&err, -EINVAL, cmd ? "%.64s: this client has begun already" :
			   "%.64s: no such command", name);
		return answer_error("CommandNotFound", err.msg);
	}
	return run_command(cl, cmd, json_object_get(request, "arguments"));
}

/* ---- Output ---- */

/* Whoever may be in the middle of using the client goes on; its watch closes it. */
static void client_kill(struct client *cl)
{
	cl->dead = true;
	shutdown(cl->fd, SHUT_RDWR);
}

static void client_flush(struct client *cl)
{
	size_t done = 0;

	while (done < cl->out_len) {
		ssize_t n = send(cl->fd, cl->out + done, cl->out_len - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			client_kill(cl);
		if (n < 0)
			break;
		done += (size_t)n;
	}
	cl->out_len -= done;
	if (cl->out_len) {
		memmove(cl->out, cl->out + done, cl->out_len);
		return;
	}
	free(cl->out);
	cl->out = NULL;
	cl->out_cap = 0;
}

/* A json_dump_callback_t: 0, or -1 if there is no room. */
static int out_append(const char *data, size_t len, void *opaque)
{
	struct client *cl = opaque;
	size_t need = cl->out_len + len;

	if (need > HVM_CONTROL_OUT_MAX)
		return -1;
	if (need > cl->out_cap) {
		size_t cap = need + need / 2;
		char *p = realloc(cl->out, cap);

		if (!p)
			return -1;
		cl->out = p;
		cl->out_cap = cap;
	}
	memcpy(cl->out + cl->out_len, data, len);
	cl->out_len = need;
	return 0;
}

static void client_watch(struct client *cl)
{
	bool busy = cl->raw_pos < cl->raw_len || cl->ended;

	/* What was read and waits is gone on with when the socket takes answers again. */
	hv_loop_mod_fd(cl->watch, (busy ? 0 : EPOLLIN) | (cl->out_len || busy ? EPOLLOUT : 0));
}

/* One line. A client that cannot be told everything is told nothing more. */
static void client_send(struct client *cl, const json_t *object)
{
	if (cl->dead)
		return;
	if (!object || json_dump_callback(object, out_append, cl, 0) || out_append("\r\n", 2, cl))
		client_kill(cl);
	else
		client_flush(cl);
}

/* ---- Input ---- */

static void client_answer(struct client *cl)
{
	json_t *request = json_loadb(cl->in, cl->in_len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *id = json_object_get(request, "id");
	json_t *answer;

	if (request)
		answer = execute(cl, request);
	else
		answer = answer_error("GenericError", "this is no JSON");
	if (answer && id)
		json_object_set(answer, "id", (json_t *)id);
	json_decref(request);
	client_send(cl, answer);
	json_decref(answer);
}

static void client_refuse(struct client *cl, const char *why)
{
	json_t *answer = answer_error("GenericError", why);

	client_send(cl, answer);
	json_decref(answer);
}

static void in_free(struct client *cl)
{
	free(cl->in);
	cl->in = NULL;
	cl->in_len = cl->in_cap = 0;
}

static bool in_append(struct client *cl, unsigned char c)
{
	if (cl->in_len == cl->in_cap) {
		size_t cap = cl->in_cap ? 2 * cl->in_cap : 256;
		char *p = cl->in_cap < QMP_MAX_REQUEST ? realloc(cl->in, cap) : NULL;

		if (!p)
			return false;
		cl->in = p;
		cl->in_cap = cap;
	}
	cl->in[cl->in_len++] = (char)c;
	return true;
}

static void client_byte(struct client *cl, unsigned char c)
{
	enum qmp_frame frame = qmp_framer_feed(&cl->framer, c);

	if (frame == QMP_FRAME_MORE && !cl->framer.depth)
		return;		/* between objects */
	if (frame != QMP_FRAME_BAD && !in_append(cl, c)) {
		qmp_framer_drop(&cl->framer);
		client_refuse(cl, "the command is too long");
	} else if (frame == QMP_FRAME_BAD) {
		client_refuse(cl, "this is no JSON object");
	} else if (frame == QMP_FRAME_OBJECT) {
		client_answer(cl);
	} else {
		return;
	}
	in_free(cl);
}

/* Commands wait while their answers are not taken. */
static void client_work(struct client *cl)
{
	while (!cl->dead && cl->raw_pos < cl->raw_len && cl->out_len < HVM_CONTROL_OUT_HIGH)
		client_byte(cl, cl->raw[cl->raw_pos++]);
}

static void client_read(struct client *cl)
{
	ssize_t n = recv(cl->fd, cl->raw, sizeof(cl->raw), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		client_kill(cl);
	cl->ended = n <= 0;
	cl->raw_pos = 0;
	cl->raw_len = n > 0 ? (size_t)n : 0;
}

static void client_close(struct client *cl)
{
	if (cl->watch)
		hv_loop_del_fd(cl->watch);
	if (cl->fd >= 0)
		close(cl->fd);
	in_free(cl);
	free(cl->out);
	*cl = (struct client){ .control = cl->control, .fd = -1 };
}

static void client_ready(void *opaque, uint32_t events)
{
	struct client *cl = opaque;

	if (cl->out_len)
		client_flush(cl);
	if ((events & EPOLLIN) && cl->raw_pos == cl->raw_len && !cl->dead)
		client_read(cl);
	/* Who has gone entirely takes no answers: there is nothing to wait for. */
	else if (events & (EPOLLHUP | EPOLLERR))
		cl->dead = true;
	client_work(cl);
	if (cl->dead || (cl->ended && !cl->out_len && cl->raw_pos == cl->raw_len))
		client_close(cl);
	else
		client_watch(cl);
}

static void client_greet(struct client *cl)
{
	json_t *greeting = json_pack("{s:{s:o, s:[]}}", "QMP", "version", qmp_version_json(),
				     "capabilities");

	client_send(cl, greeting);
	json_decref(greeting);
}

static void control_accept(void *opaque, uint32_t events)
{
	struct hvm_control *c = opaque;
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < HVM_CONTROL_CLIENTS; i++) {
		struct client *cl = &c->client[i];

		if (cl->fd >= 0)
			continue;
		cl->watch = hv_loop_add_fd(c->loop, fd, EPOLLIN, client_ready, cl);
		if (!cl->watch)
			break;
		cl->fd = fd;
		client_greet(cl);
		return;
	}
	close(fd);
}

/* ---- Events ---- */

static void event_send(struct hvm_control *c, const json_t *event)
{
	for (unsigned int i = 0; i < HVM_CONTROL_CLIENTS; i++) {
		struct client *cl = &c->client[i];

		if (cl->fd < 0 || !cl->ready || cl->dead)
			continue;
		client_send(cl, event);
		client_watch(cl);
	}
}

static void limit_over(void *opaque)
{
	struct limited *l = opaque;

	l->last_ns = hv_loop_now_ns();
	event_send(l->control, l->waits);
	json_decref(l->waits);
	l->waits = NULL;
}

/* True: it waits, in the place of one that waits already. */
static bool event_waits(struct limited *l, json_t *event)
{
	uint64_t now = hv_loop_now_ns(), next = l->last_ns + l->event->limit_ms * 1000000ULL;

	if (!l->event->limit_ms || !l->last_ns || now >= next) {
		l->last_ns = now;
		return false;
	}
	if (!l->timer)
		l->timer = hv_loop_add_timer(l->control->loop, limit_over, l);
	if (!l->timer)
		return false;
	if (!l->waits)
		hv_loop_arm_timer(l->timer, next);
	json_decref(l->waits);
	l->waits = json_incref(event);
	return true;
}

void hvm_control_event(struct hvm_control *c, const char *name, json_t *data)
{
	struct timeval now;
	json_t *event;

	if (!c) {
		json_decref(data);
		return;
	}
	gettimeofday(&now, NULL);
	event = json_pack("{s:s, s:o*, s:{s:I, s:I}}", "event", name, "data", data, "timestamp",
			  "seconds", (json_int_t)now.tv_sec, "microseconds",
			  (json_int_t)now.tv_usec);
	for (unsigned int i = 0; event && i < c->nr_events; i++)
		if (!strcmp(c->events[i].event->name, name) && !event_waits(&c->events[i], event))
			event_send(c, event);
	json_decref(event);
}

/* ---- Life ---- */

static int events_init(struct hvm_control *c)
{
	while (qmp_events[c->nr_events].name)
		c->nr_events++;
	c->events = calloc(c->nr_events, sizeof(c->events[0]));
	if (!c->events)
		return -ENOMEM;
	for (unsigned int i = 0; i < c->nr_events; i++)
		c->events[i] = (struct limited){ .control = c, .event = &qmp_events[i] };
	return 0;
}

static void events_fini(struct hvm_control *c)
{
	for (unsigned int i = 0; c->events && i < c->nr_events; i++) {
		if (c->events[i].timer)
			hv_loop_del_timer(c->events[i].timer);
		json_decref(c->events[i].waits);
	}
	free(c->events);
}

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
	    chmod(addr.sun_path, 0600) || listen(c->listen_fd, HVM_CONTROL_CLIENTS))
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
	c->dir_fd = c->lock_fd = c->listen_fd = -1;
	for (unsigned int i = 0; i < HVM_CONTROL_CLIENTS; i++)
		c->client[i] = (struct client){ .control = c, .fd = -1 };
	ret = events_init(c);
	if (ret)
		hv_err_set(err, ret, "control socket: out of memory");
	if (!ret)
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
	for (unsigned int i = 0; i < HVM_CONTROL_CLIENTS; i++)
		client_close(&c->client[i]);
	events_fini(c);
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
