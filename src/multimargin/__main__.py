"""``python -m multimargin`` is the command line."""

from multimargin.cli.main import main

main()
