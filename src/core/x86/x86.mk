# SPDX-License-Identifier: GPL-3.0-or-later
# The software CPU. While a guest runs the host's FPU holds the guest's state (fpu.h), so nothing
# here may be compiled to use it.
$(V)/src/core/x86/%.o: CFLAGS += -mgeneral-regs-only

include src/core/x86/fpu.mk
