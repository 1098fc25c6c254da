/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership on locals: tr_auto(x_free) frees on scope exit, TR_TAKE hands out. */
#ifndef TR_BASE_OWN_H
#define TR_BASE_OWN_H

#include <stdlib.h>
#include <unistd.h>

#define tr_auto(fn) __attribute__((cleanup(fn##_autop)))

/* Declares the cleanup wrapper of a destructor that takes NULL and returns NULL. */
#define TR_DEFINE_AUTO(type, fn)                                                                           \
	static inline __attribute__((unused)) void fn##_autop(type *p)                                     \
	{                                                                                                  \
		if (*p)                                                                                    \
			(void)fn(*p);                                                                      \
	}

/* The same for structs that live on the stack and are emptied by address. */
#define TR_DEFINE_AUTO_DONE(type, fn)                                                                      \
	static inline __attribute__((unused)) void fn##_autop(type *p) { fn(p); }

#define TR_TAKE(p)                                                                                         \
	__extension__({                                                                                    \
		__typeof__(p) taken_ = (p);                                                                \
		(p) = NULL;                                                                                \
		taken_;                                                                                    \
	})

static inline void *tr_free(void *p)
{
	free(p);
	return NULL;
}

static inline __attribute__((unused)) void tr_free_autop(void *p)
{
	free(*(void **)p);
}

static inline int tr_close(int fd)
{
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

static inline __attribute__((unused)) void tr_close_autop(int *fd)
{
	(void)tr_close(*fd);
}

#define TR_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define TR_PRINTF(f, a) __attribute__((format(printf, f, a)))

#endif
