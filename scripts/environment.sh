# Sourced by the other scripts: a virtual environment at .venv, or $LOOKCAST_VENV, with lookcast installed from here.
# usage: source scripts/environment.sh EXTRAS
venv=${LOOKCAST_VENV:-.venv}
if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "lookcast needs Python 3.11 or newer; set PYTHON to one" >&2
    exit 2
  }
  echo "making a virtual environment in $venv"
  "${PYTHON:-python3}" -m venv "$venv"
fi
# Installing is skipped while neither the dependencies nor the asked-for extras have changed since the last time.
stamp="$venv/.lookcast-$1"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  echo "installing lookcast[$1] (PyTorch is large: minutes on the first run)"
  "$venv/bin/python" -m pip install --quiet --editable ".[$1]"
  touch "$stamp"
fi
