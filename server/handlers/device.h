/* device.h - /devices, /enrolment-tokens and /rollouts of the admin API (docs/internals/api.md). */
#pragma once

#include "http/request.h"

enum err_code device_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_patch(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_delete_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_hold_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_release_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_revoke_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_approve_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_reject_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_retire_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_reinstate_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_instances_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_status_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_proposal_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_drift_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_drift_enforce_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_drift_adopt_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_effective_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_bundle_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_plan_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code device_adopt_post(struct req *rq, struct reply *rp, struct err *e);

enum err_code enrolment_token_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code enrolment_token_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code enrolment_token_delete(struct req *rq, struct reply *rp, struct err *e);

enum err_code rollout_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_device_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_pause_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_resume_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_halt_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_revert_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_cancel_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_approve_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_promote_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code draft_dry_run_post(struct req *rq, struct reply *rp, struct err *e);
enum err_code dry_run_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code dry_run_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_policy_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code rollout_policy_patch_one(struct req *rq, struct reply *rp, struct err *e);
