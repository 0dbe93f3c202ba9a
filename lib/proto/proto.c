#include "proto/proto.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

int proto_version_cmp(const char *a, const char *b, int parts)
{
    for (int i = 0; i < parts; i++) {
        char *end_a, *end_b;
        long va = strtol(a, &end_a, 10), vb = strtol(b, &end_b, 10);
        if (va != vb)
            return va < vb ? -1 : 1;
        a = *end_a == '.' ? end_a + 1 : "";
        b = *end_b == '.' ? end_b + 1 : "";
    }
    return 0;
}

enum err_code proto_api_check(int64_t agent, int64_t parent, struct err *e)
{
    if (agent > parent)
        return err_set(e, ERR_AGENT_TOO_NEW, "the agent speaks protocol %lld, the parent only %lld",
                       (long long)agent, (long long)parent);
    if (agent < parent - 1)
        return err_set(e, ERR_AGENT_TOO_OLD, "the agent speaks protocol %lld, the parent %lld",
                       (long long)agent, (long long)parent);
    return ERR_OK;
}

bool proto_content_digest(const json_t *sections, char out[PROTO_DIGEST_SIZE])
{
    AUTO(json_free) json_t *j = json_pack("{s:O}", "sections", sections);

    return j != NULL && json_digest(j, out);
}

void proto_join_clear(struct proto_join *j)
{
    json_decref(j->addresses);
    json_decref(j->pins);
    secret_wipe(j, sizeof *j);
}

enum err_code proto_join_parse(struct slice text, struct proto_join *ret, struct err *e)
{
    struct fields {
        json_t *addresses, *pins;
        const char *fleet, *token;
        int64_t expires;
    } f = {0};
    static const struct jdec_field fields[] = {
        JDEC_ARRAY(struct fields, addresses, JD_REQUIRED, 8),
        JDEC_ARRAY(struct fields, pins, JD_REQUIRED, 8),
        JDEC_UUID(struct fields, fleet, JD_REQUIRED),
        JDEC_STR(struct fields, token, JD_REQUIRED, 16, 127),
        JDEC_TIME(struct fields, expires, JD_REQUIRED),
        JDEC_END,
    };
    AUTO(json_free) json_t *j = NULL;
    unsigned char buf[4096];
    enum err_code rc;
    size_t n, i;
    json_t *v;

    text = slice_trim(text);
    if (!slice_starts(text, "inari1.") ||
        !b64u_decode((struct slice){text.p + 7, text.n - 7}, buf, sizeof buf, &n))
        return err_set(e, ERR_INVALID,
                       "not a join string: it starts with \"inari1.\" and has no blanks");
    rc = json_in_parse((struct slice){(char *)buf, n}, sizeof buf, &j, e);
    if (rc == ERR_OK)
        rc = jdec_object(j, fields, JD_ALLOW_UNKNOWN, "", &f, e);
    secret_wipe(buf, sizeof buf);
    if (rc != ERR_OK)
        return err_wrap(e, "not a join string");
    json_array_foreach(f.addresses, i, v)
    {
        if (!json_is_string(v) || !slice_starts(slice_of(json_string_value(v)), "https://"))
            return err_set(e, ERR_INVALID, "not a join string: addresses must start with https://");
    }
    json_array_foreach(f.pins, i, v)
    {
        if (!json_is_string(v) || json_string_length(v) != 43)
            return err_set(e, ERR_INVALID, "not a join string: a pin is 43 characters");
    }
    if (json_array_size(f.addresses) == 0 || json_array_size(f.pins) == 0)
        return err_set(e, ERR_INVALID, "not a join string: no address or no pin");
    *ret = (struct proto_join){.addresses = json_incref(f.addresses),
                               .pins = json_incref(f.pins),
                               .expires_ms = f.expires};
    (void)snprintf(ret->fleet, sizeof ret->fleet, "%s", f.fleet);
    (void)snprintf(ret->token, sizeof ret->token, "%s", f.token);
    return ERR_OK;
}

enum err_code proto_join_format(const struct proto_join *j, char **ret, struct err *e)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(8 * KIB);
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;
    char when[CLOCK_TEXT_SIZE];
    enum err_code rc;

    clock_format(j->expires_ms, when);
    doc = json_pack("{s:O,s:O,s:s,s:s,s:s}", "addresses", j->addresses, "pins", j->pins, "fleet",
                    j->fleet, "token", j->token, "expires", when);
    text = doc == NULL ? NULL : json_canonical(doc);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    strbuf_puts(&out, "inari1.");
    b64u_add(&out, slice_of(text));
    secret_wipe(text, strlen(text));
    rc = strbuf_check(&out, e);
    if (rc == ERR_OK)
        *ret = strbuf_take(&out);
    return rc;
}
