// SPDX-License-Identifier: GPL-2.0-or-later
/* Talking to running guests; see client.h. */
#include "client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct hvm_conn {
	char name[HVM_NAME_MAX + 1];
	int fd;
	char *buf;		/* what came and was not returned yet */
	size_t len, cap;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int list_add(struct hvm_guest_list *list, const char *name)
{
	void *p = realloc(list->name, (list->nr + 1) * sizeof(list->name[0]));

	if (!p)
		return -ENOMEM;
	list->name = p;
	snprintf(list->name[list->nr++], sizeof(list->name[0]), "%s", name);
	return 0;
}

/* "NAME.lock" to NAME; false for other files. */
static bool name_of_lock(const char *file, char name[HVM_NAME_MAX + 1])
{
	const char *dot = strrchr(file, '.');
	size_t len = dot ? (size_t)(dot - file) : 0;

	if (!dot || strcmp(dot, ".lock") || len > HVM_NAME_MAX)
		return false;
	memcpy(name, file, len);
	name[len] = '\0';
	return hvm_name_valid(name);
}

int hvm_control_list(struct hvm_guest_list *list, struct hv_err *err)
{
	char path[HVM_RUNTIME_PATH_MAX], name[HVM_NAME_MAX + 1];
	struct dirent *e;
	DIR *dir;
	int fd, ret = 0;

	*list = (struct hvm_guest_list){ 0 };
	fd = hvm_runtime_open(false, path, err);
	if (fd == -ENOENT)
		return 0;	/* no guest ran yet */
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		ret = hv_err_set(err, -errno, "%s: %s", path, strerror(errno));
		close(fd);
		return ret;
	}
	while (!ret && (e = readdir(dir)))
		if (name_of_lock(e->d_name, name) && hvm_runtime_alive(dirfd(dir), name))
			ret = list_add(list, name);
	closedir(dir);
	if (ret)
		hvm_control_list_free(list);
	else if (list->nr)
		qsort(list->name, list->nr, sizeof(list->name[0]), compare_names);
	return ret ? hv_err_set(err, ret, "out of memory") : 0;
}

void hvm_control_list_free(struct hvm_guest_list *list)
{
	free(list->name);
	*list = (struct hvm_guest_list){ 0 };
}

bool hvm_control_running(const char *name)
{
	char path[HVM_RUNTIME_PATH_MAX];
	int fd = hvm_runtime_open(false, path, NULL);
	bool alive;

	if (fd < 0)
		return false;
	alive = hvm_runtime_alive(fd, name);
	close(fd);
	return alive;
}

static int no_such_guest(const char *name, struct hv_err *err)
{
	return hv_err_set(err, -ENOENT, "no guest named %s is running", name);
}

/* Returns the descriptor, or -errno. */
static int control_connect(const char *name, struct hv_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval tv = { .tv_sec = HVM_CONTROL_TIMEOUT_MS / 1000 };
	char dir[HVM_RUNTIME_PATH_MAX];
	int fd = hvm_runtime_open(false, dir, err), ret;

	if (fd == -ENOENT)
		return no_such_guest(name, err);
	if (fd < 0)
		return fd;
	close(fd);
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s.sock", dir, name) >=
	    (int)sizeof(addr.sun_path))
		return no_such_guest(name, err);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return hv_err_set(err, -errno, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		ret = no_such_guest(name, err);
	else
		ret = hv_err_set(err, -errno, "guest %s: %s", name, strerror(errno));
	close(fd);
	return ret;
}

/* ---- Lines ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Wait until something comes. */
static int conn_wait(struct hvm_conn *c, int64_t until, struct hv_err *err)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int n;

	do {
		int64_t left = until < 0 ? -1 : until - now_ms();

		n = poll(&p, 1, until < 0 ? -1 : left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : hv_err_set(err, -ETIMEDOUT, "guest %s does not answer", c->name);
}

static int conn_fill(struct hvm_conn *c, struct hv_err *err)
{
	ssize_t n;

	if (c->len == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 4096;
		char *p;

		if (cap > HVM_CONTROL_ANSWER_MAX)
			return hv_err_set(err, -EPROTO, "guest %s: the answer is too long", c->name);
		p = realloc(c->buf, cap);
		if (!p)
			return hv_err_set(err, -ENOMEM, "out of memory");
		c->buf = p;
		c->cap = cap;
	}
	do {
		n = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return hv_err_set(err, -EPIPE, "guest %s ended", c->name);
	c->len += (size_t)n;
	return 0;
}

/* A line is complete: parse it and take it out. */
static int conn_take(struct hvm_conn *c, size_t len, json_t **object, struct hv_err *err)
{
	int ret = 0;

	*object = json_loadb(c->buf, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(*object)) {
		ret = hv_err_set(err, -EPROTO, "guest %s answers nonsense: %.*s", c->name,
				 len < 120 ? (int)len : 120, c->buf);
		json_decref(*object);
		*object = NULL;
	}
	c->len -= len + 1;
	memmove(c->buf, c->buf + len + 1, c->len);
	return ret;
}

int hvm_conn_receive(struct hvm_conn *c, int timeout_ms, json_t **object, struct hv_err *err)
{
	int64_t until = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	size_t seen = 0;

	*object = NULL;
	for (;;) {
		char *end = c->len > seen ? memchr(c->buf + seen, '\n', c->len - seen) : NULL;
		int ret;

		if (end)
			return conn_take(c, (size_t)(end - c->buf), object, err);
		seen = c->len;
		ret = conn_wait(c, until, err);
		if (!ret)
			ret = conn_fill(c, err);
		if (ret)
			return ret;
	}
}

int hvm_conn_send(struct hvm_conn *c, const json_t *request, struct hv_err *err)
{
	char *text = json_dumps(request, 0);
	size_t len = text ? strlen(text) : 0, done = 0;

	if (!text)
		return hv_err_set(err, -ENOMEM, "the command is not UTF-8, or out of memory");
	text[len++] = '\n';	/* in the place of the NUL */
	while (done < len) {
		ssize_t n = send(c->fd, text + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	free(text);
	if (done < len && errno == EAGAIN)
		return hv_err_set(err, -ETIMEDOUT, "guest %s does not answer", c->name);
	return done < len ? hv_err_set(err, -EPIPE, "guest %s ended", c->name) : 0;
}

/* ---- Commands ---- */

/* The guest's own words, if it said why. */
static int refused(const struct hvm_conn *c, const char *command, const json_t *answer,
		   struct hv_err *err)
{
	const char *desc = json_string_value(json_object_get(json_object_get(answer, "error"),
							     "desc"));

	return hv_err_set(err, -EPROTO, "guest %s refuses %s: %s", c->name, command,
			  desc ? desc : "its answer makes no sense");
}

int hvm_conn_call(struct hvm_conn *c, const char *command, json_t *arguments, json_t **value,
		  struct hv_err *err)
{
	json_t *request = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments);
	int64_t until = now_ms() + HVM_CONTROL_TIMEOUT_MS;
	json_t *answer = NULL, *returned;
	int ret = hvm_conn_send(c, request, err);

	json_decref(request);
	while (!ret) {
		int64_t left = until - now_ms();

		ret = hvm_conn_receive(c, left > 0 ? (int)left : 0, &answer, err);
		if (ret || !json_object_get(answer, "event"))
			break;
		json_decref(answer);
		answer = NULL;
	}
	if (ret)
		return ret;
	returned = json_object_get(answer, "return");
	if (returned && value)
		*value = json_incref(returned);
	if (!returned)
		ret = refused(c, command, answer, err);
	json_decref(answer);
	return ret;
}

int hvm_conn_open(const char *name, struct hvm_conn **res, struct hv_err *err)
{
	struct hvm_conn *c = calloc(1, sizeof(*c));
	json_t *greeting = NULL;
	int ret;

	if (!c)
		return hv_err_set(err, -ENOMEM, "out of memory");
	snprintf(c->name, sizeof(c->name), "%s", name);
	ret = c->fd = control_connect(name, err);
	if (ret >= 0)
		ret = hvm_conn_receive(c, HVM_CONTROL_TIMEOUT_MS, &greeting, err);
	if (!ret && !json_object_get(greeting, "QMP"))
		ret = hv_err_set(err, -EPROTO, "guest %s does not speak QMP; another version of hvm "
				 "runs it", name);
	json_decref(greeting);
	if (!ret)
		ret = hvm_conn_call(c, "qmp_capabilities", NULL, NULL, err);
	if (ret) {
		hvm_conn_close(c);
		return ret;
	}
	*res = c;
	return 0;
}

void hvm_conn_close(struct hvm_conn *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	free(c);
}

int hvm_conn_fd(const struct hvm_conn *c)
{
	return c->fd;
}

int hvm_control_call_with(const char *name, const char *command, json_t *arguments, json_t **value,
			  struct hv_err *err)
{
	struct hvm_conn *c;
	int ret = hvm_conn_open(name, &c, err);

	if (ret) {
		json_decref(arguments);
		return ret;
	}
	ret = hvm_conn_call(c, command, arguments, value, err);
	hvm_conn_close(c);
	return ret;
}

int hvm_control_call(const char *name, const char *command, json_t **value, struct hv_err *err)
{
	return hvm_control_call_with(name, command, NULL, value, err);
}
