// The time, once a second, for ages and durations on the page.
class Now {
  value = $state(Date.now());
}

export const now = new Now();

setInterval(() => {
  // Nothing is drawn anew behind another window.
  if (!document.hidden) now.value = Date.now();
}, 1000);
