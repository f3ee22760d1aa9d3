// SPDX-License-Identifier: GPL-2.0-or-later
/* The value of --fs; see cli.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../virtio-backends/vhost_user.h"
#include "cli.h"

/* Does @field begin with @key? Then its value goes to *@p. */
static bool take_value(const char *field, const char *key, char **p, int *ret)
{
	size_t len = strlen(key);

	if (strncmp(field, key, len))
		return false;
	free(*p);
	*p = strdup(field + len);
	*ret = !*p ? -ENOMEM : field[len] ? 0 : -EINVAL;
	return true;
}

static int parse_field(const char *s, const char *field, bool first, struct hvm_fs_config *fs,
		       struct hv_err *err)
{
	int ret = 0;

	if (take_value(field, "tag=", &fs->tag, &ret) ||
	    take_value(field, "socket=", &fs->socket, &ret) ||
	    take_value(field, "server=", &fs->server, &ret)) {
		if (ret == -EINVAL)
			hv_err_set(err, ret, "--fs %s: \"%s\" has no value", s, field);
		return ret;
	}
	if (first)
		return take_value(field, "", &fs->dir, &ret) ? ret : -EINVAL;
	return hv_err_set(err, -EINVAL, "--fs %s: \"%s\" is none of tag=NAME, socket=FILE, "
			  "server=PROGRAM", s, field);
}

static int check_fs(const char *s, const struct hvm_fs_config *fs, struct hv_err *err)
{
	if (!fs->dir == !fs->socket)
		return hv_err_set(err, -EINVAL, "--fs %s: either a directory is wanted, or socket=FILE "
				  "where its server listens", s);
	if (fs->socket && fs->server)
		return hv_err_set(err, -EINVAL, "--fs %s: the server at the socket is started by "
				  "somebody else", s);
	if (!fs->tag)
		return hv_err_set(err, -EINVAL, "--fs %s: tag=NAME is missing, by which the guest "
				  "mounts it", s);
	if (strlen(fs->tag) > VHOST_USER_FS_TAG_MAX)
		return hv_err_set(err, -EINVAL, "--fs %s: a tag has at most %d bytes", s,
				  VHOST_USER_FS_TAG_MAX);
	return 0;
}

int hvm_parse_fs(const char *s, struct hvm_fs_config *fs, struct hv_err *err)
{
	char *field = malloc(strlen(s) + 1);
	const char *rest = s;
	int ret = 0;

	*fs = (struct hvm_fs_config){ 0 };
	if (!field)
		return hv_err_set(err, -ENOMEM, "out of memory");
	while (!ret && rest) {
		bool first = rest == s;

		rest = hvm_take_field(rest, field);
		ret = parse_field(s, field, first, fs, err);
		if (ret == -ENOMEM)
			hv_err_set(err, ret, "out of memory");
		else if (ret && first && !*field)
			hv_err_set(err, ret, "--fs %s: the directory is missing", s);
	}
	if (!ret)
		ret = check_fs(s, fs, err);
	free(field);
	if (ret)
		hvm_fs_config_free(fs);
	return ret;
}

void hvm_fs_config_free(struct hvm_fs_config *fs)
{
	free(fs->dir);
	free(fs->socket);
	free(fs->server);
	free(fs->tag);
	*fs = (struct hvm_fs_config){ 0 };
}
