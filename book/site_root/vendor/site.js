// Three corrections of what other scripts of the page do. Loaded after them, on every page.

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
