# Everything that is done with this tree goes through a target here; CI calls
# nothing else. `make help` lists them.

SHELL       := /bin/bash
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT      ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
DATE        ?= $(shell date -u +%Y-%m-%dT%H:%M:%SZ)
BUILDINFO   := sekali/internal/buildinfo
LDFLAGS     := -s -w -X $(BUILDINFO).version=$(VERSION) -X $(BUILDINFO).commit=$(COMMIT) -X $(BUILDINFO).date=$(DATE)
LINT        := .tools/golangci-lint-$(shell cat .golangci-version)
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
BENCHSTAT   := .tools/benchstat-$(BENCHSTAT_VERSION)
# The peers of the benchmarks have a module of their own, so that their clients
# are not in go.mod.
PEERS_MODULE := loadtest/peers
TEST_FLAGS  ?= -race -shuffle=on -timeout 20m
FUZZTIME    ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build run test test-tools states unit prove prove-teeth check fmt format vet lint generated tidy generate fuzz bench benchcmp bench-peers loadtest goals image clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/sekali, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sekali ./cmd/sekali

run: build ## build the server and start it on 127.0.0.1:8080 with ./data
	bin/sekali serve

test: test-tools states ## install what the tests need, and run them all with the race detector
	$(GO) test $(TEST_FLAGS) ./...
	cd $(PEERS_MODULE) && $(GO) test $(TEST_FLAGS) ./...

test-tools:
	@apptest/install.sh

# These open tens of thousands of stores. The race detector makes that twenty times
# slower, so with it there are some hundreds.
states: ## check crash states, injected I/O errors and damaged files without the race detector
	$(GO) test -timeout 20m -run '^TestFault0[246]' ./persistence/sqlite

unit: ## run the tests without the container
	$(GO) test $(TEST_FLAGS) $$($(GO) list ./... | grep -v apptest/container)

# The tests of faults run in `make test`, too, for minutes. The script has the
# defaults of its variables.
prove: test-tools ## the fault tests as for a release, hours (ROWS="1 3" OUT=folder); results in docs/faults.md
	internal/prove/run.sh

prove-teeth: ## plant twelve known bugs, one after the other: the tests must catch each (BUG=name for one)
	$(GO) run ./internal/prove/teeth -bug '$(BUG)'

check: fmt vet lint generated tidy ## format, vet, lint, generated files and go.mod are in order

fmt: $(LINT)
	@out=$$($(LINT) fmt --diff 2>&1); test -z "$$out" || { echo "$$out"; echo "not formatted: run 'make format'"; exit 1; }

format: $(LINT) ## format the Go files
	$(LINT) fmt

vet:
	$(GO) vet ./...
	cd $(PEERS_MODULE) && $(GO) vet ./...

lint: $(LINT)
	$(LINT) run
	cd $(PEERS_MODULE) && $(CURDIR)/$(LINT) run

$(LINT):
	@mkdir -p .tools
	GOBIN=$(CURDIR)/.tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(shell cat .golangci-version)
	@mv .tools/golangci-lint $@

# The generated files are compared by tests that can also write them.
GENERATED := ./cmd/sekali ./httpserver

generated:
	$(GO) test -count=1 -run '^TestGenerated' $(GENERATED)

generate: ## write the generated references (docs/configuration.md, docs/errors.md)
	$(GO) test -count=1 -run '^TestGenerated' $(GENERATED) -update

# -e: a test of modernc.org/sqlite needs google/pprof, which proxies may not
# serve; so its lines in go.sum, which then come and go, do not count.
tidy:
	@for module in . $(PEERS_MODULE); do \
	  out=$$(cd $$module && $(GO) mod tidy -e -diff 2>/dev/null | grep -E '^[+-][^+-]' | grep -v github.com/google/pprof); \
	  test -z "$$out" || { echo "$$out"; echo "go.mod in $$module is not tidy: run 'go mod tidy -e' there"; exit 1; }; done

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@set -e; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done

# BENCH names the micro benchmarks to run, COUNT how often, OUT where the figures
# go, BASE what benchcmp compares with. Each run is short: the count tells the
# noise, and benchcmp takes turns so that both sides have the same.
BENCH       ?= .
COUNT       ?= 10
BENCHTIME   ?= 0.2s
OUT         ?= bin/bench.txt
BASE        ?= $(shell git rev-parse --verify --quiet origin/main || echo HEAD~1)
BENCH_RUN    = $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -timeout 30m ./...
QUIETLY      = sed -E '/^(PASS$$|ok |\?)/d'

bench: ## run the micro benchmarks (BENCH=pattern COUNT=10 OUT=file)
	@mkdir -p $(dir $(OUT))
	@set -o pipefail; $(BENCH_RUN) -count $(COUNT) | $(QUIETLY) | tee $(OUT)

benchcmp: $(BENCHSTAT) ## compare the micro benchmarks with BASE=ref, in turns (BENCH, COUNT and OUT, too)
	@set -e -o pipefail; mkdir -p $(dir $(OUT)); base=$$(mktemp -d); trap 'git worktree remove --force '$$base EXIT; \
	git worktree add --quiet --detach $$base $(BASE); rm -f $(OUT).base $(OUT); \
	for turn in $$(seq $(COUNT)); do echo "turn $$turn of $(COUNT)"; \
	  (cd $$base && $(BENCH_RUN)) | $(QUIETLY) >>$(OUT).base; $(BENCH_RUN) | $(QUIETLY) >>$(OUT); done; \
	$(BENCHSTAT) base=$(OUT).base here=$(OUT)

$(BENCHSTAT):
	@mkdir -p .tools
	GOBIN=$(CURDIR)/.tools $(GO) install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)
	@mv .tools/benchstat $@

loadtest: build ## the stress run: 5,000 events, half of them repeats
	bin/sekali loadtest stress

# The script has the defaults of its variables; make passes on what it was given.
goals: build ## run each profile RUNS (3) times, to EVENTS (20000000), results in OUT (bench-results)
	loadtest/goals.sh

# GROWTH=5000000 is one long run of those that are worth seeing grow. DOCS= keeps
# the page as it is.
EVENTS ?= 1000000
RUNS   ?= 3
PEERS  ?= all
CONNECTIONS ?= 0
GROWTH ?= 0
PEERS_OUT ?= bench-results/peers
DOCS   ?= docs/benchmarks.md
WORK   ?= $(or $(TMPDIR),/tmp)
bench-peers: build ## the same events for Sekali, NATS, PostgreSQL, Redis and a plain table
	@loadtest/peers/install.sh $(PEERS) $(CURDIR)/.tools
	cd $(PEERS_MODULE) && $(GO) build -o $(CURDIR)/.tools/peers .
	.tools/peers -events $(EVENTS) -runs $(RUNS) -peers $(PEERS) -connections $(CONNECTIONS) -growth $(GROWTH) -out $(PEERS_OUT) -docs '$(DOCS)' -work $(WORK) -nats .tools/nats-server

image: ## build the container image
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) -t sekali .

clean: ## remove what was built
	rm -rf bin .tools
