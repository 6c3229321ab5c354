/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * board: which chips a machine has, where they are, and which wire goes where. Each function
 * below solders one group on; board_new calls them from top to bottom, and is the machine.
 *
 * Addresses are in pc_map.h. With the engine's own interrupt controllers (KVM) lines and
 * messages go to it; with `irqchip: user`, or on the software CPU, to the chips made here.
 *
 * Threads: as board.h says; each chip locks for itself, the board has nothing to lock.
 */
#include "core/board.h"

#include "core/bus.h"
#include "core/every_exit.h"
#include "core/irq.h"
#include "core/mem.h"
#include "core/vm_config.h"
#include "devices/acpi_pm.h"
#include "devices/acpi_tables.h"
#include "devices/blkfile.h"
#include "devices/debug_ports.h"
#include "devices/i8042.h"
#include "devices/i8254.h"
#include "devices/irq_or.h"
#include "devices/irqchip.h"
#include "devices/mc146818.h"
#include "devices/ns16550.h"
#include "devices/pc_map.h"
#include "devices/pci.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMS = 2, VIRTIO_DEVICES_MAX = VM_DISKS_MAX + VM_NICS_MAX + 3 };

/* Slots of bus 0; disks follow, then network cards. */
enum { SLOT_CONSOLE = 1, SLOT_RNG = 2, SLOT_BALLOON = 3, SLOT_DISK0 = 4 };

/* What a UART knows of its owner. */
struct com_host {
    struct board *board;
    enum board_console console;
};

struct board {
    const struct vm_config *config;
    struct board_env env;
    struct irqchip_dev *irqchip; /* NULL: the engine has the controllers */
    struct i8254 *pit;           /* likewise */
    struct ns16550 *com[COMS];
    struct com_host com_host[COMS];
    struct acpi_pm *pm;
    struct debug_ports *debug;
    struct i8042 *i8042;
    struct mc146818 *rtc;
    struct pci *pci;
    struct irq_or intx[PC_PCI_LINES];
    struct virtio_console *console;
    struct virtio_rng *rng;
    struct virtio_balloon *balloon;
    unsigned ndisks;
    struct virtio_blk *disk[VM_DISKS_MAX];
    unsigned nnics;
    struct virtio_net *nic[VM_NICS_MAX];
    unsigned nvirtio;
    struct virtio_dev *virtio[VIRTIO_DEVICES_MAX];
    struct virtio_pci *fn[VIRTIO_DEVICES_MAX];
};

/* --- wires ------------------------------------------------------------------------- */

static void board_line(void *opaque, unsigned gsi, int level)
{
    struct board *b = opaque;

    if (b->irqchip)
        irqchip_set_line(b->irqchip, gsi, level);
    else
        b->env.irq_line(b->env.opaque, gsi, level);
}

static void board_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct board *b = opaque;

    if (b->irqchip)
        irqchip_msi(b->irqchip, addr, data);
    else
        b->env.msi(b->env.opaque, addr, data);
}

static struct irq_wire wire(struct board *b, unsigned gsi)
{
    return (struct irq_wire){.set = board_line, .opaque = b, .n = gsi};
}

static void com_out(void *opaque, const void *buf, size_t len)
{
    struct com_host *h = opaque;

    h->board->env.console_out(h->board->env.opaque, h->console, buf, len);
}

static void com_room(void *opaque)
{
    struct com_host *h = opaque;

    h->board->env.console_room(h->board->env.opaque, h->console);
}

static void hvc_out(void *opaque, const void *buf, size_t len)
{
    struct board *b = opaque;

    b->env.console_out(b->env.opaque, CONSOLE_VIRTIO, buf, len);
}

static void hvc_room(void *opaque)
{
    struct board *b = opaque;

    b->env.console_room(b->env.opaque, CONSOLE_VIRTIO);
}

EVERY_EXIT static void debug_out(void *opaque, const void *buf, size_t len)
{
    struct board *b = opaque;

    b->env.console_out(b->env.opaque, CONSOLE_DEBUG, buf, len);
}

static void board_power(void *opaque, enum board_power what, unsigned code)
{
    struct board *b = opaque;

    b->env.power(b->env.opaque, what, code);
}

static void pci_reset_control(void *opaque, bool hard)
{
    (void)hard; /* a CPU-only reset does not exist here */
    board_power(opaque, BOARD_RESET, 0);
}

/* --- groups of chips ----------------------------------------------------------------- */

static bool port(struct board *b, const char *name, unsigned base, unsigned len,
                 const struct bus_ops *ops, void *dev, pthread_mutex_t *lock, struct err *e)
{
    return bus_add(b->env.pio, name, base, len, ops, dev, lock, e) != NULL;
}

static bool add_interrupt_controllers(struct board *b, struct err *e)
{
    const struct irqchip_env env = {
        .clock = b->env.clock, .opaque = b->env.opaque, .cpu_event = b->env.cpu_event,
        .tsc_now = b->env.tsc_now, .tsc_to_ns = b->env.tsc_to_ns,
    };
    const struct irq_wire irq0 = wire(b, 0);

    if (b->env.irqchip_in_engine)
        return true;
    b->irqchip = irqchip_new(b->config->vcpus, &env, e);
    b->pit = b->irqchip ? i8254_new(&irq0, b->env.clock, e) : NULL;
    return b->pit &&
           port(b, "pic", PC_PIC_MASTER_PORT, 2, &irqchip_pic_ops,
                irqchip_region(b->irqchip, IRQCHIP_MASTER), NULL, e) &&
           port(b, "pic2", PC_PIC_SLAVE_PORT, 2, &irqchip_pic_ops,
                irqchip_region(b->irqchip, IRQCHIP_SLAVE), NULL, e) &&
           port(b, "elcr", PC_PIC_ELCR_PORT, 2, &irqchip_pic_ops,
                irqchip_region(b->irqchip, IRQCHIP_ELCR), NULL, e) &&
           port(b, "pit", PC_PIT_PORT, I8254_PORTS, &i8254_ops, b->pit, i8254_lock(b->pit), e) &&
           port(b, "port61", PC_PORT_B, 1, &i8254_port61_ops, b->pit, i8254_lock(b->pit), e) &&
           bus_add(b->env.mmio, "ioapic", PC_IOAPIC, PC_IOAPIC_BYTES, &irqchip_ioapic_ops,
                   irqchip_region(b->irqchip, IRQCHIP_IOAPIC), NULL, e);
}

static bool add_serial_ports(struct board *b, struct err *e)
{
    static const struct {
        const char *name;
        unsigned port, gsi;
        enum board_console console;
    } com[COMS] = {{"com1", PC_COM1_PORT, PC_GSI_COM1, CONSOLE_SERIAL0},
                   {"com2", PC_COM2_PORT, PC_GSI_COM2, CONSOLE_SERIAL1}};

    for (int i = 0; i < COMS; i++) {
        const struct irq_wire irq = wire(b, com[i].gsi);
        const struct ns16550_host host = {com_out, com_room, &b->com_host[i]};

        b->com_host[i] = (struct com_host){b, com[i].console};
        b->com[i] = ns16550_new(&irq, b->env.clock, &host, e);
        if (!b->com[i] || !port(b, com[i].name, com[i].port, NS16550_PORTS, &ns16550_ops, b->com[i],
                                ns16550_lock(b->com[i]), e))
            return false;
    }
    return true;
}

static bool add_power_management(struct board *b, struct err *e)
{
    const struct irq_wire sci = wire(b, PC_GSI_SCI);
    const struct acpi_pm_host pm_host = {board_power, b};
    const struct i8042_host kbc_host = {board_power, b};

    b->pm = acpi_pm_new(&sci, b->env.clock, 32, &pm_host, e);
    if (!b->pm || !port(b, "acpi-pm", PC_PM1_EVT_PORT, ACPI_PM_BYTES, &acpi_pm_ops, b->pm,
                        acpi_pm_lock(b->pm), e))
        return false;
    b->i8042 = i8042_new(&kbc_host, e);
    return b->i8042 &&
           port(b, "i8042", PC_I8042_DATA_PORT, 1, &i8042_data_ops, b->i8042,
                i8042_lock(b->i8042), e) &&
           port(b, "i8042", PC_I8042_CMD_PORT, 1, &i8042_command_ops, b->i8042,
                i8042_lock(b->i8042), e) &&
           port(b, "port92", PC_PORT_92, 1, &i8042_port92_ops, b->i8042, i8042_lock(b->i8042), e);
}

static bool add_clock_chip(struct board *b, struct err *e)
{
    const struct irq_wire irq = wire(b, PC_GSI_RTC);
    struct gmem_region ram[2] = {0};
    struct mc146818_params params = {.vcpus = b->config->vcpus};

    gmem_regions(b->env.mem, ram);
    params.low_bytes = ram[0].size_bytes;
    params.high_bytes = ram[1].size_bytes;
    b->rtc = mc146818_new(&irq, b->env.clock, &params, e);
    return b->rtc && port(b, "rtc", PC_RTC_PORT, MC146818_PORTS, &mc146818_ops, b->rtc,
                          mc146818_lock(b->rtc), e);
}

static bool add_debug_ports(struct board *b, struct err *e)
{
    const struct debug_ports_host host = {debug_out, board_power, b};
    pthread_mutex_t *lock;

    b->debug = debug_ports_new(&host, e);
    if (!b->debug)
        return false;
    lock = debug_ports_lock(b->debug);
    return port(b, "post", PC_POST_PORT, DEBUG_POST_BYTES, &debug_post_ops, b->debug, lock, e) &&
           port(b, "debugcon", PC_DEBUG_CONSOLE_PORT, DEBUG_CONSOLE_BYTES, &debug_console_ops,
                b->debug, NULL, e) && /* the console that it writes to has a lock of its own */
           port(b, "debug-exit", PC_DEBUG_EXIT_PORT, DEBUG_EXIT_BYTES, &debug_exit_ops, b->debug,
                lock, e);
}

static bool add_pci(struct board *b, struct err *e)
{
    const struct pci_env env = {
        .pio = b->env.pio, .mmio = b->env.mmio, .ecam_base = PC_ECAM,
        .window_base = PC_PCI_MMIO, .window_bytes = PC_PCI_MMIO_BYTES,
        .reset_control = pci_reset_control, .opaque = b,
    };

    for (unsigned i = 0; i < PC_PCI_LINES; i++) {
        const struct irq_wire line = wire(b, PC_GSI_PCI + i);

        irq_or_init(&b->intx[i], &line);
    }
    b->pci = pci_new(&env, e);
    return b->pci != NULL;
}

static bool plug(struct board *b, unsigned slot, struct virtio_dev *d, struct err *e)
{
    const struct irq_wire intx = irq_or_input(&b->intx[slot % PC_PCI_LINES], slot / PC_PCI_LINES);
    const struct msi_sink msi = {board_msi, b};
    struct virtio_pci *fn = virtio_pci_new(b->pci, slot, d, &intx, &msi, e);

    if (!fn)
        return false;
    b->virtio[b->nvirtio] = d;
    b->fn[b->nvirtio++] = fn;
    return true;
}

static struct virtio_env virtio_env_of(struct board *b)
{
    return (struct virtio_env){.mem = b->env.mem, .io = b->env.io, .clock = b->env.clock,
                               .opaque = b->env.opaque, .device_error = b->env.device_error,
                               .thread_started = b->env.thread_started,
                               .helper_started = b->env.helper_started,
                               .disk_full = b->env.disk_full};
}

static bool add_virtio_basics(struct board *b, struct err *e)
{
    const struct virtio_env env = virtio_env_of(b);
    const struct virtio_console_host host = {hvc_out, hvc_room, b};

    b->console = virtio_console_new(&env, &host, e);
    if (!b->console || !plug(b, SLOT_CONSOLE, virtio_console_dev(b->console), e))
        return false;
    b->rng = virtio_rng_new(&env, e);
    if (!b->rng || !plug(b, SLOT_RNG, virtio_rng_dev(b->rng), e))
        return false;
    b->balloon = virtio_balloon_new(&env, e);
    return b->balloon && plug(b, SLOT_BALLOON, virtio_balloon_dev(b->balloon), e);
}

static bool add_disk(struct board *b, const struct disk_config *c, struct err *e)
{
    const struct virtio_env env = virtio_env_of(b);
    const struct virtio_blk_opts bo = {.name = c->name, .iops = c->iops,
                                         .bytes_per_s = c->bytes_per_s};
    struct blkfile *file = blkfile_open(c, e);

    if (!file)
        return false;
    b->disk[b->ndisks] = virtio_blk_new(&env, &bo, file, e);
    if (!b->disk[b->ndisks])
        return false;
    b->ndisks++;
    return plug(b, SLOT_DISK0 + b->ndisks - 1, virtio_blk_dev(b->disk[b->ndisks - 1]), e);
}

static bool add_disks(struct board *b, struct err *e)
{
    for (unsigned i = 0; i < b->config->ndisks; i++)
        if (!add_disk(b, &b->config->disks[i], e))
            return false;
    return true;
}

static bool add_nics(struct board *b, struct err *e)
{
    const struct virtio_env env = virtio_env_of(b);

    for (unsigned i = 0; i < b->config->nnics; i++) {
        char name[16];

        snprintf(name, sizeof name, "eth%u", i);
        b->nic[i] = virtio_net_new(&env, name, b->config->nics[i].mac, b->env.nics ? b->env.nics[i] : NULL, e);
        if (!b->nic[i])
            return false;
        b->nnics++;
        if (!plug(b, SLOT_DISK0 + b->ndisks + i, virtio_net_dev(b->nic[i]), e))
            return false;
    }
    return true;
}

/* --- the machine ----------------------------------------------------------------------- */

static void board_free(struct board *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->nvirtio; i++)
        virtio_pci_free(b->fn[i]);
    for (unsigned i = 0; i < b->nnics; i++)
        virtio_net_free(b->nic[i]);
    for (unsigned i = 0; i < b->ndisks; i++)
        virtio_blk_free(b->disk[i]);
    virtio_balloon_free(b->balloon);
    virtio_rng_free(b->rng);
    virtio_console_free(b->console);
    pci_free(b->pci);
    for (unsigned i = 0; i < PC_PCI_LINES; i++)
        irq_or_fini(&b->intx[i]);
    debug_ports_free(b->debug);
    mc146818_free(b->rtc);
    i8042_free(b->i8042);
    acpi_pm_free(b->pm);
    for (int i = 0; i < COMS; i++)
        ns16550_free(b->com[i]);
    i8254_free(b->pit);
    irqchip_free(b->irqchip);
    free(b);
}

static struct board *board_new(const struct vm_config *c, const struct board_env *env, struct err *e)
{
    struct board *b = calloc(1, sizeof *b);

    if (!b) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    b->config = c;
    b->env = *env;
    if (add_interrupt_controllers(b, e) &&
        add_serial_ports(b, e) &&
        add_power_management(b, e) &&
        add_clock_chip(b, e) &&
        add_debug_ports(b, e) &&
        add_pci(b, e) &&
        add_virtio_basics(b, e) &&
        add_disks(b, e) &&
        add_nics(b, e))
        return b;
    board_free(b);
    return NULL;
}

static void board_reset(struct board *b)
{
    if (b->irqchip) {
        irqchip_reset(b->irqchip);
        i8254_reset(b->pit);
    }
    for (int i = 0; i < COMS; i++)
        ns16550_reset(b->com[i]);
    acpi_pm_reset(b->pm);
    i8042_reset(b->i8042);
    mc146818_reset(b->rtc);
    debug_ports_reset(b->debug);
    pci_reset(b->pci);
    for (unsigned i = 0; i < b->nvirtio; i++)
        virtio_pci_reset(b->fn[i]);
    virtio_console_reset(b->console);
}

static struct irqchip board_irqchip(struct board *b)
{
    if (!b->irqchip)
        return (struct irqchip){0};
    return irqchip_get(b->irqchip);
}

static uint64_t board_acpi(struct board *b, struct err *e)
{
    const struct acpi_params p = {.vcpus = b->config->vcpus};

    return acpi_tables_write(b->env.mem, &p, e);
}

static size_t board_console_in(struct board *b, enum board_console c, const void *buf, size_t len)
{
    switch (c) {
    case CONSOLE_SERIAL0:
        return ns16550_receive(b->com[0], buf, len);
    case CONSOLE_SERIAL1:
        return ns16550_receive(b->com[1], buf, len);
    case CONSOLE_VIRTIO:
        return virtio_console_in(b->console, buf, len);
    default:
        return len; /* the debug console has no input */
    }
}

static void board_console_resize(struct board *b, unsigned cols, unsigned rows)
{
    virtio_console_resize(b->console, cols, rows);
}

static void board_console_break(struct board *b, enum board_console c)
{
    if (c == CONSOLE_SERIAL0 || c == CONSOLE_SERIAL1)
        ns16550_break(b->com[c == CONSOLE_SERIAL1]);
}

static void board_power_button(struct board *b)
{
    acpi_pm_power_button(b->pm);
}

static int board_balloon_target(struct board *b, uint64_t bytes, struct err *e)
{
    return virtio_balloon_target(b->balloon, bytes, e);
}

static bool board_balloon_get(struct board *b, struct balloon_stats *s)
{
    virtio_balloon_get(b->balloon, s);
    return true;
}

static unsigned board_disks(struct board *b, struct disk_stats *out, unsigned max)
{
    for (unsigned i = 0; i < b->ndisks && i < max; i++)
        virtio_blk_stats(b->disk[i], &out[i]);
    return b->ndisks < max ? b->ndisks : max;
}

static int board_disk_limit(struct board *b, const char *disk, uint32_t iops, uint64_t bytes_per_s,
                            struct err *e)
{
    for (unsigned i = 0; i < b->ndisks; i++) {
        if (strcmp(b->config->disks[i].name, disk) == 0) {
            virtio_blk_limit(b->disk[i], iops, bytes_per_s);
            return 0;
        }
    }
    return err_set(e, ENOENT, "%s has no disk %s", b->config->name, disk);
}

static void board_retry(struct board *b)
{
    for (unsigned i = 0; i < b->ndisks; i++)
        virtio_blk_retry(b->disk[i]);
}

static void board_pause(struct board *b, bool paused)
{
    for (unsigned i = 0; i < b->nvirtio; i++)
        (paused ? virtio_pause : virtio_resume)(b->virtio[i]);
}

static size_t board_errors(struct board *b, char *buf, size_t len)
{
    size_t used = 0;

    for (unsigned i = 0; i < b->nvirtio && used + 2 < len; i++) {
        size_t n = virtio_describe_error(b->virtio[i], buf + used, len - used - 1);

        if (n) {
            used += n;
            buf[used++] = '\n';
        }
    }
    if (len)
        buf[used] = '\0';
    return used;
}

const struct board_ops pc_board = {
    .new = board_new,
    .free = board_free,
    .reset = board_reset,
    .irqchip = board_irqchip,
    .acpi = board_acpi,
    .console_in = board_console_in,
    .console_resize = board_console_resize,
    .console_break = board_console_break,
    .power_button = board_power_button,
    .balloon_target = board_balloon_target,
    .balloon_get = board_balloon_get,
    .disks = board_disks,
    .disk_limit = board_disk_limit,
    .retry = board_retry,
    .pause = board_pause,
    .errors = board_errors,
};
