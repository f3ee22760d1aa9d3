// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a vhost-user front end says, and the answers; see vhost_user_backend.h. Handlers return 0,
 * or -errno and a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/log.h"
#include "vhost_user_backend_internal.h"
#include "virtq_track.h"

#define PROTOCOL_FEATURES (VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_REPLY_ACK | \
			   VHOST_USER_PROTOCOL_BACKEND_REQ | VHOST_USER_PROTOCOL_CONFIG | \
			   VHOST_USER_PROTOCOL_INFLIGHT | VHOST_USER_PROTOCOL_RESET_DEVICE | \
			   VHOST_USER_PROTOCOL_MEM_SLOTS | VHOST_USER_PROTOCOL_STATUS)

/* ---- Features ---- */

static int do_get_features(struct vhost_user_backend *b, struct vhost_user_msg *m,
			   struct hv_err *err)
{
	m->payload.u64 = (b->dev->host_features & ~b->cfg.hidden) |
			 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	m->hdr.size = sizeof(m->payload.u64);
	return 0;
}

static int do_set_features(struct vhost_user_backend *b, struct vhost_user_msg *m,
			   struct hv_err *err)
{
	uint64_t features = m->payload.u64;
	uint64_t virtio = features & ~(1ULL << VHOST_USER_F_PROTOCOL_FEATURES);
	struct virtio_dev *dev = b->dev;

	/* A front end says it again for each part of a device, and after each rest. */
	if (b->features_set && features == b->features && !virtio_dev_is_broken(dev))
		return 0;
	if (vhost_user_backend_running(b))
		return hv_err_set(err, -EBUSY, "features change while queues run");
	virtio_dev_reset(dev);
	b->features_set = false;
	virtio_dev_set_status(dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	virtio_dev_set_driver_features(dev, 0, (uint32_t)virtio);
	virtio_dev_set_driver_features(dev, 1, (uint32_t)(virtio >> 32));
	virtio_dev_set_status(dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			      VIRTIO_STATUS_FEATURES_OK);
	if (!(virtio_dev_get_status(dev) & VIRTIO_STATUS_FEATURES_OK) || (virtio & b->cfg.hidden))
		return hv_err_set(err, -ENOTSUP, "features 0x%llx of 0x%llx are wanted; VERSION_1 must be "
				  "among them", (unsigned long long)features,
				  (unsigned long long)(dev->host_features & ~b->cfg.hidden));
	b->features = features;
	b->features_set = true;
	return 0;
}

static int do_nothing(struct vhost_user_backend *b, struct vhost_user_msg *m, struct hv_err *err)
{
	return 0;
}

static int do_get_protocol_features(struct vhost_user_backend *b, struct vhost_user_msg *m,
				    struct hv_err *err)
{
	m->payload.u64 = PROTOCOL_FEATURES;
	m->hdr.size = sizeof(m->payload.u64);
	return 0;
}

static int do_set_protocol_features(struct vhost_user_backend *b, struct vhost_user_msg *m,
				    struct hv_err *err)
{
	if (m->payload.u64 & ~PROTOCOL_FEATURES)
		return hv_err_set(err, -ENOTSUP, "protocol features 0x%llx of 0x%llx are wanted",
				  (unsigned long long)m->payload.u64,
				  (unsigned long long)PROTOCOL_FEATURES);
	b->protocol = m->payload.u64;
	return 0;
}

static int do_get_queue_num(struct vhost_user_backend *b, struct vhost_user_msg *m,
			    struct hv_err *err)
{
	m->payload.u64 = b->cfg.queue_num;
	m->hdr.size = sizeof(m->payload.u64);
	return 0;
}

/* ---- Memory ---- */

static int do_set_mem_table(struct vhost_user_backend *b, struct vhost_user_msg *m,
			    struct hv_err *err)
{
	const struct vhost_user_mem_table *t = &m->payload.mem;
	int ret = 0, r;

	if (t->nr > VHOST_USER_MAX_REGIONS || t->nr != m->nr_fds ||
	    m->hdr.size < offsetof(struct vhost_user_mem_table, region) +
			  t->nr * sizeof(t->region[0]))
		return hv_err_set(err, -EPROTO, "%u memory regions with %u descriptors", t->nr,
				  m->nr_fds);
	virtio_dev_pause(b->dev);
	vhost_user_mem_clear(&b->mem);
	for (unsigned int i = 0; i < t->nr && !ret; i++)
		ret = vhost_user_mem_add(&b->mem, &t->region[i], vhost_user_take_fd(m, i), err);
	if (ret)
		vhost_user_mem_clear(&b->mem);
	r = vhost_user_backend_resume(b, ret ? NULL : err);
	return ret ? ret : r;
}

static int do_get_max_mem_slots(struct vhost_user_backend *b, struct vhost_user_msg *m,
				struct hv_err *err)
{
	m->payload.u64 = GUEST_MEM_MAX_REGIONS;
	m->hdr.size = sizeof(m->payload.u64);
	return 0;
}

static int do_add_mem_reg(struct vhost_user_backend *b, struct vhost_user_msg *m,
			  struct hv_err *err)
{
	int ret, r;

	virtio_dev_pause(b->dev);
	ret = vhost_user_mem_add(&b->mem, &m->payload.reg.region, vhost_user_take_fd(m, 0), err);
	r = vhost_user_backend_resume(b, ret ? NULL : err);
	return ret ? ret : r;
}

static int do_rem_mem_reg(struct vhost_user_backend *b, struct vhost_user_msg *m,
			  struct hv_err *err)
{
	int ret, r;

	virtio_dev_pause(b->dev);
	ret = vhost_user_mem_remove(&b->mem, &m->payload.reg.region);
	if (ret)
		hv_err_set(err, ret, "guest memory: there is no such region to remove");
	r = vhost_user_backend_resume(b, ret ? NULL : err);
	return ret ? ret : r;
}

/* ---- Queues ---- */

/* NULL and a message: there is no such queue. @resting: it must not run. */
static struct vhost_user_ring *get_ring(struct vhost_user_backend *b, uint64_t index, bool resting,
					struct hv_err *err)
{
	if (index >= b->dev->nr_queues) {
		hv_err_set(err, -EINVAL, "queue %llu of %u", (unsigned long long)index,
			   b->dev->nr_queues);
		return NULL;
	}
	if (resting && b->dev->vqs[index].enabled) {
		hv_err_set(err, -EBUSY, "queue %llu changes while it runs",
			   (unsigned long long)index);
		return NULL;
	}
	return &b->ring[index];
}

static int do_set_vring_num(struct vhost_user_backend *b, struct vhost_user_msg *m,
			    struct hv_err *err)
{
	const struct vhost_user_vring_state *s = &m->payload.state;
	struct vhost_user_ring *r = get_ring(b, s->index, true, err);

	if (!r)
		return -EINVAL;
	if (!s->num || s->num > b->dev->vqs[s->index].max_size || (s->num & (s->num - 1)))
		return hv_err_set(err, -EINVAL, "queue %u: size %u is not a power of two up to %u",
				  s->index, s->num, b->dev->vqs[s->index].max_size);
	r->num = (uint16_t)s->num;
	r->num_set = true;
	return 0;
}

static int do_set_vring_addr(struct vhost_user_backend *b, struct vhost_user_msg *m,
			     struct hv_err *err)
{
	const struct vhost_user_vring_addr *a = &m->payload.addr;
	struct vhost_user_ring *r = get_ring(b, a->index, true, err);

	if (!r)
		return -EINVAL;
	if (a->flags)
		return hv_err_set(err, -ENOTSUP, "queue %u: the log of writes was not negotiated",
				  a->index);
	r->desc = a->desc;
	r->avail = a->avail;
	r->used = a->used;
	r->addr_set = true;
	return 0;
}

static int do_set_vring_base(struct vhost_user_backend *b, struct vhost_user_msg *m,
			     struct hv_err *err)
{
	const struct vhost_user_vring_state *s = &m->payload.state;
	struct vhost_user_ring *r = get_ring(b, s->index, true, err);

	if (!r)
		return -EINVAL;
	if (s->num > UINT16_MAX)
		return hv_err_set(err, -EINVAL, "queue %u: base %u", s->index, s->num);
	r->base = (uint16_t)s->num;
	return 0;
}

/* Stops the queue, too. */
static int do_get_vring_base(struct vhost_user_backend *b, struct vhost_user_msg *m,
			     struct hv_err *err)
{
	struct vhost_user_ring *r = get_ring(b, m->payload.state.index, false, err);

	if (!r)
		return -EINVAL;
	if (r->kicked) {
		r->kicked = false;
		/* What the others complain of is said when they are started. */
		vhost_user_backend_update(b, NULL);
	}
	if (r->kick_fd >= 0)
		close(r->kick_fd);
	r->kick_fd = -1;
	m->payload.state.num = r->base;
	m->hdr.size = sizeof(m->payload.state);
	return 0;
}

/* The descriptor in @m, which must be one, non-blocking; or -errno. -1 in *@fd: there is none. */
static int take_vring_fd(struct vhost_user_msg *m, int *fd, struct hv_err *err)
{
	bool none = m->payload.u64 & VHOST_USER_VRING_NO_FD;
	int flags;

	*fd = -1;
	if (m->nr_fds != !none || (m->payload.u64 & ~0x1ffULL))
		return hv_err_set(err, -EPROTO, "%u descriptors for a queue, with 0x%llx", m->nr_fds,
				  (unsigned long long)m->payload.u64);
	if (none)
		return 0;
	flags = fcntl(m->fds[0], F_GETFL);
	if (flags < 0 || fcntl(m->fds[0], F_SETFL, flags | O_NONBLOCK))
		return hv_err_set(err, -errno, "descriptor of a queue: %s", strerror(errno));
	*fd = vhost_user_take_fd(m, 0);
	return 0;
}

static int do_set_vring_kick(struct vhost_user_backend *b, struct vhost_user_msg *m,
			     struct hv_err *err)
{
	struct vhost_user_ring *r = get_ring(b, m->payload.u64 & VHOST_USER_VRING_INDEX, true, err);
	int fd, ret = r ? take_vring_fd(m, &fd, err) : -EINVAL;

	if (ret)
		return ret;
	if (fd < 0)
		return hv_err_set(err, -ENOTSUP, "a queue without descriptor for its doorbell would "
				  "have to be polled");
	if (r->kick_fd >= 0)
		close(r->kick_fd);
	r->kick_fd = fd;
	r->kicked = true;
	return vhost_user_backend_update(b, err);
}

static int do_set_vring_call(struct vhost_user_backend *b, struct vhost_user_msg *m,
			     struct hv_err *err)
{
	unsigned int i = m->payload.u64 & VHOST_USER_VRING_INDEX;
	struct vhost_user_ring *r = get_ring(b, i, false, err);
	int fd, ret = r ? take_vring_fd(m, &fd, err) : -EINVAL;

	if (ret)
		return ret;
	vhost_user_ring_set_call(r, fd);
	/* The back end before may have died between its last answer and the interrupt for it. */
	if (!b->dev->vqs[i].enabled)
		vhost_user_ring_signal_call(r);
	return 0;
}

static int do_set_vring_err(struct vhost_user_backend *b, struct vhost_user_msg *m,
			    struct hv_err *err)
{
	struct vhost_user_ring *r = get_ring(b, m->payload.u64 & VHOST_USER_VRING_INDEX, false,
					     err);
	int fd, ret = r ? take_vring_fd(m, &fd, err) : -EINVAL;

	if (!ret)
		vhost_user_ring_set_err(r, fd);
	return ret;
}

static int do_set_vring_enable(struct vhost_user_backend *b, struct vhost_user_msg *m,
			       struct hv_err *err)
{
	const struct vhost_user_vring_state *s = &m->payload.state;
	struct vhost_user_ring *r = get_ring(b, s->index, false, err);

	if (!r)
		return -EINVAL;
	if (s->num > 1)
		return hv_err_set(err, -EINVAL, "queue %u: enabled with %u", s->index, s->num);
	if (r->enabled == s->num)
		return 0;
	r->enabled = s->num;
	return vhost_user_backend_update(b, err);
}

/* ---- Configuration ---- */

static bool config_ok(const struct vhost_user_msg *m)
{
	const struct vhost_user_config *c = &m->payload.config;

	return c->size <= VHOST_USER_MAX_CONFIG && c->offset <= VHOST_USER_MAX_CONFIG - c->size &&
	       m->hdr.size == VHOST_USER_CONFIG_HEADER + c->size;
}

/* An answer without payload says that it failed. */
static int do_get_config(struct vhost_user_backend *b, struct vhost_user_msg *m,
			 struct hv_err *err)
{
	struct vhost_user_config *c = &m->payload.config;

	if (!config_ok(m))
		m->hdr.size = 0;
	else
		virtio_dev_config_read(b->dev, c->offset, c->data, c->size);
	return 0;
}

static int do_set_config(struct vhost_user_backend *b, struct vhost_user_msg *m,
			 struct hv_err *err)
{
	const struct vhost_user_config *c = &m->payload.config;

	if (!config_ok(m))
		return hv_err_set(err, -EINVAL, "%u bytes of configuration at %u", c->size, c->offset);
	virtio_dev_config_write(b->dev, c->offset, c->data, c->size);
	return 0;
}

static int do_set_backend_req_fd(struct vhost_user_backend *b, struct vhost_user_msg *m,
				 struct hv_err *err)
{
	vhost_user_backend_set_channel(b, vhost_user_take_fd(m, 0));
	return 0;
}

static int do_reset_device(struct vhost_user_backend *b, struct vhost_user_msg *m,
			   struct hv_err *err)
{
	vhost_user_backend_reset(b);
	return 0;
}

static int do_set_status(struct vhost_user_backend *b, struct vhost_user_msg *m,
			 struct hv_err *err)
{
	b->status = (uint8_t)m->payload.u64;
	if (!b->status)
		vhost_user_backend_reset(b);
	return 0;
}

static int do_get_status(struct vhost_user_backend *b, struct vhost_user_msg *m,
			 struct hv_err *err)
{
	uint8_t status = b->status & ~VIRTIO_STATUS_FEATURES_OK;

	if (b->features_set)
		status |= b->status & VIRTIO_STATUS_FEATURES_OK;
	if (virtio_dev_is_broken(b->dev))
		status |= VIRTIO_STATUS_NEEDS_RESET;
	m->payload.u64 = status;
	m->hdr.size = sizeof(m->payload.u64);
	return 0;
}

/* ---- What is in flight ---- */

static bool inflight_ok(const struct vhost_user_backend *b, const struct vhost_user_inflight *i)
{
	return i->num_queues && i->num_queues <= b->dev->nr_queues && i->queue_size &&
	       i->queue_size <= VIRTQ_MAX_SIZE;
}

static int do_get_inflight_fd(struct vhost_user_backend *b, struct vhost_user_msg *m,
			      struct hv_err *err)
{
	struct vhost_user_inflight *i = &m->payload.inflight;
	int fd;

	if (!inflight_ok(b, i))
		return hv_err_set(err, -EINVAL, "memory for %u queues of %u requests in flight",
				  i->num_queues, i->queue_size);
	i->mmap_size = i->num_queues * virtq_track_bytes(i->queue_size);
	i->mmap_offset = 0;
	fd = memfd_create("hv-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)i->mmap_size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		int ret = -errno;

		if (fd >= 0)
			close(fd);
		return hv_err_set(err, ret, "memory for requests in flight: %s", strerror(-ret));
	}
	m->fds[0] = fd;
	m->nr_fds = 1;
	m->hdr.size = sizeof(*i);
	return 0;
}

static int do_set_inflight_fd(struct vhost_user_backend *b, struct vhost_user_msg *m,
			      struct hv_err *err)
{
	const struct vhost_user_inflight *i = &m->payload.inflight;
	struct vhost_user_track t = { .queues = i->num_queues, .entries = i->queue_size };
	void *p;
	int ret;

	if (vhost_user_backend_running(b))
		return hv_err_set(err, -EBUSY, "memory for requests in flight comes while queues run");
	if (!inflight_ok(b, i) || (i->mmap_offset & (VIRTQ_TRACK_ALIGN - 1)) ||
	    i->mmap_size < i->num_queues * virtq_track_bytes(i->queue_size))
		return hv_err_set(err, -EINVAL, "0x%llx bytes for %u queues of %u requests in flight",
				  (unsigned long long)i->mmap_size, i->num_queues, i->queue_size);
	ret = vhost_user_map_fd(m->fds[0], i->mmap_offset, i->mmap_size, &t.map, &t.len, &p, err);
	if (ret)
		return ret;
	t.p = p;
	vhost_user_track_unmap(&b->track);
	b->track = t;
	return 0;
}

/* ---- Dispatch ---- */

#define SIZE(field)	sizeof(((union vhost_user_payload *)0)->field)

struct handler {
	int (*fn)(struct vhost_user_backend *b, struct vhost_user_msg *m, struct hv_err *err);
	const char *name;
	uint32_t min, max;	/* size of the payload */
	uint8_t min_fds, max_fds;
	bool replies;
};

static const struct handler handlers[] = {
	[VHOST_USER_GET_FEATURES] = { do_get_features, "GET_FEATURES", .replies = true },
	[VHOST_USER_SET_FEATURES] = { do_set_features, "SET_FEATURES", SIZE(u64), SIZE(u64) },
	[VHOST_USER_SET_OWNER] = { do_nothing, "SET_OWNER" },
	[VHOST_USER_RESET_OWNER] = { do_reset_device, "RESET_OWNER" },
	[VHOST_USER_SET_MEM_TABLE] = { do_set_mem_table, "SET_MEM_TABLE",
				       offsetof(struct vhost_user_mem_table, region), SIZE(mem), 0,
				       VHOST_USER_MAX_REGIONS },
	[VHOST_USER_SET_VRING_NUM] = { do_set_vring_num, "SET_VRING_NUM", SIZE(state), SIZE(state) },
	[VHOST_USER_SET_VRING_ADDR] = { do_set_vring_addr, "SET_VRING_ADDR", SIZE(addr), SIZE(addr) },
	[VHOST_USER_SET_VRING_BASE] = { do_set_vring_base, "SET_VRING_BASE", SIZE(state),
					SIZE(state) },
	[VHOST_USER_GET_VRING_BASE] = { do_get_vring_base, "GET_VRING_BASE", SIZE(state),
					SIZE(state), .replies = true },
	[VHOST_USER_SET_VRING_KICK] = { do_set_vring_kick, "SET_VRING_KICK", SIZE(u64), SIZE(u64), 0,
					1 },
	[VHOST_USER_SET_VRING_CALL] = { do_set_vring_call, "SET_VRING_CALL", SIZE(u64), SIZE(u64), 0,
					1 },
	[VHOST_USER_SET_VRING_ERR] = { do_set_vring_err, "SET_VRING_ERR", SIZE(u64), SIZE(u64), 0, 1 },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { do_get_protocol_features, "GET_PROTOCOL_FEATURES",
					       .replies = true },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { do_set_protocol_features, "SET_PROTOCOL_FEATURES",
					       SIZE(u64), SIZE(u64) },
	[VHOST_USER_GET_QUEUE_NUM] = { do_get_queue_num, "GET_QUEUE_NUM", .replies = true },
	[VHOST_USER_SET_VRING_ENABLE] = { do_set_vring_enable, "SET_VRING_ENABLE", SIZE(state),
					  SIZE(state) },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { do_set_backend_req_fd, "SET_BACKEND_REQ_FD", 0, SIZE(u64),
					    1, 1 },
	[VHOST_USER_GET_CONFIG] = { do_get_config, "GET_CONFIG", VHOST_USER_CONFIG_HEADER,
				    SIZE(config), .replies = true },
	[VHOST_USER_SET_CONFIG] = { do_set_config, "SET_CONFIG", VHOST_USER_CONFIG_HEADER,
				    SIZE(config) },
	[VHOST_USER_GET_INFLIGHT_FD] = { do_get_inflight_fd, "GET_INFLIGHT_FD",
					 VHOST_USER_INFLIGHT_MIN, SIZE(inflight), .replies = true },
	[VHOST_USER_SET_INFLIGHT_FD] = { do_set_inflight_fd, "SET_INFLIGHT_FD",
					 VHOST_USER_INFLIGHT_MIN, SIZE(inflight), 1, 1 },
	[VHOST_USER_RESET_DEVICE] = { do_reset_device, "RESET_DEVICE" },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { do_get_max_mem_slots, "GET_MAX_MEM_SLOTS",
					   .replies = true },
	[VHOST_USER_ADD_MEM_REG] = { do_add_mem_reg, "ADD_MEM_REG", SIZE(reg), SIZE(reg), 1, 1 },
	/* Some send the region's descriptor along. */
	[VHOST_USER_REM_MEM_REG] = { do_rem_mem_reg, "REM_MEM_REG", SIZE(reg), SIZE(reg), 0, 1 },
	[VHOST_USER_SET_STATUS] = { do_set_status, "SET_STATUS", SIZE(u64), SIZE(u64) },
	[VHOST_USER_GET_STATUS] = { do_get_status, "GET_STATUS", .replies = true },
};

static const struct handler *find_handler(uint32_t request)
{
	if (request >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[request].fn)
		return NULL;
	return &handlers[request];
}

/* A message is of a size and has descriptors as its kind allows. */
static int check_message(const struct vhost_user_msg *m, const struct handler *h,
			 struct hv_err *err)
{
	if (!h)
		return hv_err_set(err, -EOPNOTSUPP, "message %u is not known", m->hdr.request);
	if (m->hdr.size < h->min || m->hdr.size > h->max || m->nr_fds < h->min_fds ||
	    m->nr_fds > h->max_fds)
		return hv_err_set(err, -EPROTO, "%s with %u bytes and %u descriptors", h->name,
				  m->hdr.size, m->nr_fds);
	return 0;
}

/* Handle @m, which may become its answer; -errno and a message: the connection is to end. */
int vhost_user_backend_handle(struct vhost_user_backend *b, struct vhost_user_msg *m,
			  struct hv_err *err)
{
	const struct handler *h = find_handler(m->hdr.request);
	bool ack = (m->hdr.flags & VHOST_USER_FLAG_NEED_REPLY) &&
		   (b->protocol & VHOST_USER_PROTOCOL_REPLY_ACK);
	int ret = check_message(m, h, err);

	if (!ret) {
		if (h->replies)
			vhost_user_msg_close(m);
		ret = h->fn(b, m, err);
		if (ret)
			hv_err_prefix(err, "%s", h->name);
	}
	/* Not everything that goes wrong ends the connection, if the front end asks. */
	if (ret && (!ack || ret == -EPROTO || (h && h->replies)))
		return ret;
	if (ret)
		hv_log("%s: refused: %s", b->dev->id, err->msg);
	if (!h || !h->replies) {
		if (!ack)
			return 0;
		vhost_user_msg_close(m);
		m->payload.u64 = !!ret;
		m->hdr.size = sizeof(m->payload.u64);
	}
	m->hdr.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	ret = vhost_user_send(b->conn_fd, m, VHOST_USER_MESSAGE_MS);
	return ret ? hv_err_set(err, ret, "no answer can be sent: %s", strerror(-ret)) : 0;
}
