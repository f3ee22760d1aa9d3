// SPDX-License-Identifier: GPL-2.0-or-later
/* A connection to a vhost-user back end; see vhost_user_conn.h. */
#include "vhost_user_conn.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "virtio.h"

/* A back end that has to finish what is in flight may take its time. */
#define ANSWER_MS	30000

#define PROTOCOL_FEATURES (VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_REPLY_ACK | \
			   VHOST_USER_PROTOCOL_BACKEND_REQ | VHOST_USER_PROTOCOL_CONFIG | \
			   VHOST_USER_PROTOCOL_INFLIGHT | VHOST_USER_PROTOCOL_RESET_DEVICE)

static int conn_error(struct vhost_user_conn *c, int ret, uint32_t request, struct hv_err *err)
{
	return hv_err_set(err, ret, "%s: the back end does not answer (message %u): %s", c->id,
			  request, ret == -ECONNRESET ? "it is gone" : strerror(-ret));
}

/* ---- Messages ---- */

static int conn_recv(struct vhost_user_conn *c, struct vhost_user_msg *m, uint32_t request,
		     uint32_t min, struct hv_err *err)
{
	int ret = vhost_user_recv(c->sock, m, ANSWER_MS);

	if (ret)
		return conn_error(c, ret, request, err);
	if (m->hdr.request == request && (m->hdr.flags & VHOST_USER_FLAG_REPLY) &&
	    m->hdr.size >= min)
		return 0;
	vhost_user_msg_close(m);
	return hv_err_set(err, -EPROTO, "%s: the back end answers message %u with %u, %u bytes", c->id,
			  request, m->hdr.request, m->hdr.size);
}

int vhost_user_conn_set(struct vhost_user_conn *c, struct vhost_user_msg *m, uint32_t request,
			uint32_t size, struct hv_err *err)
{
	bool ack = c->protocol & VHOST_USER_PROTOCOL_REPLY_ACK;
	int ret;

	m->hdr = (struct vhost_user_header){
		.request = request, .size = size,
		.flags = VHOST_USER_VERSION | (ack ? VHOST_USER_FLAG_NEED_REPLY : 0),
	};
	ret = vhost_user_send(c->sock, m, ANSWER_MS);
	if (ret)
		return conn_error(c, ret, request, err);
	if (!ack)
		return 0;
	ret = conn_recv(c, m, request, sizeof(m->payload.u64), err);
	if (ret)
		return ret;
	vhost_user_msg_close(m);
	if (m->payload.u64)
		return hv_err_set(err, -EIO, "%s: the back end refuses message %u; its own messages "
				  "say why", c->id, request);
	return 0;
}

int vhost_user_conn_get(struct vhost_user_conn *c, struct vhost_user_msg *m, uint32_t request,
			uint32_t size, uint32_t min, struct hv_err *err)
{
	int ret;

	m->hdr = (struct vhost_user_header){
		.request = request, .size = size, .flags = VHOST_USER_VERSION,
	};
	ret = vhost_user_send(c->sock, m, ANSWER_MS);
	return ret ? conn_error(c, ret, request, err) : conn_recv(c, m, request, min, err);
}

int vhost_user_conn_set_u64(struct vhost_user_conn *c, uint32_t request, uint64_t v,
			    struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.u64 = v };

	return vhost_user_conn_set(c, &m, request, sizeof(m.payload.u64), err);
}

static int conn_get_u64(struct vhost_user_conn *c, uint32_t request, uint64_t *v,
			struct hv_err *err)
{
	struct vhost_user_msg m = { 0 };
	int ret = vhost_user_conn_get(c, &m, request, 0, sizeof(m.payload.u64), err);

	if (ret)
		return ret;
	vhost_user_msg_close(&m);
	*v = m.payload.u64;
	return 0;
}

/* ---- Opening ---- */

static int conn_negotiate(struct vhost_user_conn *c, uint64_t needed, struct hv_err *err)
{
	uint64_t v = 0;
	int ret = conn_get_u64(c, VHOST_USER_GET_FEATURES, &c->features, err);

	if (!ret && (c->features & 1ULL << VHOST_USER_F_PROTOCOL_FEATURES))
		ret = conn_get_u64(c, VHOST_USER_GET_PROTOCOL_FEATURES, &v, err);
	if (ret)
		return ret;
	if (needed & ~v)
		return hv_err_set(err, -ENOTSUP, "%s: the back end lacks protocol features 0x%llx", c->id,
				  (unsigned long long)(needed & ~v));
	v &= PROTOCOL_FEATURES;
	if (v)
		ret = vhost_user_conn_set_u64(c, VHOST_USER_SET_PROTOCOL_FEATURES, v, err);
	if (ret)
		return ret;
	c->protocol = v;
	if (c->protocol & VHOST_USER_PROTOCOL_MQ)
		ret = conn_get_u64(c, VHOST_USER_GET_QUEUE_NUM, &v, err);
	else
		v = 1;
	if (!ret && (!v || v > VIRTIO_MAX_QUEUES))
		ret = hv_err_set(err, -EPROTO, "%s: the back end has %llu queues", c->id,
				 (unsigned long long)v);
	c->queue_num = (unsigned int)v;
	return ret;
}

int vhost_user_conn_open(struct vhost_user_conn *c, int sock, uint64_t needed, struct hv_err *err)
{
	struct vhost_user_msg m = { 0 };
	int ret;

	c->sock = sock;
	c->features = 0;
	c->protocol = 0;
	ret = vhost_user_conn_set(c, &m, VHOST_USER_SET_OWNER, 0, err);
	if (!ret)
		ret = conn_negotiate(c, needed, err);
	if (ret)
		vhost_user_conn_close(c);
	return ret;
}

void vhost_user_conn_close(struct vhost_user_conn *c)
{
	if (c->sock >= 0)
		close(c->sock);
	c->sock = -1;
}

/* ---- Configuration and memory ---- */

int vhost_user_conn_get_config(struct vhost_user_conn *c, void *buf, uint32_t len,
			       struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.config.size = len };
	uint32_t size = VHOST_USER_CONFIG_HEADER + len;
	int ret = vhost_user_conn_get(c, &m, VHOST_USER_GET_CONFIG, size, 0, err);

	if (ret)
		return ret;
	vhost_user_msg_close(&m);
	if (m.hdr.size != size || m.payload.config.size != len)
		return hv_err_set(err, -EPROTO, "%s: the back end does not tell its configuration (%u "
				  "bytes)", c->id, len);
	memcpy(buf, m.payload.config.data, len);
	return 0;
}

int vhost_user_conn_set_config(struct vhost_user_conn *c, uint32_t off, const void *buf,
			       uint32_t len, struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.config = { .offset = off, .size = len } };

	memcpy(m.payload.config.data, buf, len);
	return vhost_user_conn_set(c, &m, VHOST_USER_SET_CONFIG, VHOST_USER_CONFIG_HEADER + len,
				   err);
}

int vhost_user_conn_set_memory(struct vhost_user_conn *c, const struct guest_mem *mem,
			       struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.mem.nr = mem->nr, .nr_fds = mem->nr };

	for (unsigned int i = 0; i < mem->nr; i++) {
		const struct guest_mem_region *r = &mem->region[i];

		if (!r->shared)
			return hv_err_set(err, -EINVAL, "%s: guest memory is private to this process",
					  c->id);
		m.payload.mem.region[i] = (struct vhost_user_region){
			.gpa = r->gpa, .size = r->size, .user = (uintptr_t)r->hva,
			.offset = r->offset,
		};
		m.fds[i] = r->fd;
	}
	return vhost_user_conn_set(c, &m, VHOST_USER_SET_MEM_TABLE,
				   (uint32_t)(offsetof(struct vhost_user_mem_table, region) +
					      mem->nr * sizeof(struct vhost_user_region)), err);
}

/* ---- Queues ---- */

static int conn_set_state(struct vhost_user_conn *c, uint32_t request, unsigned int index,
			  uint32_t num, struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.state = { index, num } };

	return vhost_user_conn_set(c, &m, request, sizeof(m.payload.state), err);
}

static int conn_set_fd(struct vhost_user_conn *c, uint32_t request, unsigned int index, int fd,
		       struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.u64 = index, .fds = { fd }, .nr_fds = 1 };

	return vhost_user_conn_set(c, &m, request, sizeof(m.payload.u64), err);
}

int vhost_user_conn_start_ring(struct vhost_user_conn *c, const struct virtq *vq, int call_fd,
			       int err_fd, struct hv_err *err)
{
	unsigned int i = vq->index;
	struct vhost_user_msg m = { .payload.addr = {
		.index = i, .desc = (uintptr_t)vq->desc, .used = (uintptr_t)vq->used,
		.avail = (uintptr_t)vq->avail,
	} };
	int ret = conn_set_state(c, VHOST_USER_SET_VRING_NUM, i, vq->size, err);

	if (!ret)
		ret = conn_set_state(c, VHOST_USER_SET_VRING_BASE, i, vq->last_avail, err);
	if (!ret)
		ret = vhost_user_conn_set(c, &m, VHOST_USER_SET_VRING_ADDR, sizeof(m.payload.addr),
					  err);
	if (!ret)
		ret = conn_set_fd(c, VHOST_USER_SET_VRING_ERR, i, err_fd, err);
	if (!ret)
		ret = conn_set_fd(c, VHOST_USER_SET_VRING_CALL, i, call_fd, err);
	if (!ret)
		ret = conn_set_fd(c, VHOST_USER_SET_VRING_KICK, i, vq->kick_fd, err);
	if (!ret && (c->features & 1ULL << VHOST_USER_F_PROTOCOL_FEATURES))
		ret = conn_set_state(c, VHOST_USER_SET_VRING_ENABLE, i, 1, err);
	return ret;
}

int vhost_user_conn_stop_ring(struct vhost_user_conn *c, struct virtq *vq, struct hv_err *err)
{
	struct vhost_user_msg m = { .payload.state = { vq->index, 0 } };
	int ret = vhost_user_conn_get(c, &m, VHOST_USER_GET_VRING_BASE, sizeof(m.payload.state),
				      sizeof(m.payload.state), err);

	if (ret)
		return ret;
	vhost_user_msg_close(&m);
	if (m.payload.state.index != vq->index)
		return hv_err_set(err, -EPROTO, "%s: the back end stops queue %u instead of %u", c->id,
				  m.payload.state.index, vq->index);
	vq->last_avail = (uint16_t)m.payload.state.num;
	return 0;
}
