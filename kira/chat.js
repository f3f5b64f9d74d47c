// What the Chat tab does in the browser alone: keep a conversation, copy it, take turns back, show answers from their start.
// Run once at page load; returns [conversation, kept or not] for the page's components.
() => {
  const KEY = "kira-conversation";
  const escaped = (text) => text.replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  const said = (turn) => typeof turn.content === "string" ? turn.content
    : turn.content.map((block) => block.text ?? "").join("");
  const lastQuestion = (talk) => talk.map((turn) => turn.role).lastIndexOf("user");
  let restored = false;

  const forget = () => { try { localStorage.removeItem(KEY); } catch { /* nothing can be kept here either */ } };

  function remember(talk, keep) {
    // Gradio reports the empty conversation of a fresh page too, which must not replace the kept one.
    if (!restored) return;
    if (!keep || !talk.length) return forget();
    const turns = talk.map((turn) => ({ role: turn.role, text: said(turn), by: turn.metadata?.id ?? "" }));
    try { localStorage.setItem(KEY, JSON.stringify(turns)); } catch { /* full or switched off: the page works on */ }
  }

  function restore() {
    let turns = null;
    try { turns = JSON.parse(localStorage.getItem(KEY)); } catch { forget(); }
    restored = true;
    const sound = Array.isArray(turns) && turns.every((turn) => ["user", "assistant"].includes(turn?.role)
      && typeof turn.text === "string" && typeof turn.by === "string");
    // Escaped anew: nothing that anyone put into the store becomes markup.
    return sound ? turns.map((turn) => ({ role: turn.role, content: [{ type: "text", text: escaped(turn.text) }],
      metadata: { id: turn.by }, options: [] })) : [];
  }

  function words(turn) {
    if (turn.role === "user") return `Question: ${plain(said(turn))}`;
    return `${plain(said(turn))}\n\nWritten by: ${turn.metadata?.id || "Kira's fixed words; no model was asked"}`;
  }

  async function copy(turns) {
    if (!turns.length) return kiraSay("nothing_to_copy");
    try {
      await navigator.clipboard.writeText([...turns.map(words), document.querySelector(".kira-disclaimer").textContent].join("\n\n"));
      return kiraSay("copied");
    } catch {
      return kiraSay("copying_refused");
    }
  }

  // A question or an answer that has just come is shown from its first line on and stays there while it grows.
  let shown = 0, aim = null;
  function follow() {
    const log = document.querySelector("[role=log]");
    const rows = log ? [...log.querySelectorAll(".message-row")] : [];
    if (rows.length !== shown) {
      aim = rows.length > shown ? rows.at(-1) : null;
      shown = rows.length;
      const question = rows.at(-2);
      if (aim && question?.matches(".user-row") && question.offsetHeight < log.clientHeight / 4) aim = question;
      if (aim && log.getBoundingClientRect().top < 0) log.scrollIntoView({ block: "start" });
    }
    if (!aim?.isConnected) return;
    const gap = aim.getBoundingClientRect().top - log.getBoundingClientRect().top - 8;
    log.scrollTop += gap;
  }
  const log = document.querySelector("[role=log]");
  log.tabIndex = 0; // it scrolls, so the keyboard must reach it
  for (const type of ["wheel", "touchmove", "keydown", "pointerdown"]) log.addEventListener(type, () => { aim = null; });
  let due = false; // once a frame: a fast model's steps come faster than a page can be measured
  const soon = () => { if (!due) { due = true; requestAnimationFrame(() => { due = false; follow(); }); } };
  new MutationObserver(soon).observe(log, { childList: true, characterData: true, subtree: true });

  window.kira = {
    remember,
    copyAnswer: (talk) => copy(talk.filter((turn) => turn.role === "assistant").slice(-1)),
    copyAll: copy,
    undone: (talk) => talk.slice(0, Math.max(lastQuestion(talk), 0)),
    lastAsked: (talk) => talk.length ? plain(said(talk[lastQuestion(talk)])) : "",
    focus: () => setTimeout(() => document.querySelector("#kira-question textarea").focus()),
  };
  const talk = restore();
  return [talk, talk.length > 0];
}
