"""Greedy answers of many prompts through the slots of one Decoder: a slot that ends is given the next prompt."""


def greedy(decoder, prompts: list[list[int]], adapted: list[bool], max_new_tokens: int, ends: set[int],
           progress=lambda count: None) -> list[list[int]]:
    """Token ids of each answer, through its end token where one came; `progress` is told of finished answers.

    A prompt with its answer must fit into the decoder's positions.
    """
    made = [[] for _ in prompts]
    # Prompts of like length are read together with little padding; the last to start should be short.
    waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    free, active = list(range(decoder.slots))[::-1], {}
    group = max(1, decoder.slots // 4)  # reading one prompt takes as many launches as reading a group

    def take(slots):
        tokens = decoder.tokens.tolist()
        for slot in slots:
            index = active[slot]
            made[index].append(tokens[slot])
            if tokens[slot] in ends or len(made[index]) == max_new_tokens:
                decoder.forget(slot)
                free.append(slot)
                del active[slot]
                progress(1)

    while waiting or active:
        if waiting and (len(free) >= group or not active):
            free.sort(reverse=True)
            chosen = [waiting.pop() for _ in range(min(len(free), len(waiting)))]
            slots = [free.pop() for _ in chosen]
            decoder.admit(slots, [prompts[i] for i in chosen], [adapted[i] for i in chosen])
            active.update(zip(slots, chosen, strict=True))
            take(slots)
        else:
            decoder.step(max(active) + 1)
            take(list(active))
    return made
