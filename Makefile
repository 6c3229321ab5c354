# SPDX-License-Identifier: GPL-3.0-or-later
# Ruche. `make help` lists the targets.

CC      ?= gcc
CLANG   ?= clang
V       ?= build/release
BIN     ?= ruche
OPT     ?= -O2
SAN     ?=
PKGS    := ncursesw readline libcap libseccomp yaml-0.1 json-c liblzma libzstd zlib liblz4
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
CFLAGS  := -std=gnu11 $(OPT) -g $(WARN) -D_GNU_SOURCE -fno-strict-aliasing
CPPFLAGS = -Isrc -I$(V)/gen -MMD -MP $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS     = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lZydis -pthread
PREFIX  ?= /usr/local

CORE    := $(wildcard src/core/*.c src/core/*/*.c)
DEVICES := $(wildcard src/devices/*.c)
UI      := $(wildcard src/ui/*.c)
LIBOBJ   = $(patsubst %.c,$(V)/%.o,$(CORE) $(DEVICES) $(UI))
UNIT    := $(wildcard tests/unit/test_*.c)
UNITBIN  = $(patsubst tests/unit/%.c,$(V)/tests/%,$(UNIT))
FUZZ    := $(wildcard tests/fuzz/fuzz_*.c)
FUZZBIN  = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ))

.PHONY: all help demo check check-unit check-fuzz guests tiny bench asan tsan fuzz deps install clean layers
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

# Parts with rules of their own: generated sources, tiny guests.
-include src/devices/devices.mk src/core/x86/x86.mk guests/guests.mk

all: $(BIN) tiny ## build ./ruche and the tiny guests

$(BIN): $(V)/src/main.o $(V)/libruche.a
	$(CC) $(SAN) -o $@ $^ $(LIBS)

$(V)/libruche.a: $(LIBOBJ)
	@rm -f $@
	ar rcs $@ $^

$(V)/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -pthread -c -o $@ $<

$(V)/tests/%: tests/unit/%.c $(V)/libruche.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -pthread -Itests -o $@ $< $(V)/libruche.a $(LIBS) -lcmocka

build/fuzz/%: tests/fuzz/%.c $(CORE) $(DEVICES) | $(GENERATED)
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) -std=gnu11 -O1 -g -D_GNU_SOURCE -fno-strict-aliasing -pthread -Itests \
	  -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o $@ $< $(filter %.c,$(CORE) $(DEVICES)) $(LIBS)

units: $(UNITBIN)

check-unit: $(UNITBIN) ## unit tests only
	tests/run unit

layers: ## check that layers run one way
	scripts/layers

tiny: $(TINY)

clean: ## remove what was built
	rm -rf build $(BIN)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort -u | expand -t 16

-include $(shell find $(V) -name '*.d' 2>/dev/null)
