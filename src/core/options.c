/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * options: see options.h. Options and other words may come in any order, but for `ctl`, where
 * the command begins with the first word.
 */
#include "core/options.h"

#include "core/suggest.h"
#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char options_help[] =
    "usage: ruche [OPTIONS] [LAB]           open a lab: a file, or a directory with lab.yaml\n"
    "       ruche run [OPTIONS] KERNEL      run one guest on this terminal\n"
    "       ruche ctl [--socket PATH] [--json] COMMAND...   speak to a running instance\n"
    "       ruche lint LAB                  check a lab without starting it\n"
    "       ruche doctor                    what this host can do, and how to mend the rest\n"
    "\n"
    "Options\n"
    "  --headless         no prompt; ends when all guests have ended (status 3: one crashed)\n"
    "  --exec COMMAND     run a command; may be repeated. After the last one the session ends,\n"
    "                     but with --headless or --interactive. One that fails ends it at once\n"
    "  --script FILE      run the commands of a file (-: standard input)\n"
    "  --interactive      open the prompt after --exec and --script\n"
    "  --accel ENGINE     auto (default), kvm or soft\n"
    "  --socket PATH      control socket (a path, or a name in the usual directory)\n"
    "  --name NAME        name of the instance\n"
    "  --allow DIRECTORY  commands may read and write files there, too; may be repeated\n"
    "  --log FILE         diagnostics to FILE in place of stderr\n"
    "  --batch            print the table of guests every second; with --csv as CSV,\n"
    "                     --interval TIME (1s) between samples, --count N samples, then end\n"
    "  --plain            line mode, no full screen\n"
    "  --readonly         the console only looks: no key and no command there changes anything\n"
    "  --ascii, --theme NAME   for the full-screen console\n"
    "  --version, --help\n"
    "\n"
    "Options of run; KERNEL is a file or the name of an image (debian, hello, spin, ...)\n"
    "  -m, --memory SIZE  (128M)      -c, --vcpus N      (1)\n"
    "  -i, --initrd FILE              -a, --append TEXT  kernel command line\n"
    "  -d, --disk PATH[,readonly|,overlay][,size=SIZE][,format=qcow2]   may be repeated\n"
    "  --share N, --cap PERCENT, --pin LIST, --irqchip kernel|user, --boot auto|direct|bzimage\n"
    "Ctrl-] or F12 leaves the guest's terminal. The exit status is the code that the guest\n"
    "wrote to port 0xf4, else 0, or 3 if it crashed.\n"
    "\n"
    "At the prompt `help` lists the commands. See ruche(1), ruche-lab(5), ruche-stats(5).\n";

enum takes { NOTHING, STRING, EXEC, FILE_ITEM, ALLOW, KEY };

struct option_row {
    const char *name, *abbr;
    enum takes takes;
    size_t offset;   /* of the member that is set */
    const char *key; /* of the guest (KEY) */
    unsigned modes;  /* bits */
};

#define IN(m) (1u << (m))
#define SESSION (IN(MODE_LAB) | IN(MODE_RUN))
#define AT(member) offsetof(struct options, member)

static const struct option_row rows[] = {
    {"--headless", NULL, NOTHING, AT(headless), NULL, SESSION},
    {"--interactive", NULL, NOTHING, AT(interactive), NULL, SESSION},
    {"--plain", NULL, NOTHING, AT(plain), NULL, SESSION},
    {"--ascii", NULL, NOTHING, AT(ascii), NULL, SESSION},
    {"--readonly", NULL, NOTHING, AT(readonly), NULL, IN(MODE_LAB)},
    {"--batch", NULL, NOTHING, AT(batch), NULL, SESSION},
    {"--csv", NULL, NOTHING, AT(csv), NULL, SESSION},
    {"--interval", NULL, STRING, AT(interval), NULL, SESSION},
    {"--count", NULL, STRING, AT(count), NULL, SESSION},
    {"--json", NULL, NOTHING, AT(json), NULL, IN(MODE_CTL)},
    {"--accel", NULL, STRING, AT(accel), NULL, SESSION},
    {"--socket", NULL, STRING, AT(socket), NULL, SESSION | IN(MODE_CTL)},
    {"--log", NULL, STRING, AT(log), NULL, SESSION},
    {"--theme", NULL, STRING, AT(theme), NULL, SESSION},
    {"--name", "-n", STRING, AT(name), NULL, SESSION},
    {"--exec", "-e", EXEC, 0, NULL, SESSION},
    {"--script", "-s", FILE_ITEM, 0, NULL, SESSION},
    {"--allow", NULL, ALLOW, 0, NULL, SESSION},
    {"--memory", "-m", KEY, 0, "memory", IN(MODE_RUN)},
    {"--vcpus", "-c", KEY, 0, "vcpus", IN(MODE_RUN)},
    {"--initrd", "-i", KEY, 0, "initrd", IN(MODE_RUN)},
    {"--append", "-a", KEY, 0, "append", IN(MODE_RUN)},
    {"--disk", "-d", KEY, 0, "disk", IN(MODE_RUN)},
    {"--share", NULL, KEY, 0, "share", IN(MODE_RUN)},
    {"--cap", NULL, KEY, 0, "cap", IN(MODE_RUN)},
    {"--pin", NULL, KEY, 0, "pin", IN(MODE_RUN)},
    {"--irqchip", NULL, KEY, 0, "irqchip", IN(MODE_RUN)},
    {"--boot", NULL, KEY, 0, "boot", IN(MODE_RUN)},
};
enum { NROWS = sizeof rows / sizeof *rows };

static int unknown(const struct options *o, const char *word, struct err *e)
{
    struct suggest s = suggest_begin(word);
    char show[60], hint[80];

    for (unsigned i = 0; i < NROWS; i++)
        if (rows[i].modes & IN(o->mode))
            suggest_offer(&s, rows[i].name);
    return err_set(e, EINVAL, "there is no option `%s`%s; see `ruche --help`", text_show(show, sizeof show, word),
                   suggest_text(&s, hint, sizeof hint));
}

static int add_key(struct options *o, const char *key, const char *value, struct err *e)
{
    char *word;

    if (o->nwords == OPTIONS_ITEMS_MAX || o->nmade == OPTIONS_ITEMS_MAX)
        return err_set(e, EINVAL, "too many options");
    if (asprintf(&word, "%s=%s", key, value) < 0)
        return err_set(e, ENOMEM, "out of memory");
    o->made[o->nmade++] = word;
    o->words[o->nwords++] = word;
    return 0;
}

static int set_row(struct options *o, const struct option_row *row, const char *value, struct err *e)
{
    switch (row->takes) {
    case NOTHING:
        *(bool *)((char *)o + row->offset) = true;
        return 0;
    case STRING:
        *(const char **)((char *)o + row->offset) = value;
        return 0;
    case KEY:
        return add_key(o, row->key, value, e);
    case ALLOW:
        if (o->nallow == OPTIONS_ITEMS_MAX)
            return err_set(e, EINVAL, "--allow may be given %d times at the most", OPTIONS_ITEMS_MAX);
        o->allow[o->nallow++] = value;
        return 0;
    default:
        if (o->nitems == OPTIONS_ITEMS_MAX)
            return err_set(e, EINVAL, "more than %d commands: use --script", OPTIONS_ITEMS_MAX);
        o->item[o->nitems++] = (struct options_item){row->takes == FILE_ITEM, value};
        return 0;
    }
}

/* The option at argv[*i], with its value there (`--memory=1G`) or behind. */
static int parse_option(struct options *o, int argc, char **argv, int *i, struct err *e)
{
    const char *word = argv[*i], *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t len = equals ? (size_t)(equals - word) : strlen(word);

    for (unsigned k = 0; k < NROWS; k++) {
        const struct option_row *row = &rows[k];
        bool found = (strlen(row->name) == len && strncmp(row->name, word, len) == 0) ||
                     (row->abbr && strcmp(row->abbr, word) == 0);

        if (!found || !(row->modes & IN(o->mode)))
            continue;
        if (row->takes == NOTHING)
            return equals ? err_set(e, EINVAL, "`%s` takes no value", row->name) : set_row(o, row, NULL, e);
        if (equals)
            return set_row(o, row, equals + 1, e);
        if (*i + 1 == argc)
            return err_set(e, EINVAL, "`%s` needs a value; see `ruche --help`", row->name);
        return set_row(o, row, argv[++*i], e);
    }
    return unknown(o, word, e);
}

static int take_mode(struct options *o, const char *word)
{
    static const struct {
        const char *word;
        enum options_mode mode;
    } modes[] = {{"run", MODE_RUN},       {"ctl", MODE_CTL},         {"doctor", MODE_DOCTOR},
                 {"lint", MODE_LINT},     {"help", MODE_HELP},       {"--help", MODE_HELP},
                 {"-h", MODE_HELP},       {"--version", MODE_VERSION}, {"-V", MODE_VERSION}};

    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(modes[i].word, word) == 0) {
            o->mode = modes[i].mode;
            return 1;
        }
    }
    return 0;
}

static int take_word(struct options *o, char *word, struct err *e)
{
    if (o->mode == MODE_CTL && o->nwords < OPTIONS_ITEMS_MAX) {
        o->words[o->nwords++] = word;
        return 0;
    }
    if (o->mode == MODE_DOCTOR || o->mode == MODE_CTL)
        return err_set(e, EINVAL, "too many arguments; see `ruche --help`");
    if (o->lab)
        return err_set(e, EINVAL, "one %s at a time: `%s` or `%s`?", o->mode == MODE_RUN ? "kernel" : "lab",
                       o->lab, word);
    o->lab = word;
    return 0;
}

static int check(const struct options *o, struct err *e)
{
    if (o->mode == MODE_RUN && !o->lab)
        return err_set(e, EINVAL, "`ruche run` needs a kernel: a file, or an image like `hello` or `debian`");
    if (o->mode == MODE_LINT && !o->lab)
        return err_set(e, EINVAL, "`ruche lint` needs a lab file");
    if (o->mode == MODE_CTL && !o->nwords)
        return err_set(e, EINVAL, "`ruche ctl` needs a command, as `ruche ctl list`");
    if (o->headless && o->interactive)
        return err_set(e, EINVAL, "--headless and --interactive exclude each other");
    if (o->batch && o->interactive)
        return err_set(e, EINVAL, "--batch and --interactive exclude each other");
    if (!o->batch && (o->csv || o->interval || o->count))
        return err_set(e, EINVAL, "--csv, --interval and --count belong to --batch");
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    int i = 1, rc = 0;
    bool options = true;

    *o = (struct options){.mode = MODE_LAB};
    if (argc > 1)
        i += take_mode(o, argv[1]);
    if (o->mode == MODE_HELP && argc > 2 && strcmp(argv[2], "--man") == 0)
        o->mode = MODE_MAN;
    if (o->mode == MODE_HELP || o->mode == MODE_VERSION || o->mode == MODE_MAN)
        return 0;
    for (; i < argc && rc == 0; i++) {
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            o->mode = MODE_HELP;
            return 0;
        }
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1])
            rc = parse_option(o, argc, argv, &i, e);
        else
            rc = take_word(o, argv[i], e);
        if (o->mode == MODE_CTL && o->nwords)
            options = false; /* the command has options of its own */
    }
    return rc ? rc : check(o, e);
}

void options_fini(struct options *o)
{
    while (o->nmade)
        free(o->made[--o->nmade]);
}
