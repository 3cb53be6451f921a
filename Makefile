# `make run` and `make test` start from a bare clone; each target installs what it needs.
.PHONY: run cluster test check bench release openapi configuration fmt help

help:
	@echo "make run            run Confab on http://127.0.0.1:6688"
	@echo "make cluster        run Confab as many processes: two chat servers, three notify servers, Redis, nginx"
	@echo "make check          check format, lints, documentation, licences, spelling, shell scripts and types"
	@echo "make test           run every test"
	@echo "make bench          run the benchmarks and their controls; one: PART=writes|sends|webhooks|push|abuse|fanout|latency|relay|presence|crowd|memory|scale"
	@echo "make release        build one self-contained confab with its checksum, under target/dist"
	@echo "make openapi        generate docs/openapi.json and the TypeScript types"
	@echo "make configuration  generate docs/configuration.md"
	@echo "make fmt            format the code"

run:
	@scripts/setup run
	@scripts/web build
	@scripts/step "building (minutes the first time, then seconds)" cargo build --locked --package confab
	@exec "$${CARGO_TARGET_DIR:-./target}/debug/confab" dev $(ARGS)

cluster:
	@scripts/setup cluster
	@scripts/web build
	@scripts/step "building (minutes the first time, then seconds)" cargo build --locked --package confab --package chat_server --package notify_server --package integration_server
	@exec "$${CARGO_TARGET_DIR:-./target}/debug/confab" cluster $(ARGS)

check:
	@scripts/setup check
	@scripts/step "checking the format" cargo fmt --all --check
	@scripts/step "linting" cargo clippy --locked --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" scripts/step "building the documentation" cargo doc --locked --workspace --no-deps
	@scripts/step "checking licences, bans and sources" cargo deny --locked check licenses bans sources
	@scripts/advisories
	@scripts/step "looking for unused dependencies" cargo machete
	@scripts/step "checking the spelling" target/python/bin/typos
	@scripts/step "checking the shell scripts" shellcheck scripts/advisories scripts/setup scripts/release scripts/step scripts/web .ci/run
	@scripts/web check

test:
	@scripts/setup test
	@scripts/step "building and running the Rust tests (the first time takes minutes)" cargo test --locked --workspace
	@scripts/step "testing the checker of the delivery contract" target/python/bin/python -m unittest discover --start-directory checker
	@scripts/step "sending generated requests" scripts/conform
	@scripts/web test
	@scripts/step "pushing to Firefox" scripts/firefox

bench:
	@scripts/setup bench
	@scripts/step "building in release mode (minutes the first time)" cargo build --locked --release --package chat_server --package notify_server --package integration_server --package chat_test
	@scripts/step "running the benchmarks" "$${CARGO_TARGET_DIR:-./target}/release/bench" $(PART)

release:
	@scripts/setup run
	@scripts/web build
	@scripts/step "building in release mode (minutes the first time)" cargo build --locked --release --package confab
	@scripts/release

openapi:
	@cargo run --quiet --locked --package confab -- openapi > docs/openapi.json
	@scripts/web types

configuration:
	@cargo run --quiet --locked --package confab -- configuration > docs/configuration.md

fmt:
	@cargo fmt --all
	@scripts/web fmt
