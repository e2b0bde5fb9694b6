"""Links of the pages beside the site lead somewhere; those of the site are checked where it is built."""

import re

import pytest

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/nanodet/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(project, page):
    text = (project / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith(("http", "#"))]
    missing = [target for target in targets if not ((project / page).parent / target.split("#")[0]).exists()]
    assert missing == []
