"""Which events are learnt, which are for validation and which for test."""
