"""A headless Chromium driven over its debugging protocol: enough to click a page and look at it."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,1400",
)


class Browser:
    """One page. Requests to other machines than this one are collected in `foreign`."""

    def __init__(self, folder, *more_flags):
        from websockets.sync.client import connect

        self._process = subprocess.Popen(
            [EXECUTABLE, *FLAGS, *more_flags, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port_file = Path(folder) / "DevToolsActivePort"
        self._wait(port_file.exists, "Chromium did not start")
        self._wait(lambda: len(port_file.read_text().split()) == 2, "Chromium opened no port")
        port = port_file.read_text().split()[0]
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            target = next(entry for entry in json.load(answer) if entry["type"] == "page")
        self._socket = connect(target["webSocketDebuggerUrl"], max_size=None)
        self._ids = itertools.count(1)
        self.foreign = []
        self.call("Network.enable")
        self.call("Page.enable")

    def call(self, method, **params):
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=240))
            if message.get("method") == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("http://127.0.0.1", "http://localhost", "data:", "blob:", "about:", "chrome")):
                    self.foreign.append(url)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def evaluate(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script, seconds=240):
        return self._wait(lambda: self._seen(script), f"never true: {script}", seconds)

    def _seen(self, script):
        try:
            return self.evaluate(script)
        except AssertionError as error:
            if "navigated or closed" in str(error):  # a page that loads itself again
                return None
            raise

    def upload(self, selector, path):
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def type_into(self, selector, text):
        self.evaluate(f"document.querySelector({selector!r}).focus()")
        self.call("Input.insertText", text=text)

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self):
        with contextlib.suppress(Exception):
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=20)

    @staticmethod
    def _wait(condition, complaint, seconds=120):
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, complaint
            time.sleep(0.1)
        return value
