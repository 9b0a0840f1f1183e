// Clock of the page: ticks once a second, for ages and durations.
class Clock {
  value = $state(Date.now());
}

export const now = new Clock();

setInterval(() => {
  // A hidden page needs no updates.
  if (!document.hidden) now.value = Date.now();
}, 1000);
