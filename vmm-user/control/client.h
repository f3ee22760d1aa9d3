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
 * Send one command and wait at most five seconds for the answer. What it returned goes to *@value
 * (unless NULL), for the caller to json_decref(). -ENOENT: no such guest; -ETIMEDOUT: it does not
 * answer; -EPROTO: it refuses.
 */
int hvm_control_call(const char *name, const char *command, json_t **value, struct hv_err *err);
/* The same with arguments, an object that is taken over; NULL: none. */
int hvm_control_call_with(const char *name, const char *command, json_t *arguments, json_t **value,
			  struct hv_err *err);
/* Whether a guest of that name runs now. */
bool hvm_control_running(const char *name);

#endif
