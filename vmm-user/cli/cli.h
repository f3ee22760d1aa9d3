/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CLI_H
#define HVM_CLI_H

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

extern const struct hvm_command hvm_cmd_run, hvm_cmd_ps, hvm_cmd_stop, hvm_cmd_pause,
	hvm_cmd_resume, hvm_cmd_balloon, hvm_cmd_disk, hvm_cmd_help;
extern const struct hvm_command *const hvm_commands[];	/* ends with NULL */

const struct hvm_command *hvm_command_find(const char *name);
/* Print to standard output, and see that it got there. */
int hvm_print_help(const struct hvm_command *cmd, struct hv_err *err);
int hvm_flush_stdout(struct hv_err *err);

/* ---- options.c: values of options; all return 0 or -EINVAL with a message ---- */

/* A number of processors: 1 to HVM_MAX_CPUS. */
int hvm_parse_cpus(const char *s, unsigned int *cpus, struct hv_err *err);
/* "512M", "2G"; a number without suffix counts MiB. *@bytes is whole MiB. @option: for messages. */
int hvm_parse_mem(const char *option, const char *s, uint64_t *bytes, struct hv_err *err);
/* "FILE[,format=qcow2|raw][,readonly]"; a comma in the name is written twice. */
int hvm_parse_disk(const char *s, struct hvm_disk_config *disk, struct hv_err *err);
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

/* "NAME,socket=FILE" */
int hvm_parse_port(const char *s, struct hvm_port_config *port, struct hv_err *err);
void hvm_port_config_free(struct hvm_port_config *port);

/*
 * Parts of values. Copy up to the next single comma, two are one of the text; returns what follows
 * the comma, or NULL at the end. @out has room for all of @s.
 */
const char *hvm_take_field(const char *s, char *out);
/* Digits only: strtoull() alone takes signs, spaces and the empty string. *@end is what follows. */
int hvm_parse_number(const char *s, char **end, uint64_t *v);
/* A number from @min to @max and nothing behind it. */
int hvm_parse_range(const char *s, uint64_t min, uint64_t max, uint64_t *v);
/* A number with an optional suffix K, M, G or T (powers of 1024), up to 1T. */
int hvm_parse_rate(const char *s, uint64_t *v);

/* The arguments of "hvm run"; *@help if only help is wanted. */
int hvm_parse_run(int argc, char **argv, struct hvm_config *cfg, bool *help, struct hv_err *err);
void hvm_config_free(struct hvm_config *cfg);

#endif
