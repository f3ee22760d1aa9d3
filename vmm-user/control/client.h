/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_CLIENT_H
#define HVM_CONTROL_CLIENT_H

#include <jansson.h>

#include "../../virtio-backends/util/err.h"
#include "runtime.h"

/* Names of all running guests, sorted; removes the left-overs of others. */
struct hvm_guest_list {
	char (*name)[HVM_NAME_MAX + 1];
	unsigned int nr;
};
int hvm_control_list(struct hvm_guest_list *list, struct hv_err *err);
void hvm_control_list_free(struct hvm_guest_list *list);

/*
 * A connection to a guest that has begun (qmp_capabilities). A guest need not be trusted: what it
 * sends is bounded. In all of these: -ENOENT: no such guest; -ETIMEDOUT: it does not answer;
 * -EPIPE: it ended; -EPROTO: it refuses, or sends nonsense.
 */
struct hvm_conn;
#define HVM_CONTROL_TIMEOUT_MS	5000
#define HVM_CONTROL_ANSWER_MAX	(4u << 20)

int hvm_conn_open(const char *name, struct hvm_conn **conn, struct hv_err *err);
void hvm_conn_close(struct hvm_conn *conn);
int hvm_conn_fd(const struct hvm_conn *conn);
/* Send an object, which is not taken over. */
int hvm_conn_send(struct hvm_conn *conn, const json_t *request, struct hv_err *err);
/* The next object that comes: an answer or an event. @timeout_ms -1: wait for ever. */
int hvm_conn_receive(struct hvm_conn *conn, int timeout_ms, json_t **object, struct hv_err *err);
/*
 * Execute a command and wait for its answer; events that come before it are dropped. What it
 * returned goes to *@value (unless NULL), for the caller to json_decref(). @arguments, an object or
 * NULL, is taken over.
 */
int hvm_conn_call(struct hvm_conn *conn, const char *command, json_t *arguments, json_t **value,
		  struct hv_err *err);

/* All in one: connect, execute one command, and wait at most five seconds for each answer. */
int hvm_control_call(const char *name, const char *command, json_t **value, struct hv_err *err);
/* The same with arguments, an object that is taken over; NULL: none. */
int hvm_control_call_with(const char *name, const char *command, json_t *arguments, json_t **value,
			  struct hv_err *err);
/* Whether a guest of that name runs now. */
bool hvm_control_running(const char *name);

#endif
