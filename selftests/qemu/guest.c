// SPDX-License-Identifier: GPL-2.0-or-later
/* The first process of the guest: modes, and small things for all of them. See guest.h. */
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define PLUG_SECONDS	60	/* how long to wait for a plugged device */

static int console = 1;

void say(const char *fmt, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char line[16384];
	va_list ap;
	size_t n;

	pthread_mutex_lock(&lock);
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	for (size_t done = 0; done < n;) {
		ssize_t r = write(console, line + done, n - done);

		if (r <= 0)
			break;
		done += r;
	}
	pthread_mutex_unlock(&lock);
}

const char *first_line(const char *path)
{
	static char text[16384];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

uint64_t clock_ns(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* The word of the kernel command line that begins with @name. */
static const char *option(const char *name)
{
	static char cmdline[4096];
	char *word;

	snprintf(cmdline, sizeof(cmdline), "%s", first_line("/proc/cmdline"));
	for (word = strtok(cmdline, " "); word; word = strtok(NULL, " ")) {
		if (!strncmp(word, name, strlen(name)))
			return word + strlen(name);
	}
	return "";
}

/* Take into use what @pattern finds: processors and memory blocks have files of this kind. */
static void set_online(const char *pattern, const char *value)
{
	glob_t found;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_WRONLY);

		if (fd < 0)
			continue;
		/* One that is in use already says so. */
		if (write(fd, value, strlen(value)) < 0)
			continue;
		close(fd);
	}
	globfree(&found);
}

static unsigned long memory_mib(void)
{
	struct sysinfo si;

	sysinfo(&si);
	return si.totalram * si.mem_unit >> 20;
}

/* Wait for a processor or for memory to be plugged, and use it. */
static void wait_for_plug(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned long mem = memory_mib();

	say("WAITING cpus %ld", cpus);
	for (int i = 0; i < PLUG_SECONDS * 10; i++) {
		set_online("/sys/devices/system/cpu/cpu[1-9]*/online", "1");
		set_online("/sys/devices/system/memory/memory*/state", "online");
		if (sysconf(_SC_NPROCESSORS_ONLN) > cpus || memory_mib() > mem + 32) {
			say("PLUGGED cpus +%ld memory +%lu MiB", sysconf(_SC_NPROCESSORS_ONLN) - cpus,
			    (memory_mib() - mem + 8) / 16 * 16);
			return;
		}
		usleep(100000);
	}
	say("BAD nothing was plugged");
}

/* For the debugger: where some things of the kernel are. Then call one of them for ever. */
static void debug_loop(void)
{
	static const char * const want[] = { "__x64_sys_clock_nanosleep", "hrtimer_nanosleep", "jiffies" };
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512], name[256], type;
	unsigned long addr;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %c %255s", &addr, &type, name) != 3)
			continue;
		for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
			if (!strcmp(name, want[i]))
				say("SYMBOL %s 0x%lx", name, addr);
		}
	}
	if (f)
		fclose(f);
	say("LOOPING");
	for (unsigned long n = 1;; n++) {
		usleep(1000);
		if (n % 256 == 0)
			say("LOOP %lu", n);
	}
}

int main(void)
{
	const char *mode;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	console = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
	mode = option("hv.mode=");
	say("GUEST-START %s", mode);
	if (!strcmp(mode, "busy"))
		busy();
	if (!strcmp(mode, "debug"))
		debug_loop();
	if (!strcmp(mode, "plug"))
		wait_for_plug();
	report_facts();
	say("GUEST-READY");
	usleep(100000);
	sync();
	reboot(RB_AUTOBOOT);
	return 1;
}
