// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm pause, hvm resume, hvm reset */
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
			hvm_bad_option(argv[0], opt, argv[optind - 1], err);
		return NULL;
	}
	return hvm_guest_argument(argv[0], argc, argv, err);
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

static int reset_command(int argc, char **argv, struct hv_err *err)
{
	return simple_command(argc, argv, &hvm_cmd_reset, "system_reset", err);
}

const struct hvm_command hvm_cmd_reset = {
	.name = "reset",
	.run = reset_command,
	.summary = "reset a guest",
	.usage =
"Usage: hvm reset NAME\n"
"\n"
"Reset guest NAME at once, as if its reset button were pushed: what it has not written to\n"
"its disks is lost. A guest that was paused stays so. With --no-reboot it ends instead.\n"
"\n"
"  --help    show this\n"
"\n"
"Exit status: 0, or 1 if there is no such guest.\n",
};

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
"  --help    show this\n"
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
"  --help    show this\n"
"\n"
"Exit status: 0, or 1 if there is no such guest.\n",
};
