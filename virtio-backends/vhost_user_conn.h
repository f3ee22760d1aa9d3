/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_CONN_H
#define HV_VHOST_USER_CONN_H

#include "guest_mem.h"
#include "util/err.h"
#include "vhost_user_msg.h"
#include "virtq.h"

/* A front end's connection to a vhost-user back end. After an error it is of no use any more. */
struct vhost_user_conn {
	const char *id;		/* of the device: messages begin with it */
	int sock;		/* -1: closed */
	uint64_t features;	/* that the back end offers */
	uint64_t protocol;	/* protocol features of both */
	unsigned int queue_num;	/* that it has at most; 1 if it does not say */
};

/* Take @sock and learn what is there. It must have the protocol features of @needed. */
int vhost_user_conn_open(struct vhost_user_conn *c, int sock, uint64_t needed, struct hv_err *err);
void vhost_user_conn_close(struct vhost_user_conn *c);

/*
 * Send the message, with @size bytes of payload, and learn whether it was obeyed, if that can be.
 */
int vhost_user_conn_set(struct vhost_user_conn *c, struct vhost_user_msg *m, uint32_t request,
			uint32_t size, struct hv_err *err);
/*
 * Send it and get the answer, of at least @min bytes, into @m; the caller closes its descriptors.
 */
int vhost_user_conn_get(struct vhost_user_conn *c, struct vhost_user_msg *m, uint32_t request,
			uint32_t size, uint32_t min, struct hv_err *err);

int vhost_user_conn_set_u64(struct vhost_user_conn *c, uint32_t request, uint64_t v,
			    struct hv_err *err);
int vhost_user_conn_get_config(struct vhost_user_conn *c, void *buf, uint32_t len,
			       struct hv_err *err);
int vhost_user_conn_set_config(struct vhost_user_conn *c, uint32_t off, const void *buf,
			       uint32_t len, struct hv_err *err);
int vhost_user_conn_set_memory(struct vhost_user_conn *c, const struct guest_mem *mem,
			       struct hv_err *err);

/* Hand a started queue over. Its doorbell is @vq's; the other descriptors stay the caller's. */
int vhost_user_conn_start_ring(struct vhost_user_conn *c, const struct virtq *vq, int call_fd,
			       int err_fd, struct hv_err *err);
/* Take it back; the back end is done with all that it took. */
int vhost_user_conn_stop_ring(struct vhost_user_conn *c, struct virtq *vq, struct hv_err *err);

#endif
