"""What somebody else writes who has only huggingface_hub, datasets, peft, transformers and gradio_client.

    python outsider.py ADAPTER_REPO SPACE_URL       (Hub and token as everywhere: HF_ENDPOINT, HF_TOKEN)
"""
import re, sys  # noqa: E401, I001
from datasets import load_dataset
from gradio_client import Client
from huggingface_hub import ModelCard

card = ModelCard.load(sys.argv[1])
print("rows", load_dataset(card.data.datasets[0], split="test").num_rows)
print("metrics", {r.metric_name: r.metric_value for r in card.data.eval_results})
for snippet in re.findall(r"```python\n(.*?)```", card.text, re.S):
    exec(snippet)  # the card's own lines, as they stand; the last one prints the answer
for endpoint in ("/ask", "/compare"):
    steps = list(Client(sys.argv[2], verbose=False).submit("What is arachnodactyly?", api_name=endpoint))
    print(endpoint, len(steps), steps[-1])
