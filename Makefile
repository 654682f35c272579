# Two commands on a fresh machine: `make run` and `make test`. PYTHON names another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: run demo demo-load deploy package rollback destroy doctor lint test test-pythons test-real check nightly bench chaos size homeserver clean attack bench-peers indexed mutants
.DELETE_ON_ERROR:

run: $(STAMP)
	@$(BIN)/python -m infra.local

# One customer's story at the hub that runs, or at one of its own; then as many at once as you like.
demo: $(STAMP)
	@$(BIN)/python -m infra.demo

N ?= 1000
demo-load: $(STAMP)
	@$(BIN)/python -m infra.demo --load $(N)

# A stage in the AWS account of the environment: docs/deploy.md. PARAMETERS="AlarmMail=ops@example.nl MonthlyBudget=50" of the stack.
DEPLOY = $(BIN)/python -m infra.deploy
COMMON = $(if $(STAGE),--stage $(STAGE),$(error STAGE is missing: for instance make $@ STAGE=prod)) $(if $(DRY_RUN),--dry-run)
deploy: $(STAMP)
	@$(DEPLOY) deploy $(COMMON) $(foreach each,$(PARAMETERS),--parameter $(each)) $(if $(DOMAIN),--domain $(DOMAIN)) \
	  $(if $(CERTIFICATE),--certificate $(CERTIFICATE)) $(if $(RATE),--rate $(RATE)) $(if $(BURST),--burst $(BURST)) $(if $(FORCE),--force)

# What of a stage is not as it must be, and how to mend it: docs/operate.md. ALL=1 shows what is right, too; JSON=1 is for programs.
doctor: $(STAMP)
	@$(BIN)/python -m infra.deploy.doctor $(if $(STAGE),--stage $(STAGE),$(error STAGE is missing: for instance make $@ STAGE=prod)) \
	  $(if $(ALL),--all) $(if $(JSON),--json) $(if $(SECRET_DAYS),--secret-days $(SECRET_DAYS)) $(if $(URL),--url $(URL)) $(if $(SKIP),--skip "$(SKIP)")

package: $(STAMP)
	@$(DEPLOY) package $(COMMON)

rollback: $(STAMP)
	@$(DEPLOY) rollback $(COMMON) $(if $(RELEASE),--to $(RELEASE))

# The data stays, unless YES_DELETE_DATA=1.
destroy: $(STAMP)
	@$(DEPLOY) destroy $(COMMON) $(if $(YES_DELETE_DATA),--yes-delete-data)

# Pure tests side by side, a file in one process; then the ones that run a whole hub, each process with hubs of its own: they wait more
# than they compute. HUBS=1 on a slow machine.
AT_ONCE ?= -n auto --maxprocesses 4 --dist loadgroup
HUBS ?= 2
test: $(STAMP)
	$(BIN)/python -m pytest $(AT_ONCE) -m "not nightly and not embedded"
	$(BIN)/python -m pytest -n $(HUBS) --dist loadfile -m "embedded and not nightly"

# The pure tests on every other Python that is here, in an environment of its own; one that is not here is named and left out.
# PYTHONS names others, as commands or paths; TESTS less than all of them.
PYTHONS ?= 3.11 3.12 3.13 3.14
TESTS ?= tests
test-pythons:
	@PYTHONS="$(PYTHONS)" AT_ONCE="$(AT_ONCE)" .ci/pythons $(TESTS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

# A help desk, a chat homeserver and a CRM as others run them, around the whole hub; their absence is a failure here.
REAL := .draad/real-venv
WITH_REAL := DRAAD_REAL=1 HOMESERVER_PYTHON=$(CURDIR)/$(REAL)/bin/python
test-real: $(STAMP) $(REAL)/installed
	$(WITH_REAL) $(BIN)/python -m pytest -v tests/real

nightly: $(STAMP) $(REAL)/installed
	$(WITH_REAL) $(BIN)/python -m pytest

bench: $(STAMP)
	$(BIN)/python -m bench

# Runs in which everything goes wrong that can, drawn from a seed, with a ledger by name: docs/chaos.md.
# SEED=7 repeats one, RUNS=200 makes many (HUBS side by side), OPTIONS="--seconds 90 --scale 1 --hang" makes them harder, SOAK=100000 a soak.
chaos: $(STAMP)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS) --at-once $(HUBS)) $(if $(SOAK),--soak $(SOAK)) $(OPTIONS)

# All that is hostile, thrown at everything, with a table in bench/results/attack.md: docs/attack.md. FUZZ: seconds for each target.
FUZZ ?= 60
attack: $(STAMP)
	@DRAAD_FUZZ_SECONDS=$(FUZZ) $(BIN)/python -m tests.attack

# The same job in Draad, n8n, Node-RED and Restate, side by side: docs/peers.md. Installs them once (about 3 GB); ONLY=draad,node-red,
# SECONDS= of each speed and EVENTS= of each failure make it shorter, QUICK=1 keeps no result.
bench-peers: $(STAMP)
	@$(BIN)/python -m bench.peers $(if $(ONLY),--only $(ONLY)) $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(EVENTS),--events $(EVENTS)) $(if $(QUICK),--keep-nothing)

# AWS's own DynamoDB Local (57 MB, by npm; wants Java 17), on which the bench looks at long histories: its queries are indexed.
INDEXED := .draad/dynamodb-local
indexed:
	@command -v java >/dev/null || { echo "draad: java is not installed: install a Java runtime, 17 or newer." >&2; exit 1; }
	@command -v npm >/dev/null || { echo "draad: npm is not installed: it fetches the package." >&2; exit 1; }
	@mkdir -p $(INDEXED)
	@cd $(INDEXED) && npm pack --silent amplify-dynamodb-simulator@2.9.30 && tar xzf *.tgz --strip-components=2 package/emulator && rm *.tgz
	@echo "$(INDEXED) is there: python -m bench --only growth"

# Small wrong versions of the rules that must hold, and whether a test says so. ONLY=graph,echo some targets; LIVED=1 those that lived.
mutants: $(STAMP)
	$(BIN)/python -m bench.mutants $(if $(ONLY),--only "$(ONLY)") $(if $(LIVED),--lived) --at-once $(or $(SIDE_BY_SIDE),2)

# The functions' package: its size by what is in it, cold imports, limits. `chalice deploy` takes what this has built.
size: $(STAMP)
	@$(BIN)/python -m infra.package --cold

# A real homeserver (242 MB, in an environment of its own): what is said in its rooms, on the customer's timeline.
HOMESERVER := $(VENV)/homeserver
homeserver: $(STAMP)
	@test -x $(HOMESERVER)/bin/python || $(PYTHON) -m venv $(HOMESERVER)
	@$(HOMESERVER)/bin/python -m pip install --quiet --disable-pip-version-check matrix-synapse==1.163.2
	HOMESERVER_PYTHON=$(CURDIR)/$(HOMESERVER)/bin/python $(BIN)/python -m pytest tests/test_homeserver.py

# Keeps .draad: the data of the local hub is not ours to throw away.
clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.txt requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "draad: $(PYTHON) is not installed: install Python 3.11 or newer, or name one with PYTHON=python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "draad: $(PYTHON) is older than Python 3.11: name a newer one with PYTHON=python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "draad: $(PYTHON) cannot make virtual environments: install its venv package (python3-venv)." >&2; exit 1; }
	@echo "installing the pinned packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(REAL)/installed: tests/real/requirements.txt
	@echo "installing a real help desk, chat homeserver and CRM into $(REAL) (once, 390 MB)"
	@$(PYTHON) -m venv --clear $(REAL)
	@$(REAL)/bin/python -m pip install --progress-bar off --disable-pip-version-check -r tests/real/requirements.txt
	@touch $@
