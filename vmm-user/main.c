// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm: runs virtual machines on /dev/hv. The commands are in cli/. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chardev.h"
#include "cli/cli.h"

#ifndef HVM_VERSION
#define HVM_VERSION "unknown"
#endif

/* A crash of ours must not leave the terminal raw. SA_RESETHAND makes the second one final. */
static void crashed(int sig)
{
	hvm_tty_restore();
	raise(sig);
}

static void set_signals(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };
	struct sigaction sa = { .sa_handler = crashed, .sa_flags = SA_RESETHAND };

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &sa, NULL);
	/* Writing to who is gone is an error like others; so is a terminal in the background. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	/* A file-size limit is an error of the write, not the end of the guest. */
	signal(SIGXFSZ, SIG_IGN);
}

int main(int argc, char **argv)
{
	const struct hvm_command *cmd;
	struct hv_err err = { 0 };
	const char *name;
	int status;

	set_signals();
	if (argc < 2) {
		fprintf(stderr, "hvm: a command is missing (see \"hvm help\")\n");
		return 1;
	}
	name = argv[1];
	if (!strcmp(name, "--version")) {
		printf("hvm %s\n", HVM_VERSION);
		return hvm_flush_stdout(&err);
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	cmd = hvm_command_find(name);
	if (!cmd) {
		fprintf(stderr, "hvm: no command \"%s\" (see \"hvm help\")\n", name);
		return 1;
	}
	status = cmd->run(argc - 1, argv + 1, &err);
	hvm_tty_restore();
	if (status && err.msg[0])
		fprintf(stderr, "hvm: %s\n", err.msg);
	return status;
}
