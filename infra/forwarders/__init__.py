"""Small programs that stand beside a system that has no webhooks, and post what it says to the hub."""
