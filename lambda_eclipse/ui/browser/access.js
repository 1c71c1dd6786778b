// For those who listen and those who use keys: what Gradio leaves out, or says in English only.
// `said` has our names by Gradio's; {label} stands for the label of the block around a control.
(said) => {
  const BUSY_MS = 10000;  // how often progress is told while it goes on
  const SETTLE_MS = 200;

  const set = (element, name, value) => {
    if (value && element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const words = (element) => (element ? element.innerText.replace(/\s+/g, ' ').trim() : '');
  const labelOf = (element) => {
    const block = element.closest('.block');
    const label = block && block.querySelector(
      '[data-testid="block-label"], [data-testid="block-info"]');
    return words(label) || (label ? label.textContent.trim() : '');
  };

  // Names

  function nameOf(element) {
    const now = element.getAttribute('aria-label') || '';
    const theirs = now === element.dataset.leName ? element.dataset.leTheirs : now;
    element.dataset.leTheirs = theirs;
    const label = labelOf(element);
    const fill = (text) => text.replace('{label}', label).replace(/^[:：]\s*/, '');
    if (theirs in said) return fill(said[theirs]);
    const number = /^Thumbnail (\d+) of (\d+)$/.exec(theirs);
    if (number) {
      const caption = words(element.querySelector('.caption-label'));
      const place = said['Thumbnail'].replace('{number}', number[1]).replace('{total}', number[2]);
      return caption ? `${caption} · ${place}` : place;
    }
    const slider = /^(?:number input|range slider) for (.*)$/.exec(theirs);
    if (slider) return slider[1];
    if (element.matches('[title="grant webcam access"] button')) {
      return fill(said['grant webcam access']);
    }
    if (element.hasAttribute('aria-dropeffect') || element.querySelector(':scope > input[type=file]')) {
      const text = words(element);
      return label && text ? `${label}: ${text}` : null;
    }
    const silent = element.matches('button') && !theirs && !element.textContent.trim();
    return silent ? element.title || label : null;
  }

  function name() {
    for (const element of document.querySelectorAll('button, input')) {
      const found = nameOf(element);
      if (!found) continue;
      element.dataset.leName = found;
      set(element, 'aria-label', found);
      if (element.title || !words(element)) set(element, 'title', found);
    }
    for (const tool of document.querySelectorAll('.le-tool')) {
      set(tool, 'title', tool.textContent.trim());
    }
    for (const element of document.querySelectorAll('.toast-title, .toast-message-text')) {
      const text = element.firstChild;
      const theirs = text && text.nodeValue ? text.nodeValue.trim() : '';
      if (theirs in said) text.nodeValue = said[theirs];
    }
    for (const group of document.querySelectorAll('fieldset.block')) {
      set(group, 'role', 'radiogroup');
      set(group, 'aria-label', labelOf(group));
      for (const radio of group.querySelectorAll('input[type=radio]')) set(radio, 'name', group.id);
    }
    for (const slot of document.querySelectorAll('.le-slot')) {
      set(slot, 'role', 'group');
      set(slot, 'aria-label', labelOf(slot.querySelector('[data-testid="block-label"]')));
    }
    for (const panel of document.querySelectorAll('[role=tabpanel]')) {
      set(panel, 'aria-labelledby', `${panel.id}-button`);
    }
    for (const head of document.querySelectorAll('.label-wrap')) {
      set(head, 'aria-expanded', String(head.classList.contains('open')));
      set(head.querySelector('.icon'), 'aria-hidden', 'true');
    }
    for (const drawing of document.querySelectorAll('.block svg:not([aria-hidden])')) {
      drawing.setAttribute('aria-hidden', 'true');
    }
    for (const image of document.querySelectorAll('.image-container img, .image-frame img')) {
      if (!image.alt) set(image, 'alt', labelOf(image));
    }
  }

  // News: Gradio draws what changes anew, so a live region within it would be gone before it is
  // read. This one stays, and everything that is marked as news is told in it.

  const region = document.body.appendChild(document.createElement('div'));
  region.className = 'le-heard';
  region.setAttribute('role', 'status');
  region.setAttribute('aria-live', 'polite');
  const known = new Map();  // by the id of the element: its text, and when it was last told

  function news() {
    const told = [];
    const now = Date.now();
    const sources = [...document.querySelectorAll('.le-news[id]')].map((e) => [e.id, e]);
    sources.push(['toast', document.querySelector('.toast-wrap')]);
    for (const [id, element] of sources) {
      const parts = id === 'toast' ? '.toast-message-text' : id === 'strip' ? '.le-warn' : null;
      const text = !element ? '' : !parts ? words(element.querySelector('.html-container'))
        : [...element.querySelectorAll(parts)].map(words).join(' ');
      const busy = !!element && !!element.querySelector('.le-busy');
      const before = known.get(id) || {text: id === 'toast' ? '' : text, at: 0};
      const due = text !== before.text && (!busy || now - before.at > BUSY_MS);
      if (due && text) told.push(text);
      if (due || !known.has(id)) known.set(id, {text, at: busy && due ? now : 0});
    }
    if (!told.length) return;
    region.textContent = told.join(' · ');
  }

  // Focus: what had it may be gone, as an upload is once there is a picture.

  let last = null;
  let around = [];
  document.addEventListener('focusin', (event) => {
    last = event.target;
    around = [];
    for (let e = last.parentElement; e && e !== document.body; e = e.parentElement) around.push(e);
  });

  const seen = (element) => element.isConnected && element.getClientRects().length > 0;

  function refocus() {
    if (!last || document.activeElement !== document.body || seen(last)) return;
    const home = around.find((e) => e.matches('.block, .le-slot, .tabitem, .tabs') && seen(e));
    const all = home ? [...home.querySelectorAll('button, input, textarea, [tabindex="0"]')] : [];
    const next = all.find((e) => seen(e) && !e.disabled && e.type !== 'file' && e.tabIndex >= 0);
    if (next) next.focus({preventScroll: true});
  }

  let planned = false;
  new MutationObserver(() => {
    if (planned) return;
    planned = true;
    setTimeout(() => { planned = false; name(); news(); refocus(); }, SETTLE_MS);
  }).observe(document.body, {
    childList: true, subtree: true, characterData: true, attributes: true,
    attributeFilter: ['class', 'aria-label', 'style'],
  });
  name();
  news();
}
