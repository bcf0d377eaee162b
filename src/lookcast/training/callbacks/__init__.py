"""What a run shows and leaves behind: progress, pictures, checkpoints to resume from, a list of skipped photos."""

from lookcast.training.callbacks.checkpoints import LastCheckpoint
from lookcast.training.callbacks.ema import WeightEMA
from lookcast.training.callbacks.finite import FiniteGuard
from lookcast.training.callbacks.profile import StepProfile
from lookcast.training.callbacks.progress import RunProgress
from lookcast.training.callbacks.samples import SampleSheet
from lookcast.training.callbacks.skipped import SkippedPhotos
from lookcast.training.callbacks.speed import Speed

__all__ = [
    "FiniteGuard",
    "LastCheckpoint",
    "RunProgress",
    "SampleSheet",
    "SkippedPhotos",
    "Speed",
    "StepProfile",
    "WeightEMA",
]
