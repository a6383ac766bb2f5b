"""Whether every link of a built site leads somewhere, every page is led to, and nothing is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Fault", "faults"]

_FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src")}
"""What a browser asks for by itself when a page is opened."""
_ASKED_FOR_NOTHING = {"canonical", "alternate", "author", "license", "prev", "next"}
_NOT_FOUND = "404.html"


@dataclass(frozen=True, order=True)
class Fault:
    page: str
    what: str

    def __str__(self) -> str:
        return f"{self.page}: {self.what}"


@dataclass
class _Read(HTMLParser):
    """What matters of a page. Links of the navigation do not count for being led to: it has every page by itself."""

    anchors: set[str] = field(default_factory=set)
    links: list[tuple[str, bool]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    _nav: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._nav += tag == "nav"
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append((given["href"], self._nav == 0))
        for name, value in given.items():
            if (tag, name) in _FETCHED and not set(given.get("rel", "").split()) & _ASKED_FOR_NOTHING:
                self.fetched.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._nav -= tag == "nav"


def faults(site: Path, *, start: str) -> list[Fault]:
    """All that is wrong with a site, by page. Links to other hosts are taken as they are."""
    pages = {}
    for file in site.rglob("*.html"):
        pages[file.relative_to(site).as_posix()] = read = _Read()
        read.feed(file.read_text(encoding="utf-8"))
    led_to = {start, _NOT_FOUND}
    found = []
    for name, page in pages.items():
        for target, counts in page.links:
            where, fault = _follow(site, pages, name, target)
            if fault:
                found.append(Fault(name, fault))
            elif counts and where is not None and where != name:
                led_to.add(where)
        found += [Fault(name, f"{value} is fetched from elsewhere") for value in page.fetched if _elsewhere(value)]
        found += [Fault(name, f"{value} is not there") for value in page.fetched if _missing(site, name, value)]
    found += [Fault(name, "no page leads to it") for name in pages if name not in led_to]
    found += _styles(site)
    return sorted(set(found))


def _follow(site: Path, pages: dict[str, _Read], name: str, target: str) -> tuple[str | None, str | None]:
    """The page that a link leads to, if it is one of the site, and what is wrong with it."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None, None
    if name == _NOT_FOUND:  # shown wherever a page was not found; its links begin at the root
        target_path = site / parts.path.lstrip("/")
    else:
        target_path = (site / name).parent / unquote(parts.path) if parts.path else site / name
    path = target_path.resolve()
    if path.is_dir():
        path /= "index.html"
    if not path.is_relative_to(site.resolve()) or not path.is_file():
        return None, f"{target} leads nowhere"
    where = path.relative_to(site.resolve()).as_posix()
    anchor = unquote(parts.fragment)
    if anchor and where in pages and anchor not in pages[where].anchors:
        return None, f"{target}: there is no such heading"
    return where, None


def _elsewhere(value: str) -> bool:
    return bool(urlsplit(value).netloc)


def _missing(site: Path, name: str, value: str) -> bool:
    parts = urlsplit(value)
    if parts.netloc or parts.scheme == "data" or name == _NOT_FOUND:
        return False
    return not ((site / name).parent / unquote(parts.path)).exists()


def _styles(site: Path) -> Iterator[Fault]:
    for file in site.rglob("*.css"):
        text = file.read_text(encoding="utf-8").replace("url(//", "url(https://").replace('"', "").replace("'", "")
        if "url(http" in text or "@import http" in text:
            yield Fault(file.relative_to(site).as_posix(), "fetches something from elsewhere")
