/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netnat: see netnat.h. What libslirp sends while its link is full waits in `held`, and until it
 * is gone nothing more is read from the host's sockets: nothing is lost, TCP need not retry.
 */
#include "core/netnat.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <slirp/libslirp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { FDS_MAX = 1024, FRAMES_PER_TURN = 256, HELD_MAX = 4096, STACK_BYTES = 512 << 10 };

struct netnat {
    Slirp *slirp;
    struct netport *port;
    pthread_t thread;
    bool runs;
    int wake; /* eventfd */
    _Atomic bool stop;

    /* the thread's */
    struct pollfd fd[FDS_MAX]; /* the first is `wake` */
    unsigned nfds;
    struct netframe *held, **held_last;
    unsigned nheld;
    struct log_limit log_limit;
};

/* ---- the link ---- */

static void wake(void *opaque)
{
    struct netnat *n = opaque;
    const uint64_t one = 1;

    if (write(n->wake, &one, sizeof one) < 0)
        return; /* EAGAIN: it is signalled already */
}

/* Sends what is held; true if nothing is left. */
static bool send_held(struct netnat *n)
{
    uint64_t wait;

    while (n->held) {
        struct netframe *f = n->held, *next = f->next;

        if (netport_send(n->port, &f, &wait) < 0)
            return false;
        n->held = next;
        n->nheld--;
    }
    n->held_last = &n->held;
    return true;
}

/* From libslirp to a guest. */
static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
    struct netnat *n = opaque;
    struct netframe *f = n->nheld < HELD_MAX ? netframe_new(len) : NULL;

    if (!f)
        return (ssize_t)len; /* lost, as on a wire */
    memcpy(f->data, buf, len);
    *n->held_last = f;
    n->held_last = &f->next;
    n->nheld++;
    send_held(n);
    return (ssize_t)len;
}

/* From guests to libslirp; how long until there may be more. */
static uint64_t input(struct netnat *n)
{
    uint64_t wait = 0;

    for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
        struct netframe *f = netport_take(n->port, &wait);

        if (!f)
            return wait ? wait : UINT64_MAX;
        slirp_input(n->slirp, f->data, (int)f->len);
        netframe_free(f);
    }
    return 0;
}

/* ---- what libslirp asks of us ---- */

static void guest_error(const char *msg, void *opaque)
{
    struct netnat *n = opaque;

    log_limited(&n->log_limit, LOG_WARN, "nat: %s", msg);
}

static int64_t slirp_clock(void *opaque)
{
    (void)opaque;
    return (int64_t)clock_mono_ns();
}

/* Timers serve IPv6 router advertisements only, which are off. */
static void *no_timer(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    (void)cb;
    (void)cb_opaque;
    (void)opaque;
    return NULL;
}

static void no_timer_free(void *timer, void *opaque)
{
    (void)timer;
    (void)opaque;
}

static void no_timer_mod(void *timer, int64_t expire_time, void *opaque)
{
    (void)timer;
    (void)expire_time;
    (void)opaque;
}

static void fd_known(int fd, void *opaque) /* poll() is told of all descriptors each time */
{
    (void)fd;
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = send_packet, .guest_error = guest_error, .clock_get_ns = slirp_clock,
    .timer_new = no_timer, .timer_free = no_timer_free, .timer_mod = no_timer_mod,
    .register_poll_fd = fd_known, .unregister_poll_fd = fd_known, .notify = wake,
};

/* ---- the loop ---- */

static const struct {
    int slirp, poll;
} events[] = {{SLIRP_POLL_IN, POLLIN}, {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
              {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP}};

static int add_poll(int fd, int ev, void *opaque)
{
    struct netnat *n = opaque;
    short want = 0;

    if (n->held)
        ev &= ~SLIRP_POLL_IN;
    if (n->nfds == FDS_MAX)
        return -1;
    for (unsigned i = 0; i < 3; i++)
        if (ev & events[i].slirp)
            want = (short)(want | events[i].poll);
    n->fd[n->nfds] = (struct pollfd){.fd = want ? fd : -1, .events = want};
    return (int)n->nfds++;
}

static int get_revents(int idx, void *opaque)
{
    struct netnat *n = opaque;
    int ev = 0;

    if (idx < 1 || (unsigned)idx >= n->nfds)
        return 0;
    for (unsigned i = 0; i < sizeof events / sizeof *events; i++)
        if (n->fd[idx].revents & events[i].poll)
            ev |= events[i].slirp;
    return ev;
}

static int timeout_ms(uint32_t slirp_ms, uint64_t link_ns)
{
    const uint64_t ms = link_ns / NS_PER_MS + (link_ns % NS_PER_MS != 0);

    return (int)(link_ns == UINT64_MAX || slirp_ms < ms ? slirp_ms : ms);
}

static void *nat_thread(void *arg)
{
    struct netnat *n = arg;
    uint64_t more_ns = 0, drained;

    sandbox_net_thread();
    while (!n->stop) {
        uint32_t ms = 1000;
        int rc;

        n->fd[0] = (struct pollfd){.fd = n->wake, .events = POLLIN};
        n->nfds = 1;
        if (!send_held(n) && more_ns > 5 * NS_PER_MS)
            more_ns = 5 * NS_PER_MS;
        slirp_pollfds_fill(n->slirp, &ms, add_poll, n);
        netport_bill(n->port, clock_ns(CLOCK_THREAD_CPUTIME_ID));
        rc = poll(n->fd, n->nfds, timeout_ms(ms, more_ns));
        if (rc > 0 && n->fd[0].revents && read(n->wake, &drained, sizeof drained) < 0)
            continue;
        slirp_pollfds_poll(n->slirp, rc < 0, get_revents, n);
        more_ns = input(n);
    }
    return NULL;
}

static int start_thread(struct netnat *n, struct err *e)
{
    char name[16];
    int rc = thread_start(&n->thread, "the NAT", STACK_BYTES, nat_thread, n, e);

    if (rc < 0)
        return rc;
    n->runs = true;
    snprintf(name, sizeof name, "nat/%.11s", netswitch_name(netport_switch(n->port)));
    pthread_setname_np(n->thread, name);
    return 0;
}

/* ---- life ---- */

static struct in_addr addr(uint32_t ip)
{
    return (struct in_addr){.s_addr = htonl(ip)};
}

static int forward(struct netnat *n, const struct nat_forward *f, struct err *e)
{
    errno = 0;
    if (slirp_add_hostfwd(n->slirp, f->udp, addr(INADDR_LOOPBACK), f->host_port, addr(f->guest_ip), f->guest_port) < 0)
        return err_set(e, errno ? errno : EADDRINUSE,
                       "port %u of this host cannot be forwarded: %s; take another in `forward`", f->host_port,
                       strerror(errno ? errno : EADDRINUSE));
    return 0;
}

static int nat_init(struct netnat *n, struct netswitch *s, const struct nat_forward *f, unsigned nf, struct err *e)
{
    static const uint8_t no_mac[6];
    const struct netport_user user = {.wake_rx = wake, .wake_tx = wake, .opaque = n};
    const struct net_subnet *net = netswitch_subnet(s);
    const SlirpConfig config = {
        .version = 4, .in_enabled = true, .vnetwork = addr(net->base),
        .vnetmask = addr(~0u << (32 - net->bits)), .vhost = addr(net->gateway), .vnameserver = addr(net->dns),
        .vdhcp_start = addr(net->base + 15), .vhostname = "ruche", .disable_dhcp = true,
    };
    int rc = 0;

    n->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->wake < 0)
        return err_set(e, errno, "cannot create an event descriptor: %s", strerror(errno));
    n->port = netport_new(s, "nat", no_mac, e);
    if (!n->port)
        return -ENOMEM;
    n->slirp = slirp_new(&config, &callbacks, n);
    if (!n->slirp)
        return err_set(e, ENOMEM, "libslirp refuses the network %s", netswitch_name(s));
    for (unsigned i = 0; i < nf && rc == 0; i++)
        rc = forward(n, &f[i], e);
    if (rc < 0)
        return rc;
    netport_attach(n->port, &user);
    return start_thread(n, e);
}

struct netnat *netnat_new(struct netswitch *s, const struct nat_forward *f, unsigned nf, struct err *e)
{
    struct netnat *n = calloc(1, sizeof *n);

    if (!n) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    n->held_last = &n->held;
    if (nat_init(n, s, f, nf, e) == 0)
        return n;
    netnat_free(n);
    return NULL;
}

void netnat_pin(struct netnat *n, const cpu_set_t *set)
{
    if (n && n->runs)
        pthread_setaffinity_np(n->thread, sizeof *set, set);
}

void netnat_free(struct netnat *n)
{
    if (!n)
        return;
    if (n->runs) {
        n->stop = true;
        wake(n);
        pthread_join(n->thread, NULL);
    }
    if (n->slirp)
        slirp_cleanup(n->slirp); /* may send yet */
    netport_free(n->port);
    while (n->held) {
        struct netframe *f = n->held;

        n->held = f->next;
        netframe_free(f);
    }
    if (n->wake >= 0)
        close(n->wake);
    free(n);
}
