/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * nettap: see nettap.h. A frame that the switch does not take yet stays in hand, and until it is gone
 * nothing more is read: then the kernel's queue fills, which is what its senders expect of a wire.
 */
#include "core/nettap.h"

#include "core/clock.h"
#include "core/lab.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/sandbox.h"
#include "core/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FRAMES_PER_TURN = 64, STACK_BYTES = 128 << 10, HDR = sizeof(struct virtio_net_hdr_v1) };

struct nettap {
    struct netport *port;
    struct loop *loop;
    struct loop_fd *from_host, *woken;
    struct loop_timer *later;
    pthread_t thread;
    bool runs;
    int fd, wake;

    /* the thread's */
    struct netframe *held; /* from the host; the switch had no room */
    struct log_limit log_limit;
    uint8_t buf[NETFRAME_MAX];
};

/* ---- opening ---- */

static int explain(const char *name, int code, struct err *e)
{
    switch (code) {
    case EPERM:
        return err_set(e, code, "the TAP interface %s is not there, or not yours: `sudo ip tuntap add dev %s mode tap "
                       "user $USER && sudo ip link set %s up` makes it; with CAP_NET_ADMIN ruche does", name, name, name);
    case EBUSY:
        return err_set(e, code, "the TAP interface %s is used by another program", name);
    case EINVAL:
        return err_set(e, code, "%s is an interface, but no TAP: choose another name in `tap`", name);
    default:
        return err_set(e, code, "the TAP interface %s cannot be opened: %s", name, strerror(code));
    }
}

/* Without this it would pass no frame; who made it beforehand may want it down. */
static void set_up(const char *name)
{
    struct ifreq r = {0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (s >= 0 && ioctl(s, SIOCGIFFLAGS, &r) == 0 && !(r.ifr_flags & IFF_UP)) {
        r.ifr_flags |= IFF_UP;
        if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
            log_msg(LOG_WARN, "the TAP interface %s is down, and stays so until somebody says "
                    "`sudo ip link set %s up`", name, name);
    }
    if (s >= 0)
        close(s);
}

static int open_tap(const char *name, int *out, struct err *e)
{
    const int header = HDR;
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int rc, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT || errno == ENODEV || errno == ENXIO
                   ? err_set(e, errno, "there is no /dev/net/tun: `sudo modprobe tun`, or leave `tap` out")
                   : err_set(e, errno, "/dev/net/tun cannot be opened: %s; `ruche doctor` tells more", strerror(errno));
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &r) < 0) {
        rc = explain(name, errno, e);
        goto out_close;
    }
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) {
        rc = err_set(e, errno, "the TAP interface %s takes no virtio headers: %s", name, strerror(errno));
        goto out_close;
    }
    set_up(name);
    *out = fd;
    return 0;

out_close:
    close(fd);
    return rc;
}

int nettap_open_lab(struct lab *lab, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; i < lab->nnets && rc == 0; i++) {
        struct lab_net *n = &lab->nets[i];

        if (!n->tap)
            continue;
        sandbox_net_admin();
        rc = open_tap(n->tap, &n->tap_fd, e);
        if (rc < 0)
            err_prefix(e, "network %s: ", n->name);
    }
    return rc;
}

/* ---- between host and switch ---- */

static void wake(void *opaque)
{
    struct nettap *t = opaque;
    const uint64_t one = 1;

    if (write(t->wake, &one, sizeof one) < 0)
        return; /* EAGAIN: it is signalled already */
}

static void wait_for(struct nettap *t, uint64_t wait_ns)
{
    if (wait_ns)
        loop_arm_ns(t->later, wait_ns);
}

/* True if nothing is in hand any more. */
static bool send_held(struct nettap *t)
{
    uint64_t wait;

    if (t->held && netport_send(t->port, &t->held, &wait) < 0) {
        loop_mod_fd(t->from_host, 0);
        wait_for(t, wait);
        return false;
    }
    return true;
}

/* One frame of the host's; NULL: none, or one that is dropped (*any tells). */
static struct netframe *read_frame(struct nettap *t, bool *any)
{
    struct virtio_net_hdr_v1 h;
    struct iovec v[2] = {{&h, sizeof h}, {t->buf, sizeof t->buf}};
    const ssize_t got = readv(t->fd, v, 2);
    struct net_offload off;
    struct netframe *f;

    *any = got > 0;
    if (got < HDR + NETFRAME_MIN || !netframe_offload_from(&h, &off))
        return NULL;
    f = netframe_new((size_t)got - HDR);
    if (f) {
        memcpy(f->data, t->buf, f->len);
        f->off = off;
    }
    return f;
}

static void from_host(void *arg, uint32_t events)
{
    struct nettap *t = arg;
    bool any = true;

    (void)events;
    for (unsigned i = 0; i < FRAMES_PER_TURN && any && send_held(t); i++)
        t->held = read_frame(t, &any);
    send_held(t);
    netport_bill(t->port, clock_ns(CLOCK_THREAD_CPUTIME_ID));
}

static void to_host(struct nettap *t, struct netframe *f)
{
    struct virtio_net_hdr_v1 h = netframe_header(f, 1);
    const struct iovec v[2] = {{&h, sizeof h}, {f->data, f->len}};

    if (writev(t->fd, v, 2) < 0 && errno != EAGAIN)
        log_limited(&t->log_limit, LOG_WARN, "%s: the host takes no frame: %s", netport_name(t->port), strerror(errno));
    netframe_free(f); /* what it did not take is lost, as on a wire */
}

/* Frames for the host, or room for what is in hand. */
static void serve(void *arg)
{
    struct nettap *t = arg;
    uint64_t wait = 0;
    struct netframe *f = NULL;

    if (send_held(t))
        loop_mod_fd(t->from_host, EPOLLIN);
    for (unsigned i = 0; i < FRAMES_PER_TURN && (f = netport_take(t->port, &wait)); i++)
        to_host(t, f);
    if (f)
        wake(t); /* the other direction has its turn */
    else
        wait_for(t, wait);
    netport_bill(t->port, clock_ns(CLOCK_THREAD_CPUTIME_ID));
}

static void on_wake(void *arg, uint32_t events)
{
    struct nettap *t = arg;
    uint64_t n;

    (void)events;
    if (read(t->wake, &n, sizeof n) == sizeof n)
        serve(t);
}

/* ---- life ---- */

static void *tap_main(void *arg)
{
    struct nettap *t = arg;

    sandbox_io_thread();
    loop_run(t->loop);
    return NULL;
}

static int start_thread(struct nettap *t, struct err *e)
{
    char name[16];
    int rc = thread_start(&t->thread, "the TAP", STACK_BYTES, tap_main, t, e);

    if (rc < 0)
        return rc;
    t->runs = true;
    snprintf(name, sizeof name, "tap/%.11s", netswitch_name(netport_switch(t->port)));
    pthread_setname_np(t->thread, name);
    return 0;
}

static int tap_init(struct nettap *t, struct netswitch *s, const char *name, struct err *e)
{
    static const uint8_t no_mac[6];
    const struct netport_user user = {.wake_rx = wake, .wake_tx = wake, .opaque = t};

    t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->wake < 0)
        return err_set(e, errno, "cannot create an event descriptor: %s", strerror(errno));
    t->port = netport_new(s, name, no_mac, e);
    if (!t->port || !(t->loop = loop_new(e)))
        return -ENOMEM;
    t->from_host = loop_add_fd(t->loop, t->fd, EPOLLIN, from_host, t, e);
    t->woken = loop_add_fd(t->loop, t->wake, EPOLLIN, on_wake, t, e);
    t->later = loop_add_timer(t->loop, serve, t, e);
    if (!t->from_host || !t->woken || !t->later)
        return -ENOMEM;
    netport_set_takes(t->port, NET_TAKES_CSUM | NET_TAKES_TCP4 | NET_TAKES_TCP6);
    netport_attach(t->port, &user);
    return start_thread(t, e);
}

struct nettap *nettap_new(struct netswitch *s, const char *name, int fd, struct err *e)
{
    struct nettap *t = calloc(1, sizeof *t);

    if (!t) {
        close(fd);
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    t->fd = fd;
    t->wake = -1;
    if (tap_init(t, s, name, e) == 0)
        return t;
    nettap_free(t);
    return NULL;
}

void nettap_pin(struct nettap *t, const cpu_set_t *set)
{
    if (t && t->runs)
        pthread_setaffinity_np(t->thread, sizeof *set, set);
}

void nettap_free(struct nettap *t)
{
    if (!t)
        return;
    if (t->runs) {
        loop_stop(t->loop);
        pthread_join(t->thread, NULL);
    }
    if (t->port && t->runs)
        netport_detach(t->port);
    netport_free(t->port);
    loop_free(t->loop);
    netframe_free(t->held);
    if (t->wake >= 0)
        close(t->wake);
    close(t->fd);
    free(t);
}
