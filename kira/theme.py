"""How Kira looks: calm colours with enough contrast in light and dark, system fonts so that nothing is fetched."""

import gradio as gr

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
TEAL = gr.themes.Color(
    name="kira", c50="#effaf8", c100="#d6f1ec", c200="#aee2d9", c300="#7bcbbf", c400="#48aea1", c500="#1f8f83",
    c600="#0b766b", c700="#0a5f57", c800="#0c4c46", c900="#0d3f3b", c950="#052623",
)


def theme() -> gr.themes.Base:
    """The theme for `launch`."""
    return gr.themes.Base(
        primary_hue=TEAL, secondary_hue=TEAL, neutral_hue=gr.themes.colors.slate, font=FONTS,
        font_mono=["ui-monospace", "monospace"], radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill="#f7f9fa", body_background_fill_dark="#0f1720",
        body_text_color="#17242b", body_text_color_dark="#e6edf1",
        body_text_color_subdued="#475a64", body_text_color_subdued_dark="#a9bac4",
        block_background_fill="#ffffff", block_background_fill_dark="#17222c",
        block_label_background_fill="#ffffff", block_label_background_fill_dark="#17222c",
        block_label_text_color="#33464f", block_label_text_color_dark="#c3d1d9",
        block_title_text_color="#33464f", block_title_text_color_dark="#c3d1d9",
        block_info_text_color="#475a64", block_info_text_color_dark="#a9bac4",
        block_border_color="#dbe4e8", block_border_color_dark="#2b3a46", block_shadow="none",
        input_background_fill="#ffffff", input_background_fill_dark="#111b24",
        input_border_width="1px", input_border_color="#8799a3", input_border_color_dark="#5b6f7c",
        input_placeholder_color="#5b6d77", input_placeholder_color_dark="#9fb1bc",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600", button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="#ffffff", button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#e7eef1", button_secondary_background_fill_dark="#22313d",
        button_secondary_text_color="#17242b", button_secondary_text_color_dark="#e6edf1",
        link_text_color="*primary_700", link_text_color_dark="*primary_300",
        link_text_color_hover="*primary_800", link_text_color_hover_dark="*primary_200",
        link_text_color_visited="*primary_700", link_text_color_visited_dark="*primary_300",
    )


CSS = """
/* narrowed are parts that come after this style; the container is there before, and would jump */
.gradio-container :is(main.contain, footer) {width: 100%; max-width: 56rem; margin-inline: auto !important}
.gradio-container {overflow: clip !important;
  --kira-line: #c9d5db; --kira-soft: #eef4f5;
  --kira-mark: #0b766b; --kira-grey: #6b7c86; --kira-alert: #fff6e0; --kira-alert-line: #b7791f;
  --kira-new: #cdeee6; --kira-gone: #fbe3dc}
.dark .gradio-container, .gradio-container.dark {--kira-line: #33444f; --kira-soft: #1c2933; --kira-mark: #5cc2b4;
  --kira-grey: #9fb1bc; --kira-alert: #33290f; --kira-alert-line: #d69e2e;
  --kira-new: #0f4a43; --kira-gone: #552b22}
.kira-head h1 {font-size: 1.7rem; line-height: 1.2; margin: 0}
.kira-head p {margin: .2rem 0 0}
.kira-head .speaks, .kira-small {font-size: .9rem; color: var(--body-text-color-subdued)}
.kira-head a, .kira-text a {text-decoration: underline; overflow-wrap: anywhere; padding: 0; margin: 0}
.kira-notice {background: var(--kira-alert); border-left: 4px solid var(--kira-alert-line); padding: .7rem .9rem;
  border-radius: .4rem; margin-top: .6rem}
.kira-disclaimer {font-size: .92rem; border-left: 4px solid var(--kira-mark); padding: .1rem 0 .1rem .8rem}
.kira-examples {gap: .5rem !important}
.kira-examples button {text-align: left; font-weight: 400; min-height: 2.75rem; white-space: normal}
.kira-tools button {font-weight: 400; min-height: 2.5rem}
/* a button is as wide as its word in any language; those that do not fit beside others begin a line */
.kira-buttons {flex-wrap: wrap; gap: .5rem !important}
.kira-buttons > button {flex: 1 1 auto !important; min-width: max-content !important; padding-inline: .5rem}
[role=log] .placeholder {padding: 0 1rem}
.kira-status {min-height: 1.4em; font-size: .9rem; overflow-wrap: anywhere; color: var(--body-text-color-subdued)}
.kira-pane + .kira-pane, .kira-small + .kira-pane, .kira-pane + .kira-scroll {margin-top: .7rem}
.kira-panes {display: grid; gap: .7rem; grid-template-columns: repeat(auto-fit, minmax(min(17.5rem, 100%), 1fr))}
.kira-panes .kira-pane {margin: 0 !important}
/* in reach while the answers above it grow; "hidden" instead of "clip" above would hold it where it stands */
.kira-votes {position: sticky; bottom: 0; z-index: 2; background: var(--body-background-fill); padding: .4rem 0}
.kira-pane {background: var(--kira-soft); border-radius: .6rem; padding: .8rem 1rem; min-height: 5rem}
.kira-pane h2, .kira-pane h3, .kira-text h2, .kira-text h3 {margin: 0 0 .4rem; font-size: 1.05rem;
  overflow-wrap: anywhere}
.kira-text > h2 {margin-top: .8rem}
.kira-plain {white-space: pre-wrap; overflow-wrap: anywhere; margin: 0}
.kira-plain ins {text-decoration: underline 2px; text-underline-offset: .2em; background: var(--kira-new)}
.kira-plain del {text-decoration: line-through; background: var(--kira-gone)}
.kira-scroll {contain: inline-size; overflow-x: auto;
  border: 1px solid var(--kira-line) !important; border-radius: .5rem}
.kira-scroll:focus-visible {outline: 2px solid var(--kira-mark)}
.kira-scroll table {border-collapse: collapse; width: 100%; font-size: .92rem; margin: 0}
.kira-scroll th, .kira-scroll td {padding: .45rem .7rem; text-align: right; white-space: nowrap;
  border: 0; border-bottom: 1px solid var(--kira-line)}
.kira-scroll tr:last-child td, .kira-scroll tr:last-child th {border-bottom: 0}
.kira-scroll table, .kira-scroll thead, .kira-scroll tr {border: 0 !important}
.kira-scroll thead th {background: var(--kira-soft)}
.kira-scroll tr > :first-child {text-align: left; white-space: normal; min-width: 6rem}
.kira-scroll tr > :last-child {white-space: normal; min-width: 7rem}
.kira-wide :is(th, td) {white-space: nowrap !important}
.kira-text dl {margin: 0} .kira-text dt {font-weight: 600} .kira-text dd {margin: 0 0 .5rem}
.kira-scroll + .kira-small {margin-top: .5rem}
.kira-scroll + figure {margin-top: 1.6rem}
.kira-plot {width: 100%; max-width: 36rem; height: auto; display: block}
.kira-plot .worse {fill: var(--kira-alert-line); stroke: var(--kira-alert-line)}
.kira-fold {margin-top: .6rem} .kira-fold summary {cursor: pointer; padding: .4rem 0}
.kira-fold summary:focus-visible, .kira-file:focus-visible {outline: 2px solid var(--kira-mark)}
.kira-file {display: inline-block; padding: .3rem .5rem !important}
.kira-notice ul {margin: .3rem 0 0; padding-left: 1.2rem; list-style: disc}
.kira-plot text {fill: currentColor; font-size: 13px}
.kira-plot .axis {stroke: var(--kira-line)} .kira-plot .grey {stroke: var(--kira-grey); fill: var(--kira-grey)}
.kira-plot .mark {stroke: var(--kira-mark); fill: var(--kira-mark)} .kira-plot polyline {fill: none !important}
button[role=tab].selected {color: var(--kira-mark) !important}
/* the Chatbot's own, which would leave the status line and a running answer as they are */
#kira-talk .top-panel {display: none}
/* its arrow lies over the words, and the first words in view may be numbers to call */
.scroll-down-button-container {display: none}
/* Gradio writes "Error" here, over the conversation, at times after a mere Stop; a sentence says what is wrong */
[data-testid=status-tracker].hide, #kira-talk [data-testid=status-tracker] {visibility: hidden}
footer {opacity: 1 !important}
footer > .divider:not(.show-api:not(.hidden) ~ .divider) {display: none}
/* Gradio's sign while a page loads, which would move down with the middle of what grows below it */
.gradio-container > .main > .wrap.full.translucent {height: 100vh; bottom: auto}
/* room for the scrollbar before there is one: with it the whole page would move aside */
html {scrollbar-gutter: stable}
@media (max-width: 640px) {
  footer > .divider {display: none} /* there Gradio leaves one of its two links */
  .kira-head h1 {font-size: 1.4rem}
  .kira-scroll table {font-size: .8rem} .kira-scroll th, .kira-scroll td {padding: .35rem .3rem; white-space: normal}
}
@media (prefers-reduced-motion: reduce) {* {animation: none !important; transition: none !important}}
"""
