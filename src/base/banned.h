/* SPDX-License-Identifier: Apache-2.0 */
/* Force-included into every C file: calls that have no safe use become compile errors. */
#ifndef TR_BASE_BANNED_H
#define TR_BASE_BANNED_H

/* System headers declare and sometimes use these: let them in first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* glibc has it as a macro, and poisoning a macro is a warning. */
#undef alloca
/* clang with _FORTIFY_SOURCE finds these as macros of glibc, and a macro cannot be poisoned. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok strtok_r atoi atol atoll gmtime localtime ctime system popen tmpnam mktemp alloca

#endif
