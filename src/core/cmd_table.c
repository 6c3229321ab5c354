/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_table: the commands. Everything that people read about them is here.
 */
#include "core/cmd_internal.h"

#define VM_ONE {"VM", ARG_GUEST, false, false, NULL}
#define VM_SET {"VM", ARG_GUESTS, false, false, NULL}
#define VM_ALL {"VM", ARG_GUESTS, false, true, NULL}

static const struct cmd table[] = {
    {.name = "list", .alias = "ls", .exec = exec_list, .flags = CMD_LOOKS,
     .help = "show the guests and their states",
     .more = "States are new, starting, running, paused, stopped and crashed.",
     .args = {{"VM", ARG_GUESTS, true, true, NULL}}},

    {.name = "info", .exec = exec_info, .flags = CMD_LOOKS,
     .help = "show what a guest is made of and how it is",
     .more = "With --json an object for each guest in `vms`: what `list` has, and engine, kernel, boot, disks, nets,\n"
             "threads and so on.",
     .args = {VM_ALL}},

    {.name = "stats", .exec = exec_stats, .flags = CMD_LOOKS,
     .help = "show where guests' time, memory and exits go",
     .more = "Without VM: one line a guest. With VM: each vCPU, memory and disks. Fractions and rates are of the\n"
             "last second (`set interval`). `-` is a number that cannot be known. --json: see ruche-stats(5).",
     .args = {{"VM", ARG_GUESTS, true, true, NULL}}},

    {.name = "exits", .exec = exec_exits, .flags = CMD_LOOKS,
     .help = "show why a guest's processors leave guest code, how often and at what cost",
     .more = "Per vCPU and reason: how many, per second, mean and 99th percentile of the time spent handling,\n"
             "and its share of the vCPU's time. Then what the kernel handles itself, then the device registers\n"
             "that were used most.",
     .args = {{"VM", ARG_VCPU, false, false, NULL}},
     .opts = {{"--top", "-n", "N", "how many registers (8)"}}},

    {.name = "events", .exec = exec_events, .flags = CMD_LOOKS,
     .help = "show what has happened",
     .args = {{"VM", ARG_GUESTS, true, true, NULL}},
     .opts = {{"--lines", "-n", "N", "how many (20)"}, {"--follow", "-f", NULL, "go on showing what happens"}}},

    {.name = "start", .exec = exec_start,
     .help = "start guests",
     .more = "A guest that has stopped or crashed starts anew.",
     .args = {VM_ALL}},

    {.name = "pause", .alias = "suspend", .exec = exec_pause,
     .help = "stop the time of guests",
     .more = "Their clocks stand still until `resume`.",
     .args = {VM_ALL}},

    {.name = "resume", .exec = exec_resume,
     .help = "let paused guests go on",
     .args = {VM_ALL}},

    {.name = "shutdown", .exec = exec_shutdown,
     .help = "press the power button of guests",
     .more = "The guest decides what it does. `wait VM stopped` waits for it; `stop` pulls the plug.",
     .args = {VM_ALL}},

    {.name = "stop", .alias = "destroy", .exec = exec_stop, .flags = CMD_DESTRUCTIVE,
     .help = "stop guests now, as by pulling the plug",
     .more = "What the guest has not written to its disks is lost.",
     .args = {VM_ALL}},

    {.name = "reset", .exec = exec_reset, .flags = CMD_DESTRUCTIVE,
     .help = "reset guests, as by the button",
     .more = "What the guest has not written to its disks is lost.",
     .args = {VM_ALL}},

    {.name = "create", .exec = exec_create,
     .help = "add a guest to the session",
     .more = "Keys are those of a guest in the lab file, see ruche-lab(5): image, kernel, initrd, append, memory,\n"
             "vcpus, share, cap, pin, group, boot, irqchip, mergeable; and disk=PATH[,readonly|,overlay][,size=SIZE],\n"
             "which may be given more than once. The guest is not started: `start NAME` does that.",
     .args = {{"NAME", ARG_WORD, false, false, NULL}, {"KEY=VALUE", ARG_KEYVAL, true, true, NULL}}},

    {.name = "remove", .alias = "undefine", .exec = exec_remove, .flags = CMD_DESTRUCTIVE,
     .help = "stop guests and take them out of the session",
     .more = "Anonymous overlays of their disks are gone then; files stay.",
     .args = {VM_ALL}},

    {.name = "share", .exec = exec_share,
     .help = "set the share of the processor, 1 to 10000",
     .more = "Guests that want more than there is get parts in the ratio of their shares; 100 is the default.\n"
             "Without N: what they have.",
     .args = {VM_SET, {"N", ARG_WORD, true, false, NULL}}},

    {.name = "cap", .exec = exec_cap,
     .help = "limit a guest to some percent of one CPU",
     .more = "150 is one CPU and a half, 0 or `none` is no limit. It holds also when the host is idle.\n"
             "Without PERCENT: what they have.",
     .args = {VM_SET, {"PERCENT", ARG_WORD, true, false, "none"}}},

    {.name = "pin", .exec = exec_pin,
     .help = "choose the host CPUs that a guest or a vCPU may use",
     .more = "LIST as in `0-3,^2`; `all` takes the pinning back; without LIST: what they have.",
     .args = {{"VM", ARG_VCPUS, false, false, NULL}, {"LIST", ARG_WORD, true, false, "all"}}},

    {.name = "mem", .exec = exec_mem,
     .help = "ask a guest to keep no more than SIZE of its memory",
     .more = "By its balloon, within what it was started with; the guest decides how fast it gives. Its configured\n"
             "size as SIZE takes the request back. It holds over stop and start.",
     .args = {VM_SET, {"SIZE", ARG_WORD, true, false, NULL}}},

    {.name = "link", .exec = exec_link,
     .help = "set rate, delay and loss of a network link, pull its plug, capture it",
     .more = "LINK is GUEST.eth0, or GUEST.NETWORK, or GUEST if it has one; `web*.lan` and `@front.*` mean several.\n"
             "Words: up, down; rate=10M (bits per second, each direction), delay=20ms, loss=1% (each direction; `none`\n"
             "takes one back); capture=FILE for tcpdump and Wireshark (a new file, ends at 256 MiB), capture=off.\n"
             "Without words: what each has now; `link all` shows them all.",
     .args = {{"LINK", ARG_WORD, false, false, NULL}, {"WORD", ARG_WORD, true, true, "up down rate= delay= loss= capture="}}},

    {.name = "disk", .exec = exec_disk,
     .help = "show or change the limits of a disk",
     .more = "`disk web.vda iops=500 bps=20M`: requests and bytes a second, 0 for no limit; what is not named stays.\n"
             "A guest that runs is limited from now on. `web*.vda` and `@front.*` mean several disks.\n"
             "Without LIMIT: what it has, and how long its requests took.",
     .args = {{"VM.DISK", ARG_WORD, false, false, NULL}, {"LIMIT", ARG_WORD, true, true, "iops= bps="}}},

    {.name = "console", .alias = "attach", .exec = exec_console,
     .help = "connect the terminal to a guest's serial line",
     .more = "Ctrl-] or F12 detaches; Ctrl-] twice sends one Ctrl-]. In the full-screen console several guests\n"
             "get a pane each (`console web db`, `console all`), and Ctrl-] is followed by d to detach, by ? for more.",
     .args = {VM_ALL},
     .opts = {{"--line", "-l", "LINE", "serial0 (default), serial1, virtio or debug"}}},

    {.name = "watch", .exec = exec_watch, .flags = CMD_LOOKS,
     .help = "show what a guest says, without typing to it",
     .more = "As plain text, until Ctrl-C or for some time.",
     .args = {VM_ONE, {"SECONDS", ARG_WORD, true, false, NULL}},
     .opts = {{"--lines", "-n", "N", "begin with its last N lines (10)"},
              {"--line", "-l", "LINE", "serial0 (default), serial1, virtio or debug"}}},

    {.name = "send", .exec = exec_send,
     .help = "type a text into a guest's console",
     .more = "Enter is typed after it, but with --no-newline. \\n and \\r are Enter, \\t Tab, \\e Escape,\n"
             "\\xHH any byte, \\\\ a backslash.",
     .args = {VM_SET, {"TEXT", ARG_TEXT, true, false, NULL}},
     .opts = {{"--no-newline", "-n", NULL, "do not type Enter behind"},
              {"--fresh", "-f", NULL, "what was said before is forgotten by the next `expect`"},
              {"--line", "-l", "LINE", "serial0 (default), serial1 or virtio"}}},

    {.name = "expect", .exec = exec_expect, .flags = CMD_LOOKS,
     .help = "wait until a guest says something",
     .more = "REGEX is an extended regular expression (regex(7)); ^ and $ match at lines. It is looked for in all\n"
             "that the guest has said since it was started, but for what an earlier `expect` has consumed: a match\n"
             "consumes all up to its end. So nothing is missed between `send` and `expect`. TIMEOUT is 30 s; when\n"
             "it is over the command fails and shows the last lines; at once if the guest has ended. One that was\n"
             "not started yet is waited for. Escape sequences are taken out before.",
     .args = {VM_ONE, {"REGEX", ARG_WORD, false, false, NULL}, {"TIMEOUT", ARG_WORD, true, false, NULL}},
     .opts = {{"--print", "-p", NULL, "print the line that matched"},
              {"--line", "-l", "LINE", "serial0 (default), serial1, virtio or debug"}}},

    {.name = "check", .exec = exec_check, .flags = CMD_LOOKS,
     .help = "wait until a figure of a guest is within bounds",
     .more = "FIGURE is got or entitled (percent of one CPU), part (percent of what all guests got), resident\n"
             "(percent of its memory that the host holds), balloon (percent of it that its balloon has), or a state of\n"
             "the time ledger as in `stats`: run, ready, capped, ... RANGE is in percent, as `73..77`. Looks again each\n"
             "interval for TIMEOUT (10 s), then fails and tells the figure.",
     .args = {{"VM", ARG_GUEST, false, false, NULL},
              {"FIGURE", ARG_WORD, false, false, "got entitled part resident balloon run vmm poll ready capped halt blocked paused"},
              {"RANGE", ARG_WORD, false, false, NULL}, {"TIMEOUT", ARG_WORD, true, false, NULL}}},

    {.name = "lab", .exec = exec_lab, .flags = CMD_LOOKS,
     .help = "tell what the lab is about and what to try",
     .more = "As its file says (`title`, `about`). `lab check` runs its `checks`: commands that fail if what the lab\n"
             "shows is not so.",
     .args = {{"CHECK", ARG_WORD, true, false, "check"}}},

    {.name = "log", .exec = exec_log,
     .help = "write what a guest says to a file",
     .more = "From now on, as it comes. A file that exists is not touched without --append. `log VM off` ends it,\n"
             "`log VM` tells where it goes.",
     .args = {VM_ONE, {"FILE", ARG_FILE, true, false, "off"}},
     .opts = {{"--append", "-a", NULL, "write behind what is in FILE"},
              {"--size", NULL, "SIZE", "begin a new file after so much (64M)"},
              {"--keep", NULL, "N", "keep N older files, FILE.1 ... (1)"}}},

    {.name = "record", .exec = exec_record,
     .help = "record what a guest says, with its timing",
     .more = "From now on, in asciicast v2, which `replay` and asciinema show. A file that exists is not touched.\n"
             "`record VM off` ends it, `record VM` tells where it goes.",
     .args = {VM_ONE, {"FILE", ARG_FILE, true, false, "off"}},
     .opts = {{"--size", NULL, "SIZE", "end it after so much (64M)"},
              {"--line", "-l", "LINE", "serial0 (default), serial1, virtio or debug"}}},

    {.name = "replay", .exec = exec_replay, .flags = CMD_LOOKS,
     .help = "show a recording",
     .more = "Of asciicast v2, in its own time; SPEED 2 is twice as fast.",
     .args = {{"FILE", ARG_FILE, false, false, NULL}, {"SPEED", ARG_WORD, true, false, NULL}}},

    {.name = "regs", .exec = exec_regs, .flags = CMD_LOOKS,
     .help = "show the registers of a paused guest",
     .args = {{"VM", ARG_VCPU, false, false, NULL}}},

    {.name = "mem-dump", .exec = exec_mem_dump,
     .help = "show memory of a paused guest",
     .more = "ADDR is a physical address, or with --virtual one of the vCPU's (vCPU 0 if none is named). At most 1M.",
     .args = {{"VM", ARG_VCPU, false, false, NULL}, {"ADDR", ARG_WORD, false, false, NULL},
              {"LEN", ARG_WORD, true, false, NULL}},
     .opts = {{"--virtual", "-v", NULL, "ADDR is virtual: walk the guest's page tables"},
              {"--file", "-o", "FILE", "write the bytes to FILE, which must not exist"}}},

    {.name = "disasm", .exec = exec_disasm, .flags = CMD_LOOKS,
     .help = "disassemble code of a paused guest",
     .more = "From where the vCPU is, or from the virtual address ADDR.",
     .args = {{"VM", ARG_VCPU, false, false, NULL}, {"ADDR", ARG_WORD, true, false, NULL}},
     .opts = {{"--lines", "-n", "N", "how many instructions (12)"}}},

    {.name = "step", .exec = exec_step,
     .help = "let a paused vCPU execute instructions",
     .more = "N: how many (1, at most 200). Each is shown with the registers that it changed. The guest's time\n"
             "stands still, and no interrupt comes. KVM steps by the trap flag: a program that faults just then may\n"
             "see it.",
     .args = {{"VM", ARG_VCPU, false, false, NULL}, {"N", ARG_WORD, true, false, NULL}}},

    {.name = "wait", .exec = exec_wait, .flags = CMD_LOOKS,
     .help = "wait some time, or until guests are in a state",
     .more = "`wait 2.5`, `wait 500ms`; `wait web stopped`, `wait all running 10`. The default of TIMEOUT is 60 s.\n"
             "STATE `ended` is stopped or crashed.",
     .args = {{"SECONDS|VM", ARG_WORD, false, false, NULL},
              {"STATE", ARG_WORD, true, false, "running paused stopped crashed ended"},
              {"TIMEOUT", ARG_WORD, true, false, NULL}}},

    {.name = "at", .exec = exec_at,
     .help = "run a command at a time",
     .more = "TIME is `+5s`, `+2m` or `14:30[:05]` (today, or tomorrow if that is past). Without arguments: what is\n"
             "planned. `at cancel` forgets all of it.",
     .args = {{"TIME", ARG_WORD, true, false, "cancel"}, {"COMMAND", ARG_LINE, true, false, NULL}}},

    {.name = "bind", .exec = exec_bind, .flags = CMD_LOOKS,
     .help = "give a key of the console a command",
     .more = "KEY is one character; in COMMAND `%` stands for the selected guest, or the tagged ones: `bind X exits %`.\n"
             "It goes before what the key does else, in the table and the detail view. `bind KEY off` takes it\n"
             "back, `bind` lists. `set save yes` keeps it in the settings file, which may have such lines, too.",
     .args = {{"KEY", ARG_WORD, true, false, NULL}, {"COMMAND", ARG_LINE, true, false, "off"}}},

    {.name = "set", .exec = exec_set, .flags = CMD_LOOKS,
     .help = "show or change a setting",
     .more = "interval SECONDS: between samples of statistics; overcommit yes|no: may guests have more memory than\n"
             "the host; host.cpus LIST: the CPUs given to the lab; host.sched auto|slots|cgroup: who divides\n"
             "them (slots: this process, cgroup: the kernel). In the full-screen console also theme, graph,\n"
             "mouse, sort, columns; they are kept in $XDG_CONFIG_HOME/ruche/rc.",
     .args = {{"KEY", ARG_KEY, true, false, "interval overcommit host.cpus host.sched"},
              {"VALUE", ARG_WORD, true, false, NULL}}},

    {.name = "undo", .exec = exec_undo,
     .help = "take the last change back",
     .more = "share, cap, pin, mem, disk, link, create, set, pause and resume can be taken back; what cannot says so."},

    {.name = "help", .alias = "?", .exec = exec_help, .flags = CMD_LOOKS,
     .help = "explain a command, or list them",
     .args = {{"COMMAND", ARG_COMMAND, true, false, NULL}},
     .opts = {{"--man", NULL, NULL, "the table as a section of a man page"}}},

    {.name = "complete", .exec = exec_complete, .flags = CMD_LOOKS,
     .help = "list what could stand at the end of a line",
     .more = "One word a line; for shells: `ruche ctl complete 'stats we'`. LINE is one word, in quotes.",
     .args = {{"LINE", ARG_WORD, true, false, NULL}}},

    {.name = "quit", .alias = "exit", .exec = exec_quit, .flags = CMD_DESTRUCTIVE,
     .help = "stop all guests and end",
     .args = {{"STATUS", ARG_WORD, true, false, NULL}}},
};

const struct cmd *cmd_at(unsigned i)
{
    return i < sizeof table / sizeof *table ? &table[i] : NULL;
}
