"""The reference arithmetic is librosa's, whichever way the Fourier transform is found."""

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import librosa
import numpy as np
import pytest

from plugins.waves.pyin import reference as pyin_reference
from tests.plugins.waves import signals

pytestmark = pytest.mark.e2e

TRANSFORM = "scipy.fft._pocketfft.pypocketfft"


@pytest.fixture(autouse=True)
def fresh_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look the transform up anew, as a worker does that has not imported SciPy."""
    monkeypatch.delitem(sys.modules, TRANSFORM, raising=False)
    pyin_reference._fft_functions.cache_clear()
    yield
    pyin_reference._fft_functions.cache_clear()


def assert_librosas() -> None:
    """Fail unless the difference function equals librosa's to the last bit."""
    y = signals.make(signals.noisy_tone, 2, 9000, 0.3).astype(np.float32)
    frames = librosa.util.frame(y, frame_length=2048, hop_length=128)
    pitch = importlib.import_module("librosa.core.pitch")  # not there until somebody imports it
    expected = pitch._cumulative_mean_normalized_difference(frames, 3, 123)
    actual = np.empty(expected.T.shape)

    pyin_reference.reference_difference(frames.T, 3, 123, actual)

    np.testing.assert_array_equal(actual, expected.T)


def test_the_compiled_transform_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference function equals librosa's with SciPy's compiled transform and no SciPy."""

    scipy = importlib.util.find_spec("scipy")
    assert scipy is not None
    folder = Path(str(scipy.origin)).with_name("fft") / "_pocketfft"
    if not folder.is_dir():
        pytest.skip("this SciPy has another transform; its public functions are used")
    monkeypatch.setitem(sys.modules, "scipy.fft", None)
    pyin_reference._fft_functions()
    monkeypatch.undo()

    assert_librosas()


def no_module(*args: Any) -> None:
    """Load nothing."""


def broken(error: type[Exception]) -> Callable[..., NoReturn]:
    """Return a transform that raises."""

    def fail(*args: Any) -> NoReturn:
        raise error("another calling convention")

    return fail


@pytest.mark.parametrize(
    "transform",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(r2c=broken(TypeError)),
        SimpleNamespace(r2c=broken(ValueError)),
        SimpleNamespace(r2c=broken(RuntimeError)),
        SimpleNamespace(r2c=lambda x, *_: x * 1j, c2r=lambda x, *_: x.real + 1),
    ],
    ids=["none", "renamed", "TypeError", "ValueError", "RuntimeError", "another result"],
)
def test_another_scipy(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, transform: Any
) -> None:
    """With a SciPy whose insides have changed its public functions give the same, quietly."""
    find_spec = importlib.machinery.PathFinder.find_spec
    spec = SimpleNamespace(loader=SimpleNamespace(exec_module=no_module))

    def find_transform(name: str, *rest: Any) -> Any:
        return (transform and spec) if name == "pypocketfft" else find_spec(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(importlib.machinery.PathFinder, "find_spec", find_transform)
        patch.setattr(importlib.util, "module_from_spec", lambda _: transform)
        pyin_reference._fft_functions()

    assert_librosas()

    assert not recwarn.list
