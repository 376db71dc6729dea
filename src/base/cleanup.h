/* Cleanup attributes: what a function acquires it releases on every path, unless it is taken.
 *
 *	cleanup_close int fd = open(...);
 *	cleanup_free char *text = strdup(...);
 *	...
 *	*ret_fd = take_fd(&fd);         success: the caller owns it
 *	*ret_text = take_ptr(text);
 *
 * A type with a destructor declares `DEFINE_CLEANUP(struct job *, job_free)` after it and then uses
 * `cleanup(job_free)`. Destructors take NULL. The attribute is spelled __cleanup__ because `cleanup` is
 * the macro.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFINE_CLEANUP(type, fn) \
	static inline void fn##p(type *p) \
	{ \
		if (*p) \
			fn(*p); \
	}
#define cleanup(fn) __attribute__((__cleanup__(fn##p)))

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define cleanup_free __attribute__((__cleanup__(cleanup_freep)))
#define cleanup_close __attribute__((__cleanup__(cleanup_closep)))

#define take_ptr(p) \
	({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
