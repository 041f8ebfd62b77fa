"""The listing of a data set: complete, repeatable, and of any length in little memory."""

import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from argosy.components.shared.s3 import Bucket, connect
from argosy.components.training.data.download import Listing, RemoteFile, files_of, list_objects
from argosy.errors import UsageError
from tests.components.training.conftest import Servers

MIB = 1 << 20


def _pages(pages: int, keys: int) -> Iterator[dict[str, Any]]:
    """What a long listing is made of, in the form in which the client hands it over."""
    for page in range(pages):
        yield {
            "Contents": [
                {
                    "Key": f"data/train/class-{key % 10}/{page:05}-{key:04}.jpeg",
                    "Size": key,
                    "ETag": f'"{key:032x}"',
                }
                for key in range(keys)
            ]
        }


def _peak(listing: Listing) -> int:
    tracemalloc.reset_peak()
    assert sum(1 for _ in listing) == listing.files
    return tracemalloc.get_traced_memory()[1]


def test_a_long_listing_takes_no_more_memory_than_a_short_one() -> None:
    tracemalloc.start()
    try:
        peaks = {}
        for pages in (5, 30):
            tracemalloc.reset_peak()
            listing = Listing("data/", files_of(_pages(pages, 1000), "data/", "bucket"))
            assert listing.files == pages * 1000
            assert listing.bytes == pages * sum(range(1000))
            peaks[pages] = max(tracemalloc.get_traced_memory()[1], _peak(listing))
        assert peaks[30] < peaks[5] + MIB
    finally:
        tracemalloc.stop()


def test_more_real_keys_than_a_page_holds(servers: Servers) -> None:
    bucket = connect(servers.bucket)
    paths = [f"{split}/class-{n % 3}/{n:05}.png" for n in range(550) for split in ("train", "val")]
    _put_all(bucket, [f"long/{path}" for path in paths])
    listing = list_objects(bucket, "long/")
    assert sorted(file.path for file in listing) == sorted(paths)
    assert (listing.files, listing.bytes) == (1100, 1100)
    assert list_objects(bucket, "long/").digest == listing.digest


def _put_all(bucket: Bucket, keys: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda key: bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"x"), keys):
            pass


def test_the_digest_follows_paths_sizes_and_tags() -> None:
    file = RemoteFile("train/a/1.png", 3, "aa")
    others = [
        RemoteFile("train/a/2.png", 3, "aa"),
        RemoteFile("train/a/1.png", 4, "aa"),
        RemoteFile("train/a/1.png", 3, "ab"),
    ]
    digests = {Listing("p/", [one]).digest for one in [file, *others]} | {Listing("p/", []).digest}
    assert len(digests) == 5
    assert Listing("q/", [file]).digest == Listing("p/", [file]).digest


def test_a_name_of_any_characters_survives() -> None:
    file = RemoteFile('train/a/new\nline "quoted" \\ é 猫.png', 3, "aa")
    assert list(Listing("", [file])) == [file]


@pytest.mark.parametrize(
    "key",
    [
        "data/train/../../../etc/passwd",
        "data/train/a/../1.png",
        "data/train/./a/1.png",
        "data/train//a/1.png",
        "data/train/a/..",
        "data/train/a/nul\0.png",
    ],
)
def test_a_key_that_is_no_path_below_the_folder_is_refused(key: str) -> None:
    page = {"Contents": [{"Key": key, "Size": 1, "ETag": '"aa"'}]}
    with pytest.raises(UsageError) as caught:
        list(files_of([page], "data/", "bucket 'b'"))
    assert repr(key) in str(caught.value)
    assert "bucket 'b'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_stands_for_a_folder_is_left_out() -> None:
    page = {
        "Contents": [
            {"Key": "train/", "Size": 0, "ETag": '"aa"'},
            {"Key": "train/a/..b", "Size": 0, "ETag": '"aa"'},
        ]
    }
    assert [file.path for file in files_of([page], "", "bucket")] == ["train/a/..b"]
    assert list(files_of([{}], "", "bucket")) == []
