"""Other programs' variables decide how HTTPS is spoken; a wrong one is named, not its consequence.

`SSL_CERT_FILE` and `SSL_CERT_DIR` say whom to trust, `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY`
which way requests go. All services on the network follow them; servers on this machine do not.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import SettingsError

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


@contextmanager
def named_surroundings() -> Iterator[None]:
    """Raise SettingsError with these variables if the client made in this block cannot be made."""
    import httpx2

    try:
        yield
    except (OSError, ImportError, ValueError, httpx2.InvalidURL) as error:
        found = [
            f"{key}={re.sub('//[^/]*@', '//********@', value)}"
            for key, value in os.environ.items()
            if key.upper() in VARIABLES
        ]
        if not found:
            raise
        raise SettingsError(
            f"{', '.join(sorted(found))}: no service can be asked ({error}): correct or unset it"
        ) from error
