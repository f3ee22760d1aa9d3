// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm run */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../boot/cloud_init.h"
#include "../machine.h"
#include "cli.h"

#define DEFAULT_ACCEL	"/dev/hv"
#define DEFAULT_MEM	(512ULL << 20)

enum {
	OPT_ACCEL = 256, OPT_APPEND, OPT_BALLOON, OPT_CLOUD_INIT, OPT_CONSOLE, OPT_CPUS, OPT_DISK,
	OPT_FIRMWARE, OPT_FS, OPT_GDB, OPT_HELP, OPT_INITRD, OPT_KERNEL, OPT_MEM, OPT_NAME, OPT_NET,
	OPT_NO_REBOOT, OPT_PORT, OPT_SERIAL, OPT_VSOCK,
};

static const struct option run_options[] = {
	{ "accel", required_argument, NULL, OPT_ACCEL },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "balloon", no_argument, NULL, OPT_BALLOON },
	{ "cloud-init", required_argument, NULL, OPT_CLOUD_INIT },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "firmware", required_argument, NULL, OPT_FIRMWARE },
	{ "fs", required_argument, NULL, OPT_FS },
	{ "gdb", required_argument, NULL, OPT_GDB },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "mem", required_argument, NULL, OPT_MEM },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "net", required_argument, NULL, OPT_NET },
	{ "no-reboot", no_argument, NULL, OPT_NO_REBOOT },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "vsock", required_argument, NULL, OPT_VSOCK },
	{ NULL, 0, NULL, 0 },
};

static const char run_usage[] =
"Usage: hvm run --kernel FILE [OPTION]...\n"
"       hvm run --firmware NAME --disk FILE [OPTION]...\n"
"\n"
"Run a guest until it switches itself off.\n"
"\n"
"  --kernel FILE       Linux kernel: a bzImage, or an ELF file with a PVH entry\n"
"  --initrd FILE       initial RAM disk\n"
"  --append STRING     kernel command line\n"
"  --firmware bios|uefi|FILE[,vars=FILE]\n"
"                      start as a PC does, from a disk: bios is SeaBIOS, uefi is OVMF (packages\n"
"                      seabios and ovmf), or an image of such firmware. UEFI variables are kept\n"
"                      in the file of vars=, which is made when it is not there.\n"
"  --cloud-init FILE[,meta-data=FILE][,network-config=FILE]\n"
"                      settings for cloud-init of the guest: FILE is its user-data. They are on\n"
"                      a disk of their own, behind all others.\n"
"  --disk FILE[,format=qcow2|raw][,readonly][,OPTION]...\n"
"                      a disk: the first one given is /dev/vda of the guest, the next\n"
"                      /dev/vdb, ... (at most 24). qcow2 images are recognised; a raw\n"
"                      image that the guest may write to needs format=raw. A comma in\n"
"                      the file's name is written twice. Options: queues=N and\n"
"                      threads=queue|one, limit-iops=N and limit-bytes=RATE (per second),\n"
"                      on-error=report|stop|ignore (when the host cannot read or write),\n"
"                      backend=process (the disk's work is done by a process of its own,\n"
"                      which is started again when it crashes).\n"
"  --disk vhost-user,socket=FILE[,queues=N]\n"
"                      a disk that another process serves, like hv-backend-blk\n"
"  --cpus N            processors (default 1)\n"
"  --mem SIZE          memory, like 512M or 2G; MiB without suffix (default 512M)\n"
"  --serial WHERE      the first serial line, /dev/ttyS0 of the guest (default stdio):\n"
"                        stdio      this terminal\n"
"                        pty        a new pseudo-terminal, whose path is printed\n"
"                        file:FILE  append output to FILE; no input\n"
"                        none       nowhere\n"
"  --console WHERE     a virtio console, /dev/hvc0 of the guest (default: there is none);\n"
"                      WHERE is as for --serial, and only one of them can be stdio\n"
"  --net tap[,ifname=NAME][,queues=N][,vhost=on|off]\n"
"  --net passt,socket=FILE\n"
"  --net switch,network=NAME\n"
"  --net vhost-user,socket=FILE\n"
"                      a network card (at most 4): on a TAP interface of the host, on a\n"
"                      running passt, on a switch that guests of this user share, or of\n"
"                      another process, like hv-backend-net. All take mac=ADDRESS, and all\n"
"                      but the last limit-bytes=RATE and limit-packets=RATE (per second and\n"
"                      direction), and backend=process as for disks.\n"
"  --fs DIR,tag=NAME[,server=PROGRAM]\n"
"  --fs tag=NAME,socket=FILE\n"
"                      a directory of the host's that the guest mounts as NAME (mount -t\n"
"                      virtiofs NAME /mnt; at most 4): by a virtiofsd that is started, or one\n"
"                      that listens at FILE\n"
"  --balloon           a memory balloon, for \"hvm balloon\"; the guest also gives back\n"
"                      memory as soon as it is free\n"
"  --vsock socket=FILE[,cid=N]\n"
"                      sockets between guest and host: programs of the host connect to FILE\n"
"                      and say \"CONNECT PORT\", the guest connects to FILE_PORT\n"
"  --vsock cid=N       the same through the host's kernel (AF_VSOCK)\n"
"  --port NAME,socket=FILE\n"
"                      a named port (at most 16): /dev/virtio-ports/NAME of the guest is the\n"
"                      program of the host that connects to FILE\n"
"  --name NAME         what \"hvm ps\" and \"hvm stop\" call it (default: hvm-PID)\n"
"  --no-reboot         end when the guest asks for a reset, with status 4\n"
"  --gdb [tcp:]HOST:PORT|unix:PATH[,wait][,remote]\n"
"                      let gdb connect there (\"target remote\"); with wait the guest begins\n"
"                      when gdb says so. Addresses that others can reach need remote.\n"
"  --accel PATH        hypervisor device (default /dev/hv): /dev/kvm works, too\n"
"  --help              show this\n"
"\n"
"Keys on stdio: Ctrl-A x ends the guest at once, Ctrl-A p pushes its power button,\n"
"Ctrl-A r resets it, Ctrl-A b sends a break, Ctrl-A h shows help, Ctrl-A Ctrl-A sends\n"
"Ctrl-A.\n"
"\n"
"Exit status: 0 the guest switched off, or hvm was told to end (hvm stop, SIGTERM, SIGINT,\n"
"SIGHUP, Ctrl-A x); 1 wrong command line, or the guest could not be started; 2 the host\n"
"failed while the guest ran; 3 the guest crashed (triple fault); 4 the guest asked for a\n"
"reset, and --no-reboot was given.\n";

/* ---- The command line ---- */

/* Is there room for one more of an option that can be given @max times? */
static int need_room(unsigned int nr, unsigned int max, const char *option, const char *arg,
		     const char *what, struct hv_err *err)
{
	if (nr < max)
		return 0;
	return hv_err_set(err, -E2BIG, "%s %s: a guest can have %u %s", option, arg, max, what);
}

static int add_disk(struct hvm_config *cfg, const char *arg, struct hv_err *err)
{
	int ret = need_room(cfg->nr_disks, HVM_MAX_DISKS, "--disk", arg, "disks", err);

	if (!ret)
		ret = hvm_parse_disk(arg, &cfg->disk[cfg->nr_disks], err);
	if (!ret)
		cfg->nr_disks++;
	return ret;
}

static int add_net(struct hvm_config *cfg, const char *arg, struct hv_err *err)
{
	int ret = need_room(cfg->nr_nets, HVM_MAX_NETS, "--net", arg, "network cards", err);

	if (!ret)
		ret = hvm_parse_net(arg, &cfg->net[cfg->nr_nets], err);
	if (!ret)
		cfg->nr_nets++;
	return ret;
}

static int add_fs(struct hvm_config *cfg, const char *arg, struct hv_err *err)
{
	int ret = need_room(cfg->nr_fs, HVM_MAX_FS, "--fs", arg, "shared directories", err);

	if (!ret)
		ret = hvm_parse_fs(arg, &cfg->fs[cfg->nr_fs], err);
	if (!ret)
		cfg->nr_fs++;
	return ret;
}

static int add_port(struct hvm_config *cfg, const char *arg, struct hv_err *err)
{
	int ret = need_room(cfg->nr_ports, HVM_MAX_PORTS, "--port", arg, "ports", err);

	if (!ret)
		ret = hvm_parse_port(arg, &cfg->port[cfg->nr_ports], err);
	if (!ret)
		cfg->nr_ports++;
	return ret;
}

static int run_option(struct hvm_config *cfg, int opt, const char *arg, struct hv_err *err)
{
	switch (opt) {
	case OPT_ACCEL:
		cfg->accel = arg;
		return 0;
	case OPT_APPEND:
		cfg->append = arg;
		return 0;
	case OPT_BALLOON:
		cfg->balloon = true;
		return 0;
	case OPT_CLOUD_INIT:
		return hvm_parse_cloud_init(arg, &cfg->cloud_init, err);
	case OPT_CONSOLE:
		return hvm_parse_chardev("--console", arg, &cfg->console, err);
	case OPT_CPUS:
		return hvm_parse_cpus(arg, &cfg->cpus, err);
	case OPT_DISK:
		return add_disk(cfg, arg, err);
	case OPT_FIRMWARE:
		return hvm_parse_firmware(arg, &cfg->firmware, err);
	case OPT_FS:
		return add_fs(cfg, arg, err);
	case OPT_GDB:
		return hvm_parse_gdb(arg, &cfg->gdb, err);
	case OPT_INITRD:
		cfg->initrd = arg;
		return 0;
	case OPT_KERNEL:
		cfg->kernel = arg;
		return 0;
	case OPT_MEM:
		return hvm_parse_mem("--mem", arg, &cfg->mem, err);
	case OPT_NAME:
		return hvm_parse_name(arg, cfg->name, err);
	case OPT_NET:
		return add_net(cfg, arg, err);
	case OPT_NO_REBOOT:
		cfg->no_reboot = true;
		return 0;
	case OPT_PORT:
		return add_port(cfg, arg, err);
	case OPT_VSOCK:
		return hvm_parse_vsock(arg, &cfg->vsock, err);
	default:
		return hvm_parse_chardev("--serial", arg, &cfg->serial, err);
	}
}

static int run_check(const struct hvm_config *cfg, bool serial_given, struct hv_err *err)
{
	if (!cfg->kernel && !cfg->firmware.given)
		return hv_err_set(err, -EINVAL, "run: --kernel or --firmware is missing (see \"hvm "
				  "run --help\")");
	if (cfg->firmware.given && (cfg->kernel || cfg->initrd || cfg->append))
		return hv_err_set(err, -EINVAL, "run: with --firmware the kernel comes from a disk: "
				  "no --kernel, --initrd and --append");
	if (cfg->cloud_init.user_data && cfg->nr_disks == HVM_MAX_DISKS)
		return hv_err_set(err, -E2BIG, "run: --cloud-init is a disk, too: a guest can have "
				  "%u", HVM_MAX_DISKS);
	if (cfg->serial.kind == HVM_CHARDEV_STDIO && cfg->console.kind == HVM_CHARDEV_STDIO &&
	    serial_given)
		return hv_err_set(err, -EINVAL, "run: --serial and --console cannot both be stdio");
	return 0;
}

/* What getopt_long() found wrong with argument @arg. */
static int bad_option(int opt, const char *arg, struct hv_err *err)
{
	if (opt == ':')
		return hv_err_set(err, -EINVAL, "run: %s needs a value", arg);
	return hv_err_set(err, -EINVAL, "run: unknown option %s (see \"hvm run --help\")", arg);
}

int hvm_parse_run(int argc, char **argv, struct hvm_config *cfg, bool *help, struct hv_err *err)
{
	bool serial_given = false;
	int opt, at = 0, ret = 0;

	*help = false;
	*cfg = (struct hvm_config){
		.accel = DEFAULT_ACCEL, .cpus = 1, .mem = DEFAULT_MEM,
		.serial.kind = HVM_CHARDEV_STDIO,
	};
	snprintf(cfg->name, sizeof(cfg->name), "hvm-%d", (int)getpid());
	cfg->option = calloc((size_t)argc, sizeof(cfg->option[0]));
	if (!cfg->option)
		return hv_err_set(err, -ENOMEM, "run: out of memory");
	optind = 0;
	opterr = 0;
	while (!ret && (opt = getopt_long(argc, argv, "+:", run_options, &at)) != -1) {
		if (opt == OPT_HELP) {
			*help = true;
			hvm_config_free(cfg);
			return 0;
		}
		serial_given |= opt == OPT_SERIAL;
		ret = opt == '?' || opt == ':' ? bad_option(opt, argv[optind - 1], err) :
						 run_option(cfg, opt, optarg, err);
		if (!ret)
			cfg->option[cfg->nr_options++] =
				(struct hvm_option){ run_options[at].name, optarg };
	}
	if (!ret && optind < argc)
		ret = hv_err_set(err, -EINVAL, "run: what is \"%s\"? (see \"hvm run --help\")",
				 argv[optind]);
	if (!ret)
		ret = run_check(cfg, serial_given, err);
	/* A console on this terminal takes the place of the serial line. */
	if (!ret && cfg->console.kind == HVM_CHARDEV_STDIO && !serial_given)
		cfg->serial.kind = HVM_CHARDEV_NONE;
	if (ret)
		hvm_config_free(cfg);
	return ret;
}

void hvm_config_free(struct hvm_config *cfg)
{
	for (unsigned int i = 0; i < cfg->nr_disks; i++)
		hvm_disk_config_free(&cfg->disk[i]);
	for (unsigned int i = 0; i < cfg->nr_nets; i++)
		hvm_net_config_free(&cfg->net[i]);
	for (unsigned int i = 0; i < cfg->nr_fs; i++)
		hvm_fs_config_free(&cfg->fs[i]);
	cfg->nr_disks = 0;
	cfg->nr_nets = 0;
	cfg->nr_fs = 0;
	for (unsigned int i = 0; i < cfg->nr_ports; i++)
		hvm_port_config_free(&cfg->port[i]);
	cfg->nr_ports = 0;
	hvm_gdb_config_free(&cfg->gdb);
	free(cfg->vsock.socket);
	cfg->vsock.socket = NULL;
	free(cfg->option);
	cfg->option = NULL;
	cfg->nr_options = 0;
	hvm_firmware_config_free(&cfg->firmware);
	hvm_cloud_init_config_free(&cfg->cloud_init);
}

/* ---- Running ---- */

/* The image is a disk; when it was opened it needs no name any more. */
static int create_machine(struct hvm_config *cfg, struct hvm_machine **m, struct hv_err *err)
{
	struct hvm_disk_config *disk = &cfg->disk[cfg->nr_disks];
	int ret;

	if (!cfg->cloud_init.user_data)
		return hvm_machine_create(cfg, m, err);
	*disk = (struct hvm_disk_config){ .format = BLK_FORMAT_RAW, .readonly = true };
	ret = hvm_cloud_init_create(&cfg->cloud_init, cfg->name, &disk->path, err);
	if (ret)
		return ret;
	cfg->nr_disks++;
	ret = hvm_machine_create(cfg, m, err);
	unlink(disk->path);
	return ret;
}

int hvm_run_machine(struct hvm_config *cfg, struct hv_err *err)
{
	struct hvm_machine *m;
	enum hvm_status status;

	if (create_machine(cfg, &m, err))
		return HVM_STATUS_USAGE;
	status = hvm_machine_run(m, err);
	if (hvm_machine_destroy(m, status == HVM_STATUS_OK ? err : NULL) && status == HVM_STATUS_OK)
		status = HVM_STATUS_ERROR;
	return status;
}

static int run_command(int argc, char **argv, struct hv_err *err)
{
	struct hvm_config cfg;
	bool help;
	int status;

	if (hvm_parse_run(argc, argv, &cfg, &help, err))
		return HVM_STATUS_USAGE;
	if (help)
		return hvm_print_help(&hvm_cmd_run, err);
	status = hvm_run_machine(&cfg, err);
	hvm_config_free(&cfg);
	return status;
}

const struct hvm_command hvm_cmd_run = {
	.name = "run",
	.run = run_command,
	.summary = "run a guest",
	.usage = run_usage,
};
