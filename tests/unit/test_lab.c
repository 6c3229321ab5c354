/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The lab file: what it says, and what is said about a wrong one, with its place.
 */
#include "core/lab.h"
#include "core/images.h"
#include "core/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char dir[64];   /* a private directory; the lab is DIR/lab.yaml */
    char path[80];
    struct lab_host host;
    struct diags *d;
    struct lab *lab;
    struct text said;
};

static void touch(const struct fixture *f, const char *name, size_t size)
{
    char path[200];
    FILE *o;

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    o = fopen(path, "w");
    assert_non_null(o);
    for (size_t i = 0; i < size; i++)
        fputc('x', o);
    fclose(o);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char tiny[100];

    strcpy(f->dir, "/tmp/ruche-lab-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/lab.yaml", f->dir);
    snprintf(tiny, sizeof tiny, "%s/tiny", f->dir);
    mkdir(tiny, 0700);
    touch(f, "tiny/spin.elf", 1);
    touch(f, "tiny/hello.elf", 1);
    touch(f, "vmlinuz", 1);
    touch(f, "initrd.gz", 1);
    setenv("RUCHE_IMAGES", f->dir, 1);
    f->host = (struct lab_host){.memory_available_bytes = 16ull << 30, .cpus = 8};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[100];

    lab_free(f->lab);
    diags_free(f->d);
    text_free(&f->said);
    snprintf(cmd, sizeof cmd, "rm -r %s", f->dir);
    if (system(cmd) != 0)
        return -1;
    free(f);
    return 0;
}

static struct lab *parse_n(struct fixture *f, const char *yaml, size_t len)
{
    lab_free(f->lab);
    diags_free(f->d);
    text_clear(&f->said);
    f->d = diags_new("lab.yaml");
    f->lab = lab_parse(yaml, len, f->path, &f->host, f->d);
    diags_print(f->d, &f->said);
    return f->lab;
}

static struct lab *parse(struct fixture *f, const char *yaml)
{
    return parse_n(f, yaml, strlen(yaml));
}

/* The lab is refused and this is all, or a part of what is said. */
static void refused(struct fixture *f, const char *yaml, const char *said)
{
    if (parse(f, yaml))
        fail_msg("accepted: %s", yaml);
    if (!strstr(text_str(&f->said), said))
        fail_msg("%s\nwas refused with\n%sand not with\n%s", yaml, text_str(&f->said), said);
}

static const struct vm_config *guest(struct fixture *f, const char *name)
{
    for (unsigned i = 0; i < f->lab->nguests; i++)
        if (strcmp(f->lab->guests[i].c.name, name) == 0)
            return &f->lab->guests[i].c;
    fail_msg("no guest %s", name);
    return NULL;
}

static void lab_of_the_design_is_read(void **state)
{
    struct fixture *f = *state;
    const struct vm_config *c;
    char want[200];

    touch(f, "web.img", 4096);
    parse(f, "name: sharing\n"
             "title: Two guests, one processor\n"
             "host: {cpus: 0}                       # physical CPUs given to the lab; default: all\n"
             "defaults: {memory: 128M, vcpus: 1}\n"
             "networks:\n"
             "  lan: {nat: true, forward: [2222:web:22]}\n"
             "guests:\n"
             "  web: {kernel: debian, share: 200, cap: 50, disks: [{base: web.img, overlay: true, "
             "size: 2G, iops: 500}], nets: [lan], group: front}\n"
             "  db:  {kernel: ./vmlinuz, initrd: ./initrd.gz, append: \"quiet\", memory: 256M, vcpus: 2, "
             "depends: [web]}\n"
             "  cell: {image: spin, count: 3}       # a built-in guest; cell1..cell3\n");
    assert_string_equal(text_str(&f->said), "");
    assert_non_null(f->lab);
    assert_string_equal(f->lab->name, "sharing");
    assert_string_equal(f->lab->story.title, "Two guests, one processor");
    assert_string_equal(f->lab->host_cpus, "0");
    assert_int_equal(f->lab->nguests, 5);
    assert_int_equal(f->lab->nets[0].forwards[0].host_port, 2222);
    assert_string_equal(f->lab->nets[0].forwards[0].guest, "web");

    c = guest(f, "web");
    assert_int_equal(c->share, 200);
    assert_int_equal(c->cap_pct, 50);
    assert_int_equal(c->memory_bytes, 128 << 20);
    assert_string_equal(c->group, "front");
    assert_string_equal(c->append, "console=ttyS0 ruche.name=web");
    assert_int_equal(c->ndisks, 1);
    assert_int_equal(c->disks[0].mode, DISK_OVERLAY);
    assert_int_equal(c->disks[0].iops, 500);
    assert_int_equal(c->disks[0].size_bytes, 2ull << 30);
    assert_string_equal(c->disks[0].name, "vda");
    assert_null(c->disks[0].overlay_path);
    assert_string_equal(c->nics[0].network, "lan");

    c = guest(f, "db");
    snprintf(want, sizeof want, "%s/./vmlinuz", f->dir);
    assert_string_equal(c->kernel, want);
    assert_string_equal(c->append, "quiet");
    assert_int_equal(c->vcpus, 2);
    assert_string_equal(c->depends[0], "web");
    snprintf(want, sizeof want, "%s/tiny/spin.elf", f->dir);
    assert_string_equal(guest(f, "cell3")->kernel, want);
    assert_string_equal(guest(f, "cell3")->image, "spin");
}

static void misspelt_keys_get_a_place_and_a_suggestion(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n  web: {image: spin, memroy: 64M}\n",
            "lab.yaml:2:22: a guest has no key `memroy` (did you mean `memory`?)\n");
    refused(f, "guest:\n  web: {image: spin}\n",
            "lab.yaml:1:1: a lab has no key `guest` (did you mean `guests`?)\n");
    refused(f, "guests:\n  web: {image: spin, disks: [{pth: x}]}\n", "a disk has no key `pth` (did you mean `path`?)");
    refused(f, "guests:\n  web: {image: spin, on: {crahs: list}}\n", "not `crahs` (did you mean `crash`?)");
    refused(f, "guests:\n  web: {image: spin, on: {crash: [list, strat web]}}\n",
            "lab.yaml:2:41: there is no command `strat` (did you mean `start`?)");
    refused(f, "guests:\n  web: {image: spni}\n",
            "lab.yaml:2:16: there is no image `spni` (did you mean `spin`?); known are debian, hello,");
}

static void all_mistakes_are_told_in_the_order_of_the_file(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n  web: {image: spin, share: 0}\n  db: {image: hello, vcpus: 65}\n"
               "  x: {image: spin, memory: 65G}\nhost: {cpu: 1}\n",
            "lab.yaml:2:29: share goes from 1 to 10000, `0` is outside\n"
            "lab.yaml:3:29: vcpus goes from 1 to 64, `65` is outside\n"
            "lab.yaml:4:28: `memory` goes from 1M to 64G, this is 65G\n"
            "lab.yaml:5:8: `host` has no key `cpu` (did you mean `cpus`?)\n");
}

static void wrong_types_are_told_by_kind(void **state)
{
    struct fixture *f = *state;

    refused(f, "[a, b]\n", "lab.yaml:1:1: a lab file is a map that begins with keys like `name:` and `guests:`, "
                           "not a list");
    refused(f, "guests: 5\n", "`guests` is a map from names, as `web: {...}`, not a single value");
    refused(f, "guests:\n  web: [spin]\n", "a guest is written as keys with values");
    refused(f, "guests:\n  web: {image: [spin]}\n", "`image` takes a single value, not a list");
    refused(f, "guests:\n  web: {image: spin, memory: {a: 1}}\n", "`memory` takes a single value, not a map of keys");
    refused(f, "guests:\n  web: {image: spin, memory: }\n", "`memory` has no value");
    refused(f, "guests:\n  web: {image: spin, memory: lots}\n", "`lots` is not a size");
    refused(f, "guests:\n  web: {image: spin, autostart: maybe}\n", "`maybe` is neither `true` nor `false`");
    refused(f, "guests:\n  web: {image: spin, [a]: 1}\n", "a key of a guest must be a word, not a list");
    refused(f, "guests:\n  web: {image: spin, boot: fast}\n", "`boot` is `auto`, `direct` or `bzimage`, not `fast`");
    refused(f, "guests:\n  web: {image: spin, pin: 0-9}\n", "there is no CPU 9: this host has CPUs 0 to 7");
}

static void memory_of_zero_or_without_unit_says_what_to_write(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n  web: {image: spin, memory: 0}\n", "`memory` goes from 1M to 64G, this is 0");
    refused(f, "guests:\n  web: {image: spin, memory: 128}\n",
            "`memory` goes from 1M to 64G, this is 128 bytes (write `M` behind the number for MiB)");
}

static void doubled_guests_and_keys_are_refused(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n  web: {image: spin}\n  web: {image: hello}\n",
            "lab.yaml:3:3: there are two guests `web`: the other is at line 2\n");
    refused(f, "guests:\n  web1: {image: spin}\n  web: {image: hello, count: 2}\n", "there are two guests `web1`");
    refused(f, "guests:\n  web: {image: spin, share: 1, share: 2}\n", "a guest has `share` twice");
    refused(f, "name: a\nname: b\nguests: {web: {image: spin}}\n", "a lab has `name` twice");
    refused(f, "guests:\n  web: {image: spin, kernel: ./vmlinuz}\n", "give either `image` or `kernel`, not both");
}

static void bad_names_are_refused(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n  web.1: {image: spin}\n", "a guest's name is made of letters, digits, `-` and `_`");
    refused(f, "guests:\n  all: {image: spin}\n", "`all` means every guest");
    refused(f, "guests:\n  '': {image: spin}\n", "a guest's name");
    refused(f, "guests:\n  abcdefghijabcdefghijabcdefghijab: {image: spin}\n", "has at most 31 characters");
    refused(f, "guests:\n  abcdefghijabcdefghijabcdefghija: {image: spin, count: 2}\n", "too long with a number behind");
    refused(f, "guests:\n  \"a\\e[31m\": {image: spin}\n", "`a?[31m` does not");
}

static void count_replaces_the_name_in_paths_and_hooks(void **state)
{
    struct fixture *f = *state;
    char want[100];

    parse(f, "guests:\n  n: {image: spin, count: 2, append: 'id={name}', disks: [{path: '{name}.img', size: 1M}],"
             " on: {crash: 'log {name} x', start: [list, stats]}}\n");
    assert_string_equal(text_str(&f->said), "");
    assert_int_equal(f->lab->nguests, 2);
    snprintf(want, sizeof want, "%s/n2.img", f->dir);
    assert_string_equal(f->lab->guests[1].c.disks[0].path, want);
    assert_string_equal(f->lab->guests[1].c.append, "id=n2");
    assert_int_equal(f->lab->guests[1].nhooks, 3);
    assert_string_equal(f->lab->guests[1].hooks[0].command, "log n2 x");
    assert_int_equal(f->lab->guests[1].hooks[2].on, HOOK_START);
}

static void two_writers_of_one_disk_are_refused_by_inode(void **state)
{
    struct fixture *f = *state;
    char a[100], b[100];

    touch(f, "a.img", 4096);
    snprintf(a, sizeof a, "%s/a.img", f->dir);
    snprintf(b, sizeof b, "%s/b.img", f->dir);
    assert_int_equal(link(a, b), 0);
    refused(f, "guests:\n  web: {image: spin, disks: [a.img]}\n  db: {image: spin, disks: [b.img]}\n",
            "lab.yaml:3:29: disk `");
    assert_non_null(strstr(text_str(&f->said), "is written by `web` and written by `db`"));
    refused(f, "guests:\n  web: {image: spin, disks: [a.img, b.img]}\n", "`web` has disk `");
    refused(f, "guests:\n  web: {image: spin, disks: [{path: new.img, size: 1M}]}\n"
               "  db: {image: spin, disks: [{path: ./tiny/../new.img, size: 1M}]}\n", "is written by `web` and written");
    refused(f, "guests:\n  web: {image: spin, disks: [a.img]}\n"
               "  db: {image: spin, disks: [{path: a.img, readonly: true}]}\n", "is written by `web` and read by `db`");
    refused(f, "guests:\n  c: {image: spin, count: 2, disks: [a.img]}\n", "is written by `c1` and written by `c2`");
}

static void readers_and_overlays_share_a_disk(void **state)
{
    struct fixture *f = *state;

    touch(f, "a.img", 4096);
    assert_non_null(parse(f, "guests:\n  web: {image: spin, disks: [{path: a.img, readonly: yes}]}\n"
                             "  db: {image: spin, disks: [{base: a.img}]}\n"
                             "  x: {image: spin, disks: [{base: a.img, overlay: x.cow}]}\n"));
    refused(f, "guests:\n  db: {image: spin, disks: [{base: a.img, overlay: x.cow}]}\n"
               "  x: {image: spin, disks: [{base: a.img, overlay: x.cow}]}\n", "x.cow` is written by `db`");
}

static void disks_that_cannot_be_used_are_told(void **state)
{
    struct fixture *f = *state;
    char path[100];

    refused(f, "guests:\n  web: {image: spin, disks: [no.img]}\n", "does not exist: give it a `size:` and it is made");
    refused(f, "guests:\n  web: {image: spin, disks: [{base: no.img, overlay: true, size: 1M}]}\n",
            "does not exist: check the path");
    refused(f, "guests:\n  web: {image: spin, disks: [{path: no.img, size: 1}]}\n", "a disk has at least 512 bytes");
    assert_null(strstr(text_str(&f->said), "does not exist"));
    refused(f, "guests:\n  web: {image: spin, disks: [{path: no.img, readonly: true}]}\n", "does not exist");
    refused(f, "guests:\n  web: {image: spin, disks: [tiny]}\n", "is neither a file nor a block device");
    touch(f, "small.img", 100);
    refused(f, "guests:\n  web: {image: spin, disks: [small.img]}\n", "has 100 bytes, less than one sector");
    refused(f, "guests:\n  web: {image: spin, disks: [{size: 1G}]}\n", "a disk needs a `path`");
    touch(f, "ro.img", 4096);
    snprintf(path, sizeof path, "%s/ro.img", f->dir);
    chmod(path, 0400);
    if (geteuid() != 0) /* root may write anything */
        refused(f, "guests:\n  web: {image: spin, disks: [ro.img]}\n", "may not be written");
}

static void kernels_that_cannot_be_used_are_told(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n  web: {kernel: ./nothing}\n", "nothing` does not exist: check the path");
    refused(f, "guests:\n  web: {kernel: ./tiny}\n", "tiny` is a directory: give the file in it");
    refused(f, "guests:\n  web: {memory: 64M}\n", "guest `web` has no kernel: give it `image:` or `kernel:`");
    refused(f, "guests:\n  web: {image: rogue}\n", "needs ");
    assert_non_null(strstr(text_str(&f->said), "tiny/rogue.elf, which is not there: run `make`"));
}

static void memory_beyond_the_host_is_refused_with_the_arithmetic(void **state)
{
    struct fixture *f = *state;

    f->host.memory_available_bytes = 1ull << 30;
    refused(f, "guests:\n  a: {image: spin, memory: 800M}\n  b: {image: spin, memory: 300M}\n",
            "lab.yaml:2:28: 2 guests with 1.1G of memory in all do not fit into the 1G that this host has "
            "available");
    refused(f, "host: {sched: nice}\nguests:\n  a: {image: spin}\n",
            "lab.yaml:1:15: `nice` divides no processor: write `auto`, `slots` or `cgroup`");
    assert_non_null(parse(f, "host: {sched: cgroup}\nguests:\n  a: {image: spin, autostart: false}\n"));
    assert_string_equal(f->lab->host_sched, "cgroup");
    assert_non_null(parse(f, "host: {overcommit: true}\nguests:\n  a: {image: spin, memory: 2G}\n"));
    assert_non_null(parse(f, "guests:\n  a: {image: spin, memory: 2G, autostart: false}\n"));
}

static void depends_must_name_guests_and_have_an_order(void **state)
{
    struct fixture *f = *state;
    unsigned order[LAB_GUESTS_MAX];

    refused(f, "guests:\n  web: {image: spin, depends: [bd]}\n  db: {image: spin}\n",
            "lab.yaml:2:31: `web` depends on `bd`, which is no guest (did you mean `db`?)");
    refused(f, "guests:\n  a: {image: spin, depends: [b]}\n  b: {image: spin, depends: c}\n"
               "  c: {image: spin, depends: [a]}\n  d: {image: spin}\n",
            "these guests wait for each other and none can start first: `a`, `b`, `c`");
    refused(f, "guests:\n  a: {image: spin, depends: [a]}\n", "wait for each other");
    assert_non_null(parse(f, "guests:\n  a: {image: spin, depends: [c]}\n  b: {image: spin}\n"
                             "  c: {image: spin, count: 2, depends: [b]}\n"));
    assert_true(lab_order(f->lab, order));
    assert_string_equal(f->lab->guests[order[0]].c.name, "b");
    assert_string_equal(f->lab->guests[order[3]].c.name, "a");
}

static void a_pin_must_meet_the_cpus_of_the_lab(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n  a: {image: spin, pin: 2-3}\nhost: {cpus: 0-1}\n",
            "lab.yaml:2:3: `a` is pinned to CPUs `2-3`, none of which the lab has (`0-1`)");
    assert_non_null(parse(f, "guests:\n  a: {image: spin, pin: 1-3}\nhost: {cpus: 0-1}\n"));
    assert_non_null(parse(f, "guests:\n  a: {image: spin, pin: 2-3}\n"));
}

static void networks_are_checked(void **state)
{
    struct fixture *f = *state;

    refused(f, "networks: {lan: {}}\nguests:\n  a: {image: spin, nets: [lam]}\n",
            "there is no network `lam` in this lab (did you mean `lan`?)");
    refused(f, "networks: {lan: {forward: [2222:22]}}\nguests: {a: {image: spin}}\n", "`2222:22` is not a port forward");
    refused(f, "networks: {lan: {forward: [99999:a:22]}}\nguests: {a: {image: spin}}\n", "is not a port forward");
    refused(f, "networks: {lan: {subnet: 10.0.0.0}}\nguests: {a: {image: spin}}\n", "is not an IPv4 subnet");
    refused(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: [{network: lan, mac: 'zz'}]}\n", "is not a MAC");
    assert_non_null(parse(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: "
                             "[{network: lan, mac: '52:54:00:12:34:56'}]}\n"));
    assert_int_equal(guest(f, "a")->nics[0].mac[5], 0x56);
}

static void a_link_may_begin_with_limits(void **state)
{
    struct fixture *f = *state;
    const struct link_limits *l;

    assert_non_null(parse(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: {network: lan, rate: 10M, delay: 5ms, "
                             "loss: 2.5%}}\n"));
    l = &guest(f, "a")->nics[0].limits;
    assert_int_equal(l->rate_bits, 10000000);
    assert_int_equal(l->delay_ns, 5000000);
    assert_int_equal(l->loss_ppm, 25000);
    refused(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: {network: lan, rate: fast}}\n",
            "lab.yaml:3:47: `fast` is not a rate");
    refused(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: {network: lan, loss: 101}}\n", "`101` is not a loss");
    refused(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: {network: lan, delay: 1h}}\n", "a delay is at most 10 s");
    refused(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: {network: lan, dely: 1s}}\n",
            "a link has no key `dely` (did you mean `delay`?)");
}

static void forwards_must_name_a_guest_of_their_network_and_a_port_once(void **state)
{
    struct fixture *f = *state;

    refused(f, "networks: {lan: {nat: true, forward: [80:wbe:80]}}\nguests: {web: {image: spin, nets: lan}}\n",
            "lab.yaml:1:39: port 80 is forwarded to `wbe`, which is no guest (did you mean `web`?)");
    refused(f, "networks: {lan: {nat: true, forward: [80:a:80]}}\nguests: {a: {image: spin}}\n",
            "lab.yaml:1:39: `a` has no link to network `lan`: give it `nets: lan`");
    refused(f, "networks: {lan: {forward: [80:a:80]}}\nguests: {a: {image: spin, nets: lan}}\n",
            "lab.yaml:1:28: network `lan` forwards a port, but has no `nat: true`");
    refused(f, "networks:\n  lan: {nat: true, forward: [80:a:80]}\n  dmz: {nat: true, forward: [80:a:81]}\n"
               "guests: {a: {image: spin, nets: [lan, dmz]}}\n",
            "lab.yaml:3:30: port 80 of the host is forwarded already, at line 2: take another");
    assert_non_null(parse(f, "networks: {lan: {nat: true, forward: [80:c2:80, udp:80:c2:80]}}\n"
                             "guests: {c: {image: spin, count: 2, nets: lan}}\n"));
}

static void a_lab_says_what_it_is_about_and_has_checks(void **state)
{
    struct fixture *f = *state;

    assert_non_null(parse(f, "title: T\nabout: |\n  Try: list\n  Watch: stats\nchecks: [wait 1, check a got 1..5 10]\n"
                             "guests: {a: {image: spin}}\n"));
    assert_string_equal(f->lab->story.about, "Try: list\nWatch: stats\n");
    assert_string_equal(f->lab->story.checks, "wait 1\ncheck a got 1..5 10\n");
    refused(f, "title: \"a\\eb\"\nguests: {a: {image: spin}}\n", "lab.yaml:1:8: `title` is one line without control characters");
    refused(f, "title: \"a\\nb\"\nguests: {a: {image: spin}}\n", "`title` is one line");
    refused(f, "about: \"a\\x9b2J\"\nguests: {a: {image: spin}}\n", "`about` is text without control characters");
    refused(f, "checks: [list, chekc a]\nguests: {a: {image: spin}}\n",
            "lab.yaml:1:16: there is no command `chekc` (did you mean `check`?)");
    refused(f, "checks: \"list\\nquit\"\nguests: {a: {image: spin}}\n", "a check is a command, in one line");
}

static void a_lab_file_may_be_named_without_its_ending(void **state)
{
    struct fixture *f = *state;
    char path[100];
    FILE *o = fopen(f->path, "w");

    fputs("guests: {a: {image: spin}}\n", o);
    fclose(o);
    snprintf(path, sizeof path, "%s/lab", f->dir);
    f->lab = lab_load(path, &f->host, &f->d);
    assert_non_null(f->lab);
    assert_string_equal(f->lab->path, f->path);
}

static void a_mac_is_there_once_in_a_network(void **state)
{
    struct fixture *f = *state;

    refused(f, "networks: {lan: }\nguests:\n  a: {image: spin, nets: {network: lan, mac: '52:54:00:12:34:56'}}\n"
               "  b: {image: spin, nets: {network: lan, mac: '52:54:00:12:34:56'}}\n",
            "lab.yaml:4:26: `a` and `b` have the same MAC address in network `lan`");
    refused(f, "networks: {lan: }\nguests:\n  a: {image: spin, count: 2, nets: {network: lan, mac: '52:54:00:12:34:56'}}\n",
            "`a1` and `a2` have the same MAC address");
    assert_non_null(parse(f, "networks: {lan: , dmz: }\nguests:\n  a: {image: spin, nets: [lan, lan, {network: lan, mac: "
                             "'52:54:00:12:34:56'}, {network: dmz, mac: '52:54:00:12:34:56'}]}\n"));
}

static void aliases_and_merge_keys_work(void **state)
{
    struct fixture *f = *state;

    assert_non_null(parse(f, "defaults: &d {memory: 64M}\nguests:\n  a: &a {image: spin, share: 7, cap: 10}\n"
                             "  b: {<<: *a, share: 9}\n  c: *a\n"));
    assert_int_equal(guest(f, "b")->share, 9);
    assert_int_equal(guest(f, "b")->cap_pct, 10);
    assert_int_equal(guest(f, "c")->share, 7);
    refused(f, "guests:\n  a: {<<: 5, image: spin}\n", "`<<` merges a map");
    refused(f, "guests:\n  a: &a {<<: *a, image: spin}\n", "nested more than 8 deep");
}

static void alias_bombs_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct text t = {0};

    text_puts(&t, "x-0: &x0 {image: spin}\n");
    for (unsigned i = 1; i < 8; i++)
        text_printf(&t, "x-%u: &x%u {<<: [*x%u,*x%u,*x%u]}\n", i, i, i - 1, i - 1, i - 1);
    text_puts(&t, "guests: {a: *x7, b: *x7, c: *x7}\n");
    refused(f, text_str(&t), "lab.yaml:4:15: merge keys are nested more than 8 deep\n");
    text_clear(&t);
    text_puts(&t, "x-0: &x0 {image: spin, share: 5, cap: 6, vcpus: 1}\nx-1: &x1 [&x2 {<<: [*x0");
    for (unsigned i = 0; i < 1000; i++)
        text_puts(&t, ",*x0");
    text_puts(&t, "]}");
    for (unsigned i = 0; i < 1000; i++)
        text_puts(&t, ",*x2");
    text_puts(&t, "]\nguests: {a: {<<: *x1}}\n");
    refused(f, text_str(&t), "aliases make this file larger than a lab can be");
    text_free(&t);
    for (unsigned i = 0; i < 5000; i++)
        text_putc(&t, '[');
    assert_null(parse(f, text_str(&t)));
    assert_non_null(strstr(text_str(&f->said), "nested more than 64 deep"));
    text_free(&t);
}

static void broken_yaml_is_told_with_its_place(void **state)
{
    struct fixture *f = *state;

    refused(f, "guests:\n\tweb: {image: spin}\n", "lab.yaml:2:1: YAML cannot be indented with tabs: use spaces\n");
    refused(f, "guests: {web: {image: spin}\n", "lab.yaml:2:1: ");
    refused(f, "guests: *x\n", "found undefined alias");
    refused(f, "guests: {a: {image: spin}}\n---\nguests: {}\n", "here a second begins");
    refused(f, "", "the file is empty: a lab needs at least `guests:`");
    refused(f, "# nothing\n", "the file is empty");
    refused(f, "name: x\n", "this lab has no `guests:`");
    assert_null(parse_n(f, "guests: \xff\xfe", 10));
    assert_non_null(strstr(text_str(&f->said), "no text in UTF-8"));
    assert_null(parse_n(f, "name: \"a\\0b\"\nguests: {a: {image: spin}}\n", 40));
    assert_non_null(strstr(text_str(&f->said), "contains a zero byte"));
}

static void byte_order_mark_and_crlf_are_fine(void **state)
{
    struct fixture *f = *state;

    assert_non_null(parse(f, "\xef\xbb\xbfname: x\r\nguests:\r\n  a: {image: spin}\r\n"));
    assert_string_equal(f->lab->name, "x");
}

static void a_lab_is_named_after_its_directory(void **state)
{
    struct fixture *f = *state;
    FILE *o = fopen(f->path, "w");

    fputs("guests: {a: {image: spin}}\n", o);
    fclose(o);
    f->lab = lab_load(f->dir, &f->host, &f->d);
    assert_non_null(f->lab);
    assert_string_equal(f->lab->name, strrchr(f->dir, '/') + 1);
    assert_string_equal(f->lab->path, f->path);
}

static void files_that_are_no_lab_are_told(void **state)
{
    struct fixture *f = *state;
    char path[100];

    snprintf(path, sizeof path, "%s/tiny", f->dir);
    assert_null(lab_load(path, &f->host, &f->d));
    diags_print(f->d, &f->said);
    assert_non_null(strstr(text_str(&f->said), "tiny/lab.yaml: cannot be read: No such file or directory: give the path of a lab file"));
    diags_free(f->d);
    text_clear(&f->said);
    touch(f, "big.yaml", (1 << 20) + 1);
    snprintf(path, sizeof path, "%s/big.yaml", f->dir);
    assert_null(lab_load(path, &f->host, &f->d));
    diags_print(f->d, &f->said);
    assert_non_null(strstr(text_str(&f->said), "larger than 1 MiB"));
}

static void a_lab_can_have_256_guests(void **state)
{
    struct fixture *f = *state;

    assert_non_null(parse(f, "guests: {a: {image: spin, memory: 1M, count: 256}}\n"));
    assert_int_equal(f->lab->nguests, 256);
    refused(f, "guests: {a: {image: spin, memory: 1M, count: 256}, b: {image: spin}}\n", "a lab can have 256 guests");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lab_of_the_design_is_read),
        T(misspelt_keys_get_a_place_and_a_suggestion),
        T(all_mistakes_are_told_in_the_order_of_the_file),
        T(wrong_types_are_told_by_kind),
        T(memory_of_zero_or_without_unit_says_what_to_write),
        T(doubled_guests_and_keys_are_refused),
        T(bad_names_are_refused),
        T(count_replaces_the_name_in_paths_and_hooks),
        T(two_writers_of_one_disk_are_refused_by_inode),
        T(readers_and_overlays_share_a_disk),
        T(disks_that_cannot_be_used_are_told),
        T(kernels_that_cannot_be_used_are_told),
        T(memory_beyond_the_host_is_refused_with_the_arithmetic),
        T(depends_must_name_guests_and_have_an_order),
        T(a_pin_must_meet_the_cpus_of_the_lab),
        T(networks_are_checked),
        T(a_link_may_begin_with_limits),
        T(forwards_must_name_a_guest_of_their_network_and_a_port_once),
        T(a_lab_says_what_it_is_about_and_has_checks),
        T(a_lab_file_may_be_named_without_its_ending),
        T(a_mac_is_there_once_in_a_network),
        T(aliases_and_merge_keys_work),
        T(alias_bombs_are_bounded),
        T(broken_yaml_is_told_with_its_place),
        T(byte_order_mark_and_crlf_are_fine),
        T(a_lab_is_named_after_its_directory),
        T(files_that_are_no_lab_are_told),
        T(a_lab_can_have_256_guests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
