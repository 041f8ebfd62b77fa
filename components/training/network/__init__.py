"""The network, its precision and optimiser, and the loop over one epoch."""
