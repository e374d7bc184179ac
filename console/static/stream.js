// Keeps one event stream open while the page is seen: it says when it is lost, and resumes after the last second sent.

const SILENCE = 6000; // milliseconds without an event after which the stream is called lost; events come each second
const LONGEST_PAUSE = 30000;
const RENEWAL = 600000; // milliseconds after which a page that is watched renews its visit, which lasts an hour

export function follow({ events, session, onEvent, onConnection }) {
  let source = null;
  let last = "";
  let heard = Date.now();
  let pause = 1000;
  let retry = 0;
  let ended = false;

  function open() {
    close();
    if (ended) return;
    heard = Date.now();
    source = new EventSource(last ? `${events}&since=${last}` : events);
    source.onmessage = (message) => {
      last = message.lastEventId;
      heard = Date.now();
      pause = 1000;
      onConnection("");
      onEvent(JSON.parse(message.data));
    };
    source.onerror = () => {
      lost();
      if (source?.readyState === EventSource.CLOSED) later();
    };
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  // The browser reconnects by itself after a cut, but gives up for good after an answer that is no stream.
  function later() {
    close();
    retry = setTimeout(async () => {
      const answer = await fetch(session).catch(() => null);
      if (answer?.status === 401) location.reload();
      else if (!document.hidden) open();
    }, pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }

  function lost() {
    const time = new Date(heard).toLocaleTimeString();
    onConnection(`Not connected since ${time}. The figures are of that moment; trying again.`);
  }

  setInterval(() => {
    if (source && Date.now() - heard > SILENCE) lost();
  }, 1000);
  setInterval(() => {
    if (!document.hidden) fetch(session).catch(() => null);
  }, RENEWAL);
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
  return {
    end() {
      ended = true;
      close();
    },
  };
}
