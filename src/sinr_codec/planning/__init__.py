"""Which coding each tensor gets: sensitivities, sparse codes by pursuit, and the search for the smallest file."""
