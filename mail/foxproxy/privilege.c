#include "foxproxy/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum err_code privilege_find(const char *name, struct privilege_user *ret, struct err *e)
{
    const struct passwd *pw = getpwnam(name);

    if (pw == NULL || strlen(name) >= sizeof ret->name)
        return err_set(e, ERR_NOT_FOUND, "there is no user \"%s\"", name);
    ret->uid = pw->pw_uid;
    ret->gid = pw->pw_gid;
    memcpy(ret->name, name, strlen(name) + 1);
    return ERR_OK;
}

static bool keep_bind_only(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    data[0].permitted = data[0].effective = 1U << CAP_NET_BIND_SERVICE;
    return syscall(SYS_capset, &head, data) == 0;
}

enum err_code privilege_drop(const struct privilege_user *u, struct err *e)
{
    if (prctl(PR_SET_KEEPCAPS, 1) != 0 || initgroups(u->name, u->gid) != 0 ||
        setresgid(u->gid, u->gid, u->gid) != 0 || setresuid(u->uid, u->uid, u->uid) != 0 ||
        !keep_bind_only())
        return err_errno(e, ERR_INTERNAL, errno, "could not become the user \"%s\"", u->name);
    if (SANITIZED) /* the leak check traces this process, which changing the user forbade */
        (void)prctl(PR_SET_DUMPABLE, 1);
    return ERR_OK;
}

static const int refused[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(personality),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(setuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setregid),
    SCMP_SYS(setgroups),
};

static int add_rules(scmp_filter_ctx f)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(refused); i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    /* The sanitizers' leak check starts a process that traces this one. */
    if (SANITIZED)
        return rc;
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fork), 0);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(vfork), 0);
    if (rc == 0) /* threads only */
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    /* Its flags are in memory, where a filter cannot look; glibc falls back to clone. */
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return rc;
}

enum err_code privilege_sandbox(struct err *e)
{
    scmp_filter_ctx f;
    int rc;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno(e, ERR_INTERNAL, errno, "could not give up new privileges");
    f = seccomp_init(SCMP_ACT_ALLOW);
    if (f == NULL)
        return err_set(e, ERR_INTERNAL, "could not make a system-call filter");
    /* A filter that comes late finds every call's number in a binary tree: a refusal makes five of
     * them. */
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    rc = add_rules(f);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    return rc == 0 ? ERR_OK
                   : err_errno(e, ERR_INTERNAL, -rc, "could not load the system-call filter");
}
