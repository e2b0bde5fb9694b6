"""Scripts of the page in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import crqat_pipeline.export.web as web

NODE = shutil.which("node")
PAGE = Path(web.__file__).parent / "page"


def in_node(folder, script, value):
    """What `answer(value)` of the script gives, by JSON."""
    (folder / "value.json").write_text(json.dumps(value))
    for file in PAGE.glob("*.js"):
        shutil.copyfile(file, folder / file.name)
    (folder / "package.json").write_text('{"type": "module"}')
    whole = (
        'import { readFileSync } from "node:fs";\n'
        f"{script}\n"
        'console.log(JSON.stringify(answer(JSON.parse(readFileSync("value.json", "utf8")))));\n'
    )
    (folder / "main.js").write_text(whole)
    done = subprocess.run([NODE, "main.js"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
