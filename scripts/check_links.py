#!/usr/bin/env python3
"""Checks the links of the documentation.

Usage: check_links.py [SITE]

Without SITE: every relative link in the Markdown files of the repository leads to a file, every anchor to a heading, every
page of docs/ stands in docs/SUMMARY.md, and pages of docs/ link to nothing outside docs/, because the site has nothing else.
With SITE: every link between the built pages leads to a file.
"""
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
HEADING = re.compile(r"^#+ +(.*?)#*$", re.MULTILINE)


def main() -> int:
    problems = list(check_site(Path(sys.argv[1])) if len(sys.argv) > 1 else check_sources())
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def check_sources():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], capture_output=True, text=True, check=True)
    pages = [page for name in listed.stdout.split() if (page := ROOT / name).exists()]
    for page in pages:
        text = without_code(page.read_text())
        for target in LINK.findall(text):
            if problem := broken(page, target):
                yield f"{page.relative_to(ROOT)}: {target}: {problem}"
    summary = (DOCS / "SUMMARY.md").read_text()
    for page in pages:
        if DOCS in page.parents and page.name != "SUMMARY.md" and f"({page.relative_to(DOCS)})" not in summary:
            yield f"docs/SUMMARY.md: {page.relative_to(DOCS)} is missing"


def broken(page: Path, target: str) -> str | None:
    """What is wrong with a link; none where it is right or leads out of the repository."""
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    file = (page.parent / unquote(name)).resolve() if name else page
    if not file.exists():
        return "there is no such file"
    if DOCS in page.parents and DOCS not in file.parents and file != DOCS:
        return "it leads out of docs/, which the site does not have"
    if anchor and file.suffix == ".md" and anchor not in anchors(file):
        return f"there is no heading #{anchor}"
    return None


def anchors(page: Path) -> set[str]:
    return {anchor_of(heading) for heading in HEADING.findall(without_code(page.read_text()))}


def anchor_of(heading: str) -> str:
    """The id that GitHub and mdBook give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return "".join(character for character in text.replace(" ", "-") if character.isalnum() or character in "-_")


def without_code(text: str) -> str:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda code: code.group(0).replace("[", "").replace("]", ""), text)


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in ("href", "src") and value]


def check_site(site: Path):
    pages = sorted(site.rglob("*.html"))
    if len(pages) < 20:
        yield f"{site}: only {len(pages)} pages were built"
    for page in pages:
        if page.name in ("404.html", "print.html"):
            continue
        links = Links()
        links.feed(page.read_text())
        for target in links.found:
            name = unquote(target.partition("#")[0])
            if re.match(r"[a-z]+:", target) or not name:
                continue
            if not (page.parent / name).exists():
                yield f"{page.relative_to(site)}: {target}: there is no such file"


if __name__ == "__main__":
    sys.exit(main())
