"""The choice of a coding for each tensor: sensitivities, sparse codes by pursuit, the search for the smallest file."""
