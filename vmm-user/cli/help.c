// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm help, and what all commands share. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

const struct hvm_command *const hvm_commands[] = {
	&hvm_cmd_run, &hvm_cmd_ps, &hvm_cmd_info, &hvm_cmd_console, &hvm_cmd_stop, &hvm_cmd_reset,
	&hvm_cmd_pause, &hvm_cmd_resume, &hvm_cmd_balloon, &hvm_cmd_disk, &hvm_cmd_save,
	&hvm_cmd_snapshot, &hvm_cmd_restore, &hvm_cmd_stats, &hvm_cmd_events, &hvm_cmd_qmp,
	&hvm_cmd_help, NULL,
};

const struct hvm_command *hvm_command_find(const char *name)
{
	for (unsigned int i = 0; hvm_commands[i]; i++)
		if (!strcmp(hvm_commands[i]->name, name))
			return hvm_commands[i];
	return NULL;
}

int hvm_flush_stdout(struct hv_err *err)
{
	if (fflush(stdout) || ferror(stdout)) {
		hv_err_set(err, -EIO, "standard output: %s", strerror(errno));
		return 1;
	}
	return 0;
}

int hvm_print_help(const struct hvm_command *cmd, struct hv_err *err)
{
	fputs(cmd->usage, stdout);
	return hvm_flush_stdout(err);
}

static int help_all(struct hv_err *err)
{
	printf("Usage: hvm COMMAND [ARGUMENT]...\n\n"
	       "Run virtual machines on /dev/hv.\n\n");
	for (unsigned int i = 0; hvm_commands[i]; i++)
		printf("  %-8s %s\n", hvm_commands[i]->name, hvm_commands[i]->summary);
	printf("\n\"hvm COMMAND --help\" tells more; \"hvm --version\" shows the version.\n");
	return hvm_flush_stdout(err);
}

static int help_command(int argc, char **argv, struct hv_err *err)
{
	const struct hvm_command *cmd;

	if (argc < 2 || !strcmp(argv[1], "--help"))
		return help_all(err);
	cmd = hvm_command_find(argv[1]);
	if (!cmd) {
		hv_err_set(err, -EINVAL, "help: no command \"%s\" (see \"hvm help\")", argv[1]);
		return 1;
	}
	return hvm_print_help(cmd, err);
}

const struct hvm_command hvm_cmd_help = {
	.name = "help",
	.run = help_command,
	.summary = "show help",
	.usage = "Usage: hvm help [COMMAND]\n\nShow the commands, or how to use one of them.\n",
};
