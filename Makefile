# make            builds ./redis-shard
# make test       every test; ends with "N passed, N failed"
# make SAN=...    address, undefined or thread, in a folder of its own
# make help       the other targets

CC ?= gcc
PREFIX ?= /usr/local
SAN ?=
BUILD := build/$(if $(SAN),$(SAN),release)
LAYERS := base net proto types store cache cluster bus transfer server commands

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(BUILD)/gen
CFLAGS += -std=gnu11 -O2 -g -fno-strict-aliasing -fno-omit-frame-pointer -pthread $(WARNINGS)
LDLIBS += -lev -lhiredis -lxxhash -lm
ifeq ($(SAN),)
CFLAGS += -flto=auto
LDFLAGS += -flto=auto -rdynamic -Wl,--build-id
LDLIBS += -ljemalloc
else
CFLAGS += -O1 -fsanitize=$(if $(filter address,$(SAN)),address$(,)undefined,$(SAN)) -DSANITIZED=1
ifneq ($(filter address undefined,$(SAN)),)
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
DEPS_server := transfer bus cluster cache store types net proto base
DEPS_commands := server transfer bus cluster cache store types net proto base

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/$(1)/*.c))
libs = $(foreach layer,$(1) $(DEPS_$(1)),$(if $(call objects,$(layer)),$(BUILD)/lib$(layer).a))
ALL_OBJECTS := $(foreach layer,$(LAYERS),$(call objects,$(layer))) $(BUILD)/src/main.o

.PHONY: all
all: redis-shard

ifeq ($(SAN),)
redis-shard: $(BUILD)/redis-shard
	@cp -f $< $@.tmp && mv -f $@.tmp $@
else
redis-shard: $(BUILD)/redis-shard
endif

$(BUILD)/redis-shard: $(ALL_OBJECTS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define layer_rules
$(BUILD)/lib$(1).a: $(call objects,$(1))
	@rm -f $$@
	gcc-ar rcs $$@ $$^
UNIT_$(1) := $(patsubst tests/unit/$(1)/%.c,$(BUILD)/unit/$(1)/%,$(wildcard tests/unit/$(1)/test_*.c))
$$(UNIT_$(1)): $(BUILD)/unit/$(1)/%: tests/unit/$(1)/%.c $(call libs,$(1))
	@mkdir -p $$(@D)
	$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -MMD -MP -o $$@ $$< $(call libs,$(1)) -lcmocka $(LDLIBS)
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rules,$(layer))))
UNIT_TESTS := $(foreach layer,$(LAYERS),$(UNIT_$(layer)))

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS)

.PHONY: clean
clean:
	rm -rf build redis-shard

-include $(shell find build -name '*.d' 2>/dev/null)
