/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netframe: see netframe.h. Cutting follows what a network card does: each piece gets the
 * headers, its own length, sequence number and sums (RFC 791, 1071, 8200, 9293).
 */
#include "core/netframe.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { ETH = 14, ETH_IP4 = 0x0800, ETH_IP6 = 0x86dd, IP_TCP = 6, TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80 };

struct netframe *netframe_new(size_t len)
{
    struct netframe *f = len <= NETFRAME_MAX ? malloc(sizeof *f + len) : NULL;

    if (f) {
        memset(f, 0, sizeof *f);
        f->len = (uint32_t)len;
    }
    return f;
}

struct netframe *netframe_dup(const struct netframe *f)
{
    struct netframe *d = netframe_new(f->len);

    if (d) {
        memcpy(d, f, sizeof *f + f->len);
        d->next = NULL;
    }
    return d;
}

void netframe_free(struct netframe *f)
{
    free(f);
}

struct virtio_net_hdr_v1 netframe_header(const struct netframe *f, unsigned buffers)
{
    static const uint8_t type[] = {[NET_GSO_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4,
                                   [NET_GSO_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6};
    struct virtio_net_hdr_v1 h = {.num_buffers = htole16((uint16_t)buffers)};

    if (f->off.csum) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = htole16(f->off.csum_start);
        h.csum_offset = htole16(f->off.csum_offset);
    }
    if (f->off.gso != NET_GSO_NONE) {
        h.gso_type = type[f->off.gso];
        h.gso_size = htole16(f->off.gso_size);
        h.hdr_len = htole16(f->off.hdr_len);
    }
    return h;
}

bool netframe_offload_from(const struct virtio_net_hdr_v1 *h, struct net_offload *o)
{
    *o = (struct net_offload){0};
    if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        o->csum = true;
        o->csum_start = le16toh(h->csum_start);
        o->csum_offset = le16toh(h->csum_offset);
    }
    switch (h->gso_type) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        o->gso = NET_GSO_TCP4;
        break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        o->gso = NET_GSO_TCP6;
        break;
    default:
        return false;
    }
    o->gso_size = le16toh(h->gso_size);
    o->hdr_len = le16toh(h->hdr_len);
    return true;
}

bool netframe_offload_ok(const struct netframe *f)
{
    const struct net_offload *o = &f->off;

    if (o->csum && (uint32_t)o->csum_start + o->csum_offset + 2 > f->len)
        return false;
    return o->gso == NET_GSO_NONE || (o->csum && o->gso_size > 0);
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)(v >> 16));
    put16(p + 2, (uint16_t)v);
}

/* One's complement sum of big-endian words, not yet inverted. */
static uint32_t sum_bytes(const uint8_t *p, size_t len, uint32_t sum)
{
    uint64_t s = sum;

    for (; len >= 2; p += 2, len -= 2)
        s += get16(p);
    if (len)
        s += (uint32_t)*p << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint32_t)s;
}

/* The field holds the sum of the pseudo header already. */
static void finish_csum(struct netframe *f)
{
    uint8_t *field = f->data + f->off.csum_start + f->off.csum_offset;
    uint16_t v = (uint16_t)~sum_bytes(f->data + f->off.csum_start, f->len - f->off.csum_start, 0);

    put16(field, v ? v : 0xffff);
    f->off.csum = false;
}

/* Where the parts of a TCP frame begin; checked against its length. */
struct tcp_frame {
    size_t ip, tcp, data;
    bool v6;
};

static bool find_tcp(const struct netframe *f, struct tcp_frame *t)
{
    const uint8_t *d = f->data;

    *t = (struct tcp_frame){.ip = ETH, .v6 = f->off.gso == NET_GSO_TCP6};
    if (f->len < ETH + 40 || get16(d + 12) != (t->v6 ? ETH_IP6 : ETH_IP4))
        return false;
    if (t->v6) {
        if (d[ETH] >> 4 != 6 || d[ETH + 6] != IP_TCP)
            return false;
        t->tcp = ETH + 40;
    } else {
        if (d[ETH] >> 4 != 4 || (d[ETH] & 15) < 5 || d[ETH + 9] != IP_TCP)
            return false;
        t->tcp = ETH + 4u * (d[ETH] & 15);
    }
    if (t->tcp + 20 > f->len)
        return false;
    t->data = t->tcp + 4u * (d[t->tcp + 12] >> 4);
    return t->data >= t->tcp + 20 && t->data < f->len;
}

static void fix_ip(struct netframe *s, const struct tcp_frame *t, uint16_t id_add)
{
    uint8_t *ip = s->data + t->ip;

    if (t->v6) {
        put16(ip + 4, (uint16_t)(s->len - t->tcp));
        return;
    }
    put16(ip + 2, (uint16_t)(s->len - t->ip));
    put16(ip + 4, (uint16_t)(get16(ip + 4) + id_add));
    put16(ip + 10, 0);
    put16(ip + 10, (uint16_t)~sum_bytes(ip, t->tcp - t->ip, 0));
}

static void fix_tcp(struct netframe *s, const struct tcp_frame *t, size_t off, bool last)
{
    const uint8_t *ip = s->data + t->ip;
    uint8_t *tcp = s->data + t->tcp;
    uint32_t sum = (uint32_t)(s->len - t->tcp) + IP_TCP;

    put32(tcp + 4, get32(tcp + 4) + (uint32_t)off);
    if (!last)
        tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
    if (off)
        tcp[13] &= (uint8_t)~TCP_CWR;
    put16(tcp + 16, 0);
    sum = sum_bytes(ip + (t->v6 ? 8 : 12), t->v6 ? 32 : 8, sum);
    put16(tcp + 16, (uint16_t)~sum_bytes(tcp, s->len - t->tcp, sum));
}

static struct netframe *cut_one(const struct netframe *f, const struct tcp_frame *t, size_t off, unsigned i)
{
    const size_t left = f->len - t->data - off, n = left < f->off.gso_size ? left : f->off.gso_size;
    struct netframe *s = netframe_new(t->data + n);

    if (!s)
        return NULL;
    memcpy(s->data, f->data, t->data);
    memcpy(s->data + t->data, f->data + t->data + off, n);
    s->captured = f->captured;
    fix_ip(s, t, (uint16_t)i);
    fix_tcp(s, t, off, n == left);
    return s;
}

static void free_all(struct netframe *f)
{
    while (f) {
        struct netframe *next = f->next;

        netframe_free(f);
        f = next;
    }
}

static struct netframe *cut(const struct netframe *f)
{
    enum { GSO_SIZE_MIN = 128, PIECES_MAX = NETFRAME_MAX / GSO_SIZE_MIN };
    struct netframe *first = NULL, **last = &first;
    struct tcp_frame t;
    unsigned i = 0;

    if (f->off.gso_size < GSO_SIZE_MIN || !find_tcp(f, &t))
        return NULL;
    for (size_t off = 0; off < f->len - t.data && i < PIECES_MAX; off += f->off.gso_size, i++) {
        *last = cut_one(f, &t, off, i);
        if (!*last) {
            free_all(first);
            return NULL;
        }
        last = &(*last)->next;
    }
    return first;
}

struct netframe *netframe_lower(struct netframe *f, unsigned takes)
{
    static const unsigned need[] = {[NET_GSO_TCP4] = NET_TAKES_TCP4, [NET_GSO_TCP6] = NET_TAKES_TCP6};
    struct netframe *pieces;

    f->next = NULL;
    if (f->off.gso != NET_GSO_NONE && !(takes & need[f->off.gso])) {
        pieces = cut(f);
        netframe_free(f);
        return pieces;
    }
    if (f->off.csum && !(takes & NET_TAKES_CSUM))
        finish_csum(f);
    return f;
}
