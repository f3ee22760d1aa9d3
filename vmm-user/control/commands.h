/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_COMMANDS_H
#define HVM_CONTROL_COMMANDS_H

#include "schema.h"

/* Handlers of the table in table.c; those that only ask are in commands_query.c. */
#define QMP_HANDLER(name) \
	json_t *name(struct hvm_machine *m, const json_t *arguments, struct hv_err *err)

QMP_HANDLER(qmp_balloon);
QMP_HANDLER(qmp_block_resize);
QMP_HANDLER(qmp_cont);
QMP_HANDLER(qmp_hv_balloon_info);
QMP_HANDLER(qmp_hv_balloon_trim);
QMP_HANDLER(qmp_hv_info);
QMP_HANDLER(qmp_hv_query_save);
QMP_HANDLER(qmp_hv_save);
QMP_HANDLER(qmp_hv_stats);
QMP_HANDLER(qmp_query_balloon);
QMP_HANDLER(qmp_query_block);
QMP_HANDLER(qmp_query_blockstats);
QMP_HANDLER(qmp_query_chardev);
QMP_HANDLER(qmp_query_commands);
QMP_HANDLER(qmp_query_cpus_fast);
QMP_HANDLER(qmp_query_kvm);
QMP_HANDLER(qmp_query_name);
QMP_HANDLER(qmp_query_schema);
QMP_HANDLER(qmp_query_status);
QMP_HANDLER(qmp_query_target);
QMP_HANDLER(qmp_query_uuid);
QMP_HANDLER(qmp_query_version);
QMP_HANDLER(qmp_quit);
QMP_HANDLER(qmp_snapshot_delete_internal);
QMP_HANDLER(qmp_snapshot_external);
QMP_HANDLER(qmp_snapshot_internal);
QMP_HANDLER(qmp_stop);
QMP_HANDLER(qmp_system_powerdown);
QMP_HANDLER(qmp_system_reset);

/* Also part of the greeting. */
json_t *qmp_version_json(void);

#endif
