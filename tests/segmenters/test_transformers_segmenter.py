import functools
import http.server
import json
import os
import socket
import subprocess
import sys
import threading

import pytest
import torch
from safetensors.torch import load_file, save_file

from lookcast.checks import InputError
from lookcast.segmenters.class_groups import GROUP_NAMES, GROUPS, OTHER, group_of
from lookcast.segmenters.transformers_segmenter import TransformersSegmenter
from tests.samples import photo, rand
from tests.segmenters.pickles import save_code

transformers = pytest.importorskip("transformers", reason="lookcast[segment] is not installed")

# 150 classes like ADE20K, in another order than in the table of groups.
NAMES = [*(name for names in zip(*[iter(sorted(sum(GROUPS.values(), ())))] * 2, strict=False) for name in names[::-1])]
NAMES = [*NAMES, *(f"thing {k}" for k in range(150 - len(NAMES)))]


def small_segformer(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.SegformerConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 16, 16],
            num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=8,
            id2label=dict(enumerate(NAMES)),
            label2id={name: k for k, name in enumerate(NAMES)},
        )
        return transformers.SegformerForSemanticSegmentation(config).eval()


def save_segformer(folder, network):
    network.save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_segformer(tmp_path_factory.mktemp("segformer"), small_segformer())


class TestTransformersSegmenter:
    def test_probabilities_sum_to_one(self, folder):
        with torch.no_grad():
            grouped = TransformersSegmenter(folder).probabilities(photo("astronaut"))
        assert grouped.shape == (1, len(GROUP_NAMES), 16, 16)
        torch.testing.assert_close(grouped.sum(1), torch.ones(1, 16, 16))

    def test_matches_reference(self, folder):
        # The checkpoint run by transformers' own classes on 8-bit pixels; the classes are added one by one.
        image = photo("astronaut", whole=True)
        pixels = (image[0] * 255).round().byte()
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        network = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
        with torch.no_grad():
            classes = network(**processor(images=pixels, return_tensors="pt")).logits.softmax(1)
            actual = TransformersSegmenter(folder).probabilities(image)
        for g, group in enumerate(GROUP_NAMES):
            expected = sum(classes[:, k] for k, name in enumerate(NAMES) if group_of(name) == group)
            torch.testing.assert_close(actual[:, g], expected, rtol=0, atol=1e-3)

    @pytest.mark.parametrize(("name", "group"), [("sea", "water"), ("palm", "vegetation"), ("thing 0", OTHER)])
    def test_known_value(self, tmp_path, name, group):
        network = small_segformer()
        with torch.no_grad():
            network.decode_head.classifier.weight.zero_()
            network.decode_head.classifier.bias.zero_()[NAMES.index(name)] = 9
        pair = TransformersSegmenter(save_segformer(tmp_path, network)).segment_pair(photo("chelsea"), photo("coffee"))
        assert pair.labels == (group,)
        assert torch.equal(pair.content, torch.ones(1, 1, 37, 31, dtype=torch.float64))
        assert torch.equal(pair.style, torch.ones(1, 1, 33, 50, dtype=torch.float64))

    def test_a_group_wins_by_the_sum_of_its_classes(self, tmp_path):
        # Sky is the most probable class; lake, sea and river together are more probable.
        network = small_segformer()
        with torch.no_grad():
            bias = network.decode_head.classifier.bias.zero_()
            network.decode_head.classifier.weight.zero_()
            bias[NAMES.index("sky")] = 12
            bias[[NAMES.index(name) for name in ("lake", "sea", "river")]] = 11.5
        pair = TransformersSegmenter(save_segformer(tmp_path, network)).segment_pair(photo("chelsea"), photo("coffee"))
        assert pair.labels == ("water",)

    @pytest.mark.parametrize("size", [(37, 61), (1, 70), (16, 16)])
    def test_any_size(self, folder, size):
        content, style = rand(1, 3, *size), rand(1, 3, 20, 30, seed=1)
        pair = TransformersSegmenter(folder).segment_pair(content, style)
        assert pair.content.shape == (1, len(pair.labels), *size)
        assert torch.equal(pair.content.sum(1), torch.ones(1, *size, dtype=torch.float64))
        assert len(pair.labels) <= 9

    def test_rejects_a_missing_package(self, monkeypatch, folder):
        monkeypatch.setitem(sys.modules, "transformers", None)
        with pytest.raises(InputError, match=r"pip install 'lookcast\[segment\]'"):
            TransformersSegmenter(folder)

    def test_rejects_a_missing_folder(self, tmp_path):
        with pytest.raises(InputError, match=r"none can't be read \(No such file .*expected the folder of"):
            TransformersSegmenter(tmp_path / "none")

    def test_rejects_a_file(self, folder):
        with pytest.raises(InputError, match=r"safetensors can't be read \(Not a directory\), expected"):
            TransformersSegmenter(folder / "model.safetensors")

    @pytest.mark.parametrize("name", ["a b/c", f"{'n' * 300}/model", "/none/of/them"])
    def test_rejects_a_name_that_the_hub_does_not_allow(self, name):
        with pytest.raises(InputError, match=r"is neither a folder nor a public model of the Hugging Face hub$"):
            TransformersSegmenter(name)

    def test_rejects_a_cut_file(self, tmp_path):
        file = save_segformer(tmp_path, small_segformer()) / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(InputError, match=r"^segmenter transformers: \S+ can't be loaded \([^\n]+\); [^\n]+$"):
            TransformersSegmenter(tmp_path)

    def test_runs_no_pickled_code(self, tmp_path):
        (save_segformer(tmp_path, small_segformer()) / "model.safetensors").unlink()
        save_code(tmp_path / "pytorch_model.bin", tmp_path / "ran")
        with pytest.raises(InputError, match=r"^segmenter transformers: \S+ can't be loaded \([^\n]+\); [^\n]+$"):
            TransformersSegmenter(tmp_path)
        assert not (tmp_path / "ran").exists()

    def test_runs_no_code_of_a_checkpoint(self, tmp_path):
        config = save_segformer(tmp_path, small_segformer()) / "config.json"
        foreign = {"model_type": "foreign", "auto_map": {"AutoConfig": "code.Config"}}
        config.write_text(json.dumps(json.loads(config.read_text()) | foreign))
        (tmp_path / "code.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).mkdir()")
        with pytest.raises(InputError, match=r"^segmenter transformers: \S+ can't be loaded \([^\n]+\); [^\n]+$"):
            TransformersSegmenter(tmp_path)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
    def test_rejects_a_pipe(self, tmp_path, name):
        (save_segformer(tmp_path, small_segformer()) / name).unlink()
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: is a pipe or a device"):
            TransformersSegmenter(tmp_path)

    def test_rejects_a_backbone_without_its_head(self, tmp_path):
        # transformers would initialise the head at random.
        save_segformer(tmp_path, small_segformer())
        state = load_file(tmp_path / "model.safetensors")
        kept = {name: tensor for name, tensor in state.items() if "classifier" not in name}
        save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(InputError, match=r"lacks the weight 'decode_head\.classifier\.bias' of its network"):
            TransformersSegmenter(tmp_path)

    def test_rejects_weights_that_are_not_finite(self, tmp_path):
        network = small_segformer()
        network.decode_head.classifier.weight.data[0, 0] = float("nan")
        with pytest.raises(InputError, match=r"'decode_head\.classifier\.weight' of \S+ holds values that are"):
            TransformersSegmenter(save_segformer(tmp_path, network))

    def test_rejects_another_task(self, tmp_path):
        config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
        save_segformer(tmp_path, transformers.BertModel(config))
        with pytest.raises(InputError, match="can't be loaded"):
            TransformersSegmenter(tmp_path)


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub with one model, `some/model`, served from a folder; records the paths of all requests."""

    REVISIONS = tuple(f"/some/model/resolve/{revision}" for revision in ("main", 40 * "a"))

    def __init__(self, folder, asked, *arguments):
        self.folder, self.asked = folder, asked
        super().__init__(*arguments)

    def do_GET(self):
        start, _, name = self.path.rpartition("/")
        if name != "agent-harnesses":  # a request of huggingface_hub that has nothing to do with models
            self.asked.append(self.path)
        if self.path == "/api/models/some/model":
            content = json.dumps({"id": "some/model", "_id": "1", "sha": 40 * "a", "siblings": []}).encode()
        # huggingface_hub 1 asks for files of the branch, and later releases ask for files of the commit.
        elif start in self.REVISIONS and (self.folder / name).is_file():
            content = (self.folder / name).read_bytes()
        else:
            content = None
        self.send_response(404 if content is None else 200)
        self.send_header("X-Repo-Commit", 40 * "a")
        self.send_header("ETag", f'"{name}"')
        self.send_header("Content-Length", str(len(content or b"")))
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound" if "/resolve/" in self.path else "RepoNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content or b"")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


class TestHub:
    """Runs in new processes: huggingface_hub reads the addresses of hub and cache when it is imported."""

    PROGRAM = """
import sys, time
from lookcast.checks import InputError
from lookcast.segmenters import transformers_segmenter
import transformers, torch
transformers.AutoModelForSemanticSegmentation  # imported before the clock starts
transformers_segmenter.TIMEOUT = 1
start = time.perf_counter()
try:
    network = transformers_segmenter.TransformersSegmenter(sys.argv[1]).network
    print(network.decode_head.classifier.weight.double().sum().item())
except InputError as error:
    print(error)
print(time.perf_counter() - start)
"""

    @classmethod
    def open(cls, home, address, name="some/model", **variables):
        """Open a model in a new process; return its output, its seconds and its log."""
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment |= {"HF_HOME": str(home), "HF_ENDPOINT": f"http://{address}", "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", cls.PROGRAM, name]
        done = subprocess.run(
            command, env=environment | variables, capture_output=True, text=True, timeout=120, check=True
        )
        said, seconds = done.stdout.splitlines()
        return said, float(seconds), done.stderr

    @pytest.mark.nightly
    def test_downloads_once_and_then_uses_the_cache(self, tmp_path):
        network, asked = small_segformer(), []
        folder = save_segformer(tmp_path / "model", network)
        expected = repr(network.decode_head.classifier.weight.double().sum().item())
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, folder, asked))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"127.0.0.1:{server.server_port}"
            assert self.open(tmp_path / "home", address)[::2] == (expected, "")
            assert any(f"{start}/model.safetensors" in asked for start in Hub.REVISIONS)
            asked.clear()
            assert self.open(tmp_path / "home", address)[::2] == (expected, "")
            assert asked == []
            said, _, log = self.open(tmp_path / "home", address, "some/other")
            assert said.endswith("'some/other' is neither a folder nor a public model of the Hugging Face hub")
            assert (len(asked), log) == (1, "")
        finally:
            server.shutdown()
            server.server_close()

    @pytest.mark.parametrize(
        "variables", [pytest.param({}, id="refused"), pytest.param({"HF_HUB_OFFLINE": "1"}, id="HF_HUB_OFFLINE")]
    )
    @pytest.mark.nightly
    def test_answers_at_once_without_a_network(self, tmp_path, variables):
        with socket.socket() as closed:  # bound but not listening: connections are refused
            closed.bind(("127.0.0.1", 0))
            said, seconds, log = self.open(tmp_path, f"127.0.0.1:{closed.getsockname()[1]}", **variables)
        assert said.startswith("segmenter transformers: 'some/model' is not in the local cache and the hub can't be")
        assert "pass its folder by --segmenter-weights" in said
        assert seconds < 30  # retries alone slept for 92 s; the bound leaves room for a busy machine
        assert log == ""

    @pytest.mark.nightly
    def test_waits_once_for_a_hub_that_does_not_answer(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            said, seconds, log = self.open(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}")
        assert "the hub can't be reached" in said
        assert 1 <= seconds < 30
        assert log == ""
