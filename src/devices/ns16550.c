/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ns16550: see ns16550.h.
 */
#include "devices/ns16550.h"

#include "core/vclock.h"

#include <errno.h>
#include <stdlib.h>

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

enum { IER_RDA = 1, IER_THRE = 2, IER_RLS = 4, IER_MODEM = 8, IER_ALL = 15 };
enum { IIR_MODEM = 0, IIR_NONE = 1, IIR_THRE = 2, IIR_RDA = 4, IIR_RLS = 6, IIR_TIMEOUT = 12 };
enum { IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_KEPT = 0xc9 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_ALL = 31 };
enum {
    LSR_DR = 1, LSR_OE = 2, LSR_PE = 4, LSR_FE = 8, LSR_BI = 16, LSR_THRE = 32, LSR_TEMT = 64,
    LSR_FIFO_ERROR = 128,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI, LSR_OF_CHAR = LSR_PE | LSR_FE | LSR_BI,
};
enum {
    MSR_DCTS = 1, MSR_DDSR = 2, MSR_TERI = 4, MSR_DDCD = 8, MSR_DELTAS = 15,
    MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128,
};

/* The other end of the cable is there and ready. */
enum { MSR_CABLE = MSR_CTS | MSR_DSR | MSR_DCD };

/* Four characters of ten bits, in ns, per unit of the divisor (115200 baud at 1). A guest may
 * program 0.03 baud; nobody waits longer than the bound. */
enum { TIMEOUT_NS_PER_DIVISOR = 347222, TIMEOUT_MAX_NS = 1000000 };

struct ns16550 {
    pthread_mutex_t lock; /* protects all below */
    struct irq_wire irq;
    struct ns16550_host host;
    struct vclock *clock;
    struct vtimer timeout; /* armed: characters wait, nobody has touched the FIFO since */
    struct vtimer breath;  /* armed: the THRE interrupt is held back */
    uint64_t timeout_due_ns;
    unsigned burst; /* bytes sent since INTR was last seen idle */
    int level;      /* of the wire */
    struct ns16550_regs r;
    struct ns16550_stats stats;
    uint16_t queue[NS16550_QUEUE]; /* like regs.fifo */
    unsigned queue_first, queue_count;
    bool refused; /* a receive was cut short: `room` is owed */
    bool looked;  /* the guest has looked for a character since the reset */
};

static bool fifo_enabled(const struct ns16550 *u)
{
    return u->r.fcr & FCR_ENABLE;
}

static unsigned fifo_capacity(const struct ns16550 *u)
{
    return fifo_enabled(u) ? NS16550_FIFO : 1;
}

static unsigned fifo_trigger(const struct ns16550 *u)
{
    static const uint8_t level[4] = {1, 4, 8, 14};

    return fifo_enabled(u) ? level[u->r.fcr >> 6] : 1;
}

/* Data sheet table II: the pending source of highest priority. */
static uint8_t interrupt_id(const struct ns16550 *u)
{
    const struct ns16550_regs *r = &u->r;

    if ((r->ier & IER_RLS) && (r->lsr & LSR_ERRORS))
        return IIR_RLS;
    if ((r->ier & IER_RDA) && r->fifo_count >= fifo_trigger(u))
        return IIR_RDA;
    if ((r->ier & IER_RDA) && r->timeout_pending)
        return IIR_TIMEOUT;
    if ((r->ier & IER_THRE) && r->thre_pending)
        return IIR_THRE;
    if ((r->ier & IER_MODEM) && (r->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void ns16550_update(struct ns16550 *u)
{
    int level = interrupt_id(u) != IIR_NONE;

    if (level == u->level)
        return;
    u->level = level;
    u->stats.irqs += (unsigned)level;
    irq_set(&u->irq, level);
}

/* The first character of the FIFO brings its error bits into LSR when it gets there. */
static void fifo_show_first(struct ns16550 *u)
{
    struct ns16550_regs *r = &u->r;

    r->lsr &= (uint8_t)~LSR_DR;
    if (r->fifo_count)
        r->lsr |= LSR_DR | r->fifo[r->fifo_first] >> 8;
}

static bool fifo_holds_error(const struct ns16550 *u)
{
    for (unsigned i = 0; i < u->r.fifo_count; i++)
        if (u->r.fifo[(u->r.fifo_first + i) % NS16550_FIFO] >> 8)
            return true;
    return false;
}

static void timeout_restart(struct ns16550 *u)
{
    unsigned divisor = u->r.dll | u->r.dlm << 8;
    uint64_t ns = (uint64_t)(divisor ? divisor : 1) * TIMEOUT_NS_PER_DIVISOR;

    u->r.timeout_pending = false;
    if (!fifo_enabled(u) || u->r.fifo_count == 0) {
        vtimer_cancel(&u->timeout);
        return;
    }
    u->timeout_due_ns = vclock_now_ns(u->clock) + (ns < TIMEOUT_MAX_NS ? ns : TIMEOUT_MAX_NS);
    vtimer_arm(&u->timeout, u->timeout_due_ns);
}

static void timeout_fired(void *arg)
{
    struct ns16550 *u = arg;

    pthread_mutex_lock(&u->lock);
    if (u->r.fifo_count && fifo_enabled(u) && vclock_now_ns(u->clock) >= u->timeout_due_ns) {
        u->r.timeout_pending = true;
        ns16550_update(u);
    }
    pthread_mutex_unlock(&u->lock);
}

static void fifo_push(struct ns16550 *u, uint16_t c)
{
    struct ns16550_regs *r = &u->r;

    if (r->fifo_count == fifo_capacity(u)) {
        /* the newest is lost from a FIFO, the older from a lone RBR */
        u->stats.rx_dropped++;
        r->lsr |= LSR_OE;
        if (!fifo_enabled(u))
            r->fifo[r->fifo_first] = c;
    } else {
        r->fifo[(r->fifo_first + r->fifo_count++) % NS16550_FIFO] = c;
    }
    fifo_show_first(u);
}

static void fifo_clear(struct ns16550 *u)
{
    u->stats.rx_dropped += u->r.fifo_count;
    u->r.fifo_count = u->r.fifo_first = 0;
    fifo_show_first(u);
    timeout_restart(u);
}

/* Moves what waits into the FIFO; in loopback the line is cut off. Before the guest looks it sees no difference, but
 * what came too early is not lost when it sets up and clears its FIFO. */
static void queue_feed(struct ns16550 *u)
{
    bool moved = false;

    if ((u->r.mcr & MCR_LOOP) || !u->looked)
        return;
    while (u->queue_count && u->r.fifo_count < fifo_capacity(u)) {
        fifo_push(u, u->queue[u->queue_first]);
        u->queue_first = (u->queue_first + 1) % NS16550_QUEUE;
        u->queue_count--;
        moved = true;
    }
    if (moved)
        timeout_restart(u);
    if (u->refused && u->queue_count <= NS16550_QUEUE / 2) {
        u->refused = false;
        if (u->host.room)
            u->host.room(u->host.opaque);
    }
}

static void look(struct ns16550 *u)
{
    if (u->looked)
        return;
    u->looked = true;
    queue_feed(u);
}

static bool queue_put(struct ns16550 *u, uint16_t c)
{
    if (u->queue_count == NS16550_QUEUE)
        return false;
    u->queue[(u->queue_first + u->queue_count++) % NS16550_QUEUE] = c;
    return true;
}

size_t ns16550_receive(struct ns16550 *u, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    size_t taken = 0;

    pthread_mutex_lock(&u->lock);
    while (taken < len && queue_put(u, p[taken]))
        taken++;
    u->refused |= taken < len;
    queue_feed(u);
    ns16550_update(u);
    pthread_mutex_unlock(&u->lock);
    return taken;
}

void ns16550_break(struct ns16550 *u)
{
    pthread_mutex_lock(&u->lock);
    if (!queue_put(u, (LSR_BI | LSR_FE) << 8))
        u->stats.rx_dropped++;
    queue_feed(u);
    ns16550_update(u);
    pthread_mutex_unlock(&u->lock);
}

static uint8_t rbr_read(struct ns16550 *u)
{
    struct ns16550_regs *r = &u->r;
    uint8_t c;

    look(u);
    if (r->fifo_count == 0)
        return 0;
    c = (uint8_t)r->fifo[r->fifo_first];
    r->fifo_first = (r->fifo_first + 1) % NS16550_FIFO;
    r->fifo_count--;
    u->stats.rx_bytes++;
    fifo_show_first(u);
    queue_feed(u);
    timeout_restart(u);
    return c;
}

/* THR is empty again: its interrupt comes at once, or after a breath at the end of a burst. */
static void thr_emptied(struct ns16550 *u)
{
    if (u->burst < NS16550_BURST || !(u->r.ier & IER_THRE)) {
        u->r.thre_pending = true;
        return;
    }
    u->burst = 0;
    u->r.thre_pending = false;
    vtimer_arm(&u->breath, vclock_now_ns(u->clock) + NS16550_BREATH_NS);
}

static void breath_fired(void *arg)
{
    struct ns16550 *u = arg;

    pthread_mutex_lock(&u->lock);
    u->r.thre_pending = true;
    ns16550_update(u);
    pthread_mutex_unlock(&u->lock);
}

static void thr_write(struct ns16550 *u, uint8_t c)
{
    if (u->r.mcr & MCR_LOOP) {
        fifo_push(u, c);
        timeout_restart(u);
    } else {
        u->stats.tx_bytes++;
        if (u->host.out)
            u->host.out(u->host.opaque, &c, 1);
    }
    u->burst++;
    if (!vtimer_is_armed(&u->breath))
        thr_emptied(u);
}

static void ier_write(struct ns16550 *u, uint8_t val)
{
    /* enabling it while THR is empty (it always is) raises the interrupt */
    if ((val & IER_THRE) && !(u->r.ier & IER_THRE)) {
        vtimer_cancel(&u->breath);
        u->r.thre_pending = true;
    }
    u->r.ier = val & IER_ALL;
    if (val & IER_RDA)
        look(u);
}

static uint8_t iir_read(struct ns16550 *u)
{
    uint8_t id;

    look(u);
    id = interrupt_id(u);
    if (id == IIR_THRE)
        u->r.thre_pending = false;
    else if (id == IIR_NONE)
        u->burst = 0;
    return id | (fifo_enabled(u) ? IIR_FIFOS : 0);
}

static void fcr_write(struct ns16550 *u, uint8_t val)
{
    bool switched = (val ^ u->r.fcr) & FCR_ENABLE;

    u->r.fcr = val & FCR_ENABLE ? val & FCR_KEPT : 0;
    if (switched || ((val & FCR_ENABLE) && (val & FCR_CLEAR_RX)))
        fifo_clear(u);
    queue_feed(u);
}

static void lcr_write(struct ns16550 *u, uint8_t val)
{
    bool break_begins = val & ~u->r.lcr & LCR_BREAK;

    u->r.lcr = val;
    if (break_begins && (u->r.mcr & MCR_LOOP)) {
        fifo_push(u, (LSR_BI | LSR_FE) << 8);
        timeout_restart(u);
    }
}

/* The modem inputs: in loopback they are the modem outputs. */
static uint8_t modem_inputs(const struct ns16550 *u)
{
    uint8_t m = u->r.mcr;

    if (!(m & MCR_LOOP))
        return MSR_CABLE;
    return (m & MCR_RTS ? MSR_CTS : 0) | (m & MCR_DTR ? MSR_DSR : 0) | (m & MCR_OUT1 ? MSR_RI : 0) |
           (m & MCR_OUT2 ? MSR_DCD : 0);
}

static void mcr_write(struct ns16550 *u, uint8_t val)
{
    uint8_t now, changed, deltas;

    u->r.mcr = val & MCR_ALL;
    now = modem_inputs(u);
    changed = (now ^ u->r.msr) & 0xf0;
    deltas = changed >> 4;
    if (now & MSR_RI)
        deltas &= (uint8_t)~MSR_TERI; /* only the trailing edge of RI counts */
    u->r.msr = now | (u->r.msr & MSR_DELTAS) | deltas;
    queue_feed(u);
}

/* Reading clears the errors, also of the character they belong to. Bit 7 says that the FIFO
 * holds errors, and the read that clears the last of them still shows it. */
static uint8_t lsr_read(struct ns16550 *u)
{
    struct ns16550_regs *r = &u->r;
    uint8_t val;

    look(u);
    val = r->lsr | (fifo_enabled(u) && fifo_holds_error(u) ? LSR_FIFO_ERROR : 0);
    r->lsr &= (uint8_t)~LSR_ERRORS;
    if (r->fifo_count)
        r->fifo[r->fifo_first] &= 0xff;
    return val;
}

static uint8_t msr_read(struct ns16550 *u)
{
    uint8_t val = u->r.msr;

    u->r.msr &= (uint8_t)~MSR_DELTAS;
    return val;
}

static uint8_t reg_read(struct ns16550 *u, uint64_t off)
{
    bool dlab = u->r.lcr & LCR_DLAB;

    switch (off) {
    case RBR_THR:
        return dlab ? u->r.dll : rbr_read(u);
    case IER:
        return dlab ? u->r.dlm : u->r.ier;
    case IIR_FCR:
        return iir_read(u);
    case LCR:
        return u->r.lcr;
    case MCR:
        return u->r.mcr;
    case LSR:
        return lsr_read(u);
    case MSR:
        return msr_read(u);
    case SCR:
        return u->r.scr;
    default:
        return 0xff;
    }
}

static void reg_write(struct ns16550 *u, uint64_t off, uint8_t val)
{
    bool dlab = u->r.lcr & LCR_DLAB;

    switch (off) {
    case RBR_THR:
        if (dlab)
            u->r.dll = val;
        else
            thr_write(u, val);
        break;
    case IER:
        if (dlab)
            u->r.dlm = val;
        else
            ier_write(u, val);
        break;
    case IIR_FCR:
        fcr_write(u, val);
        break;
    case LCR:
        lcr_write(u, val);
        break;
    case MCR:
        mcr_write(u, val);
        break;
    case SCR:
        u->r.scr = val;
        break;
    default:
        break; /* LSR and MSR are for factory tests when written */
    }
}

static uint64_t ns16550_read(void *dev, uint64_t off, unsigned size)
{
    struct ns16550 *u = dev;
    uint8_t val = reg_read(u, off);

    (void)size;
    ns16550_update(u);
    return val;
}

static void ns16550_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct ns16550 *u = dev;

    (void)size;
    reg_write(u, off, (uint8_t)val);
    ns16550_update(u);
}

const struct bus_ops ns16550_ops = {.read = ns16550_read, .write = ns16550_write, .widths = BUS_W1};

static void reset_locked(struct ns16550 *u)
{
    u->r = (struct ns16550_regs){.lsr = LSR_THRE | LSR_TEMT, .msr = MSR_CABLE, .dll = 1};
    u->queue_first = u->queue_count = 0;
    u->looked = false;
    u->burst = 0;
    vtimer_cancel(&u->timeout);
    vtimer_cancel(&u->breath);
    ns16550_update(u);
}

void ns16550_reset(struct ns16550 *u)
{
    bool owed;

    pthread_mutex_lock(&u->lock);
    reset_locked(u);
    owed = u->refused;
    u->refused = false;
    if (owed && u->host.room)
        u->host.room(u->host.opaque);
    pthread_mutex_unlock(&u->lock);
}

struct ns16550 *ns16550_new(const struct irq_wire *irq, struct vclock *clock,
                            const struct ns16550_host *host, struct err *e)
{
    struct ns16550 *u = calloc(1, sizeof *u);

    if (!u) {
        err_set(e, ENOMEM, "out of memory for a serial port; free some or start fewer guests");
        return NULL;
    }
    pthread_mutex_init(&u->lock, NULL);
    u->irq = *irq;
    u->host = *host;
    u->clock = clock;
    vtimer_init(&u->timeout, clock, timeout_fired, u);
    vtimer_init(&u->breath, clock, breath_fired, u);
    reset_locked(u);
    return u;
}

void ns16550_free(struct ns16550 *u)
{
    if (!u)
        return;
    vtimer_cancel(&u->timeout);
    vtimer_cancel(&u->breath);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

pthread_mutex_t *ns16550_lock(struct ns16550 *u)
{
    return &u->lock;
}

void ns16550_regs_get(struct ns16550 *u, struct ns16550_regs *out)
{
    pthread_mutex_lock(&u->lock);
    *out = u->r;
    pthread_mutex_unlock(&u->lock);
}

void ns16550_stats_get(struct ns16550 *u, struct ns16550_stats *out)
{
    pthread_mutex_lock(&u->lock);
    *out = u->stats;
    pthread_mutex_unlock(&u->lock);
}
