// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm pause, hvm resume */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "../control/client.h"
#include "cli.h"

/* The one argument, a guest's name, or NULL and a message; *@help if that is wanted. */
static const char *name_argument(int argc, char **argv, bool *help, struct hv_err *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		*help = opt == 'h';
		if (!*help)
			hv_err_set(err, -EINVAL, "%s: unknown option %s (see \"hvm %s --help\")",
				   argv[0], argv[optind - 1], argv[0]);
		return NULL;
	}
	if (argc - optind != 1) {
		hv_err_set(err, -EINVAL, "%s: one guest's name is wanted (see \"hvm ps\")", argv[0]);
		return NULL;
	}
	if (!hvm_name_valid(argv[optind])) {
		hv_err_set(err, -ENOENT, "no guest named %s is running", argv[optind]);
		return NULL;
	}
	return argv[optind];
}

static int simple_command(int argc, char **argv, const struct hvm_command *cmd,
			  const char *command, struct hv_err *err)
{
	bool help = false;
	const char *name = name_argument(argc, argv, &help, err);

	if (help)
		return hvm_print_help(cmd, err);
	return !name || hvm_control_call(name, command, NULL, err) ? 1 : 0;
}

static int pause_command(int argc, char **argv, struct hv_err *err)
{
	return simple_command(argc, argv, &hvm_cmd_pause, "stop", err);
}

static int resume_command(int argc, char **argv, struct hv_err *err)
{
	return simple_command(argc, argv, &hvm_cmd_resume, "cont", err);
}

const struct hvm_command hvm_cmd_pause = {
	.name = "pause",
	.run = pause_command,
	.summary = "let a guest stand still",
	.usage =
"Usage: hvm pause NAME\n"
"\n"
"Stop the processors and devices of guest NAME, with everything in place, until\n"
"\"hvm resume NAME\".\n"
"\n"
"Exit status: 0, or 1 if there is no such guest.\n",
};

const struct hvm_command hvm_cmd_resume = {
	.name = "resume",
	.run = resume_command,
	.summary = "let a guest that stands still go on",
	.usage =
"Usage: hvm resume NAME\n"
"\n"
"Let guest NAME go on that was paused, or that waits because of a disk with\n"
"on-error=stop: what failed is tried again.\n"
"\n"
"Exit status: 0, or 1 if there is no such guest.\n",
};
