"""Embeddings of pictures as files: `embeddings.npy`, and `names.csv` with a row for each."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from cinv_lib.data.image_files import ImageFiles, Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.evaluation.draws import embeddings, repeated
from cinv_lib.machine.files import whole
from cinv_lib.operators.basic import Identity

FILES = ("embeddings.npy", "names.csv")


def write(
    encoder: Encoder, images: Pictures, folder: Path, batch_size: int = 256, progress: bool = True
) -> Path:
    """Embed pictures as they are, in float32, and write both files once both are made.

    Raises ValueError for no pictures, OSError where the folder cannot be written to.
    """
    images = images.readable(preprocess_of([encoder]), progress)
    made = torch.empty(len(images), encoder.dim, device="cpu")
    folder.mkdir(parents=True, exist_ok=True)  # a folder that cannot be is found before the work
    found: Any = embeddings(
        [encoder], images, repeated(Identity(), 1), batch_size=batch_size, precision="fp32"
    )
    bar = tqdm(total=len(images), desc="embed", unit=" images", leave=False, disable=not progress)
    with bar, closing(found):
        for _, first, (rows,) in found:
            made[first : first + len(rows)] = rows
            bar.update(len(rows))
    names = images.names if isinstance(images, ImageFiles) else [str(i) for i in range(len(images))]
    table = pd.DataFrame({"name": names})
    if images.class_names:
        table["label"] = [images.class_names[k] for k in images.labels.tolist()]
    with whole(folder / FILES[0]) as array, whole(folder / FILES[1]) as listed:
        with open(array, "wb") as file:  # numpy would put .npy behind another name
            np.save(file, made.numpy())
        table.to_csv(listed, index=False)
    return folder
