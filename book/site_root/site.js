// The explorables of a page, the side bar, and corrections of what other scripts do. Loaded after them, on every page.

// Bring the scripts of the explorables that the page holds: classic ones, which work in a page opened from a file too.
{
  const folder = new URL('explorables/', document.currentScript.src);
  const bring = (file) => {
    const script = document.createElement('script');
    script.src = new URL(file, folder);
    script.async = false; // in this order
    document.head.append(script);
  };
  document.addEventListener('DOMContentLoaded', () => {
    const names = new Set([...document.querySelectorAll('[data-explorable]')].map((one) => one.dataset.explorable));
    if (names.size) bring('shared.js');
    for (const name of names) {
      if (document.querySelector(`[data-explorable="${name}"][data-with-data]`)) bring(`${name}.data.js`);
      bring(`${name}.js`);
    }
  });
}

// Keep the <i> element of icons: ipywidgets' buttons need it and fail when it is replaced by an <svg>.
if (window.FontAwesome) window.FontAwesome.config.autoReplaceSvg = 'nest';

// html-manager hands the text of widgets to MathJax 2; the page has MathJax 3.
document.addEventListener('DOMContentLoaded', () => {
  if (window.MathJax && !MathJax.Hub)
    MathJax.Hub = { Queue: (job) => MathJax.startup.promise.then(() => MathJax.typesetPromise([job[2]])) };
});

// The handle of an ipywidgets slider has a value and no name: give it the text of its label.
new MutationObserver(() => {
  for (const handle of document.querySelectorAll('.noUi-handle:not([aria-label])')) {
    const label = handle.closest('.widget-slider')?.querySelector('.widget-label');
    if (label) handle.setAttribute('aria-label', label.textContent);
  }
}).observe(document.documentElement, { childList: true, subtree: true });

// Show the current page in the side bar, without moving the page itself.
document.addEventListener('DOMContentLoaded', () => {
  const bar = document.querySelector('.bd-sidebar-primary');
  const current = bar?.querySelector('.bd-links .current.active');
  if (current) bar.scrollTop = current.offsetTop - bar.clientHeight / 3;
});
