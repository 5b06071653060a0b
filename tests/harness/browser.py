"""A page in headless Chromium, driven over its DevTools protocol.

Everything is waited for, within the page. What the page logs as an error is kept.
"""

import asyncio
import base64
import itertools
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LIMIT = 90.0
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--window-size=1100,1000", "--hide-scrollbars"),
)


class Page:
    """One tab. `errors`: what went wrong in it so far."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._session = ""
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Take what the browser says until it hangs up."""
        async for message in self._socket:
            told = message.json()
            match told.get("method"):
                case "Runtime.exceptionThrown":
                    self.errors.append(str(told["params"]["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if told["params"]["type"] in ("error", "warning", "assert"):
                    self.errors.append(str(told["params"]["args"]))
                case "Log.entryAdded" if told["params"]["entry"]["level"] in ("error", "warning"):
                    self.errors.append(str(told["params"]["entry"]))
            if told.get("id") in self._waiting:
                self._waiting.pop(told["id"]).set_result(told)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(message | ({"sessionId": self._session} if self._session else {}))
        told = await asyncio.wait_for(answer, LIMIT)
        assert "error" not in told, told
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        target = await self.call("Target.createTarget", url="about:blank")
        session = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = session["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=path.as_uri())
        await self.until("document.readyState === 'complete'")

    async def evaluate(self, script: str) -> Any:
        """Return what an expression of JavaScript, or the promise of it, comes to."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a condition holds in the page."""
        look = f"const look = () => ({condition}) ? done() : setTimeout(look, 5)"
        await self.evaluate(f"new Promise(done => {{ {look}; look(); }})")

    async def screenshot(self) -> bytes:
        """Return a PNG of what the window shows."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def opened(path: Path, profile: Path) -> AsyncIterator[Page]:
    """Open a file in a browser of its own, whose profile goes into an empty folder."""
    assert BROWSER is not None
    process = await asyncio.create_subprocess_exec(
        BROWSER,
        *_FLAGS,
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stderr is not None
    tasks: list[asyncio.Task[Any]] = []
    try:
        address = await asyncio.wait_for(_address(process.stderr), LIMIT)
        tasks.append(asyncio.create_task(process.stderr.read()))  # a full pipe would stop the browser
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            page = Page(socket)
            tasks.append(asyncio.create_task(page.listen()))
            await page.open(path)
            yield page
    finally:
        process.kill()
        await process.wait()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _address(stderr: asyncio.StreamReader) -> str:
    async for line in stderr:
        found = re.search(rb"DevTools listening on (ws://\S+)", line)
        if found:
            return found[1].decode()
    raise AssertionError("the browser ended before it listened")
