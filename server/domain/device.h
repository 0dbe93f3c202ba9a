/*
 * device.h - what administrators see of devices and do with them (protocol.md 6.11; docs/internals/api.md).
 * Every change is one transaction with its audit entry; what it means for the device's bundle is issued in the same one.
 */
#pragma once

#include "base/finding.h"
#include "domain/app.h"
#include "domain/audit.h"
#include "store/device_store.h"

extern const char *const device_mode_names[];      /* "observe" "manage", NULL-terminated */
extern const char *const device_placement_names[]; /* "edge" "inner" */
extern const char *const device_drift_names[];     /* "inherit" "report" "enforce" "adopt" */

/* ref: id or name.  *ret: the device as api.md describes it, new reference; *ret_version for the ETag. */
MUST_USE enum err_code device_get(struct db *db, struct app *app, const char *ref, struct arena *a, json_t **ret,
                                  int64_t *ret_version, struct err *e);
extern const char *const device_attention_names[]; /* enum device_attention, NULL-terminated */
/* *ret: {"items","next"}; by attention each item says its "attention". */
MUST_USE enum err_code device_list(struct db *db, struct app *app, const struct device_filter *f, const char *cursor,
                                   int64_t limit, struct arena *a, json_t **ret, struct err *e);

extern const char *const device_as_names[];        /* "new" "replacement" */

enum device_order_kind { ORDER_CHANGE, ORDER_HOLD, ORDER_RELEASE, ORDER_REVOKE, ORDER_APPROVE, ORDER_REJECT, ORDER_RETIRE, ORDER_DELETE,
                         ORDER_REINSTATE /* a revoked one waits for approval, and is observed first */ };
struct device_order {
    enum device_order_kind what;
    const char *name;              /* ORDER_CHANGE; NULL and -1: as it is */
    int mode, placement, drift;    /* indexes into the names above */
    int as;                        /* ORDER_APPROVE: index into device_as_names, -1: not said, which will do unless the
                                      device seems to be one that is known */
    const char *reason;            /* ORDER_HOLD, ORDER_REVOKE */
    int64_t minutes;               /* ORDER_HOLD */
    int64_t version;               /* ERR_STALE_EDIT when the device has another; 0: any */
    const struct actor *by;
    bool dry_run;
    struct findings *f;            /* ORDER_CHANGE; may be NULL; the caller clears it */
};
/* ORDER_APPROVE as a replacement gives the device that was replaced.
 * A device that is to be managed, or moved to another placement, is planned first with its settings and facts: what the
 * device would refuse is refused here, ERR_INVALID with findings.
 * *ret: the device afterwards (NULL after ORDER_DELETE), new reference.  ERR_CONFLICT: not in its present state;
 * ERR_INVALID names the field. */
MUST_USE enum err_code device_order_run(struct db *db, struct app *app, const char *ref, const struct device_order *order,
                                        struct arena *a, json_t **ret, struct err *e);
/* Release the devices whose hold is over. */
MUST_USE enum err_code device_end_holds(struct db *db, struct app *app, struct err *e);

/* {"status","received_at"}; {"proposal","received_at"}; {"pub","settings"}; the offered bundle as signed (heap text). */
MUST_USE enum err_code device_status_get(struct db *db, const char *ref, struct arena *a, json_t **ret, struct err *e);
MUST_USE enum err_code device_proposal_get(struct db *db, const char *ref, struct arena *a, json_t **ret, struct err *e);
MUST_USE enum err_code device_effective(struct db *db, const char *ref, struct arena *a, json_t **ret, struct err *e);
MUST_USE enum err_code device_bundle(struct db *db, const char *ref, struct arena *a, char **ret, char ret_etag[65],
                                     struct err *e);
/* {"plan":{...}|null,"facts":bool}; findings in *f. */
MUST_USE enum err_code device_plan(struct db *db, const char *ref, struct arena *a, json_t **ret, struct findings *f,
                                   struct err *e);
