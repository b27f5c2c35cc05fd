"""A small stand-in for the trading application: no exchange, no orders, no language model."""
