"""toydeen: a synchronous English to German grammar with gold alignments."""
