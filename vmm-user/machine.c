// SPDX-License-Identifier: GPL-2.0-or-later
/* A machine's life; see machine.h. What it is made of is in devices.c. */
#include "machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "../virtio-backends/loop.h"
#include "../virtio-backends/util/log.h"
#include "boot/boot.h"
#include "chipset/acpi.h"
#include "control/server.h"
#include "devices.h"
#include "memory/layout.h"
#include "vcpu.h"

struct hvm_machine {
	struct hvm_config cfg;
	struct hvm_vm vm;
	bool vm_created;
	struct hvm_devices *devices;
	struct hvm_control *control;
	struct hv_loop *loop;		/* of the thread that runs the machine */
	struct hv_loop_fd *signal_watch;
	int signal_fd;
	uint64_t started_ns;

	/* What happened; any thread may report it, the loop acts on it. */
	pthread_mutex_t lock;
	bool pending;
	enum hvm_event event;
	char msg[512];

	bool paused;			/* by hvm_machine_pause() */
	bool io_error;			/* and that because of a disk */
	enum hvm_status status;
	struct hv_err *err;		/* of hvm_machine_run() */
};

/* ---- Power-on ---- */

/* Fill memory and registers as firmware would, and let the first vCPU begin. */
static int machine_boot(struct hvm_machine *m, struct hv_err *err)
{
	const struct hvm_acpi_config acpi = {
		.cpus = m->cfg.cpus,
		.pci64_base = hvm_devices_pci64_base(m->cfg.mem),
		.pci64_size = HVM_PCI_MMIO64_SIZE,
	};
	struct hvm_boot_config boot = {
		.kernel = m->cfg.kernel,
		.initrd = m->cfg.initrd,
		.cmdline = m->cfg.append ? m->cfg.append : "",
		.ram = &m->vm.ram,
	};
	struct hvm_boot_regs regs;
	int ret = hvm_acpi_write(&acpi, &m->vm.ram.mem, &boot.rsdp, err);

	if (!ret)
		ret = hvm_boot_load(&boot, &regs, err);
	if (!ret)
		ret = hvm_vcpu_set_boot_regs(m->vm.vcpu[0], &regs, err);
	return ret;
}

static int machine_reset(struct hvm_machine *m, struct hv_err *err)
{
	int ret;

	hvm_devices_reset(m->devices);
	ret = hvm_vm_reset(&m->vm, err);
	return ret ? ret : machine_boot(m, err);
}

/* ---- Events ---- */

static void machine_end(struct hvm_machine *m, enum hvm_status status, const char *msg)
{
	m->status = status;
	if (msg)
		hv_err_set(m->err, -EIO, "%s", msg);
	hv_loop_stop(m->loop);
}

void hvm_machine_pause(struct hvm_machine *m)
{
	hvm_vm_pause(&m->vm);
	hvm_devices_pause(m->devices);
	m->paused = true;
}

void hvm_machine_resume(struct hvm_machine *m)
{
	m->paused = false;
	m->io_error = false;
	hvm_devices_resume(m->devices);
	hvm_vm_resume(&m->vm);
}

/* A disk's request waits until somebody resumes the machine; it is tried again then. */
static void machine_io_error(struct hvm_machine *m, const char *msg)
{
	bool again = m->io_error;

	hvm_machine_pause(m);
	m->io_error = true;
	/* Requests in flight may fail one after the other. */
	if (again)
		return;
	hv_log("%s waits: %s; \"hvm resume %s\" tries again", m->cfg.name, msg, m->cfg.name);
}

static void machine_restart(struct hvm_machine *m)
{
	struct hv_err err = { 0 };

	if (m->cfg.no_reboot) {
		machine_end(m, HVM_STATUS_RESET, "the guest asked for a reset");
		return;
	}
	if (machine_reset(m, &err)) {
		machine_end(m, HVM_STATUS_ERROR, err.msg);
		return;
	}
	hvm_machine_resume(m);
}

/* On the machine's loop: what happened, after all vCPUs have stopped. */
static void machine_handle_event(void *opaque)
{
	struct hvm_machine *m = opaque;
	enum hvm_event event;
	char msg[sizeof(m->msg)];

	hvm_vm_pause(&m->vm);
	pthread_mutex_lock(&m->lock);
	event = m->event;
	memcpy(msg, m->msg, sizeof(msg));
	m->pending = false;
	pthread_mutex_unlock(&m->lock);
	switch (event) {
	case HVM_EVENT_POWEROFF:
	case HVM_EVENT_QUIT:
		machine_end(m, HVM_STATUS_OK, NULL);
		break;
	case HVM_EVENT_RESET:
		machine_restart(m);
		break;
	case HVM_EVENT_IO_ERROR:
		machine_io_error(m, msg);
		break;
	case HVM_EVENT_CRASH:
		machine_end(m, HVM_STATUS_CRASH, msg);
		break;
	case HVM_EVENT_ERROR:
		machine_end(m, HVM_STATUS_ERROR, msg);
		break;
	}
}

/* The user's wish to end it goes before everything, then what the guest or the host did. */
static unsigned int event_rank(enum hvm_event event)
{
	switch (event) {
	case HVM_EVENT_QUIT:
		return 3;
	case HVM_EVENT_RESET:
		return 1;
	case HVM_EVENT_IO_ERROR:
		return 0;
	default:
		return 2;
	}
}

static void machine_event(void *opaque, enum hvm_event event, const char *msg)
{
	struct hvm_machine *m = opaque;
	bool first;

	pthread_mutex_lock(&m->lock);
	first = !m->pending;
	if (first || event_rank(event) > event_rank(m->event)) {
		m->pending = true;
		m->event = event;
		snprintf(m->msg, sizeof(m->msg), "%s", msg ? msg : "");
	}
	pthread_mutex_unlock(&m->lock);
	if (first && hv_loop_post(m->loop, machine_handle_event, m))
		hv_loop_stop(m->loop);	/* no memory to say it: end */
}

static void machine_signal(void *opaque, uint32_t events)
{
	struct hvm_machine *m = opaque;
	struct signalfd_siginfo si;
	uint16_t cols, rows;

	if (read(m->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo != SIGWINCH)
		hvm_machine_quit(m);
	else if (hvm_tty_size(&cols, &rows))
		hvm_devices_resize(m->devices, cols, rows);
}

/* All threads inherit the mask, so that only the loop sees these. */
static int machine_watch_signals(struct hvm_machine *m, struct hv_err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0)
		return hv_err_set(err, -errno, "signalfd: %s", strerror(errno));
	m->signal_watch = hv_loop_add_fd(m->loop, m->signal_fd, EPOLLIN, machine_signal, m);
	if (!m->signal_watch)
		return hv_err_set(err, -errno, "event loop: %s", strerror(errno));
	return 0;
}

/* ---- Escape keys ---- */

static void machine_help(struct hvm_machine *m)
{
	hv_log("%s: Ctrl-A x ends the guest at once, p pushes its power button, r resets it, "
	       "b sends a break, Ctrl-A sends Ctrl-A", m->cfg.name);
}

static void machine_escape(void *opaque, enum hvm_escape key)
{
	struct hvm_machine *m = opaque;

	switch (key) {
	case HVM_ESCAPE_QUIT:
		hvm_machine_quit(m);
		break;
	case HVM_ESCAPE_HELP:
		machine_help(m);
		break;
	case HVM_ESCAPE_POWER:
		if (!hvm_machine_power_button(m))
			hv_log("%s does not listen to its power button", m->cfg.name);
		break;
	case HVM_ESCAPE_RESET:
		hvm_vm_notify(&m->vm, HVM_EVENT_RESET, NULL);
		break;
	case HVM_ESCAPE_BREAK:
		hvm_devices_send_break(m->devices);
		break;
	}
}

/* ---- For control/ ---- */

void hvm_machine_info(struct hvm_machine *m, struct hvm_machine_info *info)
{
	*info = (struct hvm_machine_info){
		.name = m->cfg.name,
		.status = m->io_error ? "io-error" :
			  atomic_load(&m->vm.pause) ? "paused" : "running",
		.cpus = m->cfg.cpus,
		.mem = m->cfg.mem,
		.uptime_ms = (hv_loop_now_ns() - m->started_ns) / 1000000,
		.serial = hvm_devices_serial_path(m->devices),
		.console = hvm_devices_console_path(m->devices),
	};
}

bool hvm_machine_power_button(struct hvm_machine *m)
{
	return hvm_devices_power_button(m->devices);
}

/* NULL and a message: the guest has none. */
static struct virtio_dev *machine_get_balloon(struct hvm_machine *m, struct hv_err *err)
{
	struct virtio_dev *balloon = hvm_devices_balloon(m->devices);

	if (!balloon)
		hv_err_set(err, -ENODEV, "it has no balloon; run it with --balloon");
	return balloon;
}

int hvm_machine_balloon(struct hvm_machine *m, uint64_t bytes, struct hv_err *err)
{
	struct virtio_dev *balloon = machine_get_balloon(m, err);

	if (!balloon)
		return -ENODEV;
	if (bytes < HVM_MEM_MIN || bytes > m->cfg.mem)
		return hv_err_set(err, -EINVAL, "it can keep %llu to %llu MiB", HVM_MEM_MIN >> 20,
				  (unsigned long long)m->cfg.mem >> 20);
	virtio_balloon_set_target(balloon, m->cfg.mem - bytes);
	return 0;
}

int hvm_machine_balloon_info(struct hvm_machine *m, struct virtio_balloon_info *info,
			     struct hv_err *err)
{
	struct virtio_dev *balloon = machine_get_balloon(m, err);

	if (!balloon)
		return -ENODEV;
	virtio_balloon_info(balloon, info);
	/* What the guest says can be anything. */
	if (info->actual > m->cfg.mem)
		info->actual = m->cfg.mem;
	virtio_balloon_poll_stats(balloon);
	return 0;
}

int hvm_machine_balloon_trim(struct hvm_machine *m, struct hv_err *err)
{
	struct virtio_dev *balloon = machine_get_balloon(m, err);
	int ret = balloon ? virtio_balloon_trim(balloon) : -ENODEV;

	if (ret == -EBUSY)
		hv_err_set(err, ret, "it is giving free memory back already");
	else if (ret == -ENOTSUP)
		hv_err_set(err, ret, "its driver does not say which memory is free");
	return ret;
}

int hvm_machine_disk_resize(struct hvm_machine *m, const char *disk, uint64_t size,
			    struct hv_err *err)
{
	return hvm_devices_disk_resize(m->devices, disk, size, err);
}

int hvm_machine_disk_overlay(struct hvm_machine *m, const char *disk, const char *file,
			     struct hv_err *err)
{
	return hvm_devices_disk_overlay(m->devices, disk, file, err);
}

int hvm_machine_disk_snapshot(struct hvm_machine *m, const char *disk, enum blk_snapshot_op op,
			      const char *name, struct hv_err *err)
{
	return hvm_devices_disk_snapshot(m->devices, disk, op, name, err);
}

void hvm_machine_quit(struct hvm_machine *m)
{
	hvm_vm_notify(&m->vm, HVM_EVENT_QUIT, NULL);
}

/* ---- Life ---- */

static int machine_init(struct hvm_machine *m, struct hv_err *err)
{
	const struct hvm_vm_config vm = {
		.accel = m->cfg.accel,
		.cpus = m->cfg.cpus,
		.mem = m->cfg.mem,
		.event = machine_event,
		.opaque = m,
	};
	const struct hvm_devices_config devices = {
		.cfg = &m->cfg, .vm = &m->vm, .escape = machine_escape, .opaque = m,
	};
	int ret = hv_loop_create(&m->loop);

	if (ret)
		return hv_err_set(err, ret, "event loop: %s", strerror(-ret));
	ret = machine_watch_signals(m, err);
	/* The name first: it says most clearly that a guest runs already. */
	if (!ret)
		ret = hvm_control_create(m, m->cfg.name, m->loop, &m->control, err);
	if (!ret)
		ret = hvm_vm_create(&m->vm, &vm, err);
	if (ret)
		return ret;
	m->vm_created = true;
	ret = hvm_devices_create(&devices, &m->devices, err);
	if (!ret)
		ret = machine_boot(m, err);
	return ret;
}

int hvm_machine_create(const struct hvm_config *cfg, struct hvm_machine **res, struct hv_err *err)
{
	struct hvm_machine *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return hv_err_set(err, -ENOMEM, "out of memory");
	m->cfg = *cfg;
	m->signal_fd = -1;
	m->started_ns = hv_loop_now_ns();
	pthread_mutex_init(&m->lock, NULL);
	ret = machine_init(m, err);
	if (ret) {
		hvm_machine_destroy(m, NULL);
		return ret;
	}
	*res = m;
	return 0;
}

enum hvm_status hvm_machine_run(struct hvm_machine *m, struct hv_err *err)
{
	int ret;

	m->err = err;
	if (hvm_vm_start(&m->vm, err))
		return HVM_STATUS_USAGE;
	m->started_ns = hv_loop_now_ns();
	hvm_control_start(m->control);
	hvm_vm_resume(&m->vm);
	m->status = HVM_STATUS_ERROR;
	ret = hv_loop_run(m->loop);
	if (ret)
		hv_err_set(err, ret, "event loop: %s", strerror(-ret));
	return m->status;
}

int hvm_machine_destroy(struct hvm_machine *m, struct hv_err *err)
{
	int ret = 0;

	if (m->vm_created)
		hvm_vm_stop(&m->vm);
	if (m->devices)
		ret = hvm_devices_destroy(m->devices, err);
	/* The name is free when the disks are. */
	hvm_control_destroy(m->control);
	if (m->vm_created)
		hvm_vm_destroy(&m->vm);
	if (m->signal_watch)
		hv_loop_del_fd(m->signal_watch);
	if (m->signal_fd >= 0)
		close(m->signal_fd);
	if (m->loop)
		hv_loop_destroy(m->loop);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return ret;
}
