"""What must not happen, whatever is put in: nothing is executed, expanded, leaked or written elsewhere."""
