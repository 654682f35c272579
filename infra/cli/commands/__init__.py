"""The commands, a module for each kind of thing. Each has `add`, which puts its commands into the parser."""
