// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is in flight, found again after a crash at every machine instruction: a process works on a
 * queue and is traced step by step; after each step, what it left in shared memory is what a
 * crash would leave.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../virtio-backends/virtq_track.h"
#include "unit_test.h"
#include "virtio_driver.h"

#define SIZE	16
#define REQUESTS 6

/* What both processes see. */
struct shared {
	uint8_t ram[0x10000];
	uint8_t track[4096] __attribute__((aligned(64)));
	uint32_t executed[SIZE];	/* how often each head's work was done */
	uint32_t go;			/* the traced part has begun */
	uint32_t end;
};

static struct shared *sh, *before;
static struct virtio_dev toy;
static struct guest_mem mem;

#define DESC	0x1000
#define AVAIL	0x2000
#define USED	0x3000

static void no_interrupt(void *host, unsigned int queue)
{
}

static const struct virtio_host_ops host_ops = {
	.queue_interrupt = no_interrupt,
};
static const struct virtio_dev_ops dev_ops = { .name = "toy" };

static struct virtq *set_up_queue(struct shared *s)
{
	struct virtq *vq = &toy.vqs[0];

	mem = (struct guest_mem){
		.nr = 1, .region = { { .size = sizeof(s->ram), .hva = s->ram } },
	};
	virtq_reset(vq);
	vq->size = SIZE;
	vq->desc_gpa = DESC;
	vq->avail_gpa = AVAIL;
	vq->used_gpa = USED;
	vq->used_idx = ((struct vring_used *)(s->ram + USED))->idx;
	CHECK(virtq_set_track(vq, (void *)s->track, SIZE, vq->used_idx) == 0);
	CHECK_EQ(virtq_start(vq, false, true), 0);
	return vq;
}

static void set_up(void)
{
	struct vring_desc *d = (void *)(sh->ram + DESC);
	struct vring_avail *a = (void *)(sh->ram + AVAIL);
	struct hv_err err;

	memset(sh, 0, sizeof(*sh));
	memset(&toy, 0, sizeof(toy));
	CHECK_EQ(virtio_dev_init(&toy, &dev_ops, "toy", 0, 1, SIZE, &err), 0);
	virtio_dev_attach(&toy, &mem, &host_ops, NULL);
	/* Heads in no order that counters could be mistaken for. */
	for (uint16_t i = 0; i < REQUESTS; i++) {
		uint16_t head = (uint16_t)((i * 5 + 3) % SIZE);

		d[head] = (struct vring_desc){ .addr = 0x8000, .len = 16 };
		a->ring[i] = head;
	}
	a->idx = REQUESTS;
}

static void tear_down(void)
{
	virtio_dev_fini(&toy);
}

/* The traced work: batches, chains given back out of order, one given back unused. */
__attribute__((noinline)) static void work(struct virtq *vq)
{
	struct virtq_chain c;
	uint16_t head[REQUESTS];

	for (unsigned int i = 0; i < 4; i++) {
		if (virtq_pop(vq, &c) != 1)
			_exit(1);
		head[i] = c.head;
		__atomic_fetch_add(&sh->executed[c.head], 1, __ATOMIC_SEQ_CST);
	}
	virtq_push(vq, head[2], 0);
	virtq_push(vq, head[0], 0);
	virtq_flush(vq);
	if (virtq_pop(vq, &c) != 1)
		_exit(1);
	virtq_unpop(vq);
	virtq_push(vq, head[3], 0);
	virtq_flush(vq);
	for (unsigned int i = 4; i < REQUESTS; i++) {
		if (virtq_pop(vq, &c) != 1)
			_exit(1);
		head[i] = c.head;
		__atomic_fetch_add(&sh->executed[c.head], 1, __ATOMIC_SEQ_CST);
	}
	virtq_push(vq, head[5], 0);
	virtq_push(vq, head[1], 0);
	virtq_push(vq, head[4], 0);
	virtq_flush(vq);
}

/*
 * A crash now: who comes after must do each request once that the driver does not know to be
 * done.
 */
static bool recovers(struct shared *s)
{
	const struct vring_avail *a = (const void *)(s->ram + AVAIL);
	const struct vring_used *u = (const void *)(s->ram + USED);
	unsigned int done[SIZE] = { 0 };
	uint16_t heads[SIZE], taken;
	uint64_t counter;
	int n = virtq_track_recover((void *)s->track, SIZE, SIZE, u->idx, heads, &counter);

	if (n < 0 || u->idx > REQUESTS)
		return false;
	taken = (uint16_t)(u->idx + n);
	if (taken > REQUESTS)
		return false;
	for (unsigned int i = 0; i < u->idx; i++) {
		done[u->ring[i].id]++;
		/* Told to be done, so it was. */
		if (!s->executed[u->ring[i].id])
			return false;
	}
	for (int i = 0; i < n; i++)
		done[heads[i]]++;
	for (unsigned int i = taken; i < REQUESTS; i++) {
		done[a->ring[i]]++;
		/* Never taken, so never begun. */
		if (s->executed[a->ring[i]])
			return false;
	}
	for (unsigned int i = 0; i < REQUESTS; i++)
		if (done[a->ring[i]] != 1)
			return false;
	return true;
}

static void child(void)
{
	struct virtq *vq = set_up_queue(sh);

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	work(vq);
	__atomic_store_n(&sh->end, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

static void every_instruction(void)
{
	unsigned int steps = 0, distinct = 0;
	struct shared *copy = malloc(sizeof(*copy));
	uint8_t *seen = calloc(1, sizeof(sh->track));
	int status;
	pid_t pid;

	set_up();
	pid = fork();
	if (!pid)
		child();
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status));
	while (!__atomic_load_n(&sh->end, __ATOMIC_SEQ_CST) && test_failures == 0) {
		/* What a test of the same state would say is known. */
		if (memcmp(seen, sh->track, sizeof(sh->track)) || memcmp(before, sh, sizeof(*sh))) {
			memcpy(seen, sh->track, sizeof(sh->track));
			memcpy(before, sh, sizeof(*sh));
			memcpy(copy, sh, sizeof(*sh));
			CHECK(recovers(copy));
			distinct++;
		}
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
			CHECK(!"the process can be traced");
			break;
		}
		steps++;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	printf("# %u steps, %u states\n", steps, distinct);
	CHECK(steps > 500 && distinct > 40);
	free(seen);
	free(copy);
	tear_down();
}

/* ---- Taking it up ---- */

static void takes_up_in_order(void)
{
	struct virtq_chain c;
	struct virtq *vq;
	uint16_t head[3];

	set_up();
	vq = set_up_queue(sh);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_EQ(virtq_pop(vq, &c), 1);
		head[i] = c.head;
	}
	virtq_push(vq, head[1], 0);
	virtq_flush(vq);
	/* Another process. */
	vq = set_up_queue(sh);
	CHECK_EQ(vq->last_avail, 3);
	CHECK(virtq_enable_kicks(vq));
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.head, head[0]);
	/* Given back, it comes again. */
	virtq_unpop(vq);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.head, head[0]);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.head, head[2]);
	/* Then what nobody had taken; back over the edge, and again. */
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.head, ((struct vring_avail *)(sh->ram + AVAIL))->ring[3]);
	virtq_unpop(vq);
	virtq_unpop(vq);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(c.head, head[2]);
	for (unsigned int i = 3; i < REQUESTS; i++)
		CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(virtq_pop(vq, &c), 0);
	CHECK(!virtq_enable_kicks(vq));
	tear_down();
}

/* A process that dies again before it did anything leaves the same. */
static void crashes_twice(void)
{
	struct virtq_chain c;
	struct virtq *vq;

	set_up();
	vq = set_up_queue(sh);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	for (unsigned int i = 0; i < 3; i++) {
		vq = set_up_queue(sh);
		CHECK_EQ(vq->nr_replay, 2);
		CHECK_EQ(vq->last_avail, 2);
		CHECK_EQ(virtq_pop(vq, &c), 1);
		if (i == 2) {
			virtq_push(vq, c.head, 0);
			virtq_flush(vq);
		}
	}
	vq = set_up_queue(sh);
	CHECK_EQ(vq->nr_replay, 1);
	CHECK_EQ(vq->last_avail, 2);
	tear_down();
}

/* Many chains later, giving back is still right. */
static void wraps_around(void)
{
	struct vring_avail *a = (void *)(sh->ram + AVAIL);
	struct virtq_chain c;
	struct virtq *vq;

	set_up();
	vq = set_up_queue(sh);
	CHECK_EQ(virtq_pop(vq, &c), 1);
	vq = set_up_queue(sh);
	CHECK_EQ(vq->nr_replay, 1);
	for (unsigned int i = 0; i < 0x10000 + 10; i++) {
		if (i >= REQUESTS)
			a->ring[i % SIZE] = 3;
		a->idx = (uint16_t)(i + 1);
		CHECK_EQ(virtq_pop(vq, &c), 1);
		virtq_unpop(vq);
		CHECK_EQ(virtq_pop(vq, &c), 1);
		virtq_push(vq, c.head, 0);
		virtq_flush(vq);
	}
	CHECK_EQ(vq->nr_replay, 0);
	CHECK_EQ(vq->last_avail, 10);
	tear_down();
}

/* ---- The other side wrote nonsense ---- */

static void refuses_other_queues(void)
{
	struct virtq_track *t = (void *)sh->track;
	uint16_t heads[SIZE];
	uint64_t counter;

	set_up();
	CHECK_EQ(virtq_track_recover(t, SIZE, SIZE, 0, heads, &counter), 0);
	CHECK_EQ(t->desc_num, SIZE);
	CHECK_EQ(virtq_track_recover(t, SIZE * 2, SIZE, 0, heads, &counter), -EINVAL);
	CHECK_EQ(virtq_track_recover(t, SIZE, SIZE * 2, 0, heads, &counter), -EINVAL);
	t->version = 2;
	CHECK_EQ(virtq_track_recover(t, SIZE, SIZE, 0, heads, &counter), -EINVAL);
	tear_down();
}

static void bounds_nonsense(void)
{
	struct virtq_track *t = (void *)sh->track;
	uint16_t heads[SIZE];
	uint64_t counter;

	set_up();
	srand(1);
	for (unsigned int round = 0; round < 20000; round++) {
		for (unsigned int i = 0; i < virtq_track_bytes(SIZE); i++)
			sh->track[i] = (uint8_t)rand();
		t->version = VIRTQ_TRACK_VERSION;
		t->desc_num = SIZE;
		CHECK(virtq_track_recover(t, SIZE, SIZE, (uint16_t)rand(), heads, &counter) <=
		      SIZE);
		virtq_track_published(t, SIZE, (uint16_t)rand());
	}
	tear_down();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	before = calloc(1, sizeof(*before));
	TEST_RUN(every_instruction);
	TEST_RUN(takes_up_in_order);
	TEST_RUN(crashes_twice);
	TEST_RUN(wraps_around);
	TEST_RUN(refuses_other_queues);
	TEST_RUN(bounds_nonsense);
	free(before);
	munmap(sh, sizeof(*sh));
	return TEST_EXIT();
}
