"""The state of the field: published models held to the promises of their masks (`docs/field.md`)."""
