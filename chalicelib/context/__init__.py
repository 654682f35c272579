"""2. An event becomes customer context: who is it, which conversation, whose timeline."""
