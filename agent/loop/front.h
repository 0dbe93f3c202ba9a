/*
 * front.h - foxproxy in the agent's eyes: does it run, and with the settings that it should?  What
 * is known of it comes with the helper's "running" (docs/internals/helper.md); the helper starts it
 * again when it ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct loop;

/* The condition ServiceRunning, where there is something to say about foxproxy; false: nothing. */
bool front_shows(struct loop *l);
/* It runs with the settings of digest, or is not wanted; false: problem says what it does. */
bool front_agrees(const struct loop *l, const char *digest, char *problem, size_t size);
