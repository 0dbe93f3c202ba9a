#include "domain/audit.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/audit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AUDIT_PAGE_ARENA = 64 * 1024 * 1024
}; /* 1000 entries, each with a diff of at most a bulk list */

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static json_t *row_to_json(const struct audit_row *row)
{
    char at[CLOCK_TEXT_SIZE];

    clock_format(row->at_ms, at);
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:O}", "seq", (json_int_t)row->seq, "at", at,
                     "actor_kind", row->actor_kind, "actor", row->actor, "address", row->address,
                     "action", row->action, "object", row->object, "detail", row->detail);
}

/* What the chain covers: every column but the two hashes. */
static bool chain_hash(const struct audit_row *row, unsigned char out[SHA256_SIZE])
{
    AUTO(json_free) json_t *j = row_to_json(row);
    AUTO_STR char *text = j == NULL ? NULL : json_canonical(j);
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(256 * MIB);

    if (text == NULL)
        return false;
    strbuf_add(&b, row->prev);
    strbuf_puts(&b, text);
    if (!strbuf_ok(&b))
        return false;
    sha256(strbuf_slice(&b), out);
    return true;
}

/* --- the copy in the log --- */

enum { COPY_SIZE = 160 };
struct copy {
    int64_t seq;
    char kind[16], actor[COPY_SIZE], address[COPY_SIZE], action[COPY_SIZE], object[COPY_SIZE];
    char hash[SHA256_HEX_SIZE];
};

static void tell(void *p, bool committed)
{
    struct copy *c = p;

    if (committed)
        log_event(LOG_LEVEL_INFO, "audit", KV_INT("seq", c->seq), KV_STR("kind", c->kind),
                  KV_STR("actor", c->actor), KV_STR("address", c->address),
                  KV_STR("action", c->action), KV_STR("object", c->object),
                  KV_STR("hash", c->hash));
    free(c);
}

/* What the table says is also in the log, which goes elsewhere: whoever rewrites the table does not
 * reach it. */
static enum err_code tell_later(struct db *db, const struct audit_row *row, struct err *e)
{
    struct copy *c = calloc(1, sizeof *c);

    if (c == NULL)
        return no_memory(e);
    c->seq = row->seq;
    (void)snprintf(c->kind, sizeof c->kind, "%s", row->actor_kind);
    (void)snprintf(c->actor, sizeof c->actor, "%s", row->actor);
    (void)snprintf(c->address, sizeof c->address, "%s", row->address);
    (void)snprintf(c->action, sizeof c->action, "%s", row->action);
    (void)snprintf(c->object, sizeof c->object, "%s", row->object);
    hex_encode((const unsigned char *)row->hash.p, row->hash.n, c->hash);
    if (db_after(db, tell, c))
        return ERR_OK;
    free(c);
    return no_memory(e);
}

enum err_code audit_append(struct db *db, const struct actor *by, const char *action,
                           const char *object, const json_t *detail, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    AUTO(json_free) json_t *empty = json_object();
    unsigned char hash[SHA256_SIZE];
    struct audit_row row = {.at_ms = clock_wall_ms(),
                            .actor_kind = by->kind,
                            .actor = by->name,
                            .address = by->address == NULL ? "" : by->address,
                            .action = action,
                            .object = object,
                            .detail = detail == NULL ? empty : detail};
    enum err_code rc;

    if (a == NULL || empty == NULL)
        return no_memory(e);
    if (!db_in_tx(db))
        return err_set(e, ERR_INTERNAL, "an audit entry must be part of a transaction");
    rc = audit_store_lock_head(db, a, &row.seq, &row.prev, e);
    if (rc != ERR_OK)
        return rc;
    row.seq++;
    if (!chain_hash(&row, hash))
        return no_memory(e);
    row.hash = (struct slice){(const char *)hash, sizeof hash};
    rc = audit_store_insert(db, &row, e);
    return rc == ERR_OK ? tell_later(db, &row, e) : rc;
}

enum err_code audit_list(struct db *db, const struct audit_filter *f, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(AUDIT_PAGE_ARENA);
    AUTO(json_free) json_t *items = json_array();
    bool prefix =
        f->action != NULL && f->action[0] != '\0' && f->action[strlen(f->action) - 1] == '.';
    struct audit_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL || items == NULL)
        return no_memory(e);
    rc =
        audit_store_list(db, f->before_seq, f->since_ms, prefix ? NULL : f->action,
                         prefix ? f->action : NULL, f->actor, f->object, f->limit, a, &rows, &n, e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        if (json_array_append_new(items, row_to_json(&rows[i])) != 0)
            return no_memory(e);
    if (rc == ERR_OK)
        *ret = TAKE(items);
    return rc;
}

static bool row_fits(const struct audit_row *row, int64_t seq, struct slice prev)
{
    unsigned char hash[SHA256_SIZE];

    return row->seq == seq && slice_eq(row->prev, prev) && chain_hash(row, hash) &&
           slice_eq(row->hash, (struct slice){(const char *)hash, sizeof hash});
}

struct chain {
    int64_t seq; /* of the last entry that fits */
    char hash[SHA256_SIZE];
    size_t n;
};

/* One page; *ret_more: there may be another. */
static enum err_code verify_page(struct db *db, struct chain *c, struct audit_check *check,
                                 bool *ret_more, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(AUDIT_PAGE_ARENA);
    struct audit_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    rc = audit_store_page(db, c->seq, a, &rows, &n, e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (!row_fits(&rows[i], c->seq + 1, (struct slice){c->hash, c->n})) {
            check->first_bad = c->seq + 1; /* also when that one is missing */
            break;
        }
        c->seq = rows[i].seq;
        c->n = rows[i].hash.n;
        memcpy(c->hash, rows[i].hash.p, c->n);
        check->entries++;
    }
    *ret_more = rc == ERR_OK && n > 0 && check->first_bad == 0;
    return rc;
}

enum err_code audit_verify(struct db *db, struct audit_check *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct audit_check check = {0};
    struct chain c = {0};
    struct slice head_hash = {NULL, 0};
    int64_t head_seq = 0;
    bool more = true;
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    /* the head first: entries that are appended meanwhile are beyond it */
    rc = audit_store_head(db, a, &head_seq, &head_hash, e);
    while (rc == ERR_OK && more) {
        rc = verify_page(db, &c, &check, &more, e);
    }
    if (rc != ERR_OK)
        return rc;
    if (check.first_bad == 0 &&
        (c.seq < head_seq ||
         (c.seq == head_seq && !slice_eq(head_hash, (struct slice){c.hash, c.n}))))
        check.first_bad = c.seq < head_seq
                              ? c.seq + 1
                              : head_seq; /* the end was cut off, or the head was changed */
    *ret = check;
    return ERR_OK;
}
