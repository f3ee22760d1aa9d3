/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_PORTS_H
#define HV_VIRTIO_PORTS_H

#include "virtio.h"

/*
 * Named ports (virtio 1.2, 5.3, with MULTIPORT): each is a stream between /dev/virtio-ports/NAME of
 * a Linux guest and a Unix socket of the host, where one program at a time connects. What one side
 * does not take stays with the other. The guest knows whether somebody is connected.
 */
#define VIRTIO_PORTS_MAX	16
#define VIRTIO_PORT_NAME_MAX	64

struct virtio_port_config {
	const char *name;	/* 1 to VIRTIO_PORT_NAME_MAX bytes */
	const char *path;	/* of the socket, which is made */
};

struct virtio_ports_config {
	struct hv_loop *loop;
	unsigned int nr;	/* 1 to VIRTIO_PORTS_MAX */
	const struct virtio_port_config *port;
	const char *id;
};

int virtio_ports_create(const struct virtio_ports_config *cfg, struct virtio_dev **dev,
			struct hv_err *err);

#endif
