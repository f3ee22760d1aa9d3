// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm stats */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "../control/client.h"
#include "cli.h"
#include "prometheus.h"

enum format { TEXT, JSON, PROMETHEUS };

/* -ENOENT or -EPIPE: it ended meanwhile. */
static int ask(const char *name, json_t **info, json_t **stats, struct hv_err *err)
{
	struct hvm_conn *conn;
	int ret = hvm_conn_open(name, &conn, err);

	*info = *stats = NULL;
	if (ret)
		return ret;
	ret = hvm_conn_call(conn, "x-hv-info", NULL, info, err);
	if (!ret)
		ret = hvm_conn_call(conn, "x-hv-stats", NULL, stats, err);
	hvm_conn_close(conn);
	return ret;
}

/* ---- Text ---- */

static void print_counters(const char *owner, const json_t *counters)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)counters, name, v)
		/* Of a guest that is idle most counters are 0. */
		if (json_integer_value(v))
			printf("%-10s %-36s %" JSON_INTEGER_FORMAT "\n", owner, name,
			       json_integer_value(v));
}

static void print_owners(const char *kind, const json_t *list)
{
	char owner[64];
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) {
		const char *id = json_string_value(json_object_get(v, "id"));

		snprintf(owner, sizeof(owner), "%s%s", kind, id ? id : "?");
		print_counters(owner, json_object_get(v, "stats"));
	}
}

static void print_text(const char *name, const json_t *stats, bool title)
{
	if (title)
		printf("%s:\n", name);
	print_counters("process", json_object_get(stats, "process"));
	print_counters("vm", json_object_get(stats, "vm"));
	print_owners("vcpu", json_object_get(stats, "vcpus"));
	print_owners("", json_object_get(stats, "devices"));
}

/* ---- One guest or all ---- */

struct output {
	enum format format;
	bool title;
	json_t *all;		/* JSON */
	struct hvm_prometheus prometheus;
};

/* @must: a guest that does not answer is an error, and not only shown as such. */
static int add_guest(struct output *out, const char *name, bool must, struct hv_err *err)
{
	json_t *info, *stats;
	int ret = ask(name, &info, &stats, err);
	bool gone = ret == -ENOENT || ret == -EPIPE;

	if (out->format == PROMETHEUS && !gone)
		hvm_prometheus_add(&out->prometheus, name, ret ? NULL : info, stats);
	else if (out->format == JSON && !ret)
		json_array_append_new(out->all, json_pack("{s:s, s:O}", "name", name, "stats",
							  stats));
	else if (out->format == TEXT && !ret)
		print_text(name, stats, out->title);
	json_decref(info);
	json_decref(stats);
	return must ? ret : 0;
}

static int add_all(struct output *out, struct hv_err *err)
{
	struct hvm_guest_list list;
	int ret = hvm_control_list(&list, err);

	if (ret)
		return ret;
	for (unsigned int i = 0; i < list.nr && !ret; i++)
		ret = add_guest(out, list.name[i], false, err);
	hvm_control_list_free(&list);
	return ret;
}

static int show(const char *name, enum format format, struct hv_err *err)
{
	struct output out = { .format = format, .title = !name, .all = json_array() };
	int ret = name ? add_guest(&out, name, true, err) : add_all(&out, err);

	if (!ret && format == JSON)
		ret = hvm_print_json(name ? json_array_get(out.all, 0) : out.all, err);
	if (!ret && format == PROMETHEUS && hvm_prometheus_print(&out.prometheus, stdout))
		ret = hv_err_set(err, -ENOMEM, "out of memory");
	hvm_prometheus_free(&out.prometheus);
	json_decref(out.all);
	return ret ? 1 : hvm_flush_stdout(err);
}

static int stats_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "prometheus", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	enum format format = TEXT;
	const char *name = NULL;
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (opt == 'h')
			return hvm_print_help(&hvm_cmd_stats, err);
		if (opt != 'j' && opt != 'p')
			return hvm_bad_option("stats", opt, argv[optind - 1], err);
		if (format != TEXT && format != (opt == 'j' ? JSON : PROMETHEUS)) {
			hv_err_set(err, -EINVAL, "stats: --json or --prometheus, not both");
			return 1;
		}
		format = opt == 'j' ? JSON : PROMETHEUS;
	}
	if (optind < argc) {
		name = hvm_guest_argument("stats", argc, argv, err);
		if (!name)
			return 1;
	}
	return show(name, format, err);
}

const struct hvm_command hvm_cmd_stats = {
	.name = "stats",
	.run = stats_command,
	.summary = "show counters of guests",
	.usage =
"Usage: hvm stats [NAME] [--json|--prometheus]\n"
"\n"
"Show what is counted about guest NAME, or all running guests of this user: memory and time\n"
"of the process, VM exits and what else the kernel counts for the VM and each processor, and\n"
"requests, packets and bytes of devices. Counters that are 0 are left out.\n"
"\n"
"  --json        JSON: an object, or without NAME an array of them; nothing is left out\n"
"  --prometheus  Prometheus's text format, for node_exporter's textfile collector; a guest\n"
"                that does not answer is there with hvm_up 0\n"
"  --help        show this\n"
"\n"
"Exit status: 0, or 1 if there is no such guest.\n",
};
