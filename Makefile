# The one entry point. `make book` and `make test` need Python 3.11 to 3.14 and nothing else.
VENV := .venv
BIN := $(VENV)/bin
# The Python that made the environment makes it again, until another is named: make book PYTHON=python3.12
PYTHON ?= $(shell test -x $(BIN)/python && echo $(BIN)/python || echo python3)
PORT ?= 8000
ADDRESS ?=
NOTEBOOKS ?=
MODULES ?=
CHAPTERS ?=
SEED ?=
FILES ?=
SITE := _build/html
COLAB := .colab

# One thread: numbers that repeat, and tests that share two cores.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
# A claim of a chapter that does not hold is an error here, and one friendly line for a reader.
export TUTORIAL_LIB_STRICT := 1
# No progress bars in stored outputs.
export TQDM_DISABLE := 1
# The environment's own kernel, whatever the reader has installed for other projects.
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONHASHSEED := 0
export PYDEVD_DISABLE_FILE_VALIDATION := 1

SITE_SOURCES := _config.yml _toc.yml tools/book_fixes.py $(shell find tutorial_lib -name "*.py") \
  $(shell find tutorial_lib/book/site_root -type f) \
  $(shell find book notebooks -mindepth 1 -not -path '*/.*')

require_python = command -v "$(PYTHON)" >/dev/null 2>&1 || { \
  echo "No '$(PYTHON)' found: install Python 3.11 to 3.14, or name one: make PYTHON=/path/to/python3"; exit 1; }

.PHONY: help book test notebooks check bench serve lab colab colab-pins newest lowest mutate knobs lock address stamp push-published recompute downloads links clean

help:
	@echo "make book       build the book into $(SITE), warnings are errors"
	@echo "make serve      build it, and show it at http://127.0.0.1:8000 (PORT=8001 for another port)"
	@echo "make lab        open a chapter in JupyterLab, controls included (NOTEBOOKS=notebooks/07_bounds.ipynb for another)"
	@echo "make test       everything that CI tests: package, notebooks, the built book in a browser"
	@echo "make check      linters and types"
	@echo "make notebooks  run the notebooks and store their outputs (NOTEBOOKS=\"one.ipynb ...\" for some)"
	@echo "make bench      time and memory, into tutorial_lib/book/stored/benchmarks.json (BENCH_QUICK=1: a trial, into _build)"
	@echo "make colab      run the notebooks with the versions that Google Colab ships"
	@echo "make colab-pins compare these versions with a list that Colab published (COLAB_LIST=file)"
	@echo "make newest     test with the newest release of everything; make lowest: with the oldest allowed"
	@echo "make mutate     plant faults in the package and count those that its tests see (MODULES=\"exact bounds\" for some)"
	@echo "make knobs      run each chapter with other values in its cell \"Change me\" (CHAPTERS=\"7 14\" for some)"
	@echo "make recompute  compute random parts of the stored tables again (SEED=46 for others, FILES=\"silent slopes\")"
	@echo "make lock       write requirements.txt and requirements/lab.txt again from pyproject.toml"
	@echo "make address ADDRESS=https://github.com/owner/name   write the repository's address everywhere"
	@echo "make downloads  the book as PDF and zip, the chapters as zip, the package as wheel, into $(SITE)/downloads"
	@echo "make links      ask every link to another site whether it still leads somewhere (needs the network)"
	@echo "make stamp      write the address of the remote \"origin\" and a version of the day everywhere, to publish"
	@echo "make push-published   push the stamped tree to the branch \"published\", where links and first cells lead"
	@echo "make clean      remove what was built, the environment too"

# Asked every time: whether the environment fits is told by what it was made from, not by the dates of files.
$(VENV)/installed: always
	@$(require_python)
	@"$(PYTHON)" -m tools.environment $(VENV)

.PHONY: always
always:

_build/done: $(VENV)/installed $(SITE_SOURCES)
	@$(BIN)/python -m tools.build
	@touch $@

book: _build/done
	@echo "The book is built: open $(SITE)/index.html, or run 'make serve'."

serve: book
	@$(BIN)/python -m tools.serve $(PORT)

lab: $(VENV)/installed
	@$(BIN)/python -m tools.lab $(NOTEBOOKS)

# Cells of one notebook must stay on one worker: loadfile.
test: book
	$(BIN)/python -m pytest -n 2 --dist worksteal -p no:benchmark --durations=5
	$(BIN)/python -m pytest -n 2 --dist loadfile -p no:benchmark --durations=5 \
	  --nbval --nbval-current-env --nbval-cell-timeout=120 --nbval-sanitize-with=tests/sanitize.cfg notebooks book/*.ipynb

notebooks: $(VENV)/installed
	$(BIN)/python -m tools.notebooks $(NOTEBOOKS)

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.notebook_rules

# Without the options of the tests: checks of annotations at run time would be timed too.
bench: $(VENV)/installed
	$(BIN)/python -m pytest tests/benchmarks -o addopts= -o python_files='bench_*.py' -q \
	  --benchmark-only --benchmark-timer=time.process_time --benchmark-columns=median,iqr,rounds

# As a Colab user gets it: the package from an archive, jaxtyping and its one need, nothing else.
# Outputs are not compared: other versions print other digits; every claim must hold.
# Colab runs Python 3.13: make colab PYTHON=python3.13
$(COLAB)/installed: requirements/colab.txt
	@$(require_python)
	"$(PYTHON)" -m venv --clear $(COLAB)
	$(COLAB)/bin/python -m pip install -r requirements/colab.txt
	@touch $@

colab: $(COLAB)/installed
	git archive --prefix=book/ --output=$(COLAB)/book.tar.gz HEAD
	$(COLAB)/bin/python -m pip install --quiet --no-deps --force-reinstall $(COLAB)/book.tar.gz jaxtyping wadler-lindig
	rm -rf $(COLAB)/notebooks && cp -r notebooks $(COLAB)/notebooks
	cd $(COLAB)/notebooks && ../bin/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=120 \
	  -p no:cacheprovider .

# With a published list of Colab's packages: make colab-pins COLAB_LIST=pip-freeze.txt
colab-pins:
	@$(require_python)
	@"$(PYTHON)" -m tools.colab_pins $(COLAB_LIST)

newest lowest:
	@$(require_python)
	"$(PYTHON)" -m tools.lanes $@

# Into a folder of its own: `make book` removes _build.
mutate: $(VENV)/installed
	$(BIN)/python -m tools.mutate $(MODULES)

# As a reader who changes a number: no claim may stop them.
knobs: $(VENV)/installed
	$(BIN)/python -m tools.knobs $(CHAPTERS)

# What a checksum cannot see: a number that its own code and settings no longer give.
recompute: $(VENV)/installed
	$(BIN)/python -m tools.recompute $(if $(SEED),--seed $(SEED)) $(if $(FILES),--files $(FILES))

lock:
	@$(require_python)
	"$(PYTHON)" -m tools.lock

# Both need no environment.
address:
	@$(require_python)
	@"$(PYTHON)" -m tools.repository address $(ADDRESS)

stamp:
	@$(require_python)
	@"$(PYTHON)" -m tools.repository stamp

push-published:
	@$(require_python)
	@"$(PYTHON)" -m tools.repository push

downloads: book
	@$(BIN)/python -m tools.downloads

links: book
	@$(BIN)/python -m tools.links

clean:
	rm -rf _build $(VENV) $(VENV).former $(VENV).lock $(COLAB) .newest .lowest .mutation .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
