/* rand.h - all randomness: the kernel's, through one function.  Aborts when the kernel has none to give. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *buf, size_t n);
uint64_t rand_below(uint64_t limit); /* uniform in 0..limit-1; limit > 0 */

enum { UUID_TEXT_SIZE = 37 };
/* A new UUIDv7 (RFC 9562): time-ordered, lower case. */
void uuid7(char buf[UUID_TEXT_SIZE]);
/* 8-4-4-4-12 lower-case hexadecimal digits? */
_Bool uuid_is_valid(const char *s);
