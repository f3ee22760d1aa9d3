// SPDX-License-Identifier: GPL-2.0-or-later
/* What all virtio devices share: status, features, queues, state; see virtio.h. */
#include "virtio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

#define VIRTIO_STATE_VERSION	1

/* Bits of the status register that a driver may set. */
#define STATUS_DRIVER_BITS	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | \
				 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK | \
				 VIRTIO_STATUS_FAILED)

/* ---- Life ---- */

static bool is_power_of_two(unsigned int n)
{
	return n && !(n & (n - 1));
}

int virtio_dev_init(struct virtio_dev *dev, const struct virtio_dev_ops *ops, const char *id,
		    uint64_t features, unsigned int nr_queues, unsigned int queue_size,
		    struct hv_err *err)
{
	int ret;

	if (!nr_queues || nr_queues > VIRTIO_MAX_QUEUES)
		return hv_err_set(err, -EINVAL, "%s: %u queues, 1 to %u are possible", id,
				  nr_queues, VIRTIO_MAX_QUEUES);
	if (!is_power_of_two(queue_size) || queue_size > VIRTQ_MAX_SIZE)
		return hv_err_set(err, -EINVAL, "%s: queue size %u is not a power of two up to %u",
				  id, queue_size, VIRTQ_MAX_SIZE);
	dev->vqs = calloc(nr_queues, sizeof(*dev->vqs));
	if (!dev->vqs)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	dev->ops = ops;
	snprintf(dev->id, sizeof(dev->id), "%s", id);
	dev->host_features = features | VIRTIO_FEATURE_VERSION_1 | VIRTIO_FEATURE_EVENT_IDX |
			     VIRTIO_FEATURE_INDIRECT_DESC;
	pthread_mutex_init(&dev->lock, NULL);
	for (; dev->nr_queues < nr_queues; dev->nr_queues++) {
		ret = virtq_init(&dev->vqs[dev->nr_queues], dev, dev->nr_queues,
				 (uint16_t)queue_size);
		if (ret) {
			virtio_dev_fini(dev);
			return hv_err_set(err, ret, "%s: no eventfds for %u queues: %s", id,
					  nr_queues, strerror(-ret));
		}
	}
	return 0;
}

void virtio_dev_fini(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtq_fini(&dev->vqs[i]);
	free(dev->vqs);
	dev->vqs = NULL;
	dev->nr_queues = 0;
	pthread_mutex_destroy(&dev->lock);
}

void virtio_dev_attach(struct virtio_dev *dev, const struct guest_mem *mem,
		       const struct virtio_host_ops *ops, void *host)
{
	dev->mem = mem;
	dev->host_ops = ops;
	dev->host = host;
}

/* ---- Starting and stopping ---- */

static void virtio_stop_queues(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtq_stop(&dev->vqs[i]);
}

static int virtio_start_queues(struct virtio_dev *dev)
{
	bool event_idx = dev->driver_features & VIRTIO_FEATURE_EVENT_IDX;
	bool indirect = dev->driver_features & VIRTIO_FEATURE_INDIRECT_DESC;

	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		int ret = dev->vqs[i].enabled ? virtq_start(&dev->vqs[i], event_idx, indirect) : 0;

		if (ret)
			return ret;
	}
	return 0;
}

/* The caller holds the lock; the status allows it. */
static void virtio_start(struct virtio_dev *dev)
{
	int ret = virtio_start_queues(dev);

	if (!ret)
		ret = dev->ops->start(dev);
	if (ret) {
		virtio_stop_queues(dev);
		virtio_dev_fail(dev, "cannot start: %s", strerror(-ret));
		return;
	}
	dev->started = true;
}

static void virtio_stop(struct virtio_dev *dev)
{
	if (!dev->started)
		return;
	dev->ops->stop(dev);
	virtio_stop_queues(dev);
	dev->started = false;
}

static bool virtio_should_run(struct virtio_dev *dev)
{
	uint8_t status = atomic_load(&dev->status);

	return (status & VIRTIO_STATUS_DRIVER_OK) && !(status & VIRTIO_STATUS_NEEDS_RESET) &&
	       !dev->paused && !dev->dma_off && !dev->started;
}

static void virtio_reset_locked(struct virtio_dev *dev)
{
	virtio_stop(dev);
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtq_reset(&dev->vqs[i]);
	dev->driver_features = 0;
	if (dev->ops->reset)
		dev->ops->reset(dev);
	atomic_store(&dev->status, 0);
}

void virtio_dev_reset(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	virtio_reset_locked(dev);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_dev_pause(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	dev->paused = true;
	virtio_stop(dev);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_dev_resume(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	dev->paused = false;
	if (virtio_should_run(dev))
		virtio_start(dev);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_dev_allow_dma(struct virtio_dev *dev, bool allow)
{
	pthread_mutex_lock(&dev->lock);
	dev->dma_off = !allow;
	if (!allow)
		virtio_stop(dev);
	else if (virtio_should_run(dev))
		virtio_start(dev);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_dev_destroy(struct virtio_dev *dev)
{
	if (!dev)
		return;
	virtio_dev_reset(dev);
	dev->ops->destroy(dev);
}

/* ---- Status and features ---- */

uint8_t virtio_dev_get_status(struct virtio_dev *dev)
{
	return atomic_load(&dev->status);
}

/* Features may be accepted only as offered, and VERSION_1 must be (virtio 1.2, 3.1.1, 6.1). */
static bool virtio_features_acceptable(const struct virtio_dev *dev)
{
	return !(dev->driver_features & ~dev->host_features) &&
	       (dev->driver_features & VIRTIO_FEATURE_VERSION_1);
}

void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status)
{
	uint8_t old, set;

	pthread_mutex_lock(&dev->lock);
	if (!status) {
		virtio_reset_locked(dev);
		goto out;
	}
	/* Bits are only ever added: clearing one is the business of a reset (virtio 1.2, 2.1.1). */
	old = atomic_load(&dev->status);
	set = status & STATUS_DRIVER_BITS & (uint8_t)~old;
	if ((set & VIRTIO_STATUS_FEATURES_OK) && !virtio_features_acceptable(dev))
		set &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	if (!((old | set) & VIRTIO_STATUS_FEATURES_OK))
		set &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	atomic_fetch_or(&dev->status, set);
	if ((set & VIRTIO_STATUS_DRIVER_OK) && virtio_should_run(dev))
		virtio_start(dev);
out:
	pthread_mutex_unlock(&dev->lock);
}

uint32_t virtio_dev_get_features(struct virtio_dev *dev, uint32_t page)
{
	return page < 2 ? (uint32_t)(dev->host_features >> (32 * page)) : 0;
}

void virtio_dev_set_driver_features(struct virtio_dev *dev, uint32_t page, uint32_t bits)
{
	if (page >= 2)
		return;
	pthread_mutex_lock(&dev->lock);
	if (!(atomic_load(&dev->status) & VIRTIO_STATUS_FEATURES_OK)) {
		dev->driver_features &= ~(0xffffffffULL << (32 * page));
		dev->driver_features |= (uint64_t)bits << (32 * page);
	}
	pthread_mutex_unlock(&dev->lock);
}

uint32_t virtio_dev_get_driver_features(struct virtio_dev *dev, uint32_t page)
{
	uint32_t bits = 0;

	pthread_mutex_lock(&dev->lock);
	if (page < 2)
		bits = (uint32_t)(dev->driver_features >> (32 * page));
	pthread_mutex_unlock(&dev->lock);
	return bits;
}

void virtio_dev_fail(struct virtio_dev *dev, const char *fmt, ...)
{
	uint8_t old = atomic_fetch_or(&dev->status, VIRTIO_STATUS_NEEDS_RESET);
	char why[200];
	va_list ap;

	if (old & VIRTIO_STATUS_NEEDS_RESET)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	hv_log("%s: %s; the device waits for a reset by the guest", dev->id, why);
	/* Before DRIVER_OK nobody listens (virtio 1.2, 2.1.2). */
	if ((old & VIRTIO_STATUS_DRIVER_OK) && dev->host_ops)
		dev->host_ops->config_interrupt(dev->host);
}

/* ---- Configuration space and doorbells ---- */

void virtio_dev_config_changed(struct virtio_dev *dev)
{
	atomic_fetch_add(&dev->config_generation, 1);
	if ((atomic_load(&dev->status) & VIRTIO_STATUS_DRIVER_OK) && dev->host_ops)
		dev->host_ops->config_interrupt(dev->host);
}

void virtio_dev_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	memset(buf, 0, len);
	if (off >= dev->ops->config_len)
		return;
	if (len > dev->ops->config_len - off)
		len = dev->ops->config_len - off;
	pthread_mutex_lock(&dev->lock);
	dev->ops->config_read(dev, off, buf, len);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_dev_config_write(struct virtio_dev *dev, uint32_t off, const void *buf, uint32_t len)
{
	if (!dev->ops->config_write || off >= dev->ops->config_len ||
	    len > dev->ops->config_len - off)
		return;
	pthread_mutex_lock(&dev->lock);
	dev->ops->config_write(dev, off, buf, len);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_dev_notify_queue(struct virtio_dev *dev, unsigned int queue)
{
	uint64_t one = 1;

	if (queue >= dev->nr_queues)
		return;
	/* A full counter (EAGAIN) has signalled the queue already. */
	while (write(dev->vqs[queue].kick_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* ---- State ---- */

void virtio_dev_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	pthread_mutex_lock(&dev->lock);
	hv_state_begin(w, "virtio", VIRTIO_STATE_VERSION);
	hv_state_put_u16(w, dev->ops->device_id);
	hv_state_put_u8(w, atomic_load(&dev->status));
	hv_state_put_u64(w, dev->driver_features);
	hv_state_put_u32(w, atomic_load(&dev->config_generation));
	hv_state_put_u16(w, (uint16_t)dev->nr_queues);
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		const struct virtq *vq = &dev->vqs[i];

		hv_state_put_u16(w, vq->size);
		hv_state_put_u8(w, vq->enabled);
		hv_state_put_u8(w, vq->broken);
		hv_state_put_u64(w, vq->desc_gpa);
		hv_state_put_u64(w, vq->avail_gpa);
		hv_state_put_u64(w, vq->used_gpa);
		hv_state_put_u16(w, vq->last_avail);
		hv_state_put_u16(w, vq->used_idx);
	}
	hv_state_end(w);
	if (dev->ops->save)
		dev->ops->save(dev, w);
	pthread_mutex_unlock(&dev->lock);
}

static int virtio_load_queue(struct virtq *vq, struct hv_state_reader *r)
{
	vq->size = hv_state_get_u16(r);
	vq->enabled = hv_state_get_u8(r) & 1;
	vq->broken = hv_state_get_u8(r) & 1;
	vq->desc_gpa = hv_state_get_u64(r);
	vq->avail_gpa = hv_state_get_u64(r);
	vq->used_gpa = hv_state_get_u64(r);
	vq->last_avail = hv_state_get_u16(r);
	vq->used_idx = hv_state_get_u16(r);
	vq->inflight = 0;
	return is_power_of_two(vq->size) && vq->size <= vq->max_size ? 0 : -EINVAL;
}

static int virtio_load_common(struct virtio_dev *dev, struct hv_state_reader *r,
			      struct hv_err *err)
{
	int ret = hv_state_open(r, "virtio", VIRTIO_STATE_VERSION, err);
	uint16_t id, nr;

	if (ret < 0)
		return ret;
	id = hv_state_get_u16(r);
	if (id != dev->ops->device_id)
		return hv_err_set(err, -EINVAL, "%s: the state is of another device (id %u)",
				  dev->id, id);
	atomic_store(&dev->status,
		     hv_state_get_u8(r) & (STATUS_DRIVER_BITS | VIRTIO_STATUS_NEEDS_RESET));
	dev->driver_features = hv_state_get_u64(r);
	if (dev->driver_features & ~dev->host_features)
		return hv_err_set(err, -EINVAL, "%s: the guest uses features 0x%llx that this device "
				  "does not have", dev->id,
				  (unsigned long long)(dev->driver_features & ~dev->host_features));
	atomic_store(&dev->config_generation, hv_state_get_u32(r));
	nr = hv_state_get_u16(r);
	if (nr != dev->nr_queues)
		return hv_err_set(err, -EINVAL, "%s: the state has %u queues, the device %u",
				  dev->id, nr, dev->nr_queues);
	for (unsigned int i = 0; i < nr; i++)
		if (virtio_load_queue(&dev->vqs[i], r))
			return hv_err_set(err, -EINVAL, "%s: bad size of queue %u", dev->id, i);
	return hv_state_close(r, err);
}

int virtio_dev_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	int ret;

	pthread_mutex_lock(&dev->lock);
	virtio_reset_locked(dev);
	dev->paused = true;
	ret = virtio_load_common(dev, r, err);
	if (!ret && dev->ops->load)
		ret = dev->ops->load(dev, r, err);
	if (ret)
		virtio_reset_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

void virtio_dev_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	if (dev->ops->stats)
		dev->ops->stats(dev, fn, opaque);
}
