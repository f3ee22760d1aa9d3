// SPDX-License-Identifier: GPL-2.0-or-later
/* The 16550A: registers as drivers probe them, interrupts, both directions, a host that stalls. */
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>

#include "../../virtio-backends/io_thread.h"
#include "../../vmm-user/chardev.h"
#include "../../vmm-user/chipset/serial.h"
#include "unit_test.h"

#define PORT	0x3f8
#define GSI	4

static struct bus *pio;
static struct hv_io_thread *io;
static struct hvm_serial *serial;
static int to_guest[2], from_guest[2];
static atomic_bool line;
static atomic_uint line_changes;
static struct hv_err err;

int hvm_irq_line(struct hvm_vm *vm, unsigned int gsi, bool level)
{
	CHECK_EQ(gsi, GSI);
	CHECK(atomic_load(&line) != level);
	atomic_store(&line, level);
	atomic_fetch_add(&line_changes, 1);
	return 0;
}

static uint8_t in(unsigned int reg)
{
	return (uint8_t)bus_read(pio, PORT + reg, 1);
}

static void out(unsigned int reg, uint8_t v)
{
	bus_write(pio, PORT + reg, 1, v);
}

static void set_up_with(bool drop, size_t (*filter)(void *, uint8_t *, size_t), void *opaque)
{
	struct hvm_serial_config cfg = {
		.port = PORT, .gsi = GSI, .drop = drop, .filter = filter, .opaque = opaque,
	};

	atomic_store(&line, false);
	pio = bus_create(BUS_PIO);
	CHECK_EQ(hv_io_thread_start("test-io", &io), 0);
	CHECK_EQ(pipe2(to_guest, O_NONBLOCK), 0);
	CHECK_EQ(pipe2(from_guest, O_NONBLOCK), 0);
	cfg.pio = pio;
	cfg.loop = hv_io_thread_loop(io);
	cfg.in_fd = to_guest[0];
	cfg.out_fd = from_guest[1];
	CHECK_EQ(hvm_serial_create(&cfg, &serial, &err), 0);
}

static void set_up(void)
{
	set_up_with(false, NULL, NULL);
}

static void tear_down(void)
{
	hvm_serial_destroy(serial);
	hv_io_thread_stop(io);
	bus_destroy(pio);
	for (int i = 0; i < 2; i++) {
		close(to_guest[i]);
		close(from_guest[i]);
	}
}

static void type(const char *s)
{
	CHECK_EQ(write(to_guest[1], s, strlen(s)), strlen(s));
}

/* Read what the guest sent until @len bytes are there. */
static void expect_output(const char *want, size_t len)
{
	char buf[256] = "";
	size_t n = 0;

	for (int i = 0; i < 5000 && n < len; i++) {
		ssize_t r = read(from_guest[0], buf + n, sizeof(buf) - 1 - n);

		if (r > 0)
			n += (size_t)r;
		else
			usleep(1000);
	}
	CHECK_EQ(n, len);
	CHECK(!memcmp(buf, want, len));
}

/* As Linux' 8250 driver finds out what it has. */
static void test_probe(void)
{
	set_up();
	out(UART_IER, 0);
	CHECK_EQ(in(UART_IER), 0);
	out(UART_IER, 0xff);
	CHECK_EQ(in(UART_IER), 0x0f);
	out(UART_IER, 0);
	out(UART_SCR, 0xa5);
	CHECK_EQ(in(UART_SCR), 0xa5);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	CHECK_EQ(in(UART_IIR) >> 6, 3);		/* a 16550A */
	out(UART_FCR, 0);
	CHECK_EQ(in(UART_IIR) >> 6, 0);
	out(UART_LCR, UART_LCR_DLAB);
	CHECK_EQ(in(UART_DLL) | in(UART_DLM) << 8, 12);
	out(UART_DLL, 0x34);
	out(UART_DLM, 0x12);
	CHECK_EQ(in(UART_DLL) | in(UART_DLM) << 8, 0x1234);
	out(UART_LCR, 3);
	CHECK_EQ(in(UART_LCR), 3);
	CHECK_EQ(in(UART_IER), 0);	/* the divisor was not the enable register */
	CHECK_EQ(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	CHECK_EQ(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	tear_down();
}

static void test_loopback(void)
{
	set_up();
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	CHECK_EQ(in(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT1);
	CHECK_EQ(in(UART_MSR), UART_MSR_DSR | UART_MSR_RI | UART_MSR_DDCD | UART_MSR_DCTS |
			       UART_MSR_DDSR);
	CHECK_EQ(in(UART_MSR), UART_MSR_DSR | UART_MSR_RI);	/* reading clears the changes */
	out(UART_TX, 'x');
	CHECK(in(UART_LSR) & UART_LSR_DR);
	CHECK_EQ(in(UART_RX), 'x');
	CHECK(!(in(UART_LSR) & UART_LSR_DR));
	out(UART_TX, 'y');
	out(UART_TX, 'z');	/* without FIFOs the second one is too much */
	CHECK(in(UART_LSR) & UART_LSR_OE);
	CHECK(!(in(UART_LSR) & UART_LSR_OE));
	out(UART_MCR, 0);
	CHECK_EQ(in(UART_MSR) & UART_MSR_TERI, UART_MSR_TERI);	/* the ring ended */
	tear_down();
}

static void test_output(void)
{
	set_up();
	for (const char *s = "hello"; *s; s++) {
		CHECK(in(UART_LSR) & UART_LSR_THRE);
		out(UART_TX, (uint8_t)*s);
	}
	expect_output("hello", 5);
	/* Wider accesses are as many narrow ones: TX, then IER. */
	bus_write(pio, PORT, 2, 0x0a21);
	expect_output("!", 1);
	CHECK_EQ(in(UART_IER), 0x0a);
	tear_down();
}

/* Destroying writes what is still in the buffer. */
static void test_last_words(void)
{
	char buf[16];

	set_up();
	for (const char *s = "power down"; *s; s++)
		out(UART_TX, (uint8_t)*s);
	hvm_serial_destroy(serial);
	CHECK_EQ(read(from_guest[0], buf, sizeof(buf)), 10);
	CHECK(!memcmp(buf, "power down", 10));
	serial = NULL;
	tear_down();
}

static void test_transmit_interrupt(void)
{
	set_up();
	out(UART_MCR, UART_MCR_OUT2);
	CHECK(!atomic_load(&line));
	out(UART_IER, UART_IER_THRI);
	CHECK(atomic_load(&line));	/* empty already */
	CHECK_EQ(in(UART_IIR), UART_IIR_THRI);
	CHECK(!atomic_load(&line));	/* reading is the answer */
	CHECK_EQ(in(UART_IIR), UART_IIR_NO_INT);
	out(UART_TX, 'a');
	CHECK(atomic_load(&line));
	CHECK_EQ(in(UART_IIR), UART_IIR_THRI);
	out(UART_IER, 0);
	CHECK(!atomic_load(&line));
	out(UART_MCR, 0);		/* without OUT2 nothing reaches the line */
	out(UART_IER, UART_IER_THRI);
	CHECK(!atomic_load(&line));
	CHECK_EQ(in(UART_IIR), UART_IIR_THRI);
	tear_down();
}

static void test_receive(void)
{
	set_up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_4);
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_RDI);
	type("ab");
	WAIT_FOR(atomic_load(&line));
	CHECK_EQ(in(UART_IIR) & 0x0f, 0x0c);	/* fewer than the trigger: time-out */
	CHECK_EQ(in(UART_RX), 'a');
	CHECK_EQ(in(UART_RX), 'b');
	CHECK(!atomic_load(&line));
	CHECK_EQ(in(UART_IIR) & 0x0f, UART_IIR_NO_INT);
	type("cdef");
	WAIT_FOR((in(UART_IIR) & 0x0f) == UART_IIR_RDI);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	CHECK(!(in(UART_LSR) & UART_LSR_DR));
	CHECK(!atomic_load(&line));
	tear_down();
}

/* More input than fits waits at the host, and nothing is lost. */
static void test_receive_much(void)
{
	char text[1001];

	for (int i = 0; i < 1000; i++)
		text[i] = (char)('a' + i % 26);
	text[1000] = '\0';
	for (int fifo = 0; fifo < 2; fifo++) {
		set_up();
		out(UART_FCR, fifo ? UART_FCR_ENABLE_FIFO : 0);
		type(text);
		for (int i = 0; i < 1000; i++) {
			for (int n = 0; n < 5000 && !(in(UART_LSR) & UART_LSR_DR); n++)
				usleep(100);
			if (in(UART_RX) != (uint8_t)text[i]) {
				CHECK(!"a byte is wrong");
				break;
			}
		}
		CHECK(!(in(UART_LSR) & UART_LSR_OE));
		tear_down();
	}
}

/* A host that does not read: the transmitter fills up, and goes on when it reads again. */
static void test_stalled_output(void)
{
	static char buf[1 << 20];
	unsigned int sent = 0;
	size_t got = 0;

	set_up();
	out(UART_MCR, UART_MCR_OUT2);
	for (int quiet = 0; quiet < 200;) {
		if (in(UART_LSR) & UART_LSR_THRE) {
			out(UART_TX, (uint8_t)sent++);
			quiet = 0;
		} else {
			quiet++;
			usleep(1000);
		}
		if (sent > sizeof(buf) / 2)
			break;
	}
	CHECK(sent > 4096 && sent < sizeof(buf) / 2);
	out(UART_IER, UART_IER_THRI);
	CHECK(!atomic_load(&line));		/* not empty */
	while (got < sent) {
		ssize_t n = read(from_guest[0], buf + got, sizeof(buf) - got);

		if (n > 0)
			got += (size_t)n;
		else
			usleep(1000);
	}
	for (unsigned int i = 0; i < sent; i++)
		if ((uint8_t)buf[i] != (uint8_t)i) {
			CHECK(!"a byte is wrong");
			break;
		}
	WAIT_FOR(atomic_load(&line));
	tear_down();
}

/* A pseudo-terminal without a reader must not stop the guest. */
static void test_dropped_output(void)
{
	set_up_with(true, NULL, NULL);
	for (int i = 0; i < 200000; i++) {
		for (int n = 0; n < 5000 && !(in(UART_LSR) & UART_LSR_THRE); n++)
			usleep(100);
		out(UART_TX, 'x');
	}
	WAIT_FOR(in(UART_LSR) & UART_LSR_THRE);
	tear_down();
}

static void test_break(void)
{
	set_up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_RLSI);
	hvm_serial_send_break(serial);
	CHECK(atomic_load(&line));
	CHECK_EQ(in(UART_IIR) & 0x0f, UART_IIR_RLSI);
	CHECK(in(UART_LSR) & UART_LSR_BI);
	CHECK(!atomic_load(&line));
	CHECK_EQ(in(UART_RX), 0);
	tear_down();
}

static void test_input_ends(void)
{
	set_up();
	type("z");
	close(to_guest[1]);
	to_guest[1] = open("/dev/null", O_WRONLY);
	WAIT_FOR(in(UART_LSR) & UART_LSR_DR);
	CHECK_EQ(in(UART_RX), 'z');
	/* And the other side closes: output goes nowhere, but the guest goes on. */
	signal(SIGPIPE, SIG_IGN);
	close(from_guest[0]);
	from_guest[0] = open("/dev/null", O_RDONLY);
	for (int i = 0; i < 20000; i++)
		out(UART_TX, 'q');
	WAIT_FOR(in(UART_LSR) & UART_LSR_THRE);
	tear_down();
}

static void test_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;

	set_up();
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	out(UART_LCR, 3);
	out(UART_SCR, 0x77);
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_RDI | UART_IER_MSI);
	type("state");
	WAIT_FOR(atomic_load(&line));
	usleep(20000);
	hv_state_writer_init(&w);
	hvm_serial_save(serial, &w);
	hvm_serial_reset(serial);
	CHECK_EQ(in(UART_SCR), 0);
	CHECK(!(in(UART_LSR) & UART_LSR_DR));
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hvm_serial_load(serial, &r, &err), 0);
	CHECK_EQ(in(UART_SCR), 0x77);
	CHECK_EQ(in(UART_IER), UART_IER_RDI | UART_IER_MSI);
	CHECK_EQ(in(UART_LCR), 3);
	atomic_store(&line, true);	/* as the interrupt controller's state has it */
	for (const char *s = "state"; *s; s++)
		CHECK_EQ(in(UART_RX), *s);
	for (size_t i = 0; i < w.len; i++) {	/* damage is noticed */
		w.buf[i] ^= 0x40;
		hv_state_reader_init(&r, w.buf, w.len);
		CHECK(hvm_serial_load(serial, &r, &err) < 0);
		w.buf[i] ^= 0x40;
	}
	hv_state_writer_free(&w);
	tear_down();
}

/* ---- Escape keys ---- */

static char keys[64];
static unsigned int nr_keys;

static void escape_fn(void *opaque, enum hvm_escape key)
{
	keys[nr_keys++ % sizeof(keys)] = (char)('0' + key);
	keys[nr_keys % sizeof(keys)] = '\0';
}

static void check_filter(struct hvm_escape_state *st, const char *text, const char *rest,
			 const char *escapes)
{
	uint8_t buf[64];
	size_t len = strlen(text);

	nr_keys = 0;
	keys[0] = '\0';
	memcpy(buf, text, len);
	len = hvm_escape_filter(st, buf, len);
	CHECK_EQ(len, strlen(rest));
	CHECK(!memcmp(buf, rest, len));
	CHECK_STR(keys, escapes);
}

static void test_escapes(void)
{
	struct hvm_escape_state st = { .fn = escape_fn };

	check_filter(&st, "plain", "plain", "");
	check_filter(&st, "a\1xb", "ab", "0");
	check_filter(&st, "\1h\1?\1p\1r\1b", "", "11234");
	check_filter(&st, "\1\1", "\1", "");
	check_filter(&st, "\1zx", "zx", "");
	check_filter(&st, "end\1", "end", "");
	check_filter(&st, "x", "", "0");
	check_filter(&st, "x", "x", "");
}

/* ---- The terminal ---- */

static bool same_mode(int tty, const struct termios *want)
{
	struct termios now;

	return !tcgetattr(tty, &now) && now.c_iflag == want->c_iflag &&
	       now.c_oflag == want->c_oflag && now.c_cflag == want->c_cflag &&
	       now.c_lflag == want->c_lflag && !memcmp(now.c_cc, want->c_cc, sizeof(now.c_cc));
}

/* In a process whose standard input and output are the terminal. */
static int use_terminal(int tty, const struct termios *before, bool in_handler)
{
	const struct hvm_chardev_config cfg = { .kind = HVM_CHARDEV_STDIO };
	struct hvm_chardev c;
	int flags;

	if (dup2(tty, STDIN_FILENO) < 0 || dup2(tty, STDOUT_FILENO) < 0)
		return 10;
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (hvm_chardev_open(&c, &cfg, NULL))
		return 11;
	if (same_mode(tty, before))
		return 12;	/* it is not raw */
	if (!(fcntl(c.in_fd, F_GETFL) & O_NONBLOCK) || !(fcntl(c.out_fd, F_GETFL) & O_NONBLOCK))
		return 13;
	if (fcntl(STDOUT_FILENO, F_GETFL) != flags)
		return 14;	/* the shell's own descriptors changed */
	if (in_handler)
		hvm_tty_restore();
	else
		hvm_chardev_close(&c);
	return same_mode(tty, before) ? 0 : 15;
}

static void test_terminal(void)
{
	for (int in_handler = 0; in_handler < 2; in_handler++) {
		int master = posix_openpt(O_RDWR | O_NOCTTY), tty, status;
		struct termios before;
		char path[64];
		pid_t pid;

		CHECK(master >= 0 && !grantpt(master) && !unlockpt(master));
		CHECK_EQ(ptsname_r(master, path, sizeof(path)), 0);
		tty = open(path, O_RDWR | O_NOCTTY);
		CHECK_EQ(tcgetattr(tty, &before), 0);
		fflush(stdout);
		pid = fork();
		if (!pid)
			_exit(use_terminal(tty, &before, in_handler));
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		close(tty);
		close(master);
	}
}

static void test_pty_and_file(void)
{
	struct hvm_chardev_config cfg = { .kind = HVM_CHARDEV_PTY };
	char path[] = "/tmp/hvm-serial-XXXXXX", buf[8];
	struct hvm_chardev c;
	int fd;

	CHECK_EQ(hvm_chardev_open(&c, &cfg, &err), 0);
	fd = open(c.pty_path, O_RDWR | O_NOCTTY);
	CHECK(fd >= 0);
	CHECK_EQ(write(c.out_fd, "a\nb", 3), 3);
	CHECK_EQ(read(fd, buf, sizeof(buf)), 3);	/* raw: no \r comes in between */
	CHECK(!memcmp(buf, "a\nb", 3));
	CHECK_EQ(write(fd, "\003", 1), 1);
	buf[0] = 0;
	WAIT_FOR(buf[0] == 3 || read(c.in_fd, buf, sizeof(buf)) == 1);
	CHECK_EQ(buf[0], 3);
	close(fd);
	CHECK_EQ(write(c.out_fd, "x", 1), 1);	/* nobody attached: no error either */
	hvm_chardev_close(&c);

	CHECK((fd = mkstemp(path)) >= 0);
	CHECK_EQ(write(fd, "old ", 4), 4);
	cfg = (struct hvm_chardev_config){ .kind = HVM_CHARDEV_FILE, .path = path };
	CHECK_EQ(hvm_chardev_open(&c, &cfg, &err), 0);
	CHECK_EQ(c.in_fd, -1);
	CHECK_EQ(write(c.out_fd, "new", 3), 3);
	CHECK_EQ(pread(fd, buf, sizeof(buf), 0), 7);
	hvm_chardev_close(&c);
	close(fd);
	unlink(path);
	cfg.path = "/nonexistent/dir/file";
	CHECK_EQ(hvm_chardev_open(&c, &cfg, &err), -ENOENT);
	CHECK(strstr(err.msg, cfg.path));
}

int main(void)
{
	TEST_RUN(test_terminal);
	TEST_RUN(test_pty_and_file);

	TEST_RUN(test_probe);
	TEST_RUN(test_loopback);
	TEST_RUN(test_output);
	TEST_RUN(test_last_words);
	TEST_RUN(test_transmit_interrupt);
	TEST_RUN(test_receive);
	TEST_RUN(test_receive_much);
	TEST_RUN(test_stalled_output);
	TEST_RUN(test_dropped_output);
	TEST_RUN(test_break);
	TEST_RUN(test_input_ends);
	TEST_RUN(test_state);
	TEST_RUN(test_escapes);
	return TEST_EXIT();
}
