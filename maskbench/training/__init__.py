"""How one run is trained: the loss, the optimiser, and the loop that can be killed anywhere."""
