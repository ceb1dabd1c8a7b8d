"""Which events stay: filters, repeated pairs, k-cores; and sessions from gaps in time."""
