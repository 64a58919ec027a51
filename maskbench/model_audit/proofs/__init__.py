"""The proofs on any model, one file for each family."""
