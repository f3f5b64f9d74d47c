"""README's generated parts: front matter, environment variables, results of the embedded run, benchmarks, reliability.

    make readme                                            after a change of settings
    python -m train_space.readme .kira/runs/embedded       after a run: keeps its recipe.json and metrics.json too
                                                           (then `make readme`: the notebook quotes its times)

The card in release/ is made anew too. A test fails when README or that card differs from what this writes.
"""

import sys
from dataclasses import fields
from pathlib import Path

import yaml

from kira.figures import comparison_rows
from kira.safety_report import safety_rows
from kira.settings import PREFIX, Settings
from train_space import cards, release, safety_bar
from train_space.files import read_csv, read_json, read_json_lines, write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "runs" / "embedded"
BENCHMARKS = ROOT / "results" / "benchmarks"
BROWSER_RUN = ROOT / "results" / "browser_run.json"
LIGHTHOUSE = ROOT / "results" / "lighthouse.json"
AIMS = {"performance": 85, "accessibility": 95, "best-practices": 95}
RELIABILITY = ROOT / "results" / "reliability.jsonl"


def render(readme: str) -> str:
    """`readme` with its front matter and every `<!-- begin NAME -->` ... `<!-- end NAME -->` part made anew."""
    body = readme.split("\n---\n", 1)[1]
    for name, text in {"variables": variables(), "results": results(RESULTS), "release": results(release.FOLDER),
                       "evidence": evidence(), "safety": safety(), "benchmarks": benchmarks(),
                       "reliability": reliability(), "browser-run": browser_run(), "lighthouse": lighthouse()}.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        head, _, rest = body.partition(begin)
        body = f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
    return f"---\n{front_matter()}---\n{body}"


def front_matter() -> str:
    """The Space's configuration; the owner's repositories come from kira/settings.py."""
    defaults = Settings()
    gradio = next(line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
                  if line.startswith("gradio=="))
    return yaml.safe_dump({
        "title": "Kira",
        "emoji": "🩺",
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": gradio.removeprefix("gradio=="),
        "python_version": "3.12",
        "app_file": "app.py",
        "short_description": "Medical terms explained: base and fine-tuned side by side",
        "license": "mit",
        "models": [defaults.base_repo, defaults.adapter_repo],
        "datasets": [defaults.dataset_repo],
        "tags": ["mcp-server", "medical", "lora", "peft"],
    }, sort_keys=False, allow_unicode=True, width=1000)


def variables() -> str:
    """Markdown table of the Space's environment variables."""
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for f in fields(Settings):
        default = f"`{f.default}`" if f.default != "" else "(empty)"
        lines.append(f"| `{PREFIX}{f.name.upper()}` | {default} | {f.metadata['doc']} |")
    return "\n".join(lines)


def results(folder: Path) -> str:
    """Markdown table of a run's figures, from the metrics.json and recipe.json that it wrote."""
    metrics, record = read_json(folder / "metrics.json"), read_json(folder / "recipe.json")
    lines = ["| metric | base | fine-tuned | difference | 95 % interval | n |", "|---|---:|---:|---:|---|---:|"]
    for row in comparison_rows(metrics):
        verdict = "" if row["significant"] else ", no significant change"
        lines.append(f"| {row['metric']} | {row['base']:.3f} | {row['tuned']:.3f} | {row['delta']:+.3f} | "
                     f"[{row['low']:+.3f}, {row['high']:+.3f}]{verdict} | {row['n']} |")
    if kept := cards.retention(metrics):
        lines.append(f"\nOn {kept['n']} questions about other subjects perplexity changed by {kept['change']:+.1%} "
                     f"[{kept['change_low']:+.1%}, {kept['change_high']:+.1%}].")
    lines.append(f"\nTest split, {metrics['precision']}, greedy; `{metrics['command']}`. "
                 f"Stages: {stage_times(record)}.")
    return "\n".join(lines)


def stage_times(record: dict) -> str:
    """Time of each stage in a run's recipe.json, and the machine."""
    times = ", ".join(f"{name} {stage['wall_time_s']:.0f} s" for name, stage in record["stages"].items())
    machine = record["hardware"]
    gpu = f" and {machine['gpu'][0]}" if "gpu" in machine else ""
    return f"{times}, on {machine['cores']} cores of {machine['cpu']}{gpu}"


def evidence() -> str:
    """Markdown table of results/model_comparison.csv: each recipe against the base and its split's reference."""
    lines = ["| recipe | split | metric | mean | from the base | from the reference | times its gain | n | seeds |",
             "|---|---|---|---:|---|---|---|---:|---:|"]
    for row in read_csv(ROOT / "results" / "model_comparison.csv"):
        base, other, ratio = (_with_interval(row, name) for name in ("from_base", "from_reference", "gain_ratio"))
        if row["label"] == row["reference"]:
            other = ratio = "is it"
        lines.append(f"| {row['label']} | {row['split']} | {row['metric']} | {float(row['mean']):.3f} | {base} | "
                     f"{other} | {ratio} | {row['n']} | {row['seeds']} |")
    return "\n".join(lines)


def _with_interval(row: dict[str, str], name: str) -> str:
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return value if value[-1:].isalpha() else f"{float(value):+.3f} [{float(low):+.3f}, {float(high):+.3f}]"


def safety() -> str:
    """Markdown table of results/safety.json: texts that nobody looked at while rules and classifiers were made."""
    report = read_json(safety_bar.REPORT)
    lines = ["| what | share | 95 % interval | n | aim |", "|---|---:|---|---:|---|"]
    lines += [f"| {r['what']} | {r['value']:.3f} | [{r['low']:.3f}, {r['high']:.3f}] | {r['n']} | "
              f"{r['aim']}{', **missed**' if r['met'] is False else ''} |" for r in safety_rows(report)]
    found = read_json(safety_bar.HELP_NOW)
    told = {name: f"{share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}]"
            for name, share in found["shares"].items()}
    return "\n".join(lines) + (
        f"\n\n`{report['command']}`; 1,000 calls took {report['seconds_per_1000_calls']} s.\n\nOf "
        f"{found['shares']['base']['n']} English texts of people in danger, answers of the base told {told['base']} to "
        f"get help, of the fine-tuned model {told['tuned']}, with triage before it {told['with_triage']} "
        f"([all answers](results/help_now.json), `{found['command']}`; triage was built on the set they are from).")


def benchmarks() -> str:
    """Markdown table of every measured row of results/benchmarks."""
    lines = ["| what | measured | beside it | ratio | floor | aim | on | how |", "|---|---:|---|---:|---:|---|---|---|"]
    for path in sorted(BENCHMARKS.glob("*.jsonl")):
        for row in read_json_lines(path):
            peer = f"{row['peer']}: {row['peer_value']}" if row["peer_value"] is not None else ""
            ratio = f"{row['ratio']} x" if row["ratio"] else ""
            floor = row["floor"] if row["floor"] is not None else ""
            lines.append(f"| {row['name']} | {row['value']} {row['unit']} | {peer} | {ratio} | {floor} | "
                         f"{row['target']} | {row['machine']}, {row['date']} | `{row['command']}`. {row['note']} |")
    return "\n".join(lines)


def browser_run() -> str:
    """Markdown table of the steps that `make browser-run` kept."""
    record = read_json(BROWSER_RUN)
    lines = ["| step | seconds | what was seen |", "|---|---:|---|"]
    lines += [f"| {step['step']} | {step['seconds']:.0f} | {_in_cell(step['seen'])} |" for step in record["steps"]]
    machine = record["machine"]
    return "\n".join(lines) + (f"\n\n`{record['command']}`, on {machine['cores']} cores of {machine['cpu']}, "
                              f"{record['date']}; {record['seconds'] / 60:.0f} minutes in all.")


def lighthouse() -> str:
    """Markdown table of Lighthouse's scores of the page, and of Gradio's with nothing on it."""
    record = read_json(LIGHTHOUSE)
    lines = ["| page | performance | accessibility | best practices | largest text | does not react | moves |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    for page, found in record["pages"].items():
        scores = [f"{found[name]:.0f}" + f" (aim {aim}{', **missed**' if found[name] < aim else ''})" * (page == "kira")
                  for name, aim in AIMS.items()]
        lines.append(f"| {page} | {' | '.join(scores)} | {found['largest-contentful-paint'] / 1000:.1f} s | "
                     f"{found['total-blocking-time']:.0f} ms | {found['cumulative-layout-shift']:.2f} |")
    machine = record["hardware"]
    how = (f"Lighthouse {record['lighthouse']}, {record['preset']} preset, median of {record['visits']} visits, on "
           f"{machine['cores']} cores of {machine['cpu']}, {record['date']}")
    return "\n".join(lines) + f"\n\n`{record['command']}`: {how}."


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def reliability() -> str:
    """Markdown table of every row that `python -m benchmarks.reliability` kept."""
    lines = ["| id | what | target | measured | holds | command, machine |", "|---|---|---|---|---|---|"]
    for row in read_json_lines(RELIABILITY):
        lines.append(f"| {row['id']} | {row['what']} | {row['target']} | {row['measured']} | "
                     f"{'yes' if row['holds'] else '**no**'} | `{row['command']}`, {row['machine']}, {row['date']} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Rewrites README.md, after taking over the record of a run when its folder is named."""
    if arguments:
        run_dir = Path(arguments[0])
        write_json(RESULTS / "metrics.json", read_json(run_dir / "evaluation" / "metrics.json"))
        write_json(RESULTS / "recipe.json", read_json(run_dir / "recipe.json"))
    path = ROOT / "README.md"
    write_text(path, render(path.read_text("utf-8")))
    release.describe_shipped(release.FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
