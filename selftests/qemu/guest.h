/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of the QEMU tests: the only program of a Linux kernel without a disk. It says what kind
 * of machine it sees, line by line on the first serial port, and does what hv.mode= asks for.
 */
#ifndef HV_QEMU_GUEST_H
#define HV_QEMU_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A line on the console, in one write. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The first line of a file, without its end; empty if there is none. */
const char *first_line(const char *path);
/* CLOCK_MONOTONIC and the like, in nanoseconds. */
uint64_t clock_ns(int clock);

/* Everything a guest can see of its machine: lines "FACT NAME VALUE". */
void report_facts(void);

/* Keep memory, registers and clocks busy for ever, and check them: lines "BUSY …" and "BAD …". */
void busy(void);

#endif
