"""Everything is in pyproject.toml but the page of a package index: README, without what leads nowhere there."""

import re
from pathlib import Path

from setuptools import setup


def package_page(readme: str) -> str:
    """README with links into the repository as their words, pictures as their captions, comments left out."""
    text = re.sub(r"<!--.*?-->\n?", "", readme, flags=re.S)
    text = re.sub(r"!\[([^\]]*)\]\((?!https?:)[^)]*\)", r"*\1.*", text)
    return re.sub(r"\[([^\]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)


if __name__ == "__main__":
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    setup(long_description=package_page(readme), long_description_content_type="text/markdown")
