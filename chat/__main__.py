"""`python -m chat`: the command line."""

from chat.cli import main

main()
