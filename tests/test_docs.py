"""The code of the README and of the guide runs and prints what the page says; links between files lead somewhere."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from problems import since

ROOT = Path(__file__).parents[1]
GUIDE = [ROOT / "README.md", *sorted(ROOT.glob("docs/guide/*.md"))]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *GUIDE[1:]]
CODE = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)  # and its output, if shown
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def name(page):
    return str(page.relative_to(ROOT))


def with_code(page):
    callbacks = "sklearn.callback" in page.read_text()
    return pytest.param(page, id=name(page), marks=since("1.9", "there are callbacks") if callbacks else ())


@pytest.mark.parametrize("page", [with_code(page) for page in GUIDE if "```python" in page.read_text()])
def test_code_runs_and_prints_what_the_page_says(page, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace: dict = {}
    for code, shown in CODE.findall(page.read_text()):
        printed = StringIO()
        with redirect_stdout(printed):
            exec(code, namespace)
        assert printed.getvalue() == shown or not shown


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_files_lead_somewhere(page):
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not dead
