// SPDX-License-Identifier: GPL-2.0-or-later
/* The value of --gdb; see cli.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int wrong(const char *s, const char *why, struct hv_err *err)
{
	return hv_err_set(err, -EINVAL, "--gdb %s: %s", s, why);
}

/* What cannot be reached from elsewhere. */
static bool is_loopback(const char *host)
{
	return !strncmp(host, "127.", 4) || !strcmp(host, "::1");
}

/* "HOST:PORT", "[V6]:PORT", ":PORT" in place: the colon goes. */
static int parse_address(const char *s, char *address, struct hvm_gdb_config *gdb,
			 struct hv_err *err)
{
	char *colon = strrchr(address, ':');
	uint64_t port;

	if (!colon || hvm_parse_range(colon + 1, 1, 65535, &port))
		return wrong(s, "HOST:PORT or unix:PATH is wanted, with a port from 1 to 65535", err);
	*colon = '\0';
	gdb->port = colon + 1;
	if (*address == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		address++;
	} else if (strchr(address, ':')) {
		return wrong(s, "an IPv6 address goes into brackets", err);
	}
	gdb->host = !*address || !strcmp(address, "localhost") ? "127.0.0.1" : address;
	if (!gdb->remote && !is_loopback(gdb->host))
		return wrong(s, "others could take the guest over through this address; use "
			     "127.0.0.1, or add \",remote\"", err);
	return 0;
}

static int parse_words(const char *s, const char *rest, struct hvm_gdb_config *gdb, char *buf,
		       struct hv_err *err)
{
	while (rest) {
		rest = hvm_take_field(rest, buf);
		if (!strcmp(buf, "wait"))
			gdb->wait = true;
		else if (!strcmp(buf, "remote"))
			gdb->remote = true;
		else
			return wrong(s, "after the address only \"wait\" and \"remote\" are known", err);
	}
	return 0;
}

int hvm_parse_gdb(const char *s, struct hvm_gdb_config *gdb, struct hv_err *err)
{
	char *word = malloc(strlen(s) + 1);
	const char *rest;
	int ret;

	hvm_gdb_config_free(gdb);
	gdb->text = malloc(strlen(s) + 1);
	if (!word || !gdb->text) {
		free(word);
		return hv_err_set(err, -ENOMEM, "out of memory");
	}
	rest = hvm_take_field(s, gdb->text);
	ret = parse_words(s, rest, gdb, word, err);
	free(word);
	if (ret)
		return ret;
	gdb->given = true;
	if (!strncmp(gdb->text, "unix:", 5)) {
		gdb->socket = gdb->text + 5;
		return *gdb->socket ? 0 : wrong(s, "a path is missing", err);
	}
	return parse_address(s, gdb->text + (strncmp(gdb->text, "tcp:", 4) ? 0 : 4), gdb, err);
}

void hvm_gdb_config_free(struct hvm_gdb_config *gdb)
{
	free(gdb->text);
	*gdb = (struct hvm_gdb_config){ 0 };
}
