"""The command `sinr`, with one module a verb; heavy imports are deferred until a verb needs them."""
