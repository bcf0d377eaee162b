"""The page that `scripts/quickstart_page.py` writes, on a quickstart that a test has put together."""

import importlib.util
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lookcast import cli, examples
from lookcast.checkpoints import save_checkpoint
from lookcast.checks import InputError
from lookcast.training.run import train
from tests.looks import look
from tests.runs import QUIET, composed

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in QUIET]

ROOT = Path(__file__).parents[1]
METRICS = {"val/style_distance_untouched": 1.0, "val/style_distance": 0.1934, "val/edge_ssim": 0.9176}
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("quickstart_page", ROOT / "scripts" / "quickstart_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, script):
    """The files that the page reads, in a folder with a name that HTML and shells must escape."""
    folder = tmp_path / "quick & <start>"
    (folder / "run").mkdir(parents=True)
    header = {"lookcast": "9.9", "metrics": METRICS, "steps": 60, "training": {"style": "sample:blue_hour"}}
    save_checkpoint(folder / "run" / "look.safetensors", look(), header)
    photo = examples.contents()["lake"]
    names = [f"demo/with_masks/{content}_{style}.jpg" for content, style in script.PAIRS]
    for name in (*names, "demo/without_masks.jpg", "demo/with_masks.jpg", "lake.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, folder / name)
    return folder


class Page(HTMLParser):
    """Collects tags with their attributes, and the text of code and table cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = tag

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open in ("code", "td"):
            self.texts.append((self.open, data))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


class TestWritePage:
    def test_known_value(self, script, folder):
        path = script.write_page(folder)
        assert path == folder / "index.html"
        page = Page(path.read_text(encoding="utf-8"))
        cells = [text for tag, text in page.texts if tag == "td"]
        assert cells[1:3] == ["100 %", "19 %"]
        assert "0.193" in cells
        assert "0.918" in cells
        assert len(page.all("input")) == len(script.PAIRS) + 1
        assert len(page.all("img")) == 2 * (len(script.PAIRS) + 1) + 3

    def test_holds_everything_itself(self, script, folder):
        text = script.write_page(folder).read_text(encoding="utf-8")
        assert "http" not in re.sub(r"data:[^\"]*", "", text)
        page = Page(text)
        assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
        assert [link["href"] for link in page.all("link")] == ["data:,"]  # no icon is asked for
        assert all("src" not in attributes for attributes in page.all("script"))

    def test_everything_has_a_name(self, script, folder):
        page = Page(script.write_page(folder).read_text(encoding="utf-8"))
        assert all(image["alt"] for image in page.all("img"))
        labels = [attributes["aria-label"] for attributes in page.all("input")]
        assert len(set(labels)) == len(labels)
        assert page.all("html") == [{"lang": "en"}]

    def test_its_commands_exist(self, script, folder, capsys):
        page = Page(script.write_page(folder).read_text(encoding="utf-8"))
        commands = [text for tag, text in page.texts if tag == "code"]
        assert len(commands) == 6
        for command in commands:
            words = command.split()
            assert words[0] == "lookcast"
            if words[1] != "train":
                known = cli.COMMANDS[words[1]].build_parser().format_help()
                assert all(word in known for word in words if word.startswith("-"))
        assert f"--checkpoint '{folder / 'run' / 'look.safetensors'}'" in commands[3]

    def test_rejects_an_unfinished_quickstart(self, script, folder):
        (folder / "lake.jpg").unlink()
        with pytest.raises(InputError, match=r"lake\.jpg: no such file; did scripts/quickstart\.sh end\?"):
            script.write_page(folder)
        assert not (folder / "index.html").exists()

    @pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
    def test_sliders_work_in_a_browser(self, script, folder, tmp_path):
        page = script.write_page(folder)
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        result = subprocess.run(
            [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=120
        )
        assert result.stdout.count('class="compare" style="--x: 50%;"') == len(script.PAIRS) + 1


@pytest.mark.nightly
class TestLook:
    """The look that the quickstart trains; TestWritePage and tests/test_configs.py are the faster tests."""

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_it_is_close_to_the_style_and_keeps_the_structure(self, tmp_path, seed):
        result = train(composed("experiment=quickstart", f"seed={seed}", f"run_dir={tmp_path / 'run'}"))
        metrics = result.metrics
        assert result.held_out
        assert metrics["val/style_distance"] <= 0.3 * metrics["val/style_distance_untouched"]
        assert metrics["val/edge_ssim"] >= 0.9
