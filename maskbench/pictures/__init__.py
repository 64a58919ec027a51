"""Pictures of masks and attention: computed as plain numbers, rendered in a terminal or as PNG files."""
