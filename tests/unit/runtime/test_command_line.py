"""Commands in a locale without UTF-8 end as they end elsewhere."""

import os
import subprocess
import sys

import pytest

CODE = "from crqat_pipeline.runtime.command_line import show_what_can_be_shown as show; show(); print('4 × 3 – 日本')"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", r"4 \xd7 3 \u2013 \u65e5\u672c"), ("latin-1", r"4 × 3 \u2013 \u65e5\u672c"), ("utf-8", "4 × 3 – 日本")],
)
def test_what_the_locale_lacks_is_shown_as_a_number(encoding, shown):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, check=True)
    assert done.stdout.decode(encoding).rstrip() == shown
