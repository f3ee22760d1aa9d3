// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands of the control socket that do something; see commands.h. */
#include "commands.h"

#include <errno.h>

#include "../machine.h"

QMP_HANDLER(qmp_stop)
{
	hvm_machine_pause(m);
	return json_object();
}

QMP_HANDLER(qmp_cont)
{
	if (hvm_machine_held(m)) {
		hv_err_set(err, -EBUSY, "it is being saved");
		return NULL;
	}
	hvm_machine_resume(m);
	return json_object();
}

QMP_HANDLER(qmp_system_powerdown)
{
	hvm_machine_power_button(m);
	return json_object();
}

QMP_HANDLER(qmp_system_reset)
{
	hvm_machine_reset(m);
	return json_object();
}

QMP_HANDLER(qmp_quit)
{
	hvm_machine_quit(m);
	return json_object();
}

/* As QEMU has it: what the guest keeps, not what is in the balloon. */
QMP_HANDLER(qmp_balloon)
{
	json_int_t value = json_integer_value(json_object_get(arguments, "value"));

	return hvm_machine_balloon(m, (uint64_t)value, err) ? NULL : json_object();
}

QMP_HANDLER(qmp_hv_save)
{
	const char *file = json_string_value(json_object_get(arguments, "file"));
	bool force = json_is_true(json_object_get(arguments, "force"));
	bool go_on = json_is_true(json_object_get(arguments, "go-on"));

	return hvm_machine_save(m, file, force, go_on, err) ? NULL : json_object();
}

QMP_HANDLER(qmp_hv_balloon_trim)
{
	return hvm_machine_balloon_trim(m, err) ? NULL : json_object();
}
