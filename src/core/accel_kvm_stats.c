/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accel_kvm_stats: KVM's binary statistics of a vCPU (KVM_GET_STATS_FD, api.rst 4.133).
 *
 * The descriptors are read once; counters are found by name, since their set and order
 * differ between kernels. Histograms are left out. A kernel without them yields none.
 */
#include "core/accel_kvm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { STATS_MAX_DESC = 512, HALTS_FAR = 512 /* bytes that are read for both */ };

static bool stat_is_scalar(const struct kvm_stats_desc *d)
{
    uint32_t type = d->flags & KVM_STATS_TYPE_MASK;

    return d->size == 1 &&
           (type == KVM_STATS_TYPE_CUMULATIVE || type == KVM_STATS_TYPE_INSTANT || type == KVM_STATS_TYPE_PEAK);
}

static void stats_index(struct kvm_stat_map *m, const struct kvm_stats_header *h)
{
    size_t step = sizeof(struct kvm_stats_desc) + h->name_size;

    for (uint32_t i = 0; i < h->num_desc; i++) {
        struct kvm_stats_desc *d = (void *)(m->blob + i * step);

        if (!stat_is_scalar(d))
            continue;
        d->name[h->name_size - 1] = '\0';
        m->stat[m->n] = (struct kstat){.name = d->name,
                                       .instant = (d->flags & KVM_STATS_TYPE_MASK) != KVM_STATS_TYPE_CUMULATIVE};
        if (strcmp(d->name, "blocking") == 0)
            m->blocking = h->data_offset + d->offset;
        else if (strcmp(d->name, "halt_exits") == 0)
            m->halts = h->data_offset + d->offset;
        m->offset[m->n++] = h->data_offset + d->offset;
    }
}

void kvm_stats_open(struct accel_vcpu *v)
{
    struct kvm_stat_map *m = &v->stats;
    struct kvm_stats_header h;
    size_t bytes;

    m->fd = ioctl(v->fd, KVM_GET_STATS_FD, NULL);
    if (m->fd < 0)
        return;
    if (pread(m->fd, &h, sizeof h, 0) != sizeof h || h.num_desc > STATS_MAX_DESC || h.name_size == 0 ||
        h.name_size > 256)
        return;
    bytes = h.num_desc * (sizeof(struct kvm_stats_desc) + h.name_size);
    m->blob = malloc(bytes);
    m->stat = calloc(h.num_desc, sizeof *m->stat);
    m->offset = calloc(h.num_desc, sizeof *m->offset);
    if (m->blob && m->stat && m->offset &&
        pread(m->fd, m->blob, bytes, (off_t)h.desc_offset) == (ssize_t)bytes)
        stats_index(m, &h);
    if (m->halts < m->blocking || m->halts + sizeof(uint64_t) > m->blocking + HALTS_FAR)
        m->halts = 0;
}

void kvm_stats_close(struct accel_vcpu *v)
{
    struct kvm_stat_map *m = &v->stats;

    if (m->fd > 0)
        close(m->fd);
    free(m->blob);
    free(m->stat);
    free(m->offset);
    memset(m, 0, sizeof *m);
}

unsigned kvm_stats_read(struct accel_vcpu *v, struct kstat *out, unsigned max)
{
    const struct kvm_stat_map *m = &v->stats;
    unsigned n = m->n < max ? m->n : max;
    uint8_t data[64 * STATS_MAX_DESC / 8];
    uint32_t first = UINT32_MAX, last = 0;
    ssize_t got;

    for (unsigned i = 0; i < m->n; i++) {
        first = m->offset[i] < first ? m->offset[i] : first;
        last = m->offset[i] > last ? m->offset[i] : last;
    }
    if (n == 0 || last - first + 8 > sizeof data)
        return 0;
    got = pread(m->fd, data, last - first + 8, first);
    if (got < (ssize_t)(last - first + 8))
        return 0;
    for (unsigned i = 0; i < n; i++) {
        out[i] = m->stat[i];
        memcpy(&out[i].value, data + (m->offset[i] - first), 8);
    }
    return n;
}

int kvm_vcpu_halted(struct accel_vcpu *v, uint32_t *halts)
{
    const struct kvm_stat_map *m = &v->stats;
    const size_t at = m->halts ? (m->halts - m->blocking) / sizeof(uint64_t) : 0;
    uint64_t from_blocking[HALTS_FAR / sizeof(uint64_t)];
    const size_t bytes = (at + 1) * sizeof(uint64_t);

    if (!m->blocking || pread(m->fd, from_blocking, bytes, m->blocking) != (ssize_t)bytes)
        return -1;
    if (at)
        *halts = (uint32_t)from_blocking[at];
    return from_blocking[0] != 0;
}
