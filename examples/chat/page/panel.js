// The panel that shows what the library does. While it is open it asks the server every
// two seconds, and takes the time until the answer.
const $ = id => document.getElementById(id);
const milliseconds = ms => ms ? ms.toFixed(ms < 10 ? 1 : 0) + " ms" : "–";

let asked = 0;   // when the server was asked, 0 when it has answered
let opened = 0;  // connections so far

export function opens() {
  asked = 0;
  $("reconnected").textContent = opened++;
}

export function poll(connection) {
  const ask = () => {
    if (!$("panel").open || asked || document.visibilityState !== "visible") return;
    if (connection.send({type: "stats"})) asked = performance.now();
  };
  $("panel").open = matchMedia("(min-width: 721px) and (min-height: 640px)").matches;
  $("panel").ontoggle = ask;
  setInterval(ask, 2000);
  return ask;
}

export function show(stats) {
  $("round-trip").textContent = milliseconds(performance.now() - asked);
  asked = 0;
  $("keepalive").textContent = milliseconds(stats.keepalive);
  for (const id of ["received", "sent", "dropped", "connections"]) $(id).textContent = stats[id];
}
