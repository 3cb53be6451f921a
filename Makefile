# Two commands: `make run` and `make test`. Both bring what they need.
.PHONY: run cluster test check bench openapi fmt help

help:
	@echo "make run    Confab on http://127.0.0.1:6688, from a bare clone"
	@echo "make cluster  the same as many processes: two chat servers, three notify servers, Redis, nginx"
	@echo "make test   every test, from a bare clone"
	@echo "make check  format, lints, documentation, licences"
	@echo "make bench  what it does on this machine, beside controls; PART=sends|fanout|latency|relay|presence|crowd|memory|scale for one"
	@echo "make openapi  writes docs/openapi.json anew"
	@echo "make fmt    put the code into shape"

run:
	@scripts/setup run
	@scripts/web build
	@scripts/step "building (minutes the first time, then seconds)" cargo build --locked --package confab
	@exec "$${CARGO_TARGET_DIR:-./target}/debug/confab" dev $(ARGS)

cluster:
	@scripts/setup cluster
	@scripts/web build
	@scripts/step "building (minutes the first time, then seconds)" cargo build --locked --package confab --package chat_server --package notify_server
	@exec "$${CARGO_TARGET_DIR:-./target}/debug/confab" cluster $(ARGS)

test:
	@scripts/setup test
	@scripts/step "building and running every test (the first time takes a few minutes)" cargo test --locked --workspace
	@scripts/step "asking made-up questions" scripts/conform
	@scripts/step "the web: types, lints, tests, and the browser" scripts/web test

check:
	@scripts/setup check
	@scripts/step "format" cargo fmt --all --check
	@scripts/step "lints" cargo clippy --locked --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" scripts/step "documentation" cargo doc --locked --workspace --no-deps
	@scripts/step "licences and bans" cargo deny --locked check licenses bans sources
	@scripts/step "the web: format, lints, types" scripts/web check

bench:
	@scripts/setup bench
	@scripts/step "building in release mode (minutes the first time)" cargo build --locked --release --package chat_server --package notify_server --package chat_test
	@scripts/step "measuring" "$${CARGO_TARGET_DIR:-./target}/release/bench" $(PART)

openapi:
	@cargo run --quiet --locked --package confab -- openapi > docs/openapi.json

fmt:
	cargo fmt --all
