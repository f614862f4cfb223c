"""What the tests of the figures share: how to read them."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

PREFIX = "reflective_resonance_"


class Figures:
    """An exposition, read by Prometheus's own parser."""

    def __init__(self, exposition: str) -> None:
        self.families = {
            family.name.removeprefix(PREFIX): family
            for family in text_string_to_metric_families(exposition)
        }
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, f"{key} stands there twice"
                self.samples[key] = sample.value

    def value(self, name: str, **labels: str) -> float:
        """Return one figure."""
        return self.samples[PREFIX + name, frozenset(labels.items())]

    def by(self, label: str, name: str) -> Mapping[str, float]:
        """Return the figures of one name by the value of their label, those that are not 0."""
        return {
            dict(labels)[label]: value
            for (sample, labels), value in self.samples.items()
            if sample == PREFIX + name and value
        }
