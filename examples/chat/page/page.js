// The chat's page: the two forms, and what the server says.
import {connect} from "./connection.js";
import * as log from "./log.js";
import * as panel from "./panel.js";

const $ = id => document.getElementById(id);

let wish = null;     // {name, room, hue} to join, now and after every reconnection
let joined = null;   // {name, room, hue} as the server had it last
let inside = false;  // the server has us in a room, on the connection of this moment
let typing = false;  // the connection was lost while somebody was typing

// By this the server knows the page again, when it comes back before its lost connection
// has been noticed.
const page = crypto.getRandomValues(new Uint32Array(4)).join("-");

// What was typed survives a reload, for each tab on its own. A link with #tea leads
// to the room tea.
try {
  $("name").value = sessionStorage.getItem("name") || "";
  $("room").value = sessionStorage.getItem("room") || "lobby";
} catch { /* storage is switched off */ }
if (location.hash.length > 1) {
  try { $("room").value = decodeURIComponent(location.hash.slice(1)); } catch { /* not ours */ }
}
if (!$("name").value) $("name").focus();

const connection = connect({
  attempt() {
    $("offline-text").textContent = "Offline. Connecting…";
    $("retry").disabled = true;
  },
  open() {
    document.body.classList.remove("lost");
    status("connected");
    $("offline").hidden = true;
    $("text").disabled = $("send").disabled = false;
    hint();
    if (typing && document.activeElement === document.body) $("text").focus();
    typing = false;
    panel.opens();
    if (wish) join();
  },
  lost(reason) {
    typing ||= document.activeElement === $("text");
    inside = false;
    document.body.classList.add("lost");
    status("reconnecting");
    $("offline").hidden = false;
    $("text").disabled = $("send").disabled = true;
    hint();
    log.people([]);
    if (reason) log.notice(reason, "error");
  },
  wait(seconds) {
    $("offline-text").textContent = `Offline. Next attempt in ${seconds} s`;
    $("retry").disabled = false;
  },
  message: receive,
});
const ask = panel.poll(connection);
$("retry").onclick = connection.hurry;

function receive(m) {
  switch (m.type) {
  case "joined":
    // The server may have made our name unique. We come back under that one, and if
    // nobody else has it by then, in the same colour.
    if (joined && joined.room !== m.room) log.clear();
    wish = joined = {name: m.name, room: m.room, hue: m.hue};
    inside = true;
    $("title").textContent = "#" + m.room;
    document.title = "#" + m.room + " · chat";
    $("change").textContent = m.name + " · change";
    fold(true);
    hint();
    ask();
    break;
  case "history":
    log.history(m.messages, joined.name);
    break;
  case "people":
    log.people(m.people || [], joined?.name);
    break;
  case "message":
    log.message(m, joined?.name);
    break;
  case "notice":
    log.notice(m.text);
    break;
  case "error":
    log.notice(m.text, "error");
    if (inside) wish = joined;  // if it was about another room, we are still in this one
    else fold(false);
    break;
  case "stats":
    panel.show(m.stats);
    break;
  }
}

function join() {
  return connection.send({type: "join", page, ...wish});
}

// fold puts the form away once it has done its work.
function fold(away) {
  $("join-form").hidden = away;
  $("change").hidden = !away;
}

// hint is what stands in the empty input.
function hint() {
  $("text").placeholder =
    document.body.classList.contains("lost") ? "Offline" :
    joined ? `Message #${joined.room} as ${joined.name}` :
    "Choose a name and a room first";
}

function status(text) {
  if ($("status").textContent === text) return;
  $("status").textContent = text;
  $("status").className = text;
}

$("change").onclick = () => {
  $("name").value = joined.name;
  $("room").value = joined.room;
  fold(false);
  $("name").focus();
};

$("join-form").onsubmit = event => {
  event.preventDefault();
  wish = {name: $("name").value, room: $("room").value};
  try {
    sessionStorage.setItem("name", wish.name);
    sessionStorage.setItem("room", wish.room);
  } catch { /* it is only a convenience */ }
  history.replaceState(null, "", "#" + encodeURIComponent(wish.room));
  join();  // or else when the connection is there
  $("text").focus();
};

$("join-form").onkeydown = event => {
  if (event.key === "Escape" && inside) fold(true);
};

$("say-form").onsubmit = event => {
  event.preventDefault();
  const text = $("text").value;
  if (!text.trim()) return;
  if (!wish) {
    fold(false);
    $("join-form").reportValidity();
    log.notice("Join a room first.", "error");
    return;
  }
  if (connection.send({type: "say", text})) $("text").value = "";
};
