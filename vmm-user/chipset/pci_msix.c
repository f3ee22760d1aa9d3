// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSI-X (PCI 3.0, 6.8.2).
 *
 * Each vector has an eventfd, and sending an interrupt is a write to it. While the vector is
 * enabled and unmasked the eventfd is attached to a route in the kernel, which injects the message
 * without us. While it is not, the eventfd just stays signalled, and that is the pending bit: the
 * kernel injects it when the eventfd is attached again (KVM_IRQFD looks whether it is signalled).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../virtio-backends/util/log.h"
#include "pci.h"

#define MSIX_ENTRY_SIZE		16
#define MSIX_ENTRY_MASKED	1u	/* vector control, bit 0 */
#define MSIX_STATE_VERSION	1

struct msix_vector {
	uint64_t addr;
	uint32_t data;
	uint32_t control;
	int eventfd;
	bool routed, attached;
	struct hvm_msi_route route;
};

struct pci_msix {
	struct pci_dev *dev;
	struct hvm_vm *vm;
	unsigned int cap;
	unsigned int nr;
	atomic_bool enabled;	/* message control, MSI-X enable */
	bool logged;		/* a failure to route, once per reset */

	pthread_mutex_t lock;	/* table, routes and the mask below; taken inside the host's lock */
	bool masked;		/* message control, function mask */
	struct msix_vector vec[];
};

/* ---- Routes ---- */

static void msix_detach(struct pci_msix *m, struct msix_vector *v)
{
	if (!v->attached)
		return;
	hvm_msi_route_detach(m->vm, &v->route);
	v->attached = false;
}

static int msix_attach(struct pci_msix *m, struct msix_vector *v)
{
	int ret = 0;

	if (!v->routed) {
		v->route.eventfd = -1;
		ret = hvm_msi_route_add(m->vm, &v->route, v->addr, v->data);
		v->routed = !ret;
	} else if (v->route.addr != v->addr || v->route.data != v->data) {
		ret = hvm_msi_route_update(m->vm, &v->route, v->addr, v->data);
	}
	if (!ret && !v->attached) {
		ret = hvm_msi_route_attach(m->vm, &v->route, v->eventfd);
		v->attached = !ret;
	}
	return ret;
}

/* Bring the kernel in line with the table; m->lock is held. */
static void msix_update_vector(struct pci_msix *m, unsigned int n)
{
	struct msix_vector *v = &m->vec[n];
	int ret;

	if (!atomic_load(&m->enabled) || m->masked || (v->control & MSIX_ENTRY_MASKED)) {
		msix_detach(m, v);
		return;
	}
	ret = msix_attach(m, v);
	if (ret && !m->logged) {
		m->logged = true;
		hv_log("%s: no route for interrupt vector %u: %s", m->dev->name, n, strerror(-ret));
	}
}

static void msix_update_all(struct pci_msix *m)
{
	for (unsigned int i = 0; i < m->nr; i++)
		msix_update_vector(m, i);
}

/* ---- Set-up ---- */

int pci_msix_init(struct pci_dev *d, struct hvm_vm *vm, unsigned int vectors, unsigned int bar,
		  uint32_t table_off, uint32_t pba_off, struct hv_err *err)
{
	struct pci_msix *m;
	uint16_t flags_mask = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
	uint16_t flags = (uint16_t)(vectors - 1);
	uint32_t table = table_off | bar, pba = pba_off | bar;
	int cap;

	if (!vectors || vectors > PCI_MSIX_MAX_VECTORS || bar >= PCI_BARS || (table_off & 7) ||
	    (pba_off & 7))
		return hv_err_set(err, -EINVAL, "%s: impossible MSI-X layout", d->name);
	m = calloc(1, sizeof(*m) + vectors * sizeof(m->vec[0]));
	if (!m)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", d->name);
	m->dev = d;
	m->vm = vm;
	pthread_mutex_init(&m->lock, NULL);
	d->msix = m;
	for (; m->nr < vectors; m->nr++) {
		struct msix_vector *v = &m->vec[m->nr];

		v->control = MSIX_ENTRY_MASKED;
		v->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (v->eventfd < 0) {
			int ret = -errno;

			pci_msix_fini(d);
			return hv_err_set(err, ret, "%s: no eventfds for %u interrupt vectors: %s",
					  d->name, vectors, strerror(-ret));
		}
	}
	cap = pci_dev_add_cap(d, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	if (cap < 0) {
		pci_msix_fini(d);
		return hv_err_set(err, cap, "%s: no room for capabilities", d->name);
	}
	m->cap = (unsigned int)cap;
	memcpy(&d->config[m->cap + PCI_MSIX_FLAGS], &flags, sizeof(flags));
	memcpy(&d->wmask[m->cap + PCI_MSIX_FLAGS], &flags_mask, sizeof(flags_mask));
	memcpy(&d->config[m->cap + PCI_MSIX_TABLE], &table, sizeof(table));
	memcpy(&d->config[m->cap + PCI_MSIX_PBA], &pba, sizeof(pba));
	return 0;
}

void pci_msix_fini(struct pci_dev *d)
{
	struct pci_msix *m = d->msix;

	if (!m)
		return;
	d->msix = NULL;
	for (unsigned int i = 0; i < m->nr; i++) {
		struct msix_vector *v = &m->vec[i];

		msix_detach(m, v);
		if (v->routed)
			hvm_msi_route_del(m->vm, &v->route);
		close(v->eventfd);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- Table and pending bits ---- */

static uint32_t msix_get_dword(const struct msix_vector *v, unsigned int i)
{
	switch (i) {
	case 0:
		return (uint32_t)v->addr;
	case 1:
		return (uint32_t)(v->addr >> 32);
	case 2:
		return v->data;
	default:
		return v->control;
	}
}

static void msix_set_dword(struct msix_vector *v, unsigned int i, uint32_t value)
{
	switch (i) {
	case 0:
		v->addr = (v->addr & ~0xffffffffULL) | (value & ~3u);
		break;
	case 1:
		v->addr = (v->addr & 0xffffffffULL) | (uint64_t)value << 32;
		break;
	case 2:
		v->data = value;
		break;
	default:
		v->control = value & MSIX_ENTRY_MASKED;
		break;
	}
}

static bool msix_access_ok(uint64_t off, unsigned int size, uint64_t limit)
{
	return (size == 4 || size == 8) && !(off & (size - 1)) && off < limit &&
	       size <= limit - off;
}

uint64_t pci_msix_table_read(struct pci_dev *d, uint64_t off, unsigned int size)
{
	struct pci_msix *m = d->msix;
	uint64_t value = 0;

	if (!msix_access_ok(off, size, (uint64_t)m->nr * MSIX_ENTRY_SIZE))
		return 0;
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < size / 4; i++) {
		const struct msix_vector *v = &m->vec[off / MSIX_ENTRY_SIZE];

		value |= (uint64_t)msix_get_dword(v, off % MSIX_ENTRY_SIZE / 4 + i) << (32 * i);
	}
	pthread_mutex_unlock(&m->lock);
	return value;
}

void pci_msix_table_write(struct pci_dev *d, uint64_t off, unsigned int size, uint64_t value)
{
	struct pci_msix *m = d->msix;

	if (!msix_access_ok(off, size, (uint64_t)m->nr * MSIX_ENTRY_SIZE))
		return;
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < size / 4; i++)
		msix_set_dword(&m->vec[off / MSIX_ENTRY_SIZE], off % MSIX_ENTRY_SIZE / 4 + i,
			       (uint32_t)(value >> (32 * i)));
	msix_update_vector(m, (unsigned int)(off / MSIX_ENTRY_SIZE));
	pthread_mutex_unlock(&m->lock);
}

static bool msix_signalled(const struct msix_vector *v)
{
	struct pollfd p = { .fd = v->eventfd, .events = POLLIN };

	return !v->attached && poll(&p, 1, 0) == 1;
}

uint64_t pci_msix_pba_read(struct pci_dev *d, uint64_t off, unsigned int size)
{
	struct pci_msix *m = d->msix;
	uint64_t value = 0;

	/* The pending bits are a whole number of quadwords. */
	if (!msix_access_ok(off, size, (m->nr + 63) / 64 * 8))
		return 0;
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < 8 * size; i++) {
		uint64_t n = off * 8 + i;

		if (n < m->nr && msix_signalled(&m->vec[n]))
			value |= 1ULL << i;
	}
	pthread_mutex_unlock(&m->lock);
	return value;
}

/* ---- Use ---- */

unsigned int pci_msix_vectors(const struct pci_dev *d)
{
	return d->msix ? d->msix->nr : 0;
}

bool pci_msix_enabled(const struct pci_dev *d)
{
	return d->msix && atomic_load(&d->msix->enabled);
}

void pci_msix_fire(struct pci_dev *d, unsigned int n)
{
	uint64_t one = 1;

	if (n >= pci_msix_vectors(d))
		return;
	/* A full counter (EAGAIN) is pending already. */
	while (write(d->msix->vec[n].eventfd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int pci_msix_eventfd(const struct pci_dev *d, unsigned int n)
{
	return n < pci_msix_vectors(d) ? d->msix->vec[n].eventfd : -1;
}

void pci_msix_config_written(struct pci_dev *d)
{
	struct pci_msix *m = d->msix;
	bool enabled, masked;
	uint16_t flags;

	memcpy(&flags, &d->config[m->cap + PCI_MSIX_FLAGS], sizeof(flags));
	enabled = flags & PCI_MSIX_FLAGS_ENABLE;
	masked = flags & PCI_MSIX_FLAGS_MASKALL;
	pthread_mutex_lock(&m->lock);
	if (enabled != atomic_load(&m->enabled) || masked != m->masked) {
		atomic_store(&m->enabled, enabled);
		m->masked = masked;
		msix_update_all(m);
	}
	pthread_mutex_unlock(&m->lock);
}

static void msix_drain(struct msix_vector *v)
{
	uint64_t n;

	/* Usually there is nothing to take (EAGAIN). */
	while (read(v->eventfd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

void pci_msix_reset(struct pci_dev *d)
{
	struct pci_msix *m = d->msix;

	pthread_mutex_lock(&m->lock);
	atomic_store(&m->enabled, false);
	m->masked = false;
	m->logged = false;
	for (unsigned int i = 0; i < m->nr; i++) {
		struct msix_vector *v = &m->vec[i];

		msix_detach(m, v);
		if (v->routed)
			hvm_msi_route_del(m->vm, &v->route);
		v->routed = false;
		v->addr = 0;
		v->data = 0;
		v->control = MSIX_ENTRY_MASKED;
		msix_drain(v);
	}
	pthread_mutex_unlock(&m->lock);
}

/* ---- State; message control is part of the configuration space ---- */

/*
 * A message that was fired may still be on its way inside the kernel, and would be in nobody's
 * state. Detaching waits for it.
 */
static void msix_settle(struct pci_msix *m)
{
	for (unsigned int i = 0; i < m->nr; i++) {
		if (!m->vec[i].attached)
			continue;
		msix_detach(m, &m->vec[i]);
		msix_update_vector(m, i);
	}
}

void pci_msix_save(struct pci_dev *d, struct hv_state_writer *w)
{
	struct pci_msix *m = d->msix;

	pthread_mutex_lock(&m->lock);
	msix_settle(m);
	hv_state_begin(w, "pci-msix", MSIX_STATE_VERSION);
	hv_state_put_u16(w, (uint16_t)m->nr);
	for (unsigned int i = 0; i < m->nr; i++) {
		hv_state_put_u64(w, m->vec[i].addr);
		hv_state_put_u32(w, m->vec[i].data);
		hv_state_put_u8(w, (uint8_t)m->vec[i].control);
		hv_state_put_u8(w, msix_signalled(&m->vec[i]));
	}
	hv_state_end(w);
	pthread_mutex_unlock(&m->lock);
}

int pci_msix_load(struct pci_dev *d, struct hv_state_reader *r, struct hv_err *err)
{
	struct pci_msix *m = d->msix;
	int ret = hv_state_open(r, "pci-msix", MSIX_STATE_VERSION, err);
	unsigned int nr;

	if (ret < 0)
		return ret;
	nr = hv_state_get_u16(r);
	if (nr != m->nr)
		return hv_err_set(err, -EINVAL, "%s: the state has %u interrupt vectors, the device %u",
				  d->name, nr, m->nr);
	pthread_mutex_lock(&m->lock);
	for (unsigned int i = 0; i < nr; i++) {
		m->vec[i].addr = hv_state_get_u64(r) & ~3ULL;
		m->vec[i].data = hv_state_get_u32(r);
		m->vec[i].control = hv_state_get_u8(r) & MSIX_ENTRY_MASKED;
		if (hv_state_get_u8(r))
			pci_msix_fire(d, i);
	}
	pthread_mutex_unlock(&m->lock);
	return hv_state_close(r, err);
}
