"""`python -m sinr_codec`: the command `sinr`."""

from sinr_codec.cli.main import main

main()
