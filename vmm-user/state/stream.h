/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_STREAM_H
#define HVM_STREAM_H

#include <stdint.h>

#include "../../virtio-backends/state.h"

/*
 * The stream of a whole machine as a file: Documentation/state.rst has the format. What is large,
 * the contents of RAM, lies page-aligned in the file so that it can be mapped; everything else is
 * read and checked as a whole before anything else happens with it.
 */
#define HVM_STREAM_VERSION	1
#define HVM_STREAM_ALIGN	4096u		/* of the contents of RAM */
#define HVM_STREAM_CHUNK	(1u << 20)	/* bytes of RAM for which there is one checksum */
#define HVM_STREAM_ID_LEN	16

struct hvm_stream {
	char *path;
	int fd;
	uint8_t id[HVM_STREAM_ID_LEN];
	uint64_t saved_ns;	/* CLOCK_REALTIME */
	char *creator;		/* "hvm 0.1.0" */
	uint64_t ram_offset, ram_len;
	const uint8_t *sums;	/* 32 bits per chunk, not aligned */

	uint8_t *buf;		/* all sections, but of large ones only the header */
	size_t len;
	struct hv_state_reader r;	/* after the first section */
};

/*
 * Open a stream and see that it is whole: all checksums but those of the contents of RAM, which
 * hvm_stream_verify_ram() reads. The file must not change as long as a guest runs from it.
 */
int hvm_stream_open(const char *path, struct hvm_stream **s, struct hv_err *err);
void hvm_stream_close(struct hvm_stream *s);
int hvm_stream_verify_ram(const struct hvm_stream *s, struct hv_err *err);
/* Let [@ram, @ram + @len) be the contents of RAM: read when touched, written to by nobody else. */
int hvm_stream_map_ram(const struct hvm_stream *s, void *ram, uint64_t len, struct hv_err *err);

/* The first section. */
void hvm_stream_put_start(struct hv_state_writer *w, uint64_t saved_ns);

/*
 * What writes the rest, after the sections that are in @w: RAM, its checksums, the end. It runs in
 * a process of its own, forked while the guest stood still, and so allocates nothing.
 */
struct hvm_stream_out {
	int fd;
	const void *head;	/* sections before RAM */
	size_t head_len;
	const uint8_t *ram;
	uint64_t ram_len;	/* whole chunks */
	uint32_t *sums;		/* room for one per chunk */
	void (*progress)(void *opaque, uint64_t done);	/* bytes of RAM; may be NULL */
	void *opaque;
};
/* 0 or -errno. @fd is an empty file. */
int hvm_stream_write(const struct hvm_stream_out *out);

#endif
