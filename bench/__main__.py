"""`python -m bench`: runs the workloads and prints the table; `python -m bench --help` lists the options.

Flows in: command-line arguments.  Flows out: tables on standard output, JSON with `--json`.
"""

import sys

from tracejit.cli.bench import main

if __name__ == "__main__":
    sys.exit(main(["bench/", *sys.argv[1:]]))
