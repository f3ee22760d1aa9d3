// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm save, hvm snapshot */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../control/client.h"
#include "cli.h"

#define POLL_MS		100
#define END_POLLS	600	/* a minute for disks to be closed */

struct save_args {
	const char *name, *file;
	bool force, help;
};

static int parse_save(int argc, char **argv, struct save_args *args, struct hv_err *err)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	*args = (struct save_args){ 0 };
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		args->force |= opt == 'f';
		args->help |= opt == 'h';
		if (opt != 'f' && opt != 'h')
			return hv_err_set(err, -EINVAL, "%s: unknown option %s (see \"hvm %s --help\")",
					  argv[0], argv[optind - 1], argv[0]);
	}
	if (args->help)
		return 0;
	if (argc - optind != 2)
		return hv_err_set(err, -EINVAL, "%s: a guest's name and a file are wanted (see \"hvm %s "
				  "--help\")", argv[0], argv[0]);
	args->name = argv[optind];
	args->file = argv[optind + 1];
	if (!hvm_name_valid(args->name))
		return hv_err_set(err, -ENOENT, "no guest named %s is running", args->name);
	return 0;
}

/* The guest's process is somewhere else. */
static int absolute(const char *file, char path[PATH_MAX], struct hv_err *err)
{
	char dir[PATH_MAX] = "";
	int n;

	if (file[0] != '/' && !getcwd(dir, sizeof(dir)))
		return hv_err_set(err, -errno, "the current directory: %s", strerror(errno));
	n = snprintf(path, PATH_MAX, "%s%s%s", dir, dir[0] ? "/" : "", file);
	return n < PATH_MAX ? 0 : hv_err_set(err, -ENAMETOOLONG, "%s: too long", file);
}

static void sleep_ms(unsigned int ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000l };

	nanosleep(&ts, NULL);
}

static void show_progress(const json_t *info)
{
	json_int_t done = json_integer_value(json_object_get(info, "done"));
	json_int_t total = json_integer_value(json_object_get(info, "total"));

	if (!isatty(STDOUT_FILENO))
		return;
	printf("\r%lld of %lld MiB of memory", (long long)done >> 20, (long long)total >> 20);
	fflush(stdout);
}

static void clear_progress(void)
{
	if (isatty(STDOUT_FILENO))
		printf("\r\033[K");
}

/* 1: not done yet; 0: it is; else -errno. */
static int poll_save(const char *name, struct hv_err *err)
{
	json_t *info = NULL;
	const char *status, *error;
	int ret = hvm_control_call(name, "query-x-hv-save", &info, err);

	/* It is taking its own picture, or copying its page tables. */
	if (ret == -ETIMEDOUT)
		return 1;
	if (ret)
		return ret == -ENOENT || ret == -EPIPE ?
		       hv_err_set(err, ret, "guest %s ended before it was saved", name) : ret;
	status = json_string_value(json_object_get(info, "status"));
	error = json_string_value(json_object_get(info, "error"));
	ret = 1;
	if (status && !strcmp(status, "completed"))
		ret = 0;
	else if (!status || strcmp(status, "active"))
		ret = hv_err_set(err, -EIO, "guest %s: %s", name, error ? error : "it is not saved");
	else
		show_progress(info);
	json_decref(info);
	return ret;
}

static int save_and_wait(const struct save_args *args, bool go_on, struct hv_err *err)
{
	char path[PATH_MAX];
	int ret = absolute(args->file, path, err);

	if (!ret)
		ret = hvm_control_call_with(args->name, "x-hv-save",
					    json_pack("{s:s, s:b, s:b}", "file", path,
						      "force", args->force, "go-on", go_on), NULL, err);
	if (ret)
		return ret;
	while ((ret = poll_save(args->name, err)) > 0)
		sleep_ms(POLL_MS);
	clear_progress();
	return ret;
}

static int snapshot_command(int argc, char **argv, struct hv_err *err)
{
	struct save_args args;

	if (parse_save(argc, argv, &args, err))
		return 1;
	if (args.help)
		return hvm_print_help(&hvm_cmd_snapshot, err);
	return save_and_wait(&args, true, err) ? 1 : 0;
}

static int save_command(int argc, char **argv, struct hv_err *err)
{
	struct save_args args;

	if (parse_save(argc, argv, &args, err))
		return 1;
	if (args.help)
		return hvm_print_help(&hvm_cmd_save, err);
	if (save_and_wait(&args, false, err))
		return 1;
	/* If nobody told it to end, it would by itself soon. */
	hvm_control_call(args.name, "quit", NULL, NULL);
	for (int i = 0; i < END_POLLS; i++) {
		if (!hvm_control_running(args.name))
			return 0;
		sleep_ms(POLL_MS);
	}
	hv_err_set(err, -ETIMEDOUT, "guest %s is saved, but does not end (hvm stop --force)", args.name);
	return 1;
}

const struct hvm_command hvm_cmd_save = {
	.name = "save",
	.run = save_command,
	.summary = "write a guest's state to a file, and end it",
	.usage =
"Usage: hvm save NAME FILE [--force]\n"
"\n"
"Stop guest NAME, write its memory and everything else that it is to FILE, and end it;\n"
"\"hvm restore FILE\" lets it go on, with the same disks, which must not change meanwhile.\n"
"If it cannot be saved, it goes on.\n"
"\n"
"  --force    overwrite FILE\n"
"\n"
"Exit status: 0, or 1 if the guest could not be saved.\n",
};

const struct hvm_command hvm_cmd_snapshot = {
	.name = "snapshot",
	.run = snapshot_command,
	.summary = "write a guest's state to a file while it goes on",
	.usage =
"Usage: hvm snapshot NAME FILE [--force]\n"
"\n"
"Write what guest NAME is at this moment to FILE; the guest goes on. Its disks must be qcow2\n"
"images: what disk DISK has at this moment stays in DISK.FILE-NUMBER (FILE without its\n"
"directory), and DISK becomes an overlay on it. \"hvm restore FILE --overlays DIR\" makes a\n"
"guest of it, as often as wanted.\n"
"\n"
"  --force    overwrite FILE\n"
"\n"
"Exit status: 0, or 1 if there is no snapshot.\n",
};
