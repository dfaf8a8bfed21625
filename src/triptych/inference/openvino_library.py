"""OpenVINO as this program uses it: it tells nobody.

OpenVINO's converter sends what it converts to Intel by Google Analytics unless the user has said no
before (openvino_telemetry: no consent file counts as consent), by a process of its own for every
event, which also costs most of the time that a small model takes. It does without where that
package is missing, so here it is.
"""

from __future__ import annotations

import sys
from typing import Any

_TELEMETRY = "openvino_telemetry"


def openvino_library() -> Any:
    """The module `openvino`. Raises ImportError where it is not installed."""
    if _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's "not to be imported"
    import openvino

    if sys.modules[_TELEMETRY] is not None:
        _silence()
    return openvino


def _silence() -> None:
    """Of an OpenVINO that somebody else had imported before."""
    from openvino.tools.ovc import telemetry_stub

    for name, module in list(sys.modules.items()):
        if name.startswith("openvino.tools.ovc.") and hasattr(module, "tm"):
            module.tm = telemetry_stub  # type: ignore[attr-defined]
