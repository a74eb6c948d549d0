"""A real Chromium for tests of pages, and axe, a judge of accessibility, fetched from npm and never kept here."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from skips import cannot, require

from outlast.pace import scaled

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for a module's tests: while it is open, nothing else in this thread can run an event loop."""
    require(None if Path(CHROMIUM).exists() else "Chromium (make systems)")
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file or address in a tab of its own; fails at the end if the page's scripts failed."""
    contexts, errors = [], []

    def open_(address: Path | str, *, width: int = 1280, scheme: str = "light", **given: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **given)
        context.set_default_timeout(scaled(30_000))
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address.as_uri() if isinstance(address, Path) else address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not errors, errors


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core; skips when npm cannot bring it."""
    folder = Path(str(request.config.cache.mkdir("axe")))
    if not list(folder.glob("axe-core-*.tgz")):
        npm = shutil.which("npm")
        cannot(None if npm else "npm is not installed, so axe-core cannot be fetched")
        assert npm is not None
        try:
            subprocess.run(
                [npm, "pack", "axe-core@4", "--silent"],
                cwd=folder, capture_output=True, timeout=AXE_TIMEOUT_S, check=True,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError) as error:
            cannot(f"npm cannot fetch axe-core: {error}")
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as packed:
        file = packed.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()
