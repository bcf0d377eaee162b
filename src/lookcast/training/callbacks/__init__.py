"""Callbacks of a run: progress, speed, pictures, checkpoints, averaged weights, and checks for failures."""

from lookcast.training.callbacks.checkpoints import LastCheckpoint
from lookcast.training.callbacks.compile import CompileNetworks
from lookcast.training.callbacks.ema import WeightEMA
from lookcast.training.callbacks.finite import FiniteGuard
from lookcast.training.callbacks.profile import StepProfile
from lookcast.training.callbacks.progress import RunProgress
from lookcast.training.callbacks.samples import SampleSheet
from lookcast.training.callbacks.skipped import SkippedPhotos
from lookcast.training.callbacks.throughput import Throughput, run_stats
from lookcast.training.loggers import ResumedLogs

__all__ = [
    "CompileNetworks",
    "FiniteGuard",
    "LastCheckpoint",
    "ResumedLogs",
    "RunProgress",
    "SampleSheet",
    "SkippedPhotos",
    "StepProfile",
    "Throughput",
    "WeightEMA",
    "run_stats",
]
