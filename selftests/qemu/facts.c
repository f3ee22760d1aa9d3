// SPDX-License-Identifier: GPL-2.0-or-later
/* What the guest sees of its machine. All of it must be the same under KVM and under hv. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define KLOG_READ_ALL	3
#define KLOG_ERROR	3	/* <0> to <3> are errors */

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	asm volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(sub));
}

static void cpuid_leaf(uint32_t leaf, uint32_t sub)
{
	uint32_t a, b, c, d;

	cpuid(leaf, sub, &a, &b, &c, &d);
	if (a | b | c | d)
		say("FACT cpuid.%08x.%02x %08x %08x %08x %08x", leaf, sub, a, b, c, d);
}

static void cpuid_range(uint32_t base, uint32_t limit)
{
	uint32_t max, b, c, d;

	cpuid(base, 0, &max, &b, &c, &d);
	if (max < base || max > base + limit)
		max = base;
	for (uint32_t leaf = base; leaf <= max; leaf++) {
		/* Leaves that have indexes. */
		bool indexed = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd ||
			leaf == 0x12 || leaf == 0x14 || leaf == 0x17 || leaf == 0x18 ||
			leaf == 0x1d || leaf == 0x1f || leaf == 0x8000001d ||
			leaf == 0x80000020 || leaf == 0x80000026;

		for (uint32_t sub = 0; sub < (indexed ? 20 : 1); sub++)
			cpuid_leaf(leaf, sub);
	}
}

static void cpuid_facts(void)
{
	uint32_t max, b, c, d;

	cpuid_range(0, 0x40);
	cpuid_range(0x80000000, 0x40);
	for (uint32_t base = 0x40000000; base <= 0x40000100; base += 0x100) {
		cpuid(base, 0, &max, &b, &c, &d);
		if (max >= base && max < base + 0x20)
			cpuid_range(base, 0x20);
	}
}

/* Lines of /proc/cpuinfo that name something, once each for the first processor. */
static void cpuinfo_facts(void)
{
	static const char * const want[] = { "vendor_id", "cpu family", "model", "stepping", "model name",
		"siblings", "cpu cores", "flags", "bugs", "address sizes", "TLB size", "clflush size" };
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[8192];

	while (f && fgets(line, sizeof(line), f) && line[0] != '\n') {
		char *colon = strchr(line, ':');
		size_t n = colon ? strcspn(line, "\t:") : 0;

		if (!colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
			if (strlen(want[i]) == n && !strncmp(line, want[i], n))
				say("FACT %s %s", want[i], colon[1] ? colon + 2 : "");
		}
	}
	if (f)
		fclose(f);
}

static void topology_facts(void)
{
	static const char * const files[] = { "physical_package_id", "die_id", "core_id", "thread_siblings_list" };
	char path[128], text[256];

	for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		size_t n = 0;

		for (int i = 0; i < 4; i++) {
			snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/topology/%s", cpu, files[i]);
			n += snprintf(text + n, sizeof(text) - n, " %s", first_line(path));
		}
		say("FACT topology.%ld%s", cpu, text);
	}
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
		snprintf(text, sizeof(text), "%s", first_line(path));
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cache/index%d/shared_cpu_list", i);
		if (text[0])
			say("FACT cache.%d %s shared by %s", i, text, first_line(path));
	}
}

/* What the boot loader or the kernel's EFI stub found out: struct boot_params, secure_boot. */
static void secure_boot_facts(void)
{
	static const char * const state[] = { "unset", "unknown", "disabled", "enabled" };
	int fd = open("/sys/kernel/boot_params/data", O_RDONLY);
	uint8_t value;

	if (fd < 0)
		return;
	if (pread(fd, &value, 1, 0x1ec) == 1 && value < sizeof(state) / sizeof(state[0]))
		say("FACT secure-boot %s", state[value]);
	close(fd);
}

/* What the kernel called an error, without the time. */
static void kernel_facts(void)
{
	static char log[1 << 18];
	int n = klogctl(KLOG_READ_ALL, log, sizeof(log) - 1);

	log[n > 0 ? n : 0] = '\0';
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		char *text = strstr(line, "] ");

		if (line[0] == '<' && line[1] <= '0' + KLOG_ERROR && line[2] == '>')
			say("FACT error %s", text ? text + 2 : line);
	}
}

/* How long the shortest of some naps was: the machine may stand still in one. */
static void time_facts(void)
{
	static const struct timespec nap = { .tv_nsec = 50 * 1000000 };
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t start = clock_ns(CLOCK_MONOTONIC), ns;

		nanosleep(&nap, NULL);
		ns = clock_ns(CLOCK_MONOTONIC) - start;
		shortest = ns < shortest ? ns : shortest;
	}
	if (shortest >= 50 * 1000000 && shortest < 1000 * 1000000)
		say("FACT sleep good");
	else
		say("BAD the shortest sleep of 50 ms took %llu us", (unsigned long long)shortest / 1000);
	say("DATE %llu", (unsigned long long)clock_ns(CLOCK_REALTIME) / 1000000000);
}

void report_facts(void)
{
	struct sysinfo si;
	cpu_set_t first;

	/* CPUID says which processor one is on. */
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	sysinfo(&si);
	say("FACT cpus %ld of %ld", sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_CONF));
	say("FACT possible %s", first_line("/sys/devices/system/cpu/possible"));
	say("FACT memory %lu MiB", (si.totalram * si.mem_unit >> 20) / 16 * 16);
	say("FACT clocksource %s", first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
	say("FACT clocksources %s", first_line("/sys/devices/system/clocksource/clocksource0/available_clocksource"));
	say("FACT clockevent %s", first_line("/sys/devices/system/clockevents/clockevent0/current_device"));
	say("FACT firmware %s", first_line("/sys/class/dmi/id/bios_vendor"));
	say("FACT product %s", first_line("/sys/class/dmi/id/product_version"));
	say("FACT microcode %s", first_line("/sys/devices/system/cpu/cpu0/microcode/version"));
	secure_boot_facts();
	cpuinfo_facts();
	topology_facts();
	cpuid_facts();
	kernel_facts();
	time_facts();
}
