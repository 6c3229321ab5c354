/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab: a lab as an object, and where its text comes from. See lab.h.
 */
#include "core/lab_internal.h"

#include "core/sandbox.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAB_BUDGET_NODES = 100000, LAB_NESTING_MAX = 64 };

const char *lab_hook_name(enum lab_hook_on h)
{
    static const char *const names[HOOKS] = {"start", "pause", "resume", "stop", "crash", "reset"};

    return names[h];
}

static uint64_t meminfo_bytes(const char *key)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            sscanf(line + strlen(key), "%llu", &kib);
    if (f)
        fclose(f);
    return kib << 10;
}

void lab_host_usable(cpu_set_t *set)
{
    CPU_ZERO(set);
    if (sched_getaffinity(getpid(), sizeof *set, set) < 0) /* of main: guests' threads have sets of their own */
        CPU_SET(0, set);
}

void lab_host_measure(struct lab_host *h)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);

    h->memory_total_bytes = meminfo_bytes("MemTotal:");
    h->memory_available_bytes = meminfo_bytes("MemAvailable:");
    h->cpus = cpus > 0 ? (unsigned)cpus : 1;
    lab_host_usable(&h->usable);
}

struct lab *lab_new(const char *name)
{
    struct lab *lab = calloc(1, sizeof *lab);

    if (!lab)
        return NULL;
    snprintf(lab->name, sizeof lab->name, "%s", name);
    lab->path = strdup("");
    if (!lab->path) {
        free(lab);
        return NULL;
    }
    return lab;
}

void lab_story_fini(struct lab_story *s)
{
    free(s->title);
    free(s->about);
    free(s->checks);
    *s = (struct lab_story){0};
}

void lab_free(struct lab *lab)
{
    if (!lab)
        return;
    for (unsigned i = 0; i < lab->nguests; i++)
        lab_guest_fini(&lab->guests[i]);
    for (unsigned i = 0; i < lab->nnets; i++) {
        free(lab->nets[i].subnet);
        free(lab->nets[i].tap);
        if (lab->nets[i].tap_fd >= 0)
            close(lab->nets[i].tap_fd);
    }
    free(lab->guests);
    free(lab->nets);
    free(lab->path);
    lab_story_fini(&lab->story);
    free(lab->host_cpus);
    free(lab->host_sched);
    free(lab);
}

/* What libyaml says, in words that help. */
static void yaml_problem(const yaml_parser_t *p, const char *yaml, size_t len, struct diags *d)
{
    unsigned line = (unsigned)p->problem_mark.line + 1, column = (unsigned)p->problem_mark.column + 1;
    size_t at = p->problem_mark.index;

    if (p->error == YAML_READER_ERROR)
        diags_error(d, 0, 0, "this is no text in UTF-8 (byte %zu): is it a lab file?", p->problem_offset);
    else if (p->error == YAML_MEMORY_ERROR)
        diags_error(d, 0, 0, "out of memory");
    else if (at < len && yaml[at] == '\t')
        diags_error(d, line, column, "YAML cannot be indented with tabs: use spaces");
    else
        diags_error(d, line, column, "%s%s%s: look for a bracket or quote that is not closed, and at the indentation",
                    p->problem ? p->problem : "not YAML", p->context ? ", " : "", p->context ? p->context : "");
}

/* The loader nests as the text does: bound it before. */
static bool too_deep(const char *yaml, size_t len)
{
    unsigned depth = 0;

    for (size_t i = 0; i < len; i++) {
        depth += yaml[i] == '[' || yaml[i] == '{';
        depth -= depth && (yaml[i] == ']' || yaml[i] == '}');
        if (depth > LAB_NESTING_MAX)
            return true;
    }
    return false;
}

static void second_document(yaml_parser_t *p, struct diags *d)
{
    yaml_document_t more;

    if (!yaml_parser_load(p, &more))
        return;
    if (yaml_document_get_root_node(&more))
        diags_error(d, (unsigned)more.start_mark.line + 1, 1, "a lab file is one YAML document, here a second begins");
    yaml_document_delete(&more);
}

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup("");
}

/* name: the file's name without `.yaml`, or its directory's if it is `lab.yaml`. */
static void default_name(struct lab *lab)
{
    char *dir, *base, *end;

    sandbox_any_file(true);
    dir = realpath(lab->path, NULL);
    sandbox_any_file(false);
    snprintf(lab->name, sizeof lab->name, "lab");
    if (!dir)
        return;
    base = strrchr(dir, '/');
    if (base > dir && strcmp(base, "/lab.yaml") == 0) {
        *base = '\0';
        base = strrchr(dir, '/');
    }
    end = base ? strchr(base + 1, '.') : NULL;
    if (end)
        *end = '\0';
    if (base && strlen(base + 1) <= VM_NAME_MAX && lab_check_name("", base + 1, NULL) == 0)
        snprintf(lab->name, sizeof lab->name, "%.*s", VM_NAME_MAX, base + 1);
    free(dir);
}

static void lab_read_document(struct lab_reader *r)
{
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);

    if (!root) {
        diags_error(r->diags, 0, 0, "the file is empty: a lab needs at least `guests:`");
        return;
    }
    lab_read_top(r, root);
    if (!r->budget)
        return;
    lab_check(r);
}

struct lab *lab_parse(const char *yaml, size_t len, const char *path, const struct lab_host *h,
                      struct diags *d)
{
    struct lab_reader r = {.diags = d, .host = h, .budget = LAB_BUDGET_NODES};
    yaml_parser_t p;

    r.lab = lab_new("");
    r.dir = dir_of(path);
    if (!r.lab || !r.dir || !yaml_parser_initialize(&p)) {
        diags_error(d, 0, 0, "out of memory");
        goto out;
    }
    free(r.lab->path);
    r.lab->path = strdup(path);
    default_name(r.lab);
    yaml_parser_set_input_string(&p, (const unsigned char *)yaml, len);
    if (too_deep(yaml, len)) {
        diags_error(d, 0, 0, "brackets are nested more than %d deep: a lab needs no more than 6", LAB_NESTING_MAX);
    } else if (!yaml_parser_load(&p, &r.doc)) {
        yaml_problem(&p, yaml, len, d);
    } else {
        lab_read_document(&r);
        second_document(&p, d);
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&p);
out:
    free(r.dir);
    diags_sort(d);
    if (!d->errors)
        return r.lab;
    lab_free(r.lab);
    return NULL;
}

/* `labs/shares` is labs/shares/lab.yaml, or labs/shares.yaml. */
static char *lab_file(const char *path)
{
    char *with = NULL;
    struct stat st;

    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? lab_join(path, "lab.yaml") : strdup(path);
    if (*path && asprintf(&with, "%s.yaml", path) > 0 && stat(with, &st) == 0)
        return with;
    free(with);
    return strdup(path);
}

/* The whole file, NULL after telling why not. */
static char *slurp(const char *path, size_t *len, struct diags *d)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *buf = malloc(LAB_FILE_MAX + 1);
    ssize_t n = -1;

    *len = 0;
    while (fd >= 0 && buf && *len <= LAB_FILE_MAX &&
           (n = read(fd, buf + *len, LAB_FILE_MAX + 1 - *len)) > 0)
        *len += (size_t)n;
    if (fd < 0 || (n < 0 && *len <= LAB_FILE_MAX))
        diags_error(d, 0, 0, "cannot be read: %s%s", buf ? strerror(errno) : "out of memory",
                    fd < 0 && errno == ENOENT ? ": give the path of a lab file, or of a directory with lab.yaml" : "");
    else if (*len > LAB_FILE_MAX)
        diags_error(d, 0, 0, "larger than 1 MiB: this is no lab file");
    if (fd >= 0)
        close(fd);
    if (!d->errors)
        return buf;
    free(buf);
    return NULL;
}

struct lab *lab_load(const char *path, const struct lab_host *h, struct diags **d)
{
    char *file, *yaml;
    struct lab *lab = NULL;
    size_t len;

    sandbox_any_file(true);
    file = lab_file(path);
    *d = file ? diags_new(file) : NULL;
    yaml = *d ? slurp(file, &len, *d) : NULL;
    sandbox_any_file(false);
    if (yaml)
        lab = lab_parse(yaml, len, file, h, *d);
    free(yaml);
    free(file);
    return lab;
}
