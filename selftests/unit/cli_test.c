// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line of hvm: values, options, and what is wrong with them. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../vmm-user/boot/cloud_init.h"
#include "../../vmm-user/cli/cli.h"
#include "../../vmm-user/control/runtime.h"
#include "unit_test.h"

static struct hv_err err;

#define M (1ULL << 20)

static void test_mem(void)
{
	static const struct {
		const char *s;
		uint64_t want;	/* 0: refused */
	} cases[] = {
		{ "512M", 512 * M }, { "512m", 512 * M }, { "512", 512 * M }, { "2G", 2048 * M },
		{ "1T", M * M }, { "65536K", 64 * M }, { "32", 32 * M }, { "31M", 0 },
		{ "0", 0 }, { "", 0 }, { "M", 0 }, { "-1G", 0 }, { "+1G", 0 }, { " 1G", 0 },
		{ "1.5G", 0 }, { "1GB", 0 }, { "1g ", 0 }, { "0x100M", 0 }, { "65537K", 0 },
		{ "18446744073709551615", 0 }, { "18446744073709551616", 0 },
		{ "17592186044416M", 0 }, { "99999999T", 0 }, { "1X", 0 }, { "64\n", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 0;
		int ret = hvm_parse_mem("--mem", cases[i].s, &v, &err);

		CHECK_EQ(ret, cases[i].want ? 0 : -EINVAL);
		CHECK_EQ(v, cases[i].want);
		if (ret)
			CHECK(strstr(err.msg, "--mem"));
	}
}

static void test_cpus(void)
{
	static const char *const bad[] = { "0", "", "-1", "255", "1 ", "2x", "99999999999999999999" };
	unsigned int n = 0;

	CHECK_EQ(hvm_parse_cpus("1", &n, &err), 0);
	CHECK_EQ(n, 1);
	CHECK_EQ(hvm_parse_cpus("254", &n, &err), 0);
	CHECK_EQ(n, 254);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(hvm_parse_cpus(bad[i], &n, &err), -EINVAL);
	CHECK_EQ(n, 254);
}

static void check_disk(const char *s, const char *path, enum blk_format format, bool readonly)
{
	struct hvm_disk_config d;

	if (!path) {
		CHECK_EQ(hvm_parse_disk(s, &d, &err), -EINVAL);
		CHECK(strstr(err.msg, "--disk"));
		return;
	}
	CHECK_EQ(hvm_parse_disk(s, &d, &err), 0);
	CHECK_STR(d.path, path);
	CHECK_EQ(d.format, format);
	CHECK_EQ(d.readonly, readonly);
	free(d.path);
}

static void test_disk(void)
{
	check_disk("a.qcow2", "a.qcow2", BLK_FORMAT_PROBE, false);
	check_disk("a,format=raw", "a", BLK_FORMAT_RAW, false);
	check_disk("a,format=qcow2,readonly", "a", BLK_FORMAT_QCOW2, true);
	check_disk("a,readonly", "a", BLK_FORMAT_PROBE, true);
	check_disk("a,,b", "a,b", BLK_FORMAT_PROBE, false);
	check_disk("a,,b,,,readonly", "a,b,", BLK_FORMAT_PROBE, true);
	check_disk("a,,", "a,", BLK_FORMAT_PROBE, false);
	check_disk("/x=y z", "/x=y z", BLK_FORMAT_PROBE, false);
	check_disk("", NULL, 0, false);
	check_disk(",readonly", NULL, 0, false);
	check_disk("a,", NULL, 0, false);
	check_disk("a,format=vmdk", NULL, 0, false);
	check_disk("a,format", NULL, 0, false);
	check_disk("a,readonly=on", NULL, 0, false);
	check_disk("a,readonly,", NULL, 0, false);
	check_disk("a,readonlyx", NULL, 0, false);
	check_disk("a,queues=0", NULL, 0, false);
	check_disk("a,queues=65", NULL, 0, false);
	check_disk("a,threads=two", NULL, 0, false);
	check_disk("a,on-error=panic", NULL, 0, false);
	check_disk("a,limit-iops=", NULL, 0, false);
	check_disk("a,limit-bytes=1.5M", NULL, 0, false);
}

static void test_disk_options(void)
{
	struct hvm_disk_config d;

	CHECK_EQ(hvm_parse_disk("a", &d, &err), 0);
	CHECK(!d.queues && !d.one_thread && d.on_error == VIRTIO_BLK_REPORT && !d.limit_iops);
	free(d.path);
	CHECK_EQ(hvm_parse_disk("a,queues=64,threads=one,on-error=stop,limit-iops=500,limit-bytes=2M",
				&d, &err), 0);
	CHECK(d.queues == 64 && d.one_thread && d.on_error == VIRTIO_BLK_STOP);
	CHECK(d.limit_iops == 500 && d.limit_bytes == 2 * M);
	free(d.path);
	CHECK_EQ(hvm_parse_disk("a,threads=one,threads=queue,on-error=ignore", &d, &err), 0);
	CHECK(!d.one_thread && d.on_error == VIRTIO_BLK_IGNORE);
	free(d.path);
}

static void test_net(void)
{
	static const char *const bad[] = {
		"", "tape", "tap,", "tap,ifname=", "tap,ifname=0123456789abcdef", "tap,ifname=a/b",
		"tap,queues=0", "tap,queues=17", "tap,queues=2x", "tap,vhost", "tap,vhost=yes",
		"tap,socket=s", "tap,network=n", "tap,mac=52:54:00:12:34", "tap,mac=52:54:00:12:34:5g",
		"tap,mac=53:54:00:12:34:56", "tap,mac=00:00:00:00:00:00", "tap,mac=52-54-00-12-34-56",
		"tap,mac=52:54:00:12:34:567", "tap,limit-bytes=0", "tap,limit-bytes=-1",
		"tap,limit-bytes=2T", "tap,limit-packets=1KB", "tap,vhost=on,limit-bytes=1M", "passt",
		"passt,socket=", "passt,socket=s,queues=2", "switch", "switch,network=../x",
		"switch,network=n,vhost=on",
	};
	struct hvm_net_config net;

	CHECK_EQ(hvm_parse_net("tap", &net, &err), 0);
	CHECK(net.kind == HVM_NET_TAP && !net.ifname[0] && net.queues == 1 && !net.vhost &&
	      !net.mac_given);
	CHECK_EQ(hvm_parse_net("tap,ifname=t0,queues=4,vhost=on,mac=52:54:00:Ab:cD:0f", &net, &err),
		 0);
	CHECK_STR(net.ifname, "t0");
	CHECK(net.queues == 4 && net.vhost && net.mac_given);
	CHECK(!memcmp(net.mac, "\x52\x54\x00\xab\xcd\x0f", 6));
	CHECK_EQ(hvm_parse_net("passt,socket=/a,,b,limit-bytes=10M,limit-packets=5k", &net, &err), 0);
	CHECK_STR(net.socket, "/a,b");
	CHECK(net.limit_bytes == 10 * M && net.limit_packets == 5120);
	hvm_net_config_free(&net);
	CHECK_EQ(hvm_parse_net("switch,network=lan-1", &net, &err), 0);
	CHECK_STR(net.network, "lan-1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(hvm_parse_net(bad[i], &net, &err), -EINVAL);
		CHECK(strstr(err.msg, "--net"));
	}
}

static void test_port(void)
{
	static const char *const bad[] = {
		"", ",", "a", "a,", "a,socket=", "a,sock=s", ",socket=s", "a/b,socket=s",
		"a b,socket=s", "..,socket=s", "a,socket=s,x", "a,socket=s,",
		"0123456789012345678901234567890123456789012345678901234567890123x,socket=s",
	};
	struct hvm_port_config port;

	CHECK_EQ(hvm_parse_port("org.qemu.guest_agent.0,socket=/run/a,,b", &port, &err), 0);
	CHECK_STR(port.name, "org.qemu.guest_agent.0");
	CHECK_STR(port.socket, "/run/a,b");
	hvm_port_config_free(&port);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(hvm_parse_port(bad[i], &port, &err), -EINVAL);
		CHECK(strstr(err.msg, "--port") && !port.name);
	}
}

static void test_vsock(void)
{
	static const char *const bad[] = {
		"", ",", "cid=2", "cid=4294967295", "cid=", "cid=3x", "socket=", "socket=s,", "s",
		"socket=s,port=1",
	};
	struct hvm_vsock_config v = { 0 };

	CHECK_EQ(hvm_parse_vsock("cid=5", &v, &err), 0);
	CHECK(v.given && v.cid == 5 && !v.socket);
	CHECK_EQ(hvm_parse_vsock("socket=/a,,b", &v, &err), 0);
	CHECK_STR(v.socket, "/a,b");
	CHECK_EQ(v.cid, 3);
	CHECK_EQ(hvm_parse_vsock("socket=/c,cid=4294967294", &v, &err), 0);
	CHECK_STR(v.socket, "/c");
	CHECK_EQ(v.cid, 4294967294u);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(hvm_parse_vsock(bad[i], &v, &err), -EINVAL);
		CHECK(strstr(err.msg, "--vsock"));
	}
	free(v.socket);
}

static void test_chardev(void)
{
	struct hvm_chardev_config c;

	CHECK_EQ(hvm_parse_chardev("--serial", "stdio", &c, &err), 0);
	CHECK_EQ(c.kind, HVM_CHARDEV_STDIO);
	CHECK_EQ(hvm_parse_chardev("--serial", "pty", &c, &err), 0);
	CHECK_EQ(c.kind, HVM_CHARDEV_PTY);
	CHECK_EQ(hvm_parse_chardev("--serial", "none", &c, &err), 0);
	CHECK_EQ(c.kind, HVM_CHARDEV_NONE);
	CHECK_EQ(hvm_parse_chardev("--serial", "file:/tmp/a:b", &c, &err), 0);
	CHECK_EQ(c.kind, HVM_CHARDEV_FILE);
	CHECK_STR(c.path, "/tmp/a:b");
	CHECK_EQ(hvm_parse_chardev("--serial", "file:", &c, &err), -EINVAL);
	CHECK_EQ(hvm_parse_chardev("--console", "tty", &c, &err), -EINVAL);
	CHECK(strstr(err.msg, "--console tty"));
	CHECK_EQ(hvm_parse_chardev("--serial", "", &c, &err), -EINVAL);
}

static void test_names(void)
{
	char name[HVM_NAME_MAX + 1], longest[HVM_NAME_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[HVM_NAME_MAX + 1] = '\0';
	CHECK(!hvm_name_valid(longest));
	longest[HVM_NAME_MAX] = '\0';
	CHECK(hvm_name_valid(longest));
	CHECK(hvm_name_valid("a") && hvm_name_valid("web-1.example_2") && hvm_name_valid("0"));
	CHECK(!hvm_name_valid("") && !hvm_name_valid(".") && !hvm_name_valid("..") &&
	      !hvm_name_valid("-a") && !hvm_name_valid("a/b") && !hvm_name_valid("../a") &&
	      !hvm_name_valid("a b") && !hvm_name_valid("a\n") && !hvm_name_valid("\xc3\xa4"));
	CHECK_EQ(hvm_parse_name("web", name, &err), 0);
	CHECK_STR(name, "web");
	CHECK_EQ(hvm_parse_name("../web", name, &err), -EINVAL);
}

/* ---- Whole command lines ---- */

#define RUN(...) parse_run((char *[]){ "run", __VA_ARGS__, NULL })

static struct hvm_config cfg;
static bool help;

static int parse_run(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	err.msg[0] = '\0';
	return hvm_parse_run(argc, argv, &cfg, &help, &err);
}

static void test_run_defaults(void)
{
	CHECK_EQ(RUN("--kernel", "K"), 0);
	CHECK_STR(cfg.kernel, "K");
	CHECK_STR(cfg.accel, "/dev/hv");
	CHECK_EQ(cfg.cpus, 1);
	CHECK_EQ(cfg.mem, 512 * M);
	CHECK_EQ(cfg.nr_disks, 0);
	CHECK_EQ(cfg.serial.kind, HVM_CHARDEV_STDIO);
	CHECK_EQ(cfg.console.kind, HVM_CHARDEV_NONE);
	CHECK(hvm_name_valid(cfg.name) && !help && !cfg.no_reboot);
	hvm_config_free(&cfg);
}

static void test_run_all(void)
{
	CHECK_EQ(RUN("--kernel=K", "--initrd", "I", "--append", "a b", "--disk", "d1", "--disk",
		     "d2,readonly", "--cpus", "4", "--mem", "1G", "--serial", "file:s", "--console",
		     "stdio", "--name", "n", "--net", "tap", "--net", "switch,network=x", "--accel", "/dev/kvm", "--no-reboot"), 0);
	CHECK_STR(cfg.initrd, "I");
	CHECK_STR(cfg.append, "a b");
	CHECK_EQ(cfg.nr_disks, 2);
	CHECK_STR(cfg.disk[0].path, "d1");
	CHECK_STR(cfg.disk[1].path, "d2");
	CHECK(cfg.disk[1].readonly && cfg.no_reboot);
	CHECK_EQ(cfg.cpus, 4);
	CHECK_EQ(cfg.mem, 1024 * M);
	CHECK_STR(cfg.name, "n");
	CHECK_EQ(cfg.nr_nets, 2);
	CHECK_EQ(cfg.net[1].kind, HVM_NET_SWITCH);
	CHECK_STR(cfg.accel, "/dev/kvm");
	CHECK_EQ(cfg.serial.kind, HVM_CHARDEV_FILE);
	CHECK_EQ(cfg.console.kind, HVM_CHARDEV_STDIO);
	/* As they were given, for saved state. */
	CHECK_EQ(cfg.nr_options, 14);
	CHECK_STR(cfg.option[0].name, "kernel");
	CHECK_STR(cfg.option[0].value, "K");
	CHECK_STR(cfg.option[4].value, "d2,readonly");
	CHECK_STR(cfg.option[13].name, "no-reboot");
	CHECK(!cfg.option[13].value);
	hvm_config_free(&cfg);
}

static void test_run_console(void)
{
	CHECK_EQ(RUN("--kernel", "K", "--console", "stdio"), 0);
	CHECK_EQ(cfg.serial.kind, HVM_CHARDEV_NONE);
	hvm_config_free(&cfg);
	CHECK_EQ(RUN("--kernel", "K", "--console", "stdio", "--serial", "stdio"), -EINVAL);
	CHECK(strstr(err.msg, "both"));
}

static void test_run_bad(void)
{
	CHECK_EQ(RUN("--cpus", "2"), -EINVAL);
	CHECK(strstr(err.msg, "--kernel or --firmware"));
	CHECK_EQ(RUN("--kernel", "K", "--frobnicate"), -EINVAL);
	CHECK(strstr(err.msg, "--frobnicate"));
	CHECK_EQ(RUN("--kernel"), -EINVAL);
	CHECK(strstr(err.msg, "needs a value"));
	CHECK_EQ(RUN("--kernel", "K", "extra"), -EINVAL);
	CHECK(strstr(err.msg, "extra"));
	CHECK_EQ(RUN("--kernel", "K", "--disk", "a", "--disk", "b,x"), -EINVAL);
	CHECK_EQ(RUN("--help"), 0);
	CHECK(help);
}

static void test_run_too_many_disks(void)
{
	char *argv[4 + 2 * (HVM_MAX_DISKS + 1)] = { "run", "--kernel", "K" };

	for (int i = 0; i <= HVM_MAX_DISKS; i++) {
		argv[3 + 2 * i] = "--disk";
		argv[4 + 2 * i] = "d";
	}
	CHECK_EQ(parse_run(argv), -E2BIG);
	argv[3 + 2 * HVM_MAX_DISKS] = NULL;
	CHECK_EQ(parse_run(argv), 0);
	CHECK_EQ(cfg.nr_disks, HVM_MAX_DISKS);
	hvm_config_free(&cfg);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file && fputs(text, file) >= 0);
	fclose(file);
}

static void test_firmware(void)
{
	static const char *const bad[] = {
		"", ",vars=v", "F,vars=", "F,vars", "F,vars=a,vars=b", "F,code=c", "F,", "bios,vars=v",
	};
	char dir[] = "/tmp/hvm-cli-XXXXXX", code[64], vars[64];
	struct hvm_firmware_config fw = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(hvm_parse_firmware(bad[i], &fw, &err) < 0);
		CHECK(!fw.given && !fw.path && !fw.vars);
	}
	CHECK_EQ(hvm_parse_firmware("a,,b_CODE.fd,vars=c,,d", &fw, &err), 0);
	CHECK_STR(fw.path, "a,b_CODE.fd");
	CHECK_STR(fw.vars, "c,d");
	CHECK(fw.given && !fw.vars_template);
	CHECK_EQ(hvm_parse_firmware("x", &fw, &err), -EINVAL);
	hvm_firmware_config_free(&fw);
	/* The template is the file beside it whose name says so. */
	CHECK(mkdtemp(dir));
	snprintf(code, sizeof(code), "%s/X_CODE_4M.fd", dir);
	snprintf(vars, sizeof(vars), "%s/X_VARS_4M.fd", dir);
	write_text(vars, "v");
	CHECK_EQ(hvm_parse_firmware(code, &fw, &err), 0);
	CHECK_STR(fw.vars_template ? fw.vars_template : "", vars);
	hvm_firmware_config_free(&fw);
	unlink(vars);
	rmdir(dir);
}

static void test_run_firmware(void)
{
	CHECK_EQ(RUN("--firmware", "F", "--disk", "d", "--cloud-init", "u,meta-data=m"), 0);
	CHECK_STR(cfg.firmware.path, "F");
	CHECK_STR(cfg.cloud_init.user_data, "u");
	CHECK_STR(cfg.cloud_init.meta_data, "m");
	CHECK(!cfg.cloud_init.network_config && !cfg.kernel);
	hvm_config_free(&cfg);
	CHECK_EQ(RUN("--firmware", "F", "--kernel", "K"), -EINVAL);
	CHECK(strstr(err.msg, "--kernel"));
	CHECK_EQ(RUN("--firmware", "F", "--append", "a"), -EINVAL);
	CHECK_EQ(RUN("--firmware", "F", "--firmware", "G"), -EINVAL);
	CHECK_EQ(RUN("--kernel", "K", "--cloud-init", ""), -EINVAL);
	CHECK_EQ(RUN("--kernel", "K", "--cloud-init", "u,x=y"), -EINVAL);
	CHECK_EQ(RUN("--kernel", "K", "--cloud-init", "u", "--cloud-init", "v"), -EINVAL);
}

/* ---- The image for cloud-init ---- */

static bool on_path(const char *program)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null 2>&1", program);
	return !system(cmd);
}

/* Does the file have this text anywhere? */
static bool image_has(const char *path, const char *text)
{
	static char buf[1 << 20];
	FILE *file = fopen(path, "r");
	size_t n = file ? fread(buf, 1, sizeof(buf), file) : 0;

	if (file)
		fclose(file);
	return memmem(buf, n, text, strlen(text));
}

static void test_cloud_init(void)
{
	char dir[] = "/tmp/hvm-cli-XXXXXX", user[64], fake[64];
	struct hvm_cloud_init_config c = { .user_data = user };
	char *image = NULL, *path = strdup(getenv("PATH"));

	CHECK(mkdtemp(dir));
	setenv("TMPDIR", dir, 1);
	snprintf(user, sizeof(user), "%s/u", dir);
	CHECK_EQ(hvm_cloud_init_create(&c, "web", &image, &err), -ENOENT);
	CHECK(strstr(err.msg, user));
	write_text(user, "#cloud-config\nfoo: bar\n");
	CHECK(on_path("xorriso") || on_path("genisoimage"));
	CHECK_EQ(hvm_cloud_init_create(&c, "web", &image, &err), 0);
	CHECK(image && image_has(image, "cidata") && image_has(image, "#cloud-config\nfoo: bar\n"));
	CHECK(image && image_has(image, "instance-id: web\nlocal-hostname: web\n"));
	CHECK(image && image_has(image, "user-data") && !image_has(image, "network-config"));
	if (image)
		unlink(image);
	free(image);
	c.meta_data = c.network_config = user;
	CHECK_EQ(hvm_cloud_init_create(&c, "web", &image, &err), 0);
	CHECK(image_has(image, "network-config") && !image_has(image, "instance-id"));
	unlink(image);
	free(image);
	/* A program that fails and says why; none; what is no file. */
	snprintf(fake, sizeof(fake), "%s/xorriso", dir);
	write_text(fake, "#!/bin/sh\necho the disk is full >&2\nexit 3\n");
	CHECK_EQ(chmod(fake, 0755), 0);
	setenv("PATH", dir, 1);
	CHECK_EQ(hvm_cloud_init_create(&c, "web", &image, &err), -EIO);
	CHECK(strstr(err.msg, "status 3: the disk is full"));
	unlink(fake);
	setenv("PATH", dir, 1);
	CHECK_EQ(hvm_cloud_init_create(&c, "web", &image, &err), -ENOENT);
	CHECK(strstr(err.msg, "xorriso"));
	setenv("PATH", path, 1);
	c.network_config = dir;
	CHECK_EQ(hvm_cloud_init_create(&c, "web", &image, &err), -EINVAL);
	unlink(user);
	CHECK_EQ(rmdir(dir), 0);	/* nothing is left behind */
	unsetenv("TMPDIR");
	free(path);
}

static void test_commands(void)
{
	for (unsigned int i = 0; hvm_commands[i]; i++) {
		const struct hvm_command *c = hvm_commands[i];

		CHECK(hvm_command_find(c->name) == c);
		CHECK(strstr(c->usage, c->name) && c->usage[strlen(c->usage) - 1] == '\n');
	}
	CHECK(!hvm_command_find("nothing") && !hvm_command_find(""));
}

int main(void)
{
	TEST_RUN(test_mem);
	TEST_RUN(test_cpus);
	TEST_RUN(test_disk);
	TEST_RUN(test_disk_options);
	TEST_RUN(test_net);
	TEST_RUN(test_port);
	TEST_RUN(test_vsock);
	TEST_RUN(test_chardev);
	TEST_RUN(test_names);
	TEST_RUN(test_run_defaults);
	TEST_RUN(test_run_all);
	TEST_RUN(test_run_console);
	TEST_RUN(test_run_bad);
	TEST_RUN(test_run_too_many_disks);
	TEST_RUN(test_firmware);
	TEST_RUN(test_run_firmware);
	TEST_RUN(test_cloud_init);
	TEST_RUN(test_commands);
	return TEST_EXIT();
}
