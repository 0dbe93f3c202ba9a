/* agent.h - the endpoints children talk to (docs/internals/wire.md). */
#pragma once

#include "http/request.h"

enum err_code agent_hello(struct req *rq, struct reply *rp, struct err *e);     /* R_INLINE */
enum err_code agent_trust(struct req *rq, struct reply *rp, struct err *e);     /* R_INLINE */
enum err_code agent_notice(struct req *rq, struct reply *rp, struct err *e);    /* R_INLINE */
enum err_code oauth_token(struct req *rq, struct reply *rp, struct err *e);     /* R_FORM */
enum err_code agent_enrol(struct req *rq, struct reply *rp, struct err *e);     /* R_RAW */
enum err_code agent_enrolment_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code agent_desired(struct req *rq, struct reply *rp, struct err *e);   /* R_INLINE | R_HOLD */
enum err_code agent_status(struct req *rq, struct reply *rp, struct err *e);    /* R_RAW */
enum err_code agent_events(struct req *rq, struct reply *rp, struct err *e);  /* R_RAW | R_CODED | R_EVENTS */
enum err_code agent_kept(struct req *rq, struct reply *rp, struct err *e);      /* R_RAW */
enum err_code agent_proposal(struct req *rq, struct reply *rp, struct err *e);  /* R_RAW */
enum err_code agent_commands(struct req *rq, struct reply *rp, struct err *e);
enum err_code agent_command_result(struct req *rq, struct reply *rp, struct err *e); /* R_RAW */
enum err_code agent_key(struct req *rq, struct reply *rp, struct err *e);       /* R_RAW */
enum err_code agent_command_bundle(struct req *rq, struct reply *rp, struct err *e); /* what a dry run is to try */
enum err_code agent_lists(struct req *rq, struct reply *rp, struct err *e);
enum err_code agent_blob(struct req *rq, struct reply *rp, struct err *e); /* R_INLINE */
enum err_code agent_leave(struct req *rq, struct reply *rp, struct err *e);
