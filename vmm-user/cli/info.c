// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm info */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "../control/client.h"
#include "cli.h"

/* What is asked, and what the answer is called in the JSON object. */
static const struct {
	const char *command, *key;
	bool optional;
} questions[] = {
	{ "x-hv-info", "guest", false },
	{ "query-cpus-fast", "cpus", false },
	{ "query-block", "disks", false },
	{ "query-chardev", "chardevs", false },
	{ "query-balloon", "balloon", true },
};

static int ask_all(const char *name, json_t *all, struct hv_err *err)
{
	struct hvm_conn *conn;
	int ret = hvm_conn_open(name, &conn, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]) && !ret; i++) {
		json_t *value = NULL;

		ret = hvm_conn_call(conn, questions[i].command, NULL, &value, err);
		if (!ret)
			json_object_set_new(all, questions[i].key, value);
		else if (ret == -EPROTO && questions[i].optional)
			ret = 0;
	}
	hvm_conn_close(conn);
	return ret;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "?";
}

static long long number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void print_guest(const json_t *g)
{
	long long s = number(g, "uptime-ms") / 1000;

	printf("name       %s\n", text(g, "name"));
	printf("state      %s\n", text(g, "status"));
	printf("process    %lld, hvm %s on %s\n", number(g, "pid"), text(g, "version"),
	       text(g, "accel"));
	printf("running    %lld:%02lld:%02lld\n", s / 3600, s / 60 % 60, s % 60);
	printf("memory     %lld MiB\n", number(g, "mem") >> 20);
}

static void print_disk(const json_t *disk)
{
	const json_t *inserted = json_object_get(disk, "inserted");
	const json_t *image = json_object_get(inserted, "image");

	printf("disk       %s %s, %s%s, %lld MiB, of which the file has %lld\n",
	       text(disk, "device"), text(inserted, "file"), text(inserted, "drv"),
	       json_is_true(json_object_get(inserted, "ro")) ? ", read-only" : "",
	       number(image, "virtual-size") >> 20, number(image, "actual-size") >> 20);
}

static void print_text(const json_t *all)
{
	const json_t *guest = json_object_get(all, "guest");
	const json_t *balloon = json_object_get(all, "balloon");
	json_t *v;
	size_t i;

	print_guest(guest);
	if (balloon)
		printf("keeps      %lld MiB\n", number(balloon, "actual") >> 20);
	json_array_foreach(json_object_get(all, "cpus"), i, v)
		printf("processor  %lld, thread %lld\n", number(v, "cpu-index"),
		       number(v, "thread-id"));
	json_array_foreach(json_object_get(all, "disks"), i, v)
		print_disk(v);
	json_array_foreach(json_object_get(guest, "nics"), i, v) {
		const json_t *to = json_object_get(v, "to");

		printf("network    %s %s%s%s\n", text(v, "id"), text(v, "kind"), to ? " " : "",
		       to ? text(v, "to") : "");
	}
	json_array_foreach(json_object_get(all, "chardevs"), i, v)
		printf("%-10s %s\n", text(v, "label"), text(v, "filename"));
}

static int show(const char *name, bool json, struct hv_err *err)
{
	json_t *all = json_object();
	int ret = ask_all(name, all, err);

	if (!ret && json)
		ret = hvm_print_json(all, err);
	else if (!ret)
		print_text(all);
	json_decref(all);
	return ret ? 1 : hvm_flush_stdout(err);
}

static int info_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	const char *name;
	bool json = false;
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (opt == 'h')
			return hvm_print_help(&hvm_cmd_info, err);
		if (opt != 'j')
			return hvm_bad_option("info", opt, argv[optind - 1], err);
		json = true;
	}
	name = hvm_guest_argument("info", argc, argv, err);
	return name ? show(name, json, err) : 1;
}

const struct hvm_command hvm_cmd_info = {
	.name = "info",
	.run = info_command,
	.summary = "show a guest",
	.usage =
"Usage: hvm info NAME [--json]\n"
"\n"
"Show what guest NAME is made of: processors and their threads, memory, disks, network\n"
"cards, serial line and console.\n"
"\n"
"  --json    one JSON object, with the answers of the control socket's commands\n"
"  --help    show this\n"
"\n"
"Exit status: 0, or 1 if there is no such guest.\n",
};
