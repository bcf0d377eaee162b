import csv
import json
import os

import pytest

from lookcast.checks import InputError
from lookcast.evaluation.report_files import (
    CSV,
    JSON,
    PAGE,
    check_report_folder,
    published_methods,
    summary_table,
    write_report,
)
from lookcast.evaluation.scoring import MEASURES
from tests.evaluation.test_page import report, result


class TestPublishedMethods:
    def test_every_entry_has_its_figures(self):
        methods = published_methods()
        assert [entry["num_pairs"] for entry in methods] == [29, 59, 59, 59, 29, 6]
        assert all(entry["figures"].keys() <= MEASURES.keys() for entry in methods)
        by_name = {entry["name"].split(",")[0]: entry["figures"] for entry in methods}
        expected = {"edge_ssim": 0.610, "gram": 0.389, "swd": 3.38, "affine": 0.0147, "invented": 16.4, "flat": 15.7}
        assert by_name["Deep Photo Style Transfer"] == expected
        assert by_name["content unchanged"]["flat"] == 3.4
        assert "invented" not in by_name["Reinhard 2001"]


class TestWriteReport:
    def test_writes_three_files_and_nothing_else(self, tmp_path):
        made = report(result("ä"), result("b", gram=float("inf")))
        write_report(tmp_path / "new", made)
        assert {path.name for path in (tmp_path / "new").iterdir()} == {JSON, CSV, PAGE}
        assert json.loads((tmp_path / "new" / JSON).read_text(encoding="utf-8")) == json.loads(json.dumps(made))
        assert "ä,output,0.75,0.25," in (tmp_path / "new" / CSV).read_text(encoding="utf-8")

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
    def test_no_name_is_a_formula(self, tmp_path, name):
        write_report(tmp_path, report(result(name)))
        with (tmp_path / CSV).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["pair"] for row in rows] == [f"'{name}"] * 3
        assert rows[2]["gram"] == "0.25"
        assert json.loads((tmp_path / JSON).read_text())["pairs"][0]["name"] == name

    def test_names_with_commas_quotes_and_lines(self, tmp_path):
        name = 'a, "b" <c> & d'
        write_report(tmp_path, report(result(name), result("e\nf"), result("\udcff"), pairs="\udcfe"))
        with (tmp_path / CSV).open(newline="", encoding="utf-8") as file:
            names = [row["pair"] for row in csv.DictReader(file)]
        assert names[::3] == [name, "e\\nf", "\\udcff"]
        assert json.loads((tmp_path / JSON).read_text(encoding="utf-8"))["config"]["pairs"] == "\\udcfe"


class TestCheckReportFolder:
    @pytest.mark.parametrize("name", ["file", "file/below", "file/below/it"])
    def test_rejects_a_file_and_what_lies_below_it(self, tmp_path, name):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match=rf"{name}: can't be written \((\S+ is no folder|Not a directory)\)$"):
            check_report_folder(tmp_path / name)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match=r"pipe: can't be written"):
            check_report_folder(tmp_path / "pipe")

    @pytest.mark.parametrize("name", [300 * "a", "a\0"])
    def test_rejects_a_name_that_the_system_refuses(self, tmp_path, name):
        with pytest.raises(InputError, match="can't be written"):
            check_report_folder(tmp_path / name)

    @pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root and Windows ignore the mode of a folder")
    def test_rejects_a_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(InputError, match="no permission"):
            check_report_folder(tmp_path / "report")

    def test_makes_nothing(self, tmp_path):
        check_report_folder(tmp_path / "a" / "b", [tmp_path / "pictures" / "cat.png"])
        check_report_folder(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_rejects_to_write_over_a_source(self, tmp_path):
        (tmp_path / "report" / "pictures" / "content").mkdir(parents=True)
        (tmp_path / "link").symlink_to(tmp_path / "report" / "pictures")
        for source in ("report/pictures/content/cat.jpg", "link/content/cat.jpg"):
            with pytest.raises(InputError, match=r"report: the report would overwrite \S+/cat\.jpg, an input of"):
                check_report_folder(tmp_path / "report", [tmp_path / source])


class TestSummaryTable:
    def test_known_value(self):
        assert summary_table(report(result(), result("b"))).splitlines() == [
            "         pairs  Edge SSIM   Gram  Lab SWD  Affine  Invented  Features",
            "content      2      1.000  1.000      1.0  1.0000       1.0     1.000",
            "dpst         2      0.500  0.500      0.5  0.5000       0.5     0.500",
            "output       2      0.750  0.250      0.8  0.7500       0.8     0.750",
        ]
