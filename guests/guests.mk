# SPDX-License-Identifier: GPL-3.0-or-later
# The tiny guests: freestanding, one ELF each, the same bytes from the same sources and compiler.
# `make tiny` builds them into build/guests/tiny/.

# a comma, for use inside $(if)
, := ,

TINYDIR    := build/guests/tiny
TINYNAMES  := hello spin memhog chatty flood rogue selftest
TINY       := $(TINYNAMES:%=$(TINYDIR)/%.elf)
TINYCC     ?= gcc
TINYCFLAGS := -std=gnu11 -O2 -g0 -m64 -ffreestanding -nostdlib -fno-pie -no-pie -mno-red-zone \
              -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
              -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-delete-null-pointer-checks \
              -fno-tree-loop-distribute-patterns -ffile-prefix-map=$(CURDIR)=. -fno-ident \
              -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
              -Iguests/lib -MMD -MP
TINYLD     := -static -nostdlib -no-pie -Wl,-T,guests/lib/tiny.ld -Wl,--build-id=none \
              -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
              $(if $(shell $(LD) --help 2>/dev/null | grep no-warn-rwx),-Wl$(,)--no-warn-rwx-segments)
TINYLIB    := $(patsubst guests/%,$(TINYDIR)/obj/%.o,$(wildcard guests/lib/*.S guests/lib/*.c))

.PRECIOUS: $(TINYDIR)/obj/%.c.o $(TINYDIR)/obj/%.S.o
.SECONDEXPANSION:

$(TINYDIR)/obj/%.c.o: guests/%.c
	@mkdir -p $(@D)
	$(TINYCC) $(TINYCFLAGS) -c -o $@ $<

$(TINYDIR)/obj/%.S.o: guests/%.S
	@mkdir -p $(@D)
	$(TINYCC) $(TINYCFLAGS) -c -o $@ $<

tinysrc_selftest := tests
tinyobjs = $(patsubst guests/%,$(TINYDIR)/obj/%.o,$(sort \
             $(wildcard $(foreach d,$(or $(tinysrc_$(1)),$(1)),guests/$(d)/*.S guests/$(d)/*.c))))

$(TINYDIR)/%.elf: $$(call tinyobjs,$$*) $(TINYLIB) guests/lib/tiny.ld
	@mkdir -p $(@D)
	$(TINYCC) $(TINYCFLAGS) $(TINYLD) -o $@ $(filter %.o,$^)

-include $(shell find $(TINYDIR)/obj -name '*.d' 2>/dev/null)
