// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vhost-user: a front end that the back end must survive, and the other way round. Whatever was
 * said, a good one is served afterwards, and no descriptor is left open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../../virtio-backends/virtq_track.h"
#include "unit_log.h"
#include "unit_test.h"
#include "vhost_user_world.h"

#define MEM_SIZE	0x40000u
#define MEM_USER	0x7f0000000000ULL
#define NEED		(VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY)

/* ---- A front end, message by message ---- */

static int sock, mem_fd;
static unsigned int fds_before;

static void front_connect(void)
{
	int sv[2];

	CHECK_EQ(vhost_user_socketpair(sv), 0);
	atomic_store(&backend_ended, 0);
	backend_start(sv[0]);
	sock = sv[1];
}

static void front_set_up(void)
{
	backend_world_set_up(2);
	fds_before = open_fds();
	mem_fd = memfd_create("mem", MFD_CLOEXEC);
	CHECK(!ftruncate(mem_fd, MEM_SIZE));
	front_connect();
}

/* The back end still serves, and has closed all that it was given. */
static void front_tear_down(void)
{
	close(sock);
	WAIT_FOR(atomic_load(&backend_ended) == 1);
	backend_stop();
	close(mem_fd);
	CHECK_EQ(open_fds(), fds_before);
	backend_world_tear_down();
}

static int say(struct vhost_user_msg *m, uint32_t request, uint32_t size)
{
	m->hdr = (struct vhost_user_header){ .request = request, .flags = NEED, .size = size };
	return vhost_user_send(sock, m, 1000);
}

/* Send it: 0, or 1 if it was refused, or 2 if the connection ended. */
static int tell(struct vhost_user_msg *m, uint32_t request, uint32_t size)
{
	struct vhost_user_msg answer;
	int ret;

	if (say(m, request, size) || vhost_user_recv(sock, &answer, 5000))
		return 2;
	ret = answer.payload.u64 != 0;
	vhost_user_msg_close(&answer);
	return ret;
}

static int tell_u64(uint32_t request, uint64_t v)
{
	struct vhost_user_msg m = { .payload.u64 = v };

	return tell(&m, request, 8);
}

static int tell_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_msg m = { .payload.state = { index, num } };

	return tell(&m, request, sizeof(m.payload.state));
}

static int tell_fd(uint32_t request, uint64_t v, int fd)
{
	struct vhost_user_msg m = { .payload.u64 = v, .fds = { fd }, .nr_fds = fd >= 0 };

	return tell(&m, request, 8);
}

static int tell_memory(uint32_t nr, const struct vhost_user_region *r, unsigned int nr_fds)
{
	struct vhost_user_msg m = { .payload.mem.nr = nr, .nr_fds = nr_fds };

	for (unsigned int i = 0; i < nr && i < VHOST_USER_MAX_REGIONS; i++)
		m.payload.mem.region[i] = r[i];
	for (unsigned int i = 0; i < nr_fds; i++)
		m.fds[i] = mem_fd;
	return tell(&m, VHOST_USER_SET_MEM_TABLE, 8 + 32 * (nr < 8 ? nr : 8));
}

static int tell_ring(uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vhost_user_msg m = { .payload.addr = {
		.desc = desc, .avail = avail, .used = used,
	} };

	return tell(&m, VHOST_USER_SET_VRING_ADDR, sizeof(m.payload.addr));
}

static const struct vhost_user_region all = { 0, MEM_SIZE, MEM_USER, 0 };

/* As a good front end begins; @steps of it. */
static void begin(unsigned int steps)
{
	int kick = eventfd(0, EFD_NONBLOCK), call = eventfd(0, EFD_NONBLOCK);

	for (unsigned int i = 0; i < steps; i++) {
		int ret = 0;

		switch (i) {
		case 0: {
			struct vhost_user_msg m = { .payload.u64 = ~0ULL }, get = { 0 };

			say(&get, VHOST_USER_GET_PROTOCOL_FEATURES, 0);
			CHECK_EQ(vhost_user_recv(sock, &m, 5000), 0);
			m.hdr.flags = VHOST_USER_VERSION;
			m.hdr.request = VHOST_USER_SET_PROTOCOL_FEATURES;
			CHECK_EQ(vhost_user_send(sock, &m, 1000), 0);
			break;
		}
		case 1:
			ret = tell_u64(VHOST_USER_SET_FEATURES, VIRTIO_FEATURE_VERSION_1 |
				       1ULL << VHOST_USER_F_PROTOCOL_FEATURES);
			break;
		case 2:
			ret = tell_memory(1, &all, 1);
			break;
		case 3:
			ret = tell_state(VHOST_USER_SET_VRING_NUM, 0, 64);
			break;
		case 4:
			ret = tell_ring(MEM_USER + 0x1000, MEM_USER + 0x2000, MEM_USER + 0x3000);
			break;
		case 5:
			ret = tell_fd(VHOST_USER_SET_VRING_CALL, 0, call);
			break;
		case 6:
			ret = tell_fd(VHOST_USER_SET_VRING_KICK, 0, kick);
			break;
		case 7:
			ret = tell_state(VHOST_USER_SET_VRING_ENABLE, 0, 1);
			break;
		}
		CHECK_EQ(ret, 0);
	}
	close(kick);
	close(call);
}
#define ALL_STEPS	8

static void refuses_bad_memory(void)
{
	const struct vhost_user_region r[] = {
		{ 0, 0, MEM_USER, 0 },				/* empty */
		{ 0, MEM_SIZE + 0x1000, MEM_USER, 0 },		/* larger than the file */
		{ 0, 0x1000, MEM_USER, MEM_SIZE },		/* behind its end */
		{ 0, 0x1000, MEM_USER, ~0xfffULL },
		{ ~0xfffULL, 0x2000, MEM_USER, 0 },		/* around the end of addresses */
		{ 0, 0x2000, ~0xfffULL, 0 },
		{ 0, ~0ULL, 0, 0 },
		{ 1ULL << 52, 0x1000, MEM_USER, 0 },
	};
	const struct vhost_user_region twice[2] = { { 0, 0x2000, MEM_USER, 0 },
						    { 0x1000, 0x2000, MEM_USER + 0x10000, 0 } };
	const struct vhost_user_region user_twice[2] = { { 0, 0x2000, MEM_USER, 0 },
							 { 0x8000, 0x2000, MEM_USER + 0x1000, 0 } };
	const struct vhost_user_region good[2] = { { 0, 0x2000, MEM_USER, 0 },
						   { 0x8000, 0x2000, MEM_USER + 0x2000, 0x4000 } };

	front_set_up();
	begin(2);
	for (unsigned int i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		CHECK_EQ(tell_memory(1, &r[i], 1), 1);
	CHECK_EQ(tell_memory(2, twice, 2), 1);
	CHECK_EQ(tell_memory(2, user_twice, 2), 1);
	CHECK_EQ(tell_memory(2, good, 2), 0);
	/* None is as good as any, and a table without descriptors is not one. */
	CHECK_EQ(tell_memory(0, NULL, 0), 0);
	CHECK_EQ(tell_memory(2, good, 1), 2);
	front_tear_down();
}

static void adds_and_removes_memory(void)
{
	struct vhost_user_msg m = { .payload.reg.region = { 0, 0x2000, MEM_USER, 0 } };

	front_set_up();
	begin(2);
	m.fds[0] = mem_fd;
	m.nr_fds = 1;
	for (unsigned int i = 0; i < GUEST_MEM_MAX_REGIONS; i++) {
		m.payload.reg.region.gpa = i * 0x2000;
		m.payload.reg.region.user = MEM_USER + i * 0x2000;
		CHECK_EQ(tell(&m, VHOST_USER_ADD_MEM_REG, sizeof(m.payload.reg)), 0);
	}
	m.payload.reg.region.gpa = 0x20000;
	m.payload.reg.region.user = MEM_USER + 0x20000;
	CHECK_EQ(tell(&m, VHOST_USER_ADD_MEM_REG, sizeof(m.payload.reg)), 1);
	m.nr_fds = 0;
	CHECK_EQ(tell(&m, VHOST_USER_REM_MEM_REG, sizeof(m.payload.reg)), 1);
	m.payload.reg.region.gpa = 0x2000;
	m.payload.reg.region.user = MEM_USER + 0x2000;
	CHECK_EQ(tell(&m, VHOST_USER_REM_MEM_REG, sizeof(m.payload.reg)), 0);
	CHECK_EQ(tell(&m, VHOST_USER_REM_MEM_REG, sizeof(m.payload.reg)), 1);
	/* Without the descriptor it is no message. */
	CHECK_EQ(tell(&m, VHOST_USER_ADD_MEM_REG, sizeof(m.payload.reg)), 2);
	front_tear_down();
}

static void refuses_bad_queues(void)
{
	int fd;

	front_set_up();
	begin(3);
	fd = eventfd(0, 0);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 2, 64), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, ~0u, 64), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 0, 0), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 0, 65), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 0, 2048), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 0, 0x10040), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_BASE, 0, 0x10000), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_ENABLE, 0, 2), 1);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_ENABLE, 9, 1), 1);
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_KICK, 9, fd), 1);
	/* A queue that would have to be polled. */
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_KICK, VHOST_USER_VRING_NO_FD, -1), 1);
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_CALL, VHOST_USER_VRING_NO_FD, -1), 0);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 0, 64), 0);
	/* Rings that are nowhere, or partly, or crooked. */
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	CHECK_EQ(tell_ring(0x1000, MEM_USER, MEM_USER), 0);
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_KICK, 0, fd), 1);
	CHECK_EQ(tell_ring(MEM_USER, MEM_USER + 0x2000, MEM_USER + MEM_SIZE - 2), 0);
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_KICK, 0, fd), 1);
	CHECK_EQ(tell_ring(MEM_USER, MEM_USER + 0x2000, MEM_USER + 0x3002), 0);
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_KICK, 0, fd), 1);
	/* It starts, and sees at once that it cannot. */
	CHECK_EQ(tell_ring(MEM_USER + MEM_SIZE - 16, MEM_USER + 0x2000, MEM_USER + 0x3000), 0);
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_KICK, 0, fd), 0);
	CHECK(virtio_dev_is_broken(backend_dev));
	/* What runs cannot be changed. */
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 0, 64), 1);
	CHECK_EQ(tell_ring(0, 0, 0), 1);
	CHECK_EQ(tell_u64(VHOST_USER_SET_FEATURES, VIRTIO_FEATURE_VERSION_1), 1);
	CHECK_EQ(tell_u64(VHOST_USER_SET_STATUS, 0), 0);
	CHECK_EQ(tell_u64(VHOST_USER_SET_FEATURES, VIRTIO_FEATURE_VERSION_1), 0);
	CHECK(!virtio_dev_is_broken(backend_dev));
	close(fd);
	front_tear_down();
}

static void refuses_bad_features(void)
{
	front_set_up();
	begin(1);
	CHECK_EQ(tell_u64(VHOST_USER_SET_FEATURES, 0), 1);
	CHECK_EQ(tell_u64(VHOST_USER_SET_FEATURES, ~0ULL), 1);
	CHECK_EQ(tell_u64(VHOST_USER_SET_PROTOCOL_FEATURES, ~0ULL), 1);
	CHECK_EQ(tell_u64(VHOST_USER_SET_FEATURES, VIRTIO_FEATURE_VERSION_1), 0);
	front_tear_down();
}

static void refuses_bad_inflight(void)
{
	struct vhost_user_msg m = { .payload.inflight = { 1 << 20, 0, 2, 64, 0 }, .nr_fds = 1 };

	front_set_up();
	begin(2);
	m.fds[0] = mem_fd;
	CHECK_EQ(tell(&m, VHOST_USER_SET_INFLIGHT_FD, 24), 1);	/* larger than the file */
	m.payload.inflight.mmap_size = 64;
	CHECK_EQ(tell(&m, VHOST_USER_SET_INFLIGHT_FD, 24), 1);
	m.payload.inflight = (struct vhost_user_inflight){ 0x8000, 8, 2, 64, 0 };
	CHECK_EQ(tell(&m, VHOST_USER_SET_INFLIGHT_FD, 24), 1);
	m.payload.inflight = (struct vhost_user_inflight){ 0x8000, 0, 3, 64, 0 };
	CHECK_EQ(tell(&m, VHOST_USER_SET_INFLIGHT_FD, 24), 1);
	m.payload.inflight = (struct vhost_user_inflight){ 0x8000, 0, 2, 2048, 0 };
	CHECK_EQ(tell(&m, VHOST_USER_SET_INFLIGHT_FD, 24), 1);
	m.payload.inflight = (struct vhost_user_inflight){ 0x8000, 0, 2, 64, 0 };
	CHECK_EQ(tell(&m, VHOST_USER_SET_INFLIGHT_FD, 24), 0);
	/* Garbage where requests in flight are kept is seen when the queue starts. */
	CHECK_EQ(pwrite(mem_fd, "\1\0\0\0\0\0\0\0\1\0\7\0\0\0\0\0", 16, 0), 16);
	CHECK_EQ(tell_memory(1, &all, 1), 0);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_NUM, 0, 64), 0);
	CHECK_EQ(tell_ring(MEM_USER + 0x1000, MEM_USER + 0x2000, MEM_USER + 0x3000), 0);
	CHECK_EQ(tell_state(VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	CHECK_EQ(tell_fd(VHOST_USER_SET_VRING_KICK, 0, mem_fd), 1);
	m.nr_fds = 0;
	CHECK_EQ(tell(&m, VHOST_USER_SET_INFLIGHT_FD, 24), 2);
	front_tear_down();
}

static void refuses_what_is_no_message(void)
{
	static const struct vhost_user_header bad[] = {
		{ VHOST_USER_GET_FEATURES, 0, 0 },			/* no version */
		{ VHOST_USER_GET_FEATURES, 2, 0 },
		{ VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 8 },	/* a payload */
		{ VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 4 },
		{ VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 16 },
		{ VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, ~0u },
		{ 0, VHOST_USER_VERSION, 0 },
		{ 999, VHOST_USER_VERSION, 0 },
		{ ~0u, VHOST_USER_VERSION, 0 },
	};
	char zeroes[64] = { 0 };

	front_set_up();
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vhost_user_msg m;

		CHECK_EQ(send(sock, &bad[i], sizeof(bad[i]), MSG_NOSIGNAL), sizeof(bad[i]));
		if (bad[i].size < sizeof(zeroes))
			send(sock, zeroes, bad[i].size, MSG_NOSIGNAL);
		CHECK_EQ(vhost_user_recv(sock, &m, 5000), -ECONNRESET);
		WAIT_FOR(atomic_load(&backend_ended) == 1);
		close(sock);
		front_connect();
	}
	/* Half of a header, and an end in a payload. */
	CHECK_EQ(send(sock, &bad[0], 6, MSG_NOSIGNAL), 6);
	close(sock);
	WAIT_FOR(atomic_load(&backend_ended) == 1);
	front_connect();
	CHECK_EQ(send(sock, &bad[3], 12, MSG_NOSIGNAL), 12);
	close(sock);
	WAIT_FOR(atomic_load(&backend_ended) == 1);
	front_connect();
	front_tear_down();
}

/* Nothing at all, or everything up to some point, then the end. */
static void survives_an_end_anywhere(void)
{
	front_set_up();
	for (unsigned int steps = 0; steps <= ALL_STEPS; steps++) {
		begin(steps);
		close(sock);
		WAIT_FOR(atomic_load(&backend_ended) == 1);
		front_connect();
	}
	front_tear_down();
}

/* Anything, in each state: of a known kind or not, with descriptors or not. */
static void survives_anything(void)
{
	unsigned int ended = 0;

	srand(7);
	front_set_up();
	for (unsigned int round = 0; round < 3000; round++) {
		struct vhost_user_msg m = { .nr_fds = rand() % 3 };
		unsigned int size = rand() % 4 ? 8u * (rand() % 5) : rand() % sizeof(m.payload);

		if (rand() % 2)
			for (unsigned int i = 0; i < sizeof(m.payload); i++)
				((uint8_t *)&m.payload)[i] = (uint8_t)(rand() % 5 ? 0 : rand());
		else
			m.payload.state.num = (uint32_t)(rand() % 70);
		m.payload.state.index &= 0x1ff;
		for (unsigned int i = 0; i < m.nr_fds; i++)
			m.fds[i] = mem_fd;
		m.hdr = (struct vhost_user_header){ (uint32_t)(rand() % 44), NEED, size };
		if (vhost_user_send(sock, &m, 1000) || vhost_user_recv(sock, &m, 5000)) {
			close(sock);
			WAIT_FOR(atomic_load(&backend_ended) == 1);
			front_connect();
			begin((unsigned int)rand() % (ALL_STEPS + 1));
			ended++;
			continue;
		}
		vhost_user_msg_close(&m);
	}
	printf("# %u connections ended\n", ended);
	CHECK(ended > 10);
	front_tear_down();
}

/* ---- A back end that answers what it likes ---- */

enum answer {
	ANSWER_NOTHING, ANSWER_END, ANSWER_OTHER, ANSWER_SHORT, ANSWER_NO_REPLY, ANSWER_NO_VERSION,
	ANSWER_ONES, ANSWER_FDS, ANSWER_NR,
};

struct liar {
	int sock;
	unsigned int after;	/* good answers */
	enum answer how;
};

static void honest_answer(struct vhost_user_msg *m)
{
	uint32_t request = m->hdr.request, size = 8;

	vhost_user_msg_close(m);
	if (request == VHOST_USER_GET_CONFIG)
		size = m->hdr.size;
	else if (request == VHOST_USER_GET_INFLIGHT_FD)
		size = 24;
	else
		m->payload.u64 = 0;
	if (request == VHOST_USER_GET_FEATURES)
		m->payload.u64 = VIRTIO_FEATURE_VERSION_1 | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	if (request == VHOST_USER_GET_PROTOCOL_FEATURES)
		m->payload.u64 = ~0ULL;
	if (request == VHOST_USER_GET_QUEUE_NUM)
		m->payload.u64 = 1;
	if (request == VHOST_USER_GET_INFLIGHT_FD) {
		m->payload.inflight.mmap_size = 0x8000;
		m->fds[0] = memfd_create("liar", MFD_CLOEXEC);
		CHECK(!ftruncate(m->fds[0], 0x8000));
		m->nr_fds = 1;
	}
	m->hdr.size = size;
	m->hdr.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
}

static void lie(struct vhost_user_msg *m, enum answer how)
{
	switch (how) {
	case ANSWER_OTHER:
		m->hdr.request++;
		break;
	case ANSWER_SHORT:
		m->hdr.size = 3;
		break;
	case ANSWER_NO_REPLY:
		m->hdr.flags &= ~VHOST_USER_FLAG_REPLY;
		break;
	case ANSWER_NO_VERSION:
		m->hdr.flags = VHOST_USER_FLAG_REPLY;
		break;
	case ANSWER_ONES:
		memset(&m->payload, 0xff, sizeof(m->payload));
		break;
	case ANSWER_FDS:
		while (m->nr_fds < VHOST_USER_MAX_FDS)
			m->fds[m->nr_fds++] = eventfd(0, EFD_CLOEXEC);
		break;
	default:
		break;
	}
}

static void *liar_main(void *opaque)
{
	struct liar *l = opaque;
	struct vhost_user_msg m;
	unsigned int n = 0;

	while (!vhost_user_recv(l->sock, &m, 60000)) {
		bool get = m.hdr.request == VHOST_USER_GET_FEATURES ||
			   m.hdr.request == VHOST_USER_GET_PROTOCOL_FEATURES;

		if (!get && !(m.hdr.flags & VHOST_USER_FLAG_NEED_REPLY) &&
		    m.hdr.request != VHOST_USER_GET_QUEUE_NUM &&
		    m.hdr.request != VHOST_USER_GET_CONFIG &&
		    m.hdr.request != VHOST_USER_GET_INFLIGHT_FD &&
		    m.hdr.request != VHOST_USER_GET_VRING_BASE) {
			vhost_user_msg_close(&m);
			continue;
		}
		if (n == l->after && l->how == ANSWER_END) {
			vhost_user_msg_close(&m);
			break;
		}
		honest_answer(&m);
		if (n++ == l->after)
			lie(&m, l->how);
		vhost_user_send(l->sock, &m, 1000);
		vhost_user_msg_close(&m);
	}
	close(l->sock);
	return NULL;
}

static struct liar liar;
static pthread_t liar_thread;
static unsigned int liars;

/* The liar comes once; then nobody is there. */
static int connect_liar(void *opaque, int *res, struct hv_err *err)
{
	int sv[2];

	if (liars++)
		return hv_err_set(err, -ECONNREFUSED, "nobody is there");
	CHECK_EQ(vhost_user_socketpair(sv), 0);
	liar.sock = sv[0];
	*res = sv[1];
	return -pthread_create(&liar_thread, NULL, liar_main, &liar);
}

static void meet_liar(unsigned int after, enum answer how)
{
	const struct vhost_user_dev_config cfg = {
		.id = "front", .connect = connect_liar, .queues = 1,
	};
	unsigned int fds = open_fds();
	struct hv_err err = { 0 };
	struct virtio_dev *d = NULL;
	int ret;

	liar.after = after;
	liar.how = how;
	liars = 0;
	ret = vhost_user_blk_create(&cfg, &d, &err);
	CHECK(!ret || err.msg[0]);
	if (!ret) {
		drv_init_shared(&drv, d);
		drv_start(&drv, VIRTIO_FEATURE_VERSION_1, 1, 64);
		virtio_dev_pause(d);
		virtio_dev_resume(d);
		virtio_dev_destroy(d);
		drv_fini(&drv);
	}
	pthread_join(liar_thread, NULL);
	CHECK_EQ(open_fds(), fds);
}

static void survives_liars(void)
{
	test_catch_log();
	/* About as many answers are wanted until the device has been started and stopped. */
	for (unsigned int after = 0; after < 24; after++)
		for (enum answer how = ANSWER_END; how < ANSWER_NR; how++)
			meet_liar(after, how);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	TEST_RUN(refuses_bad_memory);
	TEST_RUN(adds_and_removes_memory);
	TEST_RUN(refuses_bad_queues);
	TEST_RUN(refuses_bad_features);
	TEST_RUN(refuses_bad_inflight);
	TEST_RUN(refuses_what_is_no_message);
	TEST_RUN(survives_an_end_anywhere);
	TEST_RUN(survives_anything);
	TEST_RUN(survives_liars);
	return TEST_EXIT();
}
