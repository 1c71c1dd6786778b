// Gradio's buttons around pictures have no name: give them the label of their block.
() => {
  const name = () => {
    for (const button of document.querySelectorAll('.block button:not([aria-label])')) {
      if (button.textContent.trim() || button.title) continue;
      const label = button.closest('.block').querySelector('[data-testid="block-label"]');
      if (label) button.setAttribute('aria-label', label.textContent.trim());
    }
  };
  let planned = false;
  new MutationObserver(() => {
    if (planned) return;
    planned = true;
    setTimeout(() => { planned = false; name(); }, 200);
  }).observe(document.body, {childList: true, subtree: true});
  name();
}
