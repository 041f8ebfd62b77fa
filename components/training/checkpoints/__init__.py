"""The state of a training: kept, found again, and taken up where it stopped."""
