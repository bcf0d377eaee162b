"""Readers of reports."""

import json
import re
from html import unescape
from urllib.parse import unquote


def opened(report):
    return json.loads((report / "report.json").read_text()), (report / "report.html").read_text()


def linked(page):
    """Return the targets of all links and pictures of a page."""
    return {unquote(unescape(link)) for link in re.findall(r'(?:src|href)="([^"]+)"', page) if link != "data:,"}
