// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every command and event of the control socket, and the types that they are made of. After a
 * change: "make qmp-reference".
 */
#include "commands.h"

/* ---- Types ---- */

#define END		{ .name = NULL }
#define MEMBER(n, t, d)	{ .name = n, .type = t, .doc = d }
#define OPTIONAL(n, t, d) { .name = n, .type = t, .doc = d, .optional = true }

static const struct qmp_type str_array = { .kind = QMP_ARRAY, .of = &qmp_str };
static const struct qmp_type any_array = { .kind = QMP_ARRAY, .of = &qmp_any };

#define ARRAY_OF(what)	static const struct qmp_type what##_array = {				\
	.kind = QMP_ARRAY, .of = &what }
#define OBJECT(what, title) static const struct qmp_type what = {				\
	.kind = QMP_OBJECT, .name = title, .members = what##_members }

static const char *const run_states[] = {
	"running", "paused", "io-error", "debug", "saving", NULL,
};
static const struct qmp_type run_state = {
	.kind = QMP_ENUM, .name = "RunState", .values = run_states,
};

static const char *const shutdown_causes[] = {
	"host-qmp-quit", "host-signal", "host-ui", "host-error", "host-qmp-system-reset",
	"guest-shutdown", "guest-reset", "guest-panic", NULL,
};
static const struct qmp_type shutdown_cause = {
	.kind = QMP_ENUM, .name = "ShutdownCause", .values = shutdown_causes,
};

static const char *const reset_causes[] = {
	"host-qmp-system-reset", "host-ui", "guest-reset", NULL,
};
static const struct qmp_type reset_cause = {
	.kind = QMP_ENUM, .name = "ResetCause", .values = reset_causes,
};

static const struct qmp_member command_info_members[] = {
	MEMBER("name", &qmp_str, "Name of the command."), END
};
OBJECT(command_info, "CommandInfo");
ARRAY_OF(command_info);

static const struct qmp_member triple_members[] = {
	MEMBER("major", &qmp_int, "The release of QEMU whose commands these resemble."),
	MEMBER("minor", &qmp_int, "The same."),
	MEMBER("micro", &qmp_int, "The same."), END
};
OBJECT(triple, "VersionTriple");

static const struct qmp_member version_members[] = {
	MEMBER("qemu", &triple, "What clients compare with."),
	MEMBER("package", &qmp_str, "hvm and its version."), END
};
OBJECT(version, "VersionInfo");

static const struct qmp_member name_info_members[] = {
	MEMBER("name", &qmp_str, "Name of the guest."), END
};
OBJECT(name_info, "NameInfo");

static const struct qmp_member uuid_info_members[] = {
	MEMBER("UUID", &qmp_str, "All zeroes: the guest has none."), END
};
OBJECT(uuid_info, "UuidInfo");

static const struct qmp_member target_info_members[] = {
	MEMBER("arch", &qmp_str, "Always x86_64."), END
};
OBJECT(target_info, "TargetInfo");

static const struct qmp_member kvm_info_members[] = {
	MEMBER("enabled", &qmp_bool, "Always true: the processor's virtualization is in use."),
	MEMBER("present", &qmp_bool, "Always true."), END
};
OBJECT(kvm_info, "KvmInfo");

static const struct qmp_member status_info_members[] = {
	MEMBER("running", &qmp_bool, "Whether the guest's processors run."),
	MEMBER("status", &run_state, "And if not, why."), END
};
OBJECT(status_info, "StatusInfo");

static const struct qmp_member cpu_props_members[] = {
	MEMBER("socket-id", &qmp_int, "Always 0."),
	MEMBER("core-id", &qmp_int, "Number of the core."),
	MEMBER("thread-id", &qmp_int, "Always 0."), END
};
OBJECT(cpu_props, "CpuInstanceProperties");

static const struct qmp_member cpu_members[] = {
	MEMBER("cpu-index", &qmp_int, "Number of the processor, from 0."),
	MEMBER("qom-path", &qmp_str, "A name for it."),
	MEMBER("thread-id", &qmp_int, "Its thread of the host."),
	MEMBER("props", &cpu_props, "Its place."),
	MEMBER("target", &qmp_str, "Always x86_64."), END
};
OBJECT(cpu, "CpuInfoFast");
ARRAY_OF(cpu);

static const struct qmp_member chardev_members[] = {
	MEMBER("label", &qmp_str, "serial0 or console0."),
	MEMBER("filename", &qmp_str, "Where it leads to: pty:PATH, file:PATH, stdio or null."),
	MEMBER("frontend-open", &qmp_bool, "Always true."), END
};
OBJECT(chardev, "ChardevInfo");
ARRAY_OF(chardev);

static const struct qmp_member image_members[] = {
	MEMBER("filename", &qmp_str, "The image's file."),
	MEMBER("format", &qmp_str, "raw or qcow2."),
	MEMBER("virtual-size", &qmp_int, "What the guest sees, in bytes."),
	OPTIONAL("actual-size", &qmp_int, "What the file takes of the host's disk, in bytes."), END
};
OBJECT(image, "ImageInfo");

static const struct qmp_member inserted_members[] = {
	MEMBER("file", &qmp_str, "The image's file."),
	MEMBER("ro", &qmp_bool, "Whether the guest can only read it."),
	MEMBER("drv", &qmp_str, "raw or qcow2."),
	MEMBER("encrypted", &qmp_bool, "Always false."),
	MEMBER("bps", &qmp_int, "Limit, bytes per second; 0: none."),
	MEMBER("bps_rd", &qmp_int, "Always 0."),
	MEMBER("bps_wr", &qmp_int, "Always 0."),
	MEMBER("iops", &qmp_int, "Limit, requests per second; 0: none."),
	MEMBER("iops_rd", &qmp_int, "Always 0."),
	MEMBER("iops_wr", &qmp_int, "Always 0."),
	MEMBER("image", &image, "The image."), END
};
OBJECT(inserted, "BlockDeviceInfo");

static const char *const io_statuses[] = { "ok", "failed", NULL };
static const struct qmp_type io_status = {
	.kind = QMP_ENUM, .name = "BlockDeviceIoStatus", .values = io_statuses,
};

static const struct qmp_member block_members[] = {
	MEMBER("device", &qmp_str, "blk0 for the first disk, and so on."),
	MEMBER("qdev", &qmp_str, "The same."),
	MEMBER("type", &qmp_str, "Always unknown."),
	MEMBER("removable", &qmp_bool, "Always false."),
	MEMBER("locked", &qmp_bool, "Always false."),
	MEMBER("io-status", &io_status, "failed: the guest waits because of a disk, perhaps this one."),
	OPTIONAL("inserted", &inserted, "What is in it; absent while hvm has no image of it open: another "
		 "process serves it, or the guest is saved."), END
};
OBJECT(block, "BlockInfo");
ARRAY_OF(block);

static const struct qmp_member device_stats_members[] = {
	MEMBER("rd_bytes", &qmp_int, "Bytes read."),
	MEMBER("wr_bytes", &qmp_int, "Bytes written."),
	MEMBER("unmap_bytes", &qmp_int, "Always 0: only the requests are counted."),
	MEMBER("rd_operations", &qmp_int, "Read requests."),
	MEMBER("wr_operations", &qmp_int, "Write requests, those of zeroes too."),
	MEMBER("flush_operations", &qmp_int, "Flushes."),
	MEMBER("unmap_operations", &qmp_int, "Discards."),
	MEMBER("failed_operations", &qmp_int, "Requests that failed; hvm's own."), END
};
OBJECT(device_stats, "BlockDeviceStats");

static const struct qmp_member block_stats_members[] = {
	MEMBER("device", &qmp_str, "blk0 for the first disk, and so on."),
	MEMBER("qdev", &qmp_str, "The same."),
	MEMBER("stats", &device_stats, "Counted since the guest was started."), END
};
OBJECT(block_stats, "BlockStats");
ARRAY_OF(block_stats);

static const struct qmp_member balloon_info_members[] = {
	MEMBER("actual", &qmp_int, "What the guest keeps, in bytes."), END
};
OBJECT(balloon_info, "BalloonInfo");

static const struct qmp_member hv_balloon_members[] = {
	MEMBER("mem", &qmp_int, "What the guest was started with, in bytes."),
	MEMBER("value", &qmp_int, "What it is to keep."),
	MEMBER("actual", &qmp_int, "What it keeps."),
	MEMBER("trimming", &qmp_bool, "Whether x-hv-balloon-trim has not ended."),
	MEMBER("stats-age-ms", &qmp_int, "Age of the statistics."),
	MEMBER("stats", &qmp_any, "What the guest's kernel said of its memory: names and numbers."), END
};
OBJECT(hv_balloon, "HvBalloonInfo");

static const struct qmp_member nic_members[] = {
	MEMBER("id", &qmp_str, "net0 for the first card, and so on."),
	MEMBER("kind", &qmp_str, "tap, passt or switch."),
	OPTIONAL("to", &qmp_str, "The interface, socket or network, if it was named."),
	END
};
OBJECT(nic, "HvNicInfo");
ARRAY_OF(nic);

static const struct qmp_member hv_info_members[] = {
	MEMBER("name", &qmp_str, "Name of the guest."),
	MEMBER("pid", &qmp_int, "Its process."),
	MEMBER("version", &qmp_str, "hvm's version."),
	MEMBER("accel", &qmp_str, "The hypervisor device."),
	MEMBER("status", &run_state, "What it does."),
	MEMBER("cpus", &qmp_int, "Number of processors."),
	MEMBER("mem", &qmp_int, "Its memory in bytes."),
	MEMBER("uptime-ms", &qmp_int, "Time since the start."),
	OPTIONAL("serial", &qmp_str, "Path of the serial line's pseudo-terminal."),
	OPTIONAL("console", &qmp_str, "Path of the virtio console's."),
	MEMBER("nics", &nic_array, "Its network cards."), END
};
OBJECT(hv_info, "HvGuestInfo");

static const struct qmp_member hv_process_members[] = {
	MEMBER("resident-bytes", &qmp_int, "Memory of hvm's process that is in the host's memory."),
	MEMBER("private-bytes", &qmp_int, "Of that, what is neither shared nor guest memory."),
	MEMBER("guest-bytes", &qmp_int, "Of that, guest memory."),
	MEMBER("cpu-ns", &qmp_int, "Processor time of the process, all threads."),
	MEMBER("threads", &qmp_int, "Number of threads."), END
};
OBJECT(hv_process, "HvProcessStats");

static const struct qmp_member hv_counters_members[] = {
	MEMBER("id", &qmp_str, "Which one: a processor's number, a device like blk0."),
	MEMBER("stats", &qmp_any, "Names and numbers."), END
};
OBJECT(hv_counters, "HvCounters");
ARRAY_OF(hv_counters);

static const struct qmp_member hv_stats_members[] = {
	MEMBER("process", &hv_process, "hvm's process."),
	MEMBER("vm", &qmp_any, "Counters of the VM in the kernel (KVM_GET_STATS_FD): names and numbers."),
	MEMBER("vcpus", &hv_counters_array, "Counters of the processors in the kernel."),
	MEMBER("devices", &hv_counters_array, "Counters of the virtio devices."), END
};
OBJECT(hv_stats, "HvStats");

static const char *const save_states[] = { "none", "active", "completed", "failed", NULL };
static const struct qmp_type save_state = {
	.kind = QMP_ENUM, .name = "HvSaveState", .values = save_states,
};

static const struct qmp_member hv_save_members[] = {
	MEMBER("status", &save_state, "How far it is."),
	OPTIONAL("error", &qmp_str, "Why it failed."),
	MEMBER("done", &qmp_int, "Memory that is written, in bytes."),
	MEMBER("total", &qmp_int, "All of it."), END
};
OBJECT(hv_save, "HvSaveInfo");

/* ---- Commands ---- */

static const struct qmp_member save_arguments[] = {
	MEMBER("file", &qmp_str, "The file, an absolute path."),
	OPTIONAL("force", &qmp_bool, "Replace it if it is there."),
	OPTIONAL("go-on", &qmp_bool, "The guest goes on meanwhile, on overlays of its disks."), END
};

static const struct qmp_member capabilities_arguments[] = {
	OPTIONAL("enable", &str_array, "Capabilities to use; the guest has none."), END
};

static const struct qmp_member balloon_arguments[] = {
	{ .name = "value", .type = &qmp_int, .doc = "What the guest is to keep, in bytes.",
	  .min = 1, .max = INT64_MAX }, END
};

#define DISK		MEMBER("device", &qmp_str, "The disk, blk0 and so on.")

static const struct qmp_member block_resize_arguments[] = {
	DISK, { .name = "size", .type = &qmp_int, .doc = "Its new size in bytes, no smaller than it is.",
		.min = 1, .max = INT64_MAX }, END
};

static const struct qmp_member internal_arguments[] = {
	DISK, MEMBER("name", &qmp_str, "Name of the snapshot."), END
};

/* Of QEMU's formats and modes, those that are its defaults. */
static const char *const overlay_formats[] = { "qcow2", NULL };
static const struct qmp_type overlay_format = {
	.kind = QMP_ENUM, .name = "HvOverlayFormat", .values = overlay_formats,
};

static const char *const overlay_modes[] = { "absolute-paths", NULL };
static const struct qmp_type overlay_mode = {
	.kind = QMP_ENUM, .name = "NewImageMode", .values = overlay_modes,
};

static const struct qmp_member external_arguments[] = {
	DISK, MEMBER("snapshot-file", &qmp_str, "The overlay, which must not be there yet."),
	OPTIONAL("format", &overlay_format, "Of the overlay."),
	OPTIONAL("mode", &overlay_mode, "How the overlay is made."), END
};

const struct qmp_command qmp_commands[] = {
	{ "qmp_capabilities", "Begin. Before this the guest answers no other command.",
	  capabilities_arguments, NULL, "A capability is asked for, or the client has begun before.",
	  NULL },
	{ "query-commands", "The commands that there are.", NULL, &command_info_array, NULL,
	  qmp_query_commands },
	{ "query-qmp-schema", "Commands, events and their types, in the words of QEMU's "
	  "introspection.", NULL, &any_array, NULL, qmp_query_schema },
	{ "query-version", "The version.", NULL, &version, NULL, qmp_query_version },
	{ "query-target", "What is emulated.", NULL, &target_info, NULL, qmp_query_target },
	{ "query-kvm", "Whether the processor's virtualization is used.", NULL, &kvm_info, NULL,
	  qmp_query_kvm },
	{ "query-name", "The guest's name.", NULL, &name_info, NULL, qmp_query_name },
	{ "query-uuid", "The guest's UUID.", NULL, &uuid_info, NULL, qmp_query_uuid },
	{ "query-status", "Whether the guest runs.", NULL, &status_info, NULL, qmp_query_status },
	{ "query-cpus-fast", "The guest's processors.", NULL, &cpu_array, NULL,
	  qmp_query_cpus_fast },
	{ "query-chardev", "Serial line and console.", NULL, &chardev_array, NULL,
	  qmp_query_chardev },
	{ "query-block", "The guest's disks.", NULL, &block_array, NULL, qmp_query_block },
	{ "query-blockstats", "What was read and written.", NULL, &block_stats_array, NULL,
	  qmp_query_blockstats },
	{ "query-balloon", "How much memory the guest keeps.", NULL, &balloon_info,
	  "The guest has no balloon (DeviceNotActive).", qmp_query_balloon },
	{ "balloon", "Change how much memory the guest keeps. It does so as it can, later.",
	  balloon_arguments, NULL, "The guest has no balloon (DeviceNotActive), or cannot keep that "
	  "much or that little.", qmp_balloon },
	{ "block_resize", "Make a disk larger.", block_resize_arguments, NULL, "There is no such disk, "
	  "it is read-only, or it would become smaller.", qmp_block_resize },
	{ "blockdev-snapshot-sync", "Put an empty overlay on a disk: the guest goes on there, and what "
	  "was its image stays as it is.", external_arguments, NULL, "The overlay is there or cannot be "
	  "made, or the disk is read-only.", qmp_snapshot_external },
	{ "blockdev-snapshot-internal-sync", "Make a snapshot inside a qcow2 image.",
	  internal_arguments, NULL, "The image is none of qcow2, is read-only, or has a snapshot of that "
	  "name.", qmp_snapshot_internal },
	{ "blockdev-snapshot-delete-internal-sync", "Delete such a snapshot.", internal_arguments, NULL,
	  "There is none of that name.", qmp_snapshot_delete_internal },
	{ "stop", "Stop processors and devices with everything in place.", NULL, NULL, NULL,
	  qmp_stop },
	{ "cont", "Let them go on. What failed on a disk with on-error=stop is tried again.", NULL,
	  NULL, "The guest is being saved.", qmp_cont },
	{ "system_powerdown", "Push the power button. The guest may listen to it, or not.", NULL,
	  NULL, NULL, qmp_system_powerdown },
	{ "system_reset", "Reset the guest, as if its reset button were pushed. One that is stopped "
	  "stays so.", NULL, NULL, NULL, qmp_system_reset },
	{ "quit", "End the guest as if its plug were pulled. Its disks are flushed.", NULL, NULL,
	  NULL, qmp_quit },
	{ "x-hv-info", "What the guest is, and does.", NULL, &hv_info, NULL, qmp_hv_info },
	{ "x-hv-stats", "Counters.", NULL, &hv_stats, NULL, qmp_hv_stats },
	{ "x-hv-save", "Begin to write the state of the guest to a file. Without go-on the guest stands "
	  "still from now on.", save_arguments, NULL, "The file cannot be made, a device's state cannot be "
	  "saved, or this is being done.", qmp_hv_save },
	{ "query-x-hv-save", "How far x-hv-save is.", NULL, &hv_save, NULL, qmp_hv_query_save },
	{ "x-hv-balloon-info", "The balloon, and what the guest's kernel says of its memory. It is "
	  "asked for newer, too.", NULL, &hv_balloon, "The guest has no balloon (DeviceNotActive).",
	  qmp_hv_balloon_info },
	{ "x-hv-balloon-trim", "Take the memory that is free in the guest now.", NULL, NULL,
	  "The guest has no balloon (DeviceNotActive), its driver does not say what is free, or this "
	  "is being done.", qmp_hv_balloon_trim },
	END
};

/* ---- Events ---- */

static const struct qmp_member shutdown_data[] = {
	MEMBER("guest", &qmp_bool, "Whether the guest did it."),
	MEMBER("reason", &shutdown_cause, "Why."), END
};

static const struct qmp_member reset_data[] = {
	MEMBER("guest", &qmp_bool, "Whether the guest did it."),
	MEMBER("reason", &reset_cause, "Why."), END
};

static const struct qmp_member panicked_data[] = {
	MEMBER("action", &qmp_str, "Always poweroff: hvm ends."),
	MEMBER("x-hv-reason", &qmp_str, "What happened, for people."), END
};

static const struct qmp_member io_error_data[] = {
	MEMBER("device", &qmp_str, "The disk."),
	MEMBER("action", &qmp_str, "Always stop: the guest waits for cont."),
	MEMBER("reason", &qmp_str, "The host's error, for people."), END
};

static const struct qmp_member balloon_data[] = {
	MEMBER("actual", &qmp_int, "What the guest keeps now, in bytes."), END
};

const struct qmp_event qmp_events[] = {
	{ "STOP", "The guest was stopped.", NULL, 0 },
	{ "RESUME", "The guest goes on.", NULL, 0 },
	{ "POWERDOWN", "The power button was pushed.", NULL, 0 },
	{ "RESET", "The guest was reset.", reset_data, 0 },
	{ "SHUTDOWN", "The guest ends.", shutdown_data, 0 },
	{ "GUEST_PANICKED", "The guest cannot go on: a triple fault, or it said so.", panicked_data,
	  0 },
	{ "BLOCK_IO_ERROR", "The host could not read or write a disk with on-error=stop.",
	  io_error_data, 0 },
	{ "BALLOON_CHANGE", "The guest gave up memory, or took some back.", balloon_data, 1000 },
	END
};
