"""How answers change while a model learns: a few validation rows, answered anew at every validation.

The loss says how well references are predicted, and nothing of what is written: not its length, not whether it ends.
"""

import gc
from statistics import fmean

from transformers import TrainerCallback

from kira.prompt import encode_prompt
from train_space.answer_overlap import rouge_l, token_f1
from train_space.generation import Decoding, end_tokens, outputs, text


class GenerationProbe(TrainerCallback):
    """Logs probe_rougeL, probe_token_f1, probe_length_ratio and probe_stop_rate, as metrics.json has them, and probe_n.

    At step 0, where the model is still the base, and at each validation, the last step's among them. Answers are greedy
    and to the same rows each time. Training goes on as if they had not been given. All processes answer.
    """

    def __init__(self, trainer, recipe, rows, clock):
        """`rows`: the validation split as conversations; `clock` is stopped while the first of them are answered."""
        self.trainer, self.clock = trainer, clock
        self.decoding = Decoding(recipe.max_new_tokens, recipe.evaluation_batch_size)
        room = trainer.model.config.max_position_embeddings - recipe.max_new_tokens
        self.prompts, self.references = [], []
        for row in rows.select(range(min(recipe.generation_probe_rows, len(rows)))):
            prompt = encode_prompt(trainer.processing_class, row["prompt"])
            if len(prompt) <= room:
                self.prompts.append(prompt)
                self.references.append(row["completion"][0]["content"])

    def on_train_begin(self, args, state, control, **kwargs):
        if state.global_step == 0:  # a resumed run has logged it
            self._probe()

    def on_evaluate(self, args, state, control, **kwargs):
        self._probe()

    def _probe(self):
        if not self.prompts:
            return
        with self.clock.stopped():
            model = self.trainer.model
            was_training = model.training
            model.eval()
            figures = self._figures(model)
            model.train(was_training)
            gc.collect()  # a decoder refers to itself, so its copy of the weights would stay for a while
        self.trainer.log(figures)

    def _figures(self, model) -> dict:
        tokenizer = self.trainer.processing_class
        made = outputs(model, tokenizer, self.prompts, [True] * len(self.prompts), self.decoding)
        ends = end_tokens(model, tokenizer)
        answers = [text(tokenizer, ids, ends) for ids in made]
        words, wanted = (sum(len(t.split()) for t in texts) for texts in (answers, self.references))
        return {
            "probe_rougeL": fmean(rouge_l(answers, self.references)),
            "probe_token_f1": fmean(map(token_f1, answers, self.references)),
            "probe_length_ratio": words / wanted,
            "probe_stop_rate": fmean(ids[-1] in ends for ids in made),
            "probe_n": len(answers),
        }
