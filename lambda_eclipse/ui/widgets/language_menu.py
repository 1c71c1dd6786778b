"""The choice of a language in the page's header, remembered in the visitor's browser."""

from html import escape

import gradio as gr

from lambda_eclipse.ui.i18n import LazyText, language, t

YEAR_S = 365 * 24 * 3600


def _cookie(value: str, age_s: int) -> str:
    """JavaScript that keeps a choice, itself given in JavaScript, for so long."""
    # Within another site's frame, as on Spaces, a page gets only cookies that are declared so.
    return (
        f"document.cookie = '{language.COOKIE}=' + {value} + '; path=/; max-age={age_s}; ' + "
        "(location.protocol === 'https:' ? 'SameSite=None; Secure; Partitioned' : 'SameSite=Lax');"
    )


DELETE_COOKIE = _cookie("''", 0)
PAUSE_MS = 1500
# Whoever walks through the list with arrow keys has not chosen yet: wait until they are through.
SCRIPT = f"""
const list = element.querySelector('select');
let walking = false, planned = null;
const leave = () => {{
  {_cookie("list.value", YEAR_S)}
  sessionStorage.setItem('{language.COOKIE}', 'focus');
  location.reload();
}};
const later = () => {{ clearTimeout(planned); planned = setTimeout(leave, {PAUSE_MS}); }};
element.addEventListener('keydown', (event) => {{
  walking = event.key !== 'Enter' && event.key !== ' ';
  if (planned) walking ? later() : leave();
}});
element.addEventListener('pointerdown', () => {{ walking = false; }});
element.addEventListener('change', () => walking ? later() : leave());
element.addEventListener('focusout', () => {{ if (planned) leave(); }});
if (sessionStorage.getItem('{language.COOKIE}')) {{
  sessionStorage.removeItem('{language.COOKIE}');
  list.focus();
}}
"""


def _options() -> str:
    options = "".join(
        f'<option value="{code}" lang="{language.TAGS[code]}"'
        f"{' selected' * (code == language.current())}>{name}</option>"
        for code, name in language.LANGUAGES.items()
    )
    label = escape(t("Language"), quote=True)
    return f'<select class="le-language" aria-label="{label}" title="{label}">{options}</select>'


def language_chooser() -> gr.HTML:
    """The list of languages; the page starts anew in the one that is chosen."""
    return gr.HTML(
        html_template=LazyText(_options),
        js_on_load=SCRIPT,
        apply_default_css=False,
        elem_id="language",
    )
