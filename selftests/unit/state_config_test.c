// SPDX-License-Identifier: GPL-2.0-or-later
/* What a saved guest was made of, whether this host can go on with it, and "hvm restore" up to there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "unit_test.h"
#include "vmm-user/cli/cli.h"
#include "vmm-user/state/machine_state.h"
#include "vmm-user/state/saved_config.h"

static char dir[] = "/tmp/hv-config-XXXXXX";
static struct hv_err err;

static const char *in_dir(const char *file)
{
	static char path[4][128];
	static unsigned int n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, file);
	return p;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

/* ---- Configuration ---- */

static const struct hvm_option options[] = {
	{ "kernel", "vmlinuz" }, { "disk", "a.qcow2,queues=2,format=qcow2" }, { "balloon", NULL },
	{ "disk", "b,,b.raw,format=raw" }, { "append", "" }, { "name", "guest" },
};
#define NR_OPTIONS (sizeof(options) / sizeof(options[0]))

static void fill_config(struct hvm_config *cfg)
{
	*cfg = (struct hvm_config){
		.name = "guest", .option = (struct hvm_option *)options, .nr_options = NR_OPTIONS,
		.nr_disks = 2,
	};
}

static void write_config(struct hv_state_writer *w, const struct hvm_saved_disk *disk)
{
	struct hvm_config cfg;

	fill_config(&cfg);
	hv_state_writer_init(w);
	hvm_saved_config_write(&cfg, disk, w);
}

static const struct hvm_saved_disk disks[2] = {
	{ .path = "/x/a.qcow2", .kind = HVM_DISK_FROZEN, .size = 1ull << 40, .mtime_s = -5,
	  .mtime_ns = 999999999 },
	{ .path = "/x/b,b.raw", .kind = HVM_DISK_OWNED, .device = true },
};

static void config_round_trip(void)
{
	struct hvm_saved_config c;
	struct hv_state_reader r;
	struct hv_state_writer w;

	write_config(&w, disks);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hvm_saved_config_read(&r, &c, &err), 0);
	CHECK_STR(c.name, "guest");
	CHECK_EQ(c.dir[0], '/');
	CHECK_EQ(c.nr_options, NR_OPTIONS);
	for (unsigned int i = 0; i < NR_OPTIONS; i++) {
		CHECK_STR(c.option[i].name, options[i].name);
		CHECK_EQ(c.option[i].value == NULL, options[i].value == NULL);
		if (options[i].value && c.option[i].value)
			CHECK_STR(c.option[i].value, options[i].value);
	}
	CHECK_EQ(c.nr_disks, 2);
	CHECK_STR(c.disk[1].path, "/x/b,b.raw");
	CHECK_EQ(c.disk[0].kind, HVM_DISK_FROZEN);
	CHECK_EQ(c.disk[0].size, 1ull << 40);
	CHECK_EQ(c.disk[0].mtime_s, -5);
	CHECK_EQ(c.disk[0].mtime_ns, 999999999);
	CHECK(c.disk[1].device);
	CHECK_STR(hvm_saved_config_option(&c, "disk", 1)->value, "b,,b.raw,format=raw");
	CHECK(!hvm_saved_config_option(&c, "disk", 2));
	CHECK_EQ(hvm_saved_config_set(&c, "disk", 1, "new"), 0);
	CHECK_STR(c.option[3].value, "new");
	CHECK_EQ(hvm_saved_config_set(&c, "disk", 2, "x"), -ENOENT);
	CHECK_EQ(hvm_saved_config_set(&c, "serial", 0, "none"), 0);
	CHECK_EQ(c.nr_options, NR_OPTIONS + 1);
	hvm_saved_config_free(&c);
	hv_state_writer_free(&w);
}

/* Whatever a byte is, and with checksums that fit: an error or a configuration, never more. */
static void config_of_anything(void)
{
	struct hvm_saved_config c;
	struct hv_state_reader r;
	struct hv_state_writer w;
	unsigned int refused = 0;

	write_config(&w, disks);
	for (size_t i = sizeof(struct hv_state_header); i < w.len; i++) {
		static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
		uint8_t old = w.buf[i];

		for (size_t v = 0; v < sizeof(values); v++) {
			size_t at = 0;

			w.buf[i] = values[v];
			while (at < w.len) {
				struct hv_state_header h;

				memcpy(&h, w.buf + at, sizeof(h));
				if (i >= at && i < at + sizeof(h))
					break;	/* headers have a test of their own */
				h.crc = hv_state_crc(0, w.buf + at + sizeof(h), h.len);
				hv_state_fill_header(&h, at ? "disks" : "config", h.version, 0,
						     h.len, h.crc);
				memcpy(w.buf + at, &h, sizeof(h));
				at += sizeof(h) + h.len;
			}
			hv_state_reader_init(&r, w.buf, w.len);
			if (hvm_saved_config_read(&r, &c, &err))
				refused++;
			else
				hvm_saved_config_free(&c);
		}
		w.buf[i] = old;
	}
	CHECK(refused > 100);
	hv_state_writer_free(&w);
}

static void disk_changes(void)
{
	struct hvm_saved_disk d = { .path = (char *)in_dir("disk"), .kind = HVM_DISK_OWNED };
	struct timespec t[2] = { { 5, 5 }, { 1000, 77 } };

	write_text(d.path, "contents");
	CHECK_EQ(utimensat(AT_FDCWD, d.path, t, 0), 0);
	CHECK_EQ(hvm_saved_disk_stat(&d, d.path, &err), 0);
	CHECK_EQ(d.size, 8);
	CHECK_EQ(d.mtime_s, 1000);
	CHECK_EQ(hvm_saved_disk_check(&d, &err), 0);
	t[1].tv_nsec++;
	CHECK_EQ(utimensat(AT_FDCWD, d.path, t, 0), 0);
	CHECK_EQ(hvm_saved_disk_check(&d, &err), -ESTALE);
	CHECK(strstr(err.msg, "has changed") != NULL);
	t[1].tv_nsec--;
	write_text(d.path, "contents+");
	CHECK_EQ(utimensat(AT_FDCWD, d.path, t, 0), 0);
	CHECK_EQ(hvm_saved_disk_check(&d, &err), -ESTALE);
	unlink(d.path);
	CHECK_EQ(hvm_saved_disk_check(&d, &err), -ENOENT);
	d.device = true;
	write_text(d.path, "contents");
	CHECK_EQ(hvm_saved_disk_check(&d, &err), -ESTALE);
	CHECK(strstr(err.msg, "block device") != NULL);
	unlink(d.path);
}

/* ---- The processor ---- */

struct table {
	struct kvm_cpuid2 hdr;
	struct kvm_cpuid_entry2 e[4];
};

static int check_cpu(const struct table *have, const struct table *want)
{
	err = (struct hv_err){ 0 };
	return hvm_cpuid_check(&have->hdr, &want->hdr, &err);
}

static void processors(void)
{
	const struct table base = {
		.hdr.nent = 4,
		.e = { { .function = 0, .ebx = 1, .ecx = 2, .edx = 3 },
		       { .function = 1, .ecx = 0xf0, .edx = 0xff },
		       { .function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 8 },
		       { .function = 7, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			 .eax = 16 } },
	};
	struct table t = base;

	CHECK_EQ(check_cpu(&base, &base), 0);
	/* More than the guest knows is welcome; OSXSAVE is the guest's own. */
	t.e[1].ecx |= 0x100;
	CHECK_EQ(check_cpu(&t, &base), 0);
	CHECK_EQ(check_cpu(&base, &t), -ENOTSUP);
	CHECK(strstr(err.msg, "leaf 1 ECX, bits 0x100") != NULL);
	t = base;
	t.e[1].ecx |= 1u << 27;
	CHECK_EQ(check_cpu(&base, &t), 0);
	t = base;
	t.e[3].eax = 48;
	CHECK_EQ(check_cpu(&base, &t), -ENOTSUP);
	CHECK(strstr(err.msg, "leaf 7.1 EAX, bits 0x20") != NULL);
	t = base;
	t.hdr.nent = 2;
	CHECK_EQ(check_cpu(&t, &base), -ENOTSUP);
	CHECK_EQ(check_cpu(&base, &t), 0);
	t = base;
	t.e[0].ecx = 99;
	CHECK_EQ(check_cpu(&base, &t), -ENOTSUP);
	CHECK(strstr(err.msg, "maker") != NULL);
	t.hdr.nent = 0;
	CHECK_EQ(check_cpu(&t, &base), -ENOTSUP);
}

/* ---- The commands ---- */

static int run(const struct hvm_command *cmd, char *const *args)
{
	char *argv[12] = { (char *)cmd->name };
	int argc = 1;

	while (*args)
		argv[argc++] = *args++;
	err = (struct hv_err){ 0 };
	return cmd->run(argc, argv, &err);
}
#define RUN(cmd, ...) run(&(cmd), (char *[]){ __VA_ARGS__, NULL })

/* A stream without a guest: RAM is one chunk of zeroes. */
static void write_stream(const char *path, const struct hvm_saved_disk *disk)
{
	static uint8_t ram[HVM_STREAM_CHUNK];
	struct hv_state_writer w, config;
	uint32_t sum;
	struct hvm_stream_out out = { .ram = ram, .ram_len = sizeof(ram), .sums = &sum };

	hv_state_writer_init(&w);
	hvm_stream_put_start(&w, 1);
	write_config(&config, disk);
	hv_state_put(&w, config.buf, config.len);
	out.head = w.buf;
	out.head_len = w.len;
	out.fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
	CHECK_EQ(hvm_stream_write(&out), 0);
	close(out.fd);
	hv_state_writer_free(&config);
	hv_state_writer_free(&w);
}

static bool says(const char *text)
{
	if (strstr(err.msg, text))
		return true;
	printf("# \"%s\"\n", err.msg);
	return false;
}

static void restore_refuses(void)
{
	struct hvm_saved_disk d[2] = {
		{ .path = (char *)in_dir("frozen"), .kind = HVM_DISK_FROZEN },
		{ .path = (char *)in_dir("owned"), .kind = HVM_DISK_OWNED },
	};
	char *state = strdup(in_dir("state"));

	write_text(d[0].path, "no qcow2 image");
	write_text(d[1].path, "raw");
	CHECK_EQ(hvm_saved_disk_stat(&d[0], d[0].path, &err), 0);
	CHECK_EQ(hvm_saved_disk_stat(&d[1], d[1].path, &err), 0);
	write_stream(state, d);
	CHECK_EQ(run(&hvm_cmd_restore, (char *[]){ NULL }), 1);
	CHECK(says("one file is wanted"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "more"), 1);
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--nonsense"), 1);
	CHECK(says("is no option"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--overlays"), 1);
	CHECK(says("needs a value"));
	CHECK_EQ(RUN(hvm_cmd_restore, "/nonexistent"), 1);
	CHECK(says("No such file"));
	CHECK_EQ(RUN(hvm_cmd_restore, state), 1);
	CHECK(says("--overlays DIR"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--name", "../x"), 1);
	CHECK(says("--name"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--overlays", "/nonexistent"), 1);
	CHECK(says("not a directory"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--overlays", dir), 1);
	CHECK(says("frozen"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--disk", "2=x"), 1);
	CHECK(says("--disk 2=x"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--disk", "99=x"), 1);
	CHECK(says("N from 0"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--disk", "=x"), 1);
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--disk", "0="), 1);
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--net", "0=tap"), 1);
	CHECK(says("no such device"));
	/* Far enough to look for the hypervisor device. */
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--verify", "--accel", "/nonexistent/hv",
		     "--disk", "0=/dev/null"), 1);
	CHECK(says("/nonexistent/hv"));
	write_text(d[1].path, "raw and more");
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--disk", "0=/dev/null"), 1);
	CHECK(says("has changed"));
	CHECK_EQ(RUN(hvm_cmd_restore, state, "--accel", "/nonexistent/hv", "--trust-disks",
		     "--disk", "0=/dev/null"), 1);
	CHECK(says("/nonexistent/hv"));
	unlink(state);
	unlink(d[0].path);
	unlink(d[1].path);
	free(state);
}

static void save_refuses(void)
{
	CHECK_EQ(RUN(hvm_cmd_save, "guest"), 1);
	CHECK(says("a file are wanted"));
	CHECK_EQ(RUN(hvm_cmd_snapshot, "guest", "a", "b"), 1);
	CHECK_EQ(RUN(hvm_cmd_save, "guest", "a", "--forced"), 1);
	CHECK(says("unknown option"));
	CHECK_EQ(RUN(hvm_cmd_save, "../guest", "a"), 1);
	CHECK(says("no guest named"));
	CHECK_EQ(RUN(hvm_cmd_snapshot, "nobody", "a"), 1);
	CHECK(says("no guest named"));
}

int main(void)
{
	if (!mkdtemp(dir) || setenv("XDG_RUNTIME_DIR", dir, 1))
		return 1;
	TEST_RUN(config_round_trip);
	TEST_RUN(config_of_anything);
	TEST_RUN(disk_changes);
	TEST_RUN(processors);
	TEST_RUN(restore_refuses);
	TEST_RUN(save_refuses);
	rmdir(in_dir("hvm"));
	rmdir(dir);
	return TEST_EXIT();
}
