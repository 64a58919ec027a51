"""The proofs, by topic; `maskbench.audit` imports all files, which registers them in `registry.PROOFS`."""
