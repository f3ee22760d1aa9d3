// SPDX-License-Identifier: GPL-2.0-or-later
/* Writing the state of a machine to a file; see job.h. */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_BYTES	(16u << 20)	/* of RAM between two words of the child */

/* What the child says through the pipe; smaller than PIPE_BUF, so never in pieces. */
struct report {
	uint64_t done;
	int32_t error;		/* of the end */
	uint32_t ended;
};

struct hvm_state_job {
	char *path, *dir, *tmp;
	bool force;
	int fd, pipe_fd;
	pid_t child;		/* 0: none */
	struct hv_state_writer head;
	uint32_t *sums;
	uint64_t done, total;
	bool ended;
	int error;
	struct hv_loop_fd *watch;
	hvm_state_job_fn fn;
	void *opaque;
};

/* ---- The child: system calls only ---- */

struct child {
	struct hvm_state_job *job;
	int pipe_fd;
	uint64_t reported;
};

static void child_report(struct child *c, uint64_t done, int error, bool ended)
{
	struct report r = { .done = done, .error = error, .ended = ended };

	/* If nobody listens any more, nobody wants the file. */
	if (write(c->pipe_fd, &r, sizeof(r)) != sizeof(r))
		_exit(1);
	c->reported = done;
}

static void child_progress(void *opaque, uint64_t done)
{
	struct child *c = opaque;

	if (done - c->reported >= PROGRESS_BYTES)
		child_report(c, done, 0, false);
}

/* Under its name, once it is whole; the directory says so after a power failure, too. */
static int child_publish(const struct hvm_state_job *job)
{
	int dir, ret = 0;

	if (job->force)
		ret = rename(job->tmp, job->path) ? -errno : 0;
	else if (link(job->tmp, job->path))
		ret = -errno;
	else
		unlink(job->tmp);
	if (ret)
		return ret;
	dir = open(job->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir))
		ret = -errno;
	return ret;
}

/* Nothing of the VM may live on through this process: neither sockets nor locks of disks. */
static void child_close_others(int a, int b)
{
	int lo = a < b ? a : b, hi = a < b ? b : a;

	if (lo > 0)
		close_range(0, (unsigned int)lo - 1, 0);
	if (hi - lo > 1)
		close_range((unsigned int)lo + 1, (unsigned int)hi - 1, 0);
	close_range((unsigned int)hi + 1, ~0u, 0);
}

static _Noreturn void child_main(struct hvm_state_job *job, int pipe_fd, const void *ram)
{
	struct child c = { .job = job, .pipe_fd = pipe_fd };
	const struct hvm_stream_out out = {
		.fd = job->fd, .head = job->head.buf, .head_len = job->head.len,
		.ram = ram, .ram_len = job->total, .sums = job->sums,
		.progress = child_progress, .opaque = &c,
	};
	int ret;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "hvm-state");
	child_close_others(job->fd, pipe_fd);
	ret = hvm_stream_write(&out);
	if (!ret)
		ret = child_publish(job);
	child_report(&c, job->total, ret, true);
	_exit(ret ? 1 : 0);
}

/* ---- The parent ---- */

static void job_reap(struct hvm_state_job *job)
{
	while (job->child && waitpid(job->child, NULL, 0) < 0 && errno == EINTR)
		;
	job->child = 0;
}

static void job_finish(struct hvm_state_job *job)
{
	char msg[PATH_MAX + 128] = "";

	hv_loop_del_fd(job->watch);
	job->watch = NULL;
	job_reap(job);
	if (!job->ended)
		job->error = -ECHILD;
	if (job->error == -ECHILD)
		snprintf(msg, sizeof(msg), "%s: what wrote it was killed; nothing is saved", job->path);
	else if (job->error)
		snprintf(msg, sizeof(msg), "%s: %s; nothing is saved", job->path,
			 strerror(-job->error));
	if (job->error)
		unlink(job->tmp);
	job->fn(job->opaque, job->error, job->error ? msg : NULL);
}

static void job_ready(void *opaque, uint32_t events)
{
	struct hvm_state_job *job = opaque;
	struct report r;
	ssize_t n = read(job->pipe_fd, &r, sizeof(r));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n == sizeof(r)) {
		job->done = r.done;
		job->ended = r.ended;
		job->error = r.error;
	}
	if (n != sizeof(r) || job->ended)
		job_finish(job);
}

static int job_names(struct hvm_state_job *job, const char *path, struct hv_err *err)
{
	const char *slash = strrchr(path, '/');
	int len;

	if (!slash || !slash[1])
		return hv_err_set(err, -EINVAL, "%s: not the absolute name of a file", path);
	len = slash == path ? 1 : (int)(slash - path);
	job->path = strdup(path);
	if (!job->path || asprintf(&job->dir, "%.*s", len, path) < 0 ||
	    asprintf(&job->tmp, "%.*s/.%s.XXXXXX", len, path, slash + 1) < 0)
		return hv_err_set(err, -ENOMEM, "out of memory");
	return 0;
}

int hvm_state_job_create(const char *path, bool force, uint64_t ram_len, struct hvm_state_job **res,
			 struct hv_err *err)
{
	struct hvm_state_job *job = calloc(1, sizeof(*job));
	int ret;

	if (!job)
		return hv_err_set(err, -ENOMEM, "out of memory");
	job->fd = job->pipe_fd = -1;
	job->force = force;
	job->total = ram_len;
	hv_state_writer_init(&job->head);
	job->sums = calloc(ram_len / HVM_STREAM_CHUNK, sizeof(job->sums[0]));
	ret = job->sums ? job_names(job, path, err) : hv_err_set(err, -ENOMEM, "out of memory");
	if (!ret && !force && !access(path, F_OK))
		ret = hv_err_set(err, -EEXIST, "%s: exists; --force overwrites it", path);
	if (!ret) {
		/* Readable for its owner only, as the guest's memory is. */
		job->fd = mkostemp(job->tmp, O_CLOEXEC);
		if (job->fd < 0)
			ret = hv_err_set(err, -errno, "%s: cannot be created: %s", path,
					 strerror(errno));
	}
	if (ret) {
		hvm_state_job_destroy(job);
		return ret;
	}
	*res = job;
	return 0;
}

int hvm_state_job_start(struct hvm_state_job *job, struct hv_state_writer *w, const void *ram,
			struct hv_loop *loop, hvm_state_job_fn done, void *opaque,
			struct hv_err *err)
{
	int fds[2];

	job->head = *w;
	hv_state_writer_init(w);
	job->fn = done;
	job->opaque = opaque;
	if (pipe2(fds, O_CLOEXEC))
		return hv_err_set(err, -errno, "pipe: %s", strerror(errno));
	job->pipe_fd = fds[0];
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	job->watch = hv_loop_add_fd(loop, fds[0], EPOLLIN, job_ready, job);
	if (!job->watch) {
		close(fds[1]);
		return hv_err_set(err, -errno, "event loop: %s", strerror(errno));
	}
	job->child = fork();
	if (!job->child)
		child_main(job, fds[1], ram);
	close(fds[1]);
	if (job->child < 0) {
		job->child = 0;
		return hv_err_set(err, -errno, "no process to write the state: %s", strerror(errno));
	}
	return 0;
}

void hvm_state_job_progress(const struct hvm_state_job *job, uint64_t *done, uint64_t *total)
{
	*done = job->done;
	*total = job->total;
}

const char *hvm_state_job_path(const struct hvm_state_job *job)
{
	return job->path;
}

void hvm_state_job_destroy(struct hvm_state_job *job)
{
	if (!job)
		return;
	if (job->watch)
		hv_loop_del_fd(job->watch);
	if (job->child)
		kill(job->child, SIGKILL);
	job_reap(job);
	if (job->pipe_fd >= 0)
		close(job->pipe_fd);
	if (job->fd >= 0) {
		close(job->fd);
		/* Gone already if all went well. */
		unlink(job->tmp);
	}
	hv_state_writer_free(&job->head);
	free(job->sums);
	free(job->path);
	free(job->dir);
	free(job->tmp);
	free(job);
}
