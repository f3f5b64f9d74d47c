"""The other libraries, unmodified, as their users call them: datasets, cards, transformers and PEFT."""

DATASETS = """
from datasets import Dataset, DatasetDict, load_dataset
from huggingface_hub import HfApi

api = HfApi()
splits = DatasetDict({name: Dataset.from_dict({"n": list(range(size))}) for name, size in (("train", 9), ("test", 3))})
splits.push_to_hub("kira/numbers")
first = api.dataset_info("kira/numbers").sha
Dataset.from_dict({"word": ["a", "b"]}).push_to_hub("kira/numbers", config_name="words", num_shards=2)
DatasetDict(train=Dataset.from_dict({"n": [0]})).push_to_hub("kira/private-numbers", private=True)

loaded = load_dataset("kira/numbers")
assert loaded["train"]["n"] == list(range(9)) and loaded["test"]["n"] == [0, 1, 2], loaded
assert load_dataset("kira/numbers", "words", split="train")["word"] == ["a", "b"]
assert list(load_dataset("kira/numbers", revision=first)) == ["train", "test"]
assert [row["n"] for row in load_dataset("kira/numbers", split="test", streaming=True)] == [0, 1, 2]
assert load_dataset("kira/private-numbers", split="train").num_rows == 1
assert api.dataset_info("kira/private-numbers").private
"""

CARDS = """
import warnings
import pytest
from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData, metadata_update

HfApi().create_repo("kira/carded")
result = EvalResult(task_type="question-answering", dataset_type="kira/numbers", dataset_name="Numbers",
                    metric_type="rougeL", metric_value=0.41)
data = ModelCardData(license="mit", library_name="peft", model_name="carded", eval_results=[result])
ModelCard(f"---\\n{data.to_yaml()}\\n---\\n# A card\\n").push_to_hub("kira/carded")
card = ModelCard.load("kira/carded")
assert card.data.eval_results[0].metric_value == 0.41
assert HfApi().model_info("kira/carded").card_data.license == "mit"
metadata_update("kira/carded", {"tags": ["medical"]})
assert "medical" in HfApi().model_info("kira/carded").tags
for front in ("license: invented", "model-index: foo"):
    with pytest.raises(ValueError, match="Invalid metadata in README.md"):
        HfApi().upload_file(path_or_fileobj=f"---\\n{front}\\n---\\n".encode(), path_in_repo="README.md",
                            repo_id="kira/carded")
"""

ADAPTER = """
import torch
from huggingface_hub import HfApi
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
config = LlamaConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=64)
LlamaForCausalLM(config).push_to_hub("embedded/tiny-llama")
ids = torch.tensor([[1, 2, 3]])

def publish():
    base = AutoModelForCausalLM.from_pretrained("embedded/tiny-llama")
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    model.push_to_hub("kira/tiny-adapter")
    return model(ids).logits, HfApi().model_info("kira/tiny-adapter").sha

def load(revision):
    base = AutoModelForCausalLM.from_pretrained("embedded/tiny-llama")
    return PeftModel.from_pretrained(base, "kira/tiny-adapter", revision=revision)(ids).logits

(first, sha), (second, _) = publish(), publish()
assert not torch.equal(first, second)
assert torch.equal(load(sha), first) and torch.equal(load("main"), second)
assert torch.equal(AutoModelForCausalLM.from_pretrained("kira/tiny-adapter")(ids).logits, second)
"""

SNAPSHOT = """
from huggingface_hub import snapshot_download
print(snapshot_download("embedded/tiny-llama"))
"""


def test_datasets(hub, tmp_path):
    hub.run(DATASETS, tmp_path)


def test_cards(hub, tmp_path):
    hub.run(CARDS, tmp_path)


def test_adapter_and_then_its_base_offline(hub, tmp_path):
    hub.run(ADAPTER, tmp_path)
    folder = hub.run(SNAPSHOT, tmp_path)
    assert hub.run(SNAPSHOT, tmp_path, HF_HUB_OFFLINE="1") == folder


def test_command_line_tool(hub, tmp_path):
    hub.run("from huggingface_hub.cli.hf import main; main()", tmp_path, arguments=["auth", "whoami"])
    (tmp_path / "file.txt").write_text("by command line")
    upload = ["upload", "kira/by-cli", str(tmp_path / "file.txt"), "file.txt"]
    hub.run("from huggingface_hub.cli.hf import main; main()", tmp_path, arguments=upload)
    assert hub.http.get("/kira/by-cli/resolve/main/file.txt").text == "by command line"
