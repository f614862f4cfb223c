"""The console script. It imports nothing at the top: child processes import it again."""


def main() -> None:
    """Run the command line."""
    from backend.cli import app

    app()


if __name__ == "__main__":
    main()
