# sleek speedy: daemons, tools and the nginx module.
#
#   make                     everything, into build/
#   make B=build/asan SAN=1  with AddressSanitizer and UBSan
#   make FAILPOINTS=1        places where tests may stop or kill a daemon
#   make BUGS="SPEEDY_BUG_X" a seeded bug that a test must catch
#   make V=1                 shows the commands
#   make unit                builds and runs the C unit tests
#   make module | daemons | tools | clean
#
# `./dev up` installs what this needs on Debian 12.

B ?= build
Q := $(if $(V),,@)
CC ?= gcc
NGX_SRC ?= /usr/share/nginx/src
ROLES := $(patsubst daemons/%/main.c,%,$(wildcard daemons/*/main.c))
LIBS := hiredis rdkafka libmariadb yajl libcurl libmicrohttpd libcrypto libargon2 libidn2

DEFS := $(if $(FAILPOINTS),-DSPEEDY_FAILPOINTS) $(addprefix -D,$(BUGS))
comma := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer)
# Fortified sources and the sanitizers do not mix.
HARDEN := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-format-zero-length \
	$(CFLAGS) $(HARDEN) \
	$(SANFLAGS) $(DEFS) -I$(B)/gen -MMD -MP \
	$(shell pkg-config --cflags $(LIBS) 2>/dev/null)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS)
ALL_LIBS := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lpthread

objects = $(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)/*.c))

BINARIES := $(addprefix $(B)/bin/,$(ROLES) shoppers readers faultproxy paysandbox)
MODULE := $(B)/ngx_http_speedy_module.so
UNIT_SOURCES := $(wildcard t/unit/*/*_test.c)
UNIT_TESTS := $(patsubst t/unit/%_test.c,$(B)/unit/%_test,$(UNIT_SOURCES))

all: daemons tools module
daemons: $(addprefix $(B)/bin/,$(ROLES))
tools: $(B)/bin/shoppers $(B)/bin/readers $(B)/bin/faultproxy $(B)/bin/paysandbox
module: $(MODULE)

# What was built with other flags is built anew.
FLAGS_FILE := $(B)/flags
$(shell mkdir -p $(B)/gen && echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' \
	| cmp -s - $(FLAGS_FILE) \
	|| echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' > $(FLAGS_FILE))

$(B)/gen/speedy_lua.h: lua/embed $(wildcard lua/*.lua) $(FLAGS_FILE)
	@mkdir -p $(@D)
	$(Q)lua/embed $(DEFS) > $@.new && mv $@.new $@

$(B)/obj/%.o: %.c $(FLAGS_FILE) | $(B)/gen/speedy_lua.h
	@mkdir -p $(@D)
	$(Q)echo "  CC   $<"; $(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/obj/daemons/shop/scripts.o: $(B)/gen/speedy_lua.h

$(B)/libcommon.a: $(call objects,daemons/common)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/libshop.a: $(call objects,daemons/shop)
	$(Q)rm -f $@ && ar rcs $@ $^

define role
$(B)/bin/$(1): $(call objects,daemons/$(1)) $(B)/libshop.a $(B)/libcommon.a
	@mkdir -p $$(@D)
	$(Q)echo "  LINK $$@"; $(CC) $(ALL_LDFLAGS) -o $$@ $$^ $(ALL_LIBS)
endef
$(foreach r,$(ROLES),$(eval $(call role,$(r))))

$(B)/bin/shoppers: $(call objects,bench/shoppers)
	@mkdir -p $(@D)
	$(Q)echo "  LINK $@"; $(CC) $(ALL_LDFLAGS) -o $@ $^ -lm
$(B)/bin/readers: $(call objects,bench/readers)
	@mkdir -p $(@D)
	$(Q)echo "  LINK $@"; $(CC) $(ALL_LDFLAGS) -o $@ $^
$(B)/bin/faultproxy: $(call objects,t/faultproxy)
	@mkdir -p $(@D)
	$(Q)echo "  LINK $@"; $(CC) $(ALL_LDFLAGS) -o $@ $^
$(B)/bin/paysandbox: $(call objects,t/sandbox) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(Q)echo "  LINK $@"; $(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

# The module, out of tree against the headers of Debian's nginx-dev. configure
# runs again only when `config`, the flags or the set of files change.
NGX_B := $(abspath $(B))/nginx
NGX_FILES := $(wildcard ngx_module/*.c ngx_module/*.h)
NGX_OPT := -g -O2 -fPIC $(SANFLAGS) $(DEFS) -I$(abspath $(B))/gen
$(NGX_B)/Makefile: config $(FLAGS_FILE) $(B)/gen/file-list
	$(Q)echo "  CONF nginx module"; cd $(NGX_SRC) && bash -c '. ./conf_flags && ./configure \
		"$${NGX_CONF_FLAGS[@]}" --with-cc-opt="$(NGX_OPT)" \
		--with-ld-opt="$(SANFLAGS)" --add-dynamic-module=$(CURDIR) \
		--builddir=$(NGX_B)' > $(abspath $(B))/configure.log \
		|| { cat $(abspath $(B))/configure.log; exit 1; }

$(shell echo '$(sort $(NGX_FILES))' | cmp -s - $(B)/gen/file-list \
	|| echo '$(sort $(NGX_FILES))' > $(B)/gen/file-list)

$(MODULE): $(NGX_B)/Makefile $(NGX_FILES) $(B)/gen/speedy_lua.h \
		daemons/shop/names.h
	$(Q)echo "  MAKE $@"; rm -rf $(NGX_B)/addon; mkdir -p $(NGX_B)/addon/ngx_module; \
		$(MAKE) -s -f $(NGX_B)/Makefile -C $(NGX_SRC) modules > $(B)/module.log 2>&1 \
		|| { cat $(B)/module.log; exit 1; }
	$(Q)cp $(NGX_B)/ngx_http_speedy_module.so $@.new; mv $@.new $@

# Units: t/unit/<what>/x_test.c with every other file of its folder, the two
# libraries, and the objects of the role of that name but its main.
helpers = $(filter-out %_test.o,$(call objects,$(1)))
define unit
$(B)/unit/$(1)_test: $(B)/obj/t/unit/$(1)_test.o \
		$(sort $(call helpers,t/unit/common) \
			$(call helpers,t/unit/$(patsubst %/,%,$(dir $(1))))) \
		$(filter-out %/main.o,$(if $(filter common/ shop/,$(dir $(1))),,\
			$(call objects,daemons/$(patsubst %/,%,$(dir $(1)))))) \
		$(B)/libshop.a $(B)/libcommon.a
	@mkdir -p $$(@D)
	$(Q)echo "  LINK $$@"; $(CC) $(ALL_LDFLAGS) -o $$@ \
		$(B)/obj/t/unit/$(1)_test.o $$(filter-out %_test.o,$$^) \
		-lcmocka $$(UNIT_LIBS) $(ALL_LIBS)
endef
$(foreach t,$(patsubst t/unit/%_test.c,%,$(UNIT_SOURCES)),\
	$(eval $(call unit,$(t))))

# Tokens are checked by the library that nginx's module checks them by.
$(B)/unit/speedyctl/token_test $(B)/unit/common/jwt_test \
	$(B)/unit/userd/login_test: UNIT_LIBS := -ljwt

unit-build: $(UNIT_TESTS)
unit: unit-build
	@set -e; for t in $(UNIT_TESTS); do $$t; done

clean:
	rm -rf $(B)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
.PHONY: all daemons tools module unit unit-build clean
.DELETE_ON_ERROR:
