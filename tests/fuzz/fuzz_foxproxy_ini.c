// libs: inari_foxproxy
/* foxproxy.ini: what is taken over is whole and within its limits, what is refused names its
 * faults. */
#include "foxproxy/snapshot.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ini_faults f;
    static struct ini ini;
    struct snapshot *s;
    struct err e = {0};

    if (ini_parse((struct slice){(const char *)data, size}, &ini, &f, &e) != ERR_OK) {
        if (f.n == 0 || f.n > INI_FAULTS_MAX || e.msg[0] == '\0')
            abort();
        return 0;
    }
    if (f.n != 0 || ini.listens == 0 || ini.listens > INI_LISTEN_MAX || ini.hostname[0] == '\0' ||
        ini.max_sessions < 1 || ini.balancers > INI_BALANCERS_MAX)
        abort();
    s = snapshot_new(&ini, NULL, NULL, NULL, 0);
    if (s == NULL)
        return 0;
    for (int i = 0; i < REPLIES; i++)
        if (s->reply[i].n >= sizeof s->reply[i].p || s->reply[i].n != strlen(s->reply[i].p))
            abort();
    snapshot_unref(s);
    return 0;
}
