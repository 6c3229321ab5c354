/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sandbox: see sandbox.h. What is not listed fails with EPERM: killing the process would end
 * every guest, killing the thread could leave a lock held.
 */
#include "core/sandbox.h"

#include "core/accel.h"
#include "core/fence.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The runtime of a sanitizer maps memory at a thread's first signal and gives its stack back at its end. */
#ifndef __has_feature
#define __has_feature(x) 0 /* clang's way to tell */
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static _Atomic unsigned filters_on, filters_failed;
static bool base_on; /* written before threads exist, as is: */
static bool may_raise; /* the privileges of the start are still there, and only raised when needed */
static bool any_file_left; /* CAP_DAC_OVERRIDE is one of them */

/* What neither we nor a program that we start (qemu-nbd for foreign images) has any use for, and
 * what has been the way from a taken process into the kernel or into others. */
static int deny_needless(scmp_filter_ctx f)
{
    static const int nr[] = {
        SCMP_SYS(ptrace),          SCMP_SYS(process_vm_readv),  SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp),
        SCMP_SYS(pidfd_getfd),     SCMP_SYS(process_madvise),   SCMP_SYS(bpf),               SCMP_SYS(perf_event_open),
        SCMP_SYS(userfaultfd),     SCMP_SYS(io_uring_setup),    SCMP_SYS(io_uring_enter),    SCMP_SYS(io_uring_register),
        SCMP_SYS(keyctl),          SCMP_SYS(add_key),           SCMP_SYS(request_key),       SCMP_SYS(init_module),
        SCMP_SYS(finit_module),    SCMP_SYS(delete_module),     SCMP_SYS(kexec_load),        SCMP_SYS(kexec_file_load),
        SCMP_SYS(mount),           SCMP_SYS(umount2),           SCMP_SYS(pivot_root),        SCMP_SYS(chroot),
        SCMP_SYS(fsopen),          SCMP_SYS(fsconfig),          SCMP_SYS(fsmount),           SCMP_SYS(move_mount),
        SCMP_SYS(open_tree),       SCMP_SYS(mount_setattr),     SCMP_SYS(setns),             SCMP_SYS(unshare),
        SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at), SCMP_SYS(reboot),          SCMP_SYS(swapon),
        SCMP_SYS(swapoff),         SCMP_SYS(acct),              SCMP_SYS(quotactl),          SCMP_SYS(syslog),
        SCMP_SYS(settimeofday),    SCMP_SYS(clock_settime),     SCMP_SYS(adjtimex),          SCMP_SYS(clock_adjtime),
        SCMP_SYS(sethostname),     SCMP_SYS(setdomainname),     SCMP_SYS(iopl),              SCMP_SYS(ioperm),
        SCMP_SYS(modify_ldt),      SCMP_SYS(personality),       SCMP_SYS(vhangup),           SCMP_SYS(lookup_dcookie),
        SCMP_SYS(migrate_pages),   SCMP_SYS(move_pages),        SCMP_SYS(fanotify_init),     SCMP_SYS(nfsservctl),
    };
    int rc = 0;

    for (unsigned i = 0; i < sizeof nr / sizeof *nr && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), nr[i], 0);
    if (rc == 0) /* keys pressed on behalf of the person at the terminal */
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
    return rc;
}

/* Its default is to allow, since main opens what commands name and starts programs; each KVM_RUN
 * passes it, so ioctl comes first. */
static int base_filter(struct err *e)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int rc = f ? deny_needless(f) : -ENOMEM;

    if (rc == 0)
        rc = seccomp_syscall_priority(f, SCMP_SYS(ioctl), 255);
    if (rc == 0)
        rc = seccomp_load(f);
    if (f)
        seccomp_release(f);
    if (rc < 0)
        return err_set(e, -rc, "the process runs without a filter of system calls: %s", strerror(-rc));
    base_on = true;
    return 0;
}

/* What the start may need: an interface for a TAP, and files that are not ours. */
static const cap_value_t for_start[] = {CAP_NET_ADMIN, CAP_DAC_OVERRIDE};

enum { NONE = -1 };

/* Of the capabilities held, those of the start at most stay permitted (`any`), and only `raise` in effect: 1 if it was held,
 * else 0; -errno and `e`. */
static int keep(bool any, cap_value_t raise, struct err *e)
{
    cap_t have = cap_get_proc(), want = cap_init();
    cap_flag_value_t held;
    int rc = have && want ? 0 : -1, raised = 0;

    for (unsigned i = 0; i < sizeof for_start / sizeof *for_start && any && rc == 0; i++) {
        if (cap_get_flag(have, for_start[i], CAP_PERMITTED, &held) < 0 || held != CAP_SET)
            continue;
        cap_set_flag(want, CAP_PERMITTED, 1, &for_start[i], CAP_SET);
        if (for_start[i] == raise)
            raised = cap_set_flag(want, CAP_EFFECTIVE, 1, &for_start[i], CAP_SET) == 0;
    }
    if (rc < 0 || cap_set_proc(want) < 0)
        rc = err_set(e, errno, "cannot drop capabilities: %s", strerror(errno));
    cap_free(have);
    cap_free(want);
    return rc < 0 ? rc : raised;
}

static bool in_effect(cap_value_t cap)
{
    return may_raise && keep(true, cap, NULL) > 0;
}

void sandbox_net_admin(void)
{
    in_effect(CAP_NET_ADMIN);
}

bool sandbox_any_file(bool may)
{
    return any_file_left && in_effect(may ? CAP_DAC_OVERRIDE : NONE);
}

bool sandbox_any_file_left(void)
{
    return any_file_left;
}

int sandbox_no_capabilities(struct err *e)
{
    may_raise = any_file_left = false;
    return keep(false, NONE, e);
}

int sandbox_process(struct err *e)
{
    int rc;

    for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        prctl(PR_CAPBSET_DROP, c, 0, 0, 0); /* refused without CAP_SETPCAP: then nothing is held */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    rc = keep(true, NONE, e);
    may_raise = rc == 0;
    any_file_left = in_effect(CAP_DAC_OVERRIDE);
    in_effect(NONE);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        rc = err_set(e, errno, "cannot set no_new_privs: %s", strerror(errno));
    return rc ? rc : base_filter(e);
}

static int allow_list(scmp_filter_ctx f, const int *nr, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, nr[i], 0);
    return rc;
}

/* What any thread of ours needs to wait, wake, tell the time, be kicked and end. */
static int allow_common(scmp_filter_ctx f)
{
    static const int nr[] = {
        SCMP_SYS(futex),          SCMP_SYS(read),          SCMP_SYS(write),
        SCMP_SYS(pread64),        SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigaction),   SCMP_SYS(clock_gettime), SCMP_SYS(nanosleep),
        SCMP_SYS(clock_nanosleep), SCMP_SYS(madvise),      SCMP_SYS(munmap),
        SCMP_SYS(exit),           SCMP_SYS(exit_group),    SCMP_SYS(rseq),
        SCMP_SYS(restart_syscall), SCMP_SYS(sched_yield),  SCMP_SYS(gettid),
        SCMP_SYS(getpid),         SCMP_SYS(timerfd_settime), SCMP_SYS(brk),
    };
    int rc = allow_list(f, nr, sizeof nr / sizeof nr[0]);

    if (rc == 0) /* kicks: signals to threads of this process only */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    if (rc == 0 && SANITIZED)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 0);
    return rc;
}

/* Memory for the C library and the software CPU's caches: never executable. */
static int allow_memory(scmp_filter_ctx f)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                              SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));

    if (rc == 0) /* by which malloc's arenas grow: without it each allocation is a mapping of its own */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return rc;
}

static void filter_done(scmp_filter_ctx f, int rc)
{
    if (f && rc == 0)
        rc = seccomp_load(f);
    if (f)
        seccomp_release(f);
    if (!f || rc < 0) {
        if (filters_failed++ == 0)
            log_msg(LOG_WARN, "a guest thread runs without a seccomp filter: %s",
                    f ? strerror(-rc) : "out of memory");
    } else {
        filters_on++;
    }
}

void sandbox_vcpu_thread(const char *engine, const struct accel_ioctl *io, unsigned n)
{
    static const int at_once[] = {SCMP_SYS(preadv2), SCMP_SYS(writev)}; /* virtio_at_once: disks, a capture that has just begun */
    const bool soft = strcmp(engine, "soft") == 0;
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = f ? allow_common(f) : -ENOMEM;

    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)io[i].fd),
                              SCMP_A1(SCMP_CMP_EQ, io[i].request));
    if (rc == 0) /* each KVM_RUN passes the filter: look at ioctl first */
        rc = seccomp_syscall_priority(f, SCMP_SYS(ioctl), 255);
    if (rc == 0 && soft)
        rc = allow_list(f, at_once, sizeof at_once / sizeof at_once[0]);
    if (rc == 0 && (SANITIZED || soft))
        rc = allow_memory(f);
    filter_done(f, rc);
}

/* What any thread of ours needs, and these. */
static void filter_list(const int *nr, size_t n)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = f ? allow_common(f) : -ENOMEM;

    if (rc == 0)
        rc = allow_list(f, nr, n);
    if (rc == 0)
        rc = allow_memory(f);
    filter_done(f, rc);
}

void sandbox_io_thread(void)
{
    static const int nr[] = {
        SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(preadv),
        SCMP_SYS(preadv2),    SCMP_SYS(pwritev),     SCMP_SYS(pwritev2),  SCMP_SYS(pwrite64),
        SCMP_SYS(readv),      SCMP_SYS(writev),      SCMP_SYS(fdatasync), SCMP_SYS(fsync),
        SCMP_SYS(fallocate),  SCMP_SYS(lseek),       SCMP_SYS(fstat),     SCMP_SYS(newfstatat),
        SCMP_SYS(getrandom),  SCMP_SYS(ioctl),       SCMP_SYS(close),     SCMP_SYS(sync_file_range),
    };

    filter_list(nr, sizeof nr / sizeof nr[0]);
}

void sandbox_governor_thread(void)
{
    static const int nr[] = {SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_getattr), SCMP_SYS(sched_setattr)};

    filter_list(nr, sizeof nr / sizeof nr[0]);
}

void sandbox_idle_thread(void)
{
    filter_list(NULL, 0);
}

void sandbox_net_thread(void)
{
    static const int nr[] = {
        SCMP_SYS(poll),       SCMP_SYS(ppoll),      SCMP_SYS(socket),      SCMP_SYS(connect),
        SCMP_SYS(bind),       SCMP_SYS(listen),     SCMP_SYS(accept),      SCMP_SYS(accept4),
        SCMP_SYS(sendto),     SCMP_SYS(recvfrom),   SCMP_SYS(sendmsg),     SCMP_SYS(recvmsg),
        SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),
        SCMP_SYS(shutdown),   SCMP_SYS(close),      SCMP_SYS(fcntl),       SCMP_SYS(fstat),
        SCMP_SYS(newfstatat), SCMP_SYS(stat),       SCMP_SYS(lseek),       SCMP_SYS(getrandom),
        SCMP_SYS(readv),      SCMP_SYS(writev),     SCMP_SYS(mremap),
    };
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = f ? allow_common(f) : -ENOMEM;

    if (rc == 0)
        rc = allow_list(f, nr, sizeof nr / sizeof nr[0]);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONREAD));
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONBIO));
    if (rc == 0) /* the host's resolver, looked up anew when it changes */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDONLY));
    if (rc == 0)
        rc = allow_memory(f);
    filter_done(f, rc);
}

void sandbox_describe(char *buf, size_t len)
{
    cap_t have = cap_get_proc();
    char *text = have ? cap_to_text(have, NULL) : NULL;
    bool none = text && (strcmp(text, "=") == 0 || text[0] == '\0');

    snprintf(buf, len, "capabilities: %s; no_new_privs: %s; seccomp: process %s, %u threads closely, %u not; "
             "landlock: version %d", none ? "none" : text ? text : "unknown",
             prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "yes" : "no", base_on ? "yes" : "no", filters_on,
             filters_failed, fence_level());
    cap_free(text);
    cap_free(have);
}
