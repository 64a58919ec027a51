"""A headless Chromium that reaches nothing but this machine, and tells what pages complained of and asked for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

Found = TypeVar("Found")

_SWITCHES = (
    "--headless=new",
    # Its sandbox needs rights that containers and root do not have; the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    # Whatever it is asked for elsewhere does not exist.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_OURS = ("127.0.0.1", "localhost", "")
_LOCAL = ("file", "http", "data", "blob", "about")


def programs() -> tuple[str, str] | str:
    """Return the paths of Chromium and its driver, or what is missing."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None:
        return "there is no chromium, chromium-browser or google-chrome on the PATH"
    return (browser, driver) if driver else "there is no chromedriver on the PATH"


class Chromium:
    """One browser with one page."""

    def __init__(self, driver: webdriver.Chrome, pictures: Path) -> None:
        self.driver = driver
        self._pictures = pictures

    def open(self, address: str) -> None:
        """Go to an address, and forget what was said before."""
        self.driver.get("about:blank")
        self.messages(), self.requests()
        self.driver.get(address)

    def script(self, source: str, *arguments: Any) -> Any:
        """Run a function's body in the page and return its result."""
        return self.driver.execute_script(source, *arguments)

    def command(self, name: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def until(self, look: Callable[[], Found], seconds: float = 60) -> Found:
        """Look until there is something to see, and return it."""
        end = time.monotonic() + seconds
        while True:
            found = look()
            if found or time.monotonic() > end:
                return found
            time.sleep(0.1)

    def messages(self) -> list[str]:
        """Return warnings and errors of the console since the last call."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def requests(self) -> list[str]:
        """Return the addresses asked for since the last call."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Make the page as large as a screen of so many pixels."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def prefer(self, scheme: str) -> None:
        """Prefer `light` or `dark`, as a person's settings do."""
        self.command(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def picture(self, name: str, *, whole: bool = True) -> Path:
        """Save what is seen as a PNG, for people."""
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        path = self._pictures / f"{name}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def reset(self) -> None:
        """Be as at the start."""
        self.driver.get("about:blank")
        self.size(1200, 900)
        self.prefer("light")


def is_elsewhere(address: str) -> bool:
    """Whether an address leads away from this machine."""
    parts = urlsplit(address)
    return parts.scheme not in _LOCAL or (parts.hostname or "") not in _OURS


@contextmanager
def started(browser: str, driver: str, folder: Path) -> Iterator[Chromium]:
    """Start a browser whose profile lies in a folder; pictures go there, or to $BROWSER_SCREENSHOTS."""
    options = Options()
    options.binary_location = browser
    for switch in (*_SWITCHES, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver is named, so selenium looks for none and downloads none.
    running = webdriver.Chrome(options=options, service=Service(executable_path=driver))
    pictures = Path(os.environ.get("BROWSER_SCREENSHOTS") or folder)
    pictures.mkdir(parents=True, exist_ok=True)
    try:
        running.set_page_load_timeout(60)
        yield Chromium(running, pictures)
    finally:
        running.quit()
