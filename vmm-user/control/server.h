/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_SERVER_H
#define HVM_CONTROL_SERVER_H

#include "../../virtio-backends/loop.h"
#include "../../virtio-backends/util/err.h"
#include "../machine.h"

/*
 * The control socket of a guest: one JSON object per line each way, in the words of QMP.
 *
 *	{"execute": "query-status"}	{"return": {"name": ..., "status": "running", ...}}
 *	{"execute": "system_powerdown"}	{"return": {"heard": true}}
 *	{"execute": "quit"}		{"return": {}}
 *	{"execute": "stop"}		{"return": {}}
 *	{"execute": "cont"}		{"return": {}}
 *	{"execute": "balloon", "arguments": {"value": BYTES}}	{"return": {}}
 *	{"execute": "query-balloon"}	{"return": {"value": ..., "actual": ..., "stats": {...}}}
 *	{"execute": "x-hv-balloon-trim"}	{"return": {}}
 *	{"execute": "block_resize", "arguments": {"device": "blk0", "size": BYTES}}	{"return": {}}
 *	"blockdev-snapshot-sync", {"device": ..., "snapshot-file": ...}
 *	"blockdev-snapshot-internal-sync" and "-delete-internal-sync", {"device": ..., "name": ...}
 *	anything else			{"error": {"class": ..., "desc": ...}}
 */
struct hvm_control;

/* Take the name and listen; -EEXIST if the name is in use. */
int hvm_control_create(struct hvm_machine *m, const char *name, struct hv_loop *loop,
		       struct hvm_control **c, struct hv_err *err);
/* Answer from now on. */
void hvm_control_start(struct hvm_control *c);
void hvm_control_destroy(struct hvm_control *c);

#endif
