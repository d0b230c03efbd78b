"""What runs inside the jail: standard library only, started with nothing else on its path."""
