"""Pictures of masks: what a strategy does, as plain numbers that a terminal, a figure or an image can show."""
