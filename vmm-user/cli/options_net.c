// SPDX-License-Identifier: GPL-2.0-or-later
/* The values of --net, --vsock and --port; see cli.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../virtio-backends/net.h"
#include "../../virtio-backends/vsock.h"
#include "../control/runtime.h"
#include "cli.h"

static const char *const kind_names[] = {
	[HVM_NET_TAP] = "tap", [HVM_NET_PASST] = "passt", [HVM_NET_SWITCH] = "switch",
	[HVM_NET_VHOST_USER] = "vhost-user",
};

/* Six pairs of hexadecimal digits with colons; not a group's address, and not all zeroes. */
static int parse_mac(const char *s, uint8_t mac[6])
{
	static const char digits[] = "0123456789abcdefABCDEF";
	unsigned int any = 0;

	if (strlen(s) != 17)
		return -EINVAL;
	for (unsigned int i = 0; i < 6; i++, s += 3) {
		if (!strchr(digits, s[0]) || !strchr(digits, s[1]) || (i < 5 && s[2] != ':'))
			return -EINVAL;
		mac[i] = (uint8_t)strtoul(s, NULL, 16);
		any |= mac[i];
	}
	return any && !(mac[0] & 1) ? 0 : -EINVAL;
}

static int parse_on_off(const char *s, bool *on)
{
	*on = !strcmp(s, "on");
	return *on || !strcmp(s, "off") ? 0 : -EINVAL;
}

static int set_ifname(struct hvm_net_config *net, const char *v)
{
	size_t len = strlen(v);

	if (!len || len >= sizeof(net->ifname) || strpbrk(v, "/ %:"))
		return -EINVAL;
	memcpy(net->ifname, v, len + 1);
	return 0;
}

static int set_queues(struct hvm_net_config *net, const char *v)
{
	uint64_t n;

	if (hvm_parse_range(v, 1, VIRTIO_NET_MAX_PAIRS, &n))
		return -EINVAL;
	net->queues = (unsigned int)n;
	return 0;
}

static int set_vhost(struct hvm_net_config *net, const char *v)
{
	return parse_on_off(v, &net->vhost);
}

static int set_socket(struct hvm_net_config *net, const char *v)
{
	if (!*v)
		return -EINVAL;
	free(net->socket);
	net->socket = strdup(v);
	return net->socket ? 0 : -ENOMEM;
}

static int set_network(struct hvm_net_config *net, const char *v)
{
	if (!hvm_name_valid(v))
		return -EINVAL;
	snprintf(net->network, sizeof(net->network), "%s", v);
	return 0;
}

static int set_mac(struct hvm_net_config *net, const char *v)
{
	net->mac_given = true;
	return parse_mac(v, net->mac);
}

static int set_limit_bytes(struct hvm_net_config *net, const char *v)
{
	return hvm_parse_rate(v, &net->limit_bytes);
}

static int set_limit_packets(struct hvm_net_config *net, const char *v)
{
	return hvm_parse_rate(v, &net->limit_packets);
}

static int set_backend(struct hvm_net_config *net, const char *v)
{
	net->backend = !strcmp(v, "process") ? HVM_BACKEND_PROCESS : HVM_BACKEND_INSIDE;
	return net->backend == HVM_BACKEND_PROCESS || !strcmp(v, "inside") ? 0 : -EINVAL;
}

#define KIND(k)	(1u << HVM_NET_##k)

static const struct net_key {
	const char *name, *wanted;
	unsigned int kinds;
	int (*set)(struct hvm_net_config *net, const char *value);
} keys[] = {
	{ "ifname", "a name of 1 to 15 characters", KIND(TAP), set_ifname },
	{ "queues", "a number from 1 to 16", KIND(TAP), set_queues },
	{ "vhost", "on or off", KIND(TAP), set_vhost },
	{ "socket", "a file", KIND(PASST) | KIND(VHOST_USER), set_socket },
	{ "backend", "inside or process", KIND(TAP) | KIND(PASST) | KIND(SWITCH), set_backend },
	{ "network", "a name like those of guests", KIND(SWITCH), set_network },
	{ "mac", "an address like 52:54:00:12:34:56, not of a group",
	  KIND(TAP) | KIND(PASST) | KIND(SWITCH) | KIND(VHOST_USER), set_mac },
	{ "limit-bytes", "bytes per second, like 10M", KIND(TAP) | KIND(PASST) | KIND(SWITCH),
	  set_limit_bytes },
	{ "limit-packets", "packets per second", KIND(TAP) | KIND(PASST) | KIND(SWITCH),
	  set_limit_packets },
};

static int parse_key(const char *s, char *field, struct hvm_net_config *net, struct hv_err *err)
{
	char *value = strchr(field, '=');
	int ret;

	if (value)
		*value++ = '\0';
	for (size_t i = 0; value && i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(field, keys[i].name) || !(keys[i].kinds & 1u << net->kind))
			continue;
		ret = keys[i].set(net, value);
		return ret ? hv_err_set(err, ret, "--net %s: %s: %s is wanted", s, field,
					keys[i].wanted) : 0;
	}
	return hv_err_set(err, -EINVAL, "--net %s: \"%s\" is nothing that %s takes", s, field,
			  kind_names[net->kind]);
}

static int parse_kind(const char *s, const char *field, struct hvm_net_config *net,
		      struct hv_err *err)
{
	for (size_t i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++) {
		if (strcmp(field, kind_names[i]))
			continue;
		net->kind = (enum hvm_net_kind)i;
		return 0;
	}
	return hv_err_set(err, -EINVAL, "--net %s: none of tap, passt, switch, vhost-user", s);
}

static int check_net(const char *s, const struct hvm_net_config *net, struct hv_err *err)
{
	if (net->kind == HVM_NET_VHOST_USER && !net->socket)
		return hv_err_set(err, -EINVAL, "--net %s: socket=FILE is missing, where the back end "
				  "listens", s);
	if (net->backend == HVM_BACKEND_PROCESS && (net->vhost || net->queues > 1))
		return hv_err_set(err, -EINVAL, "--net %s: a back end in a process has one pair of queues "
				  "and does without vhost", s);
	if (net->kind == HVM_NET_PASST && !net->socket)
		return hv_err_set(err, -EINVAL, "--net %s: socket=FILE is missing, where passt "
				  "listens", s);
	if (net->kind == HVM_NET_SWITCH && !net->network[0])
		return hv_err_set(err, -EINVAL, "--net %s: network=NAME is missing", s);
	if (net->vhost && (net->limit_bytes || net->limit_packets))
		return hv_err_set(err, -EINVAL, "--net %s: with vhost the kernel moves the packets and "
				  "knows no limits; use vhost=off, or tc on the host", s);
	return 0;
}

int hvm_parse_net(const char *s, struct hvm_net_config *net, struct hv_err *err)
{
	char *field = malloc(strlen(s) + 1);
	const char *rest;
	int ret;

	*net = (struct hvm_net_config){ .queues = 1 };
	if (!field)
		return hv_err_set(err, -ENOMEM, "out of memory");
	rest = hvm_take_field(s, field);
	ret = parse_kind(s, field, net, err);
	while (!ret && rest) {
		const char *start = rest;
		bool backend;

		rest = hvm_take_field(rest, field);
		backend = !strcmp(field, "backend=process");
		ret = parse_key(s, field, net, err);
		if (ret || !backend)
			continue;
		if (net->spec)
			ret = hv_err_set(err, -EINVAL, "--net %s: backend= is given twice", s);
		else if (!(net->spec = hvm_cut_field(s, start, rest)))
			ret = hv_err_set(err, -ENOMEM, "out of memory");
	}
	if (!ret)
		ret = check_net(s, net, err);
	free(field);
	if (ret)
		hvm_net_config_free(net);
	return ret;
}

void hvm_net_config_free(struct hvm_net_config *net)
{
	free(net->socket);
	free(net->spec);
	net->socket = net->spec = NULL;
}

/* ---- --vsock ---- */

static int parse_vsock_key(const char *s, const char *field, struct hvm_vsock_config *vsock,
			   struct hv_err *err)
{
	uint64_t cid;

	if (!strncmp(field, "cid=", 4)) {
		if (hvm_parse_range(field + 4, VSOCK_CID_MIN, VSOCK_CID_MAX, &cid))
			return hv_err_set(err, -EINVAL, "--vsock %s: cid: a number from %u to %u is wanted",
					  s, VSOCK_CID_MIN, VSOCK_CID_MAX);
		vsock->cid = (uint32_t)cid;
		return 0;
	}
	if (!strncmp(field, "socket=", 7) && field[7]) {
		free(vsock->socket);
		vsock->socket = strdup(field + 7);
		return vsock->socket ? 0 : hv_err_set(err, -ENOMEM, "out of memory");
	}
	return hv_err_set(err, -EINVAL, "--vsock %s: \"%s\" is neither cid=N nor socket=FILE", s, field);
}

int hvm_parse_vsock(const char *s, struct hvm_vsock_config *vsock, struct hv_err *err)
{
	char *field = malloc(strlen(s) + 1);
	const char *rest = s;
	int ret = 0;

	free(vsock->socket);
	*vsock = (struct hvm_vsock_config){ .given = true };
	if (!field)
		return hv_err_set(err, -ENOMEM, "out of memory");
	while (!ret && rest) {
		rest = hvm_take_field(rest, field);
		ret = parse_vsock_key(s, field, vsock, err);
	}
	free(field);
	/* All guests of the host share the kernel's addresses; with a socket, nobody sees it. */
	if (!ret && !vsock->cid && !vsock->socket)
		ret = hv_err_set(err, -EINVAL, "--vsock %s: cid=N is missing, which no other guest has",
				 s);
	if (!ret && !vsock->cid)
		vsock->cid = VSOCK_CID_MIN;
	return ret;
}

/* ---- --port ---- */

/* What a file of that name can be called, in the guest's /dev/virtio-ports. */
static bool port_name_valid(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
			return false;
	return len && len <= VIRTIO_PORT_NAME_MAX && strcmp(name, ".") && strcmp(name, "..");
}

int hvm_parse_port(const char *s, struct hvm_port_config *port, struct hv_err *err)
{
	static const char key[] = "socket=";
	char *field = malloc(strlen(s) + 1);
	const char *rest;
	int ret = 0;

	*port = (struct hvm_port_config){ .name = malloc(strlen(s) + 1) };
	if (!field || !port->name) {
		ret = hv_err_set(err, -ENOMEM, "out of memory");
		goto out;
	}
	rest = hvm_take_field(s, port->name);
	if (!port_name_valid(port->name)) {
		ret = hv_err_set(err, -EINVAL, "--port %s: a name of 1 to %d letters, digits and signs "
				 "without '/' is wanted first", s, VIRTIO_PORT_NAME_MAX);
		goto out;
	}
	if (rest)
		rest = hvm_take_field(rest, field);
	else
		*field = '\0';
	if (rest || strncmp(field, key, sizeof(key) - 1) || !field[sizeof(key) - 1])
		ret = hv_err_set(err, -EINVAL, "--port %s: NAME,socket=FILE is wanted", s);
	else if (!(port->socket = strdup(field + sizeof(key) - 1)))
		ret = hv_err_set(err, -ENOMEM, "out of memory");
out:
	free(field);
	if (ret)
		hvm_port_config_free(port);
	return ret;
}

void hvm_port_config_free(struct hvm_port_config *port)
{
	free(port->name);
	free(port->socket);
	*port = (struct hvm_port_config){ 0 };
}
