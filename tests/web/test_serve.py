import http.client
import io
import os
import platform
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from lookcast.cli import main
from tests.looks import save_look
from tests.web.conftest import encoded, opened
from tests.web.servers import memory_of, running_server


def draw(number):
    """Return the bytes of a photo that no other client has, and its pixels."""
    pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue(), pixels


def visit(address, number):
    """Go through one visit. Return the statuses of its requests, and the ids of its photo and result."""
    data, pixels = draw(number)
    box = {"x": 0, "y": 0, "w": 640, "h": 480}
    with httpx.Client(base_url=address, timeout=200) as client:
        answers = [client.get("/api/settings")]
        answers.append(client.post("/api/photos", params={"name": f"{number}.png"}, content=data))
        photo = answers[-1].json()["id"]
        answers.append(client.post("/api/photos", params={"name": "style.jpg"}, content=encoded("coffee")))
        style = answers[-1].json()["id"]
        answers.append(client.post("/api/results", json={"content": photo, "styles": [{"id": style}]}))
        result = answers[-1].json()["id"]
        strengths = (0.25, 0.5, 0.75, 1)
        answers += [client.get(f"/api/results/{result}/preview", params={"strength": part}) for part in strengths]
        answers.append(client.get(f"/api/results/{result}/crop", params={**box, "strength": 0}))
        assert np.array_equal(opened(answers[-1]), pixels)
        answers.append(client.get(f"/api/results/{result}/download", params={"format": "png"}))
        assert not np.array_equal(opened(answers[-1]), pixels)
        answers.append(client.delete("/api/visit"))
    return {answer.status_code for answer in answers}, photo, result


@pytest.mark.slow
class TestServe:
    def test_many_clients_at_once(self, checkpoint, tmp_path):
        """All are served, nobody sees a photo of another, only this machine is listened to, and nothing is left."""
        options = "--checkpoint", str(checkpoint)
        with running_server(*options, folder=tmp_path, stop="interrupt") as (address, process):
            linux = sys.platform == "linux"
            if linux:
                assert _listening(int(address.rpartition(":")[2])) == {"0100007F"}  # 127.0.0.1
            visit(address, 100)
            before = memory_of(process.pid, "VmHWM") if linux else 0
            with ThreadPoolExecutor(20) as pool:
                found = list(pool.map(lambda number: visit(address, number), range(20)))
            assert {status for statuses, _, _ in found for status in statuses} == {200, 204}
            assert len({photo for _, photo, _ in found} | {result for _, _, result in found}) == 40
            # A photo takes 0.9 MB, and at most three are computed at a time, each with some copies.
            assert not linux or memory_of(process.pid, "VmHWM") - before < 150
            with httpx.Client(base_url=address, timeout=60) as client:
                client.get("/api/settings")
                for _, photo, result in found:
                    assert client.get(f"/api/photos/{photo}/preview").status_code == 404
                    assert client.get(f"/api/results/{result}/preview").status_code == 404
                client.post("/api/photos", params={"name": "a.jpg"}, content=encoded())
            assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
        assert process.returncode == 130
        assert list(tmp_path.iterdir()) == []

    def test_the_next_server_removes_what_a_killed_one_left(self, checkpoint, tmp_path):
        options = "--checkpoint", str(checkpoint)
        with running_server(*options, stop="kill", folder=tmp_path) as (address, _):
            httpx.post(f"{address}/api/photos", params={"name": "a.jpg"}, content=encoded(), timeout=60)
        left = list(tmp_path.rglob("*"))
        assert len([path for path in left if path.is_file() and path.suffix != ".lock"]) == 1
        with running_server(*options, folder=tmp_path) as (address, _):
            assert httpx.get(f"{address}/api/settings", timeout=60).status_code == 200
            assert not [path for path in left if path.exists()]
        assert list(tmp_path.iterdir()) == []

    def test_keeps_idle_connections(self, checkpoint):
        """Clients that reuse a connection within seconds must not meet a server that closes it."""
        with running_server("--checkpoint", str(checkpoint)) as (address, _):
            host, port = address.removeprefix("http://").split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            connection.connect()
            first = connection.sock
            for pause in (0, 6):  # uvicorn's default is 5 s
                time.sleep(pause)
                connection.request("GET", "/app.js")
                assert connection.getresponse().read()
                assert connection.sock is first


def _listening(port):
    """Return the addresses, as Linux writes them, at which this machine listens to a port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = [line[1].split(":") for line in lines if line[3] == "0A"]
    return {host for host, number in places if int(number, 16) == port}


GAPS = """
import os, sys
import numpy as np
from lookcast.web.serve import give_back_large_arrays
from tests.web.servers import memory_of
if sys.argv[1] == "give back":
    give_back_large_arrays()
np.ones(30 << 20, np.uint8)  # glibc now takes smaller arrays from the heap
before = memory_of(os.getpid())
arrays = [np.ones(3 << 20, np.uint8) for _ in range(100)]
del arrays[:-1]
print(memory_of(os.getpid()) - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc keeps freed arrays")
class TestGiveBackLargeArrays:
    @pytest.mark.parametrize(("mode", "few"), [("give back", True), ("keep", False)])
    def test_memory_after_freeing(self, mode, few):
        """Of 100 arrays of 3 MB, only the last one is left. By default, the heap keeps the gaps before it."""
        found = subprocess.run([sys.executable, "-c", GAPS, mode], capture_output=True, text=True, timeout=100)
        assert (float(found.stdout) < 10) == few, found


class TestCommand:
    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (["--checkpoint", "none.safetensors"], "none.safetensors: no such checkpoint"),
            (["--checkpoint", __file__], f"{__file__}: "),
            (["--auth", "anna"], "auth: expected USER:PASSWORD"),
            (["--host", "256.1.1.1"], "--host 256.1.1.1 --port 8750: can't be used"),
            (["--device", "tpu"], "device: 'tpu' is none of auto, cpu, cuda, mps"),
        ],
        ids=str,
    )
    def test_rejects(self, capsys, options, line):
        assert main(["web", *options]) == 2
        assert capsys.readouterr().err.startswith(f"lookcast: error: {line}")

    def test_rejects_a_checkpoint_without_grid(self, capsys, tmp_path):
        path = save_look(tmp_path / "look.safetensors", "transform")
        assert main(["web", "--checkpoint", str(path)]) == 2
        line = f"{path}: a generator 'transform' predicts pixels; the page needs one that predicts a grid"
        assert capsys.readouterr().err == f"lookcast: error: {line}\n"

    def test_rejects_two_checkpoints_of_one_name(self, capsys, tmp_path):
        path = save_look(tmp_path / "universal.safetensors")
        assert main(["web", "--checkpoint", str(path)]) == 2
        assert "--checkpoint: two checkpoints are named universal: " in capsys.readouterr().err

    def test_port_in_use(self, capsys):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert main(["web", "--port", port]) == 2
        assert f"--host 127.0.0.1 --port {port}: can't be used" in capsys.readouterr().err

    @pytest.mark.parametrize("port", ["-1", "65536", "x", ""])
    def test_rejects_ports(self, capsys, port):
        with pytest.raises(SystemExit) as caught:
            main(["web", "--port", port])
        assert caught.value.code == 2
        assert "--port" in capsys.readouterr().err

    @pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP prints its settings")
    def test_openmp_waits_without_a_core(self):
        program = "from lookcast.cli import main; main(['web', '--device', 'tpu'])"
        settings = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        settings["OMP_DISPLAY_ENV"] = "true"
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=settings, timeout=100
        )
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in found.stderr

    def test_without_the_extra(self):
        program = "import sys; sys.modules['fastapi'] = None; from lookcast.cli import main; sys.exit(main(['web']))"
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
        line = "lookcast: error: lookcast web needs the package fastapi: pip install 'lookcast[web]'\n"
        assert (found.returncode, found.stderr) == (2, line)
