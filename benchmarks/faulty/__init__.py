"""What can happen to a running backfill, and whether the tables are the same afterwards."""
