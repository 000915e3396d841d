"""python -m data_prep NAME: makes or checks every data set and the embedded weights.

the embedded world
  stickers      draws its sets (seconds) and checks what other sets are at hand
  profile       all that a profile needs, drawn or downloaded, and what is absent: profile stl10
  teacher       trains the embedded CLIP from nothing (about 40 minutes on 2 cores); the one with
                a ViT for lesson 14: teacher --tower vit (about 20)
  supervised    trains a labels-only tower, the baseline's starting point: of all classes (about 6
                minutes), or supervised --classes 100, of the labelled set alone (about 8)

the paper's setting
  imagenet100   links ImageNet-100, -100B and the label shift: imagenet100 --imagenet DIR
  imagenet100c  makes ImageNet-100C, or links it: imagenet100c --published DIR
  cifar         downloads CIFAR-10 and CIFAR-100 (340 MB)
  stl10         downloads STL-10 (2.6 GB)
  covid         links the CoronaHack chest X-rays: covid --coronahack DIR
  official      converts the authors' checkpoints: official --checkpoints DIR
  made-up       pictures that stand for sets, to rehearse: made-up NAME ... --source DIR

All go on where they were stopped, and do nothing that is done. `NAME --help` has the options.
"""

import argparse
import shutil
import sys
from pathlib import Path

from cinv_lib import data
from cinv_lib.lab import missing, profiles
from cinv_lib.machine import folders

from . import covid, imagenet100, imagenet100c, labelled, made_up, official, small_sets, teacher


def stickers() -> None:
    """Draw every set of the embedded world that is not on disk yet, and say what is there."""
    for name, split in (
        ("stickers-100", "train"),
        ("stickers-100", "val"),
        ("stickers-100b", "train"),
        ("stickers-100b", "val"),
        ("stickers-shift", "val"),
        ("digits", "train"),
        ("digits", "val"),
        ("faces", "train"),
        ("faces", "val"),
    ):
        found = data.load(name, split)
        print(f"OK  {name}/{split}: {len(found)} pictures, {len(found.class_names)} classes")


def trained(make, name: str, fresh: bool) -> None:
    """Train embedded weights, going on with an unfinished training unless `fresh`."""
    work = folders.home() / "training" / name
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    make(work)


def clip(o: argparse.Namespace) -> None:
    """The CLIP with this image tower."""
    name = "teacher" if o.tower == "resnet" else f"teacher-{o.tower}"
    trained(lambda work: teacher.make(work, o.tower), name, o.fresh)


def tower(o: argparse.Namespace) -> None:
    """The labels-only tower of these classes."""
    chosen = labelled.TOWERS[o.classes]
    name = "supervised" if o.classes == "all" else chosen.name
    trained(lambda work: labelled.make(work, chosen), name, o.fresh)


def known_profile(name: str) -> str:
    """The name of a profile, a reader's own (own/NAME) too, for argparse."""
    try:
        return profiles.profile(name).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def for_profile(name: str) -> None:
    """Make what a profile needs and nothing has to be given for: drawn, or downloaded.

    Says of the rest how it is made, and ends well: the lessons quote the paper instead. Nothing is
    downloaded for a profile whose own pictures have to be given, as long as they are not there.
    """
    if name in ("stickers", "smoke"):
        return stickers()
    profile = profiles.profile(name)
    makes = {"python -m data_prep stl10": small_sets.stl10}
    makes |= {"python -m data_prep cifar": small_sets.cifar, None: None}
    own, every = ({missing.command(s) for s in missing.sets(profile, n)} for n in ("", "09"))
    for command in sorted((every & set(makes)) - {None}) if own <= set(makes) else ():
        try:
            makes[command]()
        except (ValueError, OSError) as e:
            print(f"NOTE  {e}")
    for line in missing.missing(profile):
        print(f"ABSENT  {line}")


def corrupted(o: argparse.Namespace) -> None:
    """ImageNet-100C: linked where it was published, else made here."""
    if o.published:
        return imagenet100c.link(o.published, o.partial)
    imagenet100c.make(o.corruptions, o.severities, o.workers)


def parser() -> argparse.ArgumentParser:
    """The command line: a subcommand each, whose `do` takes the options."""
    top = argparse.ArgumentParser(
        "python -m data_prep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = top.add_subparsers(dest="name", required=True, metavar="NAME")

    def add(name: str, do) -> argparse.ArgumentParser:
        command = commands.add_parser(name)
        command.set_defaults(do=do)
        return command

    def sized(command: argparse.ArgumentParser, check: bool = True) -> None:
        command.add_argument("--partial", action="store_true", help="take what is there")
        if check:
            command.add_argument("--check", action="store_true", help="decode every picture")

    add("stickers", lambda o: stickers())
    tier = add("profile", lambda o: for_profile(o.profile))
    tier.add_argument("profile", type=known_profile, help="as in make course PROFILE=...")
    web = add("teacher", clip)
    web.add_argument("--tower", choices=teacher.TOWERS, default="resnet", help="for pictures")
    labels = add("supervised", tower)
    labels.add_argument("--classes", choices=labelled.TOWERS, default="all", help="that it knows")
    for training in (web, labels):
        training.add_argument("--fresh", action="store_true", help="forget an unfinished training")

    paper = add("imagenet100", lambda o: imagenet100.make(o.imagenet, o.partial, o.check))
    paper.add_argument("--imagenet", type=Path, metavar="DIR", required=True, help="ILSVRC 2012")
    sized(paper)
    worse = add("imagenet100c", corrupted)
    worse.add_argument("--published", type=Path, metavar="DIR", help="ImageNet-C, unpacked")
    worse.add_argument("--corruptions", nargs="+", metavar="C", default=imagenet100c.NAMES)
    worse.add_argument("--severities", nargs="+", type=int, choices=imagenet100c.SEVERITIES,
                       default=imagenet100c.SEVERITIES)  # fmt: skip
    worse.add_argument("--workers", type=int, default=1, help="processes that corrupt")
    sized(worse, check=False)
    add("cifar", lambda o: small_sets.cifar())
    add("stl10", lambda o: small_sets.stl10())
    xray = add("covid", lambda o: covid.make(o.coronahack, o.partial, o.check))
    xray.add_argument("--coronahack", type=Path, metavar="DIR", required=True, help="Kaggle's set")
    sized(xray)
    authors = add("official", lambda o: official.make(o.checkpoints))
    authors.add_argument("--checkpoints", type=Path, metavar="DIR", required=True)
    stand_in = add("made-up", lambda o: made_up.every(o.sets, o.source))
    stand_in.add_argument("sets", metavar="NAME", nargs="+")
    stand_in.add_argument("--source", type=Path, metavar="DIR", required=True, help="for files")
    return top


def main() -> None:
    options = parser().parse_args()
    try:
        options.do(options)
    except (ValueError, OSError) as e:  # bad input and the network: the sentence says it all
        if options.name in ("teacher", "supervised"):
            raise
        sys.exit(f"FAIL  {e}")


if __name__ == "__main__":
    main()
