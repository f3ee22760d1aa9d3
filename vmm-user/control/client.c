// SPDX-License-Identifier: GPL-2.0-or-later
/* Talking to running guests; see client.h. */
#include "client.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S	5
#define MAX_LINE	4096	/* of an answer; a guest need not be trusted */

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

static int control_connect(const char *name, struct hv_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = TIMEOUT_S };
	char dir[HVM_RUNTIME_PATH_MAX];
	int fd = hvm_runtime_open(false, dir, err);

	if (fd == -ENOENT)
		return hv_err_set(err, -ENOENT, "no guest named %s is running", name);
	if (fd < 0)
		return fd;
	close(fd);
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s.sock", dir, name) >=
	    (int)sizeof(addr.sun_path))
		return hv_err_set(err, -ENOENT, "no guest named %s is running", name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return hv_err_set(err, -errno, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		hv_err_set(err, -ENOENT, "no guest named %s is running", name);
	else
		hv_err_set(err, -errno, "guest %s: %s", name, strerror(errno));
	close(fd);
	return err ? err->code : -ENOENT;
}

/* Returns the length of the line without its end, or -errno. */
static int read_line(int fd, const char *name, char line[MAX_LINE], struct hv_err *err)
{
	size_t have = 0;

	while (have < MAX_LINE) {
		ssize_t n = recv(fd, line + have, MAX_LINE - have, 0);
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return hv_err_set(err, -ETIMEDOUT, "guest %s does not answer", name);
		if (n <= 0)
			return hv_err_set(err, -EPIPE, "guest %s ended", name);
		end = memchr(line + have, '\n', (size_t)n);
		have += (size_t)n;
		if (end)
			return (int)(end - line);
	}
	return hv_err_set(err, -EPROTO, "guest %s: the answer is too long", name);
}

static int send_command(int fd, const char *name, const char *command, json_t *arguments,
			struct hv_err *err)
{
	json_t *request = json_pack("{s:s, s:O*}", "execute", command, "arguments", arguments);
	char line[MAX_LINE];
	size_t n = json_dumpb(request, line, sizeof(line) - 1, 0);

	json_decref(request);
	if (!n || n >= sizeof(line))
		return hv_err_set(err, -ENOMEM, "command %s: too long, or out of memory", command);
	line[n++] = '\n';
	if (send(fd, line, n, MSG_NOSIGNAL) != (ssize_t)n)
		return hv_err_set(err, -EPIPE, "guest %s does not answer", name);
	return 0;
}

/* Send the command, and read the answer into @line. */
static int exchange(const char *name, const char *command, json_t *arguments,
		    char line[MAX_LINE], struct hv_err *err)
{
	int fd = control_connect(name, err), len;

	if (fd < 0)
		return fd;
	len = send_command(fd, name, command, arguments, err);
	if (!len)
		len = read_line(fd, name, line, err);
	close(fd);
	return len;
}

/* The guest's own words, if it said why. */
static int refused(const char *name, const char *command, const json_t *answer, const char *line,
		   int len, struct hv_err *err)
{
	const char *desc = json_string_value(json_object_get(json_object_get(answer, "error"),
							     "desc"));

	if (desc)
		return hv_err_set(err, -EPROTO, "guest %s refuses %s: %s", name, command, desc);
	return hv_err_set(err, -EPROTO, "guest %s refuses %s: %.*s", name, command,
			  len < 120 ? len : 120, line);
}

int hvm_control_call_with(const char *name, const char *command, json_t *arguments, json_t **value,
			  struct hv_err *err)
{
	char line[MAX_LINE];
	json_t *answer, *returned;
	int len = exchange(name, command, arguments, line, err), ret = 0;

	json_decref(arguments);
	if (len < 0)
		return len;
	answer = json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
	returned = json_object_get(answer, "return");
	if (returned && value)
		*value = json_incref(returned);
	if (!returned)
		ret = refused(name, command, answer, line, len, err);
	json_decref(answer);
	return ret;
}

int hvm_control_call(const char *name, const char *command, json_t **value, struct hv_err *err)
{
	return hvm_control_call_with(name, command, NULL, value, err);
}
