import json

from lookcast.evaluation.report_files import CSV, JSON, PAGE, PUBLISHED, summary_table, write_report
from tests.evaluation.test_page import report, result


class TestPublished:
    def test_every_entry_has_its_figures(self):
        assert [entry.num_pairs for entry in PUBLISHED] == [59, 59, 59, 59, 59, 6]
        by_name = {entry.name.split(",")[0]: entry.figures for entry in PUBLISHED}
        expected = {"edge_ssim": 0.589, "gram": 0.377, "swd": 3.2, "affine": 0.0208, "invented": 16.0}
        assert by_name["Deep Photo Style Transfer"] == expected
        assert "invented" not in by_name["Reinhard 2001"]


class TestWriteReport:
    def test_three_files_and_no_rest(self, tmp_path):
        made = report(result("ä"), result("b", gram=float("inf")))
        write_report(tmp_path / "new", made)
        assert {path.name for path in (tmp_path / "new").iterdir()} == {JSON, CSV, PAGE}
        assert json.loads((tmp_path / "new" / JSON).read_text(encoding="utf-8")) == json.loads(json.dumps(made))
        assert "ä,output,0.75,0.25," in (tmp_path / "new" / CSV).read_text(encoding="utf-8")


class TestSummaryTable:
    def test_known_value(self):
        assert summary_table(report(result(), result("b"))).splitlines() == [
            "         pairs  Edge SSIM   Gram  Lab SWD  Affine  Invented  Features",
            "content      2      1.000  1.000      1.0  1.0000       1.0     1.000",
            "dpst         2      0.500  0.500      0.5  0.5000       0.5     0.500",
            "output       2      0.750  0.250      0.8  0.7500       0.8     0.750",
        ]
