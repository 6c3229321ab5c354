/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The lab reader on any bytes: it says what is wrong or gives a lab whose guests are in range.
 */
#include "core/lab.h"
#include "core/mem.h"
#include "core/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct lab *lab)
{
    unsigned order[LAB_GUESTS_MAX];

    if (lab->nguests > LAB_GUESTS_MAX || !lab_order(lab, order))
        abort();
    for (unsigned i = 0; i < lab->nguests; i++) {
        const struct vm_config *c = &lab->guests[i].c;

        if (!c->kernel || !c->append || c->vcpus < 1 || c->vcpus > VM_VCPUS_MAX || c->share < 1 ||
            c->share > VM_SHARE_MAX || c->memory_bytes < GMEM_MIN_BYTES || c->memory_bytes > GMEM_MAX_BYTES ||
            lab_check_name("", c->name, NULL) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lab_host host = {.memory_available_bytes = 8ull << 30, .cpus = 4};
    struct diags *d = diags_new("lab.yaml");
    struct text said = {0};
    struct lab *lab;

    setenv("RUCHE_IMAGES", "/dev", 1); /* `image:` is found if it is named like a device */
    lab = lab_parse((const char *)data, size, "lab.yaml", &host, d);
    diags_print(d, &said);
    if ((lab == NULL) != (d->errors > 0))
        abort();
    if (lab)
        check(lab);
    lab_free(lab);
    text_free(&said);
    diags_free(d);
    return 0;
}
