"""The functions' package: Chalice builds it, `trim` takes out what no function imports and adds bytecode.

The result lies where Chalice looks for a package that it has built before, so that `chalice deploy` and
`chalice package` take it. Without this step they take their own: larger and slower to start, and as right.

  python -m infra.package           build, and show the sizes
  python -m infra.package --cold    cold imports too, from the unpacked package
"""
