// Files that are dropped or pasted anywhere but in a place of their own: a PNG that carries a recipe
// goes to where it is restored, any other picture to the first place in view that is empty.
(recipeMark) => {
  const PATIENCE_MS = 5000;  // for a view to be drawn

  async function hasRecipe(file) {
    if (file.type !== 'image/png') return false;
    const text = new TextDecoder('latin1').decode(await file.arrayBuffer());
    return text.includes(recipeMark);
  }

  const inputOf = (block) => block && block.querySelector('input[type=file]');

  function put(block, file) {
    const files = new DataTransfer();
    files.items.add(file);
    const input = inputOf(block);
    input.files = files.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  }

  function place(wanted) {
    const free = (block) => block.getClientRects().length && inputOf(block)
      && !block.querySelector('img[src]');
    return wanted && free(wanted) ? wanted
      : [...document.querySelectorAll('.le-upload')].find(free);
  }

  async function restore(file) {
    document.getElementById('view-keep-button').click();
    const end = Date.now() + PATIENCE_MS;
    while (Date.now() < end) {
      const block = document.getElementById('restore-file');
      if (inputOf(block)) return put(block, file);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function take(file, wanted = null) {
    if (await hasRecipe(file)) return restore(file);
    const block = place(wanted);
    if (block) put(block, file);
  }

  const pictures = (data) => [...data.files].filter((file) => file.type.startsWith('image/'));

  // Where nothing takes it, a browser would leave the page and show the file in its place.
  document.addEventListener('dragover', (event) => {
    if ([...event.dataTransfer.types].includes('Files')) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    if (event.defaultPrevented || !event.dataTransfer.files.length) return;
    event.preventDefault();
    pictures(event.dataTransfer).slice(0, 1).forEach((file) => take(file));
  });
  document.addEventListener('paste', (event) => {
    const data = event.clipboardData;
    if (event.defaultPrevented || !data || data.types.includes('text/plain')) return;
    const found = pictures(data);
    if (!found.length) return;
    event.preventDefault();
    take(found[0], document.activeElement.closest('.le-upload'));
  });
}
