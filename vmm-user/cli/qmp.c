// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm qmp, hvm events */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../control/client.h"
#include "../control/schema.h"
#include "cli.h"

/* ---- One command ---- */

/* "KEY=VALUE", where VALUE is JSON or else a string. */
static int add_argument(json_t *arguments, const char *arg, struct hv_err *err)
{
	const char *equals = strchr(arg, '=');
	char *key = equals && equals != arg ? strndup(arg, (size_t)(equals - arg)) : NULL;
	json_t *value;
	int ret = 0;

	if (!key)
		return hv_err_set(err, -EINVAL, "qmp: %s: KEY=VALUE is wanted", arg);
	value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (!value)
		value = json_string(equals + 1);
	if (json_object_get(arguments, key))
		ret = hv_err_set(err, -EINVAL, "qmp: %s is given twice", key);
	else if (!value || json_object_set(arguments, key, value))
		ret = hv_err_set(err, -EINVAL, "qmp: %s is not UTF-8", arg);
	json_decref(value);
	free(key);
	return ret;
}

static int one_command(const char *name, const char *command, int argc, char **argv,
		       struct hv_err *err)
{
	json_t *arguments = argc ? json_object() : NULL, *value = NULL;
	int ret = 0;

	for (int i = 0; i < argc && !ret; i++)
		ret = add_argument(arguments, argv[i], err);
	if (ret) {
		json_decref(arguments);
		return ret;
	}
	ret = hvm_control_call_with(name, command, arguments, &value, err);
	if (!ret)
		ret = hvm_print_json(value, err);
	json_decref(value);
	return ret;
}

/* ---- Lines ---- */

static int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Copy what has come from one to the other: 1, 0 at the end, -errno. */
static int copy(int from, int to)
{
	char buf[16384];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	return n ? write_all(to, buf, (size_t)n) ? -EIO : 1 : 0;
}

/*
 * Standard input to the guest and back, until the guest ends it. At the end of the input the guest
 * still sends the answers, and closes then.
 */
static int lines(const char *name, struct hv_err *err)
{
	struct hvm_conn *conn;
	struct pollfd p[2];
	int ret = hvm_conn_open(name, &conn, err);

	if (ret)
		return ret;
	p[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = hvm_conn_fd(conn), .events = POLLIN };
	ret = 1;
	while (ret > 0) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			ret = -errno;
		if (p[1].revents)
			ret = copy(p[1].fd, STDOUT_FILENO);
		if (ret > 0 && p[0].revents && copy(STDIN_FILENO, p[1].fd) <= 0) {
			shutdown(p[1].fd, SHUT_WR);
			p[0].fd = -1;
			p[0].revents = 0;
		}
	}
	hvm_conn_close(conn);
	return ret ? hv_err_set(err, ret, "guest %s: %s", name, strerror(-ret)) : 0;
}

static int print_reference(struct hv_err *err)
{
	char *text = qmp_reference();

	if (!text) {
		hv_err_set(err, -ENOMEM, "out of memory");
		return 1;
	}
	fputs(text, stdout);
	free(text);
	return hvm_flush_stdout(err);
}

static int qmp_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "reference", no_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, ret;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		if (opt == 'h')
			return hvm_print_help(&hvm_cmd_qmp, err);
		if (opt == 'r')
			return print_reference(err);
		return hvm_bad_option("qmp", opt, argv[optind - 1], err);
	}
	if (argc == optind) {
		hv_err_set(err, -EINVAL, "qmp: a guest's name is wanted (see \"hvm ps\")");
		return 1;
	}
	if (!hvm_guest_name_ok(argv[optind], err))
		return 1;
	if (argc - optind == 1)
		ret = lines(argv[optind], err);
	else
		ret = one_command(argv[optind], argv[optind + 1], argc - optind - 2,
				  argv + optind + 2, err);
	return ret ? 1 : hvm_flush_stdout(err);
}

const struct hvm_command hvm_cmd_qmp = {
	.name = "qmp",
	.run = qmp_command,
	.summary = "talk to a guest's control socket",
	.usage =
"Usage: hvm qmp NAME [COMMAND [KEY=VALUE]...]\n"
"       hvm qmp --reference\n"
"\n"
"Execute one command of the control socket of guest NAME, and print what it returns, a line\n"
"of JSON. A VALUE that is JSON is passed on as such, another one as a string:\n"
"\n"
"    hvm qmp web balloon value=536870912\n"
"\n"
"Without COMMAND, pass on commands from standard input, like {\"execute\": \"query-status\"},\n"
"and print all answers and events, a line each, until the input ends.\n"
"\n"
"  --reference  print the page that describes all commands and events\n"
"  --help       show this\n"
"\n"
"Exit status: 0, or 1 if there is no such guest, or it refuses the command.\n",
};

/* ---- hvm events ---- */

static void print_event(const json_t *event)
{
	const json_t *stamp = json_object_get(event, "timestamp");
	const char *name = json_string_value(json_object_get(event, "event"));
	time_t seconds = (time_t)json_integer_value(json_object_get(stamp, "seconds"));
	unsigned int ms = (unsigned int)(json_integer_value(json_object_get(stamp,
							    "microseconds")) / 1000 % 1000);
	char *data = json_dumps(json_object_get(event, "data"), 0);
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	printf("%s.%03u %s%s%s\n", when, ms, name, data ? " " : "", data ? data : "");
	free(data);
}

/* Until the guest ends, which is no failure, or nobody reads any more. */
static int follow(const char *name, bool json, struct hv_err *err)
{
	struct hvm_conn *conn;
	json_t *object;
	int ret = hvm_conn_open(name, &conn, err);

	if (ret)
		return 1;
	while (!(ret = hvm_conn_receive(conn, -1, &object, err))) {
		if (json_is_string(json_object_get(object, "event"))) {
			if (json)
				ret = hvm_print_json(object, err);
			else
				print_event(object);
		}
		json_decref(object);
		if (ret || hvm_flush_stdout(err))
			break;
	}
	hvm_conn_close(conn);
	return ret != -EPIPE;
}

static int events_command(int argc, char **argv, struct hv_err *err)
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
			return hvm_print_help(&hvm_cmd_events, err);
		if (opt != 'j')
			return hvm_bad_option("events", opt, argv[optind - 1], err);
		json = true;
	}
	name = hvm_guest_argument("events", argc, argv, err);
	return name ? follow(name, json, err) : 1;
}

const struct hvm_command hvm_cmd_events = {
	.name = "events",
	.run = events_command,
	.summary = "show what happens to a guest",
	.usage =
"Usage: hvm events NAME [--json]\n"
"\n"
"Show what happens to guest NAME as it happens, until it ends: that it was stopped, reset or\n"
"switched off, that a disk failed, that it gave up memory.\n"
"\n"
"  --json    a line of JSON for each event, as on the control socket\n"
"  --help    show this\n"
"\n"
"Exit status: 0 when the guest ends, or 1 if there is no such guest.\n",
};
