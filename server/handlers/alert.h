/* alert.h - alert rules, channels, silences, alerts and notices (docs/internals/alerts.md). */
#pragma once

#include "http/request.h"

enum err_code alert_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_ack_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_notice_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_notice_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_notice_retry_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_channel_test_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_rule_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_rule_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_rule_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_rule_patch(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_rule_delete_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_channel_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_channel_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_channel_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_channel_patch(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_channel_delete_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_silence_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_silence_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_silence_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_silence_patch(struct req *rq, struct reply *rp, struct err *e);
enum err_code alert_silence_delete_one(struct req *rq, struct reply *rp, struct err *e);
