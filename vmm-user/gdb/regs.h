/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_GDB_REGS_H
#define HVM_GDB_REGS_H

#include "target.h"

/*
 * Registers by gdb's numbers. The first GDB_REGS_G make up the packets g and G, in the layout that
 * a gdb without XML expects of x86-64; the others are asked for one by one.
 */
#define GDB_REGS_G	57
#define GDB_REG_PC	16
#define GDB_REG_MAX	16	/* bytes */

/* Length in bytes, 0: there is no such register. */
size_t gdb_reg_size(unsigned int n);
/* Copy it, little endian; returns the length. */
size_t gdb_reg_get(const struct gdb_cpu *cpu, unsigned int n, uint8_t buf[GDB_REG_MAX]);
size_t gdb_reg_set(struct gdb_cpu *cpu, unsigned int n, const uint8_t buf[GDB_REG_MAX]);
/* The description that gdb asks for, target.xml; static. */
const char *gdb_target_xml(void);

#endif
