// SPDX-License-Identifier: GPL-2.0-or-later
/* Flash memory; see pflash.h. */
#include "pflash.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Commands (Intel 28F640J3 datasheet, table "Command Bus Definitions"). */
#define CMD_PROGRAM		0x10
#define CMD_PROGRAM_ALT		0x40
#define CMD_ERASE		0x20
#define CMD_CLEAR_STATUS	0x50
#define CMD_READ_STATUS		0x70
#define CMD_ERASE_CONFIRM	0xd0
#define CMD_READ_ARRAY		0xff

/*
 * Status register. After "clear status" firmware for virtual machines expects 0, by which it tells
 * flash from RAM and ROM; a real chip would have the ready bit set.
 */
#define STATUS_READY		0x80
#define STATUS_SEQUENCE		0x30	/* erase and program error: no such command */

#define STATE_VERSION		1

enum mode { MODE_READ, MODE_STATUS, MODE_PROGRAM, MODE_ERASE };

struct hvm_pflash {
	struct hvm_pflash_config cfg;
	int fd;				/* -1: kept nowhere */
	struct bus_range *range;

	pthread_mutex_t lock;		/* all below */
	uint8_t *mem;
	enum mode mode;
	uint8_t status;
	bool mapped;
	uint64_t dirty_start, dirty_end;	/* not yet in the file; equal: nothing */
	bool failed;			/* the last attempt to write it */
};

/* ---- The file ---- */

static int write_all(int fd, const uint8_t *p, uint64_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* What cannot be written stays dirty, and is tried again with what comes next. */
static int flash_flush(struct hvm_pflash *p)
{
	uint64_t start = p->dirty_start;
	int ret;

	if (start == p->dirty_end || p->fd < 0)
		return 0;
	ret = write_all(p->fd, p->mem + start, p->dirty_end - start, start);
	if (!ret && fdatasync(p->fd))
		ret = -errno;
	if (ret && !p->failed && p->cfg.log)
		p->cfg.log("%s: %s; the guest's variables are not kept until this ends",
			   p->cfg.path, strerror(-ret));
	p->failed = ret != 0;
	if (!ret)
		p->dirty_start = p->dirty_end = 0;
	return ret;
}

static void flash_touch(struct hvm_pflash *p, uint64_t off, uint64_t len)
{
	if (p->dirty_start == p->dirty_end) {
		p->dirty_start = off;
		p->dirty_end = off + len;
		return;
	}
	if (off < p->dirty_start)
		p->dirty_start = off;
	if (off + len > p->dirty_end)
		p->dirty_end = off + len;
}

/* ---- Modes and commands, with the lock held ---- */

/* Fails only when the kernel has no memory: then reads simply go on coming here. */
static void flash_map(struct hvm_pflash *p, bool on)
{
	if (p->mapped == on)
		return;
	if (!hvm_vm_set_rom(p->cfg.vm, p->cfg.slot, p->cfg.gpa, on ? p->cfg.size : 0, p->mem))
		p->mapped = on;
}

static void flash_enter(struct hvm_pflash *p, enum mode mode)
{
	if (mode == MODE_READ)
		flash_flush(p);
	p->mode = mode;
	flash_map(p, mode == MODE_READ);
}

static void flash_command(struct hvm_pflash *p, uint8_t cmd)
{
	switch (cmd) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALT:
		flash_enter(p, MODE_PROGRAM);
		return;
	case CMD_ERASE:
		flash_enter(p, MODE_ERASE);
		return;
	case CMD_READ_STATUS:
		flash_enter(p, MODE_STATUS);
		return;
	case CMD_CLEAR_STATUS:
		p->status = 0;
		flash_enter(p, MODE_READ);
		return;
	case CMD_READ_ARRAY:
		flash_enter(p, MODE_READ);
		return;
	default:
		p->status |= STATUS_READY | STATUS_SEQUENCE;
		flash_enter(p, MODE_STATUS);
	}
}

static void flash_program(struct hvm_pflash *p, uint64_t off, uint8_t v)
{
	p->mem[off] = v;
	flash_touch(p, off, 1);
	p->status |= STATUS_READY;
	flash_enter(p, MODE_STATUS);
}

static void flash_erase(struct hvm_pflash *p, uint64_t off, uint8_t cmd)
{
	p->status |= STATUS_READY;
	if (cmd == CMD_ERASE_CONFIRM) {
		off -= off % HVM_PFLASH_BLOCK;
		memset(p->mem + off, 0xff, HVM_PFLASH_BLOCK);
		flash_touch(p, off, HVM_PFLASH_BLOCK);
		/* A driver need not go back to read mode before it goes on. */
		flash_flush(p);
	} else {
		p->status |= STATUS_SEQUENCE;
	}
	flash_enter(p, MODE_STATUS);
}

/* The chip is eight bits wide: a wider access is several. */
static void flash_write_byte(struct hvm_pflash *p, uint64_t off, uint8_t v)
{
	switch (p->mode) {
	case MODE_PROGRAM:
		flash_program(p, off, v);
		break;
	case MODE_ERASE:
		flash_erase(p, off, v);
		break;
	default:
		flash_command(p, v);
	}
}

static uint64_t flash_read(void *opaque, uint64_t off, unsigned int size)
{
	struct hvm_pflash *p = opaque;
	uint64_t v = 0;

	pthread_mutex_lock(&p->lock);
	for (unsigned int i = 0; i < size; i++) {
		uint8_t b = p->mode == MODE_READ ? p->mem[off + i] : p->status;

		v |= (uint64_t)b << (8 * i);
	}
	pthread_mutex_unlock(&p->lock);
	return v;
}

static void flash_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct hvm_pflash *p = opaque;

	pthread_mutex_lock(&p->lock);
	for (unsigned int i = 0; i < size; i++)
		flash_write_byte(p, off + i, (uint8_t)(value >> (8 * i)));
	pthread_mutex_unlock(&p->lock);
}

static const struct bus_ops flash_ops = { .read = flash_read, .write = flash_write };

/* ---- Opening the file ---- */

static int file_failed(const struct hvm_pflash *p, int ret, struct hv_err *err)
{
	return hv_err_set(err, ret, "variable store %s: %s", p->cfg.path, strerror(-ret));
}

/*
 * A new store is written aside and then linked to its name, so that it is whole or not there, and
 * nobody's file is replaced.
 */
static int file_create(struct hvm_pflash *p, struct hv_err *err)
{
	size_t len = strlen(p->cfg.path) + sizeof(".XXXXXX");
	char *tmp = malloc(len);
	int fd, ret;

	if (!tmp)
		return file_failed(p, -ENOMEM, err);
	memcpy(tmp, p->cfg.path, len - sizeof(".XXXXXX"));
	memcpy(tmp + len - sizeof(".XXXXXX"), ".XXXXXX", sizeof(".XXXXXX"));
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0) {
		ret = file_failed(p, -errno, err);
		goto out;
	}
	ret = write_all(fd, p->cfg.contents, p->cfg.size, 0);
	if (!ret && fsync(fd))
		ret = -errno;
	if (!ret && link(tmp, p->cfg.path) && errno != EEXIST)
		ret = -errno;
	if (ret)
		file_failed(p, ret, err);
	unlink(tmp);
	close(fd);
out:
	free(tmp);
	return ret;
}

static int file_read(struct hvm_pflash *p, struct hv_err *err)
{
	uint64_t off = 0;

	while (off < p->cfg.size) {
		ssize_t n = pread(p->fd, p->mem + off, p->cfg.size - off, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return file_failed(p, n ? -errno : -EIO, err);
		off += (uint64_t)n;
	}
	return 0;
}

static int file_open(struct hvm_pflash *p, struct hv_err *err)
{
	struct stat st;
	int ret;

	p->fd = open(p->cfg.path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (p->fd < 0 && errno == ENOENT) {
		ret = file_create(p, err);
		if (ret)
			return ret;
		p->fd = open(p->cfg.path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	}
	if (p->fd < 0 || fstat(p->fd, &st))
		return file_failed(p, -errno, err);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != p->cfg.size)
		return hv_err_set(err, -EINVAL, "variable store %s: a file of %llu bytes is wanted "
				  "for this firmware", p->cfg.path,
				  (unsigned long long)p->cfg.size);
	if (flock(p->fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ?
		       hv_err_set(err, -EBUSY, "variable store %s: another guest uses it",
				  p->cfg.path) : file_failed(p, -errno, err);
	return file_read(p, err);
}

/* ---- Life ---- */

static int flash_init(struct hvm_pflash *p, struct hv_err *err)
{
	const struct hvm_pflash_config *cfg = &p->cfg;
	void *mem;
	int ret;

	mem = mmap(NULL, cfg->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return hv_err_set(err, -errno, "flash memory: %s", strerror(errno));
	p->mem = mem;
	if (cfg->path) {
		ret = file_open(p, err);
		if (ret)
			return ret;
	} else {
		memcpy(p->mem, cfg->contents, cfg->size);
	}
	ret = bus_add(cfg->vm->mmio, cfg->gpa, cfg->size, &flash_ops, p, "pflash", &p->range);
	if (!ret)
		ret = hvm_vm_set_rom(cfg->vm, cfg->slot, cfg->gpa, cfg->size, p->mem);
	if (ret)
		return hv_err_set(err, ret, "flash memory: %s", strerror(-ret));
	p->mapped = true;
	return 0;
}

int hvm_pflash_create(const struct hvm_pflash_config *cfg, struct hvm_pflash **res,
		      struct hv_err *err)
{
	struct hvm_pflash *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return hv_err_set(err, -ENOMEM, "flash memory: out of memory");
	p->cfg = *cfg;
	p->fd = -1;
	pthread_mutex_init(&p->lock, NULL);
	ret = flash_init(p, err);
	if (ret) {
		hvm_pflash_destroy(p, NULL);
		return ret;
	}
	*res = p;
	return 0;
}

int hvm_pflash_destroy(struct hvm_pflash *p, struct hv_err *err)
{
	int ret;

	if (!p)
		return 0;
	bus_remove(p->cfg.vm->mmio, p->range);
	flash_map(p, false);
	ret = flash_flush(p);
	if (ret)
		file_failed(p, ret, err);
	if (p->fd >= 0)
		close(p->fd);
	if (p->mem)
		munmap(p->mem, p->cfg.size);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return ret;
}

void hvm_pflash_reset(struct hvm_pflash *p)
{
	pthread_mutex_lock(&p->lock);
	p->status = 0;
	flash_enter(p, MODE_READ);
	pthread_mutex_unlock(&p->lock);
}

void hvm_pflash_save(struct hvm_pflash *p, struct hv_state_writer *w)
{
	pthread_mutex_lock(&p->lock);
	hv_state_begin(w, "pflash", STATE_VERSION);
	hv_state_put_u8(w, (uint8_t)p->mode);
	hv_state_put_u8(w, p->status);
	hv_state_put_u32(w, (uint32_t)p->cfg.size);
	hv_state_put(w, p->mem, p->cfg.size);
	hv_state_end(w);
	pthread_mutex_unlock(&p->lock);
}

int hvm_pflash_load(struct hvm_pflash *p, struct hv_state_reader *r, struct hv_err *err)
{
	int ret = hv_state_open(r, "pflash", STATE_VERSION, err);
	uint8_t mode, status, *mem;
	uint32_t size;

	if (ret < 0)
		return ret;
	mem = calloc(1, p->cfg.size);
	if (!mem)
		return hv_err_set(err, -ENOMEM, "flash memory: out of memory");
	mode = hv_state_get_u8(r);
	status = hv_state_get_u8(r);
	size = hv_state_get_u32(r);
	if (size == p->cfg.size)
		hv_state_get(r, mem, size);
	if (size != p->cfg.size || mode > MODE_ERASE)
		ret = hv_err_set(err, -EINVAL, "flash memory: the state is of another firmware");
	else
		ret = hv_state_close(r, err);
	if (!ret) {
		pthread_mutex_lock(&p->lock);
		memcpy(p->mem, mem, size);
		flash_touch(p, 0, size);
		p->status = status;
		ret = flash_flush(p);
		if (ret)
			file_failed(p, ret, err);
		flash_enter(p, mode);
		pthread_mutex_unlock(&p->lock);
	}
	free(mem);
	return ret;
}
