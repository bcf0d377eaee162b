# Create a virtual environment in .venv, or in the folder $LOOKCAST_VENV, and install lookcast into it, editable and
# with EXTRAS (none if empty). Then $venv is the folder, and $bin is the folder of its programs. The other scripts
# source this file. uv installs the packages, because pip takes three times as long. uv does not read pip's settings;
# UV_DEFAULT_INDEX names a mirror of PyPI.
# usage: source scripts/environment.sh EXTRAS
venv=${LOOKCAST_VENV:-.venv}
case "$(uname -s)" in
  MINGW* | MSYS* | CYGWIN*) bin=$venv/Scripts ;;
  *) bin=$venv/bin ;;
esac
if [ ! -x "$bin/python" ]; then
  "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "lookcast needs Python 3.11 or newer; set PYTHON to such an interpreter" >&2
    exit 2
  }
  echo "creating a virtual environment in $venv"
  "${PYTHON:-python3}" -m venv "$venv"
fi
# Skip the installation if neither the dependencies nor the extras have changed since the last one.
stamp="$venv/.lookcast-${1:-plain}"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  echo "installing lookcast${1:+[$1]} (PyTorch is large: the first run takes minutes)"
  "$bin/python" -m pip install --quiet "uv>=0.5"
  "$bin/uv" pip install --quiet --python "$venv" --editable ".${1:+[$1]}"
  touch "$stamp"
fi
