/* settings.h - /api/v1/catalog, settings, drafts and revisions. */
#pragma once

#include "http/request.h"

enum err_code catalog_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code presets_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code settings_layer_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code settings_effective_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_explain_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code override_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_overrides_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_secrets_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code secret_list_get(struct req *rq, struct reply *rp, struct err *e);

enum err_code config_export_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code config_import_post(struct req *rq, struct reply *rp, struct err *e);

enum err_code draft_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_patch(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_delete_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_diff_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_check_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_publish_post(struct req *rq, struct reply *rp, struct err *e);

enum err_code revision_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code revision_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code revision_diff_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code revision_restore_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code revision_undo_post(struct req *rq, struct reply *rp, struct err *e);
