/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * doctor: see doctor.h. Each check is a function that reports one or more findings.
 */
#include "core/doctor.h"

#include "core/images.h"
#include "core/lab.h"
#include "core/sched_cgroup.h"
#include "core/units.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum finding { OK, WARN, FAIL };

enum { TIMER_PERIOD_US = 1000 }; /* as ours while processors are contended */

struct doctor {
    struct text *out;
    const struct accel_ops *const *engines;
    bool can_run;
};

static void report(struct doctor *d, enum finding f, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void report(struct doctor *d, enum finding f, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "FAIL"};
    va_list ap;

    text_printf(d->out, "%-5s %-12s ", words[f], what);
    va_start(ap, fmt);
    text_vprintf(d->out, fmt, ap);
    va_end(ap);
    text_putc(d->out, '\n');
}

/* A small file, without its last newline; "" if it cannot be read. */
static const char *slurp(const char *path, char *buf, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(buf, 1, size - 1, f) : 0;

    if (f)
        fclose(f);
    while (n && buf[n - 1] == '\n')
        n--;
    buf[n] = '\0';
    return buf;
}

static bool cpu_has_flag(const char *flag)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    size_t len = strlen(flag), room = 0;
    char *line = NULL;
    bool found = false;

    while (f && !found && getline(&line, &room, f) > 0) {
        if (strncmp(line, "flags", 5) != 0)
            continue;
        for (const char *p = line; !found && (p = strstr(p, flag)); p += len)
            found = p[-1] == ' ' && !isalnum((unsigned char)p[len]) && p[len] != '_';
        break;
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* Why there is no /dev/kvm: what the person in front of it can do. */
static void explain_kvm(struct doctor *d)
{
    bool vmx = cpu_has_flag("vmx"), svm = cpu_has_flag("svm"), guest = cpu_has_flag("hypervisor");
    char buf[200];

    if (access("/dev/kvm", F_OK) == 0)
        return; /* the engine has said who may open it */
    if (vmx || svm)
        report(d, WARN, "processor", "has %s: `sudo modprobe %s`; if that says it is disabled, turn it on in the "
               "firmware (often called %s)", vmx ? "VT-x" : "AMD-V", vmx ? "kvm_intel" : "kvm_amd",
               vmx ? "Intel Virtualization Technology" : "SVM Mode");
    else if (guest)
        report(d, WARN, "processor", "this host is a virtual machine without nested virtualisation: ask for it where "
               "the machine is configured (for example a processor type `host`)");
    else
        report(d, WARN, "processor", "has neither VT-x nor AMD-V, or the firmware hides it");
    if (access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
        *slurp("/run/systemd/container", buf, sizeof buf))
        report(d, WARN, "container", "this is a container: give it the device, as `docker run --device /dev/kvm`");
}

/* KVM's timers interrupt the host whether their guest may run or not. */
static void check_timers(struct doctor *d)
{
    static const char path[] = "/sys/module/kvm/parameters/min_timer_period_us";
    char buf[32];
    int us = atoi(slurp(path, buf, sizeof buf));

    if (*buf && us < TIMER_PERIOD_US)
        report(d, WARN, "timers", "KVM lets a guest interrupt this host each %d us at its neighbours' cost: "
               "`echo %d | sudo tee %s` makes that 1 ms", us, TIMER_PERIOD_US, path);
}

static void check_engines(struct doctor *d)
{
    struct err e;

    for (unsigned i = 0; d->engines[i]; i++) {
        bool kvm = strcmp(d->engines[i]->name, "kvm") == 0;

        if (d->engines[i]->probe(&e) == 0) {
            d->can_run = true;
            report(d, OK, d->engines[i]->name, "%s", kvm ? "guests run on the processor itself"
                                                         : "guests run on our own x86-64 processor, slower");
            if (kvm)
                check_timers(d);
            continue;
        }
        report(d, d->engines[i + 1] ? WARN : FAIL, d->engines[i]->name, "%s", e.msg);
        if (kvm)
            explain_kvm(d);
    }
}

static void check_host(struct doctor *d)
{
    struct lab_host h;
    struct utsname u;
    char size[UNITS_TEXT];

    lab_host_measure(&h);
    uname(&u);
    report(d, OK, "host", "%s %s, %d CPUs", u.sysname, u.release, CPU_COUNT(&h.usable));
    if (h.memory_available_bytes < 256ull << 20)
        report(d, WARN, "memory", "only %s available: a Debian guest wants 128M and more",
               units_fmt_size(size, h.memory_available_bytes));
    else
        report(d, OK, "memory", "%s available", units_fmt_size(size, h.memory_available_bytes));
}

/* Whether `mergeable: true` does anything. */
static void check_ksm(struct doctor *d)
{
    char run[16], sharing[32], size[UNITS_TEXT];

    slurp("/sys/kernel/mm/ksm/run", run, sizeof run);
    slurp("/sys/kernel/mm/ksm/pages_sharing", sharing, sizeof sharing);
    if (!*run)
        report(d, WARN, "ksm", "not in this kernel: `mergeable` guests share no pages");
    else if (strcmp(run, "1") != 0)
        report(d, WARN, "ksm", "not running: `mergeable` guests share no pages; "
               "`echo 1 | sudo tee /sys/kernel/mm/ksm/run` starts it");
    else
        report(d, OK, "ksm", "runs; saves %s on this host now",
               units_fmt_size(size, strtoull(sharing, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE)));
}

/* May networks of a lab have a TAP interface? */
static void check_tap(struct doctor *d)
{
    cap_flag_value_t admin = CAP_CLEAR;
    cap_t have = cap_get_proc();
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (have)
        cap_get_flag(have, CAP_NET_ADMIN, CAP_PERMITTED, &admin);
    cap_free(have);
    if (fd < 0)
        report(d, WARN, "tap", "/dev/net/tun cannot be opened (%s): networks reach outside by `nat` only%s",
               strerror(errno), errno == ENOENT || errno == ENODEV ? "; `sudo modprobe tun`" : "");
    else if (admin == CAP_SET)
        report(d, OK, "tap", "interfaces that a lab names are created (CAP_NET_ADMIN, which is dropped at start)");
    else
        report(d, OK, "tap", "interfaces that are there and yours can be used; "
               "`sudo ip tuntap add dev NAME mode tap user $USER` makes one");
    if (fd >= 0)
        close(fd);
}

/* In the same places as the shell looks that starts it. */
static bool program_exists(const char *name)
{
    const char *path = getenv("PATH");
    char *dirs = strdup(path ? path : "/usr/bin:/bin"), *save = NULL, file[PATH_MAX];
    bool found = false;

    for (char *d = dirs ? strtok_r(dirs, ":", &save) : NULL; d && !found; d = strtok_r(NULL, ":", &save)) {
        snprintf(file, sizeof file, "%s/%s", d, name);
        found = access(file, X_OK) == 0;
    }
    free(dirs);
    return found;
}

static void check_qcow2(struct doctor *d)
{
    if (program_exists("qemu-nbd"))
        report(d, OK, "qcow2", "qemu-nbd is there: disks may be qcow2 images");
    else
        report(d, WARN, "qcow2", "qemu-nbd is not installed: disks are raw only; `apt install qemu-utils`");
}

/* May the kernel divide the processor for us? Tried, not guessed. */
static void check_cgroup(struct doctor *d)
{
    struct err e;
    struct sched_cgroup *c = sched_cgroup_new(1, &e);

    if (c)
        report(d, OK, "shares", "cgroup: the kernel divides the processor (`host.sched auto`)");
    else
        report(d, OK, "shares", "slots: ruche divides the processor itself. %s", e.msg);
    sched_cgroup_free(c);
}

static void check_safety(struct doctor *d)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);

    if (abi > 0)
        report(d, OK, "landlock", "version %ld: an instance reaches only the files that it was told of", abi);
    else
        report(d, WARN, "landlock", "%s: access to files is not fenced in", errno == EOPNOTSUPP
                                        ? "built into the kernel, but not turned on (`lsm=` of its command line)"
                                        : "not in this kernel");
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)
        report(d, OK, "seccomp", "guest threads run under a filter of system calls");
    else
        report(d, WARN, "seccomp", "not in this kernel: guest threads run without a filter");
    if (geteuid() == 0)
        report(d, WARN, "user", "you are root: it works, but nothing here needs it (capabilities are dropped at start)");
}

static void check_terminal(struct doctor *d)
{
    const char *term = getenv("TERM"), *charset;

    setlocale(LC_CTYPE, "");
    charset = nl_langinfo(CODESET);
    if (!isatty(0) || !isatty(1))
        report(d, OK, "terminal", "none here: --headless, --exec and `ruche ctl` work without");
    else if (!term || !*term || strcmp(term, "dumb") == 0)
        report(d, WARN, "terminal", "TERM is %s: only the line mode works", term && *term ? term : "not set");
    else
        report(d, OK, "terminal", "%s", term);
    if (strcmp(charset, "UTF-8") != 0)
        report(d, WARN, "characters", "%s, not UTF-8: graphs are drawn in ASCII; `export LANG=C.UTF-8` helps", charset);
    else
        report(d, OK, "characters", "UTF-8");
}

static void check_images(struct doctor *d)
{
    char there[200] = "", missing[200] = "";
    char *dir = images_dir();
    struct vm_config c;
    struct err e;

    for (unsigned i = 0; image_at(i); i++) {
        char *list;

        vm_config_init(&c, "x");
        list = image_apply(image_at(i)->name, NULL, &c, &e) == 0 ? there : missing;
        vm_config_fini(&c);
        snprintf(list + strlen(list), 200 - strlen(list), "%s%s", *list ? ", " : "", image_at(i)->name);
    }
    if (*there)
        report(d, OK, "images", "%s in %s", there, dir ? dir : "?");
    if (*missing)
        report(d, WARN, "images", "not there: %s; `make` makes the small ones, `make guests` the Linux ones", missing);
    free(dir);
}

bool doctor_examine(const struct accel_ops *const *engines, struct text *out)
{
    static void (*const checks[])(struct doctor *d) = {check_host,   check_ksm,      check_engines, check_cgroup,
                                                       check_safety, check_tap, check_qcow2,   check_terminal,
                                                       check_images};
    struct doctor d = {.out = out, .engines = engines};

    for (unsigned i = 0; i < sizeof checks / sizeof *checks; i++)
        checks[i](&d);
    text_puts(out, d.can_run ? "Guests can run here.\n" : "Guests cannot run here yet.\n");
    return d.can_run;
}
