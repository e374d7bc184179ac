"""``python -m loadgen``: the load generator alone, against any service with these endpoints."""

from loadgen.cli import load

if __name__ == "__main__":
    load(prog_name="python -m loadgen")
