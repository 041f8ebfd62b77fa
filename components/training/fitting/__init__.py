"""A whole training: prepared, run over the epochs, in one process or several."""
