"""From an event log to batches: what one example is, and the slices it is made of."""
