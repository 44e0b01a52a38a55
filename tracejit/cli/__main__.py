"""`python -m tracejit.cli`.

Flows in: `sys.argv`.  Flows out: the exit status.
"""

import sys

from tracejit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
