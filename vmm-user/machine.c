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
#include "gdb/server.h"
#include "memory/layout.h"
#include "state/machine_state.h"
#include "state/saver.h"
#include "vcpu.h"

/* A guest that is saved waits so long for the command that saves it to say that it may end. */
#define SAVED_WAIT_NS	(10 * 1000000000ull)

struct hvm_machine {
	struct hvm_config cfg;
	struct hvm_vm vm;
	bool vm_created;
	struct hvm_devices *devices;
	struct hvm_control *control;
	struct hvm_gdb *gdb;
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

	struct hvm_saver saver;
	bool held;			/* it stands still until it is saved */
	bool resume_after;		/* if that fails */
	struct hv_loop_timer *saved_timer;

	bool debugged;			/* a debugger has halted it */
	atomic_bool balloon_told;	/* machine_balloon_changed() has been posted */
	enum hvm_status status;
	struct hv_err *err;		/* of hvm_machine_run() */
};

/* ---- Power-on ---- */

/* Fill memory and registers as firmware would, and let the first vCPU begin in the kernel. */
static int machine_boot_kernel(struct hvm_machine *m, struct hv_err *err)
{
	const struct hvm_acpi_config acpi = {
		.cpus = m->cfg.cpus,
		.ecam_base = HVM_ECAM_BASE,
		.mem32 = { { HVM_PCI_MMIO_BASE, HVM_PCI_MMIO_SIZE } },
		.mem64 = { hvm_devices_pci64_base(m->cfg.mem), HVM_PCI_MMIO64_SIZE },
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

/* A fresh vCPU stands at the reset vector, where firmware begins. */
static int machine_boot(struct hvm_machine *m, struct hv_err *err)
{
	return m->cfg.firmware.given ? hvm_devices_load_firmware(m->devices, err) :
				       machine_boot_kernel(m, err);
}

static int machine_reset(struct hvm_machine *m, struct hv_err *err)
{
	int ret;

	hvm_devices_reset(m->devices);
	ret = hvm_vm_reset(&m->vm, err);
	return ret ? ret : machine_boot(m, err);
}

/* ---- Events ---- */

/* @data: a new object, or NULL. */
static void machine_tell(struct hvm_machine *m, const char *event, json_t *data)
{
	hvm_control_event(m->control, event, data);
}

/* @cause: what ended or reset it, in the words of QMP. */
static json_t *cause_json(const char *cause)
{
	return json_pack("{s:b, s:s}", "guest", !strncmp(cause, "guest", 5), "reason", cause);
}

static void machine_end(struct hvm_machine *m, enum hvm_status status, const char *cause,
			const char *msg)
{
	machine_tell(m, "SHUTDOWN", cause_json(cause));
	m->status = status;
	if (msg)
		hv_err_set(m->err, -EIO, "%s", msg);
	hv_loop_stop(m->loop);
}

void hvm_machine_pause(struct hvm_machine *m)
{
	hvm_vm_pause(&m->vm);
	hvm_devices_pause(m->devices);
	if (!m->paused)
		machine_tell(m, "STOP", NULL);
	m->paused = true;
}

void hvm_machine_resume(struct hvm_machine *m)
{
	if (m->paused)
		machine_tell(m, "RESUME", NULL);
	m->paused = false;
	m->io_error = false;
	hvm_devices_resume(m->devices);
	if (!m->debugged)
		hvm_vm_resume(&m->vm);
}

void hvm_machine_debug_halt(struct hvm_machine *m)
{
	hvm_vm_pause(&m->vm);
	m->debugged = true;
}

void hvm_machine_debug_resume(struct hvm_machine *m)
{
	m->debugged = false;
	if (!m->paused)
		hvm_vm_resume(&m->vm);
}

/* @msg: the disk, a colon, and the error. */
static json_t *io_error_json(const char *msg)
{
	const char *colon = strstr(msg, ": ");
	int len = colon ? (int)(colon - msg) : (int)strlen(msg);

	return json_pack("{s:s#, s:s, s:s}", "device", msg, len, "action", "stop", "reason",
			 colon ? colon + 2 : msg);
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
	machine_tell(m, "BLOCK_IO_ERROR", io_error_json(msg));
	hv_log("%s waits: %s; \"hvm resume %s\" tries again", m->cfg.name, msg, m->cfg.name);
}

static void machine_restart(struct hvm_machine *m, const char *cause)
{
	struct hv_err err = { 0 };

	if (m->cfg.no_reboot) {
		machine_end(m, HVM_STATUS_RESET, cause, "the guest asked for a reset");
		return;
	}
	if (machine_reset(m, &err)) {
		machine_end(m, HVM_STATUS_ERROR, "host-error", err.msg);
		return;
	}
	machine_tell(m, "RESET", cause_json(cause));
	/* Who waits for a disk has nothing to wait for any more; who was paused stays so. */
	if (!m->paused || m->io_error)
		hvm_machine_resume(m);
}

static void machine_crash(struct hvm_machine *m, const char *msg)
{
	machine_tell(m, "GUEST_PANICKED",
		     json_pack("{s:s, s:s}", "action", "poweroff", "x-hv-reason", msg));
	machine_end(m, HVM_STATUS_CRASH, "guest-panic", msg);
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
		machine_end(m, HVM_STATUS_OK, "guest-shutdown", NULL);
		return;
	case HVM_EVENT_QUIT:
		machine_end(m, HVM_STATUS_OK, msg, NULL);
		return;
	case HVM_EVENT_RESET:
		if (!m->held)
			machine_restart(m, msg[0] ? msg : "guest-reset");
		break;
	case HVM_EVENT_IO_ERROR:
		machine_io_error(m, msg);
		break;
	case HVM_EVENT_DEBUG:
		break;		/* below: others may have been more important */
	case HVM_EVENT_CRASH:
		machine_crash(m, msg);
		return;
	case HVM_EVENT_ERROR:
		machine_end(m, HVM_STATUS_ERROR, "host-error", msg);
		return;
	}
	if (!hvm_gdb_stopped(m->gdb) && event == HVM_EVENT_DEBUG && !m->paused && !m->debugged)
		hvm_vm_resume(&m->vm);
}

/* The user's wish to end it goes before everything, then what the guest or the host did. */
static int event_rank(enum hvm_event event)
{
	switch (event) {
	case HVM_EVENT_QUIT:
		return 3;
	case HVM_EVENT_RESET:
		return 1;
	case HVM_EVENT_IO_ERROR:
		return 0;
	case HVM_EVENT_DEBUG:
		return -1;
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
		hvm_vm_notify(&m->vm, HVM_EVENT_QUIT, "host-signal");
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

/* ---- Saving ---- */

static bool machine_event_pending(struct hvm_machine *m)
{
	bool pending;

	pthread_mutex_lock(&m->lock);
	pending = m->pending;
	pthread_mutex_unlock(&m->lock);
	return pending;
}

static void machine_go_on(struct hvm_machine *m)
{
	m->held = false;
	if (m->resume_after)
		hvm_machine_resume(m);
}

/* Not saved: the guest goes on, if it has its disks. */
static void machine_not_saved(struct hvm_machine *m)
{
	struct hv_err err = { 0 };

	if (hvm_saver_reopen_disks(&m->saver, &err))
		machine_end(m, HVM_STATUS_ERROR, "host-error", err.msg);
	else
		machine_go_on(m);
}

static void machine_written(void *opaque, int error)
{
	struct hvm_machine *m = opaque;

	if (error)
		hv_log("%s: %s", m->cfg.name, m->saver.err.msg);
	if (!m->held)
		return;
	if (error)
		machine_not_saved(m);
	else
		hv_loop_arm_timer(m->saved_timer, hv_loop_now_ns() + SAVED_WAIT_NS);
}

static void machine_saved(void *opaque)
{
	hvm_machine_quit(opaque);
}

/* With the machine paused. What a vCPU reported before that goes first. */
static int machine_take(struct hvm_machine *m, struct hv_err *err)
{
	int ret;

	if (machine_event_pending(m)) {
		ret = hv_err_set(err, -EAGAIN, "the guest is being reset, or ends");
		hvm_saver_abandon(&m->saver, err);
		return ret;
	}
	ret = hvm_saver_take(&m->saver, err);
	m->held = !m->saver.go_on;
	if (ret) {
		machine_not_saved(m);
		hvm_saver_abandon(&m->saver, err);
	} else if (!m->held) {
		machine_go_on(m);
	}
	return ret;
}

/* The answer to the command went before: this takes a while. */
static void machine_save(void *opaque)
{
	struct hvm_machine *m = opaque;
	struct hv_err err = { 0 };

	m->resume_after = !m->paused;
	hvm_machine_pause(m);
	if (machine_take(m, &err))
		hv_log("%s is not saved: %s", m->cfg.name, err.msg);
}

int hvm_machine_save(struct hvm_machine *m, const char *path, bool force, bool go_on,
		     struct hv_err *err)
{
	int ret;

	if (m->held)
		return hv_err_set(err, -EBUSY, "it is being saved");
	/* Its breakpoints are in the guest's memory. */
	if (hvm_gdb_connected(m->gdb))
		return hv_err_set(err, -EBUSY, "a debugger is connected to it; detach that first");
	ret = hvm_saver_prepare(&m->saver, path, force, go_on, err);
	if (ret)
		return ret;
	ret = hv_loop_post(m->loop, machine_save, m);
	if (ret) {
		hv_err_set(err, ret, "out of memory");
		hvm_saver_abandon(&m->saver, err);
	}
	return ret;
}

void hvm_machine_save_info(const struct hvm_machine *m, struct hvm_save_info *info)
{
	static const char *const names[] = {
		[HVM_SAVE_NONE] = "none", [HVM_SAVE_ACTIVE] = "active",
		[HVM_SAVE_COMPLETED] = "completed", [HVM_SAVE_FAILED] = "failed",
	};

	info->status = names[m->saver.status];
	info->error = m->saver.status == HVM_SAVE_FAILED ? m->saver.err.msg : NULL;
	hvm_saver_progress(&m->saver, &info->done, &info->total);
}

bool hvm_machine_held(const struct hvm_machine *m)
{
	return m->held;
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
		hvm_vm_notify(&m->vm, HVM_EVENT_QUIT, "host-ui");
		break;
	case HVM_ESCAPE_HELP:
		machine_help(m);
		break;
	case HVM_ESCAPE_POWER:
		if (!hvm_machine_power_button(m))
			hv_log("%s does not listen to its power button", m->cfg.name);
		break;
	case HVM_ESCAPE_RESET:
		hvm_vm_notify(&m->vm, HVM_EVENT_RESET, "host-ui");
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
		.status = m->held ? "saving" : m->io_error ? "io-error" : m->paused ? "paused" :
			  m->debugged ? "debug" : "running",
		.cpus = m->cfg.cpus,
		.mem = m->cfg.mem,
		.uptime_ms = (hv_loop_now_ns() - m->started_ns) / 1000000,
		.serial = hvm_devices_serial_path(m->devices),
		.console = hvm_devices_console_path(m->devices),
	};
}

const struct hvm_config *hvm_machine_config(const struct hvm_machine *m)
{
	return &m->cfg;
}

int hvm_machine_vcpu_tid(const struct hvm_machine *m, unsigned int vcpu)
{
	return atomic_load(&m->vm.vcpu[vcpu]->tid);
}

void hvm_machine_disk(const struct hvm_machine *m, unsigned int n, struct hvm_disk_info *info)
{
	const struct blk_image *img = hvm_devices_image(m->devices, n);

	*info = (struct hvm_disk_info){ 0 };
	snprintf(info->id, sizeof(info->id), "blk%u", n);
	if (!img)
		return;
	info->file = blk_filename(img);
	info->format = blk_format_name(img);
	info->size = blk_size(img);
	info->allocated = blk_allocated(img);
	info->readonly = blk_is_readonly(img);
}

void hvm_machine_stats(struct hvm_machine *m, hvm_stat_fn fn, void *opaque)
{
	hvm_kvm_stats(m->vm.fd, HVM_STAT_VM, "vm", fn, opaque);
	for (unsigned int i = 0; i < m->vm.nr_vcpus; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%u", i);
		hvm_kvm_stats(m->vm.vcpu[i]->fd, HVM_STAT_VCPU, id, fn, opaque);
	}
	hvm_devices_stats(m->devices, fn, opaque);
}

void hvm_machine_process_stats(const struct hvm_machine *m, struct hvm_process_stats *p)
{
	hvm_process_stats(m->vm.ram.map, m->vm.ram.size, p);
}

static void machine_tell_powerdown(void *opaque)
{
	machine_tell(opaque, "POWERDOWN", NULL);
}

bool hvm_machine_power_button(struct hvm_machine *m)
{
	hv_loop_post(m->loop, machine_tell_powerdown, m);
	return hvm_devices_power_button(m->devices);
}

/* On the loop. */
static void machine_tell_balloon(void *opaque)
{
	struct hvm_machine *m = opaque;
	struct virtio_balloon_info info;

	atomic_store(&m->balloon_told, false);
	virtio_balloon_info(hvm_devices_balloon(m->devices), &info);
	/* What the guest says can be anything. */
	if (info.actual > m->cfg.mem)
		info.actual = m->cfg.mem;
	machine_tell(m, "BALLOON_CHANGE",
		     json_pack("{s:I}", "actual", (json_int_t)(m->cfg.mem - info.actual)));
}

/* Any thread. The guest does this as often as it likes: there is one message at a time. */
static void machine_balloon_changed(void *opaque)
{
	struct hvm_machine *m = opaque;

	if (!atomic_exchange(&m->balloon_told, true) &&
	    hv_loop_post(m->loop, machine_tell_balloon, m))
		atomic_store(&m->balloon_told, false);
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
	hvm_vm_notify(&m->vm, HVM_EVENT_QUIT, "host-qmp-quit");
}

void hvm_machine_reset(struct hvm_machine *m)
{
	hvm_vm_notify(&m->vm, HVM_EVENT_RESET, "host-qmp-system-reset");
}

/* ---- Life ---- */

static int machine_init(struct hvm_machine *m, struct hv_err *err)
{
	const struct hvm_vm_config vm = {
		.accel = m->cfg.accel,
		.cpus = m->cfg.cpus,
		.mem = m->cfg.mem,
		.shared_mem = hvm_devices_need_shared_mem(&m->cfg),
		.event = machine_event,
		.opaque = m,
	};
	const struct hvm_devices_config devices = {
		.cfg = &m->cfg, .vm = &m->vm, .escape = machine_escape,
		.balloon_changed = machine_balloon_changed, .opaque = m,
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
	if (!ret && m->cfg.gdb.given)
		ret = hvm_gdb_create(m, &m->vm, &m->cfg.gdb, m->loop, &m->gdb, err);
	if (ret)
		return ret;
	m->saver = (struct hvm_saver){
		.cfg = &m->cfg, .vm = &m->vm, .devices = m->devices, .loop = m->loop,
		.written = machine_written, .opaque = m,
	};
	m->saved_timer = hv_loop_add_timer(m->loop, machine_saved, m);
	if (!m->saved_timer)
		return hv_err_set(err, -ENOMEM, "event loop: out of memory");
	if (m->cfg.restore)
		return hvm_state_load(m->cfg.restore, &m->vm, m->devices, err);
	return machine_boot(m, err);
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
	m->debugged = m->cfg.gdb.wait;
	m->paused = m->cfg.start_paused;
	if (!m->paused)
		hvm_machine_resume(m);
	m->status = HVM_STATUS_ERROR;
	ret = hv_loop_run(m->loop);
	if (ret)
		hv_err_set(err, ret, "event loop: %s", strerror(-ret));
	return m->status;
}

int hvm_machine_destroy(struct hvm_machine *m, struct hv_err *err)
{
	int ret = 0;

	hvm_saver_fini(&m->saver);
	if (m->vm_created)
		hvm_vm_stop(&m->vm);
	hvm_gdb_destroy(m->gdb);
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
	if (m->saved_timer)
		hv_loop_del_timer(m->saved_timer);
	if (m->loop)
		hv_loop_destroy(m->loop);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return ret;
}
