// Runs once at page load. `kiraSay(key)`: a text of "browser" in the language that Gradio chose.
() => {
  const all = window.gradio_config.i18n_translations;
  const root = document.documentElement;
  const ours = () => [root.lang, root.lang.split("-")[0]].find((language) => language in all) ?? "en";
  window.kiraSay = (key) => all[ours()][`kira_${key}`];
  // Gradio names the browser's language wherever it knows words of its own in it; what is read here is English then.
  const name = () => { if (!(root.lang.split("-")[0] in all)) root.lang = "en"; };
  name();
  new MutationObserver(name).observe(root, { attributeFilter: ["lang"] });
}
