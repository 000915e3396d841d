"""What a lab gives and does not make: pictures, and models that others have trained."""

import copy
from collections.abc import Collection
from functools import cached_property
from typing import Any, Self

import torch

from cinv_lib.data import catalogue
from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders import encoder as encoders
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.evaluation.probe import Probe, zero_shot
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.machine import hardware


class Given:
    """Pictures and models of a profile, each read when it is asked for first."""

    profile: Profile
    device = torch.device("cpu")  # of the models that it hands out
    drawn = ""  # what follows the names of its sets of pictures, see `of_seed`

    @cached_property
    def train(self) -> Pictures:
        """The training pictures, `profile.train_per_class` per class; of ImageNet-100 as files."""
        p = self.profile
        return self._sized(catalogue.to_train(p.data + self.drawn, p.train_per_class))

    @cached_property
    def unlabelled(self) -> Pictures:
        """What students learn from, who need no labels: `train`, unless the profile has more."""
        more = self.profile.unlabelled
        return self._sized(catalogue.to_train(more + self.drawn)) if more else self.train

    @cached_property
    def val(self) -> Pictures:
        """The validation pictures: other stickers, on parts of photographs not seen in training. Of
        a reader's own as files."""
        p = self.profile
        return self._sized(catalogue.to_look_at(p.data + self.drawn, p.val_per_class))

    @cached_property
    def twins(self) -> ImageSet:
        """Near twins of some classes, under those classes' labels; no training has seen them."""
        p = self.profile
        return self._sized(catalogue.load(p.twins + self.drawn, "val", n=p.twins_per_class))

    @cached_property
    def teacher(self) -> Encoder:
        """R, frozen, in eval mode."""
        return self._still(encoders.load(self.profile.teacher))

    @cached_property
    def vit(self) -> Encoder:
        """Lesson 14's other teacher, whose image tower is a transformer; frozen, in eval mode."""
        return self._still(encoders.load(self.profile.vit))

    @cached_property
    def supervised(self) -> Encoder:
        """The tower that the baseline starts from; frozen, in eval mode."""
        return self._still(encoders.load(self.profile.supervised))

    @cached_property
    def supervised_narrow(self) -> Encoder:
        """Another start, which knows the labelled classes only (lesson 07)."""
        return self._still(encoders.load(self.profile.supervised_narrow))

    def words(self, teacher: Encoder | None = None) -> Probe:
        """The classes asked in words, of `teacher`'s text tower (None: R's), as a probe."""
        return zero_shot(self.teacher if teacher is None else teacher, self.train.class_names)

    def working(self) -> Self:
        """This lab with its models on the GPU, where there is one: to measure many pictures."""
        device = hardware.accelerator().device
        if device == self.device:
            return self
        # models of this lab are on its own device
        models = {name for name, v in vars(self).items() if isinstance(v, torch.nn.Module)}
        return self._without(models, device=device)

    def of_seed(self, seed: int) -> Self:
        """This lab with the pictures of a seed: its own where the profile draws them again."""
        if self.drawn == self.profile.drawn(seed):
            return self
        pictures = {"train", "unlabelled", "val", "twins"}
        return self._without(pictures, drawn=self.profile.drawn(seed))

    def _without(self, read: Collection[str], **changed: Any) -> Self:
        """This lab with other settings, and without what it has read by the old ones."""
        other = copy.copy(self)
        kept = {name: value for name, value in vars(self).items() if name not in read}
        other.__dict__ = kept | changed
        return other

    def _still(self, model: torch.nn.Module) -> torch.nn.Module:
        return model.to(self.device).eval().requires_grad_(False)

    def _sized(self, pictures: Pictures) -> Pictures:
        """At the size that the teacher takes, if they are in memory and fit there so; of a reader's
        own files those that can be read."""
        if isinstance(pictures, ImageSet):
            return catalogue.at_side(pictures, self.teacher.image_size)
        return pictures.readable(preprocess_of([self.teacher]))
