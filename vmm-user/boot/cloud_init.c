// SPDX-License-Identifier: GPL-2.0-or-later
/* NoCloud images; see cloud_init.h. */
#include "cloud_init.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define PATH_LEN	4096
#define FILE_MAX	(16u << 20)	/* cloud-init's own limits are far below */
#define NO_PROGRAM	127		/* of posix_spawnp()'s child, too */

/* The directory in which the parts lie while the program runs. */
struct parts {
	char dir[PATH_LEN];
	char iso[PATH_LEN + 8];
	char log[PATH_LEN + 8];	/* what the program says */
	unsigned int nr;
	char *name[3];		/* user-data, meta-data, network-config */
};

static const char *tmp_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir == '/' ? dir : "/tmp";
}

/* ---- The parts ---- */

static int part_failed(const char *what, const char *path, int ret, struct hv_err *err)
{
	return hv_err_set(err, ret, "cloud-init: %s %s: %s", what, path, strerror(-ret));
}

static int write_part(struct parts *p, const char *part, const void *data, size_t len,
		      struct hv_err *err)
{
	char *path;
	int fd, ret = 0;

	if (asprintf(&path, "%s/%s", p->dir, part) < 0)
		return hv_err_set(err, -ENOMEM, "cloud-init: out of memory");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		ret = part_failed("file", path, -errno, err);
		free(path);
		return ret;
	}
	p->name[p->nr++] = path;
	errno = 0;
	if (write(fd, data, len) != (ssize_t)len)
		ret = part_failed("file", path, errno ? -errno : -EIO, err);
	close(fd);
	return ret;
}

/* Copied once: the program sees what was looked at here, whatever happens to the file. */
static int copy_part(struct parts *p, const char *part, const char *from, struct hv_err *err)
{
	struct stat st;
	char *data;
	ssize_t n;
	int fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;

	if (fd < 0)
		return part_failed(part, from, -errno, err);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		close(fd);
		return hv_err_set(err, -EINVAL, "cloud-init: %s %s: a file of at most %u MiB is "
				  "wanted", part, from, FILE_MAX >> 20);
	}
	data = malloc((size_t)st.st_size + 1);
	n = data ? pread(fd, data, (size_t)st.st_size, 0) : -1;
	if (n == st.st_size)
		ret = write_part(p, part, data, (size_t)n, err);
	else
		ret = part_failed(part, from, data ? -EIO : -ENOMEM, err);
	free(data);
	close(fd);
	return ret;
}

static int put_parts(struct parts *p, const struct hvm_cloud_init_config *cfg, const char *name,
		     struct hv_err *err)
{
	char meta[3 * HVM_NAME_MAX];
	int n, ret = copy_part(p, "user-data", cfg->user_data, err);

	if (!ret && cfg->meta_data) {
		ret = copy_part(p, "meta-data", cfg->meta_data, err);
	} else if (!ret) {
		n = snprintf(meta, sizeof(meta), "instance-id: %s\nlocal-hostname: %s\n", name,
			     name);
		ret = write_part(p, "meta-data", meta, (size_t)n, err);
	}
	if (!ret && cfg->network_config)
		ret = copy_part(p, "network-config", cfg->network_config, err);
	return ret;
}

static void remove_parts(struct parts *p)
{
	for (unsigned int i = 0; i < p->nr; i++) {
		unlink(p->name[i]);
		free(p->name[i]);
	}
	unlink(p->log);
	rmdir(p->dir);
}

/* ---- The program ---- */

/* Its exit status, NO_PROGRAM if there is none of that name, or -errno. */
static int run_program(char *const argv[], const char *log)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int ret, status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ret = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (ret)
		return ret == ENOENT ? NO_PROGRAM : -ret;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* The last line that the program wrote. */
static void last_words(const char *log, char *line, size_t len)
{
	FILE *file = fopen(log, "r");
	char buf[512];

	*line = '\0';
	while (file && fgets(buf, sizeof(buf), file)) {
		buf[strcspn(buf, "\n")] = '\0';
		if (*buf)
			snprintf(line, len, "%.*s", (int)len - 1, buf);
	}
	if (file)
		fclose(file);
}

/* Long names need Rock Ridge and Joliet, without which "user-data" would be cut to "USER_DAT". */
static int make_iso(struct parts *p, struct hv_err *err)
{
	static char *const program[] = { "xorriso", "genisoimage" };
	char line[120];
	int ret = NO_PROGRAM;

	for (size_t i = 0; i < 2 && ret == NO_PROGRAM; i++) {
		char *argv[20];
		unsigned int n = 0;

		argv[n++] = program[i];
		if (i == 0) {
			argv[n++] = "-as";
			argv[n++] = "mkisofs";
		}
		argv[n++] = "-quiet";
		argv[n++] = "-output";
		argv[n++] = p->iso;
		argv[n++] = "-volid";
		argv[n++] = "cidata";
		argv[n++] = "-joliet";
		argv[n++] = "-rock";
		for (unsigned int k = 0; k < p->nr; k++)
			argv[n++] = p->name[k];
		argv[n] = NULL;
		ret = run_program(argv, p->log);
	}
	if (ret == NO_PROGRAM)
		return hv_err_set(err, -ENOENT, "cloud-init: neither xorriso nor genisoimage is "
				  "there to make the image; install one of them");
	if (ret < 0)
		return hv_err_set(err, ret, "cloud-init: making the image: %s", strerror(-ret));
	if (!ret)
		return 0;
	last_words(p->log, line, sizeof(line));
	return hv_err_set(err, -EIO, "cloud-init: making the image in %s failed with status %d: %s",
			  tmp_dir(), ret, line);
}

int hvm_cloud_init_create(const struct hvm_cloud_init_config *cfg, const char *name, char **image,
			  struct hv_err *err)
{
	struct parts *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return hv_err_set(err, -ENOMEM, "cloud-init: out of memory");
	if (snprintf(p->dir, sizeof(p->dir), "%s/hvm-cidata-XXXXXX", tmp_dir()) >=
	    (int)sizeof(p->dir) || !mkdtemp(p->dir)) {
		ret = hv_err_set(err, -errno, "cloud-init: no directory in %s: %s", tmp_dir(),
				 strerror(errno));
		free(p);
		return ret;
	}
	snprintf(p->iso, sizeof(p->iso), "%s.iso", p->dir);
	snprintf(p->log, sizeof(p->log), "%s/log", p->dir);
	ret = put_parts(p, cfg, name, err);
	if (!ret)
		ret = make_iso(p, err);
	remove_parts(p);
	if (!ret) {
		*image = strdup(p->iso);
		ret = *image ? 0 : hv_err_set(err, -ENOMEM, "cloud-init: out of memory");
	}
	if (ret)
		unlink(p->iso);
	free(p);
	return ret;
}
