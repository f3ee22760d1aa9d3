// SPDX-License-Identifier: GPL-2.0-or-later
/* Flash memory: commands as OVMF's driver gives them, what is kept and when, hostile guests. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../../vmm-user/chipset/pflash.h"
#include "unit_test.h"

#define GPA	0xffc00000ULL
#define SIZE	(4 * HVM_PFLASH_BLOCK)

static struct hvm_vm vm;
static struct hvm_pflash *flash;
static struct hv_err err;
static uint8_t template[SIZE], file[SIZE];
static char dir[] = "/tmp/hvm-pflash-XXXXXX", path[64];
static unsigned int logged;

/* The VM's slot, as the last call left it. */
static struct {
	uint64_t gpa, size;
	const uint8_t *hva;
	unsigned int changes;
} slot;

int hvm_vm_set_rom(struct hvm_vm *v, unsigned int n, uint64_t gpa, uint64_t size, void *hva)
{
	CHECK_EQ(n, HVM_SLOT_ROM + 1);
	CHECK(!size || !slot.size);
	slot.gpa = gpa;
	slot.size = size;
	slot.hva = hva;
	slot.changes++;
	return 0;
}

__attribute__((format(printf, 1, 2)))
static void count_log(const char *fmt, ...)
{
	logged++;
}

static int create(const char *where, struct hvm_pflash **p)
{
	const struct hvm_pflash_config cfg = {
		.vm = &vm, .gpa = GPA, .size = SIZE, .slot = HVM_SLOT_ROM + 1, .path = where,
		.contents = template, .log = count_log,
	};

	err = (struct hv_err){ 0 };
	return hvm_pflash_create(&cfg, p, &err);
}

static void wr(uint64_t off, uint8_t v)
{
	bus_write(vm.mmio, GPA + off, 1, v);
}

/* As the guest reads: from the slot if there is one. */
static uint8_t rd(uint64_t off)
{
	return slot.size ? slot.hva[off] : (uint8_t)bus_read(vm.mmio, GPA + off, 1);
}

static void program(uint64_t off, uint8_t v)
{
	wr(off, 0x10);
	wr(off, v);
}

static const uint8_t *read_file(void)
{
	int fd = open(path, O_RDONLY);

	CHECK_EQ(pread(fd, file, SIZE, 0), SIZE);
	close(fd);
	return file;
}

static void set_up(void)
{
	for (size_t i = 0; i < SIZE; i++)
		template[i] = (uint8_t)(i * 7 + 1);
	memset(&slot, 0, sizeof(slot));
	logged = 0;
	unlink(path);
	CHECK_EQ(create(path, &flash), 0);
}

static void tear_down(void)
{
	CHECK_EQ(hvm_pflash_destroy(flash, &err), 0);
	CHECK_EQ(slot.size, 0);
}

static void test_new_store(void)
{
	set_up();
	CHECK(!memcmp(read_file(), template, SIZE));
	CHECK_EQ(slot.gpa, GPA);
	CHECK_EQ(slot.size, SIZE);
	CHECK_EQ(rd(5), template[5]);
	tear_down();
	/* What is there is not replaced. */
	template[0] ^= 0xff;
	CHECK_EQ(create(path, &flash), 0);
	CHECK_EQ(rd(0), template[0] ^ 0xff);
	tear_down();
}

/* How a driver tells flash from RAM and ROM. */
static void test_detection(void)
{
	set_up();
	wr(1, 0x50);
	CHECK_EQ(rd(1), template[1]);
	wr(1, 0x70);
	CHECK_EQ(slot.size, 0);
	CHECK_EQ(rd(1), 0);
	wr(1, 0xff);
	CHECK_EQ(rd(1), template[1]);
	tear_down();
}

static void test_program(void)
{
	set_up();
	for (unsigned int i = 0; i < 3; i++)
		program(4094 + i, (uint8_t)(0xa0 + i));
	CHECK_EQ(rd(4094), 0x80);	/* status: ready, no error */
	/* Not before the driver goes back to read mode; but then it is there. */
	CHECK_EQ(read_file()[4094], template[4094]);
	wr(4096, 0xff);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_EQ(rd(4094 + i), 0xa0 + i);
		CHECK_EQ(read_file()[4094 + i], 0xa0 + i);
	}
	CHECK_EQ(read_file()[4093], template[4093]);
	CHECK_EQ(read_file()[4097], template[4097]);
	tear_down();
}

static void test_erase(void)
{
	set_up();
	wr(4096 + 17, 0x20);
	wr(4096 + 17, 0xd0);
	CHECK_EQ(rd(0), 0x80);
	CHECK_EQ(read_file()[4096], 0xff);	/* at once */
	CHECK_EQ(read_file()[8191], 0xff);
	CHECK_EQ(read_file()[4095], template[4095]);
	CHECK_EQ(read_file()[8192], template[8192]);
	wr(0, 0xff);
	CHECK_EQ(rd(4096), 0xff);
	/* Without its confirmation nothing is erased, and status says so until it is cleared. */
	wr(0, 0x20);
	wr(0, 0x00);
	CHECK_EQ(rd(0) & 0x30, 0x30);
	wr(0, 0x50);
	CHECK_EQ(rd(0), template[0]);
	wr(0, 0x70);
	CHECK_EQ(rd(0), 0);
	tear_down();
}

static void test_unknown_command(void)
{
	set_up();
	wr(9, 0xe8);
	CHECK_EQ(rd(9) & 0x30, 0x30);
	wr(9, 0x50);
	CHECK_EQ(rd(9), template[9]);
	/* Wider accesses are several, the last byte of the chip is the last. */
	bus_write(vm.mmio, GPA + SIZE - 4, 4, 0xffffff70);
	CHECK_EQ(rd(0), template[0]);
	bus_write(vm.mmio, GPA + SIZE - 2, 4, 0x20202020);
	CHECK_EQ(rd(0), template[0]);
	wr(0, 0x70);
	CHECK_EQ(bus_read(vm.mmio, GPA + 8, 8), 0);
	tear_down();
}

static void test_every_byte_as_command(void)
{
	set_up();
	CHECK_EQ(hvm_pflash_destroy(flash, &err), 0);
	CHECK_EQ(create(NULL, &flash), 0);	/* the file would be slow */
	for (unsigned int a = 0; a < 256; a++)
		for (unsigned int b = 0; b < 256; b++) {
			wr(SIZE - 1, (uint8_t)a);
			wr(SIZE - 1, (uint8_t)b);
			wr(SIZE - 1, 0xff);
			wr(SIZE - 1, 0xff);
			CHECK_EQ(slot.size, SIZE);
			CHECK_EQ(rd(0), template[0]);
		}
	tear_down();
}

static void test_no_file(void)
{
	unlink(path);
	memset(&slot, 0, sizeof(slot));
	CHECK_EQ(create(NULL, &flash), 0);
	program(3, 0x42);
	wr(3, 0xff);
	CHECK_EQ(rd(3), 0x42);
	tear_down();
	CHECK(access(path, F_OK));
}

static void test_bad_files(void)
{
	struct hvm_pflash *second;

	set_up();
	CHECK_EQ(create(path, &second), -EBUSY);
	CHECK(strstr(err.msg, "another guest"));
	tear_down();
	CHECK_EQ(truncate(path, SIZE - 1), 0);
	CHECK_EQ(create(path, &second), -EINVAL);
	CHECK(strstr(err.msg, "16384 bytes"));
	CHECK_EQ(create(dir, &second), -EISDIR);
	CHECK_EQ(create("/nonexistent/vars", &second), -ENOENT);
	CHECK(strstr(err.msg, "/nonexistent/vars"));
	unlink(path);
}

/* A disk that is full: said once, kept in memory, and written when there is room again. */
static void test_full_disk(void)
{
	struct rlimit old, limit;

	set_up();
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 1;
	setrlimit(RLIMIT_FSIZE, &limit);
	program(100, 0x11);
	wr(0, 0xff);
	program(200, 0x22);
	wr(0, 0xff);
	CHECK_EQ(rd(100), 0x11);
	CHECK_EQ(logged, 1);
	setrlimit(RLIMIT_FSIZE, &old);
	program(300, 0x33);
	wr(0, 0xff);
	CHECK_EQ(read_file()[100], 0x11);
	CHECK_EQ(read_file()[200], 0x22);
	CHECK_EQ(read_file()[300], 0x33);
	setrlimit(RLIMIT_FSIZE, &limit);
	program(100, 0x44);
	CHECK_EQ(hvm_pflash_destroy(flash, &err), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
}

static void test_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;

	set_up();
	program(7, 0x77);
	wr(8, 0x10);	/* saved between a command and its byte */
	hv_state_writer_init(&w);
	hvm_pflash_save(flash, &w);
	wr(8, 0x88);
	wr(8, 0xff);
	hvm_pflash_reset(flash);
	program(7, 0x00);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hvm_pflash_load(flash, &r, &err), 0);
	CHECK_EQ(read_file()[7], 0x77);
	CHECK_EQ(read_file()[8], template[8]);
	wr(8, 0x99);
	wr(8, 0xff);
	CHECK_EQ(rd(8), 0x99);
	for (size_t len = 0; len < w.len; len += 97) {
		hv_state_reader_init(&r, w.buf, len);
		CHECK(hvm_pflash_load(flash, &r, &err) < 0);
	}
	CHECK_EQ(rd(8), 0x99);
	hv_state_writer_free(&w);
	/* A reset in the middle of a command. */
	wr(8, 0x10);
	hvm_pflash_reset(flash);
	CHECK_EQ(rd(8), 0x99);
	tear_down();
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/vars", dir);
	vm.mmio = bus_create(BUS_MMIO);
	TEST_RUN(test_new_store);
	TEST_RUN(test_detection);
	TEST_RUN(test_program);
	TEST_RUN(test_erase);
	TEST_RUN(test_unknown_command);
	TEST_RUN(test_every_byte_as_command);
	TEST_RUN(test_no_file);
	TEST_RUN(test_bad_files);
	TEST_RUN(test_full_disk);
	TEST_RUN(test_state);
	bus_destroy(vm.mmio);
	unlink(path);
	rmdir(dir);
	return TEST_EXIT();
}
