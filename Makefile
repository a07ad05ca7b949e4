# Thin aliases; `make help` lists them. The first target of the day makes the environment.
.DEFAULT_GOAL := help
.PHONY: help run verify test soak audit bench lab lock clean

BIN := .venv/bin
READY := .venv/ready

help: ## list what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /	/'

run: $(READY) ## run the study and print where the report is
	@$(BIN)/anime-growth run

verify: $(READY) ## run the study again and compare everything with what is published
	@$(BIN)/anime-growth verify

test: $(READY) ## check code, figures, notebooks and whole runs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest
	@rm -rf data/processed/runs/nbval
	ANIME_GROWTH_RUN=$(CURDIR)/data/processed/runs/nbval $(BIN)/pytest -p nbval.plugin -n 0 --nbval --nbval-sanitize-with tests/notebooks/sanitize.cfg notebooks
	@sh .ci/chromium >/dev/null || echo "so tests/browser was skipped" >&2

soak: $(READY) ## break runs at 200 random moments and fill in the table of the README
	$(BIN)/python -m tests.end_to_end.soak

audit: $(READY) ## ask whether a locked package has a known vulnerability; needs the network
	@sh .ci/audit

bench: $(READY) ## measure what models, traces, verdicts, series, rows and sweeps cost, as ratios in one run
	@$(BIN)/python tests/benchmarks/bench_chain.py
	@$(BIN)/python tests/benchmarks/bench_trends.py
	@$(BIN)/python tests/benchmarks/bench_claims.py
	@$(BIN)/python tests/benchmarks/bench_scaling.py

lab: $(READY) ## open the notebooks in JupyterLab, which .jupyter/ sets up
	@$(BIN)/jupyter trust notebooks/*.ipynb >/dev/null # or JupyterLab hides the committed figures
	JUPYTER_CONFIG_PATH=$(CURDIR)/.jupyter $(BIN)/jupyter lab

lock: ## renew uv.lock and environment.yml after a change of pyproject.toml
	@test -x $(BIN)/uv || sh .ci/environment # which refuses a lock that is behind, so not asked for otherwise
	$(BIN)/uv lock --python $(BIN)/python
	$(BIN)/python .ci/environment.py > environment.yml

clean: ## remove the environment, all runs and all sweeps
	rm -rf .venv data/processed/runs data/processed/sweeps

$(READY): pyproject.toml uv.lock
	@sh .ci/environment
