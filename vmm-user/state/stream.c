// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading the stream of a machine; see stream.h. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream_defs.h"

#define MAX_SMALL	(256ull << 20)	/* bytes of all sections but RAM */
#define MAX_CREATOR	256

/* What a walk through the sections finds. */
struct walk {
	struct hvm_stream *s;
	uint64_t pos, size;	/* in the file, of the file */
	size_t cap;
	uint32_t crc;		/* of all headers so far */
	size_t sums_at, sums_len;	/* in s->buf */
	bool ram, ended;
};

static int damaged(const struct walk *w, const char *what, struct hv_err *err)
{
	return hv_err_set(err, -EBADMSG, "%s: damaged at byte %llu: %s; nothing was started",
			  w->s->path, (unsigned long long)w->pos, what);
}

static int walk_pread(struct walk *w, void *buf, size_t len, struct hv_err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(w->s->fd, (char *)buf + done, len - done, (off_t)(w->pos + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hv_err_set(err, -errno, "%s: %s", w->s->path, strerror(errno));
		if (!n)
			return damaged(w, "it became shorter", err);
		done += (size_t)n;
	}
	return 0;
}

static int walk_keep(struct walk *w, const void *data, size_t len, struct hv_err *err)
{
	struct hvm_stream *s = w->s;

	if (len > w->cap - s->len) {
		size_t cap = 2 * w->cap + len + 4096;
		uint8_t *buf = cap > 2 * MAX_SMALL ? NULL : realloc(s->buf, cap);

		if (!buf)
			return hv_err_set(err, -ENOMEM, "%s: out of memory", s->path);
		s->buf = buf;
		w->cap = cap;
	}
	if (data)
		memcpy(s->buf + s->len, data, len);
	s->len += len;
	return 0;
}

/* A large section: only RAM is known, and it must be what can be mapped. */
static int walk_bulk(struct walk *w, const struct hv_state_header *h, struct hv_err *err)
{
	if (strcmp(h->name, STREAM_RAM) || h->version != STREAM_RAM_VERSION)
		return hv_err_set(err, -ENOTSUP, "%s: section '%s' version %u is not known to this hvm",
				  w->s->path, h->name, h->version);
	if (w->ram || !h->len || h->len % HVM_STREAM_CHUNK || w->pos % HVM_STREAM_ALIGN || h->crc)
		return damaged(w, "an impossible section of RAM", err);
	w->ram = true;
	w->s->ram_offset = w->pos;
	w->s->ram_len = h->len;
	w->pos += h->len;
	return 0;
}

static int walk_small(struct walk *w, const struct hv_state_header *h, struct hv_err *err)
{
	size_t at = w->s->len;
	int ret;

	if (h->len > MAX_SMALL - at)
		return damaged(w, "an impossible length", err);
	ret = walk_keep(w, NULL, h->len, err);
	if (!ret)
		ret = walk_pread(w, w->s->buf + at, h->len, err);
	if (ret)
		return ret;
	if (h->crc != hv_state_crc(0, w->s->buf + at, h->len))
		return damaged(w, h->name, err);
	w->pos += h->len;
	if (!strcmp(h->name, STREAM_SUMS)) {
		if (w->sums_at || h->version != STREAM_SUMS_VERSION)
			return damaged(w, "checksums of RAM that are not known", err);
		w->sums_at = at;
		w->sums_len = h->len;
	}
	return 0;
}

/* The last section has the checksum of all headers, so that none can be missing. */
static int walk_end(struct walk *w, const struct hv_state_header *h, struct hv_err *err)
{
	uint32_t crc;

	if (h->version != STREAM_END_VERSION || h->len != sizeof(crc))
		return damaged(w, "an end that is not known", err);
	memcpy(&crc, w->s->buf + w->s->len - sizeof(crc), sizeof(crc));
	if (crc != w->crc)
		return damaged(w, "sections are missing or changed", err);
	if (w->pos != w->size)
		return damaged(w, "it goes on after its end", err);
	w->ended = true;
	return 0;
}

static int walk_section(struct walk *w, struct hv_err *err)
{
	struct hv_state_header h;
	int ret;

	if (w->size - w->pos < sizeof(h))
		return damaged(w, "it is cut off", err);
	ret = walk_pread(w, &h, sizeof(h), err);
	if (ret)
		return ret;
	if (!hv_state_header_ok(&h))
		return damaged(w, w->pos ? "no section begins here" : "not the state of a guest", err);
	w->pos += sizeof(h);
	if (h.len > w->size - w->pos)
		return damaged(w, "it is cut off", err);
	if (h.flags & HV_STATE_BULK) {
		w->crc = hv_state_crc(w->crc, &h, sizeof(h));
		return walk_bulk(w, &h, err);
	}
	ret = walk_keep(w, &h, sizeof(h), err);
	if (!ret)
		ret = walk_small(w, &h, err);
	if (!ret && !strcmp(h.name, STREAM_END))
		return walk_end(w, &h, err);
	w->crc = hv_state_crc(w->crc, &h, sizeof(h));
	return ret;
}

static int walk_sums(struct walk *w, struct hv_err *err)
{
	if (!w->ram || !w->sums_at ||
	    w->sums_len != w->s->ram_len / HVM_STREAM_CHUNK * sizeof(uint32_t))
		return damaged(w, "RAM or its checksums are missing", err);
	w->s->sums = w->s->buf + w->sums_at;
	return 0;
}

/* ---- The first section ---- */

void hvm_stream_put_start(struct hv_state_writer *w, uint64_t saved_ns)
{
	uint8_t id[HVM_STREAM_ID_LEN] = { 0 };

	/* Sixteen bytes never fail once the kernel has entropy at all. */
	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		memcpy(id, &saved_ns, sizeof(saved_ns));
	hv_state_begin(w, STREAM_START, HVM_STREAM_VERSION);
	hv_state_put(w, id, sizeof(id));
	hv_state_put_u64(w, saved_ns);
	hv_state_put_str(w, "hvm " HVM_VERSION);
	hv_state_end(w);
}

static int read_start(struct hvm_stream *s, struct hv_err *err)
{
	int ret = hv_state_open(&s->r, STREAM_START, HVM_STREAM_VERSION, err);

	if (ret < 0)
		return ret;
	hv_state_get(&s->r, s->id, sizeof(s->id));
	s->saved_ns = hv_state_get_u64(&s->r);
	s->creator = hv_state_get_str(&s->r, MAX_CREATOR);
	ret = hv_state_close(&s->r, err);
	if (!ret && !s->creator)
		ret = hv_err_set(err, -EBADMSG, "bad name of what wrote it");
	return ret;
}

/* ---- Opening ---- */

static int stream_read(struct hvm_stream *s, struct hv_err *err)
{
	struct walk w = { .s = s };
	struct stat st;
	int ret = 0;

	if (fstat(s->fd, &st))
		return hv_err_set(err, -errno, "%s: %s", s->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return hv_err_set(err, -EINVAL, "%s: not a regular file", s->path);
	w.size = (uint64_t)st.st_size;
	while (!ret && !w.ended)
		ret = walk_section(&w, err);
	if (!ret)
		ret = walk_sums(&w, err);
	if (ret)
		return ret;
	hv_state_reader_init(&s->r, s->buf, s->len);
	ret = read_start(s, err);
	return ret ? hv_err_prefix(err, "%s", s->path) : 0;
}

int hvm_stream_open(const char *path, struct hvm_stream **res, struct hv_err *err)
{
	struct hvm_stream *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return hv_err_set(err, -ENOMEM, "out of memory");
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);	/* does not wait for a pipe */
	s->path = strdup(path);
	if (!s->path)
		ret = hv_err_set(err, -ENOMEM, "out of memory");
	else if (s->fd < 0)
		ret = hv_err_set(err, -errno, "%s: %s", path, errno == EACCES || errno == EPERM ?
				 "permission denied; the state of a guest is for the user who saved it" :
				 strerror(errno));
	else
		ret = stream_read(s, err);
	if (ret) {
		hvm_stream_close(s);
		return ret;
	}
	*res = s;
	return 0;
}

void hvm_stream_close(struct hvm_stream *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->creator);
	free(s->path);
	free(s->buf);
	free(s);
}

/* ---- RAM ---- */

int hvm_stream_verify_ram(const struct hvm_stream *s, struct hv_err *err)
{
	const uint8_t *p = mmap(NULL, s->ram_len, PROT_READ, MAP_SHARED, s->fd,
				(off_t)s->ram_offset);
	int ret = 0;

	if (p == MAP_FAILED)
		return hv_err_set(err, -errno, "%s: cannot be mapped: %s", s->path, strerror(errno));
	madvise((void *)p, s->ram_len, MADV_SEQUENTIAL);
	for (uint64_t i = 0; i < s->ram_len / HVM_STREAM_CHUNK && !ret; i++) {
		uint32_t sum;

		memcpy(&sum, s->sums + i * sizeof(sum), sizeof(sum));
		if (sum != hv_state_crc(0, p + i * HVM_STREAM_CHUNK, HVM_STREAM_CHUNK))
			ret = hv_err_set(err, -EBADMSG, "%s: the guest's memory is damaged in its MiB "
					 "%llu; nothing was started", s->path, (unsigned long long)i);
	}
	munmap((void *)p, s->ram_len);
	return ret;
}

int hvm_stream_map_ram(const struct hvm_stream *s, void *ram, uint64_t len, struct hv_err *err)
{
	if (len != s->ram_len)
		return hv_err_set(err, -EINVAL, "%s: has %llu MiB of memory, the guest %llu", s->path,
				  (unsigned long long)s->ram_len >> 20,
				  (unsigned long long)len >> 20);
	if (mmap(ram, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, s->fd,
		 (off_t)s->ram_offset) == MAP_FAILED)
		return hv_err_set(err, -errno, "%s: cannot be mapped: %s", s->path, strerror(errno));
	/* As for other guest memory. */
	madvise(ram, len, MADV_DONTDUMP);
	return 0;
}
