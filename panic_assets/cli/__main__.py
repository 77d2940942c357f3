"""``python -m panic_assets.cli`` is the ``panic`` command."""

from panic_assets.cli import main

main()
