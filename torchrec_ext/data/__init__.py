"""From a raw table to batches: reading, cleaning, vocabulary, splits, event log."""
