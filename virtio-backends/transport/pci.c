// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio over PCI: configuration structures, doorbells, interrupts; see pci.h.
 *
 * Everything is in BAR 0: a page each for the common configuration, the ISR status, the device
 * configuration and the doorbells, then the MSI-X table and its pending bits.
 */
#include "pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#define VIRTIO_PCI_VENDOR	0x1af4
#define VIRTIO_PCI_DEVICE_BASE	0x1040	/* virtio 1.2, 4.1.2 */
#define VIRTIO_PCI_REVISION	1	/* non-transitional */

#define BAR		0
#define BAR_SIZE	0x8000u
#define COMMON_OFF	0x0000u
#define COMMON_LEN	56u		/* up to and with queue_device */
#define ISR_OFF		0x1000u
#define ISR_LEN		1u
#define DEVICE_OFF	0x2000u
#define NOTIFY_OFF	0x3000u
#define NOTIFY_STRIDE	4u
#define MSIX_TABLE_OFF	0x4000u
#define MSIX_PBA_OFF	0x6000u
#define REGION_LEN	0x1000u

_Static_assert(sizeof(struct virtio_pci_common_cfg) >= COMMON_LEN, "virtio 1.2, 4.1.4.3");
_Static_assert(offsetof(struct virtio_pci_common_cfg, queue_used_lo) == 48, "virtio 1.2, 4.1.4.3");
_Static_assert(VIRTIO_MAX_QUEUES * NOTIFY_STRIDE <= REGION_LEN, "doorbells fit their page");
_Static_assert((VIRTIO_MAX_QUEUES + 1) * 16 <= MSIX_PBA_OFF - MSIX_TABLE_OFF, "table fits");

#define ISR_QUEUE	1u
#define ISR_CONFIG	2u

#define VIRTIO_PCI_STATE_VERSION 1

struct virtio_pci {
	struct pci_dev pci;	/* first: the host hands it back */
	struct virtio_dev *dev;
	struct hvm_vm *vm;
	int cfg_cap;		/* the configuration access capability */
	uint64_t bar_base;	/* where the doorbells are wired */
	unsigned int wired;	/* doorbells with an ioeventfd: queues [0, wired) */
	unsigned int wired_len;	/* length their ioeventfds match, 0: any */

	/* Registers of the common configuration. Taken before dev->lock. */
	pthread_mutex_t lock;
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;

	/* Any thread. */
	_Atomic uint16_t config_vector;
	_Atomic uint16_t *queue_vector;

	pthread_mutex_t isr_lock;	/* isr and INTA# together; innermost */
	uint8_t isr;
};

static struct virtio_pci *to_virtio_pci(struct pci_dev *d)
{
	return (struct virtio_pci *)d;
}

/* ---- Interrupts ---- */

static void virtio_pci_interrupt(struct virtio_pci *vp, uint16_t vector, uint8_t isr)
{
	if (pci_msix_enabled(&vp->pci)) {
		if (vector != VIRTIO_MSI_NO_VECTOR)
			pci_msix_fire(&vp->pci, vector);
		return;
	}
	pthread_mutex_lock(&vp->isr_lock);
	vp->isr |= isr;
	pci_intx_set(&vp->pci, true);
	pthread_mutex_unlock(&vp->isr_lock);
}

static void virtio_pci_queue_interrupt(void *host, unsigned int queue)
{
	struct virtio_pci *vp = host;

	virtio_pci_interrupt(vp, atomic_load(&vp->queue_vector[queue]), ISR_QUEUE);
}

static void virtio_pci_config_interrupt(void *host)
{
	struct virtio_pci *vp = host;

	virtio_pci_interrupt(vp, atomic_load(&vp->config_vector), ISR_CONFIG);
}

static int virtio_pci_queue_eventfd(void *host, unsigned int queue)
{
	struct virtio_pci *vp = host;
	uint16_t vector = atomic_load(&vp->queue_vector[queue]);

	if (!pci_msix_enabled(&vp->pci) || vector == VIRTIO_MSI_NO_VECTOR)
		return -1;
	return pci_msix_eventfd(&vp->pci, vector);
}

static const struct virtio_host_ops virtio_pci_host_ops = {
	.queue_interrupt = virtio_pci_queue_interrupt,
	.config_interrupt = virtio_pci_config_interrupt,
	.queue_eventfd = virtio_pci_queue_eventfd,
};

/* Reading takes the bits and lowers the pin (virtio 1.2, 4.1.4.5). */
static uint8_t virtio_pci_take_isr(struct virtio_pci *vp)
{
	uint8_t isr;

	pthread_mutex_lock(&vp->isr_lock);
	isr = vp->isr;
	vp->isr = 0;
	pci_intx_set(&vp->pci, false);
	pthread_mutex_unlock(&vp->isr_lock);
	return isr;
}

/* ---- Common configuration (virtio 1.2, 4.1.4.3) ---- */

static struct virtq *selected_queue(struct virtio_pci *vp)
{
	return vp->queue_select < vp->dev->nr_queues ? &vp->dev->vqs[vp->queue_select] : NULL;
}

static uint64_t queue_address(const struct virtq *vq, unsigned int off)
{
	switch (off & ~7u) {
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return vq->desc_gpa;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return vq->avail_gpa;
	default:
		return vq->used_gpa;
	}
}

/* vp->lock and dev->lock are held; a queue that does not exist reads as zeroes. */
static uint64_t common_read_queue(struct virtio_pci *vp, unsigned int off, unsigned int size)
{
	const struct virtq *vq = selected_queue(vp);
	uint64_t v;

	if (!vq)
		return off == VIRTIO_PCI_COMMON_Q_MSIX ? VIRTIO_MSI_NO_VECTOR : 0;
	if (off >= VIRTIO_PCI_COMMON_Q_DESCLO) {
		v = queue_address(vq, off);
		return size == 8 ? v : (uint32_t)(v >> (off & 4 ? 32 : 0));
	}
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return vq->size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return atomic_load(&vp->queue_vector[vq->index]);
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return vq->enabled;
	default:
		return vq->index;	/* queue_notify_off */
	}
}

/* Is this an access that the structure's field at @off allows? */
static bool common_access_ok(unsigned int off, unsigned int size)
{
	if (off + size > COMMON_LEN)
		return false;
	if (off >= VIRTIO_PCI_COMMON_Q_DESCLO)
		return (size == 4 || size == 8) && !(off & (size - 1));
	if (off == VIRTIO_PCI_COMMON_STATUS || off == VIRTIO_PCI_COMMON_CFGGENERATION)
		return size == 1;
	if (off < VIRTIO_PCI_COMMON_MSIX)
		return size == 4 && !(off & 3);
	return size == 2 && !(off & 1);
}

static uint64_t common_read(struct virtio_pci *vp, unsigned int off, unsigned int size)
{
	struct virtio_dev *dev = vp->dev;
	uint64_t v;

	if (!common_access_ok(off, size))
		return 0;
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return vp->device_feature_select;
	case VIRTIO_PCI_COMMON_DF:
		return virtio_dev_get_features(dev, vp->device_feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return vp->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF:
		return virtio_dev_get_driver_features(dev, vp->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX:
		return atomic_load(&vp->config_vector);
	case VIRTIO_PCI_COMMON_NUMQ:
		return dev->nr_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return virtio_dev_get_status(dev);
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return (uint8_t)atomic_load(&dev->config_generation);
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return vp->queue_select;
	}
	pthread_mutex_lock(&dev->lock);
	v = common_read_queue(vp, off, size);
	pthread_mutex_unlock(&dev->lock);
	return v;
}

static uint16_t checked_vector(struct virtio_pci *vp, uint64_t vector)
{
	/* Reading back NO_VECTOR tells the driver that it cannot have this one. */
	return vector < pci_msix_vectors(&vp->pci) ? (uint16_t)vector : VIRTIO_MSI_NO_VECTOR;
}

static void set_queue_address(struct virtq *vq, unsigned int off, unsigned int size, uint64_t value)
{
	uint64_t *p;

	switch (off & ~7u) {
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		p = &vq->desc_gpa;
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		p = &vq->avail_gpa;
		break;
	default:
		p = &vq->used_gpa;
		break;
	}
	if (size == 8)
		*p = value;
	else if (off & 4)
		*p = (*p & 0xffffffffULL) | value << 32;
	else
		*p = (*p & ~0xffffffffULL) | (uint32_t)value;
}

/*
 * A queue is set up between FEATURES_OK and DRIVER_OK and stays as it is once enabled; what comes
 * at another time is ignored.
 */
static void common_write_queue(struct virtio_pci *vp, unsigned int off, unsigned int size,
			       uint64_t value)
{
	struct virtq *vq = selected_queue(vp);

	if (!vq || vq->enabled || (atomic_load(&vp->dev->status) & VIRTIO_STATUS_DRIVER_OK))
		return;
	if (off >= VIRTIO_PCI_COMMON_Q_DESCLO) {
		set_queue_address(vq, off, size, value);
	} else if (off == VIRTIO_PCI_COMMON_Q_SIZE) {
		if (!value || value > vq->max_size || (value & (value - 1)))
			virtio_dev_fail(vp->dev, "queue %u: bad size %u", vq->index,
					(unsigned int)value);
		else
			vq->size = (uint16_t)value;
	} else if (off == VIRTIO_PCI_COMMON_Q_ENABLE) {
		vq->enabled = value == 1;
	}
}

/* A device that runs may have taken the old vector's eventfd: let it look again. */
static void set_queue_vector(struct virtio_pci *vp, uint64_t vector)
{
	struct virtio_dev *dev = vp->dev;

	if (vp->queue_select >= dev->nr_queues)
		return;
	atomic_store(&vp->queue_vector[vp->queue_select], checked_vector(vp, vector));
	if (virtio_dev_get_status(dev) & VIRTIO_STATUS_DRIVER_OK) {
		virtio_dev_pause(dev);
		virtio_dev_resume(dev);
	}
}

/* What a reset of the device means for the transport (virtio 1.2, 4.1.4.3.1). */
static void virtio_pci_reset_vectors(struct virtio_pci *vp)
{
	atomic_store(&vp->config_vector, VIRTIO_MSI_NO_VECTOR);
	for (unsigned int i = 0; i < vp->dev->nr_queues; i++)
		atomic_store(&vp->queue_vector[i], VIRTIO_MSI_NO_VECTOR);
	virtio_pci_take_isr(vp);
}

static void common_write(struct virtio_pci *vp, unsigned int off, unsigned int size, uint64_t value)
{
	struct virtio_dev *dev = vp->dev;

	if (!common_access_ok(off, size))
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		vp->device_feature_select = (uint32_t)value;
		return;
	case VIRTIO_PCI_COMMON_GFSELECT:
		vp->driver_feature_select = (uint32_t)value;
		return;
	case VIRTIO_PCI_COMMON_GF:
		virtio_dev_set_driver_features(dev, vp->driver_feature_select, (uint32_t)value);
		return;
	case VIRTIO_PCI_COMMON_MSIX:
		atomic_store(&vp->config_vector, checked_vector(vp, value));
		return;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_dev_set_status(dev, (uint8_t)value);
		if (!(uint8_t)value)
			virtio_pci_reset_vectors(vp);
		return;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		vp->queue_select = (uint16_t)value;
		return;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		set_queue_vector(vp, value);
		return;
	}
	pthread_mutex_lock(&dev->lock);
	common_write_queue(vp, off, size, value);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- The BAR ---- */

static uint64_t bar_read(void *opaque, uint64_t off, unsigned int size)
{
	struct virtio_pci *vp = opaque;
	uint64_t v = 0;

	if (off >= MSIX_PBA_OFF)
		return pci_msix_pba_read(&vp->pci, off - MSIX_PBA_OFF, size);
	if (off >= MSIX_TABLE_OFF)
		return pci_msix_table_read(&vp->pci, off - MSIX_TABLE_OFF, size);
	switch (off & ~(uint64_t)(REGION_LEN - 1)) {
	case COMMON_OFF:
		pthread_mutex_lock(&vp->lock);
		v = common_read(vp, (unsigned int)off, size);
		pthread_mutex_unlock(&vp->lock);
		break;
	case ISR_OFF:
		if (off == ISR_OFF)
			v = virtio_pci_take_isr(vp);
		break;
	case DEVICE_OFF:
		virtio_dev_config_read(vp->dev, (uint32_t)off - DEVICE_OFF, &v, size);
		break;
	}
	return v;
}

static void bar_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct virtio_pci *vp = opaque;

	if (off >= MSIX_PBA_OFF)
		return;		/* read-only */
	if (off >= MSIX_TABLE_OFF) {
		pci_msix_table_write(&vp->pci, off - MSIX_TABLE_OFF, size, value);
		return;
	}
	switch (off & ~(uint64_t)(REGION_LEN - 1)) {
	case COMMON_OFF:
		pthread_mutex_lock(&vp->lock);
		common_write(vp, (unsigned int)off, size, value);
		pthread_mutex_unlock(&vp->lock);
		break;
	case DEVICE_OFF:
		virtio_dev_config_write(vp->dev, (uint32_t)off - DEVICE_OFF, &value, size);
		break;
	case NOTIFY_OFF:
		/* Usually the kernel does this (ioeventfd) and we never see the access. */
		virtio_dev_notify_queue(vp->dev, (unsigned int)(off - NOTIFY_OFF) / NOTIFY_STRIDE);
		break;
	}
}

static const struct bus_ops virtio_pci_bar_ops = { .read = bar_read, .write = bar_write };

/* ---- Doorbells ---- */

static uint64_t doorbell(const struct virtio_pci *vp, unsigned int queue)
{
	return vp->bar_base + NOTIFY_OFF + queue * NOTIFY_STRIDE;
}

static void virtio_pci_unwire_doorbells(struct virtio_pci *vp)
{
	while (vp->wired) {
		vp->wired--;
		hvm_ioeventfd_del(vp->vm, false, doorbell(vp, vp->wired), vp->wired_len, false, 0,
				  vp->dev->vqs[vp->wired].kick_fd);
	}
}

/* Where this fails, doorbells reach bar_write(): slower, but nothing is lost. */
static void virtio_pci_wire_doorbells(struct virtio_pci *vp, uint64_t base)
{
	int ret;

	vp->bar_base = base;
	/* Any length is the fastest, where the kernel knows it; drivers write 16 bits. */
	vp->wired_len = 0;
	for (vp->wired = 0; vp->wired < vp->dev->nr_queues; vp->wired++) {
		int fd = vp->dev->vqs[vp->wired].kick_fd;

		ret = hvm_ioeventfd_add(vp->vm, false, doorbell(vp, vp->wired), vp->wired_len,
					false, 0, fd);
		if (ret && !vp->wired && !vp->wired_len) {
			vp->wired_len = 2;
			ret = hvm_ioeventfd_add(vp->vm, false, doorbell(vp, 0), 2, false, 0, fd);
		}
		if (ret)
			return;
	}
}

static void virtio_pci_bar_mapped(struct pci_dev *d, unsigned int bar, uint64_t base, bool mapped)
{
	struct virtio_pci *vp = to_virtio_pci(d);

	if (mapped)
		virtio_pci_wire_doorbells(vp, base);
	else
		virtio_pci_unwire_doorbells(vp);
}

/* ---- Access to the BAR through configuration space (virtio 1.2, 4.1.4.9) ---- */

static bool cfg_cap_window(const struct virtio_pci *vp, uint32_t *off, uint32_t *len)
{
	struct virtio_pci_cap cap;

	memcpy(&cap, &vp->pci.config[vp->cfg_cap], sizeof(cap));
	*off = cap.offset;
	*len = cap.length;
	return cap.bar == BAR && (*len == 1 || *len == 2 || *len == 4) && !(*off & (*len - 1)) &&
	       *off < BAR_SIZE && *len <= BAR_SIZE - *off;
}

static bool cfg_cap_touched(const struct virtio_pci *vp, unsigned int off, unsigned int len)
{
	unsigned int data = (unsigned int)vp->cfg_cap + sizeof(struct virtio_pci_cap);

	return off < data + 4 && data < off + len;
}

static void virtio_pci_config_reading(struct pci_dev *d, unsigned int off, unsigned int len)
{
	struct virtio_pci *vp = to_virtio_pci(d);
	uint32_t at, size, v;

	if (!cfg_cap_touched(vp, off, len) || !cfg_cap_window(vp, &at, &size))
		return;
	v = (uint32_t)bar_read(vp, at, size);
	memcpy(&d->config[vp->cfg_cap + sizeof(struct virtio_pci_cap)], &v, size);
}

static void virtio_pci_config_written(struct pci_dev *d, unsigned int off, unsigned int len)
{
	struct virtio_pci *vp = to_virtio_pci(d);
	uint32_t at, size, v = 0;

	/* Not a bus master: neither a queue nor a buffer may be touched. */
	if (off < PCI_COMMAND + 2 && off + len > PCI_COMMAND)
		virtio_dev_allow_dma(vp->dev, atomic_load(&d->bus_master));
	if (!cfg_cap_touched(vp, off, len) || !cfg_cap_window(vp, &at, &size))
		return;
	memcpy(&v, &d->config[vp->cfg_cap + sizeof(struct virtio_pci_cap)], size);
	bar_write(vp, at, size, v);
}

/* ---- Set-up and life ---- */

static int add_virtio_cap(struct virtio_pci *vp, uint8_t type, unsigned int len, uint32_t offset,
			  uint32_t length)
{
	struct virtio_pci_cap cap = {
		.cap_len = (uint8_t)len,
		.cfg_type = type,
		.bar = BAR,
		.offset = offset,
		.length = length,
	};
	int at = pci_dev_add_cap(&vp->pci, PCI_CAP_ID_VNDR, len);

	if (at < 0)
		return at;
	/* The header of two bytes is there already. */
	memcpy(&vp->pci.config[at + 2], (const uint8_t *)&cap + 2, sizeof(cap) - 2);
	return at;
}

static int virtio_pci_add_caps(struct virtio_pci *vp)
{
	uint32_t stride = NOTIFY_STRIDE;
	unsigned int len = sizeof(struct virtio_pci_cap);
	uint32_t device_len = vp->dev->ops->config_len;
	int at;

	at = add_virtio_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, len, COMMON_OFF, COMMON_LEN);
	if (at < 0)
		return at;
	at = add_virtio_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, len, ISR_OFF, ISR_LEN);
	if (at < 0)
		return at;
	/* Without configuration space the capability is optional (virtio 1.2, 4.1.4.6). */
	if (device_len)
		at = add_virtio_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, len, DEVICE_OFF, device_len);
	if (at < 0)
		return at;
	at = add_virtio_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, len + 4, NOTIFY_OFF,
			    vp->dev->nr_queues * NOTIFY_STRIDE);
	if (at < 0)
		return at;
	memcpy(&vp->pci.config[at + len], &stride, sizeof(stride));
	at = add_virtio_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, len + 4, 0, 0);
	if (at < 0)
		return at;
	vp->cfg_cap = at;
	/* The driver moves the window and writes through it. */
	vp->pci.wmask[at + offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(&vp->pci.wmask[at + offsetof(struct virtio_pci_cap, offset)], 0xff, 8 + 4);
	return 0;
}

static void virtio_pci_reset(struct pci_dev *d)
{
	struct virtio_pci *vp = to_virtio_pci(d);

	pthread_mutex_lock(&vp->lock);
	virtio_dev_reset(vp->dev);
	virtio_pci_reset_vectors(vp);
	vp->device_feature_select = 0;
	vp->driver_feature_select = 0;
	vp->queue_select = 0;
	pthread_mutex_unlock(&vp->lock);
}

static void virtio_pci_save(struct pci_dev *d, struct hv_state_writer *w)
{
	struct virtio_pci *vp = to_virtio_pci(d);

	pthread_mutex_lock(&vp->lock);
	hv_state_begin(w, "virtio-pci", VIRTIO_PCI_STATE_VERSION);
	hv_state_put_u32(w, vp->device_feature_select);
	hv_state_put_u32(w, vp->driver_feature_select);
	hv_state_put_u16(w, vp->queue_select);
	hv_state_put_u8(w, vp->isr);
	hv_state_put_u16(w, atomic_load(&vp->config_vector));
	for (unsigned int i = 0; i < vp->dev->nr_queues; i++)
		hv_state_put_u16(w, atomic_load(&vp->queue_vector[i]));
	hv_state_end(w);
	virtio_dev_save(vp->dev, w);
	pthread_mutex_unlock(&vp->lock);
}

static int virtio_pci_load_regs(struct virtio_pci *vp, struct hv_state_reader *r,
				struct hv_err *err)
{
	int ret = hv_state_open(r, "virtio-pci", VIRTIO_PCI_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	vp->device_feature_select = hv_state_get_u32(r);
	vp->driver_feature_select = hv_state_get_u32(r);
	vp->queue_select = hv_state_get_u16(r);
	vp->isr = hv_state_get_u8(r) & (ISR_QUEUE | ISR_CONFIG);
	atomic_store(&vp->config_vector, checked_vector(vp, hv_state_get_u16(r)));
	for (unsigned int i = 0; i < vp->dev->nr_queues; i++)
		atomic_store(&vp->queue_vector[i], checked_vector(vp, hv_state_get_u16(r)));
	return hv_state_close(r, err);
}

static int virtio_pci_load(struct pci_dev *d, struct hv_state_reader *r, struct hv_err *err)
{
	struct virtio_pci *vp = to_virtio_pci(d);
	int ret;

	pthread_mutex_lock(&vp->lock);
	ret = virtio_pci_load_regs(vp, r, err);
	if (!ret)
		ret = virtio_dev_load(vp->dev, r, err);
	if (!ret)
		pci_intx_set(d, vp->isr);
	pthread_mutex_unlock(&vp->lock);
	return ret;
}

static void virtio_pci_free(struct virtio_pci *vp)
{
	pci_msix_fini(&vp->pci);
	pthread_mutex_destroy(&vp->isr_lock);
	pthread_mutex_destroy(&vp->lock);
	free(vp->queue_vector);
	free(vp);
}

static void virtio_pci_destroy(struct pci_dev *d)
{
	struct virtio_pci *vp = to_virtio_pci(d);

	/* The device first: until it is gone it may interrupt. */
	virtio_dev_destroy(vp->dev);
	virtio_pci_free(vp);
}

static const struct pci_dev_ops virtio_pci_ops = {
	.config_reading = virtio_pci_config_reading,
	.config_written = virtio_pci_config_written,
	.bar_mapped = virtio_pci_bar_mapped,
	.reset = virtio_pci_reset,
	.save = virtio_pci_save,
	.load = virtio_pci_load,
	.destroy = virtio_pci_destroy,
};

/* Base class, subclass, interface. Drivers go by the device id; this is what lspci shows. */
static uint32_t virtio_pci_class(uint16_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return 0x020000;
	case VIRTIO_ID_BLOCK:
		return 0x018000;
	case VIRTIO_ID_CONSOLE:
		return 0x078000;
	default:
		return 0xff0000;
	}
}

static int virtio_pci_set_up(struct virtio_pci *vp, struct hv_err *err)
{
	uint16_t id = vp->dev->ops->device_id;
	int ret;

	pci_dev_init(&vp->pci, vp->dev->id, &virtio_pci_ops, VIRTIO_PCI_VENDOR,
		     VIRTIO_PCI_DEVICE_BASE + id, VIRTIO_PCI_REVISION, virtio_pci_class(id));
	pci_dev_set_subsystem(&vp->pci, VIRTIO_PCI_VENDOR, VIRTIO_PCI_DEVICE_BASE + id);
	vp->pci.config[PCI_INTERRUPT_PIN] = 1;	/* INTA# */
	ret = pci_dev_set_bar(&vp->pci, BAR, PCI_BAR_MEM64, false, BAR_SIZE, &virtio_pci_bar_ops,
			      vp);
	if (ret)
		return hv_err_set(err, ret, "%s: bad BAR", vp->dev->id);
	ret = pci_msix_init(&vp->pci, vp->vm, vp->dev->nr_queues + 1, BAR, MSIX_TABLE_OFF,
			    MSIX_PBA_OFF, err);
	if (ret)
		return ret;
	ret = virtio_pci_add_caps(vp);
	if (ret)
		return hv_err_set(err, ret, "%s: no room for capabilities", vp->dev->id);
	return 0;
}

int virtio_pci_create(const struct virtio_pci_config *cfg, struct pci_dev **pdev,
		      struct hv_err *err)
{
	struct virtio_pci *vp = calloc(1, sizeof(*vp));
	int ret = -ENOMEM;

	if (!vp)
		return hv_err_set(err, ret, "%s: out of memory", cfg->dev->id);
	vp->dev = cfg->dev;
	vp->vm = cfg->vm;
	pthread_mutex_init(&vp->lock, NULL);
	pthread_mutex_init(&vp->isr_lock, NULL);
	vp->queue_vector = calloc(vp->dev->nr_queues, sizeof(*vp->queue_vector));
	if (!vp->queue_vector) {
		hv_err_set(err, ret, "%s: out of memory", cfg->dev->id);
		goto fail;
	}
	atomic_init(&vp->config_vector, VIRTIO_MSI_NO_VECTOR);
	for (unsigned int i = 0; i < vp->dev->nr_queues; i++)
		atomic_init(&vp->queue_vector[i], VIRTIO_MSI_NO_VECTOR);
	ret = virtio_pci_set_up(vp, err);
	if (ret)
		goto fail;
	virtio_dev_attach(vp->dev, cfg->mem, &virtio_pci_host_ops, vp);
	ret = pci_dev_add(cfg->host, &vp->pci, cfg->slot, err);
	if (ret)
		goto fail;
	if (pdev)
		*pdev = &vp->pci;
	return 0;
fail:
	virtio_pci_free(vp);
	return ret;
}
