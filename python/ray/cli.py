"""The `ray` command."""

import sys


def main(arguments=None):
    """Runs one command; returns its exit code.

    Args:
        arguments (list[str] | None): the command line without the program's name; None: this process's.
    """
    import argparse

    import ray

    parser = argparse.ArgumentParser(
        prog="ray", description="raio: runs Python functions in parallel on the processes of a machine"
    )
    parser.add_argument("--version", action="version", version=f"raio {ray.raio_version} (API of ray {ray.__version__})")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    bench = commands.add_parser("microbenchmark", help="measure calls and objects per second on this machine")
    bench.add_argument("--seconds", type=float, default=1.0, help="how long each of a row's four measurements lasts")
    chosen = parser.parse_args(arguments)
    if chosen.command == "microbenchmark":
        from ray.microbenchmark import run

        run(chosen.seconds)
        return 0
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
