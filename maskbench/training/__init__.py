"""Train one run: the loss, the optimiser, and a training loop that can be killed and resumed at any point."""
