"""Everything that knows AWS storage. `table.py` lists every key and access pattern."""
