// SPDX-License-Identifier: GPL-2.0-or-later
/* See control_conn.h. */
#include "control_conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control_world.h"
#include "unit_test.h"

struct hv_loop *loop;
struct hvm_control *control;

void server_start(void)
{
	struct hv_err err;

	CHECK_EQ(hv_loop_create(&loop), 0);
	CHECK_EQ(hvm_control_create(NULL, "g", loop, &control, &err), 0);
	hvm_control_start(control);
	machine_control = control;
	machine_pushes = machine_quits = machine_pauses = machine_resumes = machine_resets = 0;
}

void server_stop(void)
{
	machine_control = NULL;
	hvm_control_destroy(control);
	hv_loop_destroy(loop);
}

void server_work(void)
{
	for (int i = 0; i < 4; i++)
		CHECK_EQ(hv_loop_run_once(loop, 0), 0);
}

void conn_read(struct conn *c)
{
	ssize_t n;

	while ((n = recv(c->fd, c->got + c->len, sizeof(c->got) - 1 - c->len, MSG_DONTWAIT)) > 0)
		c->len += (size_t)n;
	if (!n || errno != EAGAIN)
		c->closed = true;
	c->got[c->len] = '\0';
}

void conn_open(struct conn *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memset(c, 0, sizeof(*c));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/hvm/g.sock", world_dir);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	server_work();
	conn_read(c);
}

void conn_begin(struct conn *c)
{
	conn_open(c);
	CHECK_STR(ask_text(c, BEGIN "\n"), "{\"return\": {}}\r\n");
}

void conn_close(struct conn *c)
{
	close(c->fd);
	server_work();
}

const char *ask(struct conn *c, const char *data, size_t len)
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
	/* Until the server has read all; a large answer comes in pieces. */
	for (int left = 1; left && !c->closed && !ioctl(c->fd, SIOCOUTQ, &left);) {
		server_work();
		conn_read(c);
	}
	for (size_t before = c->len + 1; before != c->len;) {
		before = c->len;
		server_work();
		conn_read(c);
	}
	return c->got;
}

const char *ask_text(struct conn *c, const char *text)
{
	return ask(c, text, strlen(text));
}

const char *ask_line(struct conn *c, const char *line, size_t len)
{
	char *buf = malloc(len + 1);

	memcpy(buf, line, len);
	buf[len] = '\n';
	ask(c, buf, len + 1);
	free(buf);
	return c->got;
}
