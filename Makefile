# The one entry point. `make book` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ADDRESS ?=
NOTEBOOKS ?=
MODULES ?=
CHAPTERS ?=
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
  echo "No '$(PYTHON)' found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"; exit 1; }

.PHONY: help book test notebooks check bench serve colab mutate knobs lock address downloads links clean

help:
	@echo "make book       build the book into $(SITE), warnings are errors"
	@echo "make serve      build it, and show it at http://127.0.0.1:8000"
	@echo "make test       everything that CI tests: package, notebooks, the built book in a browser"
	@echo "make check      linters and types"
	@echo "make notebooks  run the notebooks and store their outputs (NOTEBOOKS=\"one.ipynb ...\" for some)"
	@echo "make bench      time and memory, into tutorial_lib/book/stored/benchmarks.json (BENCH_QUICK=1: a trial, into _build)"
	@echo "make colab      run the notebooks with the versions that Google Colab ships"
	@echo "make mutate     plant faults in the package and count those that its tests see (MODULES=\"exact bounds\" for some)"
	@echo "make knobs      run each chapter with other values in its cell \"Change me\" (CHAPTERS=\"7 14\" for some)"
	@echo "make lock       write requirements.txt again from pyproject.toml"
	@echo "make address ADDRESS=https://github.com/owner/name   write the repository's address everywhere"
	@echo "make downloads  the book as PDF and zip, the chapters as zip, the package as wheel, into $(SITE)/downloads"
	@echo "make links      ask every link to another site whether it still leads somewhere (needs the network)"
	@echo "make clean      remove what was built, the environment too"

$(VENV)/installed: requirements.txt pyproject.toml tools/environment.py
	@$(require_python)
	@"$(PYTHON)" tools/environment.py $(VENV)

# Always from nothing: a cached page repeats neither its warnings nor the removal of a file.
_build/done: $(VENV)/installed $(SITE_SOURCES)
	@rm -rf _build
	$(BIN)/jupyter-book build . -n -W --keep-going
	@touch $@

book: _build/done
	@echo "The book is built: open $(SITE)/index.html, or run 'make serve'."

serve: book
	@echo "The book is at http://127.0.0.1:8000 - stop with Ctrl-C."
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory $(SITE)

# Cells of one notebook must stay on one worker: loadfile.
test: book
	$(BIN)/python -m pytest -n 2 -p no:benchmark --durations=5
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
# Outputs are not compared: other versions print other digits; every assert must hold.
$(COLAB)/installed: tests/colab-pins.txt
	@$(require_python)
	"$(PYTHON)" -m venv --clear $(COLAB)
	$(COLAB)/bin/python -m pip install -r tests/colab-pins.txt
	@touch $@

colab: $(COLAB)/installed
	git archive --prefix=book/ --output=$(COLAB)/book.tar.gz HEAD
	$(COLAB)/bin/python -m pip install --quiet --no-deps --force-reinstall $(COLAB)/book.tar.gz jaxtyping wadler-lindig
	rm -rf $(COLAB)/notebooks && cp -r notebooks $(COLAB)/notebooks
	cd $(COLAB)/notebooks && ../bin/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=120 \
	  -p no:cacheprovider .

# Into a folder of its own: `make book` removes _build.
mutate: $(VENV)/installed
	$(BIN)/python -m tools.mutate $(MODULES)

# As a reader who changes a number: no claim may stop them.
knobs: $(VENV)/installed
	$(BIN)/python -m tools.knobs $(CHAPTERS)

lock:
	@$(require_python)
	"$(PYTHON)" tools/lock.py

address: $(VENV)/installed
	$(BIN)/python -m tools.repository $(ADDRESS)

downloads: book
	@$(BIN)/python -m tools.downloads

links: book
	@$(BIN)/python -m tools.links

clean:
	rm -rf _build $(VENV) $(COLAB) .mutation .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
