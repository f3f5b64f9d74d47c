// Runs once when the page opens, and gives Compare's form: as a link in the fragment says, else as it stands.
// A fragment (#...) never leaves the browser, so what a link asks is in no server's log.
(bounds, form) => {
  const fields = ["tokens", "temperature", "top_p", "seed"];
  const kept = () => {
    const element = document.querySelector("[data-comparison]");
    return element && JSON.parse(element.dataset.comparison);
  };
  const escaped = text => text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`);

  function save(blob, ending) {
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(blob);
    anchor.download = `kira-comparison.${ending}`;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
    return kiraSay("saved").replace("{file}", anchor.download);
  }

  async function copyLink() {
    const record = kept();
    if (!record) return kiraSay("nothing_compared");
    const said = new URLSearchParams({compare: record.question, tokens: record.max_new_tokens});
    for (const name of fields.slice(1)) said.set(name, record[name]);
    if (record.runs.join() !== "") for (const run of record.runs) said.append("run", run);  // "": the first, alone
    const link = `${location.origin}${location.pathname}#${said}`;
    try {
      await navigator.clipboard.writeText(link);
      return kiraSay("link_copied");
    } catch {  // a frame or browser that does not let a page write to the clipboard
      return kiraSay("copy_this_link").replace("{link}", () => escaped(link));
    }
  }

  function saveRecord() {
    const record = kept();
    return record ? save(new Blob([JSON.stringify(record, null, 2)], {type: "application/json"}), "json") : kiraSay("nothing_compared");
  }

  async function savePicture() {
    const record = kept();
    if (!record) return kiraSay("nothing_compared");
    const canvas = picture(record);
    return save(await new Promise(done => canvas.toBlob(done, "image/png")), "png");
  }

  // Lays everything out once to learn the height, then draws.
  function picture(record) {
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    const width = 1200, margin = 48, gap = 32, family = "system-ui, 'Segoe UI', Roboto, sans-serif";
    const column = (width - 2 * margin - gap * (record.answers.length - 1)) / record.answers.length;
    let drawing = false;

    function lines(text, room) {
      const found = [];
      for (const paragraph of text.split("\n")) {
        let line = "";
        for (let word of paragraph.split(/(?<=\s)/)) {
          if (line && context.measureText((line + word).trimEnd()).width > room) {
            found.push(line);
            line = "";
          }
          while (context.measureText(word.trimEnd()).width > room) {  // a word wider than its column
            let end = word.length - 1;
            while (end > 1 && context.measureText(word.slice(0, end)).width > room) end--;
            found.push(word.slice(0, end));
            word = word.slice(end);
          }
          line += word;
        }
        found.push(line);
      }
      return found;
    }

    function write(text, x, y, room, size, weight = "400", colour = "#17242b") {
      context.font = `${weight} ${size}px ${family}`;
      context.fillStyle = colour;
      context.textBaseline = "top";
      for (const line of lines(text, room)) {
        if (drawing) context.fillText(line.trimEnd(), x, y);
        y += Math.round(size * 1.45);
      }
      return y;
    }

    function lay() {
      const room = width - 2 * margin;
      let y = write("Kira: the same question, side by side", margin, margin, room, 20, "600", "#0b766b") + 8;
      y = write(record.question, margin, y, room, 28, "600") + 20;
      const top = y;
      for (const [i, answer] of record.answers.entries()) {
        const x = margin + i * (column + gap);
        let end = write(answer.title, x, top, column, 22, "600");
        end = write(answer.model ?? "", x, end, column, 15, "400", "#475a64") + 8;
        end = write(answer.answer, x, end, column, 20);
        if ("rougeL" in answer) {
          const scores = `ROUGE-L ${answer.rougeL.toFixed(3)}, token F1 ${answer.token_f1.toFixed(3)}`;
          end = write(scores, x, end + 8, column, 17, "600");
        }
        y = Math.max(y, end);
      }
      if (record.reference) {
        y = write("Reference answer of the test split", margin, y + 24, room, 20, "600");
        y = write(record.reference, margin, y, room, 20);
      }
      const how = `At most ${record.max_new_tokens} tokens, temperature ${record.temperature}, top-p ${record.top_p}, ` +
        `seed ${record.seed}.`;
      y = write([how, ...record.notes].join(" "), margin, y + 24, room, 16, "400", "#475a64");
      return write(record.disclaimer, margin, y, room, 16, "400", "#475a64") + margin;
    }

    const height = Math.min(lay(), 16000);  // browsers draw nothing on a higher canvas
    canvas.width = width;
    canvas.height = height;
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, width, height);
    drawing = true;
    lay();
    return canvas;
  }

  window.kiraCompare = {copyLink, saveRecord, savePicture};
  const said = new URLSearchParams(location.hash.slice(1));
  if (!said.has("compare")) return form.map(() => ({__type__: "update"}));  // as they are, which may be newer than `form`
  document.getElementById("compare-button")?.click();
  const values = fields.map((name, i) => {
    const value = Number(said.get(name) || NaN), [low, high] = bounds[name];
    const whole = ["tokens", "seed"].includes(name) ? Math.round(value) : value;
    return Number.isFinite(value) ? Math.min(Math.max(whole, low), high) : form[i + 1];
  });
  const runs = said.getAll("run").filter(run => bounds.runs.includes(run));
  return [said.get("compare").slice(0, bounds.question), ...values, runs.length ? runs : form.at(-1)];
}
