"""The environment that turns the unmodified Hugging Face clients to a local Hub: defined here and nowhere else."""

import os
from pathlib import Path

LOCAL = "127.0.0.1,localhost"


def client_environment(endpoint: str, root: Path, token: str = "local-write", hf_home: Path | None = None) -> dict:
    """Variables to set before the clients are imported."""
    # The clients' cache knows repo ids but not endpoints: shared with the real Hub it would mix the two.
    home = (hf_home or root.absolute().parent / "hf-home").absolute()
    direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), LOCAL]))
    return {
        "HF_ENDPOINT": endpoint,
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_XET": "1",  # with Xet the clients upload to a content store of another protocol
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "NO_PROXY": direct,
        "no_proxy": direct,
    }
