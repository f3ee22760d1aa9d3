/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_CLIENT_H
#define HVM_CONTROL_CLIENT_H

#include "../../virtio-backends/util/err.h"
#include "runtime.h"

#define HVM_CONTROL_LINE	4096

/* Names of all running guests, sorted; removes the left-overs of others. */
struct hvm_guest_list {
	char (*name)[HVM_NAME_MAX + 1];
	unsigned int nr;
};
int hvm_control_list(struct hvm_guest_list *list, struct hv_err *err);
void hvm_control_list_free(struct hvm_guest_list *list);

/*
 * Send one command and wait at most five seconds for the answer, whose "return" object is put into
 * @answer. -ENOENT: no such guest; -ETIMEDOUT: it does not answer.
 */
int hvm_control_call(const char *name, const char *command, char answer[HVM_CONTROL_LINE],
		     struct hv_err *err);
/* Whether a guest of that name runs now. */
bool hvm_control_running(const char *name);

#endif
