"""One file per proof; `maskbench.audit` imports them all, which enters each into `registry.PROOFS`."""
