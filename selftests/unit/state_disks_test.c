// SPDX-License-Identifier: GPL-2.0-or-later
/* Overlays that take the place of disks when a guest is saved; what is undone after an error. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "unit_test.h"
#include "vmm-user/state/disks.h"

#define SIZE (3ull << 20)

static char dir[] = "/tmp/hv-disks-XXXXXX";
static char path[3][64];
static struct hv_err err;

/* ---- Devices ---- */

static bool is_open[3];
static unsigned int closes, opens;
static int fail_open, fail_close;	/* the number of the call that fails, from 1 on */

int hvm_devices_close_disk(struct hvm_devices *d, unsigned int n, struct hv_err *e)
{
	closes += is_open[n];
	is_open[n] = false;
	return fail_close && !--fail_close ? hv_err_set(e, -EIO, "cannot be flushed") : 0;
}

int hvm_devices_open_disk(struct hvm_devices *d, unsigned int n, struct hv_err *e)
{
	if (is_open[n])
		return 0;
	if (fail_open && !--fail_open)
		return hv_err_set(e, -EMFILE, "too many files");
	opens++;
	is_open[n] = true;
	return 0;
}

uint64_t hvm_devices_disk_size(const struct hvm_devices *d, unsigned int n)
{
	return SIZE;
}

/* ---- Files ---- */

static ino_t inode(const char *file)
{
	struct stat st;

	return stat(file, &st) ? 0 : st.st_ino;
}

static unsigned int nr_files(void)
{
	unsigned int n = 0;
	DIR *d = opendir(dir);

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* A qcow2 image, a second one, and a raw one. */
static void new_disks(struct hvm_config *cfg)
{
	char cmd[400];

	snprintf(cmd, sizeof(cmd), "rm -f %s/*; qemu-img create -q -f qcow2 %s %llu && "
		 "qemu-img create -q -f qcow2 %s %llu && truncate -s %llu %s", dir, path[0], SIZE,
		 path[1], SIZE, SIZE, path[2]);
	CHECK_EQ(system(cmd), 0);
	*cfg = (struct hvm_config){
		.nr_disks = 2,
		.disk = { { .path = path[0] }, { .path = path[1], .format = BLK_FORMAT_QCOW2 },
			  { .path = path[2], .format = BLK_FORMAT_RAW } },
	};
	is_open[0] = is_open[1] = is_open[2] = true;
	closes = opens = 0;
	fail_open = fail_close = 0;
}

static bool is_qcow2_overlay_on(const char *file, const char *base)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "qemu-img info --output=json %s | grep -q '\"full-backing-filename\": "
		 "\"%s\"' && qemu-img check -q %s", file, base, file);
	return !system(cmd);
}

/* ---- Tests ---- */

static void snapshot(void)
{
	struct hvm_save_disks d;
	struct hvm_config cfg;
	char frozen[100];
	uint64_t size;
	ino_t old;

	new_disks(&cfg);
	cfg.disk[1].readonly = true;
	old = inode(path[0]);
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, true, "s", &err), 0);
	CHECK_EQ(inode(path[0]), old);
	CHECK_EQ(closes, 0);
	CHECK_EQ(hvm_save_disks_switch(&d, &err), 0);
	snprintf(frozen, sizeof(frozen), "%s.s", path[0]);
	CHECK_STR(d.saved[0].path, frozen);
	CHECK_EQ(d.saved[0].kind, HVM_DISK_FROZEN);
	CHECK_EQ(d.saved[1].kind, HVM_DISK_READONLY);
	CHECK_EQ(inode(frozen), old);
	CHECK(inode(path[0]) != old);
	CHECK(is_qcow2_overlay_on(path[0], frozen));
	CHECK_EQ(hvm_qcow2_size(path[0], &size, &err), 0);
	CHECK_EQ(size, SIZE);
	/* What was read-only was not touched; all that was closed is open. */
	CHECK_EQ(closes, 1);
	CHECK_EQ(opens, 1);
	CHECK_EQ(hvm_saved_disk_check(&d.saved[0], &err), 0);
	hvm_save_disks_free(&d);
	CHECK_EQ(nr_files(), 4);
	/* Once more under the same name: what is there stays. */
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, true, "s", &err), -EEXIST);
	CHECK_EQ(inode(frozen), old);
	CHECK_EQ(nr_files(), 4);
}

/* A guest that is to end: its disks are closed and remembered. */
static void save(void)
{
	struct hvm_save_disks d;
	struct hvm_config cfg;
	ino_t old;

	new_disks(&cfg);
	cfg.nr_disks = 3;
	old = inode(path[0]);
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, false, "s", &err), 0);
	CHECK_EQ(hvm_save_disks_switch(&d, &err), 0);
	CHECK_EQ(closes, 3);
	CHECK_EQ(opens, 0);
	CHECK_EQ(d.saved[2].kind, HVM_DISK_OWNED);
	CHECK_STR(d.saved[2].path, path[2]);
	CHECK_EQ(inode(path[0]), old);
	CHECK_EQ(hvm_save_disks_reopen(&d, &err), 0);
	CHECK_EQ(opens, 3);
	hvm_save_disks_free(&d);
	CHECK_EQ(nr_files(), 3);
}

static void refused(void)
{
	struct hvm_save_disks d;
	struct hvm_config cfg;

	new_disks(&cfg);
	cfg.nr_disks = 3;
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, true, "s", &err), -ENOTSUP);
	CHECK(strstr(err.msg, path[2]) != NULL);
	/* Overlays of the disks before it are gone. */
	CHECK_EQ(nr_files(), 3);
	cfg.disk[2].path = "/nonexistent/disk";
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, true, "s", &err), -ENOENT);
	CHECK_EQ(nr_files(), 3);
	setenv("PATH", "/nonexistent", 1);
	cfg.nr_disks = 2;
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, true, "s", &err), -ENOENT);
	setenv("PATH", "/usr/bin:/bin", 1);
	CHECK(strstr(err.msg, "qemu-utils") != NULL);
	CHECK_EQ(nr_files(), 3);
}

/* Everything is as it was, and can be opened. */
static void undone(int close_that_fails, int open_that_fails)
{
	struct hvm_save_disks d;
	struct hvm_config cfg;
	ino_t old[2];

	new_disks(&cfg);
	old[0] = inode(path[0]);
	old[1] = inode(path[1]);
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, true, "s", &err), 0);
	fail_close = close_that_fails;
	fail_open = open_that_fails;
	CHECK(hvm_save_disks_switch(&d, &err) < 0);
	CHECK_EQ(hvm_save_disks_reopen(&d, &err), 0);
	CHECK(is_open[0] && is_open[1]);
	CHECK_EQ(inode(path[0]), old[0]);
	CHECK_EQ(inode(path[1]), old[1]);
	hvm_save_disks_free(&d);
	CHECK_EQ(nr_files(), 3);
}

static void errors(void)
{
	undone(1, 0);
	undone(2, 0);
	undone(0, 1);
	undone(0, 2);
}

/* All went well, but for what came after: the caller undoes it. */
static void undone_later(void)
{
	struct hvm_save_disks d;
	struct hvm_config cfg;
	ino_t old;

	new_disks(&cfg);
	old = inode(path[1]);
	CHECK_EQ(hvm_save_disks_prepare(&d, &cfg, NULL, true, "s", &err), 0);
	CHECK_EQ(hvm_save_disks_switch(&d, &err), 0);
	hvm_save_disks_undo(&d);
	CHECK(!is_open[0] && !is_open[1]);
	CHECK_EQ(inode(path[1]), old);
	hvm_save_disks_free(&d);
	CHECK_EQ(nr_files(), 3);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	for (unsigned int i = 0; i < 3; i++)
		snprintf(path[i], sizeof(path[i]), "%s/disk%u", dir, i);
	TEST_RUN(snapshot);
	TEST_RUN(save);
	TEST_RUN(refused);
	TEST_RUN(errors);
	TEST_RUN(undone_later);
	for (unsigned int i = 0; i < 3; i++)
		unlink(path[i]);
	rmdir(dir);
	return TEST_EXIT();
}
