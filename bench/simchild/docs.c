/* docs.c - the documents a simulated child signs (docs/internals/wire.md). */
#include "base/clock.h"
#include "base/rand.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

static json_t *facts(const struct child *d)
{
    char host[80];

    (void)snprintf(host, sizeof host, "%s.example.test", d->name);
    return json_pack("{s:s,s:s,s:s,s:[s,s],s:[s,s,s,s,s],s:[{s:s,s:i,s:s}],s:{},s:[]}", "hostname",
                     host, "placement", "edge", "postfix", "3.7.11", "addresses", "192.0.2.10",
                     "127.0.0.1", "map_types", "cidr", "texthash", "regexp", "pcre", "static",
                     "listeners", "address", "0.0.0.0", "port", 25, "owner", "master", "names",
                     "files");
}

static json_t *inventory(const struct child *d)
{
    char host[80];

    (void)snprintf(host, sizeof host, "%s.example.test", d->name);
    return json_pack("{s:s,s:s,s:s,s:s,s:[s],s:[s],s:o}", "hostname", host, "os",
                     "simulated Debian 12", "agent_version", INARI_VERSION, "postfix_version",
                     "3.7.11", "addresses", "192.0.2.10", "capabilities", "postfix", "facts",
                     facts(d));
}

static bool sign(const struct child *d, const char *typ, const json_t *doc, char digest[65],
                 char **ret)
{
    AUTO_STR char *text = doc == NULL ? NULL : json_canonical(doc);

    if (text == NULL)
        return false;
    if (digest != NULL)
        sha256_hex(slice_of(text), digest);
    return jose_jws_sign(d->sig, typ, slice_of(text), false, ret, NULL) == ERR_OK;
}

bool docs_enrolment(const struct child *d, const char *nonce, char **ret)
{
    AUTO(json_free) json_t *doc = NULL;
    unsigned char hash[SHA256_SIZE];
    char host[80], fingerprint[SHA256_HEX_SIZE];

    (void)snprintf(host, sizeof host, "%s.example.test", d->name);
    sha256(slice_of(jose_key_kid(d->sig)), hash);
    hex_encode(hash, sizeof hash, fingerprint);
    doc = json_pack("{s:o,s:o,s:s,s:s,s:s,s:s,s:s,s:[s],s:o}", "jwk", jose_key_to_jwk(d->sig),
                    "enc_jwk", jose_key_to_jwk(d->enc), "nonce", nonce, "name", d->name, "hostname",
                    host, "fingerprint", fingerprint, "agent_version", INARI_VERSION,
                    "capabilities", "postfix", "inventory", inventory(d));
    return sign(d, PROTO_TYP_ENROL, doc, NULL, ret);
}

static json_t *place(const struct place *p)
{
    return p->digest[0] == '\0' ? json_null()
                                : json_pack("{s:s,s:I,s:I}", "digest", p->digest, "rev",
                                            (json_int_t)p->rev, "pub", (json_int_t)p->pub);
}

static json_t *observed(const struct child *d)
{
    if (d->rev == 0)
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:s,s:s,s:s}", "epoch", (json_int_t)d->epoch, "rev",
                     (json_int_t)d->rev, "pub", (json_int_t)d->pub, "etag", d->etag, "digest",
                     d->wanted.digest, "jti", d->jti);
}

static json_t *problem(const struct child *d)
{
    if (d->result == NULL || strcmp(d->result, "reverted") != 0)
        return json_null();
    return json_pack("{s:s,s:s,s:i,s:s,s:[]}", "type", "urn:inari:problem:apply-failed", "title",
                     "The new configuration did not run", "status", 422, "detail",
                     "postfix/master: fatal: simulated refusal", "errors");
}

static json_t *attempt(const struct child *d)
{
    char now[CLOCK_TEXT_SIZE];

    if (d->result == NULL)
        return json_null();
    clock_format(clock_wall_ms(), now);
    return json_pack("{s:s,s:I,s:I,s:s,s:s,s:s,s:s,s:s,s:o}", "digest", d->attempt.digest, "rev",
                     (json_int_t)d->attempt.rev, "pub", (json_int_t)d->attempt.pub, "jti", d->jti,
                     "phase", "committed", "result", d->result, "started", now, "ended", now,
                     "problem", problem(d));
}

static json_t *conditions(void)
{
    static const char *const types[] = {"Authenticated", "ConfigVerified", "ConfigValid",
                                        "ConfigApplied", "ConfigRunning",  "ClockSynced",
                                        "StorageOk",     "Ready"};
    char now[CLOCK_TEXT_SIZE];
    json_t *all = json_array();

    clock_format(clock_wall_ms() / 86400000 * 86400000, now);
    for (size_t i = 0; i < COUNT_OF(types) && all != NULL; i++)
        (void)json_array_append_new(all, json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", types[i],
                                                   "status", "True", "reason", "Simulated",
                                                   "message", "", "since", now));
    return all;
}

bool docs_status(const struct child *d, char digest[65], char **ret)
{
    AUTO(json_free) json_t *doc = NULL;
    char now[CLOCK_TEXT_SIZE];
    bool manage = strcmp(d->mode, "manage") == 0;

    clock_format(clock_wall_ms(), now);
    doc = json_pack("{s:s,s:I,s:s,s:s,s:i,s:I,s:s,s:s,s:o,s:o,s:n,s:{s:{s:s,s:s,s:s,s:s,s:s}},s:o,"
                    "s:[],s:[],s:[],s:o,s:{s:{s:i,s:i,s:i,s:i}},s:o}",
                    "device", d->id, "seq", (json_int_t)d->seq, "boot", d->boot, "time", now,
                    "clock_offset_ms", 0, "uptime_s", (json_int_t)(clock_mono_ms() / 1000),
                    "agent_version", INARI_VERSION, "mode", manage ? "manage" : "observe",
                    "observed", observed(d), "on_disk", place(&d->running), "lkg", "running",
                    "postfix", "digest_main", d->running.digest, "digest_master", d->running.digest,
                    "digest", d->running.digest, "version", "3.7.11", "state", "running",
                    "last_attempt", attempt(d), "quarantined", "drift", "would_change",
                    "conditions", conditions(), "health", "queue", "incoming", 0, "active", 0,
                    "deferred", 0, "hold", 0, "inventory", inventory(d));
    return sign(d, PROTO_TYP_STATUS, doc, digest, ret);
}
