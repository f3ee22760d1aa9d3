// SPDX-License-Identifier: GPL-2.0-or-later
/* Values of --firmware and --cloud-init; see cli.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Where Debian's packages have firmware that this machine can run; the first found is taken. */
static const struct {
	const char *name, *path, *vars_template, *package;
} known[] = {
	{ "bios", "/usr/share/seabios/bios-256k.bin", NULL, "seabios" },
	{ "bios", "/usr/share/qemu/bios-256k.bin", NULL, "seabios" },
	{ "uefi", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf" },
	{ "uefi", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd", "ovmf" },
};

#define NR_KNOWN	(sizeof(known) / sizeof(known[0]))

static int no_memory(struct hv_err *err)
{
	return hv_err_set(err, -ENOMEM, "out of memory");
}

static char *copy_string(const char *s)
{
	return s ? strdup(s) : NULL;
}

/* ".../X_CODE_4M.fd" belongs to ".../X_VARS_4M.fd", as Debian names them. */
static char *guess_template(const char *path)
{
	const char *base = strrchr(path, '/'), *code = strstr(base ? base : path, "CODE");
	char *t = code ? strdup(path) : NULL;

	if (t)
		memcpy(t + (code - path), "VARS", 4);
	if (t && access(t, R_OK)) {
		free(t);
		t = NULL;
	}
	return t;
}

/* A short name, or a file. */
static int set_image(const char *s, struct hvm_firmware_config *fw, struct hv_err *err)
{
	const char *package = NULL;

	for (size_t i = 0; i < NR_KNOWN && !fw->path; i++) {
		if (strcmp(s, known[i].name))
			continue;
		package = known[i].package;
		if (access(known[i].path, R_OK))
			continue;
		fw->path = copy_string(known[i].path);
		fw->vars_template = copy_string(known[i].vars_template);
		if (!fw->path || (known[i].vars_template && !fw->vars_template))
			return no_memory(err);
	}
	if (fw->path)
		return 0;
	if (package)
		return hv_err_set(err, -ENOENT, "--firmware %s: not found; install the package %s, "
				  "or give the file's name", s, package);
	fw->path = copy_string(s);
	if (!fw->path)
		return no_memory(err);
	fw->vars_template = guess_template(s);
	return 0;
}

/* Only flash with a store of its own can keep variables: without one the image is all there is. */
static int check_firmware(const char *s, struct hvm_firmware_config *fw, struct hv_err *err)
{
	bool is_bios = !strcmp(s, "bios") || !strncmp(s, "bios,", 5);

	if (fw->vars && is_bios)
		return hv_err_set(err, -EINVAL, "--firmware %s: a BIOS has no variables", s);
	return 0;
}

/* Each field behind the first is KEY=FILE; @keys and @slots say which there are. */
static int take_files(const char *option, const char *s, const char *rest, const char *const *keys,
		      char **const *slots, struct hv_err *err)
{
	char *field = malloc(strlen(s) + 1);
	int ret = field ? 0 : no_memory(err);

	while (!ret && rest) {
		size_t i, len = 0;

		rest = hvm_take_field(rest, field);
		for (i = 0; keys[i]; i++) {
			len = strlen(keys[i]);
			if (!strncmp(field, keys[i], len) && field[len])
				break;
		}
		if (!keys[i] || *slots[i]) {
			ret = hv_err_set(err, -EINVAL, "%s %s: \"%s\" is %s", option, s, field,
					 keys[i] ? "given twice" : "unknown, or lacks a file");
		} else {
			*slots[i] = strdup(field + len);
			ret = *slots[i] ? 0 : no_memory(err);
		}
	}
	free(field);
	return ret;
}

int hvm_parse_firmware(const char *s, struct hvm_firmware_config *fw, struct hv_err *err)
{
	static const char *const keys[] = { "vars=", NULL };
	char **const slots[] = { &fw->vars };
	char *first;
	const char *rest;
	int ret;

	if (fw->given)
		return hv_err_set(err, -EINVAL, "--firmware is given twice");
	first = malloc(strlen(s) + 1);
	if (!first)
		return no_memory(err);
	rest = hvm_take_field(s, first);
	ret = *first ? set_image(first, fw, err) :
		       hv_err_set(err, -EINVAL, "--firmware %s: bios, uefi or a file is wanted", s);
	free(first);
	if (!ret)
		ret = take_files("--firmware", s, rest, keys, slots, err);
	if (!ret)
		ret = check_firmware(s, fw, err);
	if (ret)
		hvm_firmware_config_free(fw);
	else
		fw->given = true;
	return ret;
}

void hvm_firmware_config_free(struct hvm_firmware_config *fw)
{
	free(fw->path);
	free(fw->vars_template);
	free(fw->vars);
	memset(fw, 0, sizeof(*fw));
}

int hvm_parse_cloud_init(const char *s, struct hvm_cloud_init_config *c, struct hv_err *err)
{
	static const char *const keys[] = { "meta-data=", "network-config=", NULL };
	char **const slots[] = { &c->meta_data, &c->network_config };
	const char *rest;
	int ret = 0;

	if (c->user_data)
		return hv_err_set(err, -EINVAL, "--cloud-init is given twice");
	c->user_data = malloc(strlen(s) + 1);
	if (!c->user_data)
		return no_memory(err);
	rest = hvm_take_field(s, c->user_data);
	if (!*c->user_data)
		ret = hv_err_set(err, -EINVAL, "--cloud-init %s: the file with user-data is missing",
				 s);
	else
		ret = take_files("--cloud-init", s, rest, keys, slots, err);
	if (ret)
		hvm_cloud_init_config_free(c);
	return ret;
}

void hvm_cloud_init_config_free(struct hvm_cloud_init_config *c)
{
	free(c->user_data);
	free(c->meta_data);
	free(c->network_config);
	memset(c, 0, sizeof(*c));
}
