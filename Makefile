# Every way in. `make` lists them; CARGO_TARGET_DIR, DATASET and ARGS are taken from the environment or the command line.
DATASET ?= synthetic
ARGS ?=
FUZZ_SECONDS ?= 60
PYTHON ?= python3

# The real corpora lie beside the checkout on the machines that have them; elsewhere tests say what they skip.
ifndef CONSTELLATION_DATA_DIR
  ifneq ($(wildcard ../shared/datasets/.),)
    export CONSTELLATION_DATA_DIR := $(abspath ../shared/datasets)
  endif
endif

.DEFAULT_GOAL := help
.PHONY: help setup start demo docs ui app test test-ui test-clients test-wgpu fuzz api-test lint advisories check-macos bundle sign pkg notarize dmg uninstall \
  link-macos check-package bench bench-import bench-load bench-ui bench-app bench-yield screenshots fmt

help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	  printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## install what the build and the tests need and this machine lacks
	@scripts/setup.sh build test ui browser app desk

demo: ## train on this machine with 3 workers: DATASET=synthetic|ag_news|…, ARGS="--rounds 5 --chaos"
	@scripts/setup.sh build
	cargo build --release --locked -p cli
	@cargo run --quiet --release --locked -p cli --bin constellation -- demo --dataset $(DATASET) $(ARGS)
	@echo "To see a cluster in the browser: make start" >&2

start: ui ## a coordinator, two workers and the dashboard on this machine, until Ctrl-C: ARGS="--workers 4"
	@scripts/setup.sh build
	cargo build --release --locked -p cli
	@cargo run --quiet --release --locked -p cli --bin constellation -- start $(ARGS)

ui: ## build the dashboard into ui/dist and the app's pages into ui/dist-app; the next build embeds them
	@scripts/setup.sh ui
	@npm --prefix ui run --silent build

app: ui ## build the app and start it, on a display of its own where there is none: ARGS="--show welcome"
	@scripts/setup.sh build app
	cargo build --locked --workspace
	@scripts/start_app.sh "$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/constellation-app" $(ARGS)

test: ## run every test, or those that ARGS names: ARGS="-p federation"
	@scripts/setup.sh test app desk
	@echo "datasets: $(or $(CONSTELLATION_DATA_DIR),none (CONSTELLATION_DATA_DIR is not set): tests of real corpora say that they skip)"
	$(if $(ARGS),,@$(MAKE) --no-print-directory test-ui test-clients)
	cargo test --quiet --locked --workspace --doc
	@scripts/run_tests.sh $(or $(ARGS),--workspace)

test-ui: ui ## run the dashboard's tests: of its code, then in a real browser against real processes
	@scripts/setup.sh build browser app
	@npm --prefix ui run --silent test
	cargo test --quiet --locked --workspace --no-run
	@CONSTELLATION_BIN="$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/constellation" npm --prefix ui run --silent e2e

test-wgpu: ## run the GPU backend's tests, on a software GPU where there is no other (the first run builds 25 minutes)
	@scripts/setup.sh test wgpu
	@scripts/run_tests.sh -p engine --features engine/wgpu --test wgpu $(ARGS)

fuzz: ## fuzz what reads bytes from outside, FUZZ_SECONDS=60 each, or ARGS="csv shard" (not in CI: 20 minutes, and chance has a say)
	@scripts/setup.sh fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh $(ARGS)

api-test: ## ask a coordinator all that its OpenAPI document describes (schemathesis; not in CI: PyPI must answer)
	@scripts/setup.sh build api-test
	cargo build --locked -p cli --bin constellation
	@"$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/constellation/schemathesis/bin/python" -B scripts/api_test.py \
	  "$(or $(CARGO_TARGET_DIR),target)/debug/constellation" $(ARGS)

test-clients: ## validate the OpenAPI document, and have a generated Python client run a job
	@scripts/setup.sh build clients
	cargo test --quiet --locked --workspace --no-run
	@"$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/constellation/clients/bin/python" -B scripts/client_test.py \
	  "$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/constellation"

docs: ## build the documentation into target/docs and check its links
	@scripts/setup.sh docs
	@scripts/check_links.py
	@rm -rf target/docs
	@"$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/constellation/mdbook/bin/mdbook" build docs
	@scripts/check_links.py target/docs
	@echo "docs: open target/docs/index.html"

lint: ## formatting, clippy, dependency arrows, import circles, house rules
	@scripts/setup.sh build ui app
	cargo fmt --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	python3 -B scripts/test_checks.py --quiet
	python3 -B packaging/plists.py
	@if command -v shellcheck >/dev/null; then shellcheck packaging/*.sh packaging/scripts/*install packaging/scripts/*.sh; fi
	scripts/check_layers.py
	scripts/check_cycles.py
	scripts/check_glossary.py
	scripts/check_house.py
	@npm --prefix ui run --silent check
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check -A unused-wrapper -A license-not-encountered bans licenses sources; fi

advisories: ## known vulnerabilities of dependencies, from the RustSec database (not in CI: the database must be reachable)
	@scripts/setup.sh deny
	cargo deny --locked check advisories

check-macos: ## type-check every crate for macOS, from any system
	scripts/check_macos.sh

bundle: ## Constellation.app from APP_BINARY and COMMAND_BINARY (docs/release.md); on Linux what is missing is a stand-in
	@scripts/setup.sh sign
	@python3 -B packaging/bundle.py

sign: ## sign the app: SIGN_IDENTITY on a Mac, SIGN_P12 elsewhere, else a certificate of this machine's own
	@python3 -B packaging/sign.py

pkg: bundle sign ## the package that an MDM installs, from a clean clone to the signed file
	@python3 -B packaging/pkg.py

notarize: ## have Apple look at the package (NOTARY_PROFILE on a Mac, NOTARY_API_KEY elsewhere)
	@packaging/notarize.sh

dmg: ## a disk image of the signed app, for people without an MDM (on a Mac)
	@packaging/dmg.sh

uninstall: ## take the app and all that it kept off this Mac: ARGS=--keep-data
	@packaging/scripts/uninstall.sh $(ARGS)

link-macos: ## link the programs for macOS from Linux against stubs, and check their package (not in CI: minutes; half an hour with ARGS=--release)
	@scripts/setup.sh sign
	@scripts/link_macos.sh $(ARGS)

check-package: pkg ## make the package and check it by other means: signatures, seals, contents
	@python3 -B -m unittest discover --quiet packaging/tests
	@python3 -B packaging/check.py

# GLIBC_TUNABLES as trainers have it (crates/trainer/src/process.rs), for both sides of each comparison.
bench: ## run the benchmarks (criterion); ARGS go to them
	GLIBC_TUNABLES=glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=33554432 \
	cargo bench --locked -p engine -p federation --bench '*' -- $(ARGS)
	@cargo test --release --locked --quiet -p coordinator --lib -- --ignored --nocapture benchmark_of

# One build for what is measured on whole programs: another selection of packages would have other features, and build burn anew.
MEASURED = cargo build --release --locked --workspace --bins --bench load --bench yielding
measured = "$$($(MEASURED) --message-format=json | sed -n 's|.*"executable":"\([^"]*/$(1)-[^"]*\)".*|\1|p')"

bench-load: ## load one coordinator with 10,000 devices (5 minutes, 5 GB of disk), then Flower's SuperLink where flwr is installed
	@scripts/setup.sh build
	@$(call measured,load) --bench $(ARGS)
	@if $(PYTHON) -c 'import flwr' 2>/dev/null; then $(PYTHON) bench/flower_superlink.py; \
	  else echo "skipped: Flower's SuperLink: pip install -r bench/requirements.txt, and PYTHON=… if not python3"; fi

bench-app: ui ## what the app costs while it waits in the menu bar (a release build, then 6 minutes)
	@scripts/setup.sh build app desk
	$(MEASURED)
	@dbus-run-session -- xvfb-run --auto-servernum --server-args="-screen 0 1280x900x24 -noreset" \
	  $(PYTHON) -B bench/waiting_app.py --folder "$(abspath $(or $(CARGO_TARGET_DIR),target))/release" $(ARGS)

bench-import: ## seconds and peak memory of adding AG News and 60,000 PNGs, beside pandas and DuckDB reading them (pip, if it works here)
	@scripts/setup.sh build
	cargo build --release --locked -p cli
	@$(PYTHON) -B bench/import_files.py --constellation "$(abspath $(or $(CARGO_TARGET_DIR),target))/release/constellation" \
	  --environment "$(abspath $(or $(CARGO_TARGET_DIR),target))/bench-import" $(ARGS)

bench-yield: ## how long training goes on after a touch: 500 of them on a display of its own, half an hour, on a quiet machine
	@scripts/setup.sh build desk
	@xvfb-run --auto-servernum --server-args="-screen 0 1280x900x24 -noreset" $(call measured,yielding) --bench $(ARGS)

screenshots: PICTURES = $(abspath $(or $(SCREENSHOTS),target/screenshots))
screenshots: ui ## every page of the dashboard and every screen of the app, light and dark, into SCREENSHOTS (target/screenshots)
	@scripts/setup.sh build browser app desk
	cargo test --quiet --locked --workspace --no-run
	@mkdir -p "$(PICTURES)/app-light" "$(PICTURES)/app-dark"
	@GTK_THEME=Adwaita SCREENSHOTS="$(PICTURES)/app-light" cargo test --quiet --locked --workspace --test app
	@GTK_THEME=Adwaita:dark SCREENSHOTS="$(PICTURES)/app-dark" cargo test --quiet --locked --workspace --test app
	@SCREENSHOTS="$(PICTURES)" \
	CONSTELLATION_BIN="$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/constellation" npm --prefix ui run --silent screenshots

bench-ui: ui ## the dashboard before 10,000 devices and a job of 1,000 rounds, in a real browser (10 minutes)
	@scripts/setup.sh build browser
	@CONSTELLATION_LOAD=$(call measured,load) \
	CONSTELLATION_BIN="$(abspath $(or $(CARGO_TARGET_DIR),target))/release/constellation" npm --prefix ui run --silent bench

fmt: ## format the code
	cargo fmt
	npm --prefix ui run --silent format
	cargo fmt --manifest-path fuzz/Cargo.toml
