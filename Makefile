# Needs python3 (3.11 or newer) and make, nothing else: .venv is made when it is missing or out of date.
# Options: PYTHON=python3.13  QUICK=1 (bench)  ARGS='-k otp' (test)  DEEP=1 (test)  SERVER=valkey9|cluster9|cluster6|sentinel|valkey8|redis8|redis7tls|redis7 (test)
PYTHON ?= python3
SERVER ?= valkey9
# Half of a test's time is waiting; each process collects for itself, so that more of them than this win nothing.
PROCESSES ?= $(shell python3 -c 'import os; print(2 * len(os.sched_getaffinity(0)) + 4)' 2>/dev/null || echo 8)
BIN := .venv/bin
RUN := .venv/.ready-run
DEV := .venv/.ready-dev

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(MAKEFILE_LIST))

up: $(RUN) ## start the HustleX backend: server (CLUSTER=1: six of them), API, worker, scheduler (Ctrl-C stops)
	$(BIN)/hustlex up examples.gigs $(if $(CLUSTER),--cluster)

tour: $(RUN) ## walk a user through the running backend, step by step (needs `make up` in another terminal)
	$(BIN)/python -m examples.gigs.tour

example: $(RUN) ## run another example on a server of its own: NAME=shop|crawl|flask_notes|django_polls|go_resize
	$(BIN)/python -m examples.run $(or $(NAME),shop)

visit: $(RUN) ## walk through that example, step by step (needs `make example NAME=...` in another terminal)
	$(BIN)/python -m examples.visit $(or $(NAME),shop)

# Hundreds of processes import the package, and each worker rewrites every test's assertions: from source that is a
# tenth of the whole. Empty means unset.
test test-slow contracts: export PYTHONDONTWRITEBYTECODE =

test: $(DEV) ## run every test on a real server (DEEP=1: properties with all of their examples, as CI does)
	$(if $(DEEP),HUSTLEX_TEST_DEEP=1) $(BIN)/pytest -n $(PROCESSES) --dist worksteal --server $(SERVER) $(ARGS)

test-slow: $(DEV) ## run the tests that wait for Asynq's own minutes (needs Go, takes about 4 minutes)
	$(BIN)/pytest -n logical -m slow --server $(SERVER) $(ARGS)

# A file or two of each room, and the drivers.
SOME := drivers aio_driver tracking answers otp tokens tokens_bounded ratelimit idempotency pins cache cache_tags events \
	events_replay jobs jobs_unique jobs_streams jobs_inspector inspectors
# The console asks many queues at once, as no contract does: it must not ask for two slots in one call.
CONTRACTS := $(if $(QUICK),$(SOME:%=tests/contract/test_%.py),tests/contract $(if $(filter cluster9,$(SERVER)),tests/dashboard))

contracts: $(DEV) ## run the contract tests on SERVER (QUICK=1: some of each room; cluster9: the console's as well)
	$(BIN)/pytest -n $(PROCESSES) --dist worksteal -q $(CONTRACTS) --server $(SERVER)

cluster: ## run the contract tests on a cluster of one node: it refuses a call whose keys are in several slots
	$(MAKE) contracts SERVER=cluster9

topologies: ## run the contract tests on a cluster of six nodes and behind Sentinels (QUICK=1: some of each room)
	$(MAKE) contracts SERVER=cluster6
	$(MAKE) contracts SERVER=sentinel

servers: cluster topologies ## run the contract tests on all other servers: clusters, Sentinels, Valkey 8.1, Redis 8.2, Redis 7, TLS
	$(MAKE) contracts SERVER=valkey8
	$(MAKE) contracts SERVER=redis8
	$(MAKE) contracts SERVER=redis7
	$(MAKE) contracts SERVER=redis7tls

chaos: $(DEV) ## every room at once while servers, workers, API and network fail, and exact accounts (SECONDS=180, SEED=1, ON=one|sentinel|cluster)
	$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),180) $(if $(SEED),--seed $(SEED)) $(if $(ON),--on $(ON)) $(if $(CI),--again,--tell)

chaos-jobs: $(DEV) ## 100,000 jobs while workers, server and network die around them, and an exact account (SEED=1)
	$(BIN)/python -m tests.chaos.storm --jobs $(or $(JOBS),100000) $(if $(SEED),--seed $(SEED))

explore: $(DEV) ## every interleaving of some actors, with crashes, lost replies and repeats, on the real scripts (QUICK=1, ONLY=otp, REPLAY=otp:0.4)
	$(BIN)/python -m tests.explore $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(REPLAY),--replay $(REPLAY))

check: check-lint check-types check-floor-plan check-lua check-generated check-shape check-wiring check-names check-exports check-sleeps ## all static checks (`make -k check`: see every complaint)

check-lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet

check-types: $(DEV)
	$(BIN)/mypy --strict src

check-floor-plan: $(DEV)
	$(BIN)/lint-imports --no-cache --no-logo

check-lua: $(DEV)
	$(BIN)/python -m tools.check_lua

check-generated: $(DEV)
	$(BIN)/python -m tools.unasync --check
	$(BIN)/python -m tools.gen_docs --check
	$(BIN)/python -m bench.page --check

check-shape: $(DEV)
	$(BIN)/python -m tools.check_shape

check-wiring: $(DEV)
	$(BIN)/python -m tools.check_wiring

check-names: $(DEV)
	$(BIN)/python -m tools.check_names

check-sleeps: $(DEV)
	$(BIN)/python -m tools.check_sleeps

check-exports: $(DEV)
	$(BIN)/python -m tools.check_exports

release-check: $(DEV) ## build sdist and wheel twice, install the wheel alone for each extra and Python, test it there (ARGS=--quick, --build)
	$(BIN)/python -m tools.release $(ARGS)

rollout: $(DEV) ## replace a backend again and again under load: no 5xx, no job lost or doubled (ROUNDS=5, THROUGH=nginx|caddy)
	$(BIN)/python -m tests.rollout $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(THROUGH),--through $(THROUGH))

deploy-check: $(DEV) ## hold deploy/ against the tools that know its formats, those of them that are installed
	$(BIN)/python -m tools.deploy_check

pyright: $(DEV) ## README, guides and examples as a user's programs, read by pyright in strict mode (fetches basedpyright, 280 MB)
	@$(BIN)/python -c 'import basedpyright' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check 'basedpyright==1.40.*'
	$(BIN)/python -m tools.pyright

audit: $(DEV) ## hold the dependencies, their versions and licences against docs/dependencies.md; pip-audit where it is installed
	$(BIN)/python -m tools.audit $(ARGS)

fix: $(DEV) ## repair what can be repaired: lint, format, generated files
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format --quiet
	$(BIN)/python -m tools.unasync
	$(BIN)/python -m tools.gen_docs
	$(BIN)/python -m bench.page

# Each suite keeps what it measured in bench/results, and writes docs/benchmarks.md, its pictures and the README's figures.
bench: bench-redis bench-jobs bench-auth bench-limits bench-cache bench-web bench-events bench-memory bench-processes bench-growth bench-metrics ## measure everything, peers beside us, and write docs/benchmarks.md (QUICK=1: under 90 seconds each)

bench-redis: $(DEV) ## GET, SET and EVALSHA by 1, 64 and 500 callers: redis-py, coredis, valkey-glide and redis-benchmark beside us
	QUICK=$(QUICK) $(BIN)/python -m bench.results redis

bench-durable: $(DEV) ## enqueues that wait for the disk or a replica, by 1 and 64 callers
	QUICK=$(QUICK) $(BIN)/python -m bench.durable

bench-jobs: $(DEV) ## every figure of the job queue against its target, beside repid, dramatiq, huey and Go's asynq
	QUICK=$(QUICK) $(BIN)/python -m bench.results jobs

bench-auth: $(DEV) ## token checks, refreshes, logins and codes: ours against PyJWT and redis-py put together
	QUICK=$(QUICK) $(BIN)/python -m bench.results auth

bench-limits: $(DEV) ## rate limit decisions by 1 and 64 callers: every algorithm beside the limits library
	QUICK=$(QUICK) $(BIN)/python -m bench.results limits

bench-cache: $(DEV) ## cached functions, copies, tags, a cold key and the race: beside cashews, fastapi-cache2, fastapi-redis-sdk
	QUICK=$(QUICK) $(BIN)/python -m bench.results cache

bench-memory: $(DEV) ## bytes on the server per job, code, session, kept answer, limit: beside the peers and Go's asynq
	QUICK=$(QUICK) $(BIN)/python -m bench.results memory

bench-web: $(DEV) ## CPU that limits, users, caches and idempotency add to a route, and p99: beside slowapi, fastapi-limiter, fastapi-redis-sdk and others (ONLY=limits|users|caches|posts)
	QUICK=$(QUICK) ONLY=$(ONLY) $(BIN)/python -m bench.results web

bench-processes: $(DEV) ## drained jobs per second by one and more processes of `hustlex worker --processes`
	QUICK=$(QUICK) $(BIN)/python -m bench.results processes

bench-metrics: $(DEV) ## what counting a call costs, beside prometheus_client
	QUICK=$(QUICK) $(BIN)/python -m bench.results metrics

bench-growth: $(DEV) ## whether an operation costs the same with a thousand and with a million tasks, callers, sessions, entries
	QUICK=$(QUICK) $(BIN)/python -m bench.results growth

soak-memory: $(DEV) ## a million strangers in each room, and whether memory stays flat (hours; STRANGERS=200000, STORIES="a limit", DRIVERS=async)
	$(BIN)/python -m tests.support.soak

bench-sse: $(DEV) ## one process that streams events to 10,000 browsers: memory, CPU and lateness per delivery (BENCH_BROWSERS=)
	QUICK=$(QUICK) $(BIN)/python -m bench.sse

bench-events: $(DEV) ## publishing with history, event streams to 10,000 browsers, and links that are cut
	QUICK=$(QUICK) $(BIN)/python -m bench.results events

costs: $(DEV) ## measure what each thing costs a server, for `hustlex plan`
	$(BIN)/python -m tools.measure_costs

console-size: $(DEV) ## fill a million tasks and a thousand queues, and hold every page of the console to its budget
	$(BIN)/python -m tests.support.console_size

pictures: $(DEV) ## a busy little system in a real browser: the pictures that the guides show, or all of them in TARGET=
	$(BIN)/python -m tools.pictures $(TARGET)

docs: $(DEV) ## write docs/reference from the code, and docs/benchmarks.md from bench/results
	$(BIN)/python -m tools.gen_docs
	$(BIN)/python -m bench.page

docs-site: $(DEV) ## build the site of the documentation, strictly and without a network, and look through what came out (TARGET=build/site)
	$(BIN)/python -m tools.site.build $(TARGET)

clean: ## remove .venv and caches (not your data)
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

$(RUN): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[example]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@touch $(RUN) $@
