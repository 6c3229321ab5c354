/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * figures: what the figures of the host bar and of the detail pane are; those of the table
 * stand in field.c. The explanation overlay (overlay.c) shows both.
 */
#include "ui/ui_internal.h"

#include <string.h>

#define VIRTIO_BLK "the disk's own counters (virtio-blk)"
#define SWITCH "the lab's switch, at this link"

static const struct figure figures[] = {
    {"host bar", "pCPU", "How many CPUs the host has, and what part of them all guests use together.",
     "sum of CPU% of all guests / (100 * pCPU)", "CPU clocks of the guests' threads"},
    {"host bar", "mem", "Memory of the host that is in use, by anybody, of all that it has.", "total - available",
     "MemAvailable in /proc/meminfo"},
    {"host bar", "guests", "Memory promised to the guests that are up, of what the host has. OVER: it does not have that much, and "
     "goes on well only while guests leave some of it untouched.", "sum of their configured memory / the host's", "the lab file, `mem`"},
    {"host bar", "host CPUs", "How busy each CPU of the host is, whoever uses it.",
     "1 - (idle + iowait) / all ticks of the last interval", "/proc/stat"},
    {"host bar", "others", "CPUs that are used, but not by guests: other programs, the kernel, this console.",
     "busy CPUs - sum of the guests' CPU%", "/proc/stat and CPU clocks"},
    {"host bar", "entitled, got", "What each guest should get of the host's CPUs, and what it got; the whole width is all CPUs.",
     "as ENTL% and CPU%", "the governor, CPU clocks"},
    {"detail", "CPU", "What it used over the last moments; the line is what it was entitled to. Full height is all its vCPUs busy.",
     "as CPU% and ENTL%", "CPU clocks, the governor"},
    {"detail", "run vmm poll ready ...", "Where the time of a vCPU goes. run: guest code; vmm: our handling of its exits; poll: KVM waits "
     "busily for work; ready: it wants a CPU and the host gives none; capped: held by share or cap; halt: it is idle; "
     "blocked: it waits for us; paused.", "each state's part of the interval; they sum to 100 %",
     "clocks of the vCPU's thread, schedstat, KVM's statistics"},
    {"detail", "exits", "Why it stopped running: how often a second, the reason's part of all time spent with exits, and how long one takes.",
     "time: its time / time of all reasons; mean: time / exits; p99: 99 of 100 take no longer", "counted and timed at each exit"},
    {"detail", "resident", "Memory of it that the host holds now: pages touched and not given back.", "pages * size of a page",
     "the host's page tables"},
    {"detail", "in balloon", "Memory that it has lent back to the host, by its balloon driver.", "", "the guest's driver (virtio-balloon)"},
    {"detail", "guest: free, avail, cache", "What the guest says of its own memory; a claim, since nobody else can see it.", "",
     "balloon statistics of the guest's kernel"},
    {"detail", "RD/s WR/s IOPS", "Bytes and requests a second that the disk reads and writes.", "growth in the last interval / its length", VIRTIO_BLK},
    {"detail", "read, write (disk)", "How long a request takes, mean and p99, since the start of the guest; waiting for a limit is part of it. "
     "A pause is not.", "p99: 99 of 100 take no longer (upper edge of a bucket)", VIRTIO_BLK},
    {"detail", "held", "Part of the time in which the disk's limits (iops, bps) kept a request waiting.", "time held / length of the interval", VIRTIO_BLK},
    {"detail", "RX/s TX/s, pk", "Bytes and packets a second that the guest receives and sends. A segment left uncut counts as one packet.",
     "growth in the last interval / its length", SWITCH},
    {"detail", "drops", "Frames a second that were lost on this link, both ways: by its loss, because it was down, or because nobody took them.",
     "growth in the last interval / its length", SWITCH},
};

enum { FIGURES = sizeof figures / sizeof *figures };

const struct figure *figure_at(int i)
{
    return i >= 0 && i < FIGURES ? &figures[i] : NULL;
}

int figure_count(void)
{
    return FIGURES;
}

int figure_first(const char *where)
{
    for (int i = 0; i < FIGURES; i++)
        if (strcmp(figures[i].where, where) == 0)
            return i;
    return 0;
}
