"""The settings of the MQTT plugin."""

from typing import Any

import pytest
from pydantic import ValidationError

from plugins.mqtt.settings import MqttSettings


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"url": url}
            for url in ("127.0.0.1", "http://a", "mqtt://u:p@a", "mqtt://a..b", "mqtt://")
        ),
        *({"installation": name} for name in ("", "a/b", "a#", "ä")),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """An address has no password in it, which would be shown, and a topic no wildcard."""
    with pytest.raises(ValidationError):
        MqttSettings(enabled=True, **wrong)
    assert not MqttSettings().enabled
