// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm ps */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../control/client.h"
#include "../control/json.h"
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
	uint64_t pid, cpus, mem, uptime_ms;
	char status[16], serial[64], console[64];
};

/* A guest that ended meanwhile is none (-ENOENT); one that does not answer is shown as such. */
static int query(const char *name, struct guest *g)
{
	char answer[HVM_CONTROL_LINE];
	struct hv_err err = { 0 };
	int ret = hvm_control_call(name, "query-status", answer, &err);

	memset(g, 0, sizeof(*g));
	if (ret == -ENOENT || ret == -EPIPE)
		return -ENOENT;
	if (ret || json_get_string(answer, "status", g->status, sizeof(g->status)) ||
	    json_get_u64(answer, "pid", &g->pid) || json_get_u64(answer, "cpus", &g->cpus) ||
	    json_get_u64(answer, "mem", &g->mem) ||
	    json_get_u64(answer, "uptime_ms", &g->uptime_ms))
		snprintf(g->status, sizeof(g->status), "unresponsive");
	if (json_get_string(answer, "serial", g->serial, sizeof(g->serial)))
		g->serial[0] = '\0';
	if (json_get_string(answer, "console", g->console, sizeof(g->console)))
		g->console[0] = '\0';
	return 0;
}

static void print_json(const char *name, const struct guest *g, bool first)
{
	char buf[1024];
	struct json_out o;

	json_out_init(&o, buf, sizeof(buf));
	json_open(&o, NULL, '{');
	json_string(&o, "name", name);
	json_string(&o, "status", g->status);
	if (g->pid) {
		json_u64(&o, "pid", g->pid);
		json_u64(&o, "cpus", g->cpus);
		json_u64(&o, "mem", g->mem);
		json_u64(&o, "uptime_ms", g->uptime_ms);
	}
	if (g->serial[0])
		json_string(&o, "serial", g->serial);
	if (g->console[0])
		json_string(&o, "console", g->console);
	json_close(&o, '}');
	printf("%s%s", first ? "" : ",\n ", buf);
}

static void print_line(const char *name, const struct guest *g)
{
	uint64_t s = g->uptime_ms / 1000;

	printf("%-20s %8" PRIu64 " %-12s %4" PRIu64 " %8" PRIu64 " %3" PRIu64 ":%02u:%02u\n", name,
	       g->pid, g->status, g->cpus, g->mem >> 20, s / 3600, (unsigned int)(s / 60 % 60),
	       (unsigned int)(s % 60));
}

static int list_guests(bool json, struct hv_err *err)
{
	struct hvm_guest_list list;
	bool first = true;

	if (hvm_control_list(&list, err))
		return 1;
	if (json)
		printf("[");
	else
		printf("%-20s %8s %-12s %4s %8s %9s\n", "NAME", "PID", "STATE", "CPUS", "MEM",
		       "TIME");
	for (unsigned int i = 0; i < list.nr; i++) {
		struct guest g;

		if (query(list.name[i], &g))
			continue;
		if (json)
			print_json(list.name[i], &g, first);
		else
			print_line(list.name[i], &g);
		first = false;
	}
	if (json)
		printf("]\n");
	hvm_control_list_free(&list);
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
