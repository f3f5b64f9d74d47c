"""What `deploy` sends is a Space that stands alone; a second time it sends nothing."""

import subprocess
import sys

import pytest

from tests.pipeline.conftest import ROOT, local_hub


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("spaces") / "root") as running:
        yield running


def test_a_deployed_space_is_whole_and_deployed_once(own_hub, tmp_path):
    assert "app.py" in own_hub.kira("deploy", "kira/space", "--dry-run").stdout.splitlines()
    first = own_hub.kira("deploy", "kira/space").stdout
    assert own_hub.kira("deploy", "kira/space").stdout == first and "at " in first
    program = """
import sys
from huggingface_hub import snapshot_download
snapshot_download("kira/space", repo_type="space", local_dir=sys.argv[1])
"""
    (tmp_path / "look.py").write_text(program)
    own_hub.python(tmp_path / "look.py", tmp_path / "space")
    assert not (tmp_path / "space" / "train_space").exists()
    done = subprocess.run([sys.executable, "-c", "import app, kira; app.build(); print(kira.__file__)"],
                          cwd=tmp_path / "space", capture_output=True, text=True)
    assert done.returncode == 0 and str(tmp_path) in done.stdout, done.stderr[-2000:]
    assert str(ROOT) not in done.stdout
