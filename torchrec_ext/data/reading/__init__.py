"""From tables of any kind to rows with the user's own ids; bad rows set aside."""
