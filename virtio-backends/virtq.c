// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Split virtqueues, device side; see virtq.h.
 *
 * Memory ordering (virtio 1.2, 2.7.13, 2.7.14). The driver runs on other CPUs:
 *  - its index of the avail ring is read with acquire: ring entries and descriptors that were
 *    written before the index are seen;
 *  - our index of the used ring is written with release: used entries and the buffers we filled
 *    come before it;
 *  - "publish, then look at what the other side asks for" needs a full fence on both sides, twice:
 *    used index -> used_event (do we interrupt?) and avail_event -> avail index (did we miss a
 *    kick?).
 */
#include "virtq.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio.h"
#include "virtq_track.h"

_Static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2, 2.7.5");
_Static_assert(sizeof(struct vring_used_elem) == 8, "virtio 1.2, 2.7.8");
_Static_assert(offsetof(struct vring_avail, ring) == 4, "virtio 1.2, 2.7.6");
_Static_assert(offsetof(struct vring_used, ring) == 4, "virtio 1.2, 2.7.8");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian");

/* Longest chain in bytes: "a driver must not add one longer than 2^32" (virtio 1.2, 2.7.5). */
#define CHAIN_MAX_BYTES	(1ULL << 32)

/* Ring sizes in bytes, with the event index at the end (virtio 1.2, 2.7). */
static uint64_t virtq_desc_bytes(uint16_t size)
{
	return 16ULL * size;
}

static uint64_t virtq_avail_bytes(uint16_t size)
{
	return 6 + 2ULL * size;
}

static uint64_t virtq_used_bytes(uint16_t size)
{
	return 6 + 8ULL * size;
}

/* Accesses to ring fields: exactly one load or store each, whatever the compiler thinks. */
static uint16_t ring_load(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void ring_store(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static void full_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The words after the two rings. */
static uint16_t *virtq_used_event(struct virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

static uint16_t *virtq_avail_event(struct virtq *vq)
{
	return (uint16_t *)&vq->used->ring[vq->size];
}

int virtq_init(struct virtq *vq, struct virtio_dev *dev, unsigned int index, uint16_t max_size)
{
	memset(vq, 0, sizeof(*vq));
	vq->dev = dev;
	vq->index = index;
	vq->max_size = max_size;
	vq->size = max_size;
	vq->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return vq->kick_fd < 0 ? -errno : 0;
}

void virtq_fini(struct virtq *vq)
{
	if (vq->kick_fd >= 0)
		close(vq->kick_fd);
	vq->kick_fd = -1;
	free(vq->iov);
	vq->iov = NULL;
	free(vq->replay);
	vq->replay = NULL;
}

void virtq_reset(struct virtq *vq)
{
	vq->size = vq->max_size;
	vq->enabled = false;
	vq->desc_gpa = 0;
	vq->avail_gpa = 0;
	vq->used_gpa = 0;
	vq->broken = false;
	vq->last_avail = 0;
	vq->used_idx = 0;
	vq->signalled_valid = false;
	vq->inflight = 0;
	vq->track = NULL;
	vq->nr_replay = 0;
	vq->replay_pos = 0;
	virtq_clear_kick(vq);
}

void virtq_set_kick_fd(struct virtq *vq, int fd)
{
	close(vq->kick_fd);
	vq->kick_fd = fd;
}

int virtq_set_track(struct virtq *vq, struct virtq_track *track, uint16_t entries,
		    uint16_t used_idx)
{
	int n;

	vq->track = NULL;
	vq->nr_replay = 0;
	vq->replay_pos = 0;
	if (!track)
		return 0;
	if (!vq->replay)
		vq->replay = calloc(vq->max_size, sizeof(*vq->replay));
	if (!vq->replay)
		return -ENOMEM;
	n = virtq_track_recover(track, entries, vq->size, used_idx, vq->replay,
				&vq->track_counter);
	if (n < 0)
		return n;
	vq->track = track;
	vq->nr_replay = (uint16_t)n;
	vq->last_avail = (uint16_t)(used_idx + n);
	vq->replay_end = vq->last_avail;
	return 0;
}

int virtq_start(struct virtq *vq, bool event_idx, bool indirect)
{
	const struct guest_mem *mem = vq->dev->mem;
	uint64_t one = 1;

	if ((vq->desc_gpa & 15) || (vq->avail_gpa & 1) || (vq->used_gpa & 3)) {
		virtio_dev_fail(vq->dev, "queue %u: rings are misaligned", vq->index);
		return -EINVAL;
	}
	vq->desc = guest_mem_ptr(mem, vq->desc_gpa, virtq_desc_bytes(vq->size));
	vq->avail = guest_mem_ptr(mem, vq->avail_gpa, virtq_avail_bytes(vq->size));
	vq->used = guest_mem_ptr(mem, vq->used_gpa, virtq_used_bytes(vq->size));
	if (!vq->desc || !vq->avail || !vq->used) {
		virtio_dev_fail(vq->dev, "queue %u: rings are not in guest memory", vq->index);
		return -EINVAL;
	}
	/* One descriptor may span several memory regions, so this is a first guess. */
	if (vq->iov_cap < vq->size) {
		struct iovec *iov = realloc(vq->iov, vq->size * sizeof(*iov));

		if (!iov)
			return -ENOMEM;
		vq->iov = iov;
		vq->iov_cap = vq->size;
	}
	vq->event_idx = event_idx;
	vq->indirect = indirect;
	vq->signalled_valid = false;
	vq->published = vq->used_idx;
	vq->started = true;
	/* Buffers may be waiting since before the start. */
	return write(vq->kick_fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN ? 0 : -errno;
}

void virtq_stop(struct virtq *vq)
{
	vq->started = false;
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
}

void virtq_clear_kick(struct virtq *vq)
{
	uint64_t n;

	/* Not signalled (EAGAIN) is fine: somebody was faster. */
	while (read(vq->kick_fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

#define virtq_fail(vq, fmt, ...) do {							\
	(vq)->broken = true;								\
	virtio_dev_fail((vq)->dev, "queue %u: " fmt, (vq)->index, ##__VA_ARGS__);	\
} while (0)

/* ---- Taking chains ---- */

/* The walk of one chain. */
struct chain_walk {
	const struct vring_desc *table;
	uint32_t entries;	/* in table */
	uint32_t steps;		/* descriptors seen, over all tables */
	bool nested;		/* inside an indirect table */
};

static int virtq_add_segment(struct virtq *vq, struct virtq_chain *c, void *hva, uint64_t len,
			     bool write)
{
	unsigned int n = c->out_num + c->in_num;

	if (n == vq->iov_cap) {
		struct iovec *iov = realloc(vq->iov, 2 * vq->iov_cap * sizeof(*iov));

		if (!iov) {
			virtq_fail(vq, "out of memory");
			return -EIO;
		}
		vq->iov = iov;
		vq->iov_cap *= 2;
	}
	vq->iov[n].iov_base = hva;
	vq->iov[n].iov_len = len;
	if (write)
		c->in_num++;
	else
		c->out_num++;
	return 0;
}

/* The part of [gpa, gpa + len) that is contiguous here; 0 if gpa is not RAM. */
static uint64_t mem_contiguous(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->nr; i++) {
		const struct guest_mem_region *r = &mem->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size) {
			uint64_t left = r->size - (gpa - r->gpa);

			return len < left ? len : left;
		}
	}
	return 0;
}

static int virtq_add_buffer(struct virtq *vq, struct virtq_chain *c, const struct vring_desc *d)
{
	bool write = d->flags & VRING_DESC_F_WRITE;
	uint64_t gpa = d->addr;
	uint64_t left = d->len;

	if (!write && c->in_num) {
		virtq_fail(vq, "chain %u: readable buffer after a writable one", c->head);
		return -EIO;
	}
	*(write ? &c->in_len : &c->out_len) += left;
	if (c->in_len + c->out_len > CHAIN_MAX_BYTES) {
		virtq_fail(vq, "chain %u: longer than 4 GiB", c->head);
		return -EIO;
	}
	while (left) {
		uint64_t n = mem_contiguous(vq->dev->mem, gpa, left);

		if (!n) {
			virtq_fail(vq, "chain %u: buffer at 0x%llx is not in guest memory", c->head,
				   (unsigned long long)gpa);
			return -EIO;
		}
		if (virtq_add_segment(vq, c, guest_mem_ptr(vq->dev->mem, gpa, n), n, write))
			return -EIO;
		gpa += n;
		left -= n;
	}
	return 0;
}

/* Go on in the indirect table that @d describes (virtio 1.2, 2.7.5.3). */
static int virtq_enter_indirect(struct virtq *vq, struct virtq_chain *c, struct chain_walk *w,
				const struct vring_desc *d)
{
	const char *why = NULL;

	if (!vq->indirect)
		why = "indirect descriptor was not negotiated";
	else if (w->nested)
		why = "indirect table inside an indirect table";
	else if (d->flags & VRING_DESC_F_NEXT)
		why = "indirect descriptor with a next one";
	else if (!d->len || d->len % sizeof(*d))
		why = "length of the indirect table is not a multiple of 16";
	else if (!guest_mem_ptr(vq->dev->mem, d->addr, d->len))
		why = "indirect table is not in guest memory";
	if (why) {
		virtq_fail(vq, "chain %u: %s", c->head, why);
		return -EIO;
	}
	w->table = guest_mem_ptr(vq->dev->mem, d->addr, d->len);
	w->entries = d->len / sizeof(*d);
	w->nested = true;
	return 0;
}

static int virtq_walk_chain(struct virtq *vq, struct virtq_chain *c)
{
	struct chain_walk w = { .table = vq->desc, .entries = vq->size };
	uint32_t i = c->head;
	struct vring_desc d;

	for (;;) {
		if (i >= w.entries) {
			virtq_fail(vq, "chain %u: descriptor %u is out of range", c->head, i);
			return -EIO;
		}
		/* Also ends loops. The indirect descriptor itself does not count. */
		if (w.steps == vq->size) {
			virtq_fail(vq, "chain %u: longer than the queue, or a loop", c->head);
			return -EIO;
		}
		/* The one copy: the tables may be unaligned and change under us. */
		memcpy(&d, (const char *)w.table + 16ULL * i, sizeof(d));
		__asm__ __volatile__("" : "+m"(d));
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (virtq_enter_indirect(vq, c, &w, &d))
				return -EIO;
			i = 0;
			continue;
		}
		w.steps++;
		if (virtq_add_buffer(vq, c, &d))
			return -EIO;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

int virtq_retake(struct virtq *vq, uint16_t head, struct virtq_chain *c)
{
	if (vq->broken || virtio_dev_is_broken(vq->dev))
		return -EIO;
	memset(c, 0, sizeof(*c));
	c->head = head;
	if (virtq_walk_chain(vq, c))
		return -EIO;
	c->iov = vq->iov;
	return 1;
}

/* The next chain that a dead process had taken. */
static int virtq_pop_replay(struct virtq *vq, struct virtq_chain *c)
{
	int ret = virtq_retake(vq, vq->replay[vq->replay_pos], c);

	if (ret < 0)
		return ret;
	vq->replay_pos++;
	vq->inflight++;
	vq->stat_pops++;
	return 1;
}

/* The last of them can no more be given back when that many other chains were taken. */
static void virtq_forget_replay(struct virtq *vq)
{
	if ((uint16_t)(vq->last_avail - vq->replay_end) >= vq->size) {
		vq->nr_replay = 0;
		vq->replay_pos = 0;
	}
}

int virtq_pop(struct virtq *vq, struct virtq_chain *c)
{
	uint16_t avail_idx, head;

	if (vq->replay_pos < vq->nr_replay)
		return virtq_pop_replay(vq, c);
	if (vq->broken || virtio_dev_is_broken(vq->dev))
		return -EIO;
	avail_idx = __atomic_load_n(&vq->avail->idx, __ATOMIC_ACQUIRE);
	if (avail_idx == vq->last_avail)
		return 0;
	if ((uint16_t)(avail_idx - vq->last_avail) > vq->size) {
		virtq_fail(vq, "avail index jumped from %u to %u", vq->last_avail, avail_idx);
		return -EIO;
	}
	if (vq->inflight >= vq->size) {
		virtq_fail(vq, "more buffers than the queue has entries");
		return -EIO;
	}
	head = ring_load(&vq->avail->ring[vq->last_avail % vq->size]);
	memset(c, 0, sizeof(*c));
	c->head = head;
	if (virtq_walk_chain(vq, c))
		return -EIO;
	c->iov = vq->iov;
	if (vq->track)
		virtq_track_take(vq->track, head, vq->track_counter++);
	vq->last_avail++;
	if (vq->nr_replay)
		virtq_forget_replay(vq);
	vq->inflight++;
	vq->stat_pops++;
	return 1;
}

void virtq_unpop(struct virtq *vq)
{
	uint16_t head;

	vq->inflight--;
	/* One of those that were taken up: it stays in flight for who comes next. */
	if (vq->replay_pos && vq->last_avail == vq->replay_end) {
		vq->replay_pos--;
		return;
	}
	vq->last_avail--;
	if (!vq->track)
		return;
	head = ring_load(&vq->avail->ring[vq->last_avail % vq->size]);
	/* Anything else was written there since: the driver's loss. */
	if (head < vq->size)
		virtq_track_untake(vq->track, head);
}

/* ---- Giving them back ---- */

void virtq_push(struct virtq *vq, uint16_t head, uint32_t written)
{
	struct vring_used_elem *e = &vq->used->ring[vq->used_idx % vq->size];

	e->id = head;
	e->len = written;
	if (vq->track)
		virtq_track_give(vq->track, head);
	vq->used_idx++;
	vq->inflight--;
}

/* Is @event in (old, new], all of them running modulo 2^16? (virtio 1.2, 2.7.7.2) */
static bool ring_passed_event(uint16_t event, uint16_t old, uint16_t new)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static bool virtq_wants_interrupt(struct virtq *vq)
{
	uint16_t old = vq->signalled_used;
	bool valid = vq->signalled_valid;

	if (!vq->event_idx)
		return !(ring_load(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vq->signalled_used = vq->used_idx;
	vq->signalled_valid = true;
	return !valid || ring_passed_event(ring_load(virtq_used_event(vq)), old, vq->used_idx);
}

void virtq_flush(struct virtq *vq)
{
	if (vq->published == vq->used_idx)
		return;
	vq->published = vq->used_idx;
	__atomic_store_n(&vq->used->idx, vq->used_idx, __ATOMIC_RELEASE);
	if (vq->track)
		virtq_track_published(vq->track, vq->size, vq->used_idx);
	full_fence();
	if (!virtq_wants_interrupt(vq) || vq->broken)
		return;
	vq->stat_interrupts++;
	vq->dev->host_ops->queue_interrupt(vq->dev->host, vq->index);
}

void virtq_disable_kicks(struct virtq *vq)
{
	/*
	 * With event index nothing need be done: the driver kicks when it passes avail_event, and
	 * that stays behind while we work.
	 */
	if (!vq->event_idx)
		ring_store(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool virtq_enable_kicks(struct virtq *vq)
{
	if (vq->broken)
		return false;
	if (vq->event_idx)
		ring_store(virtq_avail_event(vq), vq->last_avail);
	else
		ring_store(&vq->used->flags, 0);
	full_fence();
	return ring_load(&vq->avail->idx) != vq->last_avail || vq->replay_pos < vq->nr_replay;
}

/* ---- Buffers ---- */

size_t virtq_iov_to_buf(const struct iovec *iov, unsigned int n, size_t off, void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		part -= off;
		if (part > len - done)
			part = len - done;
		memcpy((char *)buf + done, (char *)iov[i].iov_base + off, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t virtq_iov_from_buf(const struct iovec *iov, unsigned int n, size_t off, const void *buf,
			  size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		part -= off;
		if (part > len - done)
			part = len - done;
		memcpy((char *)iov[i].iov_base + off, (const char *)buf + done, part);
		done += part;
		off = 0;
	}
	return done;
}
