/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_GDB_SERVER_H
#define HVM_GDB_SERVER_H

#include "../../virtio-backends/loop.h"
#include "../config.h"
#include "../vm.h"

/* The socket where a debugger finds the guest; one debugger at a time. On the machine's loop. */
struct hvm_gdb;
struct hvm_machine;

int hvm_gdb_create(struct hvm_machine *m, struct hvm_vm *vm, const struct hvm_gdb_config *cfg,
		   struct hv_loop *loop, struct hvm_gdb **gdb, struct hv_err *err);
/* vCPUs' threads must have ended. NULL is ignored. */
void hvm_gdb_destroy(struct hvm_gdb *gdb);
/* NULL: no. */
bool hvm_gdb_connected(const struct hvm_gdb *gdb);
/* A vCPU has stopped, and all are parked. False: the guest is to go on. NULL is ignored. */
bool hvm_gdb_stopped(struct hvm_gdb *gdb);

#endif
