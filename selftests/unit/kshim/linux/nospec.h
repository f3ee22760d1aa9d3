/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nobody speculates against a unit test. */
#ifndef KSHIM_NOSPEC_H
#define KSHIM_NOSPEC_H

#define array_index_nospec(index, size)	((index) < (size) ? (index) : 0)

#endif
