"""Reading the fleet: the stream into a bounded ledger, the ledger into figures and columns."""
