// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm restore */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../state/disks.h"
#include "../state/saved_config.h"
#include "cli.h"

enum {
	OPT_ACCEL = 256, OPT_CONSOLE, OPT_DISK, OPT_HELP, OPT_NAME, OPT_NET, OPT_OVERLAYS,
	OPT_PAUSED, OPT_SERIAL, OPT_TRUST, OPT_VERIFY, OPT_VSOCK,
};

static const struct option restore_options[] = {
	{ "accel", required_argument, NULL, OPT_ACCEL },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "net", required_argument, NULL, OPT_NET },
	{ "overlays", required_argument, NULL, OPT_OVERLAYS },
	{ "paused", no_argument, NULL, OPT_PAUSED },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "trust-disks", no_argument, NULL, OPT_TRUST },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "vsock", required_argument, NULL, OPT_VSOCK },
	{ NULL, 0, NULL, 0 },
};

#define MAX_CHANGES	64

/* "--disk N=FILE" and the like: option @name, the @n'th of them, becomes @value. */
struct change {
	const char *name, *value;
	unsigned int n;
};

struct restore_args {
	const char *file, *name, *overlays;
	bool help, paused, trust, verify;
	struct change change[MAX_CHANGES];
	unsigned int nr_changes;
	bool disk_given[HVM_MAX_DISKS];
	char *made[HVM_MAX_DISKS];	/* overlays that were not there before; allocated */
};

/* ---- The command line ---- */

static int add_change(struct restore_args *a, const char *name, unsigned int n, const char *value,
		      struct hv_err *err)
{
	if (a->nr_changes == MAX_CHANGES)
		return hv_err_set(err, -E2BIG, "restore: too many options");
	a->change[a->nr_changes++] = (struct change){ name, value, n };
	return 0;
}

/* "N=VALUE", N from 0. */
static int add_numbered(struct restore_args *a, const char *name, const char *arg, unsigned int max,
			struct hv_err *err)
{
	uint64_t n;
	char *end;

	if (hvm_parse_number(arg, &end, &n) || n >= max || *end != '=' || !end[1])
		return hv_err_set(err, -EINVAL, "--%s %s: N=VALUE is wanted, N from 0 to %u", name, arg,
				  max - 1);
	if (!strcmp(name, "disk"))
		a->disk_given[n] = true;
	return add_change(a, name, (unsigned int)n, end + 1, err);
}

static int restore_option(struct restore_args *a, int opt, const char *arg, struct hv_err *err)
{
	switch (opt) {
	case OPT_ACCEL:
		return add_change(a, "accel", 0, arg, err);
	case OPT_CONSOLE:
		return add_change(a, "console", 0, arg, err);
	case OPT_DISK:
		return add_numbered(a, "disk", arg, HVM_MAX_DISKS, err);
	case OPT_HELP:
		a->help = true;
		return 0;
	case OPT_NAME:
		a->name = arg;
		return 0;
	case OPT_NET:
		return add_numbered(a, "net", arg, HVM_MAX_NETS, err);
	case OPT_OVERLAYS:
		a->overlays = arg;
		return 0;
	case OPT_PAUSED:
		a->paused = true;
		return 0;
	case OPT_SERIAL:
		return add_change(a, "serial", 0, arg, err);
	case OPT_TRUST:
		a->trust = true;
		return 0;
	case OPT_VERIFY:
		a->verify = true;
		return 0;
	default:
		return add_change(a, "vsock", 0, arg, err);
	}
}

static int parse_restore(int argc, char **argv, struct restore_args *a, struct hv_err *err)
{
	int opt, ret = 0;

	*a = (struct restore_args){ 0 };
	optind = 0;
	opterr = 0;
	while (!ret && (opt = getopt_long(argc, argv, ":", restore_options, NULL)) != -1) {
		if (opt == '?' || opt == ':')
			return hv_err_set(err, -EINVAL, "restore: %s %s (see \"hvm restore --help\")",
					  argv[optind - 1], opt == ':' ? "needs a value" :
					  "is no option");
		ret = restore_option(a, opt, optarg, err);
	}
	if (ret || a->help)
		return ret;
	if (argc - optind != 1)
		return hv_err_set(err, -EINVAL, "restore: one file is wanted (see \"hvm restore "
				  "--help\")");
	a->file = argv[optind];
	return 0;
}

/* ---- Disks ---- */

/* The value of --disk with another file: its options stay, but for the format. */
static char *disk_value(const char *old, const char *path, const char *format)
{
	size_t room = strlen(old) + 2 * strlen(path) + 32;
	char *value = malloc(room), *opt = malloc(strlen(old) + 1), *p = value;
	const char *rest;

	if (!value || !opt) {
		free(value);
		free(opt);
		return NULL;
	}
	for (; *path; path++) {
		if (*path == ',')
			*p++ = ',';
		*p++ = *path;
	}
	*p = '\0';
	if (format)
		p += sprintf(p, ",format=%s", format);
	rest = hvm_take_field(old, opt);
	while (rest) {
		rest = hvm_take_field(rest, opt);
		if (!format || strncmp(opt, "format=", 7))
			p += sprintf(p, ",%s", opt);
	}
	free(opt);
	return value;
}

static int set_disk(struct hvm_saved_config *c, unsigned int n, const char *path,
		    const char *format, struct hv_err *err)
{
	struct hvm_saved_option *o = hvm_saved_config_option(c, "disk", n);
	char *value = o && o->value ? disk_value(o->value, path, format) : NULL;
	int ret = value ? hvm_saved_config_set(c, "disk", n, value) : -ENOMEM;

	free(value);
	return ret ? hv_err_set(err, ret, "disk %u: out of memory", n) : 0;
}

/* A frozen image is not to be written to: the guest gets an overlay on it, new in DIR. */
static int make_overlay(struct hvm_saved_config *c, unsigned int n, struct restore_args *a,
			struct hv_err *err)
{
	const char *base = c->disk[n].path;
	uint64_t size;
	char *path;
	int ret;

	if (asprintf(&path, "%s/%s-%u.qcow2", a->overlays, c->name, n) < 0)
		return hv_err_set(err, -ENOMEM, "restore: out of memory");
	if (!access(path, F_OK)) {
		free(path);
		return hv_err_set(err, -EEXIST, "%s/%s-%u.qcow2: exists; choose another --name or "
				  "directory", a->overlays, c->name, n);
	}
	a->made[n] = path;
	ret = hvm_qcow2_size(base, &size, err);
	if (!ret)
		ret = hvm_make_overlay(path, base, size, err);
	return ret ? ret : set_disk(c, n, path, "qcow2", err);
}

/* The file as it is named in the state, which may be another than the guest was started with. */
static int prepare_disk(struct hvm_saved_config *c, unsigned int n, struct restore_args *a,
			struct hv_err *err)
{
	int ret = a->trust ? 0 : hvm_saved_disk_check(&c->disk[n], err);

	if (ret)
		return ret;
	if (c->disk[n].kind != HVM_DISK_FROZEN)
		return set_disk(c, n, c->disk[n].path, NULL, err);
	if (!a->overlays)
		return hv_err_set(err, -EINVAL, "restore: the snapshot's disk %s is never written to: say "
				  "--overlays DIR for a new overlay on it, or --disk %u=FILE",
				  c->disk[n].path, n);
	return make_overlay(c, n, a, err);
}

static int prepare_disks(struct hvm_saved_config *c, struct restore_args *a, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < c->nr_disks && !ret; i++) {
		if (!hvm_saved_config_option(c, "disk", i))
			ret = hv_err_set(err, -EBADMSG, "%s: disk %u is not in the options", a->file, i);
		else if (!a->disk_given[i])
			ret = prepare_disk(c, i, a, err);
	}
	return ret;
}

/* ---- The configuration ---- */

/* Of --disk only the file changes, of others all. */
static int apply_change(struct hvm_saved_config *c, const struct change *change, struct hv_err *err)
{
	int ret;

	if (change->n && !hvm_saved_config_option(c, change->name, change->n))
		ret = -ENOENT;
	else if (!strcmp(change->name, "disk") || !strcmp(change->name, "net"))
		ret = hvm_saved_config_option(c, change->name, change->n) ? 0 : -ENOENT;
	else
		ret = 0;
	if (ret)
		return hv_err_set(err, ret, "--%s %u=%s: the guest has no such device", change->name,
				  change->n, change->value);
	if (!strcmp(change->name, "disk"))
		return set_disk(c, change->n, change->value, NULL, err);
	ret = hvm_saved_config_set(c, change->name, change->n, change->value);
	return ret ? hv_err_set(err, ret, "restore: out of memory") : 0;
}

static int set_name(struct hvm_saved_config *c, const char *name, struct hv_err *err)
{
	char valid[HVM_NAME_MAX + 1];
	char *copy;
	int ret = hvm_parse_name(name, valid, err);

	if (ret)
		return ret;
	copy = strdup(valid);
	if (!copy || hvm_saved_config_set(c, "name", 0, valid)) {
		free(copy);
		return hv_err_set(err, -ENOMEM, "restore: out of memory");
	}
	free(c->name);
	c->name = copy;
	return 0;
}

/* The options again as arguments, for the parser of "hvm run"; they must outlive @cfg. */
static int parse_saved(const struct hvm_saved_config *c, char ***argv, struct hvm_config *cfg,
		       struct hv_err *err)
{
	char **v = calloc(2 * c->nr_options + 2, sizeof(v[0]));
	bool help = false;
	int argc = 0, ret = 0;

	*argv = v;
	if (!v)
		return hv_err_set(err, -ENOMEM, "restore: out of memory");
	v[argc++] = strdup("run");
	for (unsigned int i = 0; i < c->nr_options; i++) {
		const struct hvm_saved_option *o = &c->option[i];

		if (asprintf(&v[argc], "--%s", o->name) < 0) {
			v[argc] = NULL;
			return hv_err_set(err, -ENOMEM, "restore: out of memory");
		}
		argc++;
		if (o->value)
			v[argc++] = strdup(o->value);
	}
	for (int i = 0; i < argc; i++)
		if (!v[i])
			return hv_err_set(err, -ENOMEM, "restore: out of memory");
	ret = hvm_parse_run(argc, v, cfg, &help, err);
	if (!ret && help)
		ret = hv_err_set(err, -EBADMSG, "the guest's options are damaged");
	return ret;
}

static void free_argv(char **argv)
{
	for (char **p = argv; p && *p; p++)
		free(*p);
	free(argv);
}

/* Relative names of the options begin where the guest was started. */
static int enter_dir(const struct hvm_saved_config *c, struct hv_err *err)
{
	if (!chdir(c->dir))
		return 0;
	return hv_err_set(err, -errno, "%s: the guest was started in this directory: %s", c->dir,
			  strerror(errno));
}

/* What the user names is relative to where the user is. */
static int make_absolute(struct restore_args *a, char overlays[PATH_MAX], struct hv_err *err)
{
	struct stat st;

	if (!a->overlays)
		return 0;
	if (!realpath(a->overlays, overlays) || stat(overlays, &st) || !S_ISDIR(st.st_mode))
		return hv_err_set(err, -ENOTDIR, "--overlays %s: not a directory", a->overlays);
	a->overlays = overlays;
	return 0;
}

static int make_changes_absolute(struct restore_args *a, char *path[HVM_MAX_DISKS],
				 struct hv_err *err)
{
	for (unsigned int i = 0, n = 0; i < a->nr_changes; i++) {
		struct change *c = &a->change[i];

		if (strcmp(c->name, "disk"))
			continue;
		if (n == HVM_MAX_DISKS)
			return hv_err_set(err, -E2BIG, "restore: too many disks");
		path[n] = realpath(c->value, NULL);
		if (!path[n])
			return hv_err_set(err, -errno, "--disk %u=%s: %s", c->n, c->value,
					  strerror(errno));
		c->value = path[n++];
	}
	return 0;
}

static int restore_config(struct hvm_stream *s, struct restore_args *a, struct hvm_saved_config *c,
			  struct hv_err *err)
{
	char overlays[PATH_MAX], *path[HVM_MAX_DISKS] = { NULL };
	int ret = hvm_saved_config_read(&s->r, c, err);

	if (ret)
		return hv_err_prefix(err, "%s (written by %s)", s->path, s->creator);
	ret = set_name(c, a->name ? a->name : c->name, err);
	if (!ret)
		ret = make_absolute(a, overlays, err);
	if (!ret)
		ret = make_changes_absolute(a, path, err);
	for (unsigned int i = 0; i < a->nr_changes && !ret; i++)
		ret = apply_change(c, &a->change[i], err);
	if (!ret)
		ret = enter_dir(c, err);
	if (!ret)
		ret = prepare_disks(c, a, err);
	for (unsigned int i = 0; i < HVM_MAX_DISKS; i++)
		free(path[i]);
	return ret;
}

/* ---- Running ---- */

/* A guest that did not start has not written to its overlays, which would be in the way later. */
static void forget_overlays(struct restore_args *a, bool started)
{
	for (unsigned int i = 0; i < HVM_MAX_DISKS; i++) {
		if (a->made[i] && !started)
			unlink(a->made[i]);
		free(a->made[i]);
	}
}

static int restore_run(struct hvm_stream *s, struct restore_args *a, struct hv_err *err)
{
	struct hvm_saved_config saved = { 0 };
	struct hvm_config cfg;
	char **argv = NULL;
	int status = HVM_STATUS_USAGE;

	if (!restore_config(s, a, &saved, err) && !parse_saved(&saved, &argv, &cfg, err)) {
		cfg.restore = s;
		cfg.start_paused = a->paused;
		status = hvm_run_machine(&cfg, err);
		hvm_config_free(&cfg);
	}
	forget_overlays(a, status != HVM_STATUS_USAGE);
	free_argv(argv);
	hvm_saved_config_free(&saved);
	return status;
}

static int restore_command(int argc, char **argv, struct hv_err *err)
{
	struct restore_args args;
	struct hvm_stream *s;
	int status;

	if (parse_restore(argc, argv, &args, err))
		return HVM_STATUS_USAGE;
	if (args.help)
		return hvm_print_help(&hvm_cmd_restore, err);
	if (hvm_stream_open(args.file, &s, err))
		return HVM_STATUS_USAGE;
	if (args.verify && hvm_stream_verify_ram(s, err))
		status = HVM_STATUS_USAGE;
	else
		status = restore_run(s, &args, err);
	hvm_stream_close(s);
	return status;
}

const struct hvm_command hvm_cmd_restore = {
	.name = "restore",
	.run = restore_command,
	.summary = "let a guest go on from a file",
	.usage =
"Usage: hvm restore FILE [OPTION]...\n"
"\n"
"Let the guest go on that \"hvm save\" or \"hvm snapshot\" wrote to FILE, which must stay\n"
"as it is meanwhile: memory is read from it when it is needed.\n"
"\n"
"  --overlays DIR      for a snapshot: new overlays on its disks, DIR/NAME-N.qcow2 for disk N\n"
"  --name NAME         another name than the guest had\n"
"  --paused            do not let it run before \"hvm resume\"\n"
"  --verify            read and check all of FILE first\n"
"  --trust-disks       do not ask whether disks are what they were\n"
"\n"
"In the place of what the guest had (N counts from 0):\n"
"  --disk N=FILE       another image for disk N, which must have the same contents\n"
"  --net N=VALUE       another value of --net\n"
"  --serial WHERE, --console WHERE, --vsock VALUE, --accel PATH\n"
"\n"
"Values, keys and the exit status are those of \"hvm run\".\n",
};
