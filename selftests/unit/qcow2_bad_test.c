// SPDX-License-Identifier: GPL-2.0-or-later
/* Images that must be refused, and those that turn out to be broken while in use. */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../virtio-backends/util/log.h"
#include "block_util.h"

#define BOTH	3	/* refused for reading and for writing */
#define WRITING	2	/* refused for writing only */

static char last_log[300];

static void keep_log(const char *line)
{
	snprintf(last_log, sizeof(last_log), "%s", line);
}

/* Image "t" must be refused with exactly this message, and not be changed. */
static void refused(int modes, enum blk_format format, int code, const char *msg)
{
	struct blk_open_opts opts = { .filename = "t", .format = format };
	uint64_t hash = file_hash("t");
	struct blk_image *img;
	struct hv_err err;
	int writing, ret;

	for (writing = 0; writing < 2; writing++) {
		opts.readonly = !writing;
		memset(&err, 0, sizeof(err));
		img = NULL;
		ret = blk_open(&opts, &img, &err);
		if (!(modes & (1 << writing))) {
			CHECK(!ret, "%s", err.msg);
			CHECK(!blk_close(img));
			continue;
		}
		CHECK(ret == code && err.code == code, "%d: %s", ret, err.msg);
		CHECK(!strcmp(err.msg, msg), "\nwas:      %s\nexpected: %s", err.msg, msg);
	}
	CHECK(file_hash("t") == hash, "was changed");
}

static void put(uint64_t off, unsigned int bytes, uint64_t value)
{
	uint64_t be = htobe64(value);

	file_write_at("t", off, (const char *)&be + 8 - bytes, bytes);
}

struct patch {
	uint64_t off;
	unsigned int bytes;
	uint64_t value;
	int modes, code;
	const char *msg;
};

/* Layout of a fresh image: refcount table 0x10000, refcount block 0x20000, L1 table 0x30000. */
static void test_header(void)
{
	static const struct patch patches[] = {
		{ 0, 4, 0x12345678, BOTH, -EINVAL, "t: not a qcow2 image" },
		{ 4, 4, 4, BOTH, -ENOTSUP,
		  "t: unsupported qcow2 image: version 4 (2 and 3 are known)" },
		{ 20, 4, 8, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: cluster size 2^8 is not between 2^9 and 2^21" },
		{ 20, 4, 22, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: cluster size 2^22 is not between 2^9 and 2^21" },
		{ 20, 4, 0xffffffff, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: cluster size 2^4294967295 is not between 2^9 and 2^21" },
		{ 24, 8, 1ull << 62, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: size 4611686018427387904 needs an L1 table that is too large" },
		{ 24, 8, ~0ull, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: size 18446744073709551615 needs an L1 table that is too large" },
		{ 24, 8, 1ull << 40, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L1 table has 1 entries but 2048 are needed" },
		{ 32, 4, 2, BOTH, -ENOTSUP,
		  "t: unsupported qcow2 image: it is encrypted (method 2)" },
		{ 36, 4, 0x80000000, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: size 4194304 needs an L1 table that is too large" },
		{ 36, 4, 1u << 20, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L1 table (8388608 bytes at 0x30000) is outside of the file" },
		{ 40, 8, 0x30200, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L1 table is at 0x30200, not at a cluster of its own" },
		{ 40, 8, 0, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L1 table is at 0, not at a cluster of its own" },
		{ 40, 8, 0xffffffffffff0000, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L1 table (8 bytes at 0xffffffffffff0000) is outside of the file" },
		{ 40, 8, 0x10000, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L1 table and refcount table overlap" },
		{ 48, 8, 0x10008, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: refcount table is at 0x10008, not at a cluster of its own" },
		{ 48, 8, 1ull << 40, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: refcount table (65536 bytes at 0x10000000000) is outside of the file" },
		{ 56, 4, 0, BOTH, -EINVAL, "t: corrupt qcow2 image: refcount table of 0 clusters" },
		{ 56, 4, 0xffffffff, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: refcount table of 4294967295 clusters" },
		{ 60, 4, 0x10000000, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: 268435456 internal snapshots" },
		{ 60, 4, 3, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: snapshot table is at 0, not at a cluster of its own" },
		{ 72, 8, 2, WRITING, -EROFS,
		  "t: marked as corrupt; repair it with qemu-img check -r all, or open it read-only" },
		{ 72, 8, 4, BOTH, -ENOTSUP,
		  "t: unsupported qcow2 image: its data is in an external file" },
		{ 72, 8, 16, BOTH, -ENOTSUP,
		  "t: unsupported qcow2 image: it has extended L2 entries (subclusters)" },
		{ 72, 8, 1ull << 40, BOTH, -ENOTSUP,
		  "t: unsupported qcow2 image: unknown feature unnamed (incompatible bit 40)" },
		{ 96, 4, 7, BOTH, -EINVAL, "t: corrupt qcow2 image: refcounts of 2^7 bits" },
		{ 100, 4, 103, BOTH, -EINVAL, "t: corrupt qcow2 image: header length 103" },
		{ 100, 4, 0x7fffff00, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: header length 2147483392" },
		{ 104, 1, 1, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: compression type 1 without its feature bit" },
		{ 104, 1, 9, BOTH, -ENOTSUP, "t: unsupported qcow2 image: compression type 9" },
		{ 116, 4, 0xfffffff0, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: header extension 0x6803f857 is 4294967280 bytes long" },
		{ 8, 8, 0xffff0, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: name of the backing image: 0 bytes at 0xffff0" },
		{ 0x10000, 8, 0x20200, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: refcount block 0 is at 0x20200, not at a cluster" },
		{ 0x10008, 8, 0x990000, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: refcount block 1 is at 0x990000, outside of the file" },
		{ 0x30000, 8, 0x8000000000040200, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L2 table 0 is at 0x40200, not at a cluster" },
		{ 0x30000, 8, 0x8000000000990000, BOTH, -EINVAL,
		  "t: corrupt qcow2 image: L2 table 0 is at 0x990000, outside of the file" },
		{ 0x20000, 2, 0, WRITING, -EINVAL,
		  "t: corrupt qcow2 image: the header at 0 is counted as free; try qemu-img check -r all" },
		{ 0x20006, 2, 0, WRITING, -EINVAL,
		  "t: corrupt qcow2 image: the L1 table at 0x30000 is counted as free; try qemu-img check -r all" },
		{ 0x20008, 2, 0, WRITING, -EINVAL,
		  "t: corrupt qcow2 image: an L2 table at 0x40000 is counted as free; try qemu-img check -r all" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(patches) / sizeof(*patches); i++) {
		const struct patch *p = &patches[i];

		run("qemu-img create -f qcow2 t 4M");
		run("qemu-io -c 'write 0 64k' t");
		put(p->off, p->bytes, p->value);
		refused(p->modes, BLK_FORMAT_QCOW2, p->code, p->msg);
	}
}

static void test_feature_name(void)
{
	static const char name[46] = "time\033travel";

	/*
	 * The first entry of the name table follows the 112 byte header and 8 bytes of extension.
	 */
	run("qemu-img create -f qcow2 t 4M");
	put(120, 2, 41);
	file_write_at("t", 122, name, sizeof(name));
	put(72, 8, 1ull << 41);
	refused(BOTH, BLK_FORMAT_QCOW2, -ENOTSUP,
		"t: unsupported qcow2 image: unknown feature \"time?travel\" (incompatible bit 41)");
}

static void test_by_qemu(void)
{
	run("qemu-img create -f qcow2 -o data_file=d t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -ENOTSUP,
		"t: unsupported qcow2 image: its data is in an external file");
	run("rm t && qemu-img create -f qcow2 -o extended_l2=on t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -ENOTSUP,
		"t: unsupported qcow2 image: it has extended L2 entries (subclusters)");
	run("qemu-img create -f raw t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL, "t: not a qcow2 image");
	refused(WRITING, BLK_FORMAT_PROBE, -EINVAL,
		"t: not a qcow2 image; to use it as it is, say format=raw");
}

static void test_truncated(void)
{
	run("qemu-img create -f qcow2 t 4M && qemu-io -c 'write 0 1M' t && truncate -s 50 t");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL,
		"t: corrupt qcow2 image: truncated, the file has 50 bytes");
	run("truncate -s 0 t");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL, "t: not a qcow2 image");
	run("qemu-img create -f qcow2 t 4M && qemu-io -c 'write 0 1M' t && truncate -s 192k t");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL,
		"t: corrupt qcow2 image: L1 table (8 bytes at 0x30000) is outside of the file");
	run("qemu-img create -f qcow2 t 4M && qemu-io -c 'write 0 1M' t && truncate -s 100000 t");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL,
		"t: corrupt qcow2 image: L1 table (8 bytes at 0x30000) is outside of the file");
	run("qemu-img create -f qcow2 t 4M && qemu-io -c 'write 0 1M' t && truncate -s 256k t");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL,
		"t: corrupt qcow2 image: L2 table 0 is at 0x40000, outside of the file");
}

static void test_backing(void)
{
	run("qemu-img create -f qcow2 -u -b missing -F raw t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -ENOENT,
		"missing: cannot open for reading: No such file or directory");
	run("qemu-img create -f qcow2 -u -b ./t -F qcow2 t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -ELOOP,
		"./t: is its own backing image (the chain is a loop)");
	run("qemu-img create -f qcow2 -u -b b -F qcow2 t 1M && "
	    "qemu-img create -f qcow2 -u -b c -F qcow2 b 1M && "
	    "qemu-img create -f qcow2 -u -b ./t -F qcow2 c 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -ELOOP,
		"./t: is its own backing image (the chain is a loop)");
	run("qemu-img create -f qcow2 -u -b x -F vmdk t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -ENOTSUP,
		"t: unsupported qcow2 image: format \"vmdk\" of its backing image");
	run("qemu-img create -f qcow2 -u -b nbd://localhost/x -F raw t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -ENOTSUP,
		"t: backing image \"nbd://localhost/x\" is not a file name");
	run("qemu-img create -f qcow2 -u -b . -F raw t 1M");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL,
		".: neither a regular file nor a block device");
	run("qemu-img create -f qcow2 -u -b b -F qcow2 t 1M && "
	    "qemu-img create -f qcow2 b 1M && truncate -s 70 b");
	refused(BOTH, BLK_FORMAT_QCOW2, -EINVAL,
		"b: corrupt qcow2 image: truncated, the file has 70 bytes");
}

/* Relative to the image, not to the working directory; without a format too. */
static void test_backing_path(void)
{
	struct test_queue tq;
	struct blk_image *img;
	uint8_t buf[512];

	run("mkdir -p d/e && qemu-img create -f qcow2 d/base 1M && qemu-io -c 'write -P 9 0 64k' d/base");
	run("cd d/e && qemu-img create -f qcow2 -b ../base -F qcow2 m && "
	    "qemu-img create -f qcow2 -u -b file:m -F qcow2 t 1M && mv t ../../t");
	/* The name of the format becomes an extension that nobody knows. */
	put(112, 4, 0x12345678);
	run("mv t d/e/t && qemu-img info d/e/t | grep -v 'backing file format'");
	img = test_open("d/e/t", BLK_FORMAT_PROBE, false);
	tq_open(&tq, img);
	CHECK(!tq_rw(&tq, BLK_READ, 4096, buf, 512, 0) && buf[0] == 9 && buf[511] == 9);
	tq_close(&tq);
	CHECK(!blk_close(img));
}

/* A broken table entry met while in use: EIO, the image is marked, nothing more is written. */
static void runtime(uint64_t entry, const char *log)
{
	static uint8_t buf[65536];
	struct test_queue tq;
	struct blk_image *img;
	uint64_t features, hash;

	run("qemu-img create -f qcow2 t 4M && qemu-io -c 'write 0 256k' t");
	put(0x40008, 8, entry);
	hash = file_hash("t");
	img = test_open("t", BLK_FORMAT_QCOW2, true);
	tq_open(&tq, img);
	last_log[0] = '\0';
	CHECK(tq_rw(&tq, BLK_READ, 65536, buf, 512, 0) == -EIO);
	CHECK(strstr(last_log, log) && strstr(last_log, "requests may fail"), "%s", last_log);
	CHECK(!tq_rw(&tq, BLK_READ, 0, buf, 512, 0));
	tq_close(&tq);
	CHECK(!blk_close(img));
	CHECK(file_hash("t") == hash);

	img = test_open("t", BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	CHECK(!tq_rw(&tq, BLK_WRITE, 0, buf, 512, 0));
	CHECK(tq_rw(&tq, BLK_WRITE, 65536, buf, 512, 0) == -EIO);
	CHECK(strstr(last_log, log) && strstr(last_log, "no more writes"), "%s", last_log);
	CHECK(tq_rw(&tq, BLK_WRITE, 0, buf, 512, 0) == -EIO);
	CHECK(tq_rw(&tq, BLK_WRITE, 1 << 20, buf, 65536, 0) == -EIO);
	CHECK(tq_rw(&tq, BLK_DISCARD, 0, NULL, 1 << 20, 0) == -EIO);
	CHECK(!tq_rw(&tq, BLK_READ, 0, buf, 512, 0));
	tq_close(&tq);
	CHECK(blk_close(img) == -EIO);
	file_read_at("t", 72, &features, 8);
	CHECK(be64toh(features) == 2);
	refused(WRITING, BLK_FORMAT_QCOW2, -EROFS,
		"t: marked as corrupt; repair it with qemu-img check -r all, or open it read-only");
}

static void test_runtime(void)
{
	hv_log_set_sink(keep_log);
	runtime(0x8000000000050200, "t: corrupt qcow2 image: a table entry is invalid: 0x8000000000050200");
	runtime(0x80000000abcd0000, "t: corrupt qcow2 image: a table entry is invalid: 0x80000000abcd0000");
	runtime(0x8000000000030000, "t: corrupt qcow2 image: a table entry is invalid: 0x8000000000030000");
	runtime(0x400000ffff000000, "t: corrupt qcow2 image: a table entry is invalid: 0x400000ffff000000");
	hv_log_set_sink(NULL);
}

/* Compressed data that is not: EIO for that cluster alone. */
static void test_compressed_garbage(void)
{
	static uint8_t buf[65536];
	static const char *const types[] = { "zlib", "zstd" };
	struct test_queue tq;
	struct blk_image *img;
	unsigned int i;
	uint64_t entry;

	for (i = 0; i < 2; i++) {
		run("qemu-img create -f raw r 256k && qemu-io -f raw -c 'write -P 3 0 256k' r && "
		    "qemu-img convert -c -O qcow2 -o compression_type=%s r t", types[i]);
		file_read_at("t", 0x40008, &entry, 8);
		entry = be64toh(entry) & ((1ull << 54) - 1);
		memset(buf, 0xee, 20);
		file_write_at("t", entry, buf, 20);
		img = test_open("t", BLK_FORMAT_QCOW2, false);
		tq_open(&tq, img);
		CHECK(tq_rw(&tq, BLK_READ, 65536, buf, 512, 0) == -EIO);
		CHECK(tq_rw(&tq, BLK_WRITE, 65536, buf, 512, 0) == -EIO);
		CHECK(!tq_rw(&tq, BLK_READ, 0, buf, 512, 0) && buf[0] == 3);
		CHECK(!tq_rw(&tq, BLK_WRITE, 65536, buf, 65536, 0));
		tq_close(&tq);
		CHECK(!blk_close(img));
		check_clean("t", false);
	}
}

/* Any single damage: no crash, no hang, no message of more than a line (sanitizers watch). */
static void test_fuzz(void)
{
	static uint8_t buf[65536], image[1 << 20];
	struct rnd r = { .s = 99 };
	struct test_queue tq;
	struct blk_open_opts opts = { .filename = "f", .format = BLK_FORMAT_QCOW2 };
	struct blk_image *img;
	struct hv_err err;
	uint64_t size, off;
	unsigned int i, k, opened = 0, refusals = 0;

	hv_log_set_sink(keep_log);
	run("qemu-img create -f raw r 256k && qemu-io -f raw -c 'write -P 3 0 256k' r && "
	    "qemu-img convert -c -O qcow2 -o cluster_size=4k r t && qemu-img resize t 1M && "
	    "qemu-img snapshot -c s t && qemu-io -c 'write 500k 30k' -c 'write 64k 3k' t");
	size = file_size("t");
	CHECK(size <= sizeof(image));
	run("cp t f");
	for (i = 0; i < 1500; i++) {
		file_read_at("t", 0, image, size);
		for (k = 0; k <= rnd_below(&r, 3); k++) {
			/* Mostly in metadata: the header, or an entry somewhere. */
			off = rnd_below(&r, 3) ? rnd_below(&r, 120) : rnd_below(&r, size);
			image[off] = rnd_below(&r, 2)
			                     ? (uint8_t)rnd_next(&r)
			                     : image[off] ^ (uint8_t)(1u << rnd_below(&r, 8));
		}
		file_write_at("f", 0, image, size);
		opts.readonly = rnd_below(&r, 2);
		memset(&err, 0, sizeof(err));
		if (blk_open(&opts, &img, &err)) {
			CHECK(err.msg[0] && !strchr(err.msg, '\n'), "%s", err.msg);
			refusals++;
			continue;
		}
		opened++;
		tq_open(&tq, img);
		for (k = 0; k < 12 && blk_size(img) >= sizeof(buf); k++) {
			static const enum blk_op op[] = { BLK_READ, BLK_READ, BLK_WRITE, BLK_WRITE,
							  BLK_DISCARD, BLK_WRITE_ZEROES };

			off = rnd_below(&r, blk_size(img) - sizeof(buf) + 1);
			tq_rw(&tq, op[rnd_below(&r, 6)], off & ~511ull, buf,
			      512 << rnd_below(&r, 8), 0);
		}
		tq_close(&tq);
		blk_close(img);
		CHECK(truncate("f", (off_t)size) == 0);
	}
	printf("    %u opened, %u refused\n", opened, refusals);
	CHECK(opened > 100 && refusals > 100);
	hv_log_set_sink(NULL);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "qcow2 bad headers and tables", test_header },
		{ "qcow2 unknown feature by name", test_feature_name },
		{ "qcow2 features that are not supported", test_by_qemu },
		{ "qcow2 truncated", test_truncated },
		{ "qcow2 bad backing images", test_backing },
		{ "qcow2 path of the backing image", test_backing_path },
		{ "qcow2 corruption met while running", test_runtime },
		{ "qcow2 garbage in compressed clusters", test_compressed_garbage },
		{ "qcow2 random damage", test_fuzz },
	};

	return test_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
