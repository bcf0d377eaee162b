"""Photorealistic style transfer: give a photo the look of another photo.

The public names are imported on first use, so `import lookcast` does not import torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookcast.inference.stylizer import Stylizer, load

    __version__: str

__all__ = ["Stylizer", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("lookcast")
    elif name in __all__:
        from lookcast.inference import stylizer

        value = getattr(stylizer, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
