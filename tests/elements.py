"""What a page of HTML is made of, for tests of pages."""

from html.parser import HTMLParser


class Elements(HTMLParser):
    """Start tags of a page with their attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, name, tag=None):
        """The values of attribute `name`, of elements `tag` where one is named."""
        return [attributes[name] for found, attributes in self.tags if name in attributes and tag in (None, found)]
