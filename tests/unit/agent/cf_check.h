/* cf_check.h - the properties of editing, checked on any bytes: used by the unit test and by the
 * fuzz target. cf_check_properties() returns NULL when all hold, else which one does not. */
#pragma once

#include "targets/postfix_cf.h"

const char *cf_check_properties(struct slice main_cf, struct slice master_cf, const struct plan *p);
/* A plan as the planner makes them, with the given variation. */
const struct plan *cf_check_plan(unsigned variant);
