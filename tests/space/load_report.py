"""Loads the service once per revision given and prints what it became, as a JSON line each.

    python tests/space/load_report.py REVISION...        ("head": none)
"""

import json
import os
import sys

from kira.service import Service
from kira.settings import settings

for revision in sys.argv[1:]:
    os.environ["KIRA_ADAPTER_REVISION"] = "" if revision == "head" else revision
    settings.cache_clear()
    service = Service()
    service.load()
    print(json.dumps({
        "revision": revision, "notice": service.notice, "speaker": service.speaker and service.speaker.name,
        "adapter": bool(service.engine and service.engine.has_adapter), "results": bool(service.results.metrics),
        "answers": len(service.results.answers),
        "files": sorted({p.suffix for p in service.speaker.folder.iterdir()}) if service.speaker else [],
    }))
