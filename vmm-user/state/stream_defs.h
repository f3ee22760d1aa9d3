/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_STREAM_DEFS_H
#define HVM_STREAM_DEFS_H

/* Sections that belong to the stream itself: Documentation/state.rst. */
#define STREAM_START		"hv-state"
#define STREAM_PAD		"pad"
#define STREAM_PAD_VERSION	1
#define STREAM_RAM		"ram"
#define STREAM_RAM_VERSION	1
#define STREAM_SUMS		"ram-sums"
#define STREAM_SUMS_VERSION	1
#define STREAM_END		"end"
#define STREAM_END_VERSION	1

#endif
