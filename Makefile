# SPDX-License-Identifier: GPL-3.0-or-later
# Ruche. `make help` lists the targets.

CC      ?= gcc
CLANG   ?= clang
V       ?= build/release
BIN     ?= ruche
OPT     ?= -O2
SAN     ?=
PREFIX  ?= /usr/local
DESTDIR ?=

VERSION := 0.1
PKGS    := ncursesw readline vterm libcap libseccomp yaml-0.1 json-c liblzma libzstd zlib liblz4
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
CFLAGS  := -std=gnu11 $(OPT) -g $(WARN) -fno-strict-aliasing -fno-plt -pthread
CPPFLAGS = -D_GNU_SOURCE -DRUCHE_VERSION='"$(VERSION)"' -DRUCHE_PREFIX='"$(PREFIX)"' \
           -Isrc -I$(V)/gen $(PKG_CFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS    := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lZydis -lslirp -lm -pthread

CORE    := $(wildcard src/core/*.c src/core/*/*.c)
DEVICES := $(wildcard src/devices/*.c)
UI      := $(wildcard src/ui/*.c)
UNIT    := $(wildcard tests/unit/test_*.c)
FUZZ    := $(wildcard tests/fuzz/fuzz_*.c)

# Parts with rules of their own: generated sources, tiny guests.
-include src/devices/devices.mk src/core/x86/x86.mk guests/guests.mk man/man.mk

comma   := ,
LIBOBJ  := $(patsubst %.c,$(V)/%.o,$(CORE) $(DEVICES) $(UI)) $(EXTRA_OBJ)
UNITBIN := $(patsubst tests/unit/%.c,$(V)/tests/%,$(UNIT))
KVMBIN  := $(patsubst tests/kvm/%.c,$(V)/kvm/%,$(wildcard tests/kvm/*.c))
FUZZBIN := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ))
FUZZSRC := $(CORE) $(DEVICES) $(wildcard src/ui/guard.c src/ui/emu*.c)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: bench-cpu
.PHONY: all help demo check check-built check-unit bench-programs asan tsan sanitize fuzz bench guests tiny man deps install format tidy layers clean units fuzzers screenshot

all: $(BIN) tiny ## build ./ruche and the tiny guests

$(BIN): $(V)/src/main.o $(SOFT_COPIES) $(V)/libruche.a
	$(CC) $(SAN) -o $@ $^ $(LIBS)

$(V)/libruche.a: $(LIBOBJ)
	@rm -f $@
	ar rcs $@ $^

$(V)/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(FILE_CFLAGS) $(SAN) -MMD -MP -c -o $@ $<

$(V)/tests/%: tests/unit/%.c $(V)/libruche.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -Itests -o $@ $< $(V)/libruche.a $(LIBS) -lcmocka

$(V)/kvm/%: tests/kvm/%.c $(V)/libruche.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -Itests -o $@ $< $(V)/libruche.a $(LIBS)

# What the screens of tests/tui/golden are drawn by: the console, on a clock and guests of its own.
GOLDEN_WRAP := clock_gettime time lab_host_measure host_sample vm_stats vm_uptime_ns session_sched

$(V)/golden/console: tests/golden/console.c tests/fake_vm.c $(V)/libruche.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -Itests -o $@ $< $(V)/libruche.a $(addprefix -Wl$(comma)--wrap=,$(GOLDEN_WRAP)) $(LIBS) -lcmocka

# What a test's Linux guest reads its clock by, to go behind the initramfs.
GUESTCLOCK := build/guestclock/cpio.gz

$(GUESTCLOCK): tests/lib/guestclock.c
	@mkdir -p $(@D)/bin
	musl-gcc -O2 -Wall -Wextra -static -s -o $(@D)/bin/guestclock $<
	cd $(@D) && echo bin/guestclock | cpio -o -H newc -R 0:0 --quiet | gzip -9n >$(@F)

build/fuzz/libruche.a: $(patsubst %.c,build/fuzz/%.o,$(FUZZSRC)) $(FUZZ_EXTRA_OBJ)
	@rm -f $@
	ar rcs $@ $^

FUZZ_CFLAGS := -std=gnu11 -O1 -g -fno-strict-aliasing -pthread -fsanitize=fuzzer-no-link,address,undefined \
               -fno-sanitize-recover=undefined

build/fuzz/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

build/fuzz/%: tests/fuzz/%.c build/fuzz/libruche.a
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -Itests -fsanitize=fuzzer -o $@ $< build/fuzz/libruche.a $(LIBS)

tiny: $(TINY) ## build the tiny guests

guests: tiny ## make the Linux guests from Debian packages
	scripts/guests

deps: ## install what building and testing needs
	scripts/deps all

units: $(UNITBIN) $(V)/golden/console

fuzzers: $(FUZZBIN)

check-unit: units ## unit tests only
	tests/run unit

check: ## everything that can be tested, real KVM included (installs what it needs)
	scripts/deps build test
	$(MAKE) --no-print-directory -j$$(nproc) check-built

check-built: all guests units fuzzers $(KVMBIN) $(GUESTCLOCK) layers
	tests/run

layers: ## check that layers run one way
	scripts/layers

demo: ## install what is missing, build, open a lab with running guests
	scripts/deps build demo
	$(MAKE) --no-print-directory all guests
	./$(BIN) labs/demo.yaml

screenshot: all ## run a lab in tmux and paint docs/console.png
	scripts/deps build screenshot
	scripts/screenshot

asan: ## build and unit-test with AddressSanitizer and UBSan
	$(MAKE) V=build/asan BIN=build/asan/ruche OPT=-O1 \
	  SAN="-fsanitize=address,undefined -fno-omit-frame-pointer" all units
	RUCHE_BUILD=build/asan tests/run --timeout 300 unit

tsan: ## build and unit-test with ThreadSanitizer
	$(MAKE) V=build/tsan BIN=build/tsan/ruche OPT=-O1 SAN="-fsanitize=thread -Wno-tsan" all units
	RUCHE_BUILD=build/tsan tests/run --timeout 300 unit

sanitize: guests ## long: Debian, a busy lab and a monkey at the console, on binaries built with ASan+UBSan and with TSan
	$(MAKE) V=build/asan BIN=build/asan/ruche OPT=-O1 \
	  SAN="-fsanitize=address,undefined -fno-omit-frame-pointer" build/asan/ruche
	$(MAKE) V=build/tsan BIN=build/tsan/ruche OPT=-O1 SAN="-fsanitize=thread -Wno-tsan" build/tsan/ruche
	for b in asan tsan; do RUCHE=build/$$b/ruche tests/tui/monkey --seconds 60 && RUCHE=build/$$b/ruche tests/long/sanitize.py || exit; done

fuzz: fuzzers ## run each fuzzer for FUZZ_SECONDS (60)
	tests/run --fuzz-seconds $(or $(FUZZ_SECONDS),60) fuzz

bench: ## measure, side by side with peers, and print ratios
	scripts/deps build bench
	$(MAKE) --no-print-directory all guests bench-programs
	scripts/bench all

bench-cpu: ## the software CPU beside QEMU's TCG and the processor itself
	scripts/deps build bench
	$(MAKE) --no-print-directory all guests build/bench/cpubench
	scripts/bench-cpu
	scripts/bench-cpu boot

build/bench/cpubench: tests/bench/cpubench.c
	@mkdir -p $(@D)
	musl-gcc -O2 -Wall -Wextra -static -o $@ $<

bench-programs: build/bench/io_loop.bin build/bench/bare_kvm build/bench/blkbench build/bench/netbench

build/bench/io_loop.bin: tests/bench/io_loop.S
	@mkdir -p $(@D)
	$(CC) -m32 -nostdlib -static -Wl,-Ttext=0x7c00,--oformat=binary,-m,elf_i386 -o $@ $<

build/bench/bare_kvm: tests/bench/bare_kvm.c
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -o $@ $<

build/bench/blkbench build/bench/netbench: build/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	musl-gcc -O2 -Wall -Wextra -static -o $@ $<

INSTALL_TO := $(DESTDIR)$(PREFIX)

install: all man ## install below PREFIX (/usr/local); DESTDIR goes before it
	install -d $(addprefix $(INSTALL_TO)/,bin share/ruche/tiny share/man/man1 share/man/man5 share/bash-completion/completions)
	install -m755 $(BIN) $(INSTALL_TO)/bin/ruche
	install -m644 $(TINY) $(INSTALL_TO)/share/ruche/tiny/
	for f in $(wildcard build/guests/vmlinuz build/guests/initrd.gz); do install -m644 $$f $(INSTALL_TO)/share/ruche/ || exit; done
	install -m644 $(MAN1) $(INSTALL_TO)/share/man/man1/
	install -m644 $(MAN5) $(INSTALL_TO)/share/man/man5/
	install -m644 scripts/completion.bash $(INSTALL_TO)/share/bash-completion/completions/ruche

format: ## clang-format the sources
	clang-format -i $(CORE) $(DEVICES) $(UI) src/main.c $(wildcard src/*/*.h src/*/*/*.h)

tidy: ## clang-tidy over the sources
	clang-tidy --quiet $(CORE) $(DEVICES) $(UI) src/main.c -- $(CPPFLAGS) -std=gnu11

clean: ## remove what was built
	rm -rf build/release build/asan build/tsan build/fuzz $(BIN)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(filter-out %.d,$(MAKEFILE_LIST)) | sort -u | expand -t 14

-include $(shell find $(V) build/fuzz -name '*.d' 2>/dev/null)
