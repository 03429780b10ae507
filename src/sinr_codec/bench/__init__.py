"""The experiments of the paper as data, and what runs, keeps and reports them."""
