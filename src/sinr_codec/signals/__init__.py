"""What is represented: a signal owns its coordinates, values, loss, renderer and quality measure."""
