#!/usr/bin/env bash
# Sets up .venv beside this file on first use, then:
#   ./run_local.sh                 the main job, on the sample data
#   ./run_local.sh NAME --flag …   a pipeline; without a flag it tells what it needs
#   ./run_local.sh test [ARGS]     lint, types, import contracts, doctests and tests; ARGS go to pytest
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="$here/.venv"
main_job=trending

if ! cmp -s "$here/requirements.lock" "$venv/installed.lock"; then
    echo "First use: installing into $venv (a minute or two, once) …" >&2
    "${PYTHON:-python3.11}" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$here/requirements.lock"
    cp "$here/requirements.lock" "$venv/installed.lock"
fi
if ! cmp -s "$here/pyproject.toml" "$venv/installed.toml"; then
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e "$here" 2>/dev/null
    cp "$here/pyproject.toml" "$venv/installed.toml"
fi

case "${1:-}" in
    test)
        shift
        cd "$here"
        "$venv/bin/ruff" check .
        "$venv/bin/ruff" format --check .
        "$venv/bin/mypy"
        "$venv/bin/lint-imports"
        exec "$venv/bin/pytest" --numprocesses auto --dist loadfile "$@"
        ;;
    "") exec "$venv/bin/python" -P -m pipelines "$main_job" ;;
    *) exec "$venv/bin/python" -P -m pipelines "$@" ;;
esac
