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
TEST_FLAGS  ?= -race -shuffle=on -timeout 20m
FUZZTIME    ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build run test test-tools unit check fmt format vet lint generated tidy generate fuzz bench bench-peers loadtest image clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/sekali, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sekali ./cmd/sekali

run: build ## build the server and start it on 127.0.0.1:8080 with ./data
	bin/sekali serve

test: test-tools ## install what the tests need, and run them all with the race detector
	$(GO) test $(TEST_FLAGS) ./...

test-tools:
	@apptest/install.sh

unit: ## run the tests without the container
	$(GO) test $(TEST_FLAGS) $$($(GO) list ./... | grep -v apptest/container)

check: fmt vet lint generated tidy ## format, vet, lint, generated files and go.mod are in order

fmt: $(LINT)
	@out=$$($(LINT) fmt --diff 2>&1); test -z "$$out" || { echo "$$out"; echo "not formatted: run 'make format'"; exit 1; }

format: $(LINT) ## format the Go files
	$(LINT) fmt

vet:
	$(GO) vet ./...

lint: $(LINT)
	$(LINT) run

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

# -e: a test of modernc.org/sqlite needs a module that proxies may not serve.
tidy:
	@out=$$($(GO) mod tidy -e -diff 2>/dev/null); test -z "$$out" || { echo "$$out"; echo "go.mod is not tidy: run 'go mod tidy -e'"; exit 1; }

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@set -e; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

loadtest: build ## the stress run: 5,000 events, half of them repeats
	bin/sekali loadtest stress

# The peers have a module of their own, so that their clients are not in go.mod.
# GROWTH=5000000 is one long run of those that are worth seeing grow. DOCS= keeps
# the page as it is.
EVENTS ?= 1000000
RUNS   ?= 3
PEERS  ?= all
CONNECTIONS ?= 0
GROWTH ?= 0
OUT    ?= bench-results/peers
DOCS   ?= docs/benchmarks.md
WORK   ?= $(or $(TMPDIR),/tmp)
bench-peers: build ## the same events for Sekali, NATS, PostgreSQL, Redis and a plain table
	@loadtest/peers/install.sh $(PEERS) $(CURDIR)/.tools
	cd loadtest/peers && $(GO) build -o $(CURDIR)/.tools/peers .
	.tools/peers -events $(EVENTS) -runs $(RUNS) -peers $(PEERS) -connections $(CONNECTIONS) -growth $(GROWTH) -out $(OUT) -docs '$(DOCS)' -work $(WORK) -nats .tools/nats-server

image: ## build the container image
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) -t sekali .

clean: ## remove what was built
	rm -rf bin .tools
