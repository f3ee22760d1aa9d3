// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm stop */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../control/client.h"
#include "cli.h"

#define DEFAULT_TIMEOUT	60
#define POLL_US		50000
#define PUSH_AGAIN	100	/* polls between pushes of the button */

static const char stop_usage[] =
"Usage: hvm stop NAME [--force] [--timeout SECONDS]\n"
"\n"
"Push the power button of guest NAME, and wait until it has switched off.\n"
"\n"
"  --force             do not ask the guest: end it at once. Its disks are flushed, but\n"
"                      what the guest has not written yet is lost, as without power.\n"
"  --timeout SECONDS   how long to wait (default 60)\n"
"  --help              show this\n"
"\n"
"Exit status: 0 the guest has ended; 1 there is no such guest, or it did not end.\n";

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int stop_guest(const char *name, bool force, unsigned int timeout, struct hv_err *err)
{
	const char *command = force ? "quit" : "system_powerdown";
	double end = now() + timeout;
	int ret = hvm_control_call(name, command, NULL, err);

	for (unsigned int i = 1; !ret && hvm_control_running(name); i++) {
		if (now() >= end) {
			hv_err_set(err, -ETIMEDOUT, "guest %s did not switch off in %u seconds%s",
				   name, timeout, force ? "" : "; use --force to end it anyway");
			return 1;
		}
		usleep(POLL_US);
		/* A guest that is just starting does not hear the first one. */
		if (!force && i % PUSH_AGAIN == 0)
			hvm_control_call(name, command, NULL, NULL);
	}
	return ret ? 1 : 0;
}

static int stop_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "timeout", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int timeout = DEFAULT_TIMEOUT;
	bool force = false;
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (opt == 'h')
			return hvm_print_help(&hvm_cmd_stop, err);
		if (opt == 'f') {
			force = true;
		} else if (opt == 't') {
			if (hvm_parse_timeout(optarg, &timeout, err))
				return 1;
		} else {
			hv_err_set(err, -EINVAL, opt == ':' ? "stop: %s needs a value" :
				   "stop: unknown option %s (see \"hvm stop --help\")",
				   argv[optind - 1]);
			return 1;
		}
	}
	if (argc - optind != 1) {
		hv_err_set(err, -EINVAL, "stop: one guest's name is wanted (see \"hvm ps\")");
		return 1;
	}
	if (!hvm_name_valid(argv[optind])) {
		hv_err_set(err, -ENOENT, "no guest named %s is running", argv[optind]);
		return 1;
	}
	return stop_guest(argv[optind], force, timeout, err);
}

const struct hvm_command hvm_cmd_stop = {
	.name = "stop",
	.run = stop_command,
	.summary = "switch a guest off",
	.usage = stop_usage,
};
