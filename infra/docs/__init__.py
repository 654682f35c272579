"""Pages of docs/ that say what the code says: one for each provider, with an index.

python -m infra.docs          writes them
"""
