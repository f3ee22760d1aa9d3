// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands of the control socket that only ask; see commands.h. */
#include "commands.h"

#include <string.h>
#include <unistd.h>

#include "../machine.h"

#ifndef HVM_VERSION
#define HVM_VERSION "unknown"
#endif

/* The release of QEMU whose commands these resemble; libvirt 11 wants 6.2 at least. */
#define QEMU_MAJOR	8
#define QEMU_MINOR	2

/* ---- About hvm ---- */

QMP_HANDLER(qmp_query_commands)
{
	return qmp_commands_json();
}

QMP_HANDLER(qmp_query_schema)
{
	return qmp_schema_json();
}

json_t *qmp_version_json(void)
{
	return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", QEMU_MAJOR, "minor",
			 QEMU_MINOR, "micro", 0, "package", "hvm " HVM_VERSION);
}

QMP_HANDLER(qmp_query_version)
{
	return qmp_version_json();
}

QMP_HANDLER(qmp_query_target)
{
	return json_pack("{s:s}", "arch", "x86_64");
}

QMP_HANDLER(qmp_query_kvm)
{
	return json_pack("{s:b, s:b}", "enabled", 1, "present", 1);
}

/* ---- About the guest ---- */

QMP_HANDLER(qmp_query_name)
{
	return json_pack("{s:s}", "name", hvm_machine_config(m)->name);
}

QMP_HANDLER(qmp_query_uuid)
{
	return json_pack("{s:s}", "UUID", "00000000-0000-0000-0000-000000000000");
}

QMP_HANDLER(qmp_query_status)
{
	struct hvm_machine_info info;

	hvm_machine_info(m, &info);
	return json_pack("{s:b, s:s}", "running", !strcmp(info.status, "running"), "status",
			 info.status);
}

QMP_HANDLER(qmp_query_cpus_fast)
{
	unsigned int cpus = hvm_machine_config(m)->cpus;
	json_t *list = json_array();

	for (unsigned int i = 0; i < cpus; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/machine/cpu[%u]", i);
		json_array_append_new(list,
			json_pack("{s:i, s:s, s:i, s:{s:i, s:i, s:i}, s:s}", "cpu-index", (int)i,
				  "qom-path", path, "thread-id", (int)hvm_machine_vcpu_tid(m, i),
				  "props", "socket-id", 0, "core-id", (int)i, "thread-id", 0,
				  "target", "x86_64"));
	}
	return list;
}

static void add_chardev(json_t *list, const char *label, const struct hvm_chardev_config *c,
			const char *pty)
{
	const char *kind = "null", *path = "";
	json_t *o;

	if (c->kind == HVM_CHARDEV_STDIO) {
		kind = "stdio";
	} else if (c->kind == HVM_CHARDEV_PTY) {
		kind = "pty:";
		path = pty ? pty : "";
	} else if (c->kind == HVM_CHARDEV_FILE) {
		kind = "file:";
		path = c->path;
	}
	/* A file's name may be in any encoding: what is not UTF-8 cannot be told. */
	o = json_pack("{s:s, s:s+, s:b}", "label", label, "filename", kind, path,
		      "frontend-open", 1);
	if (!o)
		o = json_pack("{s:s, s:s, s:b}", "label", label, "filename", kind,
			      "frontend-open", 1);
	json_array_append_new(list, o);
}

QMP_HANDLER(qmp_query_chardev)
{
	const struct hvm_config *cfg = hvm_machine_config(m);
	struct hvm_machine_info info;
	json_t *list = json_array();

	hvm_machine_info(m, &info);
	add_chardev(list, "serial0", &cfg->serial, info.serial);
	if (cfg->console.kind != HVM_CHARDEV_NONE)
		add_chardev(list, "console0", &cfg->console, info.console);
	return list;
}

static json_t *nic_json(const struct hvm_net_config *net, unsigned int n)
{
	static const char *const kinds[] = {
		[HVM_NET_TAP] = "tap", [HVM_NET_PASST] = "passt", [HVM_NET_SWITCH] = "switch",
	};
	const char *to = net->kind == HVM_NET_TAP ? net->ifname :
			 net->kind == HVM_NET_PASST ? net->socket : net->network;
	char id[16];
	json_t *o;

	snprintf(id, sizeof(id), "net%u", n);
	o = json_pack("{s:s, s:s}", "id", id, "kind", kinds[net->kind]);
	if (to && *to)
		json_object_set_new(o, "to", json_string(to));
	return o;
}

QMP_HANDLER(qmp_hv_info)
{
	const struct hvm_config *cfg = hvm_machine_config(m);
	struct hvm_machine_info info;
	json_t *nics = json_array();

	hvm_machine_info(m, &info);
	for (unsigned int i = 0; i < cfg->nr_nets; i++)
		json_array_append_new(nics, nic_json(&cfg->net[i], i));
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:s*, s:s*, s:o}",
			 "name", info.name,
			 "pid", (json_int_t)getpid(),
			 "version", HVM_VERSION,
			 "accel", cfg->accel,
			 "status", info.status,
			 "cpus", (json_int_t)info.cpus,
			 "mem", (json_int_t)info.mem,
			 "uptime-ms", (json_int_t)info.uptime_ms,
			 "serial", info.serial,
			 "console", info.console,
			 "nics", nics);
}

QMP_HANDLER(qmp_hv_query_save)
{
	struct hvm_save_info info;

	hvm_machine_save_info(m, &info);
	return json_pack("{s:s, s:s*, s:I, s:I}", "status", info.status, "error", info.error,
			 "done", (json_int_t)info.done, "total", (json_int_t)info.total);
}

/* ---- The balloon ---- */

QMP_HANDLER(qmp_query_balloon)
{
	struct virtio_balloon_info info;
	struct hvm_machine_info machine;

	if (hvm_machine_balloon_info(m, &info, err))
		return NULL;
	hvm_machine_info(m, &machine);
	return json_pack("{s:I}", "actual", (json_int_t)(machine.mem - info.actual));
}

QMP_HANDLER(qmp_hv_balloon_info)
{
	struct virtio_balloon_info info;
	struct hvm_machine_info machine;
	json_t *stats;

	if (hvm_machine_balloon_info(m, &info, err))
		return NULL;
	stats = json_object();
	hvm_machine_info(m, &machine);
	for (unsigned int i = 0; i < info.nr_stats; i++)
		json_object_set_new(stats, info.stat[i].name,
				    json_integer((json_int_t)info.stat[i].value));
	return json_pack("{s:I, s:I, s:I, s:b, s:I, s:o}",
			 "mem", (json_int_t)machine.mem,
			 "value", (json_int_t)(machine.mem - info.target),
			 "actual", (json_int_t)(machine.mem - info.actual),
			 "trimming", info.trimming,
			 "stats-age-ms", (json_int_t)info.stats_age_ms,
			 "stats", stats);
}

/* ---- Disks ---- */

static json_t *image_json(const struct hvm_disk_info *disk)
{
	return json_pack("{s:s, s:s, s:I, s:I}", "filename", disk->file, "format", disk->format,
			 "virtual-size", (json_int_t)disk->size, "actual-size",
			 (json_int_t)disk->allocated);
}

static json_t *inserted_json(const struct hvm_disk_info *disk, const struct hvm_disk_config *limits)
{
	return json_pack("{s:s, s:b, s:s, s:b, s:I, s:i, s:i, s:I, s:i, s:i, s:o}",
			 "file", disk->file, "ro", disk->readonly, "drv", disk->format,
			 "encrypted", 0, "bps", (json_int_t)limits->limit_bytes, "bps_rd", 0,
			 "bps_wr", 0, "iops", (json_int_t)limits->limit_iops, "iops_rd", 0,
			 "iops_wr", 0, "image", image_json(disk));
}

QMP_HANDLER(qmp_query_block)
{
	const struct hvm_config *cfg = hvm_machine_config(m);
	struct hvm_machine_info info;
	json_t *list = json_array();

	hvm_machine_info(m, &info);
	for (unsigned int i = 0; i < cfg->nr_disks; i++) {
		struct hvm_disk_info disk;
		json_t *inserted = NULL;

		hvm_machine_disk(m, i, &disk);
		if (disk.file)
			inserted = inserted_json(&disk, &cfg->disk[i]);
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:o*}", "device", disk.id,
				  "qdev", disk.id, "type", "unknown", "removable", 0, "locked", 0,
				  "io-status", strcmp(info.status, "io-error") ? "ok" : "failed",
				  "inserted", inserted));
	}
	return list;
}

/* ---- Counters ---- */

struct counters {
	json_t *list[HVM_STAT_NR_SCOPES];
};

/* Counters of one owner come one after the other. */
static json_t *counters_of(json_t *list, const char *id)
{
	size_t n = json_array_size(list);
	json_t *last = n ? json_array_get(list, n - 1) : NULL;
	const char *have = json_string_value(json_object_get(last, "id"));

	if (!have || strcmp(have, id)) {
		json_array_append_new(list, json_pack("{s:s, s:{}}", "id", id, "stats"));
		last = json_array_get(list, n);
	}
	return json_object_get(last, "stats");
}

static void add_counter(void *opaque, const struct hvm_stat *s)
{
	struct counters *c = opaque;

	json_object_set_new(counters_of(c->list[s->scope], s->id), s->name,
			    json_integer((json_int_t)s->value));
}

static void counters_get(struct hvm_machine *m, struct counters *c)
{
	for (unsigned int i = 0; i < HVM_STAT_NR_SCOPES; i++)
		c->list[i] = json_array();
	hvm_machine_stats(m, add_counter, c);
}

QMP_HANDLER(qmp_hv_stats)
{
	struct hvm_process_stats p;
	struct counters c;
	json_t *vm;

	hvm_machine_process_stats(m, &p);
	counters_get(m, &c);
	vm = json_object_get(json_array_get(c.list[HVM_STAT_VM], 0), "stats");
	vm = vm ? json_incref(vm) : json_object();
	json_decref(c.list[HVM_STAT_VM]);
	return json_pack("{s:{s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o}", "process",
			 "resident-bytes", (json_int_t)p.resident,
			 "private-bytes", (json_int_t)p.private,
			 "guest-bytes", (json_int_t)p.guest,
			 "cpu-ns", (json_int_t)p.cpu_ns,
			 "threads", (json_int_t)p.threads,
			 "vm", vm, "vcpus", c.list[HVM_STAT_VCPU],
			 "devices", c.list[HVM_STAT_DEVICE]);
}

static json_int_t counter(const json_t *stats, const char *name)
{
	return json_integer_value(json_object_get(stats, name));
}

QMP_HANDLER(qmp_query_blockstats)
{
	json_t *list = json_array(), *v;
	struct counters c;
	size_t i;

	counters_get(m, &c);
	json_array_foreach(c.list[HVM_STAT_DEVICE], i, v) {
		const char *id = json_string_value(json_object_get(v, "id"));
		const json_t *s = json_object_get(v, "stats");

		if (!id || strncmp(id, "blk", 3))
			continue;
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}",
				  "device", id, "qdev", id, "stats",
				  "rd_bytes", counter(s, "read_bytes"),
				  "wr_bytes", counter(s, "written_bytes"),
				  "unmap_bytes", (json_int_t)0,
				  "rd_operations", counter(s, "reads"),
				  "wr_operations", counter(s, "writes") +
						   counter(s, "write_zeroes"),
				  "flush_operations", counter(s, "flushes"),
				  "unmap_operations", counter(s, "discards"),
				  "failed_operations", counter(s, "errors")));
	}
	for (i = 0; i < HVM_STAT_NR_SCOPES; i++)
		json_decref(c.list[i]);
	return list;
}
