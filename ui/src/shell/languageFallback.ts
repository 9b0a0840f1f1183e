// Workaround: on a system with the locale `C`, browsers report a language that Intl rejects. Libraries use it on import.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en-US' });
}
