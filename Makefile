# The project's verbs; README.md says what each is for.
#
# Every verb first makes sure that the Debian packages it needs are there
# (build/deps.sh, silent when nothing is missing).

GO ?= go
OUT := build/out

# The library shows the C_ functions and nothing else, binds them to itself
# whatever else is loaded, and stays: threads of Go live in it.
LIBRARY := $(OUT)/libgrep11-pkcs11.so
LDLIBRARY := -s -w -extldflags "-Wl,--version-script=$(CURDIR)/c/exports.map -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now"

# How long each fuzz target runs in `make fuzz`.
FUZZTIME ?= 10s
# One of emulated, softhsm, plain for `make conformance`; all if empty.
KIND ?=
# Arguments of the benchmark, for example `make bench BENCH="-time 3s"`.
BENCH ?=
# Arguments of the chaos test.
CHAOS ?=

# How many random calls `make machine` makes, and which.
CALLS ?= 1000000
SEED ?= 1

# Where `make install` puts things; packages set DESTDIR.
DESTDIR ?=
PREFIX ?= /usr
LIBDIR ?= $(PREFIX)/lib/$(shell gcc -print-multiarch)
DOCDIR := $(PREFIX)/share/doc/grep11
APPLICATIONS := $(addprefix conformance/consumers/testdata/,openssl.cnf nginx.conf apache.conf stunnel.conf haproxy.cfg \
	knot.conf strongswan.conf gnupg-pkcs11-scd.conf java.cfg pykcs11.py)

.PHONY: build demo test chaos bench vectors check generate fuzz machine sanitize clean

# -v names each package as it is compiled: the first time takes minutes.
build:
	@build/deps.sh build
	@mkdir -p $(OUT)
	@test -e $(OUT)/grep11 || echo "Building into $(OUT); the first time takes a few minutes, later ones seconds."
	$(GO) build -v -o $(OUT)/grep11 ./server/cmd/grep11
	$(GO) build -v -buildmode=c-shared -trimpath -ldflags '$(LDLIBRARY)' -o $(LIBRARY) ./c
	@rm -f $(LIBRARY:.so=.h)

demo: build
	@build/deps.sh demo
	@build/demo.sh

# The consumers' programs are tested last, by conformance, which leaves a list
# of those that ran.
test: build
	@build/deps.sh test
	@rm -f $(OUT)/consumers.txt
	$(GO) test -race $$($(GO) list ./... | grep -v /conformance)
	@FUZZTIME=2s build/fuzz.sh short
	for kind in softhsm plain; do GREP11_SERVICE=$$kind $(GO) test -count=1 -run Pkcs11ToolLife ./conformance/consumers || exit 1; done
	$(GO) test -count=1 -p 1 -timeout 20m ./conformance/...
	@cat $(OUT)/consumers.txt

# The suites against emulated units, units on SoftHSM2 and plain GREP11, with a
# table at the end. KIND chooses one; it takes about ten minutes each.
conformance: build
	@build/deps.sh test
	$(GO) run ./build/conformance $(KIND)

check:
	@build/deps.sh check
	@build/check.sh

bench: build
	@build/deps.sh bench
	$(GO) run ./build/bench $(BENCH)

# Servers, units and database killed, stopped and cut off for ten minutes, under
# load, in network namespaces: it wants root. `make chaos CHAOS="-seed 7"`.
chaos: build
	@build/deps.sh test
	$(GO) test -count=1 -v -timeout 30m ./conformance/chaos -chaos 10m $(CHAOS)

# Over GREP11 and through the library. WYCHEPROOF_DIR names a folder of
# Wycheproof files; without it a few vectors from RFCs and Wycheproof are run.
# Then NIST's for all sets of SLH-DSA.
vectors: build
	$(GO) test -count=1 -v -run TestWycheproof ./conformance/vectors
	GREP11_TEST_ALL_SLHDSA=1 $(GO) test -count=1 -run 'TestUnit$$' ./server/soft

generate:
	@build/deps.sh generate
	@build/generate.sh

fuzz:
	@build/deps.sh build
	@FUZZTIME=$(FUZZTIME) build/fuzz.sh

# Calls against a model of the standard's states; make test has a short run.
machine: build
	$(GO) test -count=1 -v -timeout 2h -run 'TestMachine$$' ./conformance -machine.calls $(CALLS) -machine.seed $(SEED)

# The C ABI's tests on a library that watches memory; a few minutes.
sanitize: build
	@build/deps.sh test
	@build/sanitize.sh

# After `make build`. The library goes where OpenSSH's agent and p11-kit look;
# nothing is started, and p11-kit shows the module to few programs.
install:
	@test -e $(LIBRARY) || { echo "make build comes first" >&2; exit 1; }
	install -D -m 755 $(OUT)/grep11 $(DESTDIR)$(PREFIX)/bin/grep11
	install -D -m 644 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libgrep11-pkcs11.so
	install -D -m 644 build/install/grep11.module $(DESTDIR)$(PREFIX)/share/p11-kit/modules/grep11.module
	sed -i 's|^module: .*|module: $(LIBDIR)/libgrep11-pkcs11.so|' $(DESTDIR)$(PREFIX)/share/p11-kit/modules/grep11.module
	install -D -m 644 build/install/grep11.service $(DESTDIR)$(PREFIX)/lib/systemd/system/grep11.service
	install -D -m 644 build/install/grep11.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/grep11.conf
	install -d $(DESTDIR)/etc/grep11 $(DESTDIR)$(DOCDIR)/examples
	install -m 644 README.md $(DESTDIR)$(DOCDIR)
	install -m 644 server/example.toml $(DESTDIR)$(DOCDIR)/examples/server.toml
	install -m 644 build/install/client.toml $(APPLICATIONS) $(DESTDIR)$(DOCDIR)/examples

clean:
	rm -rf $(OUT)
