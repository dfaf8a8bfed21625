"""What `triptych data check` found, whatever kind of data it looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from triptych.data.findings import Finding


@dataclass(frozen=True)
class Report(ABC):
    """What was found in a data set."""

    spec: str
    splits: dict[str, dict[str, Any]]
    """What is in each split."""
    findings: tuple[Finding, ...]
    """Errors first."""

    @property
    def wrong(self) -> bool:
        """Whether training on the data would be wrong."""
        return any(finding.severity == "error" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: data, wrong, splits, findings (severity, text, files)."""
        return {
            "data": self.spec,
            "wrong": self.wrong,
            "splits": self.splits,
            "findings": [
                {"severity": f.severity, "text": f.text, "files": list(f.files)}
                for f in self.findings
            ],
        }

    @abstractmethod
    def contents(self) -> list[str]:
        """What is in each split, in lines for a person."""

    def as_text(self) -> str:
        """For a person: what is in the splits, then the findings."""
        lines = self.contents()
        lines += [f"{finding.severity}: {finding.text}" for finding in self.findings]
        lines.append(
            "training on it would be wrong" if self.wrong else "nothing makes training on it wrong"
        )
        return "\n".join(lines)


def by_severity(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes."""
    return tuple(sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity)))
