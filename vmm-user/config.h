/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONFIG_H
#define HVM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "../virtio-backends/blk.h"
#include "../virtio-backends/ports.h"
#include "chardev.h"

/* What a guest is made of, as the command line says it. Strings are the caller's. */
#define HVM_MAX_DISKS	24
#define HVM_MAX_NETS	4
#define HVM_MAX_FS	4
#define HVM_MAX_PORTS	VIRTIO_PORTS_MAX
#define HVM_NAME_MAX	64

/* Who does a device's work: this process, one that it starts, or who listens at a socket. */
enum hvm_backend_kind { HVM_BACKEND_INSIDE, HVM_BACKEND_PROCESS, HVM_BACKEND_SOCKET };

struct hvm_disk_config {
	char *path;		/* allocated; empty with HVM_BACKEND_SOCKET */
	enum hvm_backend_kind backend;
	char *socket;		/* HVM_BACKEND_SOCKET; allocated */
	char *spec;		/* HVM_BACKEND_PROCESS: what hv-backend-blk is told; allocated */
	enum blk_format format;
	bool readonly;
	unsigned int queues;	/* 0: as many as there are processors, up to a few */
	bool one_thread;
	enum virtio_blk_on_error on_error;
	uint64_t limit_iops, limit_bytes;	/* per second, 0: none */
};

enum hvm_net_kind { HVM_NET_TAP, HVM_NET_PASST, HVM_NET_SWITCH, HVM_NET_VHOST_USER };

struct hvm_net_config {
	enum hvm_net_kind kind;
	char ifname[16];	/* TAP; empty: the kernel chooses */
	bool vhost;		/* TAP */
	unsigned int queues;	/* TAP; pairs */
	char *socket;		/* PASST, VHOST_USER; allocated */
	enum hvm_backend_kind backend;
	char *spec;		/* HVM_BACKEND_PROCESS: what hv-backend-net is told; allocated */
	char network[HVM_NAME_MAX + 1];	/* SWITCH */
	bool mac_given;
	uint8_t mac[6];
	uint64_t limit_bytes, limit_packets;	/* per second and direction, 0: none */
};

struct hvm_vsock_config {
	bool given;
	uint32_t cid;
	char *socket;		/* NULL: vhost; allocated */
};

/* A shared directory: of a virtiofsd that is started for @dir, or of one at @socket. */
struct hvm_fs_config {
	char *dir, *socket, *server;	/* allocated; NULL: not given */
	char *tag;
};

struct hvm_port_config {
	char *name, *socket;	/* allocated */
};

/* Where a debugger connects. */
struct hvm_gdb_config {
	bool given, wait, remote;	/* wait: begin only when it says so */
	const char *socket;		/* Unix; else host and port */
	const char *host, *port;
	char *text;			/* allocated; holds the others */
};

/* An option of "hvm run" as it was given, for saved state; strings are the caller's. */
struct hvm_option {
	const char *name;	/* "disk" */
	const char *value;	/* NULL: none */
};

struct hvm_stream;
/* PC firmware in place of a kernel. */
struct hvm_firmware_config {
	bool given;
	char *path;		/* image; allocated, as all of these */
	char *vars_template;	/* what a new variable store begins with; NULL: none is known */
	char *vars;		/* variable store; NULL: variables are not kept */
};

/* A NoCloud data source; files. */
struct hvm_cloud_init_config {
	char *user_data;	/* NULL: none is wanted; allocated, as all of these */
	char *meta_data, *network_config;	/* NULL: not given */
};

struct hvm_config {
	char name[HVM_NAME_MAX + 1];
	const char *accel;
	const char *kernel, *initrd, *append;
	struct hvm_firmware_config firmware;
	struct hvm_cloud_init_config cloud_init;
	unsigned int cpus;
	uint64_t mem;		/* bytes */
	struct hvm_disk_config disk[HVM_MAX_DISKS];
	unsigned int nr_disks;
	struct hvm_net_config net[HVM_MAX_NETS];
	unsigned int nr_nets;
	struct hvm_fs_config fs[HVM_MAX_FS];
	unsigned int nr_fs;
	struct hvm_chardev_config serial, console;
	struct hvm_port_config port[HVM_MAX_PORTS];
	unsigned int nr_ports;
	bool balloon;
	struct hvm_vsock_config vsock;
	struct hvm_gdb_config gdb;
	bool no_reboot;		/* a reset by the guest ends hvm */

	struct hvm_option *option;	/* allocated; what all of the above was made from */
	unsigned int nr_options;
	struct hvm_stream *restore;	/* begin with this state; NULL: at power-on */
	bool start_paused;
};

/* Exit statuses of "hvm run"; Documentation/hvm.1.rst explains them. */
enum hvm_status {
	HVM_STATUS_OK = 0,	/* the guest switched off, or hvm was told to end */
	HVM_STATUS_USAGE = 1,	/* wrong command line, or the guest could not be started */
	HVM_STATUS_ERROR = 2,	/* the host failed while the guest ran */
	HVM_STATUS_CRASH = 3,	/* the guest crashed */
	HVM_STATUS_RESET = 4,	/* the guest asked for a reset, and --no-reboot was given */
};

#endif
