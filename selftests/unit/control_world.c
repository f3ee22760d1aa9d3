// SPDX-License-Identifier: GPL-2.0-or-later
/* See control_world.h. */
#include "control_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned int machine_pushes, machine_quits, machine_pauses, machine_resumes;
uint64_t machine_balloon;

void hvm_machine_info(struct hvm_machine *m, struct hvm_machine_info *info)
{
	*info = (struct hvm_machine_info){
		.name = "g", .status = "running", .cpus = 2, .mem = 1ULL << 40,
		.uptime_ms = 3723004, .console = "/dev/pts/\"7\"",
	};
}

bool hvm_machine_power_button(struct hvm_machine *m)
{
	return ++machine_pushes > 1;
}

void hvm_machine_quit(struct hvm_machine *m)
{
	machine_quits++;
}

void hvm_machine_pause(struct hvm_machine *m)
{
	machine_pauses++;
}

void hvm_machine_resume(struct hvm_machine *m)
{
	machine_resumes++;
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

void longest_line(char line[MAX_LINE], const char *head, const char *unit, const char *tail)
{
	size_t n = strlen(head), end = MAX_LINE - 1 - strlen(tail);

	memcpy(line, head, n);
	while (n + strlen(unit) <= end) {
		memcpy(line + n, unit, strlen(unit));
		n += strlen(unit);
	}
	memset(line + n, ' ', end - n);
	memcpy(line + end, tail, strlen(tail));
	line[MAX_LINE - 1] = '\n';
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
