"""The whole job on one GPU: prepare, train, evaluate 300 rows with both models, publish to a local Hub.

    python -m localhub exec --root DIR -- python -m benchmarks.job_gpu --base FOLDER --rows FILE

`--base`: a folder with SmolLM2-135M-Instruct's weights (`train_space.embedded.convert` makes one). `--rows`: MedQuAD.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from huggingface_hub import HfApi

from benchmarks.row import write
from train_space import recipe as recipes
from train_space import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--rows", required=True)
    options = parser.parse_args()
    api = HfApi()
    base = api.create_repo("smollm2", exist_ok=True).repo_id
    api.upload_folder(repo_id=base, folder_path=options.base)
    recipe = recipes.load("tuned", {
        "source": "medquad", "source_location": options.rows, "source_licence": "cc-by-4.0", "max_answer_words": "120",
        "base_repo": base, "test_share": "0.12", "test_rows": "300", "max_new_tokens": "160",
        "evaluation_batch_size": "64", "name": "job", "adapter_repo": "job-lora", "dataset_repo": "job-rows",
        "publish_below_safety_bar": "true"})
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run.run(recipe, Path(folder) / "job")
        taken = time.perf_counter() - start
        record = json.loads((Path(folder) / "job" / "recipe.json").read_text())
        metrics = json.loads((Path(folder) / "job" / "evaluation" / "metrics.json").read_text())
    spent = {name: stage["wall_time_s"] for name, stage in record["stages"].items()}
    rouge = next(d for d in metrics["deltas"] if d["metric"] == "rougeL")
    write("job_gpu", "whole job, SmolLM2-135M", round(taken, 1), "s", target="under 90",
          command="python -m benchmarks.job_gpu", note=(
              ", ".join(f"{name} {value:.1f} s" for name, value in spent.items())
              + f", publication and the rest {taken - sum(spent.values()):.1f} s; ROUGE-L {rouge['value']:+.3f} "
              f"[{rouge['low']:+.3f}, {rouge['high']:+.3f}], n {rouge['n']}"))


if __name__ == "__main__":
    main()
