"""Steps of a visitor on the page."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect


def start(page: Page, photo: Path, style: Path | None = None) -> None:
    """Choose a photo and, as a file or as the first example, a look; wait for the result."""
    page.set_input_files("#photo-file", photo)
    if style is None:
        page.locator("#looks .thumb").first.click()
    else:
        page.set_input_files("#look-file", style)
    wait_for_result(page)


def wait_for_result(page: Page) -> None:
    """Wait until the picture of a result is drawn and no further run is on its way."""
    expect(page.locator("#after .whole")).to_be_attached()
    expect(page.locator("#status")).to_have_text(re.compile(r"\d s$"))
    expect(page.locator("#busy")).to_be_hidden()


def pixels_of(shown: Locator) -> np.ndarray:
    """Return what an element shows, `(H, W, 3)`."""
    return np.asarray(Image.open(io.BytesIO(shown.screenshot())).convert("RGB"))


def drag(page: Page, start_at: tuple[float, float], end_at: tuple[float, float], steps: int = 6) -> None:
    """Press the mouse at a point, move it and release it."""
    page.mouse.move(*start_at)
    page.mouse.down()
    page.mouse.move(*end_at, steps=steps)
    page.mouse.up()


def drop(page: Page, place: str, *files: Path) -> None:
    """Drop files on an element."""
    named = [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]
    data = page.evaluate_handle(
        """(named) => {
            const data = new DataTransfer();
            for (const [name, text] of named) {
                const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
                data.items.add(new File([bytes], name));
            }
            return data;
        }""",
        named,
    )
    page.locator(place).dispatch_event("drop", {"dataTransfer": data})


def set_slider(slider: Locator, value: float) -> None:
    """Move a slider as a visitor does: the page gets the events of each step and of the end."""
    slider.fill(str(value))
