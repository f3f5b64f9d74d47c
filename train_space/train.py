"""Fine-tunes a LoRA adapter with TRL's SFTTrainer: on a CPU, on one GPU, or under `accelerate launch`.

    python -m train_space train --recipe embedded [--dry-run]
    accelerate launch --config_file recipes/accelerate/ddp.yaml -m train_space train --recipe tuned

Reads RUN/data, writes RUN/train: checkpoints while it runs, then adapter/ (the best on the validation split),
log.jsonl (one object per logged step) and, in recipe.json of the run, what it took.
"""

import json
import shutil
import statistics
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from kira.errors import UserError
from kira.prompt import require_chat_template, training_row
from train_space.files import sha256
from train_space.recipe import Recipe

FIELDS = (
    "seed", "split_seed", "base_repo", "quantization", "dtype", "lora_r", "lora_alpha", "lora_dropout",
    "target_modules", "train_rows", "validation_rows", "epochs", "max_steps", "max_length", "batch_size",
    "gradient_accumulation_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "optimizer", "weight_decay",
    "packing", "activation_checkpointing", "cuda_graph", "group_by_length", "eval_steps",
    "early_stopping_patience", "generation_probe_rows",
)


def inputs(recipe: Recipe, run_dir: Path, base_revision: str) -> dict:
    """What training depends on: compared before the stage is skipped or resumed."""
    splits = {p.name: sha256(p) for p in sorted((run_dir / "data" / "data").glob("*.parquet"))}
    if not any(name.startswith("train-") for name in splits):
        raise UserError(f"There is no training split in {run_dir / 'data'}; run `python -m train_space prepare` first.")
    fields = (*FIELDS, "max_new_tokens") if recipe.probes_generation else FIELDS
    return recipe.digest_fields(*fields) | {"base_revision": base_revision, "splits": splits}


def train(recipe: Recipe, run_dir: Path, base_revision: str, stage_inputs: dict, dry_run_dir: Path | None = None,
          callbacks: list = ()) -> dict:
    """Trains, and returns what to record: steps, losses, tokens per second, which step was kept and why it stopped.

    Resumes from the last complete checkpoint when `stage_inputs` are those that the checkpoints were made with;
    otherwise starts anew. With `dry_run_dir`, an empty folder, it stops after the steps that its estimate needs and
    writes nowhere else. `callbacks` are the Trainer's. Raises UserError for a base without chat template and for rows
    that leave nothing to learn.
    """
    import torch
    import transformers
    from accelerate import PartialState

    from train_space.checkpoints import last_complete_checkpoint
    from train_space.estimate import Estimate
    from train_space.generation_probe import GenerationProbe
    from train_space.progress import Clock, LossOnBar

    out_dir = dry_run_dir or run_dir / "train"
    process = PartialState(cpu=not torch.cuda.is_available())
    transformers.logging.set_verbosity_error()
    checkpoint = None
    if not dry_run_dir:
        with process.main_process_first():
            if process.is_main_process:
                _discard_other_runs(out_dir, stage_inputs)
            checkpoint = last_complete_checkpoint(out_dir)
    trainer, train_rows, validation_rows = _trainer(recipe, run_dir, out_dir, base_revision, process, bool(dry_run_dir))
    bar, clock, estimate = LossOnBar(), Clock(), Estimate(trainer, recipe, stops=bool(dry_run_dir))
    probes = []
    if recipe.probes_generation and validation_rows and not trainer.is_fsdp_enabled:
        probes = [GenerationProbe(trainer, recipe, validation_rows, clock)]
    for callback in (bar, *probes, estimate, clock, *callbacks):  # in this order step 0's probe is in neither's count
        trainer.add_callback(callback)

    start = time.perf_counter()
    resumed_at = int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0
    if checkpoint and process.is_main_process:
        print(f"Resuming from step {resumed_at}, the last complete checkpoint.")
    with closing(bar):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.perf_counter() - start - clock.stopped_s
    if dry_run_dir:
        return {"estimate": estimate.made}

    if process.is_main_process or trainer.is_fsdp_enabled:
        _save_adapter(trainer, recipe, base_revision, out_dir / "adapter")
    process.wait_for_everyone()

    state = trainer.state
    steps = state.global_step - resumed_at
    tokens = sum(len(ids) for ids in trainer.train_dataset["input_ids"])
    return {
        "steps": state.global_step,
        "resumed_at_step": resumed_at,
        "stopped_early": state.global_step < state.max_steps,
        "kept_step": int(state.best_model_checkpoint.rsplit("-", 1)[1]) if state.best_model_checkpoint
        else state.global_step,
        "train_loss": round(statistics.fmean(e["loss"] for e in state.log_history if "loss" in e), 6),
        "best_validation_loss": state.best_metric,
        "train_rows": len(train_rows),
        "train_tokens": tokens,
        "trainable_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "training_time_s": round(seconds, 2),
        "probe_time_s": round(clock.stopped_s, 2),
        "seconds": clock.seconds | ({"captures": round(trainer.capture_s, 2)} if hasattr(trainer, "capture_s") else {}),
        "median_step_s": clock.median_step_s,
        "tokens_per_s": round(tokens * recipe.epochs * steps / max(state.max_steps, 1) / seconds, 1),
        "energy_wh": clock.energy_wh,
        "estimate": estimate.made,
        "cost_usd": estimate.cost_usd(seconds + clock.stopped_s),
        "processes": process.num_processes,
        "dtype": str(compute_dtype(recipe.dtype)).removeprefix("torch."),
        "device": torch.device(process.device).type,
    }


def _trainer(recipe, run_dir, out_dir, base_revision, process, dry_run):
    """(SFTTrainer or its graphed kin, training rows and validation rows as they were read)."""
    import torch
    from peft import LoraConfig
    from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig, EarlyStoppingCallback, ProgressCallback
    from trl import SFTTrainer

    from train_space.checkpoints import MarkComplete
    from train_space.progress import LossLog

    tokenizer = AutoTokenizer.from_pretrained(recipe.base_repo, revision=base_revision)
    require_chat_template(tokenizer)
    train_rows = _rows(run_dir, "train", recipe.train_rows, recipe.split_seed)
    validation_rows = None if dry_run else _rows(run_dir, "validation", recipe.validation_rows, recipe.split_seed)
    dtype = compute_dtype(recipe.dtype)
    targets = recipe.target_modules.split(",") if recipe.target_modules != "all-linear" else "all-linear"
    arguments = _arguments(recipe, out_dir, base_revision, dtype, bool(validation_rows), process.num_processes)
    if dry_run:
        arguments.save_strategy, arguments.report_to = "no", []
    if torch.cuda.is_available() and process.num_processes == 1:
        # Left alone, a process that sees several GPUs spreads the model's layers over them, one working at a time.
        arguments._n_gpu, arguments.model_init_kwargs["device_map"] = 1, {"": process.device}
    trainer_class = SFTTrainer
    config = AutoConfig.from_pretrained(recipe.base_repo, revision=base_revision)
    if recipe.cuda_graph and not recipe.packing and _runs_graphs(process, dtype, config):
        from train_space import graphed

        trainer_class = partial(graphed.GraphedSFTTrainer, saves_memory=recipe.activation_checkpointing)
        graphed.adapt(arguments)
    kept = [] if dry_run else [MarkComplete(), LossLog(out_dir / "log.jsonl")]
    stops = [EarlyStoppingCallback(recipe.early_stopping_patience)] if validation_rows else []
    trainer = trainer_class(
        model=recipe.base_repo,
        args=arguments,
        train_dataset=train_rows,
        eval_dataset=validation_rows,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=recipe.lora_r, lora_alpha=recipe.lora_alpha, lora_dropout=recipe.lora_dropout, target_modules=targets,
            task_type="CAUSAL_LM",
        ),
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        ) if recipe.quantization == "nf4" else None,
        callbacks=kept + stops,
    )
    trainer.remove_callback(ProgressCallback)
    # TRL's and PEFT's own cards cost each checkpoint 0.1 s; ours is rendered from the metrics.
    trainer.create_model_card = trainer.model.create_or_update_model_card = lambda *args, **kwargs: None
    left = len(trainer.train_dataset)
    if not recipe.packing and left < len(train_rows):
        # TRL drops rows whose answer lies wholly beyond max_length without a word.
        raise UserError(f"{len(train_rows) - left} training rows have no answer within max_length={recipe.max_length} "
                        "tokens; raise max_length or lower max_answer_words.")
    return trainer, train_rows, validation_rows


def _runs_graphs(process, dtype, config) -> bool:
    """GraphedSFTTrainer computes this base on this machine: Llama's architecture in bfloat16, a whole model a GPU."""
    import torch
    from accelerate import DistributedType
    from accelerate.utils import parse_flag_from_env

    from kira.decoder import is_plain_llama

    return (torch.cuda.is_available() and dtype == torch.bfloat16 and is_plain_llama(config)
            and process.distributed_type in (DistributedType.NO, DistributedType.MULTI_GPU)
            and not parse_flag_from_env("ACCELERATE_USE_FSDP"))


def _save_adapter(trainer, recipe, base_revision, folder):
    """Adapter and tokenizer as a reader loads them; the whole of each tensor where processes hold parts (FSDP).

    Its weights are stored as the forward pass rounded them: in bfloat16 half of float32's size says the same.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    whole = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else model.state_dict()
    if not trainer.args.should_save:
        return
    shutil.rmtree(folder, ignore_errors=True)
    whole = {name: tensor.to(compute_dtype(recipe.dtype)) for name, tensor in whole.items() if "lora_" in name}
    model.peft_config["default"].base_model_name_or_path = recipe.base_repo
    model.peft_config["default"].revision = base_revision
    model.save_pretrained(folder, state_dict=whole)
    trainer.processing_class.save_pretrained(folder)


def rows_per_batch(recipe: Recipe, processes: int) -> tuple[int, int]:
    """(rows of a process's batch, batches of a step): a step has the recipe's rows however many processes share them.

    Raises UserError when they cannot be shared evenly.
    """
    rows, batches = recipe.batch_size, recipe.gradient_accumulation_steps
    if batches % processes == 0:
        return rows, batches // processes
    if rows % processes == 0:
        return rows // processes, batches
    raise UserError(f"A step of {batches} batches of {rows} rows cannot be shared by {processes} processes; set "
                    "batch_size or gradient_accumulation_steps to a multiple of them.")


def compute_dtype(name: str):
    """torch dtype for `auto`, `float32` or `bfloat16`: bfloat16 only where a GPU computes in it.

    Measured on an AVX2 CPU: matrix products at 45 GFLOP/s in float32 and 1 in bfloat16.
    """
    import torch

    if name == "auto":
        return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32
    return getattr(torch, name)


def _arguments(recipe, out_dir, base_revision, dtype, validates, processes=1):
    import torch
    from trl import SFTConfig

    rows, batches = rows_per_batch(recipe, processes)
    return SFTConfig(
        output_dir=str(out_dir),
        model_init_kwargs={"dtype": dtype, "revision": base_revision},
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        per_device_train_batch_size=rows,
        per_device_eval_batch_size=rows,
        gradient_accumulation_steps=batches,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type,
        warmup_steps=recipe.warmup_steps,
        optim=recipe.optimizer,
        weight_decay=recipe.weight_decay,
        bf16=dtype == torch.bfloat16,
        max_length=recipe.max_length,
        packing=recipe.packing,
        eval_packing=False,
        activation_checkpointing=recipe.activation_checkpointing,
        train_sampling_strategy="group_by_length" if recipe.group_by_length else "random",
        eval_strategy="steps" if validates else "no",
        eval_steps=recipe.eval_steps,
        save_strategy="steps",
        save_steps=recipe.eval_steps,
        save_total_limit=2,  # best and newest: one whole checkpoint stands while the other is written
        load_best_model_at_end=validates,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=1,
        ddp_find_unused_parameters=False,
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        report_to="trackio" if recipe.trackio_project else "none",
        project=recipe.trackio_project,
        run_name=recipe.name,
        trackio_space_id=recipe.trackio_space_id or None,
        trackio_static_space_id=False,  # else a second Space, of another name, is made at the end
        disable_tqdm=False,  # its default follows the verbosity
    )


def _rows(run_dir: Path, split: str, limit: int, seed: int):
    """Conversational rows of a split, `limit` of them drawn at random (0: all); None for a split that is not there."""
    from datasets import Dataset

    path = run_dir / "data" / "data" / f"{split}-00000-of-00001.parquet"
    if not path.is_file():
        return None
    rows = Dataset.from_parquet(str(path), keep_in_memory=True)
    if limit and limit < len(rows):
        rows = rows.shuffle(seed=seed).select(range(limit))
    return rows.map(lambda r: training_row(r["question"], r["answer"]), remove_columns=rows.column_names)


def _discard_other_runs(out_dir: Path, stage_inputs: dict) -> None:
    """Empties `out_dir` unless its checkpoints were made from the same inputs."""
    path = out_dir / "inputs.json"
    text = json.dumps(stage_inputs, indent=2, sort_keys=True)
    if not path.is_file() or path.read_text("utf-8") != text:
        shutil.rmtree(out_dir, ignore_errors=True)
        out_dir.mkdir(parents=True)
        path.write_text(text, "utf-8")
