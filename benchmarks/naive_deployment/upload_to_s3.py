"""4. Upload the folder to where Triton reads."""

from common import BUCKET, MODEL, WORK, s3

bucket = s3()
folder = WORK / "artifacts"
for path in sorted(folder.rglob("*")):
    if path.is_file():
        bucket.upload_file(str(path), BUCKET, f"models/{MODEL}/{path.relative_to(folder)}")
