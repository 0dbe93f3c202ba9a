/*
 * req_source.h - where req_header(), req_query() and req_form() read: what rq->conn points to.  server/http fills it
 * from the connection, a unit test of a handler by hand.
 */
#pragma once

#include "http/gate.h"
#include "http/params.h"
#include "http/request.h"

struct req_source {
    const struct gate_field *fields;
    size_t n_fields;
    struct param_list query, form;
    bool expired; /* parked, and its time is over */
    int held_for; /* reply.park_for of the last time it was parked; 0: never */
    bool again;   /* its handler ran before, and the request was parked or looked at anew */
};
