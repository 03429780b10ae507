"""Networks of other programs: found in their files, compared by their outputs, compressed, and given back."""
