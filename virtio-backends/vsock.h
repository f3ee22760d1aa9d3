/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_VSOCK_H
#define HV_VIRTIO_VSOCK_H

#include "virtio.h"

/*
 * Socket device (virtio 1.2, 5.10): stream sockets between guest and host, without a network.
 *
 * With a path, the host's side are Unix sockets and no privilege is needed. A program of the host
 * connects to PATH, says "CONNECT PORT\n" and is answered "OK NUMBER\n" when the guest has accepted;
 * what the guest connects to, CID 2 and a port, is who listens on PATH_PORT. Without a path, the
 * host's kernel is the other side (vhost-vsock) and programs use AF_VSOCK.
 */
#define VSOCK_CID_HOST	2u
#define VSOCK_CID_MIN	3u
#define VSOCK_CID_MAX	0xfffffffeu

struct virtio_vsock_config {
	struct hv_loop *loop;
	uint32_t cid;		/* the guest's address */
	const char *path;	/* NULL: vhost */
	const char *id;
};

int virtio_vsock_create(const struct virtio_vsock_config *cfg, struct virtio_dev **dev,
			struct hv_err *err);

#endif
