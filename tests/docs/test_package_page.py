"""What a package index shows of README: nothing that leads into a repository it does not have."""

import re
import runpy


def package_page(project):
    return runpy.run_path(str(project / "setup.py"), run_name="page")["package_page"]


def test_readme_has_no_relative_link_and_no_picture_there(project):
    page = package_page(project)((project / "README.md").read_text(encoding="utf-8"))
    assert not [target for target in re.findall(r"\]\(([^)]*)\)", page) if not target.startswith(("http", "#"))]
    assert "![" not in page
    assert "<!--" not in page
    assert "crqat detect" in page


def test_words_of_links_stay(project):
    text = "See [the findings](docs/findings.md), [the paper](https://arxiv.org/abs/1).\n![Two images](docs/a.png)\n"
    assert package_page(project)(text) == ("See the findings, [the paper](https://arxiv.org/abs/1).\n*Two images.*\n")
