"""A real data set of ten classes that needs no download: scikit-learn's 1,797 scans of handwritten digits.

It is laid out as ImageNette is, `train/<class>/<image>.png` and `val/<class>/<image>.png`, so that the same
training step reads either. The scans stay what they are, 8 x 8 grey pixels (PNG, mode L): whoever trains on
them scales them to the size that the model wants, as with any other image, and nothing is invented here.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argosy.errors import StackError
from argosy.stack import storage
from argosy.stack.service import Cancelled, S3Endpoint
from argosy.stack.state import Report

if TYPE_CHECKING:
    import numpy as np
    from botocore.client import BaseClient

PREFIX = "datasets/digits"
# Outside of train/ and val/, and written last: where it is, the data set is whole.
MARKER = f"{PREFIX}/_COMPLETE"

_WHITE = 16  # the scans count inked dots in squares of 4 x 4: 0 to 16
_VALIDATION_EVERY = 5  # every fifth scan of a class is kept for validation: 80/20, in every class
_UPLOADS = 8


@dataclass(frozen=True)
class Image:
    """One image file: its key below the data set's prefix, and its bytes."""

    key: str
    png: bytes


def split(labels: list[int]) -> list[str]:
    """Assign each scan to "train" or "val", by its place among the scans of its own class.

    No random numbers: the same split everywhere and for good. The scans come in the order in which people
    wrote them, so every fifth of a class takes a fifth of each writer.
    """
    seen: defaultdict[int, int] = defaultdict(int)
    sides = []
    for label in labels:
        seen[label] += 1
        sides.append("val" if seen[label] % _VALIDATION_EVERY == 0 else "train")
    return sides


def images() -> Iterator[Image]:
    """Yield all 1,797 images; a file is named after the scan's index, so train and val share no name."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels = [int(label) for label in digits.target]
    for index, (scan, label, side) in enumerate(zip(digits.images, labels, split(labels), strict=True)):
        yield Image(f"{side}/digit-{label}/{index:04}.png", _png(scan))


def _png(scan: np.ndarray) -> bytes:
    """Encode a scan (8 x 8 floats, 0 to 16) as a grey PNG, 0 to 255."""
    import numpy as np
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(np.rint(scan * (255 / _WHITE)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def seed(target: S3Endpoint, report: Report, called_off: Callable[[], bool]) -> None:
    """Store the data set in the bucket unless it is there; a part of it is completed, never trusted.

    Raises:
        StackError: the server refused an image.
        Cancelled: `called_off` said so meanwhile; the marker is then missing and the next call starts over.
    """
    s3 = storage.client(target)
    if _is_stored(s3, target.bucket):
        return
    send = _uploader(s3, target.bucket)

    def upload(image: Image) -> str:
        if called_off():
            raise Cancelled("storing the data set was called off")
        send(image)
        return image.key

    with ThreadPoolExecutor(max_workers=_UPLOADS) as pool:
        keys = list(pool.map(upload, images()))
    counts = {side: sum(key.startswith(side) for key in keys) for side in ("train", "val")}
    s3.put_object(Bucket=target.bucket, Key=MARKER, Body=json.dumps(counts).encode())
    report(f"the data set is at s3://{target.bucket}/{PREFIX} ({counts['train']} + {counts['val']} images)")


def _is_stored(s3: BaseClient, bucket: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        s3.head_object(Bucket=bucket, Key=MARKER)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _uploader(s3: BaseClient, bucket: str) -> Callable[[Image], None]:
    """Return what stores one image.

    The images are sent as forms, which one signed policy allows for every key below the prefix. Building and
    signing a request for each of so many files of 150 bytes would take three times as long.
    """
    import urllib3

    form = s3.generate_presigned_post(
        bucket, f"{PREFIX}/${{filename}}", Conditions=[["starts-with", "$key", f"{PREFIX}/"]]
    )
    http = urllib3.PoolManager(maxsize=_UPLOADS, retries=3, timeout=30.0)

    def send(image: Image) -> None:
        key = f"{PREFIX}/{image.key}"
        fields = {**form["fields"], "key": key, "file": ("image.png", image.png, "image/png")}
        answer = http.request("POST", form["url"], fields=fields)
        if answer.status != 204:
            raise StackError(f"s3 did not take {key}: {answer.status} {answer.data.decode(errors='replace')}")

    return send
