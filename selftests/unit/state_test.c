// SPDX-License-Identifier: GPL-2.0-or-later
/* The file that holds a machine's state: written, read, cut, changed; the child that writes it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "unit_test.h"
#include "vmm-user/state/job.h"
#include "vmm-user/state/stream.h"

#define CHUNKS	3
#define RAM_LEN	((uint64_t)CHUNKS * HVM_STREAM_CHUNK)

static char dir[] = "/tmp/hv-state-XXXXXX";
static char path[64];
static uint8_t *ram;	/* the second chunk is zeroes, of the first the last page is not */

static void fill_ram(void)
{
	ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(ram + HVM_STREAM_CHUNK - 4096, 0xa5, 4096);
	for (uint64_t i = 2 * HVM_STREAM_CHUNK; i < RAM_LEN; i++)
		ram[i] = (uint8_t)(i * 7 + i / 4096);
}

static void put_sections(struct hv_state_writer *w)
{
	hv_state_writer_init(w);
	hvm_stream_put_start(w, 1234567890);
	hv_state_begin(w, "first", 1);
	hv_state_put_str(w, "hello");
	hv_state_end(w);
	hv_state_begin(w, "second", 3);
	hv_state_put_u64(w, 42);
	hv_state_end(w);
}

/* Into the file, by hand: without the child. */
static void write_file(void)
{
	struct hv_state_writer w;
	uint32_t sums[CHUNKS];
	struct hvm_stream_out out = { .ram = ram, .ram_len = RAM_LEN, .sums = sums };

	put_sections(&w);
	out.head = w.buf;
	out.head_len = w.len;
	out.fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
	CHECK_EQ(hvm_stream_write(&out), 0);
	close(out.fd);
	hv_state_writer_free(&w);
}

static uint8_t *read_file(size_t *len)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	uint8_t *buf;

	fstat(fd, &st);
	*len = (size_t)st.st_size;
	buf = malloc(*len);
	CHECK_EQ(read(fd, buf, *len), *len);
	close(fd);
	return buf;
}

/* 0 or the error. The message names the file. */
static int open_again(struct hv_err *err)
{
	struct hvm_stream *s;
	int ret;

	*err = (struct hv_err){ 0 };
	ret = hvm_stream_open(path, &s, err);
	if (!ret)
		hvm_stream_close(s);
	return ret;
}

static void whole(void)
{
	uint8_t *copy = mmap(NULL, RAM_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hv_err err = { 0 };
	struct hvm_stream *s;
	struct stat st;
	char *str;

	write_file();
	CHECK_EQ(hvm_stream_open(path, &s, &err), 0);
	CHECK_STR(err.msg, "");
	CHECK_EQ(s->saved_ns, 1234567890);
	CHECK(!strncmp(s->creator, "hvm ", 4));
	CHECK_EQ(hv_state_open(&s->r, "first", 1, &err), 1);
	str = hv_state_get_str(&s->r, 5);
	CHECK_STR(str ? str : "none", "hello");
	free(str);
	CHECK_EQ(hv_state_close(&s->r, &err), 0);
	CHECK_EQ(hv_state_open(&s->r, "second", 2, &err), -ENOTSUP);
	CHECK_EQ(hv_state_open(&s->r, "second", 3, &err), 3);
	CHECK_EQ(hv_state_get_u64(&s->r), 42);
	CHECK_EQ(hv_state_close(&s->r, &err), 0);
	CHECK_EQ(hvm_stream_verify_ram(s, &err), 0);
	CHECK_EQ(hvm_stream_map_ram(s, copy, RAM_LEN + HVM_STREAM_CHUNK, &err), -EINVAL);
	CHECK_EQ(hvm_stream_map_ram(s, copy, RAM_LEN, &err), 0);
	CHECK(!memcmp(copy, ram, RAM_LEN));
	/* A guest that writes does not write to the file. */
	memset(copy, 0xff, RAM_LEN);
	CHECK_EQ(hvm_stream_verify_ram(s, &err), 0);
	/* Zeroes take no room. */
	CHECK_EQ(fstat(s->fd, &st), 0);
	CHECK((uint64_t)st.st_blocks * 512 < HVM_STREAM_CHUNK + 65536);
	hvm_stream_close(s);
	munmap(copy, RAM_LEN);
}

/* Where RAM begins. */
static size_t ram_offset(void)
{
	struct hvm_stream *s;
	size_t at;

	CHECK_EQ(hvm_stream_open(path, &s, NULL), 0);
	at = s->ram_offset;
	CHECK_EQ(at % 4096, 0);
	hvm_stream_close(s);
	return at;
}

static void cut_anywhere(void)
{
	struct hv_err err;
	unsigned int found = 0, tried = 0;
	size_t len, from;
	uint8_t *buf;

	write_file();
	from = ram_offset();
	buf = read_file(&len);
	/* Of RAM, not every byte: all of it is one case. */
	for (size_t n = len; n--; tried++) {
		if (n > from && n < from + RAM_LEN - 4096 && n % 4096)
			n -= n % 4096;
		CHECK_EQ(truncate(path, (off_t)n), 0);
		found += open_again(&err) == -EBADMSG && strstr(err.msg, path) != NULL;
	}
	CHECK_EQ(found, tried);
	CHECK(tried > 8192);
	free(buf);
}

static void changed_anywhere(void)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };
	struct hv_err err;
	unsigned int found = 0, tried = 0;
	size_t len, from;
	uint8_t *buf, b;
	int fd;

	write_file();
	from = ram_offset();
	buf = read_file(&len);
	fd = open(path, O_RDWR);
	for (size_t n = 0; n < len; n++) {
		if (n == from)
			n += RAM_LEN;
		for (unsigned int i = 0; i < sizeof(masks); i++, tried++) {
			int ret;

			b = buf[n] ^ masks[i];
			CHECK_EQ(pwrite(fd, &b, 1, (off_t)n), 1);
			ret = open_again(&err);
			found += ret == -EBADMSG || ret == -ENOTSUP;
		}
		CHECK_EQ(pwrite(fd, &buf[n], 1, (off_t)n), 1);
	}
	CHECK_EQ(found, tried);
	CHECK_EQ(open_again(&err), 0);
	close(fd);
	free(buf);
}

static void changed_ram(void)
{
	struct hv_err err = { 0 };
	struct hvm_stream *s;
	size_t at;
	int fd;

	write_file();
	at = ram_offset() + HVM_STREAM_CHUNK + 77;
	fd = open(path, O_RDWR);
	CHECK_EQ(pwrite(fd, "x", 1, (off_t)at), 1);
	CHECK_EQ(hvm_stream_open(path, &s, &err), 0);
	CHECK_EQ(hvm_stream_verify_ram(s, &err), -EBADMSG);
	CHECK(strstr(err.msg, "MiB 1;") != NULL);
	hvm_stream_close(s);
	close(fd);
}

static void longer(void)
{
	struct hv_err err;
	int fd;

	write_file();
	fd = open(path, O_WRONLY | O_APPEND);
	CHECK_EQ(write(fd, "", 1), 1);
	close(fd);
	CHECK_EQ(open_again(&err), -EBADMSG);
	CHECK(strstr(err.msg, "after its end") != NULL);
}

static void other_files(void)
{
	struct hvm_stream *s;
	struct hv_err err = { 0 };

	CHECK_EQ(hvm_stream_open("/nonexistent", &s, &err), -ENOENT);
	CHECK_EQ(hvm_stream_open(dir, &s, &err), -EINVAL);
	CHECK_EQ(hvm_stream_open("/dev/zero", &s, &err), -EINVAL);
	close(open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600));
	CHECK_EQ(open_again(&err), -EBADMSG);
}

/* A section whose checksums are all right, of a newer hvm: it depends on the flag. */
static void unknown_section(uint16_t flags, int want)
{
	struct hv_state_header h;
	struct hv_state_reader r;
	struct hv_state_writer w;
	struct hv_err err = { 0 };

	hv_state_writer_init(&w);
	hv_state_fill_header(&h, "from-the-future", 9, flags, 4, hv_state_crc(0, "abcd", 4));
	hv_state_put(&w, &h, sizeof(h));
	hv_state_put(&w, "abcd", 4);
	hv_state_begin(&w, "known", 1);
	hv_state_end(&w);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hv_state_open(&r, "known", 1, &err), want);
	hv_state_writer_free(&w);
}

static void unknown_sections(void)
{
	unknown_section(HV_STATE_OPTIONAL, 1);
	unknown_section(0, -ENOENT);
	unknown_section(1u << 15, -EBADMSG);
}

/* Strings are bounded by the section, too. */
static void strings(void)
{
	struct hv_state_reader r;
	struct hv_state_writer w;
	struct hv_err err = { 0 };

	hv_state_writer_init(&w);
	hv_state_begin(&w, "s", 1);
	hv_state_put_u32(&w, 1000);
	hv_state_put(&w, "abc", 3);
	hv_state_end(&w);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hv_state_open(&r, "s", 1, &err), 1);
	CHECK(!hv_state_get_str(&r, 5000));
	CHECK_EQ(hv_state_close(&r, &err), -EBADMSG);
	hv_state_writer_free(&w);
}

/* ---- The child ---- */

struct waiter {
	struct hv_loop *loop;
	int error;
	char msg[200];
	unsigned int calls;
};

static void job_done(void *opaque, int error, const char *msg)
{
	struct waiter *w = opaque;

	w->error = error;
	w->calls++;
	snprintf(w->msg, sizeof(w->msg), "%s", msg ? msg : "");
	hv_loop_stop(w->loop);
}

static unsigned int files_left(void)
{
	char cmd[128];
	unsigned int n = 0;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "ls -A %s | wc -l", dir);
	f = popen(cmd, "r");
	CHECK_EQ(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static struct hvm_state_job *start_job(struct waiter *w, bool force)
{
	struct hv_state_writer head;
	struct hvm_state_job *job;
	struct hv_err err = { 0 };

	*w = (struct waiter){ 0 };
	CHECK_EQ(hv_loop_create(&w->loop), 0);
	CHECK_EQ(hvm_state_job_create(path, force, RAM_LEN, &job, &err), 0);
	put_sections(&head);
	CHECK_EQ(hvm_state_job_start(job, &head, ram, w->loop, job_done, w, &err), 0);
	hv_state_writer_free(&head);
	return job;
}

static void end_job(struct waiter *w, struct hvm_state_job *job)
{
	hvm_state_job_destroy(job);
	hv_loop_destroy(w->loop);
}

static void job_writes(void)
{
	uint64_t done, total;
	struct hvm_state_job *job;
	struct waiter w;
	struct hv_err err;
	struct stat st;
	uint8_t *mapped;
	struct hvm_stream *s;

	unlink(path);
	job = start_job(&w, false);
	/* The guest goes on: what is written is the past. */
	memset(ram + HVM_STREAM_CHUNK - 4096, 0x11, 4096);
	CHECK_EQ(hv_loop_run(w.loop), 0);
	CHECK_EQ(w.calls, 1);
	CHECK_EQ(w.error, 0);
	hvm_state_job_progress(job, &done, &total);
	CHECK_EQ(done, RAM_LEN);
	CHECK_EQ(total, RAM_LEN);
	end_job(&w, job);
	CHECK_EQ(files_left(), 1);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(hvm_stream_open(path, &s, &err), 0);
	mapped = mmap(NULL, RAM_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_EQ(hvm_stream_map_ram(s, mapped, RAM_LEN, &err), 0);
	CHECK_EQ(mapped[HVM_STREAM_CHUNK - 1], 0xa5);
	munmap(mapped, RAM_LEN);
	hvm_stream_close(s);
	memset(ram + HVM_STREAM_CHUNK - 4096, 0xa5, 4096);
}

static void job_overwrites(void)
{
	struct hvm_state_job *job;
	struct hv_err err = { 0 };
	struct waiter w;

	write_file();
	CHECK_EQ(hvm_state_job_create(path, false, RAM_LEN, &job, &err), -EEXIST);
	CHECK(strstr(err.msg, "--force") != NULL);
	CHECK_EQ(truncate(path, 100), 0);
	job = start_job(&w, true);
	CHECK_EQ(hv_loop_run(w.loop), 0);
	CHECK_EQ(w.error, 0);
	end_job(&w, job);
	CHECK_EQ(open_again(&err), 0);
	CHECK_EQ(files_left(), 1);
}

/* Somebody else made the file meanwhile: it is theirs. */
static void job_finds_file(void)
{
	struct hv_state_writer head;
	struct hvm_state_job *job;
	struct hv_err err = { 0 };
	struct waiter w = { 0 };

	unlink(path);
	CHECK_EQ(hv_loop_create(&w.loop), 0);
	CHECK_EQ(hvm_state_job_create(path, false, RAM_LEN, &job, &err), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	put_sections(&head);
	CHECK_EQ(hvm_state_job_start(job, &head, ram, w.loop, job_done, &w, &err), 0);
	CHECK_EQ(hv_loop_run(w.loop), 0);
	CHECK_EQ(w.error, -EEXIST);
	end_job(&w, job);
	CHECK_EQ(open_again(&err), -EBADMSG);	/* empty still */
	CHECK_EQ(files_left(), 1);
}

static void job_bad_names(void)
{
	struct hvm_state_job *job;
	struct hv_err err = { 0 };

	CHECK_EQ(hvm_state_job_create("relative", false, RAM_LEN, &job, &err), -EINVAL);
	CHECK_EQ(hvm_state_job_create("/", false, RAM_LEN, &job, &err), -EINVAL);
	CHECK_EQ(hvm_state_job_create("/nonexistent/x", false, RAM_LEN, &job, &err), -ENOENT);
	CHECK(strstr(err.msg, "/nonexistent/x") != NULL);
}

/* Given up, in the middle or before: nothing is left of it. */
static void job_cancelled(void)
{
	struct hvm_state_job *job;
	struct hv_err err = { 0 };
	struct waiter w;

	unlink(path);
	CHECK_EQ(hvm_state_job_create(path, false, RAM_LEN, &job, &err), 0);
	CHECK_EQ(files_left(), 1);
	hvm_state_job_destroy(job);
	CHECK_EQ(files_left(), 0);
	job = start_job(&w, false);
	end_job(&w, job);
	CHECK_EQ(w.calls, 0);
	/* It may have been quicker; then the file is whole. */
	if (files_left())
		CHECK_EQ(open_again(&err), 0);
}

static void ulimit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

/* The disk is full, or as good as: the limit of a file's size without the signal. */
static void job_no_space(void)
{
	struct hvm_state_job *job;
	struct waiter w;

	unlink(path);
	signal(SIGXFSZ, SIG_IGN);
	ulimit_file_size(HVM_STREAM_CHUNK);
	job = start_job(&w, false);
	CHECK_EQ(hv_loop_run(w.loop), 0);
	ulimit_file_size(~0ull);
	CHECK_EQ(w.error, -EFBIG);
	CHECK(strstr(w.msg, "nothing is saved") != NULL);
	end_job(&w, job);
	CHECK_EQ(files_left(), 0);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/state", dir);
	fill_ram();
	TEST_RUN(whole);
	TEST_RUN(cut_anywhere);
	TEST_RUN(changed_anywhere);
	TEST_RUN(changed_ram);
	TEST_RUN(longer);
	TEST_RUN(other_files);
	TEST_RUN(unknown_sections);
	TEST_RUN(strings);
	TEST_RUN(job_writes);
	TEST_RUN(job_overwrites);
	TEST_RUN(job_finds_file);
	TEST_RUN(job_bad_names);
	TEST_RUN(job_cancelled);
	TEST_RUN(job_no_space);
	unlink(path);
	rmdir(dir);
	return TEST_EXIT();
}
