/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CLI_H
#define HVM_CLI_H

#include <jansson.h>

#include "../../virtio-backends/util/err.h"
#include "../config.h"

/*
 * The commands of hvm. Each gets its own arguments (argv[0] is the command's name), returns the
 * exit status, and leaves a message in @err for main() to print when that is not 0.
 */
struct hvm_command {
	const char *name;
	int (*run)(int argc, char **argv, struct hv_err *err);
	const char *summary;	/* one line */
	const char *usage;	/* all of "hvm NAME --help" */
};

extern const struct hvm_command hvm_cmd_run, hvm_cmd_ps, hvm_cmd_info, hvm_cmd_console,
	hvm_cmd_stop, hvm_cmd_reset, hvm_cmd_pause, hvm_cmd_resume, hvm_cmd_balloon,
	hvm_cmd_disk, hvm_cmd_save, hvm_cmd_snapshot, hvm_cmd_restore, hvm_cmd_stats,
	hvm_cmd_events, hvm_cmd_qmp, hvm_cmd_help;
extern const struct hvm_command *const hvm_commands[];	/* ends with NULL */

const struct hvm_command *hvm_command_find(const char *name);
/* Print to standard output, and see that it got there. */
int hvm_print_help(const struct hvm_command *cmd, struct hv_err *err);
int hvm_flush_stdout(struct hv_err *err);

/* ---- args.c: what commands about a guest share ---- */

/* What getopt_long() found wrong with argument @arg of command @cmd. Returns 1, the exit status. */
int hvm_bad_option(const char *cmd, int opt, const char *arg, struct hv_err *err);
/* The one argument from argv[optind] on, a guest's name; NULL and a message if it is not. */
const char *hvm_guest_argument(const char *cmd, int argc, char **argv, struct hv_err *err);
/* The argument is a name that a guest can have? Else a message. */
bool hvm_guest_name_ok(const char *name, struct hv_err *err);
/* One line of JSON on standard output; -ENOMEM. */
int hvm_print_json(const json_t *value, struct hv_err *err);

/* ---- options.c: values of options; all return 0 or -EINVAL with a message ---- */

/* A number of processors: 1 to HVM_MAX_CPUS. */
int hvm_parse_cpus(const char *s, unsigned int *cpus, struct hv_err *err);
/* "512M", "2G"; a number without suffix counts MiB. *@bytes is whole MiB. @option: for messages. */
int hvm_parse_mem(const char *option, const char *s, uint64_t *bytes, struct hv_err *err);
/* "FILE[,format=qcow2|raw][,readonly]..." or "vhost-user,socket=FILE..."; a comma in the name is written twice. */
int hvm_parse_disk(const char *s, struct hvm_disk_config *disk, struct hv_err *err);
void hvm_disk_config_free(struct hvm_disk_config *disk);
/* "stdio", "pty", "none", "file:F" */
int hvm_parse_chardev(const char *option, const char *s, struct hvm_chardev_config *c,
		      struct hv_err *err);
int hvm_parse_name(const char *s, char name[HVM_NAME_MAX + 1], struct hv_err *err);
/* Seconds: 0 to 86400. */
int hvm_parse_timeout(const char *s, unsigned int *seconds, struct hv_err *err);

/* options_net.c: "tap[,ifname=I]...", "passt,socket=FILE...", "switch,network=NAME..." */
int hvm_parse_net(const char *s, struct hvm_net_config *net, struct hv_err *err);
void hvm_net_config_free(struct hvm_net_config *net);

/* "cid=N", "socket=FILE[,cid=N]" */
int hvm_parse_vsock(const char *s, struct hvm_vsock_config *vsock, struct hv_err *err);

/* options_fs.c: "DIR,tag=NAME[,server=PROGRAM]", "tag=NAME,socket=FILE" */
int hvm_parse_fs(const char *s, struct hvm_fs_config *fs, struct hv_err *err);
void hvm_fs_config_free(struct hvm_fs_config *fs);

/* "[tcp:]HOST:PORT" or "unix:PATH", then ",wait" and ",remote"; freed by hvm_config_free(). */
int hvm_parse_gdb(const char *s, struct hvm_gdb_config *gdb, struct hv_err *err);
void hvm_gdb_config_free(struct hvm_gdb_config *gdb);

/* "NAME,socket=FILE" */
int hvm_parse_port(const char *s, struct hvm_port_config *port, struct hv_err *err);
void hvm_port_config_free(struct hvm_port_config *port);

/* options_boot.c: "bios", "uefi[,vars=FILE]", "FILE[,vars=FILE]" */
int hvm_parse_firmware(const char *s, struct hvm_firmware_config *fw, struct hv_err *err);
void hvm_firmware_config_free(struct hvm_firmware_config *fw);
/* "FILE[,meta-data=FILE][,network-config=FILE]" */
int hvm_parse_cloud_init(const char *s, struct hvm_cloud_init_config *c, struct hv_err *err);
void hvm_cloud_init_config_free(struct hvm_cloud_init_config *c);

/*
 * Parts of values. Copy up to the next single comma, two are one of the text; returns what follows
 * the comma, or NULL at the end. @out has room for all of @s.
 */
const char *hvm_take_field(const char *s, char *out);
/*
 * @s without its field from @field on, as hvm_take_field() found it; @rest is what follows it, or
 * NULL. Allocated; NULL: no memory.
 */
char *hvm_cut_field(const char *s, const char *field, const char *rest);
/* Digits only: strtoull() alone takes signs, spaces and the empty string. *@end is what follows. */
int hvm_parse_number(const char *s, char **end, uint64_t *v);
/* A number from @min to @max and nothing behind it. */
int hvm_parse_range(const char *s, uint64_t min, uint64_t max, uint64_t *v);
/* A number with an optional suffix K, M, G or T (powers of 1024), up to 1T. */
int hvm_parse_rate(const char *s, uint64_t *v);

/* The arguments of "hvm run"; *@help if only help is wanted. */
int hvm_parse_run(int argc, char **argv, struct hvm_config *cfg, bool *help, struct hv_err *err);
void hvm_config_free(struct hvm_config *cfg);
/* Create the machine and run it to its end; returns the exit status. */
int hvm_run_machine(struct hvm_config *cfg, struct hv_err *err);

#endif
