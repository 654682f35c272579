"""All that a provider file may use. Names no provider, keeps no state."""
