# Thin aliases; `make help` lists them. The first target of the day makes the environment.
.DEFAULT_GOAL := help
.PHONY: help run test bench lab lock clean

BIN := .venv/bin
READY := .venv/ready

help: ## list what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /	/'

run: $(READY) ## run the study and print where the report is
	@$(BIN)/anime-growth run

test: $(READY) ## check code, figures, notebooks and whole runs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest
	@rm -rf data/processed/runs/nbval
	ANIME_GROWTH_RUN=$(CURDIR)/data/processed/runs/nbval $(BIN)/pytest -p nbval.plugin -n 0 --nbval notebooks

bench: $(READY) ## measure what models, traces and verdicts cost, as ratios in one run
	@$(BIN)/python tests/benchmarks/bench_trends.py
	@$(BIN)/python tests/benchmarks/bench_claims.py

lab: $(READY) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

lock: ## renew uv.lock and environment.yml after a change of pyproject.toml
	@test -x $(BIN)/uv || sh .ci/environment # which refuses a lock that is behind, so not asked for otherwise
	$(BIN)/uv lock --python $(BIN)/python
	$(BIN)/python .ci/environment.py > environment.yml

clean: ## remove the environment and all runs
	rm -rf .venv data/processed/runs

$(READY): pyproject.toml uv.lock
	@sh .ci/environment
