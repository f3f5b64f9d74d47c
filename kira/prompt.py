"""Messages to token ids: the same ids in training, evaluation and serving."""

from kira.errors import UserError

# Short on purpose: every row of training and every answer pays for it (17 tokens in SmolLM2's vocabulary).
SYSTEM_PROMPT = "You are Kira. You explain medical terms and health topics in plain words."
ROLES = ("user", "assistant")


def build_messages(question: str, history: list[dict] = ()) -> list[dict]:
    """System prompt, then `history` ({"role", "content"} turns, roles user and assistant only), then the question.

    The system message is always explicit: templates such as SmolLM2's otherwise insert one of their own.
    """
    turns = [{"role": t["role"], "content": t["content"]} for t in history if t.get("role") in ROLES]
    return [{"role": "system", "content": SYSTEM_PROMPT}, *turns, {"role": "user", "content": question}]


def training_row(question: str, answer: str) -> dict:
    """One conversational prompt-completion row as TRL reads it; the loss falls on the completion only."""
    return {"prompt": build_messages(question), "completion": [{"role": "assistant", "content": answer}]}


def require_chat_template(tokenizer) -> None:
    """Raises UserError for a base that cannot render a conversation."""
    if not tokenizer.chat_template:
        raise UserError(
            f"The base model {tokenizer.name_or_path} has no chat template; choose its chat or instruct variant."
        )


def encode_prompt(tokenizer, messages: list[dict]) -> list[int]:
    """Token ids of `messages` up to where the answer begins.

    Control tokens typed by a person become plain text: only the template's own survive
    (facts: a regular expression can be nested around, `sanitize_control_tokens` cannot).
    """
    return tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False, sanitize_control_tokens=True
    )


def encode_plainly(tokenizer, messages: list[dict]) -> list[int]:
    """Token ids as a server makes them that takes control tokens in a message for its own."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)


def break_control_tokens(tokenizer, text: str) -> str:
    """`text` with a space inside every control token, until none is left: for servers that do `encode_plainly`.

    Nothing is removed: what a removal leaves could be nested to form the next one.
    """
    added = tokenizer.added_tokens_decoder.values()
    controls = [token.content for token in added if token.special or token.content in tokenizer.chat_template]
    controls = [control for control in controls if len("".join(control.split())) > 1]  # one sign cannot be broken
    while found := next((control for control in controls if control in text), None):
        # After the first character that is seen: every gap between two of them can only grow, so this ends.
        cut = len(found) - len(found.lstrip()) + 1
        text = text.replace(found, f"{found[:cut]} {found[cut:]}")
    return text


def encode_answer(tokenizer, messages: list[dict], answer: str) -> list[int]:
    """Token ids that the model is trained to emit after `encode_prompt(tokenizer, messages)`, end of turn included."""
    whole = tokenizer.apply_chat_template(
        [*messages, {"role": "assistant", "content": answer}], tokenize=True, return_dict=False,
        sanitize_control_tokens=True,
    )
    prompt = encode_prompt(tokenizer, messages)
    if whole[: len(prompt)] != prompt:
        raise UserError("The base model's chat template rewrites earlier turns; choose a base whose template does not.")
    return whole[len(prompt):]


def trim_history(tokenizer, messages: list[dict], max_prompt_tokens: int) -> tuple[list[int], int]:
    """Prompt ids that fit `max_prompt_tokens`, and how many of the oldest turns had to be forgotten.

    System prompt and last question always stay. Turns go in pairs (question with its answer), oldest first.
    Raises UserError when the question alone is too long.
    """
    system, turns = messages[0], messages[1:]
    forgotten = 0
    while True:
        ids = encode_prompt(tokenizer, [system, *turns[forgotten:]])
        if len(ids) <= max_prompt_tokens:
            return ids, forgotten
        if forgotten >= len(turns) - 1:
            raise UserError(
                f"Your question is {len(ids)} tokens long and the model reads {max_prompt_tokens}; please shorten it."
            )
        forgotten = min(forgotten + 2, len(turns) - 1)
