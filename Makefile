# Two commands on a fresh machine (Python 3.11+, make): `make demo`, `make test`. Both set everything up first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
export HF_HUB_OFFLINE ?= 1

.PHONY: setup demo test zoo evidence soak bench gpu check serve docs clean

setup: $(READY)

$(READY): orchestrator/install.py orchestrator/inventory.py orchestrator/locks/cpu.txt orchestrator/locks/torch-cpu.txt orchestrator/locks/cuda.txt pyproject.toml
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m orchestrator.install
	@$(RUN) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(RUN) -c "import merging.similarity_kernel; from merging import kernels, low_rank; kernels.build(); low_rank.build()"
	@touch $@

demo: setup
	@$(VENV)/bin/collegium demo

# The page and the reports are tested in a browser where Debian's Chromium is; Playwright drives it.
BROWSER := playwright==1.65.2 axe-playwright-python==0.1.8
test: setup
	@if { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then \
	  $(RUN) -c "import playwright, axe_playwright_python" 2>/dev/null || \
	  $(RUN) -m pip install -qq --disable-pip-version-check $(BROWSER) || \
	  echo "Playwright cannot be installed: the tests in a browser are skipped."; fi
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The adapters of the second demo zoo anew, into build/zoo: about an hour on two cores; goes on where it was stopped.
# Exit code 1 says that not one of a command's skills helped, which ends nothing here.
GROW := $(VENV)/bin/collegium experts grow --config demo --questions 400 --validation-questions 60 --test-questions 60 \
	--out build/zoo --add none
zoo: setup
	@$(GROW) till=shopping+change stock=leftovers+sharing+shopping ledger=change+sharing+measures \
		clock=durations+weekdays planner=weekdays+ranking+durations speller=spelling+alphabet \
		editor=alphabet+counting+spelling referee=ranking+tracking+counting || test $$? -eq 1
	@$(GROW) --base demo/SmolLM2-99M-pruned porter=tracking+leftovers surveyor=measures+shopping+counting || test $$? -eq 1

soak: setup
	@$(RUN) -m pytest -m "soak or hypothesis" --hypothesis-profile=soak

bench: setup
	@$(RUN) -m benchmarks

# Each method beside what it has to beat, on both demo zoos: three to five hours on two cores; goes on where it was stopped.
evidence: setup
	@$(RUN) -m benchmarks.evidence --state build/evidence
	@$(RUN) -m benchmarks.evidence --zoo demo --task mixed --name evidence_v1 --state build/evidence

gpu: setup
	@$(RUN) -m benchmarks.gpu

check: setup
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

# The documentation as a site; its tools have an environment of their own.
docs:
	@test -x build/docs/bin/mkdocs || ($(PYTHON) -m venv build/docs && build/docs/bin/pip install -qq --disable-pip-version-check mkdocs-material==9.8.2)
	@NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict --quiet
	@echo "python -m http.server -d build/site"

serve: setup
	@$(VENV)/bin/collegium serve

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
