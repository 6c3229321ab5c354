/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session and its commands, with guests that only pretend.
 */
#include "session_rig.h"

#include "core/cmd_internal.h"
#include "core/script.h"

#include <json-c/json.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fake_vm.c"

static const char lab[] = "guests:\n"
                          "  web: {image: hello, memory: 64M, group: front, vcpus: 2, depends: [db], "
                          "on: {crash: 'set interval 7'}}\n"
                          "  db:  {image: spin, memory: 64M}\n"
                          "  off: {image: spin, memory: 64M, autostart: false}\n";

static int setup(void **state)
{
    *state = rig_new(lab);
    return 0;
}

static int setup_started(void **state)
{
    struct rig *r = rig_new(lab);

    session_start_lab(r->s);
    rig_idle(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void assert_state(struct rig *r, const char *name, enum vm_state s)
{
    assert_string_equal(vm_state_name(vm_state(rig_vm(r, name))), vm_state_name(s));
}

/* Starting. */

static void guests_start_after_those_they_depend_on(void **state)
{
    struct rig *r = *state;
    unsigned failed;

    fake_vm(rig_vm(r, "db"))->stall = true;
    session_start_lab(r->s);
    rig_idle(r);
    assert_state(r, "web", VM_NEW);
    assert_false(session_settled(r->s, &failed));
    fake_vm_release(rig_vm(r, "db"));
    rig_idle(r);
    assert_state(r, "db", VM_RUNNING);
    assert_state(r, "web", VM_RUNNING);
    assert_state(r, "off", VM_NEW);
    assert_true(session_settled(r->s, &failed));
    assert_int_equal(failed, 0);
}

static void a_guest_whose_depend_failed_is_not_started(void **state)
{
    struct rig *r = *state;
    unsigned failed;

    fake_vm(rig_vm(r, "db"))->fail_start = "the kernel is broken";
    session_start_lab(r->s);
    rig_idle(r);
    assert_true(session_settled(r->s, &failed));
    assert_int_equal(failed, 2);
    assert_state(r, "web", VM_NEW);
    assert_int_equal(rig_do(r, "events"), CMD_DONE);
    assert_says(r->out, "db the kernel is broken\n");
    assert_says(r->out, "web was not started: it depends on db, which did not start\n");
}

static void start_fails_with_the_guests_own_words(void **state)
{
    struct rig *r = *state;

    fake_vm(rig_vm(r, "off"))->fail_start = "kernel x is truncated";
    assert_int_equal(rig_do(r, "start off"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "off: kernel x is truncated\n");
    fake_vm(rig_vm(r, "off"))->fail_start = NULL;
    assert_int_equal(rig_do(r, "start off"), CMD_DONE);
    assert_string_equal(text_str(&r->error), "");
    assert_int_equal(rig_do(r, "start off"), CMD_DONE);
    assert_string_equal(text_str(&r->note), "off is running already\n");
}

static void a_start_that_does_not_fit_is_refused_with_the_arithmetic(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "create big image=hello memory=8G"), CMD_DONE);
    assert_int_equal(rig_do(r, "start big"), CMD_FAILED);
    assert_says(r->error, "1 guest with 8G of memory in all does not fit into the 4G");
    assert_int_equal(rig_do(r, "set overcommit yes"), CMD_DONE);
    assert_int_equal(rig_do(r, "start big"), CMD_DONE);
}

static void memory_asked_back_makes_room_for_another(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "start db off"), CMD_DONE); /* each has touched 4M of its 64M */
    assert_int_equal(rig_do(r, "create big image=hello memory=3980M"), CMD_DONE);
    assert_int_equal(rig_do(r, "start big"), CMD_FAILED);
    assert_says(r->error, "big needs 3.9G and 2 guests that run may still take 120M, but this host has only 4G available: "
                          "stop one or ask it for memory (`mem`), or allow it with `set overcommit on`");
    assert_int_equal(rig_do(r, "mem off 8M"), CMD_DONE);
    assert_int_equal(rig_do(r, "start big"), CMD_DONE);
}

/* Life cycle. */

static void pause_ends_when_all_are_paused(void **state)
{
    struct rig *r = *state;

    fake_vm(rig_vm(r, "db"))->stall = true;
    rig_begin(r, "pause web db");
    assert_state(r, "web", VM_PAUSED);
    assert_int_equal(r->status, -1);
    fake_vm_release(rig_vm(r, "db"));
    rig_idle(r);
    assert_int_equal(r->status, CMD_DONE);
    assert_string_equal(text_str(&r->out), "");
    assert_int_equal(rig_do(r, "pause web"), CMD_DONE);
    assert_string_equal(text_str(&r->note), "web is paused already\n");
    assert_int_equal(rig_do(r, "resume all"), CMD_FAILED); /* off never ran */
    assert_says(r->error, "off is new: not now");
    assert_state(r, "web", VM_RUNNING);
    assert_state(r, "db", VM_RUNNING);
}

static void a_busy_guest_is_waited_for(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "db");

    fake_vm(vm)->stall = true;
    assert_int_equal(vm_pause(vm, NULL), 0);
    rig_begin(r, "stop db");
    assert_int_equal(r->status, -1);
    fake_vm_release(vm);
    rig_idle(r);
    assert_int_equal(r->status, CMD_DONE);
    assert_state(r, "db", VM_STOPPED);
}

static void a_run_can_be_cancelled(void **state)
{
    struct rig *r = *state;

    rig_begin(r, "wait 100");
    cmd_cancel(r->run);
    rig_idle(r);
    assert_int_equal(r->status, CMD_FAILED);
    rig_begin(r, "wait off running");
    cmd_cancel(r->run);
    rig_idle(r);
    assert_int_equal(r->status, CMD_FAILED);
}

static void reset_and_stop_work_on_crashed_guests(void **state)
{
    struct rig *r = *state;

    fake_vm_crash(rig_vm(r, "db"), "triple fault");
    assert_int_equal(rig_do(r, "list"), CMD_DONE);
    assert_says(r->out, "crashed");
    assert_says(r->out, "triple fault");
    assert_int_equal(rig_do(r, "reset db"), CMD_DONE);
    assert_state(r, "db", VM_RUNNING);
    fake_vm_crash(rig_vm(r, "db"), "again");
    assert_int_equal(rig_do(r, "stop db"), CMD_DONE);
    assert_int_equal(rig_do(r, "start db"), CMD_DONE);
    assert_int_equal(fake_vm(rig_vm(r, "db"))->starts, 2);
}

static void shutdown_needs_a_running_guest(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "shutdown web"), CMD_DONE);
    assert_int_equal(rig_do(r, "shutdown off"), CMD_FAILED);
    assert_says(r->error, "off is new: it hears no button");
}

static void wait_ends_at_the_state_or_the_time(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "wait web running"), CMD_DONE);
    rig_begin(r, "wait web db stopped");
    assert_int_equal(r->status, CMD_FAILED);
    rig_begin(r, "wait web ended");
    assert_int_equal(r->status, -1);
    fake_vm_poweroff(rig_vm(r, "web"));
    rig_idle(r);
    assert_int_equal(r->status, CMD_DONE);
    assert_int_equal(rig_do(r, "wait db stopped 50ms"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "db is running after 50ms, not stopped\n");
    assert_int_equal(rig_do(r, "wait db stoped"), CMD_FAILED);
    assert_says(r->error, "`stoped` is no state (did you mean `stopped`?)");
    assert_int_equal(rig_do(r, "wait db"), CMD_USAGE);
    assert_int_equal(rig_do(r, "wait 10ms"), CMD_DONE);
    assert_int_equal(rig_do(r, "wait 10x"), CMD_FAILED);
}

static void who_asks_is_answered(void **state)
{
    struct rig *r = *state;
    struct cmd_client c = {.write = rig_write, .done = rig_done, .opaque = r};

    (void)c;
    assert_int_equal(rig_do(r, "stop web"), CMD_DONE); /* nobody to ask: scripts mean it */
    assert_state(r, "web", VM_STOPPED);
}

static void asked(void *opaque, struct cmd_run *run, const char *question)
{
    struct rig *r = opaque;

    (void)run;
    snprintf(r->question, sizeof r->question, "%s", question);
}

static void destructive_commands_ask_where_somebody_is(void **state)
{
    struct rig *r = *state;
    struct cmd_client c = {.write = rig_write, .done = rig_done, .ask = asked, .opaque = r};

    rig_begin_as(r, "stop web db", &c);
    assert_string_equal(r->question, "stop web, db?");
    assert_state(r, "web", VM_RUNNING);
    cmd_answer(r->run, false);
    rig_idle(r);
    assert_int_equal(r->status, CMD_FAILED);
    assert_state(r, "web", VM_RUNNING);
    rig_begin_as(r, "quit", &c);
    assert_string_equal(r->question, "quit with 2 guests running?");
    cmd_answer(r->run, false);
    rig_idle(r);
    assert_false(session_quitting(r->s));
    rig_begin_as(r, "reset web", &c);
    cmd_answer(r->run, true);
    rig_idle(r);
    assert_int_equal(r->status, CMD_DONE);
}

/* Changing the lab. */

static void create_makes_what_the_lab_file_would(void **state)
{
    struct rig *r = *state;
    struct guest *g;

    assert_int_equal(rig_do(r, "create new image=spin memory=1.5G vcpus=4 share=7 cap=50 append='a \"b\" \\\\c' "
                               "group=x disk=/proc/self/exe,size=1M,overlay"), CMD_DONE);
    g = session_guest(r->s, "new");
    assert_int_equal(g->c->memory_bytes, 3ull << 29);
    assert_int_equal(g->c->share, 7);
    assert_string_equal(g->c->append, "a \"b\" \\\\c");
    assert_int_equal(g->c->ndisks, 1);
    assert_int_equal(g->c->disks[0].mode, DISK_OVERLAY);
    assert_int_equal(g->c->disks[0].size_bytes, 1 << 20);
    assert_state(r, "new", VM_NEW);
}

static void create_refuses_what_the_lab_file_would(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "create web image=spin"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "there is a guest `web` already: take another name\n");
    assert_int_equal(rig_do(r, "create x image=spni"), CMD_FAILED);
    assert_says(r->error, "there is no image `spni` (did you mean `spin`?)");
    assert_int_equal(rig_do(r, "create x image=spin memroy=1G"), CMD_FAILED);
    assert_says(r->error, "a guest has no key `memroy` (did you mean `memory`?)");
    assert_int_equal(rig_do(r, "create x image=spin memory"), CMD_FAILED);
    assert_says(r->error, "`memory` is not KEY=VALUE");
    assert_int_equal(rig_do(r, "create x"), CMD_FAILED);
    assert_says(r->error, "has no kernel");
    assert_int_equal(rig_do(r, "create x image=spin count=3"), CMD_FAILED);
    assert_int_equal(rig_do(r, "create 'a b' image=spin"), CMD_FAILED);
    assert_int_equal(rig_do(r, "create x image=spin disk="), CMD_FAILED);
    assert_int_equal(rig_do(r, "create x image=spin disk=/tmp/none.img,size=1M,overlay"), CMD_FAILED);
    assert_says(r->error, "disk `/tmp/none.img` does not exist: check the path");
    assert_int_equal(rig_do(r, "create x image=spin disk=a,size=1M,wrong"), CMD_FAILED);
    assert_says(r->error, "a disk has no key `wrong`");
    assert_int_equal(rig_do(r, "create a image=spin disk=/tmp/ruche-d.img,size=1M"), CMD_DONE);
    assert_int_equal(rig_do(r, "create b image=spin disk=/tmp/ruche-d.img,size=1M"), CMD_FAILED);
    assert_says(r->error, "is written by `a` and written by `b`");
}

static void remove_stops_and_forgets(void **state)
{
    struct rig *r = *state;
    struct rig other = {.s = r->s, .status = -1};
    struct cmd_client c = {.write = rig_write, .done = rig_done, .opaque = &other};

    other.run = cmd_start(r->s, "wait web paused", &c);
    assert_int_equal(rig_do(r, "remove web off"), CMD_DONE);
    rig_idle(r);
    assert_null(session_guest(r->s, "web"));
    assert_null(session_guest(r->s, "off"));
    assert_int_equal(other.status, CMD_FAILED);
    assert_string_equal(text_str(&other.error), "web was removed meanwhile\n");
    text_free(&other.error);
    assert_int_equal(rig_do(r, "create web image=hello"), CMD_DONE);
}

/* What guests get. */

static void changes_of_share_cap_and_memory_can_be_undone(void **state)
{
    struct rig *r = *state;
    struct guest *g = session_guest(r->s, "web");

    assert_int_equal(rig_do(r, "share web 200"), CMD_DONE);
    assert_says(r->note, "share of web is 200");
    assert_int_equal(rig_do(r, "share web 300"), CMD_DONE);
    assert_int_equal(rig_do(r, "cap web* 50%"), CMD_DONE);
    assert_int_equal(rig_do(r, "mem web 32M"), CMD_DONE);
    assert_int_equal(fake_vm(g->vm)->mem_target, 32 << 20);
    assert_int_equal(rig_do(r, "pause web"), CMD_DONE);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_state(r, "web", VM_RUNNING);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(fake_vm(g->vm)->mem_target, 64 << 20);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(g->c->cap_pct, 0);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(g->c->share, 200);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(g->c->share, 100);
    assert_int_equal(rig_do(r, "undo"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "there is nothing to take back\n");
}

static void limits_of_disks_change_and_come_back(void **state)
{
    struct rig *r = *state;
    struct guest *g = session_guest(r->s, "web");

    assert_int_equal(rig_do(r, "disk web.vda iops=500"), CMD_FAILED);
    assert_true(strstr(text_str(&r->error), "web has no disk `vda`"));
    g->c->disks[0] = (struct disk_config){.name = "vda", .path = strdup("/nowhere"), .iops = 7};
    g->c->ndisks = 1;
    assert_int_equal(rig_do(r, "disk w*.vd? iops=500 bps=20M"), CMD_DONE);
    assert_int_equal(fake_vm(g->vm)->disk_iops, 500);
    assert_int_equal(fake_vm(g->vm)->disk_bps, 20 << 20);
    assert_int_equal(rig_do(r, "disk web.vda bps=0"), CMD_DONE);
    assert_int_equal(g->c->disks[0].iops, 500); /* what is not named stays */
    assert_int_equal(g->c->disks[0].bytes_per_s, 0);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(g->c->disks[0].bytes_per_s, 20 << 20);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(fake_vm(g->vm)->disk_iops, 7);
    assert_int_equal(rig_do(r, "disk web.vda"), CMD_DONE);
    assert_true(strstr(text_str(&r->out), "web.vda"));
    assert_int_equal(rig_do(r, "disk web.vda speed=3"), CMD_FAILED);
    assert_int_equal(rig_do(r, "disk web iops=3"), CMD_FAILED);
}

static void a_change_of_many_is_one_to_take_back(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "share web 300"), CMD_DONE);
    assert_int_equal(rig_do(r, "share all 200"), CMD_DONE);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(session_guest(r->s, "web")->c->share, 300);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(session_guest(r->s, "web")->c->share, 100);
    assert_int_equal(session_guest(r->s, "db")->c->share, 100);
    assert_int_equal(rig_do(r, "undo"), CMD_FAILED);
    assert_says(r->error, "there is nothing to take back");
}

static void what_cannot_be_undone_says_so(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "share web 5"), CMD_DONE);
    assert_int_equal(rig_do(r, "stop db"), CMD_DONE);
    assert_int_equal(rig_do(r, "undo"), CMD_FAILED);
    assert_string_equal(text_str(&r->error),
                        "`stop db` cannot be taken back: what ran is gone; `start` boots it anew\n");
    assert_int_equal(rig_do(r, "undo"), CMD_DONE); /* the one before can */
    assert_int_equal(session_guest(r->s, "web")->c->share, 100);
    assert_int_equal(rig_do(r, "create z image=spin"), CMD_DONE);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    rig_idle(r);
    assert_null(session_guest(r->s, "z"));
}

static void host_cpus_change_for_all_guests_or_for_none(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "pin db.0 3"), CMD_DONE);
    assert_int_equal(rig_do(r, "set host.cpus 0-1"), CMD_FAILED);
    assert_says(r->error, "CPUs `3` are not among the lab's (`0-1`): pin it elsewhere, or change host.cpus");
    assert_null(session_cpus(r->s));
    assert_int_equal(rig_do(r, "set host.cpus 2-3"), CMD_DONE);
    assert_int_equal(rig_do(r, "pin off 1"), CMD_FAILED); /* it does not run yet */
    assert_says(r->error, "CPUs `1` are not among the lab's (`2-3`)");
    assert_string_equal(session_cpus(r->s), "2-3");
}

static void a_link_that_is_not_there_is_told_apart(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "link web"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "web has no network link: give it one with `nets:` in the lab file\n");
}

static void several_links_are_changed_at_once_or_told_apart(void **state)
{
    struct rig *r = rig_new("networks: {lan: {}, out: {}}\nguests:\n  web: {image: spin, nets: [lan], count: 2}\n"
                            "  gw: {image: spin, nets: [lan, out]}\n  lone: {image: spin}\n");

    (void)state;
    session_start_lab(r->s);
    rig_idle(r);
    assert_int_equal(rig_do(r, "link *.lan rate=10M"), CMD_DONE);
    assert_int_equal(rig_do(r, "link all"), CMD_DONE);
    assert_says(r->out, "web1.eth0: network lan, up, rate=10Mbit");
    assert_says(r->out, "web2.eth0: network lan, up, rate=10Mbit");
    assert_says(r->out, "gw.eth0: network lan, up, rate=10Mbit");
    assert_says(r->out, "gw.eth1: network out, up, rate=none");
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_int_equal(rig_do(r, "link web*"), CMD_DONE);
    assert_says(r->out, "web2.eth0: network lan, up, rate=none");
    assert_int_equal(rig_do(r, "link gw down"), CMD_FAILED);
    assert_says(r->error, "gw has 2 links: name one as gw.eth0, or all as gw.*");
    assert_int_equal(rig_do(r, "link web* capture=/nowhere/x"), CMD_FAILED);
    assert_says(r->error, "`web*` means 2 links, and a capture is of one");
    assert_int_equal(rig_do(r, "link web*.out down"), CMD_FAILED);
    assert_says(r->error, "none of these guests has such a link");
    assert_int_equal(rig_do(r, "link l* down"), CMD_FAILED);
    assert_says(r->error, "lone has no network link");
    rig_free(r);
}

static void a_lab_says_what_it_is_about_and_checks_itself(void **state)
{
    struct rig *told = rig_new("title: T\nabout: |\n  Try: list\nchecks: [pause web, share web 7, wait web paused 1]\n"
                               "guests: {web: {image: spin}}\n");
    struct cmd_client c = {.write = rig_write, .done = rig_done, .looks_only = true, .opaque = told};
    struct rig *r = *state;

    assert_int_equal(rig_do(told, "lab"), CMD_DONE);
    assert_says(told->out, "T\n\nTry: list\n");
    assert_int_equal(rig_do(told, "lab check"), CMD_FAILED); /* it does not run yet */
    assert_int_not_equal(session_guest(told->s, "web")->c->share, 7);
    session_start_lab(told->s);
    rig_idle(told);
    assert_string_equal(events_get(session_events(told->s), events_last(session_events(told->s)))->text, "T: `lab` says what to try");
    rig_begin_as(told, "lab check", &c); /* who may only look may not by a check, either */
    rig_idle(told);
    assert_int_equal(told->status, CMD_FAILED);
    assert_state(told, "web", VM_RUNNING);
    assert_int_equal(rig_do(told, "lab check"), CMD_DONE);
    assert_int_equal(session_guest(told->s, "web")->c->share, 7);
    assert_int_equal(rig_do(told, "lab chekc"), CMD_USAGE);
    rig_free(told);
    assert_int_equal(rig_do(r, "lab"), CMD_DONE);
    assert_int_equal(rig_do(r, "lab check"), CMD_FAILED);
}

static void info_as_json_has_what_info_tells(void **state)
{
    struct rig *r = *state;
    struct json_object *o, *vms, *vm, *v;

    assert_int_equal(rig_do(r, "create new image=spin memory=8M disk=/proc/self/exe,readonly"), CMD_DONE);
    assert_int_equal(rig_do(r, "info --json new web"), CMD_DONE);
    o = json_tokener_parse(text_str(&r->out));
    assert_non_null(o);
    assert_true(json_object_object_get_ex(o, "vms", &vms));
    assert_int_equal(json_object_array_length(vms), 2);
    vm = json_object_array_get_idx(vms, 0);
    assert_true(json_object_object_get_ex(vm, "engine", &v));
    assert_string_equal(json_object_get_string(v), "fake");
    assert_true(json_object_object_get_ex(vm, "disks", &v));
    assert_int_equal(json_object_array_length(v), 1);
    assert_true(json_object_object_get_ex(json_object_array_get_idx(v, 0), "mode", &v));
    assert_string_equal(json_object_get_string(v), "readonly");
    assert_true(json_object_object_get_ex(vm, "nets", &v));
    assert_int_equal(json_object_array_length(v), 0);
    json_object_put(o);
}

static void values_out_of_range_are_refused(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "share web 0"), CMD_FAILED);
    assert_int_equal(rig_do(r, "share web 10001"), CMD_FAILED);
    assert_int_equal(rig_do(r, "cap web -5"), CMD_FAILED);
    assert_int_equal(rig_do(r, "cap web 7000"), CMD_FAILED);
    assert_int_equal(rig_do(r, "cap web none"), CMD_DONE);
    assert_int_equal(rig_do(r, "mem web 1G"), CMD_FAILED);
    assert_says(r->error, "web: it was made with 64M");
    assert_int_equal(rig_do(r, "mem web 64"), CMD_FAILED);
    assert_int_equal(rig_do(r, "mem off 32M"), CMD_DONE);
    assert_says(r->note, "off is asked to keep 32M when it starts");
    assert_int_equal(rig_do(r, "cap web 200"), CMD_DONE);
    assert_says(r->note, "cap of web is 200%: with 2 vCPUs it limits little");
    assert_int_equal(rig_do(r, "cap web none"), CMD_DONE);
    assert_int_equal(rig_do(r, "mem off"), CMD_DONE);
    assert_says(r->out, "NAME  SHARE   CAP  MEMORY  KEEP  PIN\noff     100  none     64M   32M  all\n");
    assert_int_equal(rig_do(r, "pin web 99"), CMD_FAILED);
    assert_says(r->error, "there is no CPU 99: this host has CPUs 0 to 7");
    assert_int_equal(rig_do(r, "set interval 0.01"), CMD_FAILED);
    assert_int_equal(rig_do(r, "set intrval 1"), CMD_FAILED);
    assert_says(r->error, "there is no setting `intrval` (did you mean `interval`?)");
    assert_int_equal(rig_do(r, "set"), CMD_DONE);
    assert_says(r->out, "interval     1\n");
}

static void pins_reach_the_threads_and_survive_restarts(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "db");
    cpu_set_t all, now;

    sched_getaffinity(0, sizeof all, &all);
    fake_vm(vm)->tid = (int)syscall(SYS_gettid);
    assert_int_equal(rig_do(r, "pin db 0"), CMD_DONE);
    sched_getaffinity(0, sizeof now, &now);
    assert_int_equal(CPU_COUNT(&now), 1);
    sched_setaffinity(0, sizeof all, &all);
    assert_int_equal(rig_do(r, "stop db"), CMD_DONE);
    assert_int_equal(rig_do(r, "start db"), CMD_DONE);
    sched_getaffinity(0, sizeof now, &now);
    assert_int_equal(CPU_COUNT(&now), 1);
    assert_int_equal(rig_do(r, "pin db all"), CMD_DONE);
    sched_setaffinity(0, sizeof all, &all);
    fake_vm(vm)->tid = 0;
    assert_int_equal(rig_do(r, "pin db.0 0"), CMD_DONE);
    assert_int_equal(rig_do(r, "info db"), CMD_DONE);
    assert_says(r->out, "pin of vcpu 0   0\n");
    assert_int_equal(rig_do(r, "set host.cpus 0-3"), CMD_DONE);
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
}

static void host_sched_is_shown_set_and_refused(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "set host.sched"), CMD_DONE);
    assert_says(r->out, "host.sched   auto\n");
    assert_int_equal(rig_do(r, "set host.sched slots"), CMD_DONE);
    assert_int_equal(rig_do(r, "info db"), CMD_DONE);
    assert_says(r->out, "divided by      slots\n");
    assert_int_equal(rig_do(r, "set host.sched nice"), CMD_FAILED);
    assert_says(r->error, "`nice` divides no processor: write `auto`, `slots` or `cgroup`");
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_string_equal(session_sched_choice(r->s), "auto");
}

/* Consoles. */

static void expect_finds_what_was_said_and_what_comes(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");

    fake_vm_say(vm, "booting\r\n\033[1;32mweb login:\033[0m ");
    assert_int_equal(rig_do(r, "expect web 'web login: $'"), CMD_DONE);
    rig_begin(r, "expect -p web '^user@[a-z]+'");
    assert_int_equal(r->status, -1);
    fake_vm_say(vm, "root\r\nuser@");
    rig_idle(r);
    assert_int_equal(r->status, -1);
    fake_vm_say(vm, "host# \r\n");
    for (int i = 0; i < 20 && r->status < 0; i++)
        loop_step(session_loop(r->s), 10);
    assert_int_equal(r->status, CMD_DONE);
    assert_string_equal(text_str(&r->out), "user@host# \n");
}

static void expect_consumes_up_to_the_match_only(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");

    fake_vm_say(vm, "one two one three");
    assert_int_equal(rig_do(r, "expect web one 1"), CMD_DONE);
    assert_int_equal(rig_do(r, "expect web two 1"), CMD_DONE);
    assert_int_equal(rig_do(r, "expect web one 1"), CMD_DONE);
    assert_int_equal(rig_do(r, "expect web one 50ms"), CMD_FAILED);
    assert_int_equal(rig_do(r, "expect web three 1"), CMD_DONE);
}

static void expect_fails_with_the_last_lines(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");

    fake_vm_say(vm, "line 1\nline 2\033]0;title\007\nline 3");
    assert_int_equal(rig_do(r, "expect web nothing 50ms"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "web did not say `nothing`: 50ms is over\nit said last:\n"
                                             "  | line 1\n  | line 2\n  | line 3\n");
    assert_int_equal(rig_do(r, "expect web ( 1"), CMD_FAILED);
    assert_says(r->error, "`(` is no regular expression");
}

static void expect_fails_at_once_when_the_guest_ends(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");

    rig_begin(r, "expect web never 100");
    fake_vm_say(vm, "bye\n");
    fake_vm_crash(vm, "triple fault");
    rig_idle(r);
    assert_int_equal(r->status, CMD_FAILED);
    assert_says(r->error, "it is crashed: triple fault");
    assert_says(r->error, "  | bye\n");
    assert_int_equal(rig_do(r, "expect web bye 1"), CMD_DONE); /* but its last words count */
}

static void expect_waits_for_a_guest_that_is_not_started_yet(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "expect off x 50ms"), CMD_FAILED);
    assert_says(r->error, "50ms is over, and it was not started: see `start`");
    rig_begin(r, "expect off hello 100");
    assert_int_equal(r->status, -1);
    session_start(r->s, session_guest(r->s, "off"), &(struct err){0});
    fake_vm_say(rig_vm(r, "off"), "hello");
    for (int i = 0; i < 1000 && r->status < 0; i++)
        loop_step(session_loop(r->s), 10);
    assert_int_equal(r->status, CMD_DONE);
}

static void a_new_start_forgets_what_was_said_before(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");

    fake_vm_say(vm, "login:");
    assert_int_equal(rig_do(r, "stop web"), CMD_DONE);
    assert_int_equal(rig_do(r, "start web"), CMD_DONE);
    assert_int_equal(rig_do(r, "expect web login: 50ms"), CMD_FAILED);
    fake_vm_say(vm, "login:");
    assert_int_equal(rig_do(r, "reset web"), CMD_DONE);
    assert_int_equal(rig_do(r, "expect web login: 50ms"), CMD_FAILED);
    fake_vm_say(vm, "$ ");
    assert_int_equal(rig_do(r, "send --fresh web ls"), CMD_DONE);
    assert_int_equal(rig_do(r, "expect web [$] 50ms"), CMD_FAILED);
}

static void send_understands_escapes(void **state)
{
    struct rig *r = *state;
    struct text *typed = &fake_vm(rig_vm(r, "web"))->typed;

    assert_int_equal(rig_do(r, "send web echo hi"), CMD_DONE);
    assert_string_equal(text_str(typed), "echo hi\r");
    text_clear(typed);
    assert_int_equal(rig_do(r, "send -n web 'a\\nb\\t\\e[A\\x41\\\\\\q'"), CMD_DONE);
    assert_string_equal(text_str(typed), "a\rb\t\033[AA\\\\q");
    text_clear(typed);
    assert_int_equal(rig_do(r, "send -n web \\x00z"), CMD_DONE);
    assert_int_equal(typed->len, 2);
    text_clear(typed);
    assert_int_equal(rig_do(r, "send web"), CMD_DONE);
    assert_string_equal(text_str(typed), "\r");
    assert_int_equal(rig_do(r, "send web \\x4"), CMD_FAILED);
    assert_int_equal(rig_do(r, "send off x"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "off is new: nobody reads what is typed\n");
}

static void watch_shows_plain_text_until_the_guest_ends(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");

    fake_vm_say(vm, "old\r\n");
    rig_begin(r, "watch web");
    assert_string_equal(text_str(&r->out), "old\n");
    fake_vm_say(vm, "\033[2Jnew\xc2\x9b" "31m\r\n");
    for (int i = 0; i < 5; i++)
        loop_step(session_loop(r->s), 10);
    assert_string_equal(text_str(&r->out), "old\nnew31m\n");
    fake_vm_poweroff(vm);
    rig_idle(r);
    assert_int_equal(r->status, CMD_DONE);
    assert_int_equal(rig_do(r, "watch db 20ms"), CMD_DONE);
}

static void console_without_a_terminal_is_refused(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "console web"), CMD_FAILED);
    assert_says(r->error, "`console` needs a terminal of its own");
}

static char *slurp(const char *path)
{
    static char buf[20000];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(buf, 1, sizeof buf - 1, f) : 0;

    if (f)
        fclose(f);
    buf[n] = '\0';
    return buf;
}

static void log_writes_from_now_on_and_overwrites_nothing(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");
    char cmd[200], path[100];

    snprintf(path, sizeof path, "%s/web.log", r->dir);
    fake_vm_say(vm, "before\n");
    snprintf(cmd, sizeof cmd, "log web %s", path);
    assert_int_equal(rig_do(r, cmd), CMD_DONE);
    fake_vm_say(vm, "after\n");
    assert_int_equal(rig_do(r, "log web"), CMD_DONE);
    assert_says(r->out, path);
    assert_int_equal(rig_do(r, "log web off"), CMD_DONE);
    assert_string_equal(slurp(path), "after\n");
    assert_int_equal(rig_do(r, cmd), CMD_FAILED);
    assert_says(r->error, "is there already: choose another name, or `--append`");
    strcat(cmd, " --append");
    assert_int_equal(rig_do(r, cmd), CMD_DONE);
    fake_vm_say(vm, "more\n");
    assert_int_equal(rig_do(r, "undo"), CMD_DONE);
    assert_string_equal(slurp(path), "after\nmore\n");
    assert_int_equal(rig_do(r, "log web /nonexistent/x"), CMD_FAILED);
    assert_int_equal(rig_do(r, "log web /dev/null --append"), CMD_FAILED);
}

static void logs_are_bounded_and_rotated(void **state)
{
    struct rig *r = *state;
    struct vm *vm = rig_vm(r, "web");
    char cmd[200], path[120];
    struct stat st;

    snprintf(cmd, sizeof cmd, "log web %s/l --size 4K --keep 2", r->dir);
    assert_int_equal(rig_do(r, cmd), CMD_DONE);
    for (int i = 0; i < 30; i++) {
        char line[1001];

        memset(line, 'a' + i % 26, 1000);
        line[1000] = '\0';
        fake_vm_say(vm, line);
    }
    assert_int_equal(rig_do(r, "log web off"), CMD_DONE);
    for (int i = 0; i <= 3; i++) {
        snprintf(path, sizeof path, i ? "%s/l.%d" : "%s/l", r->dir, i);
        if (i == 3)
            assert_int_equal(stat(path, &st), -1);
        else
            assert_int_equal(stat(path, &st), 0);
        if (i < 3)
            assert_true(st.st_size <= 4096);
    }
}

/* Hooks, at, events. */

static void hooks_run_when_it_happens(void **state)
{
    struct rig *r = *state;

    fake_vm_crash(rig_vm(r, "web"), "oops");
    rig_idle(r);
    assert_int_equal(session_interval_ns(r->s), 7000000000ull);
}

static void at_runs_later_and_can_be_cancelled(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "at +20ms share web 9"), CMD_DONE);
    assert_int_equal(rig_do(r, "at +1h 'stop all'"), CMD_DONE);
    assert_int_equal(rig_do(r, "at"), CMD_DONE);
    assert_says(r->out, "in 0s: share web 9\n");
    assert_says(r->out, ": stop all\n");
    assert_int_equal(rig_do(r, "wait 100ms"), CMD_DONE);
    assert_int_equal(session_guest(r->s, "web")->c->share, 9);
    assert_int_equal(rig_do(r, "at cancel"), CMD_DONE);
    assert_int_equal(rig_do(r, "at"), CMD_DONE);
    assert_string_equal(text_str(&r->out), "");
    assert_int_equal(rig_do(r, "at 25:00 list"), CMD_FAILED);
    assert_int_equal(rig_do(r, "at 23:59:59 list"), CMD_DONE);
    assert_int_equal(rig_do(r, "at +5s nonsense"), CMD_USAGE);
    assert_int_equal(rig_do(r, "at +5s"), CMD_USAGE);
}

static void events_are_bounded_and_in_order(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < 3000; i++)
        session_event(r->s, EV_SESSION, NULL, "event %d", i);
    assert_int_equal(rig_do(r, "events -n 2"), CMD_DONE);
    assert_says(r->out, " event 2998\n");
    assert_says(r->out, " event 2999\n");
    assert_int_equal(rig_do(r, "events -n 1024"), CMD_DONE);
    assert_says(r->out, " event 1976\n");
    fake_vm_device_error(rig_vm(r, "db"), "virtio-blk: bad\033[31m ring");
    assert_int_equal(rig_do(r, "events db -n 1"), CMD_DONE);
    assert_says(r->out, " db virtio-blk: bad?[31m ring\n");
    r->json = true;
    assert_int_equal(rig_do(r, "events -n 1"), CMD_DONE);
    assert_says(r->out, "\"kind\":\"device\",\"vm\":\"db\",\"text\":\"virtio-blk: bad\\u001b[31m ring\"}]}\n");
}

static void events_can_be_followed(void **state)
{
    struct rig *r = *state;

    rig_begin(r, "events -f -n 0");
    session_event(r->s, EV_SESSION, NULL, "something");
    loop_post(session_loop(r->s), (loop_fn)cmd_runs_poll, r->s);
    rig_idle(r);
    assert_says(r->out, " something\n");
    assert_int_equal(r->status, -1);
    cmd_cancel(r->run);
    rig_idle(r);
    assert_int_equal(r->status, CMD_DONE);
}

/* Figures. */

static void stats_json_has_the_documented_names(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "stats web --json"), CMD_DONE);
    assert_says(
        r->out,
        "{\"vms\":[{\"name\":\"web\",\"state\":\"running\",\"accel\":\"fake\",\"vcpus\":["
        "{\"run\":0.2500,\"vmm\":0.0000,\"poll\":0.0000,\"ready\":null,\"capped\":0.0000,\"halt\":0.7500,"
        "\"blocked\":0.0000,\"paused\":0.0000},"
        "{\"run\":0.2500,\"vmm\":0.0000,\"poll\":0.0000,\"ready\":null,\"capped\":0.0000,\"halt\":0.7500,"
        "\"blocked\":0.0000,\"paused\":0.0000}],"
        "\"cpu\":{\"share\":100,\"cap\":0,\"entitlement\":null,\"got\":0.5000,\"reason\":null,"
        "\"mechanism\":\"none\",\"seconds\":1.500,\"mips\":350.0},"
        "\"memory\":{\"configured\":67108864,\"target\":null,\"resident\":4194304,\"shared\":null,"
        "\"balloon_free\":null,\"balloon_available\":null},"
        "\"exits\":{\"total\":20,\"rate\":10.0,\"by_reason\":{\"io\":20,\"mmio\":0,\"hlt\":0,\"irqwin\":0,"
        "\"cpuid\":0,\"msr\":0,\"fault\":0,\"hypercall\":0,\"signal\":0,\"shutdown\":0,\"other\":0}},"
        "\"disks\":[],\"nets\":[],\"uptime\":0.");
    assert_says(r->out, "}],\"host\":{\"memory\":{\"total\":");
    assert_says(r->out, "\"overcommit\":0.");
}

static void what_cannot_be_known_is_null_or_a_dash(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "stats off --json"), CMD_DONE);
    assert_says(r->out, "{\"run\":null,");
    assert_says(r->out, "\"got\":null");
    assert_says(r->out, "\"uptime\":null");
    assert_int_equal(rig_do(r, "stats"), CMD_DONE);
    assert_says(r->out, "off   new         -      -  -         -");
}

static void exits_show_reasons_engine_and_registers(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "exits web"), CMD_DONE);
    assert_says(r->out, "   1  io         10   5  2.0us  4.0us   0.00\n");
    assert_says(r->out, "halt_exits                14\n"); /* of both vCPUs */
    assert_says(r->out, "pio     0x3f8  com1       42\n");
    assert_int_equal(rig_do(r, "exits web.1 -n 0"), CMD_DONE);
    assert_null(strstr(text_str(&r->out), "com1"));
    assert_says(r->out, "halt_exits                 7\n");
    assert_int_equal(rig_do(r, "exits --json web.1"), CMD_DONE);
    assert_says(r->out, "\"io\":{\"count\":10,\"rate\":5.0,\"ns\":20000,\"p99_ns\":4000}");
}

static void commands_without_json_are_wrapped(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "share web 5 --json"), CMD_DONE);
    assert_string_equal(text_str(&r->out), "{\"output\":\"\"}\n");
    assert_int_equal(rig_do(r, "help --json list"), CMD_DONE);
    assert_says(r->out, "{\"output\":\"list [VM...]\\n");
}

/* Looking inside. */

static void looking_inside_needs_a_pause(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "regs web"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "web is running: pause it first\n");
    assert_int_equal(rig_do(r, "mem-dump web 0"), CMD_FAILED);
    assert_int_equal(rig_do(r, "disasm web"), CMD_FAILED);
    assert_int_equal(rig_do(r, "step web"), CMD_FAILED);
    assert_says(r->error, "web is running: pause it first\n");
}

/* 32-bit code at 0x1000, which comes next. */
static void put_code(struct fake_vm_script *v, const char *code, size_t len)
{
    memcpy(v->mem + 0x1000, code, len);
    v->regs.cr0 = 1;
    v->regs.seg[X86_CS].attr = X86_SEG_DB;
    v->regs.seg[X86_CS].base = 0x1000;
}

static void steps_tell_what_they_do(void **state)
{
    struct rig *r = *state;
    struct fake_vm_script *v = fake_vm(rig_vm(r, "web"));

    assert_int_equal(rig_do(r, "pause web"), CMD_DONE);
    put_code(v, "\x90\x90\xf4", 3);
    assert_int_equal(rig_do(r, "step web"), CMD_DONE);
    assert_string_equal(text_str(&r->out), "   0000000000001000  nop                                         rax=1\n"
                                           "=> 0000000000001001  nop\n");
    assert_int_equal(rig_do(r, "undo"), CMD_FAILED);
    assert_int_equal(rig_do(r, "step web --json"), CMD_DONE);
    assert_says(r->out, "\"rip\":2,");
    assert_int_equal(rig_do(r, "step web 3"), CMD_FAILED);
    assert_says(r->error, "vCPU 0 of web is halted");
    v->regs.rip = 0;
    assert_int_equal(rig_do(r, "step web.1 3"), CMD_FAILED);
    assert_says(r->error, "vCPU 1 of web is halted");
    assert_says(r->out, "=> 0000000000001002  hlt\n"); /* what was done before is shown */
    assert_int_equal(rig_do(r, "step web 0"), CMD_FAILED);
    assert_int_equal(rig_do(r, "step web 201"), CMD_FAILED);
}

static void memory_and_code_are_shown(void **state)
{
    struct rig *r = *state;
    struct fake_vm_script *v = fake_vm(rig_vm(r, "web"));
    char cmd[150], path[100];

    assert_int_equal(rig_do(r, "pause web"), CMD_DONE);
    put_code(v, "\x90\xf4\xeb\xfd Hello\033", 11);
    assert_int_equal(rig_do(r, "mem-dump web 0x1000 16"), CMD_DONE);
    assert_string_equal(text_str(&r->out), "0000000000001000  90 f4 eb fd 20 48 65 6c  6c 6f 1b 00 00 00 00 00  "
                                           "|.... Hello......|\n");
    assert_int_equal(rig_do(r, "disasm web -n 3"), CMD_DONE);
    assert_string_equal(text_str(&r->out), "=> 0000000000001000  90                      nop\n"
                                           "   0000000000001001  f4                      hlt\n"
                                           "   0000000000001002  ebfd                    jmp 0x00001001\n");
    assert_int_equal(rig_do(r, "mem-dump web 0xfff0 0x20"), CMD_DONE);
    assert_says(r->note, "only 16 of 32 bytes: 0x10000 is not in the guest's memory");
    assert_int_equal(rig_do(r, "mem-dump web 0x20000"), CMD_FAILED);
    assert_int_equal(rig_do(r, "mem-dump web 0 2M"), CMD_FAILED);
    snprintf(path, sizeof path, "%s/dump", r->dir);
    snprintf(cmd, sizeof cmd, "mem-dump web 0x1000 4 -o %s", path);
    assert_int_equal(rig_do(r, cmd), CMD_DONE);
    assert_memory_equal(slurp(path), "\x90\xf4\xeb\xfd", 4);
    assert_int_equal(rig_do(r, cmd), CMD_FAILED);
    assert_says(r->error, "it is there already");
    assert_int_equal(rig_do(r, "regs web.1"), CMD_DONE);
    assert_says(r->out, "r15 0000000000000001");
}

/* The end. */

static void headless_sessions_end_when_all_guests_have(void **state)
{
    struct rig *r = *state;

    session_quit_when_idle(r->s);
    rig_idle(r);
    assert_false(session_quitting(r->s));
    fake_vm_poweroff(rig_vm(r, "web"));
    rig_idle(r);
    assert_false(session_quitting(r->s));
    fake_vm_poweroff(rig_vm(r, "db"));
    assert_int_equal(session_run(r->s), 0);
}

static void a_crashed_guest_makes_the_status_3(void **state)
{
    struct rig *r = *state;

    session_quit_when_idle(r->s);
    fake_vm_poweroff(rig_vm(r, "web"));
    fake_vm_crash(rig_vm(r, "db"), "triple fault");
    assert_int_equal(session_run(r->s), 3);
}

static void quit_has_a_status(void **state)
{
    struct rig *r = *state;

    rig_begin(r, "quit 7");
    assert_int_equal(session_run(r->s), 7);
}

static void engines_that_are_absent_say_why(void **state)
{
    struct session_params p = {.engines = {&fake_accel_absent, &fake_accel}, .host = {1, 1}};
    struct session *s;
    struct err e = {0};

    (void)state;
    s = session_new(&p, &e);
    assert_non_null(s);
    assert_ptr_equal(session_engine(s), &fake_accel);
    assert_string_equal(session_engine_note(s), "this engine is not here");
    session_free(s);
    p.accel = "absent";
    assert_null(session_new(&p, &e));
    assert_says((struct text){.buf = e.msg}, "this engine is not here; `ruche doctor` tells more");
    p.accel = "magic";
    assert_null(session_new(&p, &e));
    assert_string_equal(e.msg, "there is no engine `magic`: `--accel` is one of auto, absent, fake");
}

/* Scripts. */

struct ended {
    int status;
};

static void script_end(void *arg, int status)
{
    ((struct ended *)arg)->status = status;
}

static int run_script(struct rig *r, struct script *x, struct ended *e)
{
    script_go(x);
    for (int i = 0; e->status < 0 && i < 500; i++)
        loop_step(session_loop(r->s), 10);
    script_free(x);
    return e->status;
}

static void scripts_run_in_order_until_one_fails(void **state)
{
    struct rig *r = *state;
    struct cmd_client out = {.write = rig_write, .done = rig_done, .opaque = r};
    struct ended e = {-1};
    struct script *x = script_new(r->s, &out, script_end, &e, NULL);
    char path[100];
    FILE *f;

    snprintf(path, sizeof path, "%s/s", r->dir);
    f = fopen(path, "w");
    fputs("# comment\nshare web 4\n\npause nobody\nshare web 6", f);
    fclose(f);
    script_add_line(x, "share web 3", NULL);
    script_add_file(x, path, NULL);
    script_add_line(x, "share web 7", NULL);
    assert_int_equal(run_script(r, x, &e), CMD_FAILED);
    assert_int_equal(session_guest(r->s, "web")->c->share, 4);
    assert_says(r->error, "/s:4: there is no guest `nobody`");
}

static void a_script_that_cannot_be_read_fails(void **state)
{
    struct rig *r = *state;
    struct cmd_client out = {.write = rig_write, .done = rig_done, .opaque = r};
    struct ended e = {-1};
    struct script *x = script_new(r->s, &out, script_end, &e, NULL);

    script_add_file(x, r->dir, NULL);
    script_add_line(x, "share web 7", NULL);
    assert_int_equal(run_script(r, x, &e), CMD_FAILED);
    assert_int_not_equal(session_guest(r->s, "web")->c->share, 7);
    assert_says(r->error, ":0: the script cannot be read: Is a directory\n");
}

static void scripts_come_through_pipes_bit_by_bit(void **state)
{
    struct rig *r = *state;
    struct cmd_client out = {.write = rig_write, .done = rig_done, .opaque = r};
    struct ended e = {-1};
    struct script *x = script_new(r->s, &out, script_end, &e, NULL);
    int saved = dup(0), p[2];

    assert_int_equal(pipe(p), 0);
    dup2(p[0], 0);
    script_add_file(x, "-", NULL);
    script_go(x);
    assert_int_equal(write(p[1], "share web 8\nsha", 15), 15);
    rig_idle(r);
    assert_int_equal(session_guest(r->s, "web")->c->share, 8);
    assert_int_equal(write(p[1], "re web 9", 8), 8);
    rig_idle(r);
    assert_int_equal(e.status, -1);
    close(p[1]);
    assert_int_equal(run_script(r, x, &e), CMD_DONE);
    assert_int_equal(session_guest(r->s, "web")->c->share, 9);
    dup2(saved, 0);
    close(saved);
    close(p[0]);
}

static void a_session_may_end_in_the_middle_of_everything(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "share web 5"), CMD_DONE);
    fake_vm(rig_vm(r, "web"))->stall = true;
    rig_begin(r, "pause web");
    rig_begin(r, "expect web x");
    rig_begin(r, "undo");
    rig_begin(r, "watch db");
    rig_begin(r, "at +1h list");
    /* teardown frees it: nothing may leak or be used after */
}

int main(void)
{
#define NEW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T(name) cmocka_unit_test_setup_teardown(name, setup_started, teardown)
    const struct CMUnitTest tests[] = {
        NEW(guests_start_after_those_they_depend_on),
        NEW(a_guest_whose_depend_failed_is_not_started),
        NEW(start_fails_with_the_guests_own_words),
        NEW(a_start_that_does_not_fit_is_refused_with_the_arithmetic),
        NEW(memory_asked_back_makes_room_for_another),
        T(pause_ends_when_all_are_paused),
        T(a_busy_guest_is_waited_for),
        T(a_run_can_be_cancelled),
        T(reset_and_stop_work_on_crashed_guests),
        T(shutdown_needs_a_running_guest),
        T(wait_ends_at_the_state_or_the_time),
        T(who_asks_is_answered),
        T(destructive_commands_ask_where_somebody_is),
        T(create_makes_what_the_lab_file_would),
        T(create_refuses_what_the_lab_file_would),
        T(remove_stops_and_forgets),
        T(changes_of_share_cap_and_memory_can_be_undone),
        T(limits_of_disks_change_and_come_back),
        T(a_change_of_many_is_one_to_take_back),
        T(what_cannot_be_undone_says_so),
        T(host_cpus_change_for_all_guests_or_for_none),
        T(a_link_that_is_not_there_is_told_apart),
        T(several_links_are_changed_at_once_or_told_apart),
        T(a_lab_says_what_it_is_about_and_checks_itself),
        T(info_as_json_has_what_info_tells),
        T(values_out_of_range_are_refused),
        T(pins_reach_the_threads_and_survive_restarts),
        T(host_sched_is_shown_set_and_refused),
        T(expect_finds_what_was_said_and_what_comes),
        T(expect_consumes_up_to_the_match_only),
        T(expect_fails_with_the_last_lines),
        T(expect_fails_at_once_when_the_guest_ends),
        T(expect_waits_for_a_guest_that_is_not_started_yet),
        T(a_new_start_forgets_what_was_said_before),
        T(send_understands_escapes),
        T(watch_shows_plain_text_until_the_guest_ends),
        T(console_without_a_terminal_is_refused),
        T(log_writes_from_now_on_and_overwrites_nothing),
        T(logs_are_bounded_and_rotated),
        T(hooks_run_when_it_happens),
        T(at_runs_later_and_can_be_cancelled),
        T(events_are_bounded_and_in_order),
        T(events_can_be_followed),
        T(stats_json_has_the_documented_names),
        T(what_cannot_be_known_is_null_or_a_dash),
        T(exits_show_reasons_engine_and_registers),
        T(commands_without_json_are_wrapped),
        T(looking_inside_needs_a_pause),
        T(steps_tell_what_they_do),
        T(memory_and_code_are_shown),
        T(headless_sessions_end_when_all_guests_have),
        T(a_crashed_guest_makes_the_status_3),
        T(quit_has_a_status),
        cmocka_unit_test(engines_that_are_absent_say_why),
        T(scripts_run_in_order_until_one_fails),
        T(a_script_that_cannot_be_read_fails),
        T(scripts_come_through_pipes_bit_by_bit),
        T(a_session_may_end_in_the_middle_of_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
