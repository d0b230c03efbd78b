# Everything a person runs. `make help` lists the targets.
UV_VERSION := 0.13.9
PROFILE ?= tiny
DAYS ?= 3
STUDY ?= tiny_world
SEEDS ?= 5
PY := .venv/bin/python
# large parts of which little or nothing is imported: that is compiled then
NOT_IMPORTED := /tests?/|/transformers/models/|/vllm/(model_executor/)?models/|/(anthropic|fontTools|mypyc?|onnxruntime|playwright)/
export PYTHONDONTWRITEBYTECODE :=   # hundreds of short processes would compile our modules, each anew
# Where memory is slow to be mapped, as in nested virtual machines, a third of what imports and mypy
# take is spent on pages of 4 kB; pages of 2 MB are had by asking, and by malloc alone.
types tests: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
types tests: export PYTHONMALLOC ?= malloc
# Delta's tables are small in tests, and the processes as many as the cores: threads of its own pass
# each read and write from core to core.
types tests: export TOKIO_WORKER_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup preflight test tests servers benchmarks check types lint up down demo study docs site clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/.ready  ## install what is missing, from the lock file, and Delta's jars
	@$(PY) scripts/installed.py || $(MAKE) --no-print-directory -B .venv/.ready
	@$(PY) -m lakehouse.jars

preflight:  ## say what this machine lacks: Python, Java, disk space
	@sh scripts/preflight.sh

.venv/.ready: uv.lock pyproject.toml | preflight
	@test -x .uv/bin/uv || { python3 -m venv .uv && .uv/bin/pip install -q uv==$(UV_VERSION); }
	.uv/bin/uv sync --locked --quiet
	@$(PY) -m compileall -qq -j 0 -x '$(NOT_IMPORTED)' .venv/lib || true   # some are not Python for this Python
	@touch $@

check: types lint site  ## all that needs no test: types, lint, layers, docs

types: setup  ## what mypy says
	.venv/bin/mypy || { test $$? -eq 2 && .venv/bin/mypy --num-workers 0; }   # on a busy machine its workers do not start in their 3 s
	.venv/bin/mypy dags plugins/operators plugins/lake_page.py   # beside our packages: dags/training.py bears the name of one

lint: setup  ## what ruff and import-linter say; whether the generated pages are true
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	$(PY) -m lakehouse.tables | diff -u docs/tables.md -
	$(PY) -m lakehouse.stages | diff -u docs/dags.md -
	$(PY) -m lakehouse.reference | diff -u docs/settings.md -
	$(PY) -m jobs.verbs | diff -u docs/lake.md -

test: check tests  ## all checks and all tests, with coverage

# One worker more than cores: tests wait for processes, locks and Airflow's turns a tenth of the time.
# A worker that ends in a test is not replaced: that test fails, where xdist would give it to the next for ever.
tests: setup  ## all tests, with coverage
	$(PY) -W 'ignore:Unable to activate pytest branch' -m slipcover -m pytest -n $$(($$(nproc) + 1)) --maxprocesses 4 --max-worker-restart=0 --dist loadfile --no-loadscope-reorder

servers: setup  ## what settings move to other machines, against real servers on this one
	@test -x .servers/bin/python || .uv/bin/uv venv --quiet --python $(PY) .servers
	.uv/bin/uv pip install --quiet --python .servers/bin/python -r tests/servers/requirements.txt
	@$(PY) -m lakehouse.jars s3
	.venv/bin/pytest tests/servers

benchmarks: setup  ## every benchmark of docs/, in small: that it runs to its table
	.venv/bin/pytest tests/in_small

up: setup  ## start Airflow and the Spark Connect server (LAKE_AIRFLOW_PORT, LAKE_SPARK_PORT)
	$(PY) -m lakehouse.services up --profile $(PROFILE)

down:  ## stop all that `make up` started
	$(PY) -m lakehouse.services down

demo: setup  ## the whole loop on Airflow, to a table of scores (PROFILE=tiny, DAYS=3, KEEP=1)
	$(PY) -m lakehouse.demo --profile $(PROFILE) --days $(DAYS)

study: setup  ## five seeds of the tiny world, every arm and scorer, to study.html (STUDY=tiny_world, SEEDS=5)
	.venv/bin/lake study $(STUDY) --seeds $(SEEDS)

docs: setup  ## write the generated pages anew: tables, DAGs, settings, the command
	$(PY) -m lakehouse.tables > docs/tables.md
	$(PY) -m lakehouse.stages > docs/dags.md
	$(PY) -m lakehouse.reference > docs/settings.md
	$(PY) -m jobs.verbs > docs/lake.md

site: setup  ## build the documentation site into site/, every link checked
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict   # --quiet would let broken links pass

clean:  ## end the services; remove the default lake, Airflow's state, the report, tools' leavings
	@test ! -x $(PY) || $(PY) -m lakehouse.services down || echo "clean: what is in .run could not be ended" >&2
	rm -rf site .lake .airflow .run report.html study.html .pytest_cache .mypy_cache .ruff_cache spark-warehouse
