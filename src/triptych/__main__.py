"""`python -m triptych` is the installed command."""

from triptych.cli import run

if __name__ == "__main__":
    run()
