/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flood: keeps its first virtio disk or network card as busy as it can, and prints how much that was.
 *
 * Options: mode=disk (writes all of it by 64 KiB, flushes, reads it by 4 KiB, and again) or net (UDP to port 9)
 *   depth=N (requests at once, 8)  size=N (bytes of a frame's payload, 1400)
 *   to=A.B.C.D (10.0.2.99; 10.0.2.2 is a NAT's gateway)  from=A.B.C.D (10.0.2.15)  run=S (then power off)  quiet
 */
#include "pcidev.h"
#include "tiny.h"

enum { NET = 1, BLOCK = 2, READ = 0, WRITE = 1, FLUSH = 4, CHUNK = 64 << 10, SECTOR = 512, DEPTH_MAX = 32, FRAME_MAX = 1472 };
enum { BLK_F_FLUSH = 1 << 9 };

struct blk_head {
    u32 type, reserved;
    u64 sector;
};

struct frame {
    u8 net[12]; /* virtio_net_hdr: no offload is asked for */
    u8 to[6], from[6], type[2];
    u8 ip[20], udp[8], payload[FRAME_MAX];
} PACKED;

static struct {
    unsigned depth, size;
    u64 run_s;
    bool quiet;
} cfg;

static struct vdev dev;
static struct vq queue;
static bool busy[DEPTH_MAX]; /* the device has it; slot i is the chain that begins at descriptor 3 * i */
static u16 seen;             /* how many it has given back */
static u8 status[DEPTH_MAX]; /* what a disk says of the slot's request */
static u64 bytes;

static volatile u32 *used_entry(u16 n)
{
    return (volatile u32 *)(queue.used + 2) + 2 * (n % queue.size);
}

static void collect(void)
{
    for (; seen != queue.used[1]; seen++) {
        unsigned slot = *used_entry(seen) / 3;
        if (status[slot])
            panic("the disk answers %u", status[slot]);
        busy[slot] = false;
        progress.cpu[0].done++;
    }
    progress.cpu[0].tsc = rdtsc();
}

/* The next slot in turn, when the device has done with it; sleeps until then. */
static unsigned free_slot(void)
{
    static unsigned turn;
    unsigned slot = turn++ % cfg.depth;

    cli();
    for (collect(); busy[slot]; collect()) {
        sti_hlt();
        cli();
    }
    sti();
    return slot;
}

static void submit(unsigned slot)
{
    busy[slot] = true;
    vq_publish(&queue, (u16)(3 * slot));
    asm volatile("mfence" : : : "memory");
    if (!(queue.used[0] & 1))
        virtio_kick(&dev, queue.index);
}

/* Once a second: a line, and perhaps the end. */
static void tell(void)
{
    static u64 start, last, last_bytes;
    u64 now = now_ns();

    if (!start)
        start = last = now;
    if (now - last < 1000000000)
        return;
    if (!cfg.quiet)
        print("flood: %lu requests, %lu MB/s\n", progress.cpu[0].done, (bytes - last_bytes) * 1000 / (now - last));
    last = now;
    last_bytes = bytes;
    if (cfg.run_s && now - start >= cfg.run_s * 1000000000) {
        print("flood: done\n");
        poweroff();
    }
}

static void disk_request(u32 type, u64 sector, unsigned len)
{
    static struct blk_head head[DEPTH_MAX];
    static u8 *data;
    unsigned slot = free_slot();
    struct desc *d = &queue.desc[3 * slot];

    if (!data)
        data = pages_alloc(DEPTH_MAX * CHUNK / 4096);
    head[slot] = (struct blk_head){.type = type, .sector = sector};
    d[0] = (struct desc){(u64)&head[slot], sizeof(head[slot]), DESC_NEXT, (u16)(3 * slot + (len ? 1 : 2))};
    d[1] = (struct desc){(u64)(data + slot * CHUNK), len, DESC_NEXT | (type == READ ? DESC_WRITE : 0), (u16)(3 * slot + 2)};
    d[2] = (struct desc){(u64)&status[slot], 1, DESC_WRITE, 0};
    submit(slot);
    bytes += len;
    tell();
}

static void disk(void)
{
    u64 sectors = mmio32(dev.config) | (u64)mmio32(dev.config + 4) << 32;

    for (;;) {
        for (u64 at = 0; at + CHUNK / SECTOR <= sectors; at += CHUNK / SECTOR)
            disk_request(WRITE, at, CHUNK);
        disk_request(FLUSH, 0, 0);
        for (u64 at = 0; at + 4096 / SECTOR <= sectors; at += 4096 / SECTOR)
            disk_request(READ, at, 4096);
    }
}

static void put16(u8 *to, unsigned v)
{
    to[0] = (u8)(v >> 8);
    to[1] = (u8)v;
}

static void put_ip(u8 to[4], const char *key, const char *otherwise)
{
    const char *s = opt(key);

    s = s ? s : otherwise;
    for (unsigned i = 0; i < 4; i++) {
        unsigned v = 0;
        for (; *s >= '0' && *s <= '9'; s++)
            v = v * 10 + (unsigned)(*s - '0');
        to[i] = (u8)v;
        s += *s == '.';
    }
}

/* The hardware address of a NAT's gateway holds its IP address; any other may be nobody's. */
static void make_frame(struct frame *f)
{
    unsigned sum = 0;

    memset(f, 0, sizeof(*f));
    f->ip[0] = 0x45;
    put16(f->ip + 2, 28 + cfg.size);
    f->ip[8] = 64;
    f->ip[9] = 17;
    put_ip(f->ip + 12, "from", "10.0.2.15");
    put_ip(f->ip + 16, "to", "10.0.2.99");
    for (unsigned i = 0; i < 20; i += 2)
        sum += (unsigned)(f->ip[i] << 8 | f->ip[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(f->ip + 10, ~(sum + (sum >> 16)));
    put16(f->udp, 9);
    put16(f->udp + 2, 9);
    put16(f->udp + 4, 8 + cfg.size);
    f->to[0] = 0x52;
    f->to[1] = 0x55;
    memcpy(f->to + 2, f->ip + 16, 4);
    for (unsigned i = 0; i < 6; i++)
        f->from[i] = mmio8(dev.config + i);
    f->type[0] = 8;
}

static void net(void)
{
    static struct frame frame;
    unsigned len = sizeof(frame) - FRAME_MAX + cfg.size;

    make_frame(&frame);
    for (;;) {
        unsigned slot = free_slot();
        queue.desc[3 * slot] = (struct desc){(u64)&frame, len, 0, 0};
        submit(slot);
        bytes += len;
        tell();
    }
}

/* The interrupt only ends the sleep. */
static void wake(struct regs *r) { (void)r; }

static bool start(unsigned type, u32 features, u16 index)
{
    void *rings = pages_alloc(VQ_BYTES / 4096);

    for (unsigned n = 0; virtio_find(n, &dev); n++) {
        if (dev.type != type || !virtio_begin(&dev, features) || !virtio_irq(&dev, index, VEC_DEVICE))
            continue;
        queue = virtio_queue(&dev, index, rings);
        if (queue.size < 3 * cfg.depth)
            continue;
        irq_handler(VEC_DEVICE, wake);
        virtio_driver_ok(&dev);
        return true;
    }
    return false;
}

static unsigned opt_within(const char *key, unsigned otherwise, unsigned most)
{
    u64 v = opt_u64(key, otherwise);

    return v < 1 ? 1 : v > most ? most : (unsigned)v;
}

void guest_main(void)
{
    const char *mode = opt("mode");
    bool on_net = mode && !strcmp(mode, "net");

    cfg.depth = opt_within("depth", 8, DEPTH_MAX);
    cfg.size = opt_within("size", 1400, FRAME_MAX);
    cfg.run_s = opt_u64("run", 0);
    cfg.quiet = opt_flag("quiet");
    progress_init("flood", "requests", 1);
    if (!start(on_net ? NET : BLOCK, on_net ? 0 : BLK_F_FLUSH, on_net ? 1 : 0)) {
        print("flood: no virtio %s\n", on_net ? "network card" : "disk");
        return;
    }
    print("flood: ready\n");
    if (on_net)
        net();
    disk();
}
