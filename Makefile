# make            builds ./redis-shard
# make test       every test; ends with "N passed, N failed"
# make SAN=...    address, undefined, thread or integer, in a folder of its own
# make help       the other targets

CC ?= gcc
PREFIX ?= /usr/local
# A system-wide installation keeps its configuration in /etc, where administrators look and backups are made.
SYSCONFDIR ?= $(if $(filter /usr /usr/,$(PREFIX)),/etc,$(PREFIX)/etc)
DESTDIR ?=
SAN ?=
BUILD := build/$(if $(SAN),$(SAN),release)
LAYERS := base net proto types store cache cluster bus transfer salt server commands

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(BUILD)/gen
CFLAGS += -std=gnu11 -O2 -g -fno-strict-aliasing -fno-omit-frame-pointer -pthread $(WARNINGS)
LDLIBS += -lev -lhiredis -lxxhash -lm
ifeq ($(SAN),)
CFLAGS += -flto=auto -ffat-lto-objects
# Objects hold machine code as well, for the unit tests: to optimize each of these programs as a whole takes longer than all they do. So it is with the
# tests' own code beyond -O1.
UNIT_FLAGS := -fno-lto -O1
LDFLAGS += -flto=auto -rdynamic -Wl,--build-id
LDLIBS += -ljemalloc
else
SANITIZERS_address := address,undefined
# Unsigned sums that wrap are no error in C, but a length that did is one: clang reports them. Where they are meant to is listed.
SANITIZERS_integer := undefined,unsigned-integer-overflow,implicit-conversion -fsanitize-ignorelist=tests/integer.ignore
ifeq ($(SAN),integer)
CC := clang
endif
CFLAGS += -O1 -fsanitize=$(or $(SANITIZERS_$(SAN)),$(SAN)) -DSANITIZED=1
ifneq ($(filter address undefined integer,$(SAN)),)
CFLAGS += -fno-sanitize-recover=all
endif
LDFLAGS += -rdynamic
endif
, := ,

# What each layer may stand on: the linker shows the arrows still hold.
DEPS_base :=
DEPS_net := base
DEPS_proto := base
DEPS_types := base
DEPS_store := types base
DEPS_cache := store types base
DEPS_cluster := base
DEPS_bus := cluster net store types base
DEPS_transfer := bus cluster cache store types net proto base
DEPS_salt := transfer bus cluster cache store types net proto base
DEPS_server := salt transfer bus cluster cache store types net proto base
DEPS_commands := server salt transfer bus cluster cache store types net proto base

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/$(1)/*.c))
libs = $(foreach layer,$(1) $(DEPS_$(1)),$(if $(call objects,$(layer)),$(BUILD)/lib$(layer).a))
ALL_OBJECTS := $(foreach layer,$(LAYERS),$(call objects,$(layer))) $(BUILD)/src/main.o

.PHONY: all
all: redis-shard

ifeq ($(SAN),integer)
$(ALL_OBJECTS): tests/integer.ignore
endif

# The headers of the C library (which Debian's gcc only recommends) and of the others, or the packages that bring them. Where they are
# there this costs five file checks.
HEADERS := $(foreach header,malloc.h ev.h hiredis/hiredis.h jemalloc/jemalloc.h xxhash.h,$(firstword $(wildcard \
	$(foreach folder,/usr/include /usr/local/include /usr/include/x86_64-linux-gnu /usr/include/aarch64-linux-gnu,$(folder)/$(header))) missing))
ifneq ($(filter missing,$(HEADERS)),)
$(ALL_OBJECTS): | deps
endif
.PHONY: deps
deps:
	@deps/install.sh build

ifeq ($(SAN),)
redis-shard: $(BUILD)/redis-shard
	@cp -f $< $@.tmp && mv -f $@.tmp $@
else
.PHONY: redis-shard
redis-shard: $(BUILD)/redis-shard
endif

$(BUILD)/redis-shard: $(ALL_OBJECTS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define layer_rules
$(BUILD)/lib$(1).a: $(call objects,$(1))
	@rm -f $$@
	gcc-ar rcs $$@ $$^
UNIT_$(1) := $(patsubst tests/unit/$(1)/%.c,$(BUILD)/unit/$(1)/%,$(wildcard tests/unit/$(1)/test_*.c))
$$(UNIT_$(1)): $(BUILD)/unit/$(1)/%: tests/unit/$(1)/%.c $(call libs,$(1))
	@mkdir -p $$(@D)
	$(CC) $(CPPFLAGS) -Itests $(filter-out -flto=auto -ffat-lto-objects,$(CFLAGS)) $(filter-out -flto=auto,$(LDFLAGS)) $(UNIT_FLAGS) -MMD -MP -o $$@ $$< $(call libs,$(1)) -lcmocka $(LDLIBS)
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rules,$(layer))))
UNIT_TESTS := $(foreach layer,$(LAYERS),$(UNIT_$(layer)))

# --- tests ---
.PHONY: soak soak-build test unit-tests integration cluster-tests client-tests instructions instructions-record fuzz-smoke fuzz fuzz-build sim sim-large sim-build run-unit-tests
test: test-deps
	@tests/run all
unit-tests: $(UNIT_TESTS)
run-unit-tests: test-deps
	@tests/run unit $(NAME)
integration: test-deps
	@tests/run integration $(NAME)
cluster-tests: test-deps
	@tests/run cluster $(NAME)
client-tests: test-deps
	@tests/run clients $(NAME)
instructions: test-deps
	@tests/run instructions
instructions-record: test-deps
	@RECORD=1 tests/run instructions
fuzz-smoke: test-deps
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),30) tests/run fuzz $(NAME)
fuzz: test-deps
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) tests/run fuzz $(NAME)
sim: test-deps
	@SIM_ARGS="1 $(or $(SEEDS),500)" SALT_SIM_ARGS="1 $(or $(SEEDS),5000)" tests/run sim
sim-large: sim-build
	@$(BUILD)/sim/sim large 500 1000
soak: test-deps
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),14400) tests/run soak
soak-build: build/soak/load build/soak/moves
build/soak/%: tests/soak/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARNINGS) -pthread -o $@ $<
.PHONY: test-deps
test-deps:
	@deps/install.sh build test
	@# Without a database the examples that need one are skipped, and say so.
	@deps/install.sh examples || true

# The fuzz targets are built by clang, the layers they need with them.
FUZZ_CC ?= clang
FUZZ_LAYERS := base proto types store cache cluster transfer salt
FUZZ_CFLAGS := -std=gnu11 -O1 -g -fno-strict-aliasing -fno-omit-frame-pointer -pthread -Wall -Wextra -fsanitize=address,undefined \
	-fno-sanitize-recover=all -DSANITIZED=1
FUZZ_LDFLAGS :=
FUZZ_OBJECTS := $(patsubst %.c,build/fuzz/%.o,$(foreach layer,$(FUZZ_LAYERS),$(wildcard src/$(layer)/*.c)) $(wildcard src/server/config*.c src/server/event_class.c))
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
# What walks over 16384 slots for every input is not asked for each comparison: that would be most of the time, and tells nothing.
$(patsubst %,build/fuzz/src/cluster/%.o,announce cluster node text view): FUZZ_CFLAGS += -fno-sanitize-coverage=trace-cmp
# Its files are the input's, and none of the machine's.
build/fuzz/fuzz_config: FUZZ_LDFLAGS := -Wl,--wrap=fopen -Wl,--wrap=glob -Wl,--wrap=globfree
fuzz-build: $(FUZZ_TARGETS)
build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
build/fuzz/libfuzzed.a: $(FUZZ_OBJECTS)
	@rm -f $@
	ar rcs $@ $^
build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c build/fuzz/libfuzzed.a
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) -Itests $(FUZZ_CFLAGS) -fsanitize=fuzzer $(FUZZ_LDFLAGS) -MMD -MP -MF $@.d -o $@ $< build/fuzz/libfuzzed.a -lhiredis -lxxhash -lm

# The simulators are two programs: the cluster core on a simulated network.
sim-build: $(BUILD)/sim/sim $(BUILD)/sim/salt
$(BUILD)/tests/sim/%.o: CPPFLAGS += -Itests
# And another: homes and helpers of salted keys on one of their own.
$(BUILD)/sim/salt: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/salt/*.c)) $(call libs,salt)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/sim/sim: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c)) $(call libs,cluster)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# --- measuring, trying ---
.PHONY: bench bench-docs demo demo-stop
BENCH_PROGRAMS := $(addprefix build/bench/,load floor idle)
bench: redis-shard $(BENCH_PROGRAMS) soak-build
	@deps/install.sh bench
	@utils/bench/run
bench-docs:
	@utils/bench/docs
build/bench/%: utils/bench/%.c utils/bench/protocol.c $(wildcard utils/bench/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARNINGS) -pthread -o $@ $< $(if $(filter load,$*),utils/bench/protocol.c) $(if $(filter idle,$*),-lev -ljemalloc) -lm
# What is missed at equal memory, by replaying a folder of traces against this node and redis-server: TRACES=folder.
.PHONY: hitratio hitratio-traces hitratio-simulate
hitratio: redis-shard build/hitratio/replay
	@deps/install.sh bench
	@utils/hitratio/run $(if $(TRACES),$(TRACES),$(error say where the traces are: make hitratio TRACES=folder))
hitratio-simulate: build/hitratio/simulate
hitratio-traces: build/hitratio/generate
	@mkdir -p build/hitratio/traces
	@for kind in $$(build/hitratio/generate kinds); do \
		build/hitratio/generate $$kind $(or $(SEED),1) $(or $(REQUESTS),400000) >build/hitratio/traces/$$kind.txt || exit 1; done
	@echo "traces of $(or $(REQUESTS),400000) requests are in build/hitratio/traces"
build/hitratio/replay build/hitratio/generate: build/hitratio/%: utils/hitratio/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARNINGS) -o $@ $< -lm
build/hitratio/simulate: utils/hitratio/simulate.c $(call libs,cache)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call libs,cache) $(LDLIBS)
# What the cache features must show, beside redis-server with plain GET, SET and DEL: SHORT=1, SEED=n, ONLY="staleness stampede".
.PHONY: experiments experiments-build experiments-docs
experiments-docs:
	@PAGE=docs/experiments.md REPORT=build/experiments/report.md utils/bench/docs
experiments: redis-shard experiments-build
	@deps/install.sh bench
	@utils/experiments/run
experiments-build: build/experiments/experiments build/experiments/wire $(patsubst utils/experiments/%.c,build/experiments/%,$(wildcard utils/experiments/hotkeys.c)) build/bench/load
build/experiments/hotkeys: utils/experiments/hotkeys.c $(call libs,server)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call libs,server) $(LDLIBS)
build/experiments/experiments: $(patsubst utils/experiments/%.c,build/experiments/%.o,$(filter-out utils/experiments/hotkeys.c,$(wildcard utils/experiments/*.c)))
	$(CC) -o $@ $^ -pthread -lhiredis -lm
build/experiments/%.o: utils/experiments/%.c $(wildcard utils/experiments/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARNINGS) -pthread -c -o $@ $<
build/experiments/wire: tests/support/wire.c
	@mkdir -p $(@D)
	$(CC) -O1 -D_GNU_SOURCE -o $@ $<
# What users read first: utils/examples/README.md.
.PHONY: examples
examples: build/examples/cache_aside build/examples/hot_key
build/examples/%: utils/examples/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g $(WARNINGS) -o $@ $< -lhiredis
demo:
	@deps/install.sh build test
	@$(MAKE) --no-print-directory redis-shard
	@utils/demo start
demo-stop:
	@utils/demo stop

# --- the look of it ---
.PHONY: format lint docs
C_FILES = $(wildcard src/*/*.[ch] src/*.c tests/unit/*/*.[ch] tests/unit/*.h tests/fuzz/*.[ch] tests/sim/*.[ch] tests/sim/salt/*.[ch] tests/soak/*.c utils/bench/*.[ch] utils/hitratio/*.c utils/experiments/*.[ch] utils/examples/*.c)
format:
	@deps/install.sh lint
	clang-format -i $(C_FILES)
lint:
	@deps/install.sh build lint
	@utils/lint
docs: redis-shard
	@utils/docs

# --- installing ---
.PHONY: install uninstall
install: redis-shard
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/lib/systemd/system \
		$(DESTDIR)$(PREFIX)/share/doc/redis-shard $(DESTDIR)$(SYSCONFDIR)/redis-shard
	install -m 755 redis-shard $(DESTDIR)$(PREFIX)/bin/redis-shard
	sed 's|@PREFIX@|$(PREFIX)|g; s|@SYSCONFDIR@|$(SYSCONFDIR)|g' utils/redis-shard.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/redis-shard.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/redis-shard.service
	install -m 644 docs/redis-shard.1 $(DESTDIR)$(PREFIX)/share/man/man1/redis-shard.1
	install -m 644 README.md LICENSE CHANGELOG.md $(DESTDIR)$(PREFIX)/share/doc/redis-shard/
	@# A configuration that somebody has edited stays.
	test -e $(DESTDIR)$(SYSCONFDIR)/redis-shard/redis-shard.conf || \
		install -m 640 redis-shard.conf $(DESTDIR)$(SYSCONFDIR)/redis-shard/redis-shard.conf
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/redis-shard $(DESTDIR)$(PREFIX)/share/man/man1/redis-shard.1 \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/redis-shard.service
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/redis-shard
	@echo "kept: $(DESTDIR)$(SYSCONFDIR)/redis-shard"

.PHONY: clean
clean:
	@utils/demo stop >/dev/null 2>&1 || true
	rm -rf build redis-shard tests/clients/node_modules

.PHONY: help
help:
	@echo "make                 build ./redis-shard (installs missing packages first)"
	@echo "make demo            a three-node cluster to play with; make demo-stop ends it"
	@echo "make test            every test: unit, integration, cluster, clients, sim, fuzz"
	@echo "make run-unit-tests, integration, cluster-tests, client-tests, sim, fuzz-smoke: one suite, NAME=part of a name"
	@echo "make instructions    instructions a command takes, against those recorded; make instructions-record records them"
	@echo "make soak            clients that behave badly, for SOAK_SECONDS (4 hours)"
	@echo "make sim SEEDS=n     the cluster core, and the leases of salted keys, on simulated networks: n stories (500, 5000); make sim-large: 500 and 1000 nodes"
	@echo "make fuzz            every fuzz target for 10 minutes (FUZZ_SECONDS=n)"
	@echo "make bench           what is promised of speed and memory, measured (SHORT=1: a quick look; ONLY=\"cpu memory\": these sections)"
	@echo "make bench-docs      puts the last full report of make bench into docs/benchmarks.md"
	@echo "make hitratio TRACES=folder: misses at equal memory, this node against redis-server; make hitratio-traces makes some"
	@echo "make experiments     what the cache features must show, beside redis-server (SHORT=1: three minutes; ONLY=\"staleness hot\"; SEED=n)"
	@echo "make experiments-docs puts the last full report of make experiments into docs/experiments.md"
	@echo "make examples        builds the examples in C; utils/examples/README.md tells of all"
	@echo "make SAN=address     a sanitizer build in build/address; also undefined, thread, integer (clang)"
	@echo "make install         to PREFIX ($(PREFIX)) and SYSCONFDIR ($(SYSCONFDIR)) under DESTDIR; make uninstall"
	@echo "make format, lint    clang-format; clang-format, clang-tidy, cppcheck and the project's own checks"
	@echo "make docs            docs/commands.md and redis-shard.conf from the server's own tables"
	@echo "make clean"

-include $(shell find build -name '*.d' 2>/dev/null)
