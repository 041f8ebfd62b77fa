"""Gate 1: candidates, their contest with the champion, and the registration."""
