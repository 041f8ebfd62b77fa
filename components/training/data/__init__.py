"""Images from a folder or S3 to batches: downloaded, decoded once, transformed."""
