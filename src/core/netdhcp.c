/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netdhcp: see netdhcp.h.
 */
#include "core/netdhcp.h"

#include <string.h>

enum {
    ETH = 14, IP = 20, UDP = 8, BOOTP = ETH + IP + UDP,
    FIXED = 236,                 /* of a BOOTP message, before the cookie */
    OPTIONS = BOOTP + FIXED + 4, /* offset in the frame */
    ANSWER_BYTES = OPTIONS + 64,
    SERVER_PORT = 67, CLIENT_PORT = 68,
    DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6,
    LEASE_S = 86400,
};

static const uint8_t cookie[4] = {99, 130, 83, 99};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)(v >> 16));
    put16(p + 2, (uint16_t)v);
}

bool netdhcp_is_request(const struct netframe *f)
{
    const uint8_t *d = f->data;

    return f->len >= OPTIONS + 4 && get16(d + 12) == 0x0800 && d[ETH] == 0x45 && d[ETH + 9] == 17 &&
           get16(d + ETH + IP + 2) == SERVER_PORT && d[BOOTP] == 1 && d[BOOTP + 1] == 1 &&
           d[BOOTP + 2] == 6 && memcmp(d + BOOTP + FIXED, cookie, 4) == 0;
}

/* The value of an option of at least `len` bytes, or NULL. */
static const uint8_t *option(const struct netframe *f, uint8_t code, uint8_t len)
{
    size_t at = OPTIONS;

    while (at + 2 <= f->len && f->data[at] != 255) {
        if (f->data[at] == 0) {
            at++;
            continue;
        }
        if (at + 2 + f->data[at + 1] > f->len)
            return NULL;
        if (f->data[at] == code)
            return f->data[at + 1] >= len ? f->data + at + 2 : NULL;
        at += 2u + f->data[at + 1];
    }
    return NULL;
}

static uint8_t *add32(uint8_t *o, uint8_t code, uint32_t v)
{
    o[0] = code;
    o[1] = 4;
    put32(o + 2, v);
    return o + 6;
}

static void write_options(uint8_t *o, const struct net_subnet *s, uint32_t server, uint8_t type)
{
    o[0] = 53;
    o[1] = 1;
    o[2] = type;
    o = add32(o + 3, 54, server);
    if (type != NAK) {
        o = add32(o, 51, LEASE_S);
        o = add32(o, 1, ~0u << (32 - s->bits));
        if (s->gateway)
            o = add32(o, 3, s->gateway);
        if (s->dns)
            o = add32(o, 6, s->dns);
    }
    *o = 255;
}

static uint16_t ip_sum(const uint8_t *p)
{
    uint32_t sum = 0;

    for (int i = 0; i < IP; i += 2)
        sum += get16(p + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~(sum + (sum >> 16));
}

/* To the broadcast address: the client has none yet. The UDP sum is optional (RFC 768). */
static void write_headers(struct netframe *a, const struct netframe *f, uint32_t server)
{
    static const uint8_t server_mac[6] = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x01};
    uint8_t *d = a->data, *ip = d + ETH;

    memcpy(d, f->data + 6, 6);
    memcpy(d + 6, server_mac, 6);
    put16(d + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, (uint16_t)(a->len - ETH));
    ip[8] = 64;
    ip[9] = 17;
    put32(ip + 12, server);
    put32(ip + 16, 0xffffffff);
    put16(ip + 10, ip_sum(ip));
    put16(ip + IP, SERVER_PORT);
    put16(ip + IP + 2, CLIENT_PORT);
    put16(ip + IP + 4, (uint16_t)(a->len - ETH - IP));
}

static uint8_t answer_type(const struct netframe *f, uint32_t ip)
{
    const uint8_t *type = option(f, 53, 1), *asked = option(f, 50, 4);
    uint8_t mine[4];

    put32(mine, ip);
    if (!type || (*type != DISCOVER && *type != REQUEST))
        return 0;
    if (*type == DISCOVER)
        return OFFER;
    if (!asked)
        asked = f->data + BOOTP + 12; /* ciaddr: it renews */
    return memcmp(asked, mine, 4) == 0 ? ACK : NAK;
}

struct netframe *netdhcp_answer(const struct netframe *f, const struct net_subnet *s, uint32_t ip)
{
    const uint32_t server = s->gateway ? s->gateway : s->base + 2;
    const uint8_t type = answer_type(f, ip);
    struct netframe *a = type ? netframe_new(ANSWER_BYTES) : NULL;
    uint8_t *b;

    if (!a)
        return NULL;
    memset(a->data, 0, a->len);
    write_headers(a, f, server);
    b = a->data + BOOTP;
    b[0] = 2;
    b[1] = 1;
    b[2] = 6;
    memcpy(b + 4, f->data + BOOTP + 4, 4); /* xid */
    if (type != NAK)
        put32(b + 16, ip);
    put32(b + 20, server);
    memcpy(b + 28, f->data + BOOTP + 28, 6);
    memcpy(b + FIXED, cookie, 4);
    write_options(a->data + OPTIONS, s, server, type);
    return a;
}
