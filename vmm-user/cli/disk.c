// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm disk */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../virtio-backends/block/block.h"
#include "../control/client.h"
#include "cli.h"

static const char disk_usage[] =
"Usage: hvm disk create FILE SIZE [--format qcow2|raw] [--backing FILE]\n"
"       hvm disk info FILE\n"
"       hvm disk check FILE\n"
"       hvm disk commit FILE\n"
"       hvm disk resize FILE SIZE [--format qcow2|raw]\n"
"       hvm disk resize NAME DISK SIZE\n"
"       hvm disk snapshot list FILE\n"
"       hvm disk snapshot create|apply|delete FILE SNAPSHOT\n"
"       hvm disk snapshot create|delete NAME DISK SNAPSHOT\n"
"       hvm disk overlay NAME DISK FILE\n"
"\n"
"Make, look at and change disk images. With a FILE, the image must not be in use; with\n"
"a NAME, it is a disk of that running guest: blk0 is the first.\n"
"\n"
"  create    make an image (with qemu-img)\n"
"  info      show what an image is (with qemu-img)\n"
"  check     find errors and leaks of a qcow2 image; changes nothing\n"
"  commit    write what an image holds into its backing image (with qemu-img)\n"
"  resize    make a disk larger; a running guest sees it at once\n"
"  snapshot  internal snapshots of a qcow2 image, which are states of the disk to go\n"
"            back to: list, create, apply, delete\n"
"  overlay   let a running guest go on with a new image FILE on top of its disk, which\n"
"            stays as it is from then on\n"
"  SIZE      like 512M or 20G\n"
"  --help    show this\n"
"\n"
"Exit status: 0, 1 if it failed, 2 if check found errors, 3 if it found leaks only.\n";

struct disk_args {
	enum blk_format format;
	const char *format_name, *backing;
	int argc;
	char **argv;		/* what is not an option, without the command's name */
};

static int usage_error(struct hv_err *err)
{
	return hv_err_set(err, -EINVAL, "disk: wrong arguments (see \"hvm disk --help\")");
}

/* Bytes, or with a suffix K, M, G, T. What an image can have is for the format to say. */
static int parse_size(const char *s, uint64_t *size, struct hv_err *err)
{
	static const char suffixes[] = "KMGTkmgt";
	unsigned int shift = 0;
	const char *p;
	char *end;

	if (hvm_parse_number(s, &end, size))
		goto bad;
	if (*end) {
		p = strchr(suffixes, *end);
		if (!p || end[1])
			goto bad;
		shift = 10 * ((unsigned int)(p - suffixes) % 4 + 1);
	}
	if (*size && *size <= (uint64_t)INT64_MAX >> shift) {
		*size <<= shift;
		return 0;
	}
bad:
	return hv_err_set(err, -EINVAL, "disk: \"%s\": a size like 512M or 20G is wanted", s);
}

/* ---- qemu-img ---- */

static int run_qemu_img(char *const argv[], struct hv_err *err)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return hv_err_set(err, -errno, "cannot start qemu-img: %s", strerror(errno));
	if (!pid) {
		execvp(argv[0], argv);
		_exit(errno == ENOENT ? 127 : 126);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return hv_err_set(err, -errno, "qemu-img: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return hv_err_set(err, -ENOENT, "qemu-img is not there; install qemu-utils");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return hv_err_set(err, -EIO, "qemu-img failed");
	return 0;
}

static int disk_create(const struct disk_args *a, struct hv_err *err)
{
	char size[24], name[4096];
	char *argv[] = { "qemu-img", "create", "-q", "-f", NULL, NULL, NULL, NULL, NULL, NULL, NULL,
			 NULL };
	uint64_t bytes;
	int n = 4;

	if (a->argc != 3)
		return usage_error(err);
	if (parse_size(a->argv[2], &bytes, err))
		return -EINVAL;
	/* It would overwrite without a question. */
	if (!access(a->argv[1], F_OK))
		return hv_err_set(err, -EEXIST, "%s: is there already", a->argv[1]);
	argv[n++] = (char *)(a->format_name ? a->format_name : "qcow2");
	if (a->backing) {
		struct blk_open_opts opts = { .filename = a->backing, .readonly = true };
		struct blk_image *img;

		if (blk_open(&opts, &img, err))
			return -EINVAL;
		argv[n++] = "-b";
		argv[n++] = (char *)a->backing;
		argv[n++] = "-F";
		argv[n++] = (char *)blk_format_name(img);
		blk_close(img);
	}
	/* A name with a colon is none of a protocol. */
	snprintf(name, sizeof(name), "%s%s", strchr(a->argv[1], ':') ? "file:" : "", a->argv[1]);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	argv[n++] = name;
	argv[n++] = size;
	return run_qemu_img(argv, err);
}

/* ---- Images that are not in use ---- */

static int open_image(const struct disk_args *a, const char *file, bool readonly,
		      struct blk_image **img, struct hv_err *err)
{
	struct blk_open_opts opts = {
		.filename = file, .format = a->format, .readonly = readonly,
	};

	return blk_open(&opts, img, err);
}

static int close_image(struct blk_image *img, const char *file, int ret, struct hv_err *err)
{
	int r = blk_close(img);

	return ret || !r ? ret : hv_err_set(err, r, "%s: cannot be written: %s", file, strerror(-r));
}

static int disk_info(const struct disk_args *a, struct hv_err *err)
{
	struct blk_image *img;
	const char *format;

	if (a->argc != 2)
		return usage_error(err);
	/* That it is in use, or no image, is better said by us. */
	if (open_image(a, a->argv[1], true, &img, err))
		return -EINVAL;
	format = blk_format_name(img);
	blk_close(img);
	return run_qemu_img((char *[]){ "qemu-img", "info", "--backing-chain", "-f",
					(char *)format, a->argv[1], NULL }, err);
}

static int disk_commit(const struct disk_args *a, struct hv_err *err)
{
	struct blk_image *img;

	if (a->argc != 2)
		return usage_error(err);
	if (open_image(a, a->argv[1], false, &img, err))
		return -EINVAL;
	blk_close(img);
	return run_qemu_img((char *[]){ "qemu-img", "commit", "-q", "-f", "qcow2", a->argv[1],
					NULL }, err);
}

static int disk_check(const struct disk_args *a, int *status, struct hv_err *err)
{
	struct blk_check_result res;
	struct blk_image *img;
	int ret;

	if (a->argc != 2)
		return usage_error(err);
	ret = open_image(a, a->argv[1], true, &img, err);
	if (ret)
		return ret;
	ret = blk_check(img, &res, err);
	blk_close(img);
	if (ret)
		return ret;
	if (res.errors || res.leaks)
		printf("%s: %llu errors, %llu leaked clusters; \"qemu-img check -r %s\" repairs\n",
		       a->argv[1], (unsigned long long)res.errors, (unsigned long long)res.leaks,
		       res.errors ? "all" : "leaks");
	else
		printf("%s: no errors\n", a->argv[1]);
	*status = res.errors ? 2 : res.leaks ? 3 : 0;
	return 0;
}

static int disk_resize(const struct disk_args *a, struct hv_err *err)
{
	struct blk_image *img;
	uint64_t size;
	int ret;

	if (a->argc != 3 && a->argc != 4)
		return usage_error(err);
	ret = parse_size(a->argv[a->argc - 1], &size, err);
	if (ret)
		return ret;
	if (a->argc == 4)
		return hvm_control_call_with(a->argv[1], "block_resize",
					     json_pack("{s:s, s:I}", "device", a->argv[2], "size",
						       (json_int_t)size), NULL, err);
	ret = open_image(a, a->argv[1], false, &img, err);
	if (ret)
		return ret;
	ret = blk_resize(img, size, err);
	return close_image(img, a->argv[1], ret, err);
}

/* ---- Snapshots ---- */

static int snapshot_list(const struct disk_args *a, struct hv_err *err)
{
	struct blk_snapshot *list;
	struct blk_image *img;
	unsigned int nr;
	char date[32];
	int ret;

	ret = open_image(a, a->argv[2], true, &img, err);
	if (ret)
		return ret;
	ret = blk_snapshot_list(img, &list, &nr, err);
	blk_close(img);
	if (!ret && nr)
		printf("%-4s %-24s %-20s %12s %12s\n", "ID", "NAME", "DATE", "DISK", "VM STATE");
	for (unsigned int i = 0; !ret && i < nr; i++) {
		time_t t = list[i].date_sec;
		struct tm tm;

		strftime(date, sizeof(date), "%F %T", localtime_r(&t, &tm));
		printf("%-4s %-24s %-20s %12llu %12llu\n", list[i].id, list[i].name, date,
		       (unsigned long long)list[i].disk_size,
		       (unsigned long long)list[i].vm_state_size);
	}
	free(list);
	return ret;
}

static int snapshot_of_guest(const struct disk_args *a, enum blk_snapshot_op op,
			     struct hv_err *err)
{
	if (op == BLK_SNAPSHOT_APPLY)
		return hv_err_set(err, -EINVAL,
				  "disk: a snapshot is applied when the guest is off, to the FILE");
	return hvm_control_call_with(a->argv[2], op == BLK_SNAPSHOT_CREATE ?
				     "blockdev-snapshot-internal-sync" :
				     "blockdev-snapshot-delete-internal-sync",
				     json_pack("{s:s, s:s}", "device", a->argv[3], "name",
					       a->argv[4]), NULL, err);
}

static int disk_snapshot(const struct disk_args *a, struct hv_err *err)
{
	static const char *const verbs[] = {
		[BLK_SNAPSHOT_CREATE] = "create", [BLK_SNAPSHOT_APPLY] = "apply",
		[BLK_SNAPSHOT_DELETE] = "delete",
	};
	struct blk_image *img;
	unsigned int op;
	int ret;

	if (a->argc == 3 && !strcmp(a->argv[1], "list"))
		return snapshot_list(a, err);
	for (op = 0; op < 3 && a->argc > 1 && strcmp(a->argv[1], verbs[op]); op++)
		;
	if (op == 3 || (a->argc != 4 && a->argc != 5))
		return usage_error(err);
	if (a->argc == 5)
		return snapshot_of_guest(a, op, err);
	ret = open_image(a, a->argv[2], false, &img, err);
	if (ret)
		return ret;
	ret = blk_snapshot(img, op, a->argv[3], err);
	return close_image(img, a->argv[2], ret, err);
}

/* The guest may run in another directory. */
static int disk_overlay(const struct disk_args *a, struct hv_err *err)
{
	char *dir, *file;
	int ret;

	if (a->argc != 4)
		return usage_error(err);
	dir = a->argv[3][0] == '/' ? strdup("") : getcwd(NULL, 0);
	if (!dir || asprintf(&file, "%s%s%s", dir, *dir ? "/" : "", a->argv[3]) < 0) {
		free(dir);
		return hv_err_set(err, -ENOMEM, "%s: no such directory, or out of memory", a->argv[3]);
	}
	ret = hvm_control_call_with(a->argv[1], "blockdev-snapshot-sync",
				    json_pack("{s:s, s:s}", "device", a->argv[2], "snapshot-file",
					      file), NULL, err);
	free(dir);
	free(file);
	return ret;
}

/* ---- Command line ---- */

static int parse_format(struct disk_args *a, const char *name, struct hv_err *err)
{
	if (!strcmp(name, "qcow2"))
		a->format = BLK_FORMAT_QCOW2;
	else if (!strcmp(name, "raw"))
		a->format = BLK_FORMAT_RAW;
	else
		return hv_err_set(err, -EINVAL, "disk: --format %s: qcow2 or raw is wanted", name);
	a->format_name = name;
	return 0;
}

static int run_verb(const struct disk_args *a, int *status, struct hv_err *err)
{
	const char *verb = a->argc ? a->argv[0] : "";

	if (!strcmp(verb, "create"))
		return disk_create(a, err);
	if (!strcmp(verb, "info"))
		return disk_info(a, err);
	if (!strcmp(verb, "check"))
		return disk_check(a, status, err);
	if (!strcmp(verb, "commit"))
		return disk_commit(a, err);
	if (!strcmp(verb, "resize"))
		return disk_resize(a, err);
	if (!strcmp(verb, "overlay"))
		return disk_overlay(a, err);
	if (!strcmp(verb, "snapshot"))
		return disk_snapshot(a, err);
	return usage_error(err);
}

static int disk_command(int argc, char **argv, struct hv_err *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "format", required_argument, NULL, 'f' },
		{ "backing", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	struct disk_args a = { .format = BLK_FORMAT_PROBE };
	int opt, status = 0;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			return hvm_print_help(&hvm_cmd_disk, err);
		case 'b':
			a.backing = optarg;
			break;
		case 'f':
			if (parse_format(&a, optarg, err))
				return 1;
			break;
		default:
			hv_err_set(err, -EINVAL, "disk: wrong option %s (see \"hvm disk --help\")",
				   argv[optind - 1]);
			return 1;
		}
	}
	a.argc = argc - optind;
	a.argv = argv + optind;
	if (run_verb(&a, &status, err))
		return 1;
	return hvm_flush_stdout(err) ? 1 : status;
}

const struct hvm_command hvm_cmd_disk = {
	.name = "disk",
	.run = disk_command,
	.summary = "make, check and change disk images",
	.usage = disk_usage,
};
