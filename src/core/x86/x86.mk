# SPDX-License-Identifier: GPL-3.0-or-later
# The software CPU. While a guest runs the host's FPU holds the guest's state (fpu.h), so nothing
# here may be compiled to use it.
$(V)/src/core/x86/%.o: CFLAGS += -mgeneral-regs-only -fno-stack-protector -fcf-protection=none
# Guests may access memory at any alignment, and so does the code that does it for them.
$(V)/src/core/x86/%.o: override SAN += -fno-sanitize=alignment

# Handlers access guest memory as the guest says; its own races are none of ours (guest_bytes.h). What
# guards the code cache and who runs is in the other files, which ThreadSanitizer sees.
$(addprefix $(V)/src/core/x86/,h_%.o sse.o sse%.o x87.o x87%.o fxsave.o mem.o): \
	override SAN += $(if $(findstring tsan,$(V)),-fno-sanitize=thread)
# All files agree on how a handler passes control on (uop.h), sanitized or not.
$(V)/src/core/x86/%.o: CPPFLAGS += $(if $(findstring tsan,$(V)),-DSCPU_CALL_LOOP=1 -DSCPU_TSAN_BUILD=1)

include src/core/x86/fpu.mk

# The engine's code once more at other addresses, for accel_soft_1 ...: a core's branch predictors know
# a handler's jump by its address, so that guests on one copy spoil each other's predictions (up to a
# third of the speed of a small loop was lost for good, not only after a switch).
SOFT_COPIES := $(patsubst %,$(V)/soft_%.o,1 2 3 4 5 6 7)

$(V)/soft.o: $(patsubst %.c,$(V)/%.o,$(wildcard src/core/x86/*.c))
	$(LD) -r -o $@ $^

$(SOFT_COPIES): $(V)/soft_%.o: $(V)/soft.o
	objcopy --strip-debug --redefine-sym accel_soft=accel_soft_$* --keep-global-symbol=accel_soft_$* $< $@

# A runner for work on the CPU: `make softrun`.
softrun: $(V)/softrun $(V)/softvm
.PHONY: softrun
$(V)/softrun $(V)/softvm: $(V)/%: tests/soft/%.c $(V)/libruche.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -pthread -Itests -o $@ $< $(V)/libruche.a $(LIBS)
