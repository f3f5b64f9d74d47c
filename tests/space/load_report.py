"""Loads the service once per revision given and prints what it became, as a JSON line each.

    python tests/space/load_report.py REVISION...        ("head": none)

With KIRA_BESIDE_REPOS set it is the second adapter's revision, else the first one's.
"""

import json
import os
import sys

from kira.service import Service
from kira.settings import settings

beside = os.environ.get("KIRA_BESIDE_REPOS")
for revision in sys.argv[1:]:
    if beside:
        os.environ["KIRA_BESIDE_REPOS"] = beside if revision == "head" else f"{beside}@{revision}"
    else:
        os.environ["KIRA_ADAPTER_REVISION"] = "" if revision == "head" else revision
    settings.cache_clear()
    service = Service()
    service.load()
    print(json.dumps({
        "revision": revision, "notice": service.notice, "speaker": service.speaker and service.speaker.name,
        "adapter": bool(service.engine and service.engine.adapters), "results": bool(service.results[0].metrics),
        "answers": len(service.results[0].answers), "published": [each.adapter.name for each in service.published],
        "adapters": service.engine and service.engine.adapters, "beside": len(service.results[-1].answers),
        "files": sorted({p.suffix for p in service.speaker.folder.iterdir()}) if service.speaker else [],
    }))
