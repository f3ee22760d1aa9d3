// SPDX-License-Identifier: GPL-2.0-or-later
/* Values of options; see cli.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../control/runtime.h"
#include "../memory/layout.h"
#include "cli.h"

int hvm_parse_number(const char *s, char **end, uint64_t *v)
{
	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	*v = strtoull(s, end, 10);
	return errno ? -EINVAL : 0;
}

int hvm_parse_cpus(const char *s, unsigned int *cpus, struct hv_err *err)
{
	uint64_t v;
	char *end;

	if (hvm_parse_number(s, &end, &v) || *end || !v || v > HVM_MAX_CPUS)
		return hv_err_set(err, -EINVAL, "--cpus %s: a number from 1 to %d is wanted", s,
				  HVM_MAX_CPUS);
	*cpus = (unsigned int)v;
	return 0;
}

int hvm_parse_timeout(const char *s, unsigned int *seconds, struct hv_err *err)
{
	uint64_t v;
	char *end;

	if (hvm_parse_number(s, &end, &v) || *end || v > 86400)
		return hv_err_set(err, -EINVAL, "--timeout %s: seconds from 0 to 86400 are wanted",
				  s);
	*seconds = (unsigned int)v;
	return 0;
}

int hvm_parse_mem(const char *option, const char *s, uint64_t *bytes, struct hv_err *err)
{
	static const char suffixes[] = "KMGT";
	unsigned int shift = 20;
	const char *p;
	uint64_t v;
	char *end;

	if (hvm_parse_number(s, &end, &v))
		goto bad;
	if (*end) {
		char c = *end >= 'a' && *end <= 'z' ? (char)(*end - 'a' + 'A') : *end;

		p = strchr(suffixes, c);
		if (!p || end[1])
			goto bad;
		shift = 10 * (unsigned int)(p - suffixes + 1);
	}
	if (v > UINT64_MAX >> shift || v << shift > 1ULL << 52)
		return hv_err_set(err, -EINVAL, "%s %s: more than a processor can address",
				  option, s);
	v <<= shift;
	if (v % HVM_MEM_ALIGN || v < HVM_MEM_MIN)
		return hv_err_set(err, -EINVAL, "%s %s: whole MiB are wanted, and at least %llu",
				  option, s, HVM_MEM_MIN >> 20);
	*bytes = v;
	return 0;
bad:
	return hv_err_set(err, -EINVAL, "%s %s: a size like 512M or 2G is wanted", option, s);
}

int hvm_parse_range(const char *s, uint64_t min, uint64_t max, uint64_t *v)
{
	char *end;

	return hvm_parse_number(s, &end, v) || *end || *v < min || *v > max ? -EINVAL : 0;
}

int hvm_parse_rate(const char *s, uint64_t *v)
{
	static const char suffixes[] = "KMGT";
	unsigned int shift = 0;
	const char *p;
	char *end;

	if (hvm_parse_number(s, &end, v))
		return -EINVAL;
	if (*end) {
		p = strchr(suffixes, *end >= 'a' && *end <= 'z' ? *end - 'a' + 'A' : *end);
		if (!p || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(p - suffixes + 1);
	}
	if (!*v || *v > (1ULL << 40) >> shift)
		return -EINVAL;
	*v <<= shift;
	return 0;
}

const char *hvm_take_field(const char *s, char *out)
{
	for (; *s; s++) {
		if (*s == ',' && *++s != ',') {
			*out = '\0';
			return s;
		}
		*out++ = *s;
	}
	*out = '\0';
	return NULL;
}

char *hvm_cut_field(const char *s, const char *field, const char *rest)
{
	/* With the comma before it, which is there: the first field is never cut. */
	size_t before = (size_t)(field - 1 - s);
	size_t len = before + (rest ? strlen(rest) + 1 : 0) + 1;
	char *res = malloc(len);

	if (res)
		snprintf(res, len, "%.*s%s%s", (int)before, s, rest ? "," : "", rest ? rest : "");
	return res;
}

static int set_disk_socket(struct hvm_disk_config *disk, const char *v)
{
	if (!*v || disk->backend != HVM_BACKEND_SOCKET)
		return -EINVAL;
	free(disk->socket);
	disk->socket = strdup(v);
	return disk->socket ? 0 : -ENOMEM;
}

static int set_disk_queues(struct hvm_disk_config *disk, const char *v)
{
	uint64_t n;

	if (hvm_parse_range(v, 1, VIRTIO_BLK_MAX_QUEUES, &n))
		return -EINVAL;
	disk->queues = (unsigned int)n;
	return 0;
}

static int set_disk_limit_iops(struct hvm_disk_config *disk, const char *v)
{
	return hvm_parse_rate(v, &disk->limit_iops);
}

static int set_disk_limit_bytes(struct hvm_disk_config *disk, const char *v)
{
	return hvm_parse_rate(v, &disk->limit_bytes);
}

/* Options that are one of a few words. */
static int set_disk_word(struct hvm_disk_config *disk, const char *opt)
{
	if (!strcmp(opt, "readonly"))
		disk->readonly = true;
	else if (!strcmp(opt, "format=qcow2"))
		disk->format = BLK_FORMAT_QCOW2;
	else if (!strcmp(opt, "format=raw"))
		disk->format = BLK_FORMAT_RAW;
	else if (!strcmp(opt, "threads=one") || !strcmp(opt, "threads=queue"))
		disk->one_thread = !strcmp(opt, "threads=one");
	else if (!strcmp(opt, "backend=process") || !strcmp(opt, "backend=inside"))
		disk->backend = !strcmp(opt, "backend=process") ? HVM_BACKEND_PROCESS :
								  HVM_BACKEND_INSIDE;
	else if (!strcmp(opt, "on-error=report"))
		disk->on_error = VIRTIO_BLK_REPORT;
	else if (!strcmp(opt, "on-error=stop"))
		disk->on_error = VIRTIO_BLK_STOP;
	else if (!strcmp(opt, "on-error=ignore"))
		disk->on_error = VIRTIO_BLK_IGNORE;
	else
		return -EINVAL;
	return 0;
}

static int parse_disk_option(const char *s, const char *opt, struct hvm_disk_config *disk,
			     struct hv_err *err)
{
	static const struct {
		const char *key, *wanted;
		int (*set)(struct hvm_disk_config *disk, const char *value);
	} keys[] = {
		{ "queues=", "a number from 1 to 64", set_disk_queues },
		{ "limit-iops=", "requests per second", set_disk_limit_iops },
		{ "limit-bytes=", "bytes per second, like 10M", set_disk_limit_bytes },
		{ "socket=", "a file, after \"vhost-user\",", set_disk_socket },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t len = strlen(keys[i].key);

		if (strncmp(opt, keys[i].key, len))
			continue;
		if (keys[i].set(disk, opt + len))
			return hv_err_set(err, -EINVAL, "--disk %s: %s%s is wanted", s, keys[i].key,
					  keys[i].wanted);
		return 0;
	}
	if (set_disk_word(disk, opt))
		return hv_err_set(err, -EINVAL, "--disk %s: \"%s\" is none of format=qcow2|raw, "
				  "readonly, queues=N, threads=queue|one, on-error=report|stop|ignore, "
				  "limit-iops=N, limit-bytes=RATE, backend=inside|process", s, opt);
	return 0;
}

/* "vhost-user" is no file: the disk is another process's, and so are all of its options but one. */
static int parse_vhost_user_disk(const char *s, const char *rest, char *opt,
				 struct hvm_disk_config *disk, struct hv_err *err)
{
	int ret = 0;

	disk->backend = HVM_BACKEND_SOCKET;
	while (!ret && rest) {
		rest = hvm_take_field(rest, opt);
		if (strncmp(opt, "socket=", 7) && strncmp(opt, "queues=", 7))
			return hv_err_set(err, -EINVAL, "--disk %s: \"%s\" is neither socket=FILE nor "
					  "queues=N; the rest is the back end's business (a file of that "
					  "name is ./vhost-user)", s, opt);
		ret = parse_disk_option(s, opt, disk, err);
	}
	if (!ret && !disk->socket)
		ret = hv_err_set(err, -EINVAL, "--disk %s: socket=FILE is missing, where the back end "
				 "listens", s);
	return ret;
}

static int parse_file_disk(const char *s, const char *rest, char *opt,
			   struct hvm_disk_config *disk, struct hv_err *err)
{
	const char *field;
	int ret = 0;

	while (!ret && rest) {
		field = rest;
		rest = hvm_take_field(rest, opt);
		ret = parse_disk_option(s, opt, disk, err);
		if (ret || strcmp(opt, "backend=process"))
			continue;
		if (disk->spec)
			return hv_err_set(err, -EINVAL, "--disk %s: backend= is given twice", s);
		disk->spec = hvm_cut_field(s, field, rest);
		if (!disk->spec)
			ret = hv_err_set(err, -ENOMEM, "out of memory");
	}
	if (!ret && disk->backend == HVM_BACKEND_PROCESS && disk->on_error == VIRTIO_BLK_STOP)
		ret = hv_err_set(err, -EINVAL, "--disk %s: on-error=stop: a back end cannot stop the "
				 "guest; use report, or no back end", s);
	return ret;
}

int hvm_parse_disk(const char *s, struct hvm_disk_config *disk, struct hv_err *err)
{
	char *path = malloc(strlen(s) + 1), *opt = malloc(strlen(s) + 1);
	const char *rest;
	int ret = 0;

	*disk = (struct hvm_disk_config){ .format = BLK_FORMAT_PROBE };
	if (!path || !opt) {
		ret = hv_err_set(err, -ENOMEM, "out of memory");
		goto out;
	}
	rest = hvm_take_field(s, path);
	if (!*path)
		ret = hv_err_set(err, -EINVAL, "--disk %s: the file's name is missing", s);
	else if (!strcmp(path, "vhost-user"))
		ret = parse_vhost_user_disk(s, rest, opt, disk, err);
	else
		ret = parse_file_disk(s, rest, opt, disk, err);
out:
	free(opt);
	disk->path = path;
	if (ret)
		hvm_disk_config_free(disk);
	return ret;
}

void hvm_disk_config_free(struct hvm_disk_config *disk)
{
	free(disk->path);
	free(disk->socket);
	free(disk->spec);
	disk->path = disk->socket = disk->spec = NULL;
}

int hvm_parse_chardev(const char *option, const char *s, struct hvm_chardev_config *c,
		      struct hv_err *err)
{
	*c = (struct hvm_chardev_config){ .kind = HVM_CHARDEV_NONE };
	if (!strcmp(s, "none"))
		return 0;
	if (!strcmp(s, "stdio")) {
		c->kind = HVM_CHARDEV_STDIO;
		return 0;
	}
	if (!strcmp(s, "pty")) {
		c->kind = HVM_CHARDEV_PTY;
		return 0;
	}
	if (!strncmp(s, "file:", 5) && s[5]) {
		c->kind = HVM_CHARDEV_FILE;
		c->path = s + 5;
		return 0;
	}
	return hv_err_set(err, -EINVAL, "%s %s: none of stdio, pty, none, file:FILE", option, s);
}

int hvm_parse_name(const char *s, char name[HVM_NAME_MAX + 1], struct hv_err *err)
{
	if (!hvm_name_valid(s))
		return hv_err_set(err, -EINVAL, "--name %s: 1 to %d letters, digits, '.', '_' and '-' "
				  "are wanted, the first a letter or digit", s, HVM_NAME_MAX);
	snprintf(name, HVM_NAME_MAX + 1, "%s", s);
	return 0;
}
