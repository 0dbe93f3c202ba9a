#include "hand_over.h"

#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool hand_over_wanted(int argc, char **argv)
{
    static const char *const words[] = {"backup", "check-backup", "restore"};

    for (int i = 1; i < argc; i++)
        for (size_t w = 0; w < COUNT_OF(words); w++)
            if (strcmp(argv[i], words[w]) == 0 && strcmp(argv[i - 1], "--config") != 0 &&
                strcmp(argv[i - 1], "-c") != 0)
                return true;
    return false;
}

int hand_over(char **argv)
{
    /* As installed, and as built. */
    static const char *const places[] = {"../libexec/inari/inari-backup",
                                         "../lib/inari/inari-backup", "../backup/inari-backup"};
    char self[4096], path[4200];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    self[n < 0 ? 0 : n] = '\0';
    if (strrchr(self, '/') != NULL)
        *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", self, places[i]);
        (void)execv(path, argv);
    }
    (void)fprintf(stderr, "inarid: inari-backup is not installed beside this program\n");
    return EXIT_FAILURE;
}
