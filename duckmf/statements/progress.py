"""The progress bar of a training: on standard error, where somebody watches, after two seconds."""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from duckmf.algorithms.training import Epoch

DELAY_SECONDS = 2.0


class Progress:
    """Shows epochs as they pass; nothing at all for a short training or an unwatched one."""

    def __init__(self, title: str, wanted: bool, function: str) -> None:
        self._title = f"{function} {title}"
        self._wanted = wanted and os.environ.get("DUCKMF_PROGRESS") != "0"
        self._wanted = self._wanted and (sys.stderr.isatty() or _in_notebook())
        self._began = time.monotonic()
        self._bar: Any = None

    def show(self, epoch: Epoch, epochs: int) -> None:
        """Move the bar to an epoch and write its losses behind it."""
        losses = {"loss": f"{epoch.train_loss:.4f}"}
        if epoch.validation_loss is not None:
            losses["validation"] = f"{epoch.validation_loss:.4f}"
        self.move(epoch.number, epochs, losses)

    def move(self, done: int, epochs: int, notes: dict[str, str]) -> None:
        """Move the bar to so many of all epochs, and write something behind it."""
        if not self._wanted or time.monotonic() - self._began < DELAY_SECONDS:
            return
        if self._bar is None:
            self._bar = _new_bar(self._title, epochs, max(done - 1, 0))
        self._bar.total = epochs
        self._bar.set_postfix(notes, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands; a second call does nothing."""
        bar, self._bar, self._wanted = self._bar, None, False
        if bar is not None:
            bar.close()


def _new_bar(title: str, epochs: int, done: int) -> Any:
    # without ipywidgets tqdm.auto draws the same bar of text, below a warning
    widgets = _in_notebook() and find_spec("ipywidgets") is not None
    tqdm = import_module("tqdm.notebook" if widgets else "tqdm").tqdm
    return tqdm(desc=title, total=epochs, initial=done, unit="epoch", mininterval=0)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
