/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_SCHEMA_H
#define HVM_CONTROL_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../virtio-backends/util/err.h"

/*
 * What the control socket understands, as data: the table in table.c says of each command and event
 * what goes in and what comes out. Arguments are checked against it before a handler sees them, and
 * query-qmp-schema, query-commands and Documentation/qmp.rst are made of it.
 */
struct hvm_machine;

enum qmp_kind { QMP_INT, QMP_NUMBER, QMP_BOOL, QMP_STR, QMP_ANY, QMP_ENUM, QMP_OBJECT, QMP_ARRAY };

struct qmp_type {
	enum qmp_kind kind;
	const char *name;	/* NULL: an array */
	const char *const *values;	/* ENUM; ends with NULL */
	const struct qmp_member *members;	/* OBJECT; ends with one without a name */
	const struct qmp_type *of;	/* ARRAY */
};

struct qmp_member {
	const char *name;
	const struct qmp_type *type;
	const char *doc;	/* one line */
	bool optional;
	int64_t min, max;	/* INT: the range, STR: of the length; both 0: any */
};

/* Built in, and what is made of them. */
extern const struct qmp_type qmp_int, qmp_number, qmp_bool, qmp_str, qmp_any;

/*
 * What a command returns, or NULL and the error. The class of the error is DeviceNotActive for
 * -ENODEV, DeviceNotFound for -ENOENT, else GenericError. Runs on the machine's loop.
 */
typedef json_t *(*qmp_handler)(struct hvm_machine *m, const json_t *arguments, struct hv_err *err);

struct qmp_command {
	const char *name;
	const char *doc;
	const struct qmp_member *arguments;	/* NULL: none */
	const struct qmp_type *returns;		/* NULL: an empty object */
	const char *errors;			/* when it fails; NULL: never */
	qmp_handler run;			/* NULL: the server's own business */
};

struct qmp_event {
	const char *name;
	const char *doc;
	const struct qmp_member *data;		/* NULL: none */
	unsigned int limit_ms;	/* at most one in this time, the last one wins; 0: no limit */
};

/* table.c; both end with an entry without a name. */
extern const struct qmp_command qmp_commands[];
extern const struct qmp_event qmp_events[];

/*
 * Is @value, which may be NULL, an object of these members and no others? 0, or -EINVAL and a
 * message that begins with @what.
 */
int qmp_check_members(const struct qmp_member *members, const json_t *value, const char *what,
		      struct hv_err *err);
int qmp_check_value(const struct qmp_type *type, const json_t *value, const char *what,
		    struct hv_err *err);

/* What query-qmp-schema and query-commands return; NULL: out of memory. */
json_t *qmp_schema_json(void);
json_t *qmp_commands_json(void);
/* Documentation/qmp.rst, allocated; NULL: out of memory. */
char *qmp_reference(void);

#endif
