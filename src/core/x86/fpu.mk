# SPDX-License-Identifier: GPL-3.0-or-later
# The conformance tester: our CPU against the host's, docs/CONFORMANCE.md.
ORACLESRC := $(wildcard tests/oracle/*.c)
ORACLE     = $(V)/cpu-oracle

$(ORACLE): $(patsubst %.c,$(V)/%.o,$(ORACLESRC)) $(V)/libruche.a
	@mkdir -p $(@D)
	$(CC) $(SAN) -pthread -o $@ $^ $(LIBS)

oracle: $(ORACLE) ## build the conformance tester of the software CPU

check-built: oracle

fuzz-cpu: $(ORACLE) ## compare the software CPU with the host's, without end
	$(ORACLE) --forever --seed $$(date +%s)

.PHONY: oracle fuzz-cpu
