"""Turn the parsed file into arms and panels: short forms, grids, evaluation masks, overrides."""
