"""The same tokens, two bills: what the node's hours cost, and what an API would have charged."""
