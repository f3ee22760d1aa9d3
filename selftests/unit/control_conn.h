/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTROL_CONN_H
#define CONTROL_CONN_H

#include <stdbool.h>
#include <stddef.h>

#include "../../vmm-user/control/server.h"

/* A server that the test's own thread drives, and a client's end of a connection. */
extern struct hv_loop *loop;
extern struct hvm_control *control;

void server_start(void);
void server_stop(void);
void server_work(void);

struct conn {
	int fd;
	char got[1 << 18];	/* all that came since the last ask() */
	size_t len;
	bool closed;
};

/* Connect and read the greeting; conn_begin() also sends qmp_capabilities. */
void conn_open(struct conn *c);
void conn_begin(struct conn *c);
void conn_close(struct conn *c);
/* What has come, after what there was. */
void conn_read(struct conn *c);

/* Send @data, of any size, while the server works; returns what came back. */
const char *ask(struct conn *c, const char *data, size_t len);
const char *ask_text(struct conn *c, const char *text);
const char *ask_line(struct conn *c, const char *line, size_t len);

#endif
