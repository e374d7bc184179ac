"""What the pages name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.__main__ import cli
from app.settings import FIELDS
from benchmarks.registry import BENCHMARKS
from loadgen.plan import scenarios

ROOT = Path(__file__).parents[3]
PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
]
OF_A_TEST = {"GATEWATCH_PICTURES", "GATEWATCH_PICTURES_SECONDS"}
page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def _anchors(text: str) -> set[str]:
    """Return by what a page's headings are linked to, as GitHub makes it of their words."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@page
def test_a_link_leads_somewhere(page: Path) -> None:
    """Each link to a file of ours, and to a heading in it."""
    for link in re.findall(r"\]\((?!https?:|images/demo-)([^)\s]+)\)", page.read_text()):
        file, _, anchor = link.partition("#")
        meant = page.parent / file if file else page
        assert meant.exists(), link
        assert not anchor or anchor in _anchors(meant.read_text()), link


def test_the_demo_takes_the_pictures_that_it_shows() -> None:
    """Each is of a step that its test photographs."""
    shown = re.findall(r"\(images/demo-(\w+)\.png\)", (ROOT / "docs" / "demo.md").read_text())
    taken = re.findall(r'picture\(visit, "(\w+)"\)', (ROOT / "tests/e2e/test_demo_in_a_browser.py").read_text())
    assert set(shown) == set(taken)


@page
def test_a_path_and_a_setting_are_there(page: Path) -> None:
    """Each path in our own folders, and each variable that begins as ours do."""
    text = page.read_text()
    folders = "app|benchmarks|console|docs|examples|loadgen|migrations|observability|tests"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]*)`", text):
        assert (ROOT / path).exists()
    known = {field.name for field in FIELDS} | OF_A_TEST
    assert set(re.findall(r"\b(?:GATEWATCH|DATABASE|REDIS|SMTP)_[A-Z_]*[A-Z]\b", text)) <= known


@page
def test_a_command_is_there(page: Path) -> None:
    """Each command, each target of the Makefile, each scenario and each row of benchmarks that a page names."""
    text = page.read_text()
    assert set(re.findall(r"(?:`|bin/)gatewatch ([a-z]+)", text)) <= set(cli.commands)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^ +)make ([a-z]+)", text, re.MULTILINE)) <= set(targets)
    assert set(re.findall(r"SCENARIO=(\w+)", text)) <= {scenario.name for scenario in scenarios()}
    rows = re.findall(r"ROWS=['\"]?(\w+)", text) + re.findall(r"-m benchmarks (\w+)", text)
    assert set(rows) <= {benchmark.name for benchmark in BENCHMARKS}


def test_every_module_is_told() -> None:
    """Those of the load generator in its table; of the application what is not in a folder, and each folder."""
    inside = (ROOT / "docs" / "loadgen.md").read_text().partition("## Inside")[2]
    modules = {path.stem for path in (ROOT / "loadgen").glob("*.py") if not path.stem.startswith("__")}
    assert modules <= set(re.findall(r"`(\w+)`", inside))
    told = (ROOT / "docs" / "architecture.md").read_text()
    parts = {path.name for path in (ROOT / "app").glob("*.py") if path.stem != "__init__"}
    parts |= {f"{path.parent.name}/" for path in (ROOT / "app").glob("*/__init__.py")}
    assert parts <= set(re.findall(r"`app/([\w.]+/?)`", told))


def test_every_page_can_be_found() -> None:
    """README links to each, or to one that does."""
    readme = (ROOT / "README.md").read_text()
    linked = set(re.findall(r"\(docs/(\w+\.md)", readme))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")}
