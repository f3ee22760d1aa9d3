// SPDX-License-Identifier: GPL-2.0-or-later
/* The devices of a machine; see devices.h. */
#include "devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../virtio-backends/balloon.h"
#include "../virtio-backends/blk.h"
#include "../virtio-backends/console.h"
#include "../virtio-backends/io_thread.h"
#include "../virtio-backends/ports.h"
#include "../virtio-backends/rng.h"
#include "../virtio-backends/transport/pci.h"
#include "../virtio-backends/util/log.h"
#include "../virtio-backends/vsock.h"
#include "chipset/pci.h"
#include "chipset/pm.h"
#include "chipset/rtc.h"
#include "chipset/serial.h"
#include "memory/layout.h"
#include "nic.h"

#define MAX_QUEUES	4	/* of a disk that nobody said a number for */
#define MAX_VIRTIO	(HVM_MAX_DISKS + HVM_MAX_NETS + 5)

struct hvm_devices {
	const struct hvm_config *cfg;
	struct hvm_vm *vm;
	struct hv_io_thread *io;	/* for all devices that have no thread of their own */

	struct hvm_chardev serial_dev, console_dev;
	struct hvm_escape_state escape[2];

	struct hvm_pm *pm;
	struct hvm_rtc *rtc;
	struct hvm_serial *serial;
	struct pci_host *pci;
	struct virtio_dev *console;	/* belongs to pci, as balloon does */
	struct virtio_dev *balloon;
	struct blk_image *image[HVM_MAX_DISKS];
	struct virtio_dev *disk[HVM_MAX_DISKS];	/* belong to pci */
	struct hvm_nic nic[HVM_MAX_NETS];
	struct virtio_dev *virtio[MAX_VIRTIO];	/* all of them */
	unsigned int nr_virtio;
};

uint64_t hvm_devices_pci64_base(uint64_t mem)
{
	uint64_t end = hvm_ram_end(mem);

	return (end + HVM_PCI_MMIO64_ALIGN - 1) & ~(HVM_PCI_MMIO64_ALIGN - 1);
}

/* ---- Chipset ---- */

static int create_chipset(struct hvm_devices *d, struct hv_err *err)
{
	const struct hvm_rtc_config rtc = {
		.vm = d->vm, .pio = d->vm->pio, .port = HVM_PORT_RTC, .gsi = HVM_GSI_RTC,
		.loop = hv_io_thread_loop(d->io),
	};
	int ret = hvm_pm_create(d->vm, &d->pm, err);

	return ret ? ret : hvm_rtc_create(&rtc, &d->rtc, err);
}

static int create_serial(struct hvm_devices *d, struct hv_err *err)
{
	struct hvm_serial_config cfg = {
		.vm = d->vm,
		.pio = d->vm->pio,
		.port = HVM_PORT_SERIAL,
		.gsi = HVM_GSI_SERIAL,
		.loop = hv_io_thread_loop(d->io),
	};
	int ret = hvm_chardev_open(&d->serial_dev, &d->cfg->serial, err);

	if (ret)
		return hv_err_prefix(err, "serial port");
	cfg.in_fd = d->serial_dev.in_fd;
	cfg.out_fd = d->serial_dev.out_fd;
	cfg.drop = d->serial_dev.kind == HVM_CHARDEV_PTY;
	if (d->serial_dev.kind == HVM_CHARDEV_STDIO) {
		cfg.filter = hvm_escape_filter;
		cfg.opaque = &d->escape[0];
	}
	ret = hvm_serial_create(&cfg, &d->serial, err);
	if (!ret && d->serial_dev.kind == HVM_CHARDEV_PTY)
		hv_log("serial port of %s: %s", d->cfg->name, d->serial_dev.pty_path);
	return ret;
}

static int create_pci_host(struct hvm_devices *d, struct hv_err *err)
{
	const struct pci_host_config cfg = {
		.vm = d->vm,
		.pio = d->vm->pio,
		.mmio = d->vm->mmio,
		.ecam_base = HVM_ECAM_BASE,
		.mmio_base = HVM_PCI_MMIO_BASE,
		.mmio_size = HVM_PCI_MMIO_SIZE,
		.mmio64_base = hvm_devices_pci64_base(d->cfg->mem),
		.mmio64_size = HVM_PCI_MMIO64_SIZE,
		.intx_gsi = { HVM_GSI_PCI, HVM_GSI_PCI + 1, HVM_GSI_PCI + 2, HVM_GSI_PCI + 3 },
		.cf9_ops = &hvm_pm_cf9_ops,
		.cf9_opaque = d->pm,
	};

	return pci_host_create(&cfg, &d->pci, err);
}

/* ---- Virtio devices ---- */

static int add_virtio(struct hvm_devices *d, struct virtio_dev *dev, struct hv_err *err)
{
	const struct virtio_pci_config cfg = {
		.host = d->pci, .vm = d->vm, .mem = &d->vm->ram.mem, .dev = dev, .slot = -1,
	};
	int ret = virtio_pci_create(&cfg, NULL, err);

	if (ret)
		virtio_dev_destroy(dev);
	else
		d->virtio[d->nr_virtio++] = dev;
	return ret;
}

static void disk_stopped(void *opaque, const char *id, int error)
{
	struct hvm_devices *d = opaque;

	hvm_vm_notify(d->vm, HVM_EVENT_IO_ERROR, "%s: %s", id, strerror(-error));
}

static int create_disk(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	const struct hvm_disk_config *disk = &d->cfg->disk[n];
	const struct blk_open_opts opts = {
		.filename = disk->path, .format = disk->format, .readonly = disk->readonly,
	};
	char id[16];
	struct virtio_blk_config cfg = {
		.queues = disk->queues, .one_thread = disk->one_thread,
		.on_error = disk->on_error, .stopped = disk_stopped, .opaque = d,
		.limit_iops = disk->limit_iops, .limit_bytes = disk->limit_bytes, .id = id,
	};
	struct virtio_dev *dev;
	int ret = blk_open(&opts, &d->image[n], err);

	if (ret)
		return ret;
	if (!cfg.queues)
		cfg.queues = d->cfg->cpus < MAX_QUEUES ? d->cfg->cpus : MAX_QUEUES;
	snprintf(id, sizeof(id), "blk%u", n);
	cfg.img = d->image[n];
	ret = virtio_blk_create(&cfg, &dev, err);
	if (!ret)
		ret = add_virtio(d, dev, err);
	if (!ret)
		d->disk[n] = dev;
	return ret;
}

static int create_nic(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	struct virtio_dev *dev;
	int ret = hvm_nic_create(&d->nic[n], &d->cfg->net[n], d->cfg->name, n, &dev, err);

	return ret ? ret : add_virtio(d, dev, err);
}

static int create_rng(struct hvm_devices *d, struct hv_err *err)
{
	const struct virtio_rng_config cfg = { .loop = hv_io_thread_loop(d->io), .id = "rng0" };
	struct virtio_dev *dev;
	int ret = virtio_rng_create(&cfg, &dev, err);

	return ret ? ret : add_virtio(d, dev, err);
}

static int create_balloon(struct hvm_devices *d, struct hv_err *err)
{
	const struct virtio_balloon_config cfg = {
		.loop = hv_io_thread_loop(d->io), .id = "balloon0",
	};
	int ret;

	if (!d->cfg->balloon)
		return 0;
	ret = virtio_balloon_create(&cfg, &d->balloon, err);
	if (!ret)
		ret = add_virtio(d, d->balloon, err);
	if (ret)
		d->balloon = NULL;
	return ret;
}

static int create_ports(struct hvm_devices *d, struct hv_err *err)
{
	struct virtio_port_config port[HVM_MAX_PORTS];
	const struct virtio_ports_config cfg = {
		.loop = hv_io_thread_loop(d->io), .nr = d->cfg->nr_ports, .port = port,
		.id = "ports0",
	};
	struct virtio_dev *dev;
	int ret;

	if (!cfg.nr)
		return 0;
	for (unsigned int i = 0; i < cfg.nr; i++)
		port[i] = (struct virtio_port_config){ d->cfg->port[i].name,
						       d->cfg->port[i].socket };
	ret = virtio_ports_create(&cfg, &dev, err);
	return ret ? ret : add_virtio(d, dev, err);
}

static int create_vsock(struct hvm_devices *d, struct hv_err *err)
{
	const struct virtio_vsock_config cfg = {
		.loop = hv_io_thread_loop(d->io), .cid = d->cfg->vsock.cid,
		.path = d->cfg->vsock.socket, .id = "vsock0",
	};
	struct virtio_dev *dev;
	int ret;

	if (!d->cfg->vsock.given)
		return 0;
	ret = virtio_vsock_create(&cfg, &dev, err);
	return ret ? ret : add_virtio(d, dev, err);
}

static int create_console(struct hvm_devices *d, struct hv_err *err)
{
	struct virtio_console_config cfg = { .loop = hv_io_thread_loop(d->io), .id = "console0" };
	uint16_t cols, rows;
	int ret;

	if (d->cfg->console.kind == HVM_CHARDEV_NONE)
		return 0;
	ret = hvm_chardev_open(&d->console_dev, &d->cfg->console, err);
	if (ret)
		return hv_err_prefix(err, "console");
	cfg.in_fd = d->console_dev.in_fd;
	cfg.out_fd = d->console_dev.out_fd;
	if (d->console_dev.kind == HVM_CHARDEV_STDIO) {
		cfg.filter = hvm_escape_filter;
		cfg.opaque = &d->escape[1];
	}
	ret = virtio_console_create(&cfg, &d->console, err);
	if (!ret)
		ret = add_virtio(d, d->console, err);
	if (ret) {
		d->console = NULL;
		return ret;
	}
	if (d->console_dev.kind == HVM_CHARDEV_STDIO && hvm_tty_size(&cols, &rows))
		virtio_console_resize(d->console, cols, rows);
	if (d->console_dev.kind == HVM_CHARDEV_PTY)
		hv_log("console of %s: %s", d->cfg->name, d->console_dev.pty_path);
	return 0;
}

/* ---- Life ---- */

static int create_all(struct hvm_devices *d, struct hv_err *err)
{
	int ret = hv_io_thread_start("hvm-io", &d->io);

	if (ret)
		return hv_err_set(err, ret, "I/O thread: %s", strerror(-ret));
	ret = create_chipset(d, err);
	if (!ret)
		ret = create_pci_host(d, err);
	/* Disks first, so that their slots do not depend on what else there is. */
	for (unsigned int i = 0; i < d->cfg->nr_disks && !ret; i++)
		ret = create_disk(d, i, err);
	for (unsigned int i = 0; i < d->cfg->nr_nets && !ret; i++)
		ret = create_nic(d, i, err);
	if (!ret)
		ret = create_rng(d, err);
	if (!ret)
		ret = create_balloon(d, err);
	if (!ret)
		ret = create_vsock(d, err);
	if (!ret)
		ret = create_console(d, err);
	if (!ret)
		ret = create_ports(d, err);
	/* Last, since it may take the terminal. */
	if (!ret)
		ret = create_serial(d, err);
	if (!ret)
		pci_host_reset(d->pci);
	return ret;
}

int hvm_devices_create(const struct hvm_devices_config *cfg, struct hvm_devices **res,
		       struct hv_err *err)
{
	struct hvm_devices *d = calloc(1, sizeof(*d));
	const struct hvm_chardev none = { .in_fd = -1, .out_fd = -1, .pty_slave = -1 };
	int ret;

	if (!d)
		return hv_err_set(err, -ENOMEM, "devices: out of memory");
	d->cfg = cfg->cfg;
	d->vm = cfg->vm;
	d->serial_dev = d->console_dev = none;
	for (unsigned int i = 0; i < 2; i++) {
		d->escape[i].fn = cfg->escape;
		d->escape[i].opaque = cfg->opaque;
	}
	ret = create_all(d, err);
	if (ret) {
		hvm_devices_destroy(d, NULL);
		return ret;
	}
	*res = d;
	return 0;
}

int hvm_devices_destroy(struct hvm_devices *d, struct hv_err *err)
{
	int ret = 0;

	if (d->pci)
		pci_host_destroy(d->pci);
	for (unsigned int i = 0; i < d->cfg->nr_nets; i++)
		hvm_nic_destroy(&d->nic[i]);
	hvm_serial_destroy(d->serial);
	hvm_rtc_destroy(d->rtc);
	hvm_pm_destroy(d->pm);
	hv_io_thread_stop(d->io);
	for (unsigned int i = 0; i < d->cfg->nr_disks; i++) {
		int r = d->image[i] ? blk_close(d->image[i]) : 0;

		if (r && !ret)
			ret = hv_err_set(err, r, "%s: cannot be flushed: %s", d->cfg->disk[i].path,
					 strerror(-r));
	}
	hvm_chardev_close(&d->console_dev);
	hvm_chardev_close(&d->serial_dev);
	free(d);
	return ret;
}

void hvm_devices_reset(struct hvm_devices *d)
{
	pci_host_reset(d->pci);
	hvm_serial_reset(d->serial);
	hvm_rtc_reset(d->rtc);
	hvm_pm_reset(d->pm);
}

/* ---- At run time ---- */

void hvm_devices_pause(struct hvm_devices *d)
{
	for (unsigned int i = 0; i < d->nr_virtio; i++)
		virtio_dev_pause(d->virtio[i]);
}

void hvm_devices_resume(struct hvm_devices *d)
{
	for (unsigned int i = 0; i < d->nr_virtio; i++)
		virtio_dev_resume(d->virtio[i]);
}

bool hvm_devices_power_button(struct hvm_devices *d)
{
	return hvm_pm_press_power_button(d->pm);
}

void hvm_devices_send_break(struct hvm_devices *d)
{
	hvm_serial_send_break(d->serial);
}

void hvm_devices_resize(struct hvm_devices *d, uint16_t cols, uint16_t rows)
{
	if (d->console && d->console_dev.kind == HVM_CHARDEV_STDIO)
		virtio_console_resize(d->console, cols, rows);
}

struct virtio_dev *hvm_devices_balloon(const struct hvm_devices *d)
{
	return d->balloon;
}

/* ---- Disks ---- */

static int find_disk(const struct hvm_devices *d, const char *id, unsigned int *n,
		     struct hv_err *err)
{
	for (*n = 0; *n < d->cfg->nr_disks; (*n)++)
		if (!strcmp(d->disk[*n]->id, id))
			return 0;
	return hv_err_set(err, -ENOENT, "it has no disk \"%s\"; the first is blk0", id);
}

int hvm_devices_disk_resize(struct hvm_devices *d, const char *id, uint64_t size,
			    struct hv_err *err)
{
	unsigned int n;
	int ret = find_disk(d, id, &n, err);
	bool paused;

	if (ret)
		return ret;
	/* Only this thread pauses and resumes. */
	paused = d->disk[n]->paused;
	if (!paused)
		virtio_dev_pause(d->disk[n]);
	ret = blk_resize(d->image[n], size, err);
	if (!ret)
		virtio_blk_resized(d->disk[n]);
	if (!paused)
		virtio_dev_resume(d->disk[n]);
	return ret;
}

int hvm_devices_disk_overlay(struct hvm_devices *d, const char *id, const char *file,
			     struct hv_err *err)
{
	unsigned int n;
	int ret = find_disk(d, id, &n, err);
	bool paused;

	if (ret)
		return ret;
	paused = d->disk[n]->paused;
	if (!paused)
		virtio_dev_pause(d->disk[n]);
	ret = blk_snapshot_external(&d->image[n], file, err);
	if (!ret)
		virtio_blk_set_image(d->disk[n], d->image[n]);
	if (!paused)
		virtio_dev_resume(d->disk[n]);
	return ret;
}

int hvm_devices_disk_snapshot(struct hvm_devices *d, const char *id, enum blk_snapshot_op op,
			      const char *name, struct hv_err *err)
{
	unsigned int n;
	int ret = find_disk(d, id, &n, err);

	if (!ret && op == BLK_SNAPSHOT_APPLY)
		ret = hv_err_set(err, -EBUSY, "%s is in use; a snapshot is applied when the guest is off",
				 id);
	return ret ? ret : blk_snapshot(d->image[n], op, name, err);
}

static const char *pty_path(const struct hvm_chardev *c)
{
	return c->kind == HVM_CHARDEV_PTY ? c->pty_path : NULL;
}

const char *hvm_devices_serial_path(const struct hvm_devices *d)
{
	return pty_path(&d->serial_dev);
}

const char *hvm_devices_console_path(const struct hvm_devices *d)
{
	return pty_path(&d->console_dev);
}
