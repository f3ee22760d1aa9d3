/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_RUNTIME_H
#define HVM_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#include "../../virtio-backends/util/err.h"
#include "../config.h"

/*
 * The directory that makes running guests known: $XDG_RUNTIME_DIR/hvm, or /run/hvm for root, or
 * /tmp/hvm-UID. A guest NAME holds a lock on NAME.lock as long as it lives and listens on
 * NAME.sock. Files whose lock nobody holds are left-overs of a guest that was killed.
 */
#define HVM_RUNTIME_PATH_MAX	108	/* what fits into a socket's address */

/* 1 to HVM_NAME_MAX letters, digits, '.', '_' and '-', the first a letter or digit. */
bool hvm_name_valid(const char *name);

/* Open the directory, and make it first if @create. Returns a descriptor or -errno. */
int hvm_runtime_open(bool create, char path[HVM_RUNTIME_PATH_MAX], struct hv_err *err);

/* Take a name; returns the descriptor that holds the lock, or -EEXIST if it is in use. */
int hvm_runtime_lock(int dirfd, const char *name, struct hv_err *err);
/* Remove the files of a name whose lock @lock_fd holds, and let go of it. */
void hvm_runtime_unlock(int dirfd, const char *name, int lock_fd);
/* True if the guest lives; false after removing what it left behind. */
bool hvm_runtime_alive(int dirfd, const char *name);

#endif
