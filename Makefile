# Everything a developer or CI runs. `make` alone lists the targets.
# No target needs root, except that a missing PostgreSQL is installed with it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO   ?= go
ARGS ?=
# The version a binary tells: the nearest tag, or the commit, or "dev" outside a repository.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# VERSION says what a build is; asking git a second time fails for root in a user's folder.
export GOFLAGS ?= -buildvcs=false

TOOL     := $(GO) tool -modfile=tools/go.mod
# Starts one PostgreSQL, hands its address to the command and stops it afterwards.
WITH_PG  := $(GO) run ./internal/postgres/pgtest/withserver --
PACKAGES ?= ./...
# Flags of make bench and make bench-large.
BENCH ?=
# Flags and rooms of make mutants.
MUTANTS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: postgres ## Prepare a fresh clone: hooks, modules, PostgreSQL
	git config core.hooksPath .githooks
	$(GO) mod download
	@echo "ready: make run starts everything, make test runs the tests"

.PHONY: postgres
postgres: ## Install PostgreSQL's programs when they are missing
	@tools/install-postgres.sh

.PHONY: run
run: postgres build ## Run the main job on this machine (ARGS="--listen 127.0.0.1:9000" …)
	@exec bin/doisoat dev $(ARGS)

.PHONY: dev
dev: run ## The same as run

.PHONY: build
build: ## Build bin/doisoat
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/doisoat ./cmd/doisoat

.PHONY: test
test: postgres ## Run all tests on a real PostgreSQL (PACKAGES=./ledger/... for some)
	@echo "testing $$($(GO) list $(PACKAGES) | wc -l) packages"
	@$(WITH_PG) $(GO) test -timeout 20m $(PACKAGES)

.PHONY: race
race: postgres ## Run all tests with the race detector, nothing taken from the cache
	@$(WITH_PG) $(GO) test -race -count=1 -timeout 30m $(PACKAGES)

.PHONY: e2e
e2e: postgres build ## Run only the tests that start the binary
	@$(WITH_PG) $(GO) test -count=1 -v -run '^TestEndToEnd' ./cmd/...

.PHONY: bench
bench: postgres ## Measure posting against the same rows by hand, 6 minutes (BENCH="-rounds 3 -only group" …)
	@$(GO) run ./devtools/bench $(BENCH)

.PHONY: bench-large
bench-large: postgres ## Measure balances over 10,000,000 postings (BENCH="-postings 1000000" …)
	@$(GO) run ./devtools/bench -large $(BENCH)

.PHONY: bench-go
bench-go: postgres ## Run the benchmarks beside the tests (PACKAGES=./ledger/... for some)
	@$(WITH_PG) $(GO) test -run '^$$' -bench . -benchmem $(PACKAGES)

.PHONY: mutants
mutants: postgres ## Break each posting rule in turn, a test must notice (MUTANTS=./payments for some)
	@$(WITH_PG) $(GO) run ./devtools/mutate $(MUTANTS)

.PHONY: fmt
fmt: ## Format all Go code
	$(TOOL) golangci-lint fmt

.PHONY: lint
lint: ## Run the linters (their first build takes minutes)
	$(TOOL) golangci-lint run

.PHONY: generate
generate: ## Write generated code again (API server from web/api/openapi.yaml)
	$(TOOL) oapi-codegen -config web/api/openapi/oapi-codegen.yaml -o web/api/openapi/gen.go web/api/openapi.yaml

.PHONY: schema
schema: postgres ## Write migrations/schema.sql, the reviewed dump of what the migrations make
	@$(WITH_PG) $(GO) test -count=1 -run '^TestSchema' ./migrations/... -update

.PHONY: english
english: ## Show the share of comment sentences with vague words, per package
	@$(GO) run ./devtools/english

.PHONY: docs
docs: postgres ## Print the parts of the documents that come from the source
	@$(GO) test -count=1 ./devtools/tidy -run 'Printed|Licences' -update
	@$(GO) test -count=1 ./internal/auth -run '^TestManual' -update
	@$(WITH_PG) $(GO) test -count=1 -run 'Manual' ./dossiers ./payments ./reconcile/entries ./refunds ./remittance -update

.PHONY: check
check: ## Everything that needs no database: format, vet, rules, linters, modules, generated code, dead code
	@.ci/check

.PHONY: land
land: ## Record new migrations as landed: from then on their bytes never change
	@cd migrations && for f in [0-9]*.sql; do \
		grep -q "  $$f\$$" landed.sha256 || sha256sum "$$f" >> landed.sha256; \
	done
	@$(GO) test -count=1 ./devtools/tidy

.PHONY: release
release: check test ## Build dist/: static binaries with checksums, from a clean tree with landed migrations
	@test -z "$$(git status --porcelain)" || { echo "release: the tree has changes that are not committed" >&2; exit 1; }
	@cd migrations && for f in [0-9]*.sql; do \
		grep -q "  $$f\$$" landed.sha256 || { echo "release: $$f has not landed: make land" >&2; exit 1; }; \
	done
	@rm -rf dist && mkdir -p dist
	@for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' \
			-o "dist/doisoat-$(VERSION)-linux-$$arch" ./cmd/doisoat; \
	done
	@cd dist && sha256sum doisoat-* > SHA256SUMS && cat SHA256SUMS

.PHONY: clean
clean: ## Remove what builds made (not .doisoat: that is data)
	rm -rf bin dist coverage.txt
