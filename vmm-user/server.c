// SPDX-License-Identifier: GPL-2.0-or-later
/* Back ends that are processes; see server.h. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../virtio-backends/util/listen.h"
#include "../virtio-backends/util/log.h"
#include "control/runtime.h"

/* Where the socket is in the process that is started. */
#define CHILD_FD	3
/* A disk may have much to flush at the end. */
#define END_MS		60000

extern char **environ;

/* ---- What is started ---- */

void hvm_server_init_socket(struct hvm_server *s, const char *id, const char *socket)
{
	*s = (struct hvm_server){ .socket = socket };
	snprintf(s->id, sizeof(s->id), "%s", id);
}

static int server_no_memory(struct hvm_server *s, struct hv_err *err)
{
	hvm_server_destroy(s);
	return hv_err_set(err, -ENOMEM, "%s: out of memory", s->id);
}

/* Append a copy of @arg. */
static bool add_arg(struct hvm_server *s, const char *arg)
{
	unsigned int n = 0;

	while (s->argv[n])
		n++;
	if (n == HVM_SERVER_MAX_ARGS)
		return false;
	s->argv[n] = strdup(arg);
	return s->argv[n];
}

int hvm_server_init_backend(struct hvm_server *s, const char *id, const char *kind,
			    const char *spec, const char *name, struct hv_err *err)
{
	char self[4096], program[4200], option[16], fd[8];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	hvm_server_init_socket(s, id, NULL);
	if (n < 0)
		return hv_err_set(err, -errno, "%s: /proc/self/exe: %s", id, strerror(errno));
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	snprintf(program, sizeof(program), "%s/hv-backend-%s", self, kind);
	snprintf(option, sizeof(option), "--%s", strcmp(kind, "blk") ? kind : "disk");
	snprintf(fd, sizeof(fd), "%d", CHILD_FD);
	if (access(program, X_OK))
		return hv_err_set(err, -errno, "%s: %s: %s; it is installed beside hvm", id, program,
				  strerror(errno));
	if (!add_arg(s, program) || !add_arg(s, option) || !add_arg(s, spec) ||
	    !add_arg(s, "--fd") || !add_arg(s, fd) || !add_arg(s, "--name") ||
	    !add_arg(s, name ? name : id))
		return server_no_memory(s, err);
	s->program = s->argv[0];
	return 0;
}

/* Debian 13 and 12. */
static const char *find_virtiofsd(void)
{
	static const char *const places[] = { "/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!access(places[i], X_OK))
			return places[i];
	return NULL;
}

int hvm_server_init_virtiofsd(struct hvm_server *s, const char *id, const char *program,
			      const char *dir, const char *guest, struct hv_err *err)
{
	char runtime[HVM_RUNTIME_PATH_MAX], path[HVM_RUNTIME_PATH_MAX + 100], arg[32];
	char source[4096 + 8];
	int fd;

	hvm_server_init_socket(s, id, NULL);
	if (!program)
		program = find_virtiofsd();
	if (!program)
		return hv_err_set(err, -ENOENT, "%s: there is no virtiofsd; install the package virtiofsd "
				  "(Debian 12: qemu-system-common), or say server=PROGRAM", id);
	if (access(program, X_OK))
		return hv_err_set(err, -errno, "%s: %s: %s", id, program, strerror(errno));
	if (strlen(dir) >= 4096 || strchr(dir, ','))
		return hv_err_set(err, -EINVAL, "%s: %s: virtiofsd takes no path with a comma, or so long",
				  id, dir);
	if (access(dir, F_OK))
		return hv_err_set(err, -errno, "%s: %s: %s", id, dir, strerror(errno));
	fd = hvm_runtime_open(true, runtime, err);
	if (fd < 0)
		return fd;
	close(fd);
	snprintf(path, sizeof(path), "%s/%s.%s", runtime, guest, id);
	snprintf(arg, sizeof(arg), "--fd=%d", CHILD_FD);
	snprintf(source, sizeof(source), "source=%s", dir);
	s->listen = strdup(path);
	/* -f and -o are known to the old and the new one. */
	if (!s->listen || !add_arg(s, program) || !add_arg(s, arg) || !add_arg(s, "-f") ||
	    !add_arg(s, "-o") || !add_arg(s, source))
		return server_no_memory(s, err);
	s->program = s->argv[0];
	return 0;
}

/* ---- Processes ---- */

/* Signals of the terminal and of hvm's threads are not for it: it ends with its connection. */
static int spawn_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, defaults;
	int ret;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGTTOU);
	sigaddset(&defaults, SIGXFSZ);
	ret = posix_spawnattr_setsigmask(attr, &none);
	if (!ret)
		ret = posix_spawnattr_setsigdefault(attr, &defaults);
	if (!ret)
		ret = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	return ret;
}

/* Start it with @fd as its CHILD_FD; the other descriptors of hvm are closed at exec. */
static int server_spawn(struct hvm_server *s, int fd, struct hv_err *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int ret = posix_spawn_file_actions_init(&actions);

	if (ret)
		return hv_err_set(err, -ret, "%s: %s: %s", s->id, s->program, strerror(ret));
	ret = posix_spawnattr_init(&attr);
	if (ret)
		goto out;
	/* The terminal is the guest's. */
	ret = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	if (!ret)
		ret = posix_spawn_file_actions_adddup2(&actions, fd, CHILD_FD);
	if (!ret)
		ret = spawn_attributes(&attr);
	if (!ret)
		ret = posix_spawn(&s->pid, s->program, &actions, &attr, s->argv, environ);
	if (ret)
		s->pid = 0;
	posix_spawnattr_destroy(&attr);
out:
	posix_spawn_file_actions_destroy(&actions);
	return ret ? hv_err_set(err, -ret, "%s: %s: %s", s->id, s->program, strerror(ret)) : 0;
}

/*
 * Nobody talks to it any more: it must be gone before the next one opens the same disk. One that
 * does not end within @ms is killed.
 */
static void server_reap(struct hvm_server *s, unsigned int ms)
{
	int status = 0;

	if (!s->pid)
		return;
	for (unsigned int waited = 0; waitpid(s->pid, &status, WNOHANG) == 0; waited += 10) {
		if (waited == ms) {
			hv_log("%s: %s does not end and is killed", s->id, s->program);
			kill(s->pid, SIGKILL);
		}
		usleep(10000);
	}
	s->pid = 0;
	if (WIFSIGNALED(status))
		hv_log("%s: %s was killed by signal %d (%s)", s->id, s->program, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		hv_log("%s: %s ended with status %d", s->id, s->program, WEXITSTATUS(status));
}

/* ---- Connections ---- */

static int connect_to(struct hvm_server *s, const char *path, int *sock, struct hv_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return hv_err_set(err, -ENAMETOOLONG, "%s: %s: too long for a socket", s->id, path);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return hv_err_set(err, -errno, "%s: socket: %s", s->id, strerror(errno));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int ret = hv_err_set(err, -errno, "%s: %s: %s%s", s->id, path, strerror(errno),
				     errno == ENOENT || errno == ECONNREFUSED ?
				     "; start the back end first" : "");

		close(fd);
		return ret;
	}
	*sock = fd;
	return 0;
}

/* A program that accepts connections itself gets a socket that only this one can be made to. */
static int connect_listening(struct hvm_server *s, int *sock, struct hv_err *err)
{
	struct sockaddr_un addr;
	int fd = hv_listen_unix(s->id, s->listen, 0, &addr, err);
	int ret, flags;

	if (fd < 0)
		return fd;
	ret = connect_to(s, s->listen, sock, err);
	unlink(s->listen);
	/* It waits in accept(). */
	flags = fcntl(fd, F_GETFL);
	if (!ret && (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK)))
		ret = hv_err_set(err, -errno, "%s: socket: %s", s->id, strerror(errno));
	else if (!ret)
		ret = server_spawn(s, fd, err);
	else
		*sock = -1;
	if (ret && *sock >= 0)
		close(*sock);
	close(fd);
	return ret;
}

static int connect_pair(struct hvm_server *s, int *sock, struct hv_err *err)
{
	int sv[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return hv_err_set(err, -errno, "%s: socketpair: %s", s->id, strerror(errno));
	ret = server_spawn(s, sv[1], err);
	close(sv[1]);
	if (ret)
		close(sv[0]);
	*sock = sv[0];
	return ret;
}

int hvm_server_connect(void *opaque, int *sock, struct hv_err *err)
{
	struct hvm_server *s = opaque;

	*sock = -1;
	if (s->socket)
		return connect_to(s, s->socket, sock, err);
	server_reap(s, 5000);
	return s->listen ? connect_listening(s, sock, err) : connect_pair(s, sock, err);
}

void hvm_server_destroy(struct hvm_server *s)
{
	server_reap(s, END_MS);
	for (unsigned int i = 0; i < HVM_SERVER_MAX_ARGS; i++)
		free(s->argv[i]);
	memset(s->argv, 0, sizeof(s->argv));
	free(s->listen);
	s->listen = NULL;
}
