/*
 * json_in.h - the only way foreign JSON enters a program of ours (security.md 0.5): duplicates are refused, the top
 * level is an object or an array, size, depth and number of values are bounded before and while parsing.
 * jansson's words: new reference, borrowed, steals.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <jansson.h>

enum { JSON_IN_DEPTH_MAX = 32 };

static inline void json_free(json_t *j)
{
    json_decref(j);
}
DEFINE_CLEANUP(json_t, json_free);

/* Parse at most max bytes.  *ret: new reference.  ERR_TOO_LARGE, ERR_MALFORMED (line and column in the message),
 * ERR_NO_MEMORY: nothing is ever taken over in part. */
MUST_USE enum err_code json_in_parse(struct slice text, size_t max, json_t **ret, struct err *e);
/* json_dumps() that never gives a text with something missing: heap; NULL: out of memory (or not a text of its own). */
MUST_USE char *json_text(const json_t *j, size_t flags);
/* How many of jansson's allocations failed in this thread.  Whoever builds a document with many json_object_set_new() asks
 * before and after: the same number means that nothing is missing in it. */
uint64_t json_failures(void);
/* Text of our own (a table of the program, a column of the database), any value.  New reference; NULL: out of memory. */
MUST_USE json_t *json_in_own(const char *text);

/*
 * Decode an object by a table of fields (style: systemd JsonDispatch): bounds live in the table, unknown members are
 * refused unless JD_ALLOW_UNKNOWN is given for the object, and the error names the member by its JSON pointer.
 * Strings and objects stored are BORROWED from the json_t.
 */
enum jdec_kind {
    JD_KIND_STR,    /* const char *, min..max bytes, text without control characters */
    JD_KIND_INT,    /* int64_t, min..max */
    JD_KIND_BOOL,   /* bool */
    JD_KIND_OBJECT, /* json_t *, borrowed */
    JD_KIND_ARRAY,  /* json_t *, borrowed, at most max entries */
    JD_KIND_ANY,    /* json_t *, borrowed */
    JD_KIND_UUID,   /* const char *, a UUID in lower case */
    JD_KIND_TIME,   /* int64_t ms since the epoch, from RFC 3339 */
    JD_KIND_ENUM,   /* int, index into names */
};
enum jdec_flags { JD_REQUIRED = 1, JD_NULL_OK = 2 };

struct jdec_field {
    const char *name;
    enum jdec_kind kind;
    size_t offset;
    unsigned flags;
    int64_t min, max;
    const char *const *names; /* NULL-terminated, JD_KIND_ENUM */
};

#define JDEC_STR(type, member, flags, min, max) {#member, JD_KIND_STR, offsetof(type, member), flags, min, max, NULL}
#define JDEC_INT(type, member, flags, min, max) {#member, JD_KIND_INT, offsetof(type, member), flags, min, max, NULL}
#define JDEC_BOOL(type, member, flags) {#member, JD_KIND_BOOL, offsetof(type, member), flags, 0, 0, NULL}
#define JDEC_OBJECT(type, member, flags) {#member, JD_KIND_OBJECT, offsetof(type, member), flags, 0, 0, NULL}
#define JDEC_ARRAY(type, member, flags, max) {#member, JD_KIND_ARRAY, offsetof(type, member), flags, 0, max, NULL}
#define JDEC_ANY(type, member, flags) {#member, JD_KIND_ANY, offsetof(type, member), flags, 0, 0, NULL}
#define JDEC_UUID(type, member, flags) {#member, JD_KIND_UUID, offsetof(type, member), flags, 0, 0, NULL}
#define JDEC_TIME(type, member, flags) {#member, JD_KIND_TIME, offsetof(type, member), flags, 0, 0, NULL}
#define JDEC_ENUM(type, member, flags, names) {#member, JD_KIND_ENUM, offsetof(type, member), flags, 0, 0, names}
#define JDEC_END {NULL, JD_KIND_ANY, 0, 0, 0, 0, NULL}

enum jdec_unknown { JD_REFUSE_UNKNOWN, JD_ALLOW_UNKNOWN };

/* object must be an object (else ERR_INVALID at pointer).  Members that are absent leave the target untouched.
 * at: pointer prefix for errors, "" for the top. */
MUST_USE enum err_code jdec_object(const json_t *object, const struct jdec_field *fields, enum jdec_unknown unknown,
                                   const char *at, void *target, struct err *e);

/* Borrowed string member, or fallback. */
const char *json_str(const json_t *object, const char *name, const char *fallback);
int64_t json_int(const json_t *object, const char *name, int64_t fallback);
bool json_bool(const json_t *object, const char *name, bool fallback);

/* The canonical text of a value: keys sorted, no blanks, UTF-8.  Heap string; NULL without memory.  Two equal values
 * have one text: what digests are made over. */
MUST_USE char *json_canonical(const json_t *j);
/* SHA-256 of that text in hexadecimal; false without memory. */
MUST_USE bool json_digest(const json_t *j, char out[65]);

/* RFC 7396: apply patch (borrowed) to *target (owned reference, may be replaced). */
MUST_USE enum err_code json_merge_patch(json_t **target, const json_t *patch, struct err *e);
/* "/a~1b/0" of a member of a pointer, into buf. */
void json_pointer_add(char *buf, size_t size, const char *at, const char *member);
