import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lookcast import cli

BIN = Path(sys.executable).parent


def completions(line, tmp_path):
    """Ask like a shell that argcomplete has set up, with the cursor at the end of a line."""
    answer = tmp_path / "answer"
    environment = {
        **os.environ,
        **{"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"},
        **{"_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)},
    }
    subprocess.run([sys.executable, "-m", "lookcast.cli"], env=environment, check=True)
    return {word.strip() for word in answer.read_text().splitlines()}


class TestComplete:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("lookcast sty", {"stylize"}),
            ("lookcast stylize --str", {"--strength"}),
            ("lookcast stylize photo.jpg --auto-masks c", {"clusters"}),
            ("lookcast export --format ", {"cube", "hald", "onnx", "pt2"}),
        ],
    )
    def test_known_value(self, tmp_path, line, expected):
        assert completions(line, tmp_path) == expected

    def test_all_commands(self, tmp_path):
        assert {name for name in completions("lookcast ", tmp_path) if not name.startswith("-")} == set(cli.COMMANDS)

    def test_every_command_has_a_parser(self):
        for name, command in cli.COMMANDS.items():
            if name != "train":  # Hydra parses its arguments
                assert command.build_parser().prog == f"lookcast {name}"

    @pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
    def test_in_bash(self, tmp_path):
        script = (
            f'PATH={BIN}:$PATH\neval "$(register-python-argcomplete lookcast)"\n'
            'COMP_LINE="lookcast mat" COMP_POINT=12 COMP_TYPE=9 COMP_WORDS=(lookcast mat) COMP_CWORD=1\n'
            "_python_argcomplete $(type -P lookcast)\necho ${COMPREPLY[@]}"
        )
        result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert result.stdout.strip() == "match"
