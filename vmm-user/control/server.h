/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_SERVER_H
#define HVM_CONTROL_SERVER_H

#include <jansson.h>

#include "../../virtio-backends/loop.h"
#include "../../virtio-backends/util/err.h"
#include "../machine.h"

/*
 * The control socket of a guest, which speaks QMP (Documentation/qmp.rst). Commands and events are
 * in table.c. All of it runs on the machine's loop, and none of it waits for a client.
 */
struct hvm_control;

#define HVM_CONTROL_CLIENTS	16
/* What a client may leave unread, bytes; above the first mark its commands wait. */
#define HVM_CONTROL_OUT_HIGH	(64u << 10)
#define HVM_CONTROL_OUT_MAX	(1u << 20)

/* Take the name and listen; -EEXIST if the name is in use. */
int hvm_control_create(struct hvm_machine *m, const char *name, struct hv_loop *loop,
		       struct hvm_control **c, struct hv_err *err);
/* Answer from now on. */
void hvm_control_start(struct hvm_control *c);
void hvm_control_destroy(struct hvm_control *c);
/* Tell all clients. @data, an object or NULL, is taken over. @c may be NULL. The loop's thread. */
void hvm_control_event(struct hvm_control *c, const char *name, json_t *data);

#endif
