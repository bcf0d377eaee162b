import subprocess
import sys

from tests.web.conftest import encoded

PROGRAM = """
import sys
import lookcast.web.serve
found = {"pytorch_lightning", "hydra", "omegaconf", "wandb", "lookcast.training", "lookcast.data"} & sys.modules.keys()
print(*sorted(found))
"""


def test_imports_nothing_of_training():
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300)
    assert (found.returncode, found.stdout, found.stderr) == (0, "\n", "")


def test_a_download_counts_until_it_is_sent(browser):
    photo, style = browser.upload(encoded()), browser.upload(encoded("coffee"))
    result = browser.stylize(photo, style)["id"]
    service = browser.client.app._app.state.service
    visit = next(iter(service.visits._visits.values()))
    before = visit.stored
    assert before == len(encoded()) + len(encoded("coffee"))
    for address in ("download?format=png", "download?format=jpeg"):
        assert browser.get(f"/api/results/{result}/{address}").status_code == 200
        assert visit.stored == before
    service.visits.limits = service.limits._replace(visit_bytes=before - 1)
    answer = browser.get(f"/api/results/{result}/download")
    line = f"this visit holds {before} bytes of at most {before - 1}"
    assert (answer.status_code, answer.json()["error"]) == (413, line)
