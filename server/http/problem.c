#include "http/problem.h"

#include <stdio.h>

static json_t *finding_json(const struct finding *f, enum lang lang)
{
    char message[768], remedy[768];

    finding_message(f, lang, message, sizeof message);
    finding_remedy(f, lang, remedy, sizeof remedy);
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "pointer", f->pointer, "id",
                     finding_texts[f->id].id, "message", message, "remedy", remedy, "warning",
                     (int)f->warning, "forceable", (int)f->forceable);
}

json_t *problem_findings(const struct findings *findings, enum lang lang)
{
    AUTO(json_free) json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < findings->n; i++)
        if (json_array_append_new(list, finding_json(&findings->v[i], lang)) != 0)
            return NULL;
    return TAKE(list);
}

/* The one field an error names, in the shape of a finding. */
static json_t *field_json(const struct err *err, enum lang lang)
{
    const struct problem_text *t = &problem_texts[err->code];

    return json_pack("[{s:s, s:s, s:s, s:s, s:b, s:b}]", "pointer", err->pointer, "id", t->id,
                     "message", err_text(err, lang), "remedy", t->remedy[lang], "warning", 0,
                     "forceable", 0);
}

/* NULL: none.  Findings that refuse stand for the error; warnings, and what was forced, come after
 * the field that does. */
static json_t *errors_json(const struct err *err, const struct findings *findings, enum lang lang)
{
    bool told = findings != NULL && findings->errors > 0 && err->code == ERR_INVALID;
    json_t *list = NULL, *rest;

    if (!told && err->pointer[0] != '\0' && problem_texts[err->code].status < 500)
        list = field_json(err, lang);
    if (findings == NULL || findings->n == 0)
        return list;
    rest = problem_findings(findings, lang);
    if (list == NULL)
        return rest;
    (void)json_array_extend(list, rest);
    json_decref(rest);
    return list;
}

json_t *problem_json(const struct err *err, const struct findings *findings, enum lang lang,
                     const char *request_id, const json_t *extra)
{
    const struct problem_text *t = &problem_texts[err->code];
    const char *detail = (t->status >= 500 && err->code != ERR_FENCED) || err->msg[0] == '\0'
                             ? t->title[lang]
                             : err_text(err, lang);
    AUTO(json_free) json_t *doc = NULL;
    json_t *errors = NULL;
    char type[96];

    (void)snprintf(type, sizeof type, "%s%s", PROBLEM_TYPE_PREFIX, t->id);
    doc =
        json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", type, "title", t->title[lang], "status",
                  t->status, "detail", detail, "remedy", t->remedy[lang], "request_id", request_id);
    if (doc == NULL)
        return NULL;
    errors = errors_json(err, findings, lang);
    if (errors != NULL && json_object_set_new(doc, "errors", errors) != 0)
        return NULL;
    if (extra != NULL && json_object_update_missing(doc, (json_t *)(uintptr_t)extra) != 0)
        return NULL;
    return TAKE(doc);
}
