"""The image leaves OpenVINO's converter of models out, whose import takes a tenth of a second: so do processes here."""

import sys

sys.modules["openvino.tools"] = None  # type: ignore[assignment]  # what import takes for a module that is not there
