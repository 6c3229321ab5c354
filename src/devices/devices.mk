# SPDX-License-Identifier: GPL-3.0-or-later
# The ASL of the board, compiled by iasl into a C array: $(V)/gen/pc_dsdt.h

GENERATED += $(V)/gen/pc_dsdt.h

IASL ?= iasl

$(V)/gen/pc_dsdt.h: src/devices/pc_dsdt.asl
	@mkdir -p $(@D)
	@command -v $(IASL) >/dev/null || { echo "iasl is missing: install acpica-tools" >&2; exit 1; }
	$(IASL) -va -we -p $(V)/gen/pc_dsdt -tc $< >$(V)/gen/pc_dsdt.log || { cat $(V)/gen/pc_dsdt.log >&2; exit 1; }
	sed -n 's/^unsigned char/static const unsigned char/; /^static\|^{\|^ *0x\|^}/p' $(V)/gen/pc_dsdt.hex >$@
