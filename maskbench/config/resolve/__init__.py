"""From the checked file to arms and panels: shorthand, grids, borrowed masks, overrides."""
