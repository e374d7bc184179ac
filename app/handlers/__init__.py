"""HTTP to values and back; one service call each."""
