// SPDX-License-Identifier: GPL-2.0-or-later
/* hvm disk: on images that are not in use, and what it says when something is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../virtio-backends/block/block.h"
#include "../../vmm-user/cli/cli.h"
#include "unit_test.h"

static struct hv_err err;

/* One line of words. */
static int disk(const char *line)
{
	char copy[256], *argv[16] = { (char *)"disk" }, *save = NULL;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	err.msg[0] = '\0';
	return hvm_cmd_disk.run(argc, argv, &err);
}

static void run(const char *cmd)
{
	CHECK_EQ(system(cmd), 0);
}

static void test_create(void)
{
	CHECK_EQ(disk("create a.qcow2 64M"), 0);
	run("qemu-img info a.qcow2 | grep -q '64 MiB'");
	CHECK_EQ(disk("create a.qcow2 64M"), 1);
	CHECK_STR(err.msg, "a.qcow2: is there already");
	CHECK_EQ(disk("create b.qcow2 128M --backing a.qcow2"), 0);
	run("qemu-img info b.qcow2 | grep -q 'backing file format: qcow2'");
	CHECK_EQ(disk("create c.raw 1M --format raw"), 0);
	run("qemu-img check -q b.qcow2 && test $(stat -c %s c.raw) = 1048576");
	CHECK_EQ(disk("create d.qcow2 1M --backing none"), 1);
	CHECK(strstr(err.msg, "none: cannot open"));
	CHECK_EQ(disk("create d.qcow2 1M --format vdi"), 1);
	CHECK_STR(err.msg, "disk: --format vdi: qcow2 or raw is wanted");
	CHECK(access("d.qcow2", F_OK));
}

static void test_without_qemu_img(void)
{
	char *path = strdup(getenv("PATH"));

	setenv("PATH", "/nowhere", 1);
	CHECK_EQ(disk("create d.qcow2 1M"), 1);
	CHECK_STR(err.msg, "qemu-img is not there; install qemu-utils");
	setenv("PATH", path, 1);
	free(path);
}

static void test_sizes(void)
{
	static const char *const bad[] = { "0", "5x", "1MB", "9999999T", "x", "1.5G" };
	char line[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "resize a.qcow2 %s", bad[i]);
		CHECK_EQ(disk(line), 1);
		CHECK(strstr(err.msg, "a size like 512M or 20G is wanted"));
	}
	CHECK_EQ(disk("resize a.qcow2 2T"), 0);
	run("qemu-img info a.qcow2 | grep -q '2 TiB' && qemu-img check -q a.qcow2");
	CHECK_EQ(disk("resize a.qcow2 1M"), 1);
	CHECK(strstr(err.msg, "would lose data"));
	CHECK_EQ(disk("resize c.raw 2M"), 1);
	CHECK(strstr(err.msg, "format=raw"));
	CHECK_EQ(disk("resize c.raw 2M --format raw"), 0);
	run("test $(stat -c %s c.raw) = 2097152");
}

static void test_snapshots(void)
{
	run("qemu-img create -q -f qcow2 s.qcow2 1M && "
	    "qemu-io -f qcow2 -c 'write -P 1 0 64k' s.qcow2 >/dev/null");
	CHECK_EQ(disk("snapshot create s.qcow2 one"), 0);
	run("qemu-io -f qcow2 -c 'write -P 2 0 64k' s.qcow2 >/dev/null");
	CHECK_EQ(disk("snapshot list s.qcow2"), 0);
	CHECK_EQ(disk("snapshot apply s.qcow2 one"), 0);
	run("qemu-io -f qcow2 -c 'read -P 1 0 64k' s.qcow2 >/dev/null && qemu-img check -q s.qcow2");
	CHECK_EQ(disk("snapshot apply s.qcow2 two"), 1);
	CHECK_STR(err.msg, "s.qcow2: has no snapshot \"two\"");
	CHECK_EQ(disk("snapshot delete s.qcow2 one"), 0);
	run("test -z \"$(qemu-img snapshot -l s.qcow2)\" && qemu-img check -q s.qcow2");
}

static void test_commit(void)
{
	run("qemu-img create -q -f qcow2 base.qcow2 1M && "
	    "qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 && "
	    "qemu-io -f qcow2 -c 'write -P 9 64k 64k' top.qcow2 >/dev/null");
	CHECK_EQ(disk("commit top.qcow2"), 0);
	run("qemu-io -f qcow2 -c 'read -P 9 64k 64k' base.qcow2 >/dev/null");
	CHECK_EQ(disk("commit base.qcow2"), 1);
	CHECK_STR(err.msg, "qemu-img failed");
}

static void test_in_use(void)
{
	struct blk_open_opts opts = { .filename = "s.qcow2" };
	struct blk_image *img;

	CHECK_EQ(blk_open(&opts, &img, &err), 0);
	CHECK_EQ(disk("check s.qcow2"), 1);
	CHECK(strstr(err.msg, "another process (lock held)"));
	CHECK_EQ(disk("snapshot create s.qcow2 x"), 1);
	CHECK(strstr(err.msg, "another process (lock held)"));
	CHECK_EQ(disk("info s.qcow2"), 1);
	CHECK(strstr(err.msg, "another process (lock held)"));
	CHECK_EQ(blk_close(img), 0);
}

static void test_check(void)
{
	FILE *f;

	run("qemu-img create -q -f qcow2 k.qcow2 1M");
	CHECK_EQ(disk("check k.qcow2"), 0);
	f = fopen("k.qcow2", "r+");
	/* The refcount of a cluster that is there, and that of one that is not. */
	CHECK(f && !fseek(f, 0x20000 + 2, SEEK_SET) && fwrite("\0\2", 2, 1, f) == 1);
	CHECK(!fflush(f));
	CHECK_EQ(disk("check k.qcow2"), 3);
	CHECK(!fseek(f, 0x20000 + 2, SEEK_SET) && fwrite("\0\0", 2, 1, f) == 1);
	CHECK(!fclose(f));
	CHECK_EQ(disk("check k.qcow2"), 2);
}

static void test_usage(void)
{
	static const char *const bad[] = {
		"", "frob", "create", "create x", "info", "check", "check a b", "commit", "overlay a b", "resize a", "snapshot",
		"snapshot list", "snapshot list a b", "snapshot create a", "snapshot frob a b",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(disk(bad[i]), 1);
		CHECK_STR(err.msg, "disk: wrong arguments (see \"hvm disk --help\")");
	}
	CHECK_EQ(disk("--frob"), 1);
	CHECK_EQ(disk("resize nobody blk0 1G"), 1);
	CHECK_STR(err.msg, "no guest named nobody is running");
	CHECK_EQ(disk("snapshot create nobody blk0 s"), 1);
	CHECK_STR(err.msg, "no guest named nobody is running");
	CHECK_EQ(disk("overlay nobody blk0 f"), 1);
	CHECK_STR(err.msg, "no guest named nobody is running");
	CHECK_EQ(disk("snapshot apply nobody blk0 s"), 1);
	CHECK_EQ(disk("check nothing.qcow2"), 1);
}

int main(void)
{
	char dir[] = "/tmp/disk_cli_test.XXXXXX", cmd[64];

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	TEST_RUN(test_create);
	TEST_RUN(test_without_qemu_img);
	TEST_RUN(test_sizes);
	TEST_RUN(test_snapshots);
	TEST_RUN(test_commit);
	TEST_RUN(test_in_use);
	TEST_RUN(test_check);
	TEST_RUN(test_usage);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	run(cmd);
	return TEST_EXIT();
}
