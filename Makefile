# Everything runs on Node 24, which comes as the npm package `node`; the system's Node only has to run npm.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/.cache/bin:$(PATH)
export TESTCONTAINERS_RYUK_DISABLED ?= true

INSTALLED := node_modules/.package-lock.json
RECORDER  := $(shell find recorder -type f ! -name '*.test.ts' 2>/dev/null)
PLAYER    := $(shell find player query/api.ts -type f ! -name '*.test.ts' 2>/dev/null)

.PHONY: help start install build test story chart-check image servers browser readers check format readme size clean package bench-recorder bench-close corpus bench-lake bench-memory bench-fresh privacy gallery crash

help: ## what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

start: build ## install, build, run everything in one process with the demo site on 127.0.0.1:8080 (settings: node deploy/all.ts --help)
	@DEMO=$${DEMO:-on} FLUSH_INTERVAL_MS=$${FLUSH_INTERVAL_MS:-500} REFRESH_INTERVAL_MS=$${REFRESH_INTERVAL_MS:-100} \
	  LOG_LEVEL=$${LOG_LEVEL:-warn} exec node deploy/all.ts

test: build servers browser readers ## every test; gets the servers, the browser and the readers that they need
	@vitest run $(T)

story: build servers browser ## the founding story in Chromium, in three modes; prints figures
	@rm -f .cache/figures.txt
	@vitest run deploy/story
	@node recorder/size.ts
	@cat .cache/figures.txt

chart-check: build image ## install the chart on a real Kubernetes node, record, query and replay one session there
	@deploy/chart-check.sh

image: build ## the container image
	@deploy/image.sh

install: $(INSTALLED) ## exact dependencies, Node 24 among them
$(INSTALLED): package.json package-lock.json
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build: dist/.recorder-built dist/.player-built ## what browsers load: recorder, player, app
dist/.recorder-built: $(INSTALLED) $(RECORDER)
	@vite build -c recorder/vite.config.ts --logLevel warn
	@node recorder/size.ts
	@touch $@
dist/.player-built: $(INSTALLED) $(PLAYER)
	@vite build -c player/vite.config.ts --logLevel warn
	@touch $@

servers: install ## NATS and MinIO for the tests where no Docker engine gives them
	@deploy/get-servers.sh

browser: install ## Chromium for the tests
	@deploy/get-browser.sh

readers: install ## other programs' readers of the lake for the tests; READERS=more: ClickHouse and Spark too
	@deploy/get-readers.sh

check: install ## types and formatting
	@tsc
	@prettier --check --log-level warn .

format: install ## format every file
	@prettier --write --log-level warn .

readme: install ## write the README's tables anew from the code, and its picture from the last story
	@node deploy/readme.ts
	@[ ! -f .cache/story/player-embedded.png ] || cp .cache/story/player-embedded.png deploy/screenshots/player.png

size: build browser ## what the recorder weighs, and what its peers weigh
	@node recorder/size.ts
	@node recorder/size.bench.ts

package: install ## the recorder's npm package, in dist/package/recorder
	@node recorder/package/make.ts

bench-recorder: build browser ## what recording costs the page, beside other recorders; prints figures
	@node recorder/bench/cost.bench.ts

bench-close: build browser ## whether what a page recorded before it closed arrives, over CLOSES=200 closes; prints figures
	@CLOSES=$${CLOSES:-200} vitest run deploy/recorder-transport -t 'however it closes' | grep -E '^figure|Error|passed'

privacy: build browser ## how many planted secrets reach the wire, beside other recorders; prints figures
	@node recorder/bench/privacy.bench.ts

gallery: build browser ## real pages beside their replays, compared pixel by pixel; writes .cache/gallery/index.html
	@node recorder/gallery/gallery.bench.ts

crash: install ## processes that die at any effect on the lake, beside a model: SEED=1 POINTS=200 a setting (0: every one) SECONDS=60; prints figures
	@POINTS=$(or $(POINTS),200) SECONDS_MAX=$(SECONDS) vitest run processor/crash.test

corpus: build browser ## record SESSIONS=200 sessions of three applications in Chromium, once, for bench-lake
	@node recorder/bench/corpus.bench.ts

bench-lake: corpus servers ## what the lake costs: bytes, rates a core, requests, memory, point reads, growth; SESSIONS, BENCH_SECONDS, GROWTH_SECONDS
	@node deploy/with-s3.ts node processor/bench/lake.bench.ts
	@BENCH_SECONDS=$${GROWTH_SECONDS:-120} node processor/bench/growth.bench.ts

bench-memory: corpus ## a processor's memory with one session of 1 GB or 8 hours, with snapshots of 20 MB, with 100,000 sessions at once; CASES names some
	@node processor/bench/memory.bench.ts

bench-fresh: build ## seconds from an event's ack until SQL has it, on directories and on NATS and MinIO; FRESH_SECONDS
	@node deploy/fresh.bench.ts

clean: ## remove what was built and installed; recorded data stays
	@rm -rf dist node_modules .cache
