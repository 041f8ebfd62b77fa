"""2. The next version: one above the highest in the bucket."""

from common import BUCKET, MODEL, leave, s3

pages = (
    s3().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"models/{MODEL}/", Delimiter="/")
)
folders = [
    entry["Prefix"].rstrip("/").rpartition("/")[2]
    for page in pages
    for entry in page.get("CommonPrefixes", ())
]
leave("triton_version.txt", 1 + max((int(name) for name in folders if name.isdigit()), default=0))
