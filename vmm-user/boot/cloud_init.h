/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CLOUD_INIT_H
#define HVM_CLOUD_INIT_H

#include "../../virtio-backends/util/err.h"
#include "../config.h"

/*
 * The image from which cloud-init of a guest takes its settings (data source NoCloud): an ISO 9660
 * file system called "cidata" with the files user-data, meta-data and network-config, made by
 * xorriso or genisoimage.
 */

/*
 * Make it in a temporary file, whose name comes back in *@image; the caller removes and frees it.
 * Without meta-data, the instance is called after the guest, @name. Waits for the program.
 */
int hvm_cloud_init_create(const struct hvm_cloud_init_config *cfg, const char *name, char **image,
			  struct hv_err *err);

#endif
