// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manual page and bash's completion know what --help knows: every command and every option of
 * it, and no others. Progress lines of long work, too.
 */
#include <errno.h>
#include <stdlib.h>

#include "../../vmm-user/cli/cli.h"
#include "../../vmm-user/cli/progress.h"
#include "../../vmm-user/cli/prometheus.h"
#include "unit_test.h"

#define MAN		"Documentation/hvm.1.rst"
#define COMPLETION	"scripts/install/hvm.bash-completion"

static char *read_file(const char *path)
{
	char *text = calloc(1, 1 << 18);
	FILE *f = fopen(path, "re");

	CHECK(f);
	if (f) {
		CHECK(fread(text, 1, (1 << 18) - 1, f) > 0);
		fclose(f);
	}
	return text;
}

/* The next "--option" of a text, which begins a word; NULL: there is none. */
static const char *next_option(const char *text, char name[32])
{
	const char *p = text;

	while ((p = strstr(p, "--"))) {
		size_t len = strspn(p + 2, "abcdefghijklmnopqrstuvwxyz-");

		if (len && len < 29 && (p == text || strchr(" \n[|(\"*", p[-1]))) {
			snprintf(name, 32, "--%.*s", (int)len, p + 2);
			return p + 2 + len;
		}
		p += 2;
	}
	return NULL;
}

static bool has_option(const char *text, const char *option)
{
	char name[32];

	while ((text = next_option(text, name)))
		if (!strcmp(name, option))
			return true;
	return false;
}

/* ---- The manual page ---- */

/* The part under a title that names the command, to the next title; allocated, NULL: none. */
static char *man_section(const char *man, const char *command)
{
	const char *line = man, *start = NULL, *end;
	char title[64];

	snprintf(title, sizeof(title), "hvm %s", command);
	for (; (end = strchr(line, '\n')); line = end + 1) {
		bool is_title = !strncmp(end + 1, "====", 4) && end != line;

		if (!is_title)
			continue;
		if (start)
			return strndup(start, (size_t)(line - start));
		for (const char *p = line; p < end; p++)
			if (!strncmp(p, title, strlen(title)) && strchr(",\n", p[strlen(title)]))
				start = end + 1;
	}
	return NULL;
}

static void check_man(const char *man, const struct hvm_command *cmd)
{
	char *section = man_section(man, cmd->name), synopsis[64], option[32], bold[40];
	const char *p = cmd->usage;

	snprintf(synopsis, sizeof(synopsis), "| **hvm %s**", cmd->name);
	if (!strstr(man, synopsis) || !section) {
		printf("# %s: no synopsis or no section in the manual page\n", cmd->name);
		CHECK(false);
		free(section);
		return;
	}
	while ((p = next_option(p, option))) {
		snprintf(bold, sizeof(bold), "**%s", option);
		/* --help is described once for all. */
		if (!strcmp(option, "--help") || strstr(section, bold))
			continue;
		printf("# %s: the manual page does not have %s\n", cmd->name, option);
		CHECK(false);
	}
	free(section);
}

static void test_man(void)
{
	char *man = read_file(MAN);

	for (unsigned int i = 0; hvm_commands[i]; i++)
		if (strcmp(hvm_commands[i]->name, "help"))
			check_man(man, hvm_commands[i]);
	CHECK(strstr(man, "EXIT STATUS"));
	CHECK(strstr(man, "**--help**"));
	free(man);
}

static void test_usage(void)
{
	for (unsigned int i = 0; hvm_commands[i]; i++) {
		const struct hvm_command *cmd = hvm_commands[i];
		char want[64];

		snprintf(want, sizeof(want), "Usage: hvm %s", cmd->name);
		CHECK(!strncmp(cmd->usage, want, strlen(want)));
		CHECK(hvm_command_find(cmd->name) == cmd);
		if (strcmp(cmd->name, "help"))
			CHECK(strstr(cmd->usage, "xit status"));
	}
}

/* ---- Completion ---- */

/* What bash offers for the last of these words, space between; the rest of the line is free. */
static void complete(const char *setup, const char *words, char *out, size_t len)
{
	char command[512];
	FILE *f;
	size_t n;

	snprintf(command, sizeof(command), "bash -c '. %s; %s COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
		 "_hvm; echo \" ${COMPREPLY[*]} \"'", COMPLETION, setup, words);
	f = popen(command, "re");
	CHECK(f);
	n = f ? fread(out, 1, len - 1, f) : 0;
	out[n] = '\0';
	if (f)
		CHECK_EQ(pclose(f), 0);
}

static void test_completion_options(void)
{
	char offered[1024], words[64], option[32], word[40];

	for (unsigned int i = 0; hvm_commands[i]; i++) {
		const struct hvm_command *cmd = hvm_commands[i];
		const char *p = cmd->usage;

		if (!strcmp(cmd->name, "help"))
			continue;
		snprintf(words, sizeof(words), "hvm %s g --", cmd->name);
		complete("", words, offered, sizeof(offered));
		while ((p = next_option(p, option))) {
			snprintf(word, sizeof(word), " %s ", option);
			if (strstr(offered, word))
				continue;
			/* Another command's, in the text. */
			if (!strcmp(option, "--no-reboot") || !strcmp(cmd->name, "balloon") ||
			    !strcmp(cmd->name, "console"))
				continue;
			printf("# %s: no completion of %s\n", cmd->name, option);
			CHECK(false);
		}
		for (p = offered; (p = next_option(p, option));)
			CHECK(has_option(cmd->usage, option));
	}
}

static void test_completion(void)
{
	char dir[] = "/tmp/hvm-test-XXXXXX", out[1024], setup[128], path[128], word[64];

	complete("", "hvm \"\"", out, sizeof(out));
	for (unsigned int i = 0; hvm_commands[i]; i++) {
		snprintf(word, sizeof(word), " %s ", hvm_commands[i]->name);
		CHECK(strstr(out, word));
	}
	complete("", "hvm re", out, sizeof(out));
	CHECK_STR(out, " reset resume restore \n");
	complete("", "hvm run --serial p", out, sizeof(out));
	CHECK_STR(out, " pty \n");
	complete("", "hvm run --mem 5", out, sizeof(out));
	CHECK_STR(out, "  \n");
	complete("", "hvm nonsense --", out, sizeof(out));
	CHECK_STR(out, "  \n");
	/* Guests. */
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "mkdir %s/hvm; touch %s/hvm/web.lock", dir, dir);
	CHECK_EQ(system(path), 0);
	snprintf(setup, sizeof(setup), "XDG_RUNTIME_DIR=%s;", dir);
	complete(setup, "hvm stop \"\"", out, sizeof(out));
	CHECK_STR(out, " web \n");
	snprintf(path, sizeof(path), "rm -r %s", dir);
	CHECK_EQ(system(path), 0);
	complete(setup, "hvm stop \"\"", out, sizeof(out));
	CHECK_STR(out, "  \n");
}

/* ---- Progress ---- */

static void test_progress(void)
{
	char line[256];

	hvm_progress_line(line, sizeof(line), "saving", 1 << 30, 4ULL << 30, 2000, 79);
	CHECK(strstr(line, "saving [##########"));
	CHECK(strstr(line, "]  25 % 1.0 GiB 512 MiB/s 0:06"));
	hvm_progress_line(line, sizeof(line), "saving", 5, 4, 1000, 79);
	CHECK(strstr(line, "100 %"));
	hvm_progress_line(line, sizeof(line), "saving", 0, 100, 0, 79);
	CHECK(strstr(line, "  0 % 0 B 0 B/s -:--"));
	hvm_progress_line(line, sizeof(line), "saving", 1, UINT64_MAX, 1000, 79);
	CHECK(strstr(line, " -:--"));
	hvm_progress_line(line, sizeof(line), "x", UINT64_MAX, UINT64_MAX, 3600000, 79);
	CHECK(strstr(line, "100 % 16 EiB"));
	hvm_progress_line(line, sizeof(line), "saving", 3 << 20, 0, 61000, 79);
	CHECK_STR(line, "saving 3.0 MiB 50 KiB/s 1:01");
	/* Never wider than the terminal. */
	for (unsigned int columns = 1; columns < 200; columns++) {
		hvm_progress_line(line, sizeof(line), "saving a guest", 1 << 20, 1 << 21, 5, columns);
		CHECK(strlen(line) <= columns);
	}
}

/* ---- Prometheus ---- */

static char *prometheus(const char *guest, const char *info, const char *stats)
{
	struct hvm_prometheus p = { 0 };
	json_t *i = info ? json_loads(info, 0, NULL) : NULL;
	json_t *s = stats ? json_loads(stats, 0, NULL) : NULL;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	hvm_prometheus_add(&p, guest, i, s);
	hvm_prometheus_add(&p, "other", NULL, NULL);
	CHECK_EQ(hvm_prometheus_print(&p, f), 0);
	fclose(f);
	hvm_prometheus_free(&p);
	json_decref(i);
	json_decref(s);
	return text;
}

static void test_prometheus(void)
{
	char *text = prometheus("g", "{\"version\": \"1\\\"\\n\\\\\", \"status\": \"running\", \"cpus\": 2, "
		"\"mem\": 1024, \"uptime-ms\": 1500}", "{\"process\": {\"cpu-ns\": 2500000000, "
		"\"threads\": 4}, \"vm\": {\"a b-c\": 7, \"text\": \"x\"}, \"vcpus\": [{\"id\": \"0\", "
		"\"stats\": {\"exits\": 1}}, {\"id\": \"1\", \"stats\": {\"exits\": 2}}, {}, 5], \"devices\": "
		"[{\"id\": \"blk0\", \"stats\": {\"reads\": 3}}]}");

	CHECK(strstr(text, "# HELP hvm_up Whether the guest answers.\n# TYPE hvm_up gauge\n"
		     "hvm_up{name=\"g\"} 1\nhvm_up{name=\"other\"} 0\n"));
	CHECK(strstr(text, "hvm_info{name=\"g\",version=\"1\\\"\\n\\\\\"} 1\n"));
	CHECK(strstr(text, "# TYPE hvm_vm_a_b_c untyped\nhvm_vm_a_b_c{name=\"g\"} 7\n"));
	CHECK(!strstr(text, "hvm_vm_text"));
	CHECK(strstr(text, "hvm_vcpu_exits{name=\"g\",vcpu=\"0\"} 1\nhvm_vcpu_exits{name=\"g\","
		     "vcpu=\"1\"} 2\n"));
	CHECK(strstr(text, "hvm_device_reads{name=\"g\",device=\"blk0\"} 3\n"));
	CHECK(strstr(text, "hvm_process_cpu_seconds_total{name=\"g\"} 2.5\n"));
	CHECK(strstr(text, "hvm_uptime_seconds{name=\"g\"} 1.5\n"));
	free(text);
	/* Nonsense from a guest is no metric. */
	text = prometheus("g", "{}", "{\"process\": 1, \"vm\": [], \"vcpus\": {}, \"devices\": null}");
	CHECK(strstr(text, "hvm_running{name=\"g\"} 0\n"));
	free(text);
}

/* ---- --gdb ---- */

static void check_gdb(const char *s, const char *host, const char *port, const char *socket)
{
	struct hvm_gdb_config gdb = { 0 };
	struct hv_err err = { 0 };
	int ret = hvm_parse_gdb(s, &gdb, &err);

	CHECK_EQ(ret, host || socket ? 0 : -EINVAL);
	if (ret)
		CHECK(strstr(err.msg, "--gdb"));
	else if (socket)
		CHECK_STR(gdb.socket, socket);
	else {
		CHECK_STR(gdb.host, host);
		CHECK_STR(gdb.port, port);
	}
	hvm_gdb_config_free(&gdb);
}

static void test_gdb_option(void)
{
	check_gdb(":1234", "127.0.0.1", "1234", NULL);
	check_gdb("tcp:127.0.0.1:1,wait", "127.0.0.1", "1", NULL);
	check_gdb("localhost:65535", "127.0.0.1", "65535", NULL);
	check_gdb("[::1]:1234", "::1", "1234", NULL);
	check_gdb("0.0.0.0:1234,remote", "0.0.0.0", "1234", NULL);
	check_gdb("unix:/a,,b", NULL, NULL, "/a,b");
	check_gdb("0.0.0.0:1234", NULL, NULL, NULL);
	check_gdb("[::]:1234", NULL, NULL, NULL);
	check_gdb("::1:1234", NULL, NULL, NULL);
	check_gdb("example.org:1234", NULL, NULL, NULL);
	check_gdb("1234", NULL, NULL, NULL);
	check_gdb("127.0.0.1:0", NULL, NULL, NULL);
	check_gdb("127.0.0.1:65536", NULL, NULL, NULL);
	check_gdb(":1234,nowait", NULL, NULL, NULL);
	check_gdb(":1234,", NULL, NULL, NULL);
	check_gdb("unix:", NULL, NULL, NULL);
	check_gdb("", NULL, NULL, NULL);
}

int main(void)
{
	TEST_RUN(test_man);
	TEST_RUN(test_usage);
	TEST_RUN(test_completion_options);
	TEST_RUN(test_completion);
	TEST_RUN(test_progress);
	TEST_RUN(test_prometheus);
	TEST_RUN(test_gdb_option);
	return TEST_EXIT();
}
