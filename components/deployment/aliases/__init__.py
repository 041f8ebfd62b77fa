"""The aliases `live` and `previous`: their moves, the history of them, and the way back."""
