// SPDX-License-Identifier: GPL-2.0-or-later
/* See virtio_driver.h. */
#include "virtio_driver.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit_test.h"

static void drv_queue_interrupt(void *host, unsigned int queue)
{
	struct drv *d = host;

	atomic_fetch_add(&d->interrupts[queue], 1);
}

static void drv_config_interrupt(void *host)
{
	struct drv *d = host;

	atomic_fetch_add(&d->config_interrupts, 1);
}

static const struct virtio_host_ops drv_host_ops = {
	.queue_interrupt = drv_queue_interrupt,
	.config_interrupt = drv_config_interrupt,
};

static const uint64_t layout[3][2] = {
	{ DRV_RAM0, DRV_RAM0_SIZE },
	{ DRV_RAM1, DRV_RAM1_SIZE },
	{ DRV_RAM2, DRV_RAM2_SIZE },
};

void drv_init_shared(struct drv *d, struct virtio_dev *dev)
{
	memset(d, 0, sizeof(*d));
	d->mem.nr = 3;
	for (unsigned int i = 0; i < 3; i++) {
		int fd = memfd_create("guest", MFD_CLOEXEC);

		CHECK(fd >= 0 && !ftruncate(fd, (off_t)layout[i][1]));
		d->ram[i] = mmap(NULL, layout[i][1], PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(d->ram[i] != MAP_FAILED);
		d->mem.region[i] = (struct guest_mem_region){
			.gpa = layout[i][0], .size = layout[i][1], .hva = d->ram[i],
			.shared = true, .fd = fd,
		};
	}
	if (dev)
		drv_attach(d, dev);
}

void drv_init(struct drv *d, struct virtio_dev *dev)
{
	memset(d, 0, sizeof(*d));
	d->dev = dev;
	d->mem.nr = 3;
	for (unsigned int i = 0; i < 3; i++) {
		/* From malloc, so that the address sanitizer sees accesses past the end. */
		d->ram[i] = aligned_alloc(4096, layout[i][1]);
		memset(d->ram[i], 0, layout[i][1]);
		d->mem.region[i] = (struct guest_mem_region){
			.gpa = layout[i][0], .size = layout[i][1], .hva = d->ram[i],
		};
	}
	if (dev)
		drv_attach(d, dev);
}

void drv_attach(struct drv *d, struct virtio_dev *dev)
{
	d->dev = dev;
	virtio_dev_attach(dev, &d->mem, &drv_host_ops, d);
}

void drv_fini(struct drv *d)
{
	for (unsigned int i = 0; i < 3; i++) {
		const struct guest_mem_region *r = &d->mem.region[i];

		if (!r->shared) {
			free(d->ram[i]);
			continue;
		}
		munmap(d->ram[i], r->size);
		close(r->fd);
	}
}

void *drv_ptr(struct drv *d, uint64_t gpa)
{
	return guest_mem_ptr(&d->mem, gpa, 1);
}

void drv_start(struct drv *d, uint64_t features, unsigned int nr, uint16_t size)
{
	struct virtio_dev *dev = d->dev;

	features |= VIRTIO_FEATURE_VERSION_1;
	virtio_dev_set_status(dev, 0);
	virtio_dev_set_status(dev, 1);
	virtio_dev_set_status(dev, 3);
	virtio_dev_set_driver_features(dev, 0, (uint32_t)features);
	virtio_dev_set_driver_features(dev, 1, (uint32_t)(features >> 32));
	virtio_dev_set_status(dev, 0xb);
	CHECK_EQ(virtio_dev_get_status(dev), 0xb);
	for (unsigned int i = 0; i < nr; i++) {
		struct drv_queue *q = &d->q[i];

		memset(drv_ptr(d, DRV_DESC(i)), 0, 0xf000);
		*q = (struct drv_queue){
			.size = size,
			.desc = drv_ptr(d, DRV_DESC(i)),
			.avail = drv_ptr(d, DRV_AVAIL(i)),
			.used = drv_ptr(d, DRV_USED(i)),
		};
		dev->vqs[i].size = size;
		dev->vqs[i].desc_gpa = DRV_DESC(i);
		dev->vqs[i].avail_gpa = DRV_AVAIL(i);
		dev->vqs[i].used_gpa = DRV_USED(i);
		dev->vqs[i].enabled = true;
		atomic_store(&d->interrupts[i], 0);
	}
	atomic_store(&d->config_interrupts, 0);
	virtio_dev_set_status(dev, 0xf);
}

static void fill_descs(struct vring_desc *t, uint16_t first, uint16_t mask, const struct drv_buf *b,
		       unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct vring_desc *e = &t[(first + i) & mask];

		e->addr = b[i].gpa;
		e->len = b[i].len;
		e->flags = (b[i].write ? VRING_DESC_F_WRITE : 0) |
			   (i + 1 < n ? VRING_DESC_F_NEXT : 0);
		e->next = (first + i + 1) & mask;
	}
}

uint16_t drv_chain(struct drv *d, unsigned int q, const struct drv_buf *b, unsigned int n)
{
	struct drv_queue *dq = &d->q[q];
	uint16_t head = dq->next_desc;

	fill_descs(dq->desc, head, dq->size - 1, b, n);
	dq->next_desc = (head + n) & (dq->size - 1);
	return head;
}

uint16_t drv_chain_indirect(struct drv *d, unsigned int q, const struct drv_buf *b, unsigned int n)
{
	struct drv_queue *dq = &d->q[q];
	uint16_t head = dq->next_desc;

	fill_descs(drv_ptr(d, DRV_INDIRECT(q)), 0, 0x7fff, b, n);
	dq->desc[head] = (struct vring_desc){
		.addr = DRV_INDIRECT(q), .len = 16 * n, .flags = VRING_DESC_F_INDIRECT,
	};
	dq->next_desc = (head + 1) & (dq->size - 1);
	return head;
}

void drv_avail(struct drv *d, unsigned int q, uint16_t head)
{
	struct drv_queue *dq = &d->q[q];

	dq->avail->ring[dq->avail_idx & (dq->size - 1)] = head;
	dq->avail_idx++;
	__atomic_store_n(&dq->avail->idx, dq->avail_idx, __ATOMIC_SEQ_CST);
}

void drv_kick(struct drv *d, unsigned int q)
{
	virtio_dev_notify_queue(d->dev, q);
}

bool drv_used(struct drv *d, unsigned int q, uint32_t *id, uint32_t *len)
{
	struct drv_queue *dq = &d->q[q];
	const struct vring_used_elem *e = &dq->used->ring[dq->used_seen & (dq->size - 1)];

	if (__atomic_load_n(&dq->used->idx, __ATOMIC_ACQUIRE) == dq->used_seen)
		return false;
	dq->used_seen++;
	if (id)
		*id = e->id;
	if (len)
		*len = e->len;
	return true;
}

bool drv_wait_used(struct drv *d, unsigned int q, uint32_t *id, uint32_t *len)
{
	for (unsigned int i = 0; i < 50000; i++) {
		if (drv_used(d, q, id, len))
			return true;
		usleep(100);
	}
	return false;
}
