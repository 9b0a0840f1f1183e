// A browser on a system whose language is `C` names that as its own, and Intl refuses it, in a library's first line too.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en-US' });
}
