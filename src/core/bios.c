/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bios: see bios.h. The code runs in the guest, at F000:F000, in real mode; what it answers beyond
 * registers (the memory map) is put into its tables when it is written.
 */
#include "core/bios.h"

#include "core/boot_priv.h"
#include "core/mem.h"

#include <string.h>

enum { SEGMENT = 0xf000, OFFSET = 0xf000, IMAGE_GPA = 0xff000, MAP_ENTRY_BYTES = 20, VECTORS = 256 };

extern const uint8_t bios_image[], bios_image_end[], bios_services[], bios_map[], bios_memory_kib[];

__asm__(".pushsection .rodata\n"
        ".code16\n"
        ".intel_syntax noprefix\n"
        ".macro answer_carry set\n" /* into the flags that IRET takes */
        "    push bp\n"
        "    mov bp, sp\n"
        ".if \\set\n"
        "    or byte ptr [bp + 6], 1\n"
        ".else\n"
        "    and byte ptr [bp + 6], 0xfe\n"
        ".endif\n"
        "    pop bp\n"
        "    iret\n"
        ".endm\n"
        ".macro back\n" /* clang makes these two as for 32 bits */
        "    .byte 0xc3\n"
        ".endm\n"
        ".macro do place\n"
        "    .byte 0xe8\n"
        "    .word \\place - . - 2\n"
        ".endm\n"
        ".set TYPED, 0xfe00\n" /* places of what is at the end, in the segment */
        ".set MEMORY_KIB, 0xfe02\n"
        ".set MAP, 0xfe0a\n"
        "bios_image:\n"
        "no_service:\n"
        "    answer_carry 1\n"
        "done:\n"
        "    answer_carry 0\n"
        "fault:\n" /* IRET would run into it again */
        "    cli\n"
        "    hlt\n"
        "    jmp fault\n"
        "irq_slave:\n"
        "    push ax\n"
        "    mov al, 0x20\n"
        "    out 0xa0, al\n"
        "    jmp 1f\n"
        "irq_master:\n"
        "    push ax\n"
        "    mov al, 0x20\n"
        "1:  out 0x20, al\n"
        "    pop ax\n"
        "    iret\n"

        "put:\n" /* AL to the serial line */
        "    push dx\n"
        "    push ax\n"
        "    mov dx, 0x3fd\n"
        "1:  in al, dx\n"
        "    test al, 0x20\n"
        "    jz 1b\n"
        "    pop ax\n"
        "    mov dx, 0x3f8\n"
        "    out dx, al\n"
        "    pop dx\n"
        "    back\n"

        "video:\n"
        "    cmp ah, 0x0e\n"
        "    je teletype\n"
        "    cmp ah, 0x0f\n"
        "    je video_mode\n"
        "    cmp ah, 0x13\n"
        "    je write_string\n"
        "    cmp ah, 0x03\n"
        "    jne 1f\n"
        "    xor dx, dx\n" /* the cursor: at home */
        "    mov cx, 0x0607\n"
        "1:  iret\n"
        "teletype:\n"
        "    do put\n"
        "    iret\n"
        "video_mode:\n"
        "    mov ax, 0x5003\n" /* text of 80 columns */
        "    mov bh, 0\n"
        "    iret\n"
        "write_string:\n" /* CX characters at ES:BP; with AL bit 1 each has an attribute behind it */
        "    pusha\n"
        "    mov bl, al\n"
        "    jcxz 2f\n"
        "1:  mov al, es:[bp]\n"
        "    do put\n"
        "    inc bp\n"
        "    test bl, 2\n"
        "    jz 3f\n"
        "    inc bp\n"
        "3:  loop 1b\n"
        "2:  popa\n"
        "    iret\n"

        ".macro answer_bios_data at\n"
        "    push ds\n"
        "    push 0x40\n"
        "    pop ds\n"
        "    mov ax, [\\at]\n"
        "    pop ds\n"
        "    iret\n"
        ".endm\n"
        "equipment:\n"
        "    answer_bios_data 0x10\n"
        "base_memory:\n"
        "    answer_bios_data 0x13\n"

        "memory:\n"
        "    cmp ax, 0xe820\n"
        "    je map_entry\n"
        "    cmp ax, 0xe801\n"
        "    je extended_memory\n"
        "    cmp ah, 0x88\n"
        "    jne no_service\n"
        "    mov ax, cs:[MEMORY_KIB]\n"
        "    jmp done\n"
        "extended_memory:\n"
        "    mov ax, cs:[MEMORY_KIB + 2]\n"
        "    mov bx, cs:[MEMORY_KIB + 4]\n"
        "    mov cx, ax\n"
        "    mov dx, bx\n"
        "    jmp done\n"
        "map_entry:\n"
        "    cmp edx, 0x534d4150\n" /* SMAP */
        "    jne no_service\n"
        "    cmp ecx, 20\n"
        "    jb no_service\n"
        "    cmp bx, cs:[MEMORY_KIB + 6]\n"
        "    jae no_service\n"
        "    push ds\n"
        "    push si\n"
        "    push di\n"
        "    push cs\n"
        "    pop ds\n"
        "    imul si, bx, 20\n"
        "    add si, MAP\n"
        "    mov cx, 20\n"
        "    cld\n"
        "    rep movsb\n"
        "    mov ecx, 20\n"
        "    pop di\n"
        "    pop si\n"
        "    pop ds\n"
        "    inc bx\n"
        "    movzx ebx, bx\n"
        "    cmp bx, cs:[MEMORY_KIB + 6]\n"
        "    jb 1f\n"
        "    xor ebx, ebx\n"
        "1:  mov eax, edx\n"
        "    jmp done\n"

        "keyboard:\n" /* the serial line; what was looked at waits in `typed` */
        "    and ah, 0xef\n"
        "    cmp ah, 1\n"
        "    je 2f\n"
        "    cmp ah, 0\n"
        "    jne 3f\n"
        "1:  do look\n"
        "    jz 1b\n"
        "    mov byte ptr cs:[TYPED], 0\n"
        "3:  iret\n"
        "2:  do look\n"
        "    push bp\n"
        "    mov bp, sp\n"
        "    jz 4f\n"
        "    and byte ptr [bp + 6], 0xbf\n" /* ZF: nothing is there */
        "    pop bp\n"
        "    iret\n"
        "4:  or byte ptr [bp + 6], 0x40\n"
        "    pop bp\n"
        "    iret\n"
        "look:\n" /* AX: the character; ZF: none */
        "    push dx\n"
        "    xor ax, ax\n"
        "    or al, cs:[TYPED]\n"
        "    jnz 1f\n"
        "    mov dx, 0x3fd\n"
        "    in al, dx\n"
        "    and al, 1\n"
        "    jz 1f\n"
        "    mov dx, 0x3f8\n"
        "    in al, dx\n"
        "    mov cs:[TYPED], al\n"
        "    or al, al\n"
        "1:  pop dx\n"
        "    back\n"

        "disk:\n"
        "    mov ah, 1\n" /* no such function: the drive is not there */
        "    jmp no_service\n"
        "restart:\n"
        "    mov al, 0xfe\n"
        "    out 0x64, al\n"
        "    jmp fault\n"

        "    .org bios_image + 0xe00\n"
        "    .word 0\n" /* TYPED */
        "bios_memory_kib:\n" /* above 1 MiB: at most 63 MiB; below 16 MiB; 64 KiB blocks above; entries of the map */
        "    .fill 4, 2, 0\n"
        "bios_map:\n"
        "    .fill 20 * 8, 1, 0\n"
        "    .org bios_image + 0xff0\n" /* where a processor begins, and old programs go to begin anew */
        "    .byte 0xea\n"
        "    .word 0xf000 + restart - bios_image, 0xf000\n"
        "    .org bios_image + 0x1000\n"
        "bios_image_end:\n"
        "bios_services:\n" /* vector, place */
        ".macro service vector place\n"
        "    .word \\vector, 0xf000 + \\place - bios_image\n"
        ".endm\n"
        "    service 0x10, video\n"
        "    service 0x11, equipment\n"
        "    service 0x12, base_memory\n"
        "    service 0x13, disk\n"
        "    service 0x15, memory\n"
        "    service 0x16, keyboard\n"
        "    service 0x18, restart\n"
        "    service 0x19, restart\n"
        "    service 0x00, fault\n"
        "    service 0x05, fault\n"
        "    service 0x06, fault\n"
        "    service 0x07, fault\n"
        ".irp irq, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f\n"
        "    service \\irq, irq_master\n"
        "    service \\irq + 0x68, irq_slave\n"
        ".endr\n"
        "    .word 0xffff\n"
        ".att_syntax prefix\n"
        ".code64\n"
        ".popsection\n");

static int write_vectors(struct gmem *m)
{
    uint8_t table[VECTORS * 4];

    for (unsigned i = 0; i < VECTORS; i++) {
        le16_put(table + 4 * i, OFFSET); /* no_service is first */
        le16_put(table + 4 * i + 2, SEGMENT);
    }
    for (const uint8_t *s = bios_services; le16_get(s) < VECTORS; s += 4)
        le16_put(table + 4 * le16_get(s), le16_get(s + 2));
    return gmem_write(m, 0, table, sizeof table);
}

static void put_map(uint8_t *image, const struct boot_ram *ram)
{
    struct boot_mem map[BOOT_MEMMAP_MAX];
    unsigned n = boot_memmap(ram, map);
    uint8_t *p = image + (bios_map - bios_image), *sizes = image + (bios_memory_kib - bios_image);
    uint64_t kib = ram->low_end > BOOT_HIGH_START ? (ram->low_end - BOOT_HIGH_START) >> 10 : 0;
    enum { KIB_TO_16M = 15 << 10 };

    _Static_assert(BOOT_MEMMAP_MAX <= 8, "bios_map has room for 8");
    for (unsigned i = 0; i < n; i++, p += MAP_ENTRY_BYTES) {
        le64_put(p, map[i].start);
        le64_put(p + 8, map[i].size);
        le32_put(p + 16, map[i].type);
    }
    le16_put(sizes, (uint16_t)(kib < 0xfc00 ? kib : 0xfc00));
    le16_put(sizes + 2, (uint16_t)(kib < KIB_TO_16M ? kib : KIB_TO_16M));
    le16_put(sizes + 4, (uint16_t)(kib < KIB_TO_16M ? 0 : (kib - KIB_TO_16M) >> 6));
    le16_put(sizes + 6, (uint16_t)n);
}

int bios_write(struct gmem *m)
{
    struct boot_ram ram = boot_ram_of(gmem_size_bytes(m));
    uint8_t image[BOOT_HIGH_START - IMAGE_GPA];
    int r = write_vectors(m);

    memcpy(image, bios_image, sizeof image);
    put_map(image, &ram);
    return r < 0 ? r : gmem_write(m, IMAGE_GPA, image, sizeof image);
}
