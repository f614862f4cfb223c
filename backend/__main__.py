"""The console script. It imports nothing at the top: child processes import it again."""


def main() -> None:
    """Run the command line; Ctrl-C while Python loads or ends does no more than end it."""
    import os
    import signal
    import sys

    code = 130
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # as under nohup
        from backend.cli import app

        app()
    try:
        signal.signal(signal.SIGINT, lambda *_: os._exit(code))
        from backend.cli import app

        signal.signal(signal.SIGINT, signal.default_int_handler)
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        raise
    except KeyboardInterrupt:
        sys.exit(code)
    finally:
        signal.signal(signal.SIGINT, lambda *_: os._exit(code))


if __name__ == "__main__":
    main()
