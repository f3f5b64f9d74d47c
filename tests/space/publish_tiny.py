"""Publishes a tiny base, its test split, an adapter in one sound and several damaged states, and an unlike second one.

    python tests/space/publish_tiny.py FOLDER        prints {"main": sha, "<damage>": sha, ...} as JSON

Run with the local Hub's environment.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from train_space import cards
from train_space.publish import adapter_manifest, push_folder

ROOT = Path(__file__).resolve().parent.parent
METRICS = {  # base, tuned, low, high
    "rouge1": (0.21, 0.36, 0.11, 0.19), "rouge2": (0.05, 0.17, 0.08, 0.16), "rougeL": (0.15, 0.31, 0.12, 0.20),
    "token_f1": (0.24, 0.33, 0.05, 0.13), "perplexity": (14.1, 6.8, -8.4, -6.2),
    "bits_per_byte": (1.31, 0.92, -0.44, -0.34), "length_ratio": (2.1, 1.1, -1.3, -0.7),
    "stop_rate": (0.7, 0.9, 0.1, 0.3), "repetition_rate": (0.06, 0.05, -0.03, 0.01),
}
SLICES = {"type=definition": (0.15, 0.4, 0.1, 0.3), "type=feature": (0.2, 0.1, -0.15, -0.05)}  # of rougeL
BESIDE = {**METRICS, "rougeL": (0.15, 0.22, 0.03, 0.11)}
SECOND = "kira/tiny-lora-of_a_second_and_longer_run"


def base(folder: Path) -> str:
    sys.path.insert(0, str(ROOT))
    from tiny_model import make

    make(folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = 20_000  # room for an answer that only Stop can end within a test
    (folder / "config.json").write_text(json.dumps(config))
    return push_folder(folder, "kira/tiny", "model", "tiny base")


def split(folder: Path) -> tuple[str, list[dict]]:
    import pyarrow
    import pyarrow.parquet

    topics = ("fever", "asthma", "anaemia", "migraine", "arthritis", "eczema")
    rows = [{"id": f"row-{i}", "question": f"What is {t}, case {i}?", "answer": f"{t.capitalize()} is a finding ({i}).",
             "type": ("definition", "feature")[i % 2], "topic": t, "source": "A test source", "url": "https://example.org/a",
             "references": ["PMID:1"], "licence": "cc0-1.0"} for i, t in enumerate(topics * 4)]
    (folder / "data").mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data" / "test-00000-of-00001.parquet")
    return push_folder(folder, "kira/tiny-split", "dataset", "tiny split"), rows


def adapter(folder: Path, base_folder: Path, base_sha: str, split_sha: str, rows: list[dict], figures: dict,
            said: str = "", **lora) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(lora["r"])
    config = LoraConfig(**lora, task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base_folder), config)
    model.peft_config["default"].base_model_name_or_path = "kira/tiny"
    model.peft_config["default"].revision = base_sha
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base_folder).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A tiny adapter's card\n")

    def scored(text, value):
        overlap = dict.fromkeys(("rouge1", "rouge2", "rougeL", "token_f1"), value)
        return {"answer": text, "nll": 20 * (1 - value), **overlap, "stopped": True, "tokens": 9}

    answers = [{"id": r["id"], "type": r["type"], "reference_tokens": 9, "reference_bytes": 30,
                "base": scored("It is <b>something</b> else.", 0.2),
                "tuned": scored(said + r["answer"], 0.1 if r["id"] == "row-10" else 0.8)} for r in rows]
    (folder / "answers.jsonl").write_text("".join(json.dumps(a) + "\n" for a in answers))
    log = [{"step": s, "loss": 4 / (s + 1) + 1, "epoch": s / 10} for s in range(1, 21)]
    log += [{"step": s, "eval_loss": 4 / (s + 1) + 1.1, "epoch": s / 10} for s in (5, 10, 15, 20)]
    log += [{"step": s, "probe_rougeL": 0.5 - 0.3 / (s + 1), "probe_stop_rate": s / 20, "probe_n": 8, "epoch": s / 10}
            for s in (0, 5, 10, 15, 20)]
    (folder / "training_log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    runs = {run: {"model": run, "split": "test", "n": len(rows), "seed": 0,
                  "metrics": {name: values[i] for name, values in figures.items()},
                  "slices": {part: {"rougeL": values[i]} for part, values in SLICES.items()}}
            for i, run in enumerate(("base", "tuned"))}
    measured = [("all", name, values) for name, values in figures.items()]
    measured += [(part, "rougeL", values) for part, values in SLICES.items()]
    deltas = [{"from": "base", "to": "tuned", "metric": name, "slice": part, "n": len(rows), "seeds": [0],
               "value": tuned - before, "low": low, "high": high, "p": 0.001, "p_holm": 0.009}
              for part, name, (before, tuned, low, high) in measured]
    (folder / "metrics.json").write_text(json.dumps({
        "schema": 1, "status": "ok", "decoding": {"do_sample": False, "max_new_tokens": 64, "batch_size": 8},
        "precision": "float32", "inputs": {},
        "command": "python -m train_space evaluate", "runs": runs, "deltas": deltas,
    }))
    (folder / "recipe.json").write_text("{}")
    cards.write_plots(folder)
    record = {"base": {"repo": "kira/tiny", "revision": base_sha},
              "dataset": {"repo": "kira/tiny-split", "revision": split_sha}, "stages": {"train": {}}}
    (folder / "manifest.json").write_text(json.dumps(adapter_manifest(folder, record)))


def remanifest(folder: Path) -> None:
    """A manifest that fits the damaged files: the damage must be seen without the help of the shas."""
    import hashlib

    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def damage(sound: Path, kind: str, folder: Path) -> list:
    """Commit operations that damage a copy of `sound` in that way."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(sound, folder)
    weights, config = folder / "adapter_model.safetensors", json.loads((folder / "adapter_config.json").read_text())
    raw = bytearray(weights.read_bytes())
    if kind == "bit-flip":
        raw[-7] ^= 0xFF
        weights.write_bytes(raw)
    elif kind == "truncated":
        weights.write_bytes(raw[: len(raw) // 2])
        remanifest(folder)
    elif kind == "header":
        weights.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
        remanifest(folder)
    elif kind == "nan":
        tensors = load_file(weights)
        next(iter(tensors.values()))[0, 0] = float("nan")
        save_file(tensors, weights, {"format": "pt"})
        remanifest(folder)
    elif kind == "other-tensors":
        tensors = load_file(weights)
        tensors.pop(next(iter(tensors)))
        save_file(tensors, weights, {"format": "pt"})
        remanifest(folder)
    elif kind in ("wrong-base", "dora"):
        config |= {"base_model_name_or_path": "kira/another"} if kind == "wrong-base" else {"use_dora": True}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        remanifest(folder)
    elif kind == "other-layers":
        tensors = {name.replace("layers.1.", "layers.7."): value for name, value in load_file(weights).items()}
        save_file(tensors, weights, {"format": "pt"})
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["tensors"] = {name: list(value.shape) for name, value in tensors.items()}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        remanifest(folder)
    elif kind in ("other-template", "broken-metrics"):
        name = "chat_template.jinja" if kind == "other-template" else "metrics.json"
        (folder / name).write_text("{" if kind == "broken-metrics" else (folder / name).read_text() + "Well,")
        remanifest(folder)
    elif kind == "no-manifest":
        return [CommitOperationDelete("manifest.json")]
    elif kind == "missing-file":
        return [CommitOperationDelete("tokenizer.json")]
    elif kind == "base-gone":
        manifest = json.loads((folder / "manifest.json").read_text())
        config["revision"] = manifest["base"]["revision"] = "0" * 40
        (folder / "adapter_config.json").write_text(json.dumps(config))
        (folder / "manifest.json").write_text(json.dumps(manifest))
        remanifest(folder)
    elif kind == "no-results":
        manifest = json.loads((folder / "manifest.json").read_text())
        for name in ("metrics.json", "answers.jsonl"):
            del manifest["files"][name]
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return [CommitOperationDelete("metrics.json"), CommitOperationDelete("answers.jsonl"),
                CommitOperationAdd("manifest.json", folder / "manifest.json")]
    return [CommitOperationAdd(p.name, p) for p in sorted(folder.iterdir())
            if p.read_bytes() != (sound / p.name).read_bytes()]


DAMAGES = ("bit-flip", "truncated", "header", "nan", "other-tensors", "wrong-base", "dora", "no-manifest",
           "missing-file", "base-gone", "no-results", "other-layers", "other-template", "broken-metrics")


def main(folder: Path) -> None:
    base_sha = base(folder / "base")
    split_sha, rows = split(folder / "split")
    common = folder / "base", base_sha, split_sha
    adapter(folder / "adapter", *common, rows, METRICS, r=4, lora_alpha=64, target_modules="all-linear")
    adapter(folder / "beside", *common, rows[:12], BESIDE, "As another puts it: ", r=7, lora_alpha=70,
            target_modules=["k_proj", "o_proj", "down_proj"])
    shas = {"base": base_sha, "main": push_folder(folder / "adapter", "kira/tiny-lora", "model", "tiny adapter"),
            "beside": push_folder(folder / "beside", SECOND, "model", "another tiny adapter")}
    api = HfApi()
    for kind in DAMAGES:
        api.create_branch("kira/tiny-lora", branch=kind)
        operations = damage(folder / "adapter", kind, folder / kind)
        shas[kind] = api.create_commit("kira/tiny-lora", operations, commit_message=kind, revision=kind).oid
    print(json.dumps(shas))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
