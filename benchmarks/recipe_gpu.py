"""Does `tuned` learn as much in fewer, larger steps? Real weights and rows, 16 rows a step (507 steps) beside it.

    python -m benchmarks.recipe_gpu --base FOLDER --data FOLDER

`--base`: SmolLM2-135M-Instruct's weights (`train_space.embedded.convert`). `--data`: a prepared split's parquet files.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.row import write
from train_space import recipe as recipes
from train_space import train

SMALL_STEPS = {"batch_size": "16", "learning_rate": "2e-4", "lora_dropout": "0.05", "eval_steps": "160"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--data", required=True)
    options = parser.parse_args()
    learnt = {}
    for name, over in (("small", SMALL_STEPS), ("tuned", {})):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(options.data, Path(folder) / "data" / "data")
            recipe = recipes.load("tuned", over | {"base_repo": options.base, "name": name})
            learnt[name] = train.train(recipe, Path(folder), "main", train.inputs(recipe, Path(folder), "main"))
    small, tuned = learnt["small"], learnt["tuned"]
    write("recipe_gpu", "validation loss of tuned, SmolLM2-135M", round(tuned["best_validation_loss"], 4), "nats",
          peer="16 rows a step, lr 2e-4, dropout 0.05", peer_value=round(small["best_validation_loss"], 4),
          target="at most 1 % above", command="python -m benchmarks.recipe_gpu",
          note=f"{tuned['steps']} steps in {tuned['training_time_s']} s beside {small['steps']} in "
               f"{small['training_time_s']} s; {tuned['train_rows']} rows")


if __name__ == "__main__":
    main()
