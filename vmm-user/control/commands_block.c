// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands of the control socket that change disks. The table has checked their arguments. */
#include <errno.h>
#include <string.h>

#include "../machine.h"
#include "commands.h"

static const char *string(const json_t *arguments, const char *key)
{
	return json_string_value(json_object_get(arguments, key));
}

json_t *qmp_block_resize(struct hvm_machine *m, const json_t *arguments, struct hv_err *err)
{
	uint64_t size = (uint64_t)json_integer_value(json_object_get(arguments, "size"));

	return hvm_machine_disk_resize(m, string(arguments, "device"), size, err) ? NULL :
	       json_object();
}

json_t *qmp_snapshot_internal(struct hvm_machine *m, const json_t *arguments, struct hv_err *err)
{
	return hvm_machine_disk_snapshot(m, string(arguments, "device"), BLK_SNAPSHOT_CREATE,
					 string(arguments, "name"), err) ? NULL : json_object();
}

json_t *qmp_snapshot_delete_internal(struct hvm_machine *m, const json_t *arguments,
				     struct hv_err *err)
{
	return hvm_machine_disk_snapshot(m, string(arguments, "device"), BLK_SNAPSHOT_DELETE,
					 string(arguments, "name"), err) ? NULL : json_object();
}

json_t *qmp_snapshot_external(struct hvm_machine *m, const json_t *arguments, struct hv_err *err)
{
	return hvm_machine_disk_overlay(m, string(arguments, "device"),
					string(arguments, "snapshot-file"), err) ? NULL :
	       json_object();
}
