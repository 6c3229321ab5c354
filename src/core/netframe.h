/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netframe: one Ethernet frame on its way through a lab's network, with what its sender left
 * undone: a checksum, the cutting of a long TCP segment (virtio 1.2 section 5.1.6). Between
 * guests nothing of that is done; for a receiver that wants whole frames, netframe_lower does.
 * The bytes come from a guest: nothing in them is believed.
 *
 * A frame has one owner at a time; no locks.
 */
#ifndef RUCHE_CORE_NETFRAME_H
#define RUCHE_CORE_NETFRAME_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NETFRAME_MIN = 14,          /* an Ethernet header */
    NETFRAME_MAX = 65536 + 128, /* a TCP segment of 64 KiB before it is cut, and its headers */
};

enum net_gso { NET_GSO_NONE, NET_GSO_TCP4, NET_GSO_TCP6 };

/* What a receiver takes undone. */
enum { NET_TAKES_CSUM = 1, NET_TAKES_TCP4 = 2, NET_TAKES_TCP6 = 4 };

struct net_offload {
    bool csum;                         /* the sum of csum_start.. is to be stored at +csum_offset */
    uint16_t csum_start, csum_offset;  /* they lie inside the frame: netframe_offload_ok */
    enum net_gso gso;
    uint16_t gso_size, hdr_len;
};

struct netframe {
    struct netframe *next;
    uint64_t due_ns; /* not delivered before */
    struct net_offload off;
    bool captured;
    bool not_lost; /* it was waiting for room then: that was decided */
    uint32_t len;
    uint8_t data[];
};

/* NULL: out of memory, or `len` beyond NETFRAME_MAX. */
struct netframe *netframe_new(size_t len);
struct netframe *netframe_dup(const struct netframe *f);
void netframe_free(struct netframe *f); /* NULL is legal */

/* The offload as virtio's header says it (virtio 1.2 section 5.1.6); `buffers` for a guest. */
struct virtio_net_hdr_v1 netframe_header(const struct netframe *f, unsigned buffers);
/* And back; false: it is nonsense. */
bool netframe_offload_from(const struct virtio_net_hdr_v1 *h, struct net_offload *o);

/* Do the offsets fit the frame? */
bool netframe_offload_ok(const struct netframe *f);

/* Makes `f` (taken) into frames that a receiver with `takes` can have, chained by `next`. NULL: the
 * frame is not what it says, or memory ran out; then it is gone. */
struct netframe *netframe_lower(struct netframe *f, unsigned takes);

#endif
