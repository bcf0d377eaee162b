"""What a run shows and leaves behind: progress, figures, pictures, checkpoints, a list of skipped photos."""

from lookcast.training.callbacks.checkpoints import LastCheckpoint
from lookcast.training.callbacks.compile import Speed
from lookcast.training.callbacks.counted import work_of
from lookcast.training.callbacks.ema import WeightEMA
from lookcast.training.callbacks.finite import FiniteGuard
from lookcast.training.callbacks.profile import StepProfile
from lookcast.training.callbacks.progress import RunProgress
from lookcast.training.callbacks.resumed_logs import ResumedLogs
from lookcast.training.callbacks.samples import SampleSheet
from lookcast.training.callbacks.skipped import SkippedPhotos
from lookcast.training.callbacks.throughput import Throughput

__all__ = [
    "FiniteGuard",
    "LastCheckpoint",
    "ResumedLogs",
    "RunProgress",
    "SampleSheet",
    "SkippedPhotos",
    "Speed",
    "StepProfile",
    "Throughput",
    "WeightEMA",
    "work_of",
]
