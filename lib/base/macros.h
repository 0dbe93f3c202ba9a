/*
 * macros.h - what every file of ours may use: cleanup on leaving a scope, checked results, sizes.
 */
#pragma once

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
/* A large local that is filled before it is read: the release build would set each byte of it to zero first
 * (-ftrivial-auto-var-init), which shows where it happens with every request. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#ifndef UNINITIALIZED
#define UNINITIALIZED
#endif
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* DEFINE_CLEANUP(struct x, x_free) once in the header; then  AUTO(x_free) struct x *p = ...;
 * frees p when its scope ends, and  return TAKE(p);  hands it out instead. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
    static inline void fn##_p(type **p)                                                            \
    {                                                                                              \
        fn(*p);                                                                                    \
        *p = NULL;                                                                                 \
    }                                                                                              \
    struct inari_swallow_semicolon
#define AUTO(fn) __attribute__((cleanup(fn##_p)))
#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })

/* AUTO_FD int fd = open(...): closed at the end of the scope when not negative. */
void fd_close_p(int *fd);
#define AUTO_FD __attribute__((cleanup(fd_close_p)))
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int take_ = (fd);                                                                          \
        (fd) = -1;                                                                                 \
        take_;                                                                                     \
    })

/* AUTO_STR char *s: free()d at the end of the scope. */
void str_free_p(char **s);
#define AUTO_STR __attribute__((cleanup(str_free_p)))
