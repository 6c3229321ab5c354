# SPDX-License-Identifier: GPL-3.0-or-later
# The manual pages: ruche.1 has a section that is made from the command table.

MAN1 := build/man/ruche.1
MAN5 := build/man/ruche-lab.5 build/man/ruche-stats.5

man: $(MAN1) $(MAN5) ## build the manual pages

build/man/ruche.1: man/ruche.1.in $(BIN)
	@mkdir -p $(@D)
	./$(BIN) help --man >$@.commands
	sed -e '/@COMMANDS@/{r $@.commands' -e 'd;}' -e 's|@VERSION@|$(VERSION)|;s|@PREFIX@|$(PREFIX)|' $< >$@
	@rm -f $@.commands

build/man/%.5: man/%.5
	@mkdir -p $(@D)
	sed 's|@VERSION@|$(VERSION)|;s|@PREFIX@|$(PREFIX)|' $< >$@
