// SPDX-License-Identifier: GPL-2.0-or-later
/* See control_world.h. */
#include "control_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../vmm-user/control/server.h"

unsigned int machine_pushes, machine_quits, machine_pauses, machine_resumes, machine_resets;
const char *machine_status = "running";
uint64_t machine_balloon;
bool machine_is_held;
char machine_saved[128];
struct hvm_control *machine_control;

void hvm_machine_info(struct hvm_machine *m, struct hvm_machine_info *info)
{
	*info = (struct hvm_machine_info){
		.name = "g", .status = machine_status, .cpus = 2, .mem = 1ULL << 40,
		.uptime_ms = 3723004, .console = "/dev/pts/\"7\"",
	};
}

const struct hvm_config *hvm_machine_config(const struct hvm_machine *m)
{
	static const struct hvm_config cfg = {
		.name = "g", .accel = "/dev/hv", .cpus = 2, .mem = 1ULL << 40,
		.disk = {{ .limit_iops = 500, .limit_bytes = 1 << 20 }}, .nr_disks = 2,
		.net = {{ .kind = HVM_NET_TAP, .ifname = "t0" }, { .kind = HVM_NET_TAP },
			{ .kind = HVM_NET_SWITCH, .network = "lan" }}, .nr_nets = 3,
		.serial = { HVM_CHARDEV_FILE, "/tmp/\xff" }, .console.kind = HVM_CHARDEV_PTY,
	};

	return &cfg;
}

int hvm_machine_vcpu_tid(const struct hvm_machine *m, unsigned int vcpu)
{
	return 1000 + (int)vcpu;
}

void hvm_machine_disk(const struct hvm_machine *m, unsigned int n, struct hvm_disk_info *info)
{
	*info = (struct hvm_disk_info){
		.file = n ? "b" : "a \"b\"", .format = n ? "raw" : "qcow2", .size = 1 << 30,
		.allocated = 4096, .readonly = n,
	};
	snprintf(info->id, sizeof(info->id), "blk%u", n);
}

void hvm_machine_stats(struct hvm_machine *m, hvm_stat_fn fn, void *opaque)
{
	static const struct hvm_stat stats[] = {
		{ HVM_STAT_VM, "vm", "pages_4k", 7 }, { HVM_STAT_VCPU, "0", "exits", 1ULL << 40 },
		{ HVM_STAT_VCPU, "0", "io_exits", 2 }, { HVM_STAT_VCPU, "1", "exits", 3 },
		{ HVM_STAT_DEVICE, "blk0", "reads", 4 }, { HVM_STAT_DEVICE, "blk0", "read_bytes", 5 },
		{ HVM_STAT_DEVICE, "blk1", "writes", 6 },
		{ HVM_STAT_DEVICE, "blk1", "write_zeroes", 1 },
		{ HVM_STAT_DEVICE, "net0", "rx_bytes", 8 },
	};

	for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++)
		fn(opaque, &stats[i]);
}

void hvm_machine_process_stats(const struct hvm_machine *m, struct hvm_process_stats *p)
{
	*p = (struct hvm_process_stats){
		.resident = 3000, .private = 1000, .guest = 2000, .cpu_ns = 2500000000,
		.threads = 5,
	};
}

bool hvm_machine_power_button(struct hvm_machine *m)
{
	hvm_control_event(machine_control, "POWERDOWN", NULL);
	return ++machine_pushes > 1;
}

void hvm_machine_quit(struct hvm_machine *m)
{
	machine_quits++;
}

void hvm_machine_reset(struct hvm_machine *m)
{
	machine_resets++;
}

void hvm_machine_pause(struct hvm_machine *m)
{
	machine_pauses++;
	hvm_control_event(machine_control, "STOP", NULL);
}

void hvm_machine_resume(struct hvm_machine *m)
{
	machine_resumes++;
	hvm_control_event(machine_control, "RESUME", NULL);
}

int hvm_machine_balloon(struct hvm_machine *m, uint64_t bytes, struct hv_err *e)
{
	if (bytes < 1000)
		return hv_err_set(e, -EINVAL, "too small");
	machine_balloon = bytes;
	return 0;
}

int hvm_machine_balloon_info(struct hvm_machine *m, struct virtio_balloon_info *info,
			     struct hv_err *e)
{
	if (!machine_balloon)
		return hv_err_set(e, -ENODEV, "no balloon");
	*info = (struct virtio_balloon_info){
		.target = (1ULL << 40) - machine_balloon, .actual = 4096, .trimming = true,
		.nr_stats = 2, .stat = {{ "free_memory", 5 }, { "major_faults", ~0ULL }},
	};
	return 0;
}

int hvm_machine_balloon_trim(struct hvm_machine *m, struct hv_err *e)
{
	return hv_err_set(e, -EBUSY, "busy");
}

int hvm_machine_save(struct hvm_machine *m, const char *path, bool force, bool go_on,
		     struct hv_err *e)
{
	if (!strcmp(path, "/busy"))
		return hv_err_set(e, -EBUSY, "busy");
	snprintf(machine_saved, sizeof(machine_saved), "%s%s%s", path, force ? " force" : "",
		 go_on ? " go-on" : "");
	return 0;
}

/* A save takes three looks, and fails if nothing is saved. */
void hvm_machine_save_info(const struct hvm_machine *m, struct hvm_save_info *info)
{
	static unsigned int looks;

	*info = (struct hvm_save_info){ .status = "active", .done = 5, .total = 1ULL << 40 };
	if (++looks % 3)
		return;
	info->status = machine_saved[0] ? "completed" : "failed";
	info->error = machine_saved[0] ? NULL : "no space";
}

bool hvm_machine_held(const struct hvm_machine *m)
{
	return machine_is_held;
}

void hvm_machine_debug_halt(struct hvm_machine *m)
{
}

void hvm_machine_debug_resume(struct hvm_machine *m)
{
}

/* For "hvm run", which this program does not run. */
int hvm_machine_create(const struct hvm_config *cfg, struct hvm_machine **m, struct hv_err *e)
{
	return -ENOSYS;
}

enum hvm_status hvm_machine_run(struct hvm_machine *m, struct hv_err *e)
{
	return HVM_STATUS_ERROR;
}

int hvm_machine_destroy(struct hvm_machine *m, struct hv_err *e)
{
	return -ENOSYS;
}

void long_line(char *line, size_t len, const char *head, const char *unit, const char *tail)
{
	size_t n = strlen(head), end = len - 1 - strlen(tail);

	memcpy(line, head, n);
	while (n + strlen(unit) <= end) {
		memcpy(line + n, unit, strlen(unit));
		n += strlen(unit);
	}
	memset(line + n, ' ', end - n);
	memcpy(line + end, tail, strlen(tail));
	line[len - 1] = '\n';
}

char world_dir[] = "/tmp/hvm-test-XXXXXX";

int world_start(void)
{
	if (!mkdtemp(world_dir) || setenv("XDG_RUNTIME_DIR", world_dir, 1)) {
		perror(world_dir);
		return -errno;
	}
	return 0;
}

int world_stop(void)
{
	char path[sizeof(world_dir) + 8];

	snprintf(path, sizeof(path), "%s/hvm", world_dir);
	return rmdir(path) || rmdir(world_dir) ? -errno : 0;
}

char machine_disk[64];

int hvm_machine_disk_resize(struct hvm_machine *m, const char *disk, uint64_t size,
			    struct hv_err *e)
{
	if (strcmp(disk, "blk0"))
		return hv_err_set(e, -ENOENT, "no disk");
	snprintf(machine_disk, sizeof(machine_disk), "resize %llu", (unsigned long long)size);
	return 0;
}

int hvm_machine_disk_snapshot(struct hvm_machine *m, const char *disk, enum blk_snapshot_op op,
			      const char *name, struct hv_err *e)
{
	if (strcmp(disk, "blk0"))
		return hv_err_set(e, -ENOENT, "no disk");
	snprintf(machine_disk, sizeof(machine_disk), "%d %s", (int)op, name);
	return 0;
}

int hvm_machine_disk_overlay(struct hvm_machine *m, const char *disk, const char *file,
			     struct hv_err *e)
{
	if (strcmp(disk, "blk0"))
		return hv_err_set(e, -ENOENT, "no disk");
	snprintf(machine_disk, sizeof(machine_disk), "overlay %s", file);
	return 0;
}
