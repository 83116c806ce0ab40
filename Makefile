# What a developer runs. "make help" lists the targets from the "#?" lines.
# Everything needs Go alone, but: integration (Java and Maven, for a real Apache Kafka) and proto (protoc).

GO       ?= go
SEEDS    ?= 200
FUZZTIME ?= 30s
TOOL     := $(GO) tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help build test race cover fuzz sim scenario integration mutants lint fmt golden vuln tidy-check check proto

#? help: this list
help:
	@sed -n 's/^#? //p' $(MAKEFILE_LIST)

#? build: all packages, and the two programs into bin/
build:
	$(GO) build ./...
	mkdir -p bin
	$(GO) build -o bin/ ./gateway ./testnet

#? test: the tests that need Go alone
test:
	$(GO) test ./...

#? race: the same under the race detector
race:
	$(GO) test -race ./...

#? cover: line coverage over all packages, into cover.out
cover:
	$(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -n 1

#? fuzz: each fuzz test for FUZZTIME (30s)
fuzz:
	bash .ci/fuzz $(FUZZTIME)

#? sim: the simulator over SEEDS (200) seeds, each its own plan of faults
sim:
	$(GO) test ./gateway/internal/simtest -count=1 -timeout 4h -run TestSim -seeds $(SEEDS)

#? scenario: the testnet's integration tests: real processes, real kills
scenario:
	$(GO) test -count=1 -timeout 30m -tags integration ./testnet/...

#? integration: all integration tests (a real Apache Kafka among them)
integration:
	bash .ci/integration

#? mutants: plant each known bug and see that the simulator finds it
mutants:
	bash .ci/mutants

#? lint: golangci-lint with .golangci.yml
lint:
	$(TOOL) golangci-lint run ./...

#? fmt: format all Go files
fmt:
	$(TOOL) golangci-lint fmt ./...

#? golden: write the expected files of the tests anew; read the difference before you commit it
golden:
	grep -rl --include='*_test.go' '"rewrite"' . | grep -v internal/simtest/ | xargs -r -n1 dirname | sort -u | xargs -r -I{} $(GO) test {} -count=1 -rewrite
	$(GO) test ./gateway/internal/simtest -count=1 -run TestGolden -rewrite

#? vuln: known vulnerabilities of the dependencies; needs a machine that reaches the database
vuln:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

#? tidy-check: go.mod and go.sum are as go mod tidy would write them
tidy-check:
	$(GO) mod tidy -diff
	cd tools && $(GO) mod verify

#? proto: generate Go from the .proto files (Debian: protobuf-compiler)
proto:
	mkdir -p bin
	GOBIN=$(CURDIR)/bin $(GO) install -modfile=tools/go.mod google.golang.org/protobuf/cmd/protoc-gen-go
	PATH="$(CURDIR)/bin:$$PATH" $(GO) generate -run protoc ./...

#? check: all that the build machine runs
check:
	bash .ci/run
