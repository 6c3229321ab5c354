/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rng_machine: a rig with an entropy device in RIG_SLOT, the plainest virtio device there is,
 * for tests of what all of them share.
 */
#ifndef RUCHE_TESTS_RNG_MACHINE_H
#define RUCHE_TESTS_RNG_MACHINE_H

#include "devices/virtio_rng.h"
#include "unit/virtio_rig.h"

struct machine {
    struct rig r;
    struct virtio_rng *rng;
    struct virtio_pci *vp;
    struct drv d;
};

static inline int setup(void **state)
{
    static struct machine m;

    if (rig_init(&m.r, 4 << 20) < 0)
        return -1;
    m.rng = virtio_rng_new(&m.r.env, NULL);
    m.vp = rig_plug(&m.r, RIG_SLOT, virtio_rng_dev(m.rng));
    drv_probe(&m.d, &m.r, RIG_SLOT);
    *state = &m;
    return m.vp ? 0 : -1;
}

static inline int teardown(void **state)
{
    struct machine *m = *state;

    virtio_pci_free(m->vp);
    virtio_rng_free(m->rng);
    rig_fini(&m->r);
    return 0;
}

/* Negotiates and starts queue 0 with 8 entries. */
static inline bool start(struct machine *m, uint64_t features)
{
    if (!drv_negotiate(&m->d, features))
        return false;
    drv_queue(&m->d, 0, 8, features >> VIRTIO_RING_F_EVENT_IDX & 1);
    drv_ok(&m->d);
    return true;
}

/* Asks for 16 random bytes; how many came, or -1. */
static inline int64_t request(struct machine *m)
{
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 16, .write = true};

    return drv_do(&m->d, 0, &b, 1);
}

#endif
