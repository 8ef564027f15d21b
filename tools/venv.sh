# Read by tools/serve and tools/test; not a program.

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# make_venv FOLDER EXTRA: a virtual environment with this checkout and one extra of setup.cfg. Made again when setup.cfg
# or the Python version changed. $PYTHON chooses the Python.
make_venv() {
    local folder=$1 extra=$2 python=${PYTHON:-python3} stamp
    command -v "$python" >/dev/null || fail "$python is not installed; on Debian and Ubuntu: apt-get install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" -V) is too old, 3.11 or newer is needed; PYTHON=/path/to/python3.11 $0 chooses another"
    stamp=$({ "$python" -VV; echo "$extra"; cat setup.cfg pyproject.toml; } | sha256sum | cut -d' ' -f1)
    [ "$(cat "$folder/installed" 2>/dev/null)" = "$stamp" ] && return
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$("$python" -V) has no venv module; on Debian and Ubuntu: apt-get install $("$python" -c \
            'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    say "Installing into $folder (once; about a minute)..."
    rm -rf "$folder"
    "$python" -m venv "$folder"
    if ! "$folder/bin/pip" install --disable-pip-version-check -e ".[$extra]" >"$folder/install.log" 2>&1 </dev/null; then
        tail -n 20 "$folder/install.log" >&2
        fail "pip could not install; all it said is in $folder/install.log"
    fi
    printf '%s\n' "$stamp" >"$folder/installed"
}
