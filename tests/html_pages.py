"""Reading of the HTML pages that the tests make."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input"}


class ParsedPage(HTMLParser):
    """The tags and the text of a page; fails if the tags are not closed in order.

    Attributes:
        tags: pairs (name of a tag, its attributes), in order.
        text: the text between the tags, also that of scripts.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
