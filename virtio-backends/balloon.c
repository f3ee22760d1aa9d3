// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio memory balloon; see balloon.h.
 *
 * A driver numbers its queues without gaps (virtio 1.2, 5.5.2): which queue is which depends on the
 * features that it took.
 */
#include "balloon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

/* virtio 1.2, 5.5.3 */
#define VIRTIO_ID_BALLOON		5
#define VIRTIO_BALLOON_F_STATS_VQ	1
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM	2
#define VIRTIO_BALLOON_F_FREE_PAGE_HINT	3
#define VIRTIO_BALLOON_F_PAGE_POISON	4
#define VIRTIO_BALLOON_F_PAGE_REPORTING	5

/* 5.5.4 */
struct balloon_config_space {
	uint32_t num_pages, actual;
	uint32_t free_page_hint_cmd_id;
	uint32_t poison_val;
};

_Static_assert(sizeof(struct balloon_config_space) == 16, "virtio 1.2, 5.5.4");

/* 5.5.6.5: what a hinting round is called; from HINT_FIRST on, its own number. */
enum { HINT_STOP = 0, HINT_DONE = 1, HINT_FIRST = 2 };

/* 5.5.6.4 */
struct balloon_stat {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

_Static_assert(sizeof(struct balloon_stat) == 10, "virtio 1.2, 5.5.6.4");

enum balloon_queue { BQ_INFLATE, BQ_DEFLATE, BQ_STATS, BQ_HINT, BQ_REPORT, BQ_NR };

#define BALLOON_QUEUE_SIZE	128
#define BALLOON_STATE_VERSION	1
#define PAGE			((uint64_t)VIRTIO_BALLOON_PAGE)
#define PFN_BATCH		256u
/* Of one request; drivers send 256. Bounds what one round of the loop costs. */
#define MAX_PFNS		16384u
#define MAX_ROUND		16u

static const char *const stat_names[VIRTIO_BALLOON_MAX_STATS] = {
	"swap_in", "swap_out", "major_faults", "minor_faults", "free_memory", "total_memory",
	"available_memory", "disk_caches", "hugetlb_allocations", "hugetlb_failures",
};

struct virtio_balloon;

struct balloon_vq {
	struct virtio_balloon *b;
	struct virtq *vq;		/* NULL: the driver does not have it */
	struct hv_loop_fd *kick;	/* NULL: stopped */
	/* One chain; false: the device is broken, or the chain is kept. */
	bool (*handle)(struct balloon_vq *q, const struct virtq_chain *c);
};

struct virtio_balloon {
	struct virtio_dev dev;
	struct hv_loop *loop;
	void (*changed)(void *opaque);
	void *opaque;
	_Atomic uint32_t num_pages, actual, poison_val, cmd_id;

	/* The loop's thread, or stopped. */
	struct balloon_vq queue[BQ_NR];
	bool running;
	bool hinting;			/* between the driver's start and its stop */
	bool stats_held;		/* stats_head waits to be given back */
	uint16_t stats_head;

	pthread_mutex_t lock;		/* the fields below; innermost */
	uint64_t stats_ns;		/* when they came, 0: never */
	uint32_t stats_known;		/* bit per name */
	uint64_t stats[VIRTIO_BALLOON_MAX_STATS];

	_Atomic uint64_t inflated, deflated, reported, hinted;	/* bytes */
};

static struct virtio_balloon *to_virtio_balloon(struct virtio_dev *dev)
{
	return (struct virtio_balloon *)((char *)dev - offsetof(struct virtio_balloon, dev));
}

static void balloon_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- Pages ---- */

/* May pages that the guest keeps as free be dropped? It may rely on what it wrote into them. */
static bool balloon_may_drop_free(const struct virtio_balloon *b)
{
	return !virtio_dev_has_feature(&b->dev, VIRTIO_BALLOON_F_PAGE_POISON) ||
	       !atomic_load(&b->poison_val);
}

/* Drop the whole pages of [hva, hva + len); returns their bytes. */
static uint64_t drop_pages(const struct virtio_balloon *b, void *hva, uint64_t len)
{
	/* Of a file it must go out of the file, or another mapping would still have it. */
	int advice = b->dev.mem->region[0].shared ? MADV_REMOVE : MADV_DONTNEED;
	uintptr_t start = ((uintptr_t)hva + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	uintptr_t end = ((uintptr_t)hva + len) & ~(uintptr_t)(PAGE - 1);

	/* Failing, it only leaves the memory where it is. */
	if (start >= end || madvise((void *)start, end - start, advice))
		return 0;
	return end - start;
}

/* Pages with numbers in a row. */
struct page_run {
	uint64_t gpa, len;
};

static bool drop_run(struct virtio_balloon *b, const struct page_run *run)
{
	void *hva = guest_mem_ptr(b->dev.mem, run->gpa, run->len);

	if (hva) {
		drop_pages(b, hva, run->len);
		return true;
	}
	/* Over the border of two regions, or not memory. */
	for (uint64_t off = 0; off < run->len; off += PAGE) {
		hva = guest_mem_ptr(b->dev.mem, run->gpa + off, PAGE);
		if (!hva) {
			virtio_dev_fail(&b->dev, "page 0x%llx of the balloon is not guest memory",
					(unsigned long long)((run->gpa + off) / PAGE));
			return false;
		}
		drop_pages(b, hva, PAGE);
	}
	return true;
}

static bool drop_batch(struct virtio_balloon *b, const uint32_t *pfn, unsigned int n,
		       struct page_run *run)
{
	for (unsigned int i = 0; i < n; i++) {
		uint64_t gpa = pfn[i] * PAGE;

		/* Allocators give pages upwards and downwards. */
		if (run->len && gpa == run->gpa + run->len) {
			run->len += PAGE;
			continue;
		}
		if (run->len && gpa + PAGE == run->gpa) {
			*run = (struct page_run){ gpa, run->len + PAGE };
			continue;
		}
		if (run->len && !drop_run(b, run))
			return false;
		*run = (struct page_run){ gpa, PAGE };
	}
	return true;
}

/* Page numbers of 4 KiB pages, 32 bits each (virtio 1.2, 5.5.6). */
static bool check_pfns(struct balloon_vq *q, const struct virtq_chain *c)
{
	if (c->out_len && !(c->out_len % sizeof(uint32_t)) &&
	    c->out_len <= MAX_PFNS * sizeof(uint32_t))
		return true;
	virtio_dev_fail(&q->b->dev, "queue %u: %llu bytes of page numbers", q->vq->index,
			(unsigned long long)c->out_len);
	return false;
}

static bool balloon_inflate(struct balloon_vq *q, const struct virtq_chain *c)
{
	struct page_run run = { 0 };
	uint32_t pfn[PFN_BATCH];
	uint64_t off = 0;

	if (!check_pfns(q, c))
		return false;
	while (off < c->out_len) {
		size_t n = virtq_iov_to_buf(c->iov, c->out_num, off, pfn, sizeof(pfn));

		if (!drop_batch(q->b, pfn, (unsigned int)(n / sizeof(pfn[0])), &run))
			return false;
		off += n;
	}
	if (!drop_run(q->b, &run))
		return false;
	balloon_count(&q->b->inflated, c->out_len / sizeof(uint32_t) * PAGE);
	virtq_push(q->vq, c->head, 0);
	return true;
}

/* The guest takes pages back: the host gives memory when they are used. */
static bool balloon_deflate(struct balloon_vq *q, const struct virtq_chain *c)
{
	if (!check_pfns(q, c))
		return false;
	balloon_count(&q->b->deflated, c->out_len / sizeof(uint32_t) * PAGE);
	virtq_push(q->vq, c->head, 0);
	return true;
}

static uint64_t drop_chain(struct virtio_balloon *b, const struct virtq_chain *c)
{
	uint64_t bytes = 0;

	if (!balloon_may_drop_free(b))
		return 0;
	for (unsigned int i = 0; i < c->in_num; i++)
		bytes += drop_pages(b, c->iov[c->out_num + i].iov_base,
				    c->iov[c->out_num + i].iov_len);
	return bytes;
}

static bool balloon_report(struct balloon_vq *q, const struct virtq_chain *c)
{
	balloon_count(&q->b->reported, drop_chain(q->b, c));
	virtq_push(q->vq, c->head, 0);
	return true;
}

/* The driver begins or ends the round, or hints at free pages; it keeps those until the end. */
static bool balloon_hint(struct balloon_vq *q, const struct virtq_chain *c)
{
	struct virtio_balloon *b = q->b;
	uint32_t id, now = atomic_load(&b->cmd_id);

	if (virtq_iov_to_buf(c->iov, c->out_num, 0, &id, sizeof(id)) == sizeof(id)) {
		b->hinting = id >= HINT_FIRST && id == now;
		if (id == HINT_STOP && now >= HINT_FIRST) {
			atomic_store(&b->cmd_id, HINT_DONE);
			virtio_dev_config_changed(&b->dev);
		}
	} else if (b->hinting) {
		balloon_count(&b->hinted, drop_chain(b, c));
	}
	virtq_push(q->vq, c->head, 0);
	return true;
}

/* ---- Statistics of the guest ---- */

static void balloon_read_stats(struct virtio_balloon *b, const struct virtq_chain *c)
{
	struct balloon_stat s;

	pthread_mutex_lock(&b->lock);
	b->stats_known = 0;
	/* Twice as many as are known: later versions may have more. */
	for (unsigned int i = 0; i < 2 * VIRTIO_BALLOON_MAX_STATS; i++) {
		if (virtq_iov_to_buf(c->iov, c->out_num, i * sizeof(s), &s, sizeof(s)) < sizeof(s))
			break;
		if (s.tag >= VIRTIO_BALLOON_MAX_STATS)
			continue;
		b->stats[s.tag] = s.value;
		b->stats_known |= 1u << s.tag;
	}
	b->stats_ns = hv_loop_now_ns();
	pthread_mutex_unlock(&b->lock);
}

/* The buffer stays with us until statistics are wanted again (virtio 1.2, 5.5.6.3). */
static bool balloon_take_stats(struct balloon_vq *q, const struct virtq_chain *c)
{
	struct virtio_balloon *b = q->b;

	if (b->stats_held) {
		virtio_dev_fail(&b->dev, "a second buffer of statistics");
		return false;
	}
	balloon_read_stats(b, c);
	b->stats_held = true;
	b->stats_head = c->head;
	return true;
}

static void balloon_do_poll_stats(void *opaque)
{
	struct virtio_balloon *b = opaque;
	struct virtq *vq = b->queue[BQ_STATS].vq;

	if (!b->running || !b->stats_held || virtio_dev_is_broken(&b->dev))
		return;
	b->stats_held = false;
	virtq_push(vq, b->stats_head, 0);
	virtq_flush(vq);
}

void virtio_balloon_poll_stats(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);

	hv_loop_post(b->loop, balloon_do_poll_stats, b);
}

/* ---- Queues ---- */

static void balloon_kicked(void *opaque, uint32_t events)
{
	struct balloon_vq *q = opaque;
	unsigned int budget = MAX_ROUND;
	struct virtq_chain c;

	virtq_clear_kick(q->vq);
	do {
		virtq_disable_kicks(q->vq);
		while (budget && virtq_pop(q->vq, &c) > 0 && q->handle(q, &c))
			budget--;
		virtq_flush(q->vq);
		if (virtio_dev_is_broken(&q->b->dev))
			return;
		if (!budget) {
			virtio_dev_notify_queue(&q->b->dev, q->vq->index);
			return;
		}
	} while (virtq_enable_kicks(q->vq));
}

static void balloon_map_queues(struct virtio_balloon *b)
{
	static const struct {
		unsigned int feature;
		bool (*handle)(struct balloon_vq *q, const struct virtq_chain *c);
	} queues[BQ_NR] = {
		[BQ_INFLATE] = { 0, balloon_inflate },
		[BQ_DEFLATE] = { 0, balloon_deflate },
		[BQ_STATS] = { VIRTIO_BALLOON_F_STATS_VQ, balloon_take_stats },
		[BQ_HINT] = { VIRTIO_BALLOON_F_FREE_PAGE_HINT, balloon_hint },
		[BQ_REPORT] = { VIRTIO_BALLOON_F_PAGE_REPORTING, balloon_report },
	};
	unsigned int next = 0;

	for (unsigned int i = 0; i < BQ_NR; i++) {
		struct balloon_vq *q = &b->queue[i];

		q->b = b;
		q->handle = queues[i].handle;
		q->vq = NULL;
		if (queues[i].feature && !virtio_dev_has_feature(&b->dev, queues[i].feature))
			continue;
		q->vq = &b->dev.vqs[next++];
	}
}

static void balloon_do_stop(void *opaque)
{
	struct virtio_balloon *b = opaque;

	for (unsigned int i = 0; i < BQ_NR; i++) {
		hv_loop_del_fd(b->queue[i].kick);
		b->queue[i].kick = NULL;
	}
	/* It is read again at the next start. */
	if (b->stats_held)
		virtq_unpop(b->queue[BQ_STATS].vq);
	b->stats_held = false;
	b->running = false;
}

static void balloon_do_start(void *opaque)
{
	struct virtio_balloon *b = opaque;

	balloon_map_queues(b);
	b->running = true;
	for (unsigned int i = 0; i < BQ_NR && b->running; i++) {
		struct balloon_vq *q = &b->queue[i];

		if (!q->vq || !q->vq->enabled)
			continue;
		q->kick = hv_loop_add_fd(b->loop, q->vq->kick_fd, EPOLLIN, balloon_kicked, q);
		if (!q->kick)
			balloon_do_stop(b);
	}
}

static int balloon_start(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);

	hv_loop_call(b->loop, balloon_do_start, b);
	return b->running ? 0 : -ENOMEM;
}

static void balloon_stop(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);

	hv_loop_call(b->loop, balloon_do_stop, b);
}

/* ---- Configuration ---- */

static void balloon_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);
	const struct balloon_config_space config = {
		.num_pages = atomic_load(&b->num_pages),
		.actual = atomic_load(&b->actual),
		.free_page_hint_cmd_id = atomic_load(&b->cmd_id),
		.poison_val = atomic_load(&b->poison_val),
	};

	memcpy(buf, (const uint8_t *)&config + off, len);
}

/* The driver writes two fields, each as a whole. */
static void balloon_config_write(struct virtio_dev *dev, uint32_t off, const void *buf,
				 uint32_t len)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);
	uint32_t v;

	if (len != sizeof(v))
		return;
	memcpy(&v, buf, sizeof(v));
	if (off == offsetof(struct balloon_config_space, actual)) {
		if (atomic_exchange(&b->actual, v) != v && b->changed)
			b->changed(b->opaque);
	} else if (off == offsetof(struct balloon_config_space, poison_val))
		atomic_store(&b->poison_val, v);
}

void virtio_balloon_set_target(struct virtio_dev *dev, uint64_t bytes)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);
	uint64_t pages = bytes / PAGE;

	atomic_store(&b->num_pages, pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX);
	virtio_dev_config_changed(dev);
}

int virtio_balloon_trim(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);
	static _Atomic uint32_t next_id = HINT_FIRST;
	uint32_t old = atomic_load(&b->cmd_id), id;
	bool can;

	pthread_mutex_lock(&dev->lock);
	can = dev->started && virtio_dev_has_feature(dev, VIRTIO_BALLOON_F_FREE_PAGE_HINT);
	pthread_mutex_unlock(&dev->lock);
	if (!can)
		return -ENOTSUP;
	do {
		id = atomic_fetch_add(&next_id, 1);
	} while (id < HINT_FIRST);
	if (old >= HINT_FIRST || !atomic_compare_exchange_strong(&b->cmd_id, &old, id))
		return -EBUSY;
	virtio_dev_config_changed(dev);
	return 0;
}

void virtio_balloon_info(struct virtio_dev *dev, struct virtio_balloon_info *info)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);

	*info = (struct virtio_balloon_info){
		.target = atomic_load(&b->num_pages) * PAGE,
		.actual = atomic_load(&b->actual) * PAGE,
		.trimming = atomic_load(&b->cmd_id) >= HINT_FIRST,
	};
	pthread_mutex_lock(&b->lock);
	if (b->stats_ns)
		info->stats_age_ms = (hv_loop_now_ns() - b->stats_ns) / 1000000;
	for (unsigned int i = 0; i < VIRTIO_BALLOON_MAX_STATS; i++)
		if (b->stats_known >> i & 1)
			info->stat[info->nr_stats++] =
				(struct virtio_balloon_stat){ stat_names[i], b->stats[i] };
	pthread_mutex_unlock(&b->lock);
}

/* ---- State, statistics, life ---- */

/* The target stays: it is the host's. */
static void balloon_reset(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);

	atomic_store(&b->actual, 0);
	atomic_store(&b->poison_val, 0);
	atomic_store(&b->cmd_id, HINT_STOP);
	b->hinting = false;
	pthread_mutex_lock(&b->lock);
	b->stats_known = 0;
	b->stats_ns = 0;
	pthread_mutex_unlock(&b->lock);
}

static void balloon_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);

	hv_state_begin(w, "virtio-balloon", BALLOON_STATE_VERSION);
	hv_state_put_u32(w, atomic_load(&b->num_pages));
	hv_state_put_u32(w, atomic_load(&b->actual));
	hv_state_put_u32(w, atomic_load(&b->poison_val));
	hv_state_put_u32(w, atomic_load(&b->cmd_id));
	hv_state_put_u8(w, b->hinting);
	hv_state_end(w);
}

static int balloon_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);
	int ret = hv_state_open(r, "virtio-balloon", BALLOON_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	atomic_store(&b->num_pages, hv_state_get_u32(r));
	atomic_store(&b->actual, hv_state_get_u32(r));
	atomic_store(&b->poison_val, hv_state_get_u32(r));
	atomic_store(&b->cmd_id, hv_state_get_u32(r));
	b->hinting = hv_state_get_u8(r) & 1;
	return hv_state_close(r, err);
}

static void balloon_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);
	struct virtio_balloon_info info;

	virtio_balloon_info(dev, &info);
	fn(opaque, "target_bytes", info.target);
	fn(opaque, "actual_bytes", info.actual);
	fn(opaque, "inflated_bytes", atomic_load(&b->inflated));
	fn(opaque, "deflated_bytes", atomic_load(&b->deflated));
	fn(opaque, "reported_bytes", atomic_load(&b->reported));
	fn(opaque, "hinted_bytes", atomic_load(&b->hinted));
	for (unsigned int i = 0; i < info.nr_stats; i++)
		fn(opaque, info.stat[i].name, info.stat[i].value);
}

/* Work that was posted comes before this. */
static void balloon_do_nothing(void *opaque)
{
}

static void balloon_destroy(struct virtio_dev *dev)
{
	struct virtio_balloon *b = to_virtio_balloon(dev);

	hv_loop_call(b->loop, balloon_do_nothing, NULL);
	pthread_mutex_destroy(&b->lock);
	virtio_dev_fini(dev);
	free(b);
}

static const struct virtio_dev_ops balloon_ops = {
	.name = "balloon",
	.device_id = VIRTIO_ID_BALLOON,
	.config_len = sizeof(struct balloon_config_space),
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.start = balloon_start,
	.stop = balloon_stop,
	.reset = balloon_reset,
	.save = balloon_save,
	.load = balloon_load,
	.stats = balloon_stats,
	.destroy = balloon_destroy,
};

int virtio_balloon_create(const struct virtio_balloon_config *cfg, struct virtio_dev **dev,
			  struct hv_err *err)
{
	const uint64_t features = VIRTIO_FEATURE(VIRTIO_BALLOON_F_STATS_VQ) |
				  VIRTIO_FEATURE(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
				  VIRTIO_FEATURE(VIRTIO_BALLOON_F_FREE_PAGE_HINT) |
				  VIRTIO_FEATURE(VIRTIO_BALLOON_F_PAGE_POISON) |
				  VIRTIO_FEATURE(VIRTIO_BALLOON_F_PAGE_REPORTING);
	const char *id = cfg->id ? cfg->id : "balloon";
	struct virtio_balloon *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	ret = virtio_dev_init(&b->dev, &balloon_ops, id, features, BQ_NR, BALLOON_QUEUE_SIZE, err);
	if (ret) {
		free(b);
		return ret;
	}
	b->loop = cfg->loop;
	b->changed = cfg->changed;
	b->opaque = cfg->opaque;
	pthread_mutex_init(&b->lock, NULL);
	*dev = &b->dev;
	return 0;
}
