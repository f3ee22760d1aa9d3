// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz: run random programs on a hypervisor's device until time is up.
 *
 * Each program runs in a process of its own, which has little memory and few files and is killed
 * when it takes too long; one that cannot be killed is a failure. What the kernel has to say about
 * it all is for the caller to look at. Each program is written to the kernel's log before it runs,
 * so that the last one can be run again with --replay after a crash.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define CORPUS          4096
#define PROGRAM_SECONDS 20 /* a program that takes longer is killed */
#define KILLED_SECONDS  60 /* a killed one that takes longer to end hangs in the kernel */
#define CGROUP          "/sys/fs/cgroup"
#define MEMORY_MAX      "300M"

const char *fuzz_device = "/dev/hv";

static struct {
	uint64_t seed;
	long seconds, rounds;
	bool coverage;
	const char *replay;
} opt = {.seconds = 60, .coverage = true};

static struct program corpus[CORPUS];
static unsigned int corpus_size;
static uint8_t *coverage; /* of the program that runs, shared with it */
static uint8_t seen[COVERAGE_SIZE];
static unsigned int nr_seen;
static int kmsg = -1;

static void usage(FILE *to)
{
	fprintf(to,
	        "usage: fuzz [--device PATH] [--seed N] [--seconds N] [--rounds N] "
	        "[--no-coverage]\n"
	        "            [--replay PROGRAM]\n"
	        "--seed     the programs follow from it; with --no-coverage from it alone\n"
	        "--rounds   stop after so many programs (0: when --seconds, default 60, are over)\n"
	        "--replay   run one program, as the kernel's log shows it\n");
}

/* ---- limits -------------------------------------------------------------------------------- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* What the module allocates for its callers is charged to them: a cgroup bounds it. */
static void limit_memory(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(CGROUP "/cgroup.subtree_control", "+memory");
	mkdir(CGROUP "/fuzz", 0755);
	if (!write_file(CGROUP "/fuzz/memory.max", MEMORY_MAX) ||
	    !write_file(CGROUP "/fuzz/cgroup.procs", pid)) {
		perror("a cgroup with a memory limit, " CGROUP "/fuzz");
		exit(2);
	}
}

static void limit_process(void)
{
	const struct rlimit files = {128, 128}, core = {0, 0}, processes = {200, 200};

	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_NPROC, &processes);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* If memory runs out, this one goes first. */
	write_file("/proc/self/oom_score_adj", "1000");
}

/* ---- programs as text ---------------------------------------------------------------------- */

static void program_print(const struct program *p, char *to)
{
	uint32_t i;

	for (i = 0; i < p->count; i++)
		to += sprintf(to, "%02x%u%08x", p->call[i].op, p->call[i].thread, p->call[i].seed);
}

static bool program_parse(struct program *p, const char *text)
{
	unsigned int op, thread, seed;

	for (p->count = 0; *text && p->count < FUZZ_CALLS; text += 11) {
		if (sscanf(text, "%2x%1u%8x", &op, &thread, &seed) != 3 || strlen(text) < 11)
			return false;
		p->call[p->count++] = (struct call){(uint8_t)op, (uint8_t)thread, seed};
	}
	return !*text && p->count;
}

static void log_program(const struct program *p)
{
	char text[64 + FUZZ_CALLS * 11];
	int n = sprintf(text, "fuzz: ");

	program_print(p, text + n);
	if (kmsg >= 0 && write(kmsg, text, strlen(text)) < 0)
		perror("/dev/kmsg");
}

/* ---- one program --------------------------------------------------------------------------- */

/*
 * Wait up to @seconds for the child to end. They are counted in naps: time in which the machine
 * that emulates this host stood still is not the child's.
 */
static bool wait_child(pid_t pid, int seconds)
{
	const struct timespec nap = {.tv_nsec = 5 * 1000 * 1000};
	int naps = seconds * 200, status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (naps-- == 0)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

/* False: it hangs in the kernel. */
static bool run_program(const struct program *p)
{
	pid_t pid;

	log_program(p);
	memset(coverage, 0, COVERAGE_SIZE);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		limit_process();
		program_run(p, opt.coverage ? coverage : NULL);
		_exit(0);
	}
	if (wait_child(pid, PROGRAM_SECONDS))
		return true;
	kill(pid, SIGKILL);
	if (wait_child(pid, KILLED_SECONDS))
		return true;
	write_file("/proc/sysrq-trigger", "w");
	return false;
}

/* Is there code in @coverage that no program reached before? */
static bool new_coverage(void)
{
	unsigned int i, before = nr_seen;

	for (i = 0; i < COVERAGE_SIZE; i++) {
		if (coverage[i] && !seen[i]) {
			seen[i] = 1;
			nr_seen++;
		}
	}
	return nr_seen != before;
}

static void next_program(struct program *p, struct rng *r)
{
	if (!corpus_size || rng_one_in(r, 4)) {
		program_random(p, r);
		return;
	}
	/* The newest ones have been varied least. */
	*p = corpus[rng_one_in(r, 2)
	                    ? corpus_size - 1 - rng_below(r, corpus_size < 32 ? corpus_size : 32)
	                    : rng_below(r, corpus_size)];
	program_mutate(p, &corpus[rng_below(r, corpus_size)], r);
}

static bool fuzz(void)
{
	struct rng r = {.state = opt.seed};
	time_t begin = time(NULL), said = begin, now;
	struct program p;
	long rounds;
	char text[FUZZ_CALLS * 11 + 1];

	for (rounds = 0; !opt.rounds || rounds < opt.rounds; rounds++) {
		now = time(NULL);
		if (!opt.rounds && now - begin >= opt.seconds)
			break;
		if (now - said >= 10) {
			said = now;
			printf("# %ld s: %ld programs, %u kept, %u places of the module reached\n",
			       (long)(now - begin), rounds, corpus_size, nr_seen);
		}
		next_program(&p, &r);
		if (!run_program(&p)) {
			program_print(&p, text);
			printf("not ok hang\n# round %ld: --replay %s\n", rounds, text);
			return false;
		}
		if (new_coverage() && corpus_size < CORPUS)
			corpus[corpus_size++] = p;
	}
	printf("# %ld programs, %u kept, %u places of the module reached\n", rounds, corpus_size,
	       nr_seen);
	printf("ok no_hang\n");
	/* An instrumented module of which nothing was seen was not tested. */
	if (opt.coverage && nr_seen < 100) {
		printf("not ok coverage\n");
		return false;
	}
	return true;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"device", required_argument, NULL, 'd'},  {"seed", required_argument, NULL, 's'},
		{"seconds", required_argument, NULL, 't'}, {"rounds", required_argument, NULL, 'n'},
		{"replay", required_argument, NULL, 'r'},  {"no-coverage", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},          {0},
	};
	int o;

	opt.seed = (uint64_t)time(NULL);
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'd':
			fuzz_device = optarg;
			break;
		case 's':
			opt.seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			opt.seconds = atol(optarg);
			break;
		case 'n':
			opt.rounds = atol(optarg);
			break;
		case 'r':
			opt.replay = optarg;
			break;
		case 'c':
			opt.coverage = false;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc) {
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct program p;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	if (access(fuzz_device, R_OK | W_OK) != 0) {
		perror(fuzz_device);
		return 2;
	}
	opt.coverage = opt.coverage && kcov_available();
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	coverage = mmap(NULL, COVERAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	                0);
	if (coverage == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	limit_memory();
	if (opt.replay) {
		if (!program_parse(&p, opt.replay)) {
			fprintf(stderr, "--replay: not a program\n");
			return 2;
		}
		printf("%s\n", run_program(&p) ? "ok no_hang" : "not ok hang");
		return 0;
	}
	printf("# --seed %llu%s\n", (unsigned long long)opt.seed,
	       opt.coverage ? "" : ", without coverage");
	return !fuzz();
}
