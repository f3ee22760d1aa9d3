// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm balloon */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../control/client.h"
#include "cli.h"

#define POLL_US		20000
#define STATS_POLLS	25	/* half a second: a guest that does not answer has none */
#define TRIM_POLLS	1500	/* half a minute */

static const char balloon_usage[] =
"Usage: hvm balloon NAME [SIZE] [--trim] [--json]\n"
"\n"
"Show the memory of guest NAME, which runs with --balloon, or change what it keeps.\n"
"\n"
"  SIZE      what the guest is to keep, like 512M or 2G, at most what it was started\n"
"            with. It gives the rest to the host, as far as it can, or takes it back.\n"
"            This does not wait for it.\n"
"  --trim    take what is free in the guest now, without changing what it keeps\n"
"  --json    one JSON object; sizes are in bytes\n"
"  --help    show this\n"
"\n"
"Exit status: 0, or 1 if there is no such guest, or it cannot do it.\n";

static json_int_t get(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Ask until statistics come that are newer than the first question. */
static int query(const char *name, json_t **value, struct hv_err *err)
{
	int ret = hvm_control_call(name, "x-hv-balloon-info", value, err);
	json_int_t age = ret ? 0 : get(*value, "stats-age-ms");
	bool had = !ret && json_object_size(json_object_get(*value, "stats"));

	for (unsigned int i = 0; !ret && i < STATS_POLLS; i++) {
		size_t n;

		usleep(POLL_US);
		json_decref(*value);
		*value = NULL;
		ret = hvm_control_call(name, "x-hv-balloon-info", value, err);
		n = ret ? 0 : json_object_size(json_object_get(*value, "stats"));
		if (n && (!had || get(*value, "stats-age-ms") < age ||
			  get(*value, "stats-age-ms") * 1000 < POLL_US))
			break;
	}
	return ret;
}

static int trim(const char *name, struct hv_err *err)
{
	int ret = hvm_control_call(name, "x-hv-balloon-trim", NULL, err);
	bool busy = true;

	for (unsigned int i = 0; !ret && busy && i < TRIM_POLLS; i++) {
		json_t *value = NULL;

		usleep(POLL_US);
		ret = hvm_control_call(name, "x-hv-balloon-info", &value, err);
		busy = json_is_true(json_object_get(value, "trimming"));
		json_decref(value);
	}
	if (!ret && busy)
		return hv_err_set(err, -ETIMEDOUT, "guest %s does not say which memory is free", name);
	return ret;
}

static int set_size(const char *name, const char *size, struct hv_err *err)
{
	uint64_t bytes;
	int ret = hvm_parse_mem("balloon", size, &bytes, err);

	if (ret)
		return ret;
	return hvm_control_call_with(name, "balloon",
				     json_pack("{s:I}", "value", (json_int_t)bytes), NULL, err);
}

/* Of these the guest counts bytes, of the others events. */
static bool is_bytes(const char *name)
{
	return strstr(name, "memory") || strstr(name, "swap") || strstr(name, "caches");
}

static void print_text(json_t *value)
{
	const char *name;
	json_t *v;

	printf("memory %lld MiB, to keep %lld MiB, keeps %lld MiB\n",
	       (long long)get(value, "mem") >> 20, (long long)get(value, "value") >> 20,
	       (long long)get(value, "actual") >> 20);
	json_object_foreach(json_object_get(value, "stats"), name, v) {
		json_int_t n = json_integer_value(v);

		if (is_bytes(name))
			printf("%-20s %8lld MiB\n", name, (long long)n >> 20);
		else
			printf("%-20s %8lld\n", name, (long long)n);
	}
}

static int show(const char *name, bool json, struct hv_err *err)
{
	json_t *value = NULL;
	int ret = query(name, &value, err);

	if (!ret && json)
		ret = hvm_print_json(value, err);
	else if (!ret)
		print_text(value);
	json_decref(value);
	return ret ? 1 : hvm_flush_stdout(err);
}

static int balloon_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "trim", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false, do_trim = false;
	const char *name;
	int opt, args;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (opt == 'h')
			return hvm_print_help(&hvm_cmd_balloon, err);
		if (opt == '?') {
			hv_err_set(err, -EINVAL, "balloon: unknown option %s (see \"hvm balloon "
				   "--help\")", argv[optind - 1]);
			return 1;
		}
		json |= opt == 'j';
		do_trim |= opt == 't';
	}
	args = argc - optind;
	if (args < 1 || args > 2) {
		hv_err_set(err, -EINVAL, "balloon: a guest's name is wanted, and perhaps a size (see "
			   "\"hvm balloon --help\")");
		return 1;
	}
	name = argv[optind];
	if (!hvm_name_valid(name)) {
		hv_err_set(err, -ENOENT, "no guest named %s is running", name);
		return 1;
	}
	if (args == 2 && set_size(name, argv[optind + 1], err))
		return 1;
	if (do_trim && trim(name, err))
		return 1;
	return show(name, json, err);
}

const struct hvm_command hvm_cmd_balloon = {
	.name = "balloon",
	.run = balloon_command,
	.summary = "show and change a guest's memory",
	.usage = balloon_usage,
};
