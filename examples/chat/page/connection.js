// A WebSocket that comes back. connect calls
//
//	on.open()           when there is a connection
//	on.message(m)       with what the server says, decoded
//	on.lost(reason)     when there is none any more, or an attempt has failed
//	on.wait(seconds)    every second until the next attempt
//	on.attempt()        when that begins
const patience = 10000;  // longest wait for another attempt, and for its answer, in ms

export function connect(on) {
  let socket = null;  // the WebSocket of this moment
  let attempts = 0;   // those that failed in a row
  let timer = 0;      // of the next attempt, or of the one in progress

  function attempt() {
    clearTimeout(timer);
    on.attempt();
    const ws = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
    socket = ws;
    timer = setTimeout(() => lose(ws, ""), patience);
    ws.onopen = () => {
      if (socket !== ws) return;
      clearTimeout(timer);
      attempts = 0;
      on.open();
    };
    ws.onmessage = event => {
      if (socket === ws) on.message(JSON.parse(event.data));
    };
    ws.onclose = event => lose(ws, event.reason);
  }

  function lose(ws, reason) {
    if (!ws || socket !== ws) return;
    clearTimeout(timer);
    socket = null;
    ws.close();
    on.lost(reason);
    // Twice as long each time, so that a server in trouble is left alone, and never
    // exactly, so that not everybody comes back in the same moment.
    const wait = Math.min(patience, 250 * 2 ** attempts++) * (0.75 + Math.random() / 2);
    countDown(performance.now() + wait);
  }

  function countDown(end) {
    const left = end - performance.now();
    if (left <= 0) return attempt();
    on.wait(Math.ceil(left / 1000));
    timer = setTimeout(countDown, left % 1000 + 1, end);
  }

  // A browser may keep a page that was left, socket and all, to come back to: leave the
  // room immediately, and join again then.
  addEventListener("pagehide", () => {
    clearTimeout(timer);
    const ws = socket;
    socket = null;
    if (ws) ws.close();
  });
  addEventListener("pageshow", event => {
    if (event.persisted) attempt();
  });

  // There is no reason to wait when the network is back, or somebody looks at the page
  // again, and no reason to hope when the network has gone.
  function hurry() {
    if (!socket && document.visibilityState === "visible") attempt();
  }
  addEventListener("online", hurry);
  addEventListener("visibilitychange", hurry);
  addEventListener("offline", () => lose(socket, ""));

  attempt();
  return {
    hurry,
    send(message) {
      if (!socket || socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
  };
}
