// SPDX-License-Identifier: GPL-2.0-or-later
/* The devices of a machine; see devices.h. */
#include "devices.h"

#include <errno.h>
#include <semaphore.h>
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
#include "../virtio-backends/vhost_user.h"
#include "../virtio-backends/vsock.h"
#include "boot/firmware.h"
#include "chipset/pci.h"
#include "chipset/pm.h"
#include "chipset/q35.h"
#include "chipset/rtc.h"
#include "chipset/serial.h"
#include "memory/layout.h"
#include "nic.h"
#include "server.h"

#define MAX_QUEUES	4	/* of a disk that nobody said a number for */
#define MAX_VIRTIO	(HVM_MAX_DISKS + HVM_MAX_NETS + HVM_MAX_FS + 5)
#define MAX_SERVERS	(HVM_MAX_DISKS + HVM_MAX_NETS + HVM_MAX_FS)

struct hvm_devices {
	const struct hvm_config *cfg;
	struct hvm_vm *vm;
	void (*balloon_changed)(void *opaque);
	void *opaque;
	struct hv_io_thread *io;	/* for all devices that have no thread of their own */

	struct hvm_chardev serial_dev, console_dev;
	struct hvm_escape_state escape[2];

	struct hvm_pm *pm;
	struct hvm_rtc *rtc;
	struct hvm_serial *serial;
	struct pci_host *pci;
	struct hvm_firmware *firmware;	/* NULL: a kernel is started directly */
	struct virtio_dev *console;	/* belongs to pci, as balloon does */
	struct virtio_dev *balloon;
	struct blk_image *image[HVM_MAX_DISKS];
	struct virtio_dev *disk[HVM_MAX_DISKS];	/* belong to pci */
	struct hvm_nic nic[HVM_MAX_NETS];
	struct virtio_dev *virtio[MAX_VIRTIO];	/* all of them */
	unsigned int nr_virtio;
	sem_t frozen, thawed;		/* see hvm_devices_freeze() */
	struct hvm_server server[MAX_SERVERS];	/* of those whose work other processes do */
	unsigned int nr_servers;
};

uint64_t hvm_devices_pci64_base(uint64_t mem)
{
	uint64_t end = hvm_ram_end(mem);

	return (end + HVM_PCI_MMIO64_ALIGN - 1) & ~(HVM_PCI_MMIO64_ALIGN - 1);
}

bool hvm_devices_need_shared_mem(const struct hvm_config *cfg)
{
	bool need = cfg->nr_fs;

	for (unsigned int i = 0; i < cfg->nr_disks; i++)
		need |= cfg->disk[i].backend != HVM_BACKEND_INSIDE;
	for (unsigned int i = 0; i < cfg->nr_nets; i++)
		need |= cfg->net[i].kind == HVM_NET_VHOST_USER ||
			cfg->net[i].backend != HVM_BACKEND_INSIDE;
	return need;
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
	struct pci_host_config cfg = {
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
	int ret;

	if (!d->cfg->firmware.given)
		return pci_host_create(&cfg, &d->pci, err);
	/* Firmware has its own idea of where ECAM is. */
	cfg.ecam_base = 0;
	cfg.bridge = hvm_q35_bridge_create(err);
	if (!cfg.bridge)
		return -ENOMEM;
	ret = pci_host_create(&cfg, &d->pci, err);
	if (ret) {
		cfg.bridge->ops->destroy(cfg.bridge);
		return ret;
	}
	return hvm_q35_lpc_add(d->pci, d->vm->pio, err);
}

static int create_firmware(struct hvm_devices *d, struct hv_err *err)
{
	const struct hvm_firmware_params params = {
		.cfg = d->cfg, .vm = d->vm, .pci = d->pci,
		.pci64_base = hvm_devices_pci64_base(d->cfg->mem),
		.pci64_size = HVM_PCI_MMIO64_SIZE,
	};

	if (!d->cfg->firmware.given)
		return 0;
	return hvm_firmware_create(&params, &d->firmware, err);
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

static unsigned int disk_queues(const struct hvm_devices *d, const struct hvm_disk_config *disk)
{
	if (disk->queues)
		return disk->queues;
	return d->cfg->cpus < MAX_QUEUES ? d->cfg->cpus : MAX_QUEUES;
}

/* A disk that another process serves. */
static int create_served_disk(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	const struct hvm_disk_config *disk = &d->cfg->disk[n];
	struct hvm_server *s = &d->server[d->nr_servers++];
	char id[16], *spec;
	const struct vhost_user_dev_config cfg = {
		.id = id, .connect = hvm_server_connect, .opaque = s,
		.queues = disk_queues(d, disk),
	};
	struct virtio_dev *dev;
	int ret = 0;

	snprintf(id, sizeof(id), "blk%u", n);
	if (disk->backend == HVM_BACKEND_SOCKET) {
		hvm_server_init_socket(s, id, disk->socket);
	} else if (asprintf(&spec, "%s%s", disk->spec, disk->queues ? "" : ",queues=4") < 0) {
		ret = hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	} else {
		ret = hvm_server_init_backend(s, id, "blk", spec, NULL, err);
		free(spec);
	}
	if (!ret)
		ret = vhost_user_blk_create(&cfg, &dev, err);
	return ret ? ret : add_virtio(d, dev, err);
}

static int open_image(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	const struct hvm_disk_config *disk = &d->cfg->disk[n];
	const struct blk_open_opts opts = {
		.filename = disk->path, .format = disk->format, .readonly = disk->readonly,
	};

	return blk_open(&opts, &d->image[n], err);
}

static int create_disk(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	const struct hvm_disk_config *disk = &d->cfg->disk[n];
	char id[16];
	struct virtio_blk_config cfg = {
		.queues = disk_queues(d, disk), .one_thread = disk->one_thread,
		.on_error = disk->on_error, .stopped = disk_stopped, .opaque = d,
		.limit_iops = disk->limit_iops, .limit_bytes = disk->limit_bytes, .id = id,
	};
	struct virtio_dev *dev;
	int ret;

	if (disk->backend != HVM_BACKEND_INSIDE)
		return create_served_disk(d, n, err);
	ret = open_image(d, n, err);
	if (ret)
		return ret;
	snprintf(id, sizeof(id), "blk%u", n);
	cfg.img = d->image[n];
	ret = virtio_blk_create(&cfg, &dev, err);
	if (!ret)
		ret = add_virtio(d, dev, err);
	if (!ret)
		d->disk[n] = dev;
	return ret;
}

static int create_served_nic(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	const struct hvm_net_config *net = &d->cfg->net[n];
	struct hvm_server *s = &d->server[d->nr_servers++];
	char id[16];
	const struct vhost_user_dev_config cfg = {
		.id = id, .connect = hvm_server_connect, .opaque = s,
	};
	struct virtio_dev *dev;
	uint8_t mac[6];
	int ret = 0;

	snprintf(id, sizeof(id), "net%u", n);
	hvm_nic_mac(net, d->cfg->name, n, mac);
	if (net->kind == HVM_NET_VHOST_USER)
		hvm_server_init_socket(s, id, net->socket);
	else
		ret = hvm_server_init_backend(s, id, "net", net->spec, d->cfg->name, err);
	if (!ret)
		ret = vhost_user_net_create(&cfg, mac, &dev, err);
	return ret ? ret : add_virtio(d, dev, err);
}

static int create_nic(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	const struct hvm_net_config *net = &d->cfg->net[n];
	struct virtio_dev *dev;
	int ret;

	if (net->kind == HVM_NET_VHOST_USER || net->backend == HVM_BACKEND_PROCESS)
		return create_served_nic(d, n, err);
	ret = hvm_nic_create(&d->nic[n], net, d->cfg->name, n, &dev, err);

	return ret ? ret : add_virtio(d, dev, err);
}

static int create_fs(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	const struct hvm_fs_config *fs = &d->cfg->fs[n];
	struct hvm_server *s = &d->server[d->nr_servers++];
	char id[16];
	const struct vhost_user_dev_config cfg = {
		.id = id, .connect = hvm_server_connect, .opaque = s,
	};
	struct virtio_dev *dev;
	int ret = 0;

	snprintf(id, sizeof(id), "fs%u", n);
	if (fs->socket)
		hvm_server_init_socket(s, id, fs->socket);
	else
		ret = hvm_server_init_virtiofsd(s, id, fs->server, fs->dir, d->cfg->name, err);
	if (!ret)
		ret = vhost_user_fs_create(&cfg, fs->tag, &dev, err);
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
		.changed = d->balloon_changed, .opaque = d->opaque,
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
	if (!ret)
		ret = create_firmware(d, err);
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
	for (unsigned int i = 0; i < d->cfg->nr_fs && !ret; i++)
		ret = create_fs(d, i, err);
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
	d->balloon_changed = cfg->balloon_changed;
	d->opaque = cfg->opaque;
	d->serial_dev = d->console_dev = none;
	sem_init(&d->frozen, 0, 0);
	sem_init(&d->thawed, 0, 0);
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
	/* Before the PCI host, which it asks. */
	int ret = hvm_firmware_destroy(d->firmware, err);

	if (d->pci)
		pci_host_destroy(d->pci);
	for (unsigned int i = 0; i < d->nr_servers; i++)
		hvm_server_destroy(&d->server[i]);
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
	sem_destroy(&d->frozen);
	sem_destroy(&d->thawed);
	free(d);
	return ret;
}

int hvm_devices_load_firmware(struct hvm_devices *d, struct hv_err *err)
{
	return hvm_firmware_reset(d->firmware, err);
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

int hvm_devices_close_disk(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	int ret;

	if (!d->image[n])
		return 0;
	virtio_blk_detach(d->disk[n]);
	ret = blk_close(d->image[n]);
	d->image[n] = NULL;
	return ret ? hv_err_set(err, ret, "%s: cannot be flushed: %s", d->cfg->disk[n].path,
				strerror(-ret)) : 0;
}

int hvm_devices_open_disk(struct hvm_devices *d, unsigned int n, struct hv_err *err)
{
	int ret;

	if (d->image[n])
		return 0;
	ret = open_image(d, n, err);
	if (ret)
		return ret;
	ret = virtio_blk_attach(d->disk[n], d->image[n], err);
	if (ret) {
		blk_close(d->image[n]);
		d->image[n] = NULL;
	}
	return ret;
}

uint64_t hvm_devices_disk_size(const struct hvm_devices *d, unsigned int n)
{
	return blk_size(d->image[n]);
}

/* ---- State ---- */

static void devices_stand(void *opaque)
{
	struct hvm_devices *d = opaque;

	sem_post(&d->frozen);
	while (sem_wait(&d->thawed) < 0 && errno == EINTR)
		;
}

int hvm_devices_freeze(struct hvm_devices *d, struct hv_err *err)
{
	int ret = hv_loop_post(hv_io_thread_loop(d->io), devices_stand, d);

	if (ret)
		return hv_err_set(err, ret, "devices: out of memory");
	while (sem_wait(&d->frozen) < 0 && errno == EINTR)
		;
	return 0;
}

void hvm_devices_thaw(struct hvm_devices *d)
{
	sem_post(&d->thawed);
}

void hvm_devices_save(struct hvm_devices *d, struct hv_state_writer *w)
{
	pci_host_save(d->pci, w);
	hvm_pm_save(d->pm, w);
	hvm_rtc_save(d->rtc, w);
	hvm_serial_save(d->serial, w);
	if (d->firmware)
		hvm_firmware_save(d->firmware, w);
}

int hvm_devices_load(struct hvm_devices *d, struct hv_state_reader *r, uint64_t elapsed_ns,
		     struct hv_err *err)
{
	int ret;

	/* Devices that are loaded need the thread. */
	for (unsigned int i = 0; i < d->nr_virtio; i++)
		virtio_dev_pause(d->virtio[i]);
	ret = pci_host_load(d->pci, r, err);
	if (!ret)
		ret = hvm_devices_freeze(d, err);
	if (ret)
		return ret;
	ret = hvm_pm_load(d->pm, r, err);
	hvm_pm_advance(d->pm, elapsed_ns);
	if (!ret)
		ret = hvm_rtc_load(d->rtc, r, err);
	if (!ret)
		ret = hvm_serial_load(d->serial, r, err);
	if (!ret && d->firmware)
		ret = hvm_firmware_load(d->firmware, r, err);
	if (ret)
		hvm_devices_thaw(d);
	return ret;
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

struct stat_context {
	struct hvm_stat stat;
	hvm_stat_fn fn;
	void *opaque;
};

static void device_stat(void *opaque, const char *name, uint64_t value)
{
	struct stat_context *c = opaque;

	c->stat.name = name;
	c->stat.value = value;
	c->fn(c->opaque, &c->stat);
}

void hvm_devices_stats(const struct hvm_devices *d, hvm_stat_fn fn, void *opaque)
{
	for (unsigned int i = 0; i < d->nr_virtio; i++) {
		struct stat_context c = {
			.stat = { .scope = HVM_STAT_DEVICE, .id = d->virtio[i]->id },
			.fn = fn, .opaque = opaque,
		};

		virtio_dev_stats(d->virtio[i], device_stat, &c);
	}
}

const struct blk_image *hvm_devices_image(const struct hvm_devices *d, unsigned int disk)
{
	return d->image[disk];
}

struct virtio_dev *hvm_devices_balloon(const struct hvm_devices *d)
{
	return d->balloon;
}

/* ---- Disks ---- */

static int find_disk(const struct hvm_devices *d, const char *id, unsigned int *n,
		     struct hv_err *err)
{
	char name[16];

	for (*n = 0; *n < d->cfg->nr_disks; (*n)++) {
		snprintf(name, sizeof(name), "blk%u", *n);
		if (strcmp(name, id))
			continue;
		if (d->image[*n])
			return 0;
		return hv_err_set(err, -EBUSY, "%s: %s", id, d->disk[*n] ? "the guest is being saved" :
				  "another process serves this disk");
	}
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
