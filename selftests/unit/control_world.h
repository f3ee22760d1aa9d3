/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTROL_WORLD_H
#define CONTROL_WORLD_H

#include "../../vmm-user/control/runtime.h"
#include "../../vmm-user/machine.h"

/* What both ends of the control socket are tested with: a machine, and lines of the protocol. */

#define STATUS		"{\"execute\": \"query-status\"}"
#define BEGIN		"{\"execute\": \"qmp_capabilities\"}"

struct line {
	const char *text;
	size_t len;		/* a NUL may be inside */
};
#define LINE(s)	{ s, sizeof(s) - 1 }

/* Fill @line, of @len bytes with its end: @head, then @unit again and again, then @tail. */
void long_line(char *line, size_t len, const char *head, const char *unit, const char *tail);

/*
 * How often the machine's power button was pushed, which it hears the second time, its plug was
 * pulled, and it was paused and resumed.
 */
extern unsigned int machine_pushes, machine_quits, machine_pauses, machine_resumes, machine_resets;
/* What "running" is instead. */
extern const char *machine_status;
/* Whom the machine tells what happens to it; may be NULL. */
extern struct hvm_control *machine_control;
/* What the guest was told to keep; 0: it has no balloon. */
extern uint64_t machine_balloon;
/* It stands still because it is saved; what it was told to be saved to, "FILE force go-on". */
extern bool machine_is_held;
extern char machine_saved[128];
extern char machine_disk[64];	/* what was last done to a disk */

/* $XDG_RUNTIME_DIR from world_start() on. Both return 0 or -errno. */
extern char world_dir[];
int world_start(void);
/* Fails if a guest left something. */
int world_stop(void);

#endif
