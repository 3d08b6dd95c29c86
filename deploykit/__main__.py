"""`python -m deploykit` is `deploykit`."""

from deploykit.cli.start import main

main()
