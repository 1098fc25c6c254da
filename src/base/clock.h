/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that reads a clock. Everything below the roles takes time as a parameter. */
#ifndef TR_BASE_CLOCK_H
#define TR_BASE_CLOCK_H

#include <stdint.h>

int64_t tr_now_ms(void);   /* wall clock, Unix milliseconds (UTC) */
int64_t tr_now_ns(void);   /* wall clock, Unix nanoseconds (UTC) */
uint64_t tr_mono_ms(void); /* CLOCK_BOOTTIME milliseconds: for intervals */
uint64_t tr_mono_ns(void); /* CLOCK_MONOTONIC nanoseconds: for durations */
uint64_t tr_boot_ns(void); /* CLOCK_BOOTTIME nanoseconds: tells a step of the wall clock from time that passed */

#endif
