// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * init: process 1 of the small Linux guest that scripts/guests makes (initrd.gz).  It says when it
 * began, loads the drivers for what the machine has, names the machine, and keeps a shell on
 * every console.  It ends the machine when busybox's poweroff, reboot or halt ask for it, and
 * when the ACPI power button is pressed.  With root=DEVICE it hands over to that system instead.
 * It is in C and not a script because it is on the path that boot times are measured on.
 *
 * Words on the kernel's command line that it knows:
 *   ruche.name=NAME     host name (default: guest)
 *   ruche.exec="CMD"    run CMD with sh before the shells come; its status is printed
 *   root=DEVICE         (with rootfstype=, ro, rw, init=) boot the system that is there
 *
 * One thread.  SIGUSR1 halts, SIGUSR2 powers off, SIGTERM and SIGINT reboot, as busybox has it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONSOLES 4
#define MAX_BUTTONS 4

struct console {
    char tty[32];
    pid_t shell;
};

struct init {
    char name[65], exec[1024], root[128], root_type[32], root_init[128];
    bool root_rw;
    struct console consoles[MAX_CONSOLES];
    int n_consoles;
    int buttons[MAX_BUTTONS];
    int n_buttons;
    int signals;
};

static double uptime(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static void complain(const char *what)
{
    printf("ruche: %s: %s\n", what, strerror(errno));
}

static void make_mount(const char *type, const char *where, const char *options)
{
    mkdir(where, 0755);
    if (mount(type, where, type, 0, options) < 0)
        complain(where);
}

// The first line of a small file, without its end; empty if there is none.
static char *read_line(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : 0;

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return buf;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        complain(path);
    close(fd);
}

// ---- the kernel's command line

static void set_word(char *dst, size_t size, const char *value)
{
    snprintf(dst, size, "%s", value);
}

static void take_word(struct init *in, char *word)
{
    char *value = strchr(word, '=');

    if (strcmp(word, "rw") == 0)
        in->root_rw = true;
    if (!value)
        return;
    *value++ = '\0';
    if (strcmp(word, "ruche.name") == 0)
        set_word(in->name, sizeof(in->name), value);
    else if (strcmp(word, "ruche.exec") == 0)
        set_word(in->exec, sizeof(in->exec), value);
    else if (strcmp(word, "root") == 0)
        set_word(in->root, sizeof(in->root), value);
    else if (strcmp(word, "rootfstype") == 0)
        set_word(in->root_type, sizeof(in->root_type), value);
    else if (strcmp(word, "init") == 0)
        set_word(in->root_init, sizeof(in->root_init), value);
}

// Words are parted by blanks; double quotes keep blanks together, as the kernel has it.
static void parse_cmdline(struct init *in)
{
    char line[4096], word[1100];
    size_t n = 0;
    bool quoted = false;

    read_line("/proc/cmdline", line, sizeof(line));
    for (char *p = line;; p++) {
        if (*p == '"') {
            quoted = !quoted;
        } else if (*p == '\0' || (*p == ' ' && !quoted)) {
            word[n] = '\0';
            take_word(in, word);
            n = 0;
            if (*p == '\0')
                return;
        } else if (n < sizeof(word) - 1) {
            word[n++] = *p;
        }
    }
}

// ---- drivers

// Does one device below `bus` have a file `attr` that starts with `want`?
static bool any_device(const char *bus, const char *attr, const char *want)
{
    char path[400], value[64];
    DIR *dir = opendir(bus);
    bool found = false;

    for (struct dirent *e; dir && !found && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s/%s", bus, e->d_name, attr);
        found = strncmp(read_line(path, value, sizeof(value)), want, strlen(want)) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

static bool condition_holds(const char *cond)
{
    if (strncmp(cond, "pci:", 4) == 0)
        return any_device("/sys/bus/pci/devices", "vendor", cond + 4);
    if (strncmp(cond, "virtio:", 7) == 0)
        return any_device("/sys/bus/virtio/devices", "device", cond + 7);
    if (strncmp(cond, "acpi:", 5) == 0)
        return any_device("/sys/bus/acpi/devices", "hid", cond + 5);
    return strcmp(cond, "always") == 0;
}

static void load_module(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
        complain(path);
    if (fd >= 0)
        close(fd);
}

// Lines are "CONDITION PATH", each judged when its turn comes: the first make the bus that the
// next ones ask.
static void load_drivers(void)
{
    FILE *f = fopen("/lib/modules/load", "re");
    char line[256], cond[32], last[32] = "", path[200];
    bool holds = false;

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%31s %199s", cond, path) != 2)
            continue;
        if (strcmp(cond, last) != 0)
            holds = condition_holds(cond);
        strcpy(last, cond);
        if (holds)
            load_module(path);
    }
    if (f)
        fclose(f);
}

// ---- the system on a disk

static void boot_root(struct init *in)
{
    const char *type = in->root_type[0] ? in->root_type : "ext4";
    const char *init = in->root_init[0] ? in->root_init : "/sbin/init";

    for (int i = 0; i < 500 && access(in->root, F_OK) < 0; i++)
        pause_ms(10);
    mkdir("/sysroot", 0755);
    if (mount(in->root, "/sysroot", type, in->root_rw ? 0 : MS_RDONLY, NULL) < 0) {
        complain(in->root);
        printf("ruche: staying here, in the small system\n");
        return;
    }
    mount("/dev", "/sysroot/dev", NULL, MS_MOVE, NULL);
    mount("/proc", "/sysroot/proc", NULL, MS_MOVE, NULL);
    mount("/sys", "/sysroot/sys", NULL, MS_MOVE, NULL);
    if (chdir("/sysroot") == 0 && mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0)
        execl(init, init, (char *)NULL);
    complain(init);
    for (;;)
        pause();
}

// ---- network

static void loopback_up(void)
{
    struct ifreq req = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &req) == 0) {
        req.ifr_flags |= IFF_UP | IFF_RUNNING;
        ioctl(fd, SIOCSIFFLAGS, &req);
    }
    if (fd >= 0)
        close(fd);
}

static void unblock_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void start_dhcp(const struct init *in)
{
    if (access("/sys/class/net/eth0", F_OK) < 0 || fork() != 0)
        return;
    unblock_signals();
    setsid();
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    char host[80];
    snprintf(host, sizeof(host), "hostname:%s", in->name);
    execl("/bin/busybox", "udhcpc", "-f", "-i", "eth0", "-t", "3", "-T", "2", "-A", "10", "-x",
          host, "-s", "/etc/udhcpc.sh", (char *)NULL);
    _exit(127);
}

// ---- consoles and commands

static void set_environment(const struct init *in)
{
    clearenv();
    setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
    setenv("HOME", "/root", 1);
    setenv("USER", "root", 1);
    setenv("SHELL", "/bin/sh", 1);
    setenv("TERM", "vt100", 1);
    setenv("HOSTNAME", in->name, 1);
    setenv("ENV", "/etc/profile", 1);
}

// A serial line does not know its size; without one, the shell asks the terminal by an escape.
static void take_terminal(const char *tty)
{
    char path[48];
    struct winsize size;

    setsid();
    snprintf(path, sizeof(path), "/dev/%s", tty);
    int fd = open(path, O_RDWR);
    if (fd < 0)
        _exit(126);
    ioctl(fd, TIOCSCTTY, 1);
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row == 0) {
        size.ws_row = 24;
        size.ws_col = 80;
        ioctl(fd, TIOCSWINSZ, &size);
    }
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
}

static void start_shell(struct console *c)
{
    c->shell = fork();
    if (c->shell != 0)
        return;
    unblock_signals();
    take_terminal(c->tty);
    if (chdir("/") < 0)
        _exit(126);
    execl("/bin/busybox", "sh", (char *)NULL);
    _exit(127);
}

static void add_console(struct init *in, const char *tty)
{
    char path[48];

    snprintf(path, sizeof(path), "/dev/%s", tty);
    if (in->n_consoles == MAX_CONSOLES || access(path, F_OK) < 0)
        return;
    for (int i = 0; i < in->n_consoles; i++) {
        if (strcmp(in->consoles[i].tty, tty) == 0)
            return;
    }
    set_word(in->consoles[in->n_consoles++].tty, sizeof(in->consoles[0].tty), tty);
}

// The kernel's consoles, and the virtio console where there is one.
static void find_consoles(struct init *in)
{
    char active[128];

    read_line("/sys/class/tty/console/active", active, sizeof(active));
    for (char *save, *tty = strtok_r(active, " ", &save); tty; tty = strtok_r(NULL, " ", &save))
        add_console(in, tty);
    add_console(in, "hvc0");
    if (in->n_consoles == 0)
        add_console(in, "ttyS0");
}

static void run_exec(const struct init *in)
{
    int st = 0;
    pid_t pid = fork();

    if (pid == 0) {
        unblock_signals();
        if (in->n_consoles > 0)
            take_terminal(in->consoles[0].tty);
        execl("/bin/busybox", "sh", "-c", in->exec, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
        continue;
    printf("ruche: exec status %d\n", WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st));
}

// ---- the end

static void unmount_all(void)
{
    char line[512], dev[128], dir[256];
    FILE *f = fopen("/proc/mounts", "re");

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%127s %255s", dev, dir) == 2 && dev[0] == '/' &&
            umount(dir) < 0 && mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
            complain(dir);
    }
    if (f)
        fclose(f);
}

static void __attribute__((noreturn)) end_machine(struct init *in, int how, const char *word)
{
    printf("ruche: %s at %.2f s\n", word, uptime());
    for (int i = 0; i < in->n_consoles; i++) {
        if (in->consoles[i].shell > 0)
            kill(in->consoles[i].shell, SIGKILL);   // nothing to save, but would print a prompt
    }
    kill(-1, SIGTERM);
    for (int i = 0; i < 20; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (kill(-1, 0) < 0)
            break;
        pause_ms(10);
    }
    kill(-1, SIGKILL);
    sync();
    unmount_all();
    fflush(stdout);
    tcdrain(1);
    reboot(how);
    complain("reboot");
    for (;;)
        pause();
}

// ---- the power button

static bool is_power_button(int fd)
{
    unsigned char keys[KEY_MAX / 8 + 1] = {0};

    return ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) >= 0 &&
           (keys[KEY_POWER / 8] >> KEY_POWER % 8 & 1);
}

static void find_buttons(struct init *in)
{
    char path[48];

    for (int i = 0; i < 16 && in->n_buttons < MAX_BUTTONS; i++) {
        snprintf(path, sizeof(path), "/dev/input/event%d", i);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && is_power_button(fd))
            in->buttons[in->n_buttons++] = fd;
        else if (fd >= 0)
            close(fd);
    }
}

static void read_button(struct init *in, int fd)
{
    struct input_event ev;

    while (read(fd, &ev, sizeof(ev)) == (ssize_t)sizeof(ev)) {
        if (ev.type == EV_KEY && ev.code == KEY_POWER && ev.value == 1)
            end_machine(in, RB_POWER_OFF, "power button, power off");
    }
}

// ---- the loop

static void reap(struct init *in)
{
    for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
        for (int i = 0; i < in->n_consoles; i++) {
            if (in->consoles[i].shell == pid)
                start_shell(&in->consoles[i]);
        }
    }
}

static void on_signal(struct init *in)
{
    struct signalfd_siginfo info;

    if (read(in->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    switch (info.ssi_signo) {
    case SIGCHLD:
        reap(in);
        break;
    case SIGUSR1:
        end_machine(in, RB_HALT_SYSTEM, "halt");
    case SIGUSR2:
        end_machine(in, RB_POWER_OFF, "power off");
    default:
        end_machine(in, RB_AUTOBOOT, "reboot");
    }
}

static void open_signals(struct init *in)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    in->signals = signalfd(-1, &set, SFD_CLOEXEC);
    reboot(RB_DISABLE_CAD);     // Ctrl-Alt-Del becomes a SIGINT
}

static void __attribute__((noreturn)) loop(struct init *in)
{
    struct pollfd p[1 + MAX_BUTTONS] = {{.fd = in->signals, .events = POLLIN}};

    for (int i = 0; i < in->n_buttons; i++)
        p[1 + i] = (struct pollfd){.fd = in->buttons[i], .events = POLLIN};
    for (;;) {
        if (poll(p, 1 + (nfds_t)in->n_buttons, -1) < 0)
            continue;
        if (p[0].revents)
            on_signal(in);
        for (int i = 0; i < in->n_buttons; i++) {
            if (p[1 + i].revents)
                read_button(in, in->buttons[i]);
        }
    }
}

static void open_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);

    for (int i = 0; fd >= 0 && i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

int main(void)
{
    static struct init in = {.name = "guest"};
    double begun = uptime();

    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    open_console();
    printf("ruche: init at %.3f s\n", begun);
    make_mount("proc", "/proc", NULL);
    make_mount("sysfs", "/sys", NULL);
    parse_cmdline(&in);
    load_drivers();
    if (sethostname(in.name, strlen(in.name)) < 0)
        complain("host name");
    if (in.root[0])
        boot_root(&in);
    make_mount("devpts", "/dev/pts", "ptmxmode=0666,mode=0620");
    make_mount("tmpfs", "/dev/shm", "mode=1777");
    make_mount("tmpfs", "/tmp", "mode=1777");
    make_mount("tmpfs", "/run", "mode=0755");
    if (symlink("/proc/self/fd", "/dev/fd") < 0)
        complain("/dev/fd");
    write_file("/proc/sys/kernel/printk", "4");
    set_environment(&in);
    open_signals(&in);
    loopback_up();
    start_dhcp(&in);
    find_consoles(&in);
    find_buttons(&in);
    if (in.exec[0])
        run_exec(&in);
    for (int i = 0; i < in.n_consoles; i++)
        start_shell(&in.consoles[i]);
    loop(&in);
}
