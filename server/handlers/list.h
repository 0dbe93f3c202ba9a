/* list.h - /api/v1/lists: the addresses that are let in or refused before the greeting. */
#pragma once

#include "http/request.h"

enum err_code list_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_rows_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_rows_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_row_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_row_delete_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_remove_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_import_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_export_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_overlaps_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_change_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_change_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code list_undo_post(struct req *rq, struct reply *rp, struct err *e);
