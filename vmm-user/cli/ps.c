// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm ps */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../control/client.h"
#include "cli.h"

static const char ps_usage[] =
"Usage: hvm ps [--json]\n"
"\n"
"Show the running guests of this user: name, process, state, processors, memory in MiB and\n"
"time since the start.\n"
"\n"
"  --json    one JSON array; mem is in bytes, uptime_ms in milliseconds\n"
"  --help    show this\n"
"\n"
"Exit status: 0, or 1 if the guests could not be listed.\n";

struct guest {
	json_t *answer;		/* the strings are its; NULL: it gave none that makes sense */
	json_int_t pid, cpus, mem, uptime_ms;
	const char *status, *serial, *console;
};

static bool read_answer(struct guest *g)
{
	return !json_unpack(g->answer, "{s:I, s:s, s:I, s:I, s:I, s?s, s?s}", "pid", &g->pid,
			    "status", &g->status, "cpus", &g->cpus, "mem", &g->mem, "uptime-ms",
			    &g->uptime_ms, "serial", &g->serial, "console", &g->console) &&
	       g->pid > 0 && g->cpus >= 0 && g->mem >= 0 && g->uptime_ms >= 0;
}

/* A guest that ended meanwhile is none (-ENOENT); one that does not answer is shown as such. */
static int query(const char *name, struct guest *g)
{
	struct hv_err err = { 0 };
	int ret;

	*g = (struct guest){ 0 };
	ret = hvm_control_call(name, "x-hv-info", &g->answer, &err);
	if (ret == -ENOENT || ret == -EPIPE)
		return -ENOENT;
	if (ret || !read_answer(g)) {
		json_decref(g->answer);
		*g = (struct guest){ .status = "unresponsive" };
	}
	return 0;
}

static int print_json(const char *name, const struct guest *g, bool first, struct hv_err *err)
{
	json_t *o;
	char *text;

	if (g->answer)
		o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s*, s:s*}", "name", name, "status",
			      g->status, "pid", g->pid, "cpus", g->cpus, "mem", g->mem,
			      "uptime_ms", g->uptime_ms, "serial", g->serial, "console",
			      g->console);
	else
		o = json_pack("{s:s, s:s}", "name", name, "status", g->status);
	text = json_dumps(o, 0);
	json_decref(o);
	if (!text)
		return hv_err_set(err, -ENOMEM, "out of memory");
	printf("%s%s", first ? "" : ",\n ", text);
	free(text);
	return 0;
}

static void print_line(const char *name, const struct guest *g)
{
	json_int_t s = g->uptime_ms / 1000;

	printf("%-20s %8" JSON_INTEGER_FORMAT " %-12s %4" JSON_INTEGER_FORMAT
	       " %8" JSON_INTEGER_FORMAT " %3" JSON_INTEGER_FORMAT ":%02u:%02u\n", name, g->pid,
	       g->status, g->cpus, g->mem >> 20, s / 3600, (unsigned int)(s / 60 % 60),
	       (unsigned int)(s % 60));
}

static int print_guests(const struct hvm_guest_list *list, bool json, struct hv_err *err)
{
	bool first = true;
	int ret = 0;

	for (unsigned int i = 0; i < list->nr && !ret; i++) {
		struct guest g;

		if (query(list->name[i], &g))
			continue;
		if (json)
			ret = print_json(list->name[i], &g, first, err);
		else
			print_line(list->name[i], &g);
		json_decref(g.answer);
		first = false;
	}
	return ret;
}

static int list_guests(bool json, struct hv_err *err)
{
	struct hvm_guest_list list;
	int ret;

	if (hvm_control_list(&list, err))
		return 1;
	if (json)
		printf("[");
	else
		printf("%-20s %8s %-12s %4s %8s %9s\n", "NAME", "PID", "STATE", "CPUS", "MEM",
		       "TIME");
	ret = print_guests(&list, json, err);
	hvm_control_list_free(&list);
	if (ret)
		return 1;
	if (json)
		printf("]\n");
	return hvm_flush_stdout(err);
}

static int ps_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false;
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		if (opt == 'h')
			return hvm_print_help(&hvm_cmd_ps, err);
		if (opt != 'j') {
			hv_err_set(err, -EINVAL, "ps: unknown option %s (see \"hvm ps --help\")",
				   argv[optind - 1]);
			return 1;
		}
		json = true;
	}
	if (optind < argc) {
		hv_err_set(err, -EINVAL, "ps: what is \"%s\"? (see \"hvm ps --help\")", argv[optind]);
		return 1;
	}
	return list_guests(json, err);
}

const struct hvm_command hvm_cmd_ps = {
	.name = "ps",
	.run = ps_command,
	.summary = "show running guests",
	.usage = ps_usage,
};
