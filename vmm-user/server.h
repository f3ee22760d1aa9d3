/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_SERVER_H
#define HVM_SERVER_H

#include <sys/types.h>

#include "../virtio-backends/util/err.h"

/*
 * The back end of a vhost-user device: a process that hvm starts, and again when it is gone; or
 * one that somebody else runs, at a socket. hvm_server_connect() is the device's connect
 * callback, and is called on one thread at a time.
 */
#define HVM_SERVER_MAX_ARGS	12

struct hvm_server {
	char id[16];
	const char *socket;		/* not NULL: somebody else's; the fields below are unused */
	const char *program;		/* for messages */
	char *argv[HVM_SERVER_MAX_ARGS + 1];	/* allocated; "FD" stands for the socket's number */
	char *listen;			/* path of a socket made for the program; allocated */
	pid_t pid;			/* 0: none runs */
};

/* At @socket, which must outlive the server. */
void hvm_server_init_socket(struct hvm_server *s, const char *id, const char *socket);
/*
 * hv-backend-@kind beside hvm's own program, told to serve @spec ("disk.qcow2,queues=2"). @name is what it
 * calls itself, NULL: its own.
 */
int hvm_server_init_backend(struct hvm_server *s, const char *id, const char *kind,
			    const char *spec, const char *name, struct hv_err *err);
/* virtiofsd for @dir; @program NULL: wherever Debian has it. @guest: for the name of its socket. */
int hvm_server_init_virtiofsd(struct hvm_server *s, const char *id, const char *program,
			      const char *dir, const char *guest, struct hv_err *err);

int hvm_server_connect(void *opaque, int *sock, struct hv_err *err);
/* The device is gone, and with it the connection: wait for the process, which ends by itself. */
void hvm_server_destroy(struct hvm_server *s);

#endif
