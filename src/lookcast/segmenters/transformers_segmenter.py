"""Segmentation networks of the Hugging Face hub: landscapes, towns and rooms."""

from pathlib import Path

import torch

from lookcast.checks import InputError
from lookcast.segmenters.base import ClassSegmenter
from lookcast.segmenters.label_maps import thumbnail
from lookcast.segmenters.labels import GROUP_NAMES, OTHER, group_of

THUMBNAIL = 1024
"""Long side of what the checkpoint's own processor gets, which resizes it further."""


class TransformersSegmenter(ClassSegmenter):
    """A semantic segmentation network of `transformers`, its classes merged into the groups of `labels.GROUPS`.

    The probabilities of a group's classes are added before the greatest wins, so that a lake which is half `sea` and
    half `river` to the network is water. Classes are known by the names in the checkpoint, the table has
    those of ADE20K and Cityscapes; what is in no group of it is `other`.

    Args:
        model: name on the hub, downloaded on first use and kept in its cache, or a local folder of a checkpoint and its
            processor. Of the many licences there, the default model's allows research only.

    Raises:
        InputError: transformers is not installed, or the checkpoint can't be had or read, or is for another task.

    Reference:
        Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021;
        Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017.
    """

    names = GROUP_NAMES
    rest = OTHER

    def __init__(self, model: str | Path = "nvidia/segformer-b2-finetuned-ade-512-512") -> None:
        try:
            from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation
        except ImportError as error:
            raise InputError("segmenter transformers: is not installed; pip install 'lookcast[segment]'") from error
        try:
            self.processor = AutoImageProcessor.from_pretrained(model)
            self.network = AutoModelForSemanticSegmentation.from_pretrained(model).eval().requires_grad_(False)
        except Exception as error:  # no network, no such model, broken files, a model for another task
            # Some of transformers' messages run over many lines of advice; what went wrong is in the first.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"segmenter transformers: {str(model)!r} can't be loaded ({reason}); download the checkpoint elsewhere "
                "and pass its folder, or take the segmenter clusters, which needs none"
            ) from error
        id2label: dict[int, str] = self.network.config.id2label
        self.groups = torch.tensor([GROUP_NAMES.index(group_of(id2label[k])) for k in sorted(id2label)])

    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """See `ClassSegmenter.probabilities`; of the groups."""
        small = thumbnail(image, THUMBNAIL, least=32)[0].clamp(0, 1)
        inputs = self.processor(images=small, do_rescale=False, input_data_format="channels_first", return_tensors="pt")
        logits = self.network.to(image.device)(inputs["pixel_values"].to(image.device)).logits
        classes: torch.Tensor = logits.softmax(1)
        grouped = classes.new_zeros(1, len(GROUP_NAMES), *classes.shape[-2:])
        return grouped.index_add_(1, self.groups.to(image.device), classes)
