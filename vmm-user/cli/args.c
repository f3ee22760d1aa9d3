// SPDX-License-Identifier: GPL-2.0-or-later
/* What commands about a guest share; see cli.h. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "../control/runtime.h"
#include "cli.h"

int hvm_bad_option(const char *cmd, int opt, const char *arg, struct hv_err *err)
{
	if (opt == ':')
		hv_err_set(err, -EINVAL, "%s: %s needs a value", cmd, arg);
	else
		hv_err_set(err, -EINVAL, "%s: unknown option %s (see \"hvm %s --help\")", cmd, arg,
			   cmd);
	return 1;
}

bool hvm_guest_name_ok(const char *name, struct hv_err *err)
{
	if (hvm_name_valid(name))
		return true;
	hv_err_set(err, -ENOENT, "no guest named %s is running", name);
	return false;
}

const char *hvm_guest_argument(const char *cmd, int argc, char **argv, struct hv_err *err)
{
	if (argc - optind != 1) {
		hv_err_set(err, -EINVAL, "%s: one guest's name is wanted (see \"hvm ps\")", cmd);
		return NULL;
	}
	return hvm_guest_name_ok(argv[optind], err) ? argv[optind] : NULL;
}

int hvm_print_json(const json_t *value, struct hv_err *err)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY);

	if (!text)
		return hv_err_set(err, -ENOMEM, "out of memory");
	puts(text);
	free(text);
	return 0;
}
