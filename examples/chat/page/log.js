// The messages of a room, and who is there.
const $ = id => document.getElementById(id);
const keep = 500;  // entries

// The server's history comes with every connection; last, the time of the newest message
// shown, tells what of it is new.
let last = 0;

export function clear() {
  $("log").replaceChildren();
  last = 0;
}

export function history(messages, me) {
  for (const m of messages) if (m.at > last) message(m, me);
}

export function message(m, me) {
  last = m.at;
  const entry = element("div", "message" + (m.name === me ? " mine" : ""));
  const who = element("span", "who", m.name);
  colour(who, m.hue);
  const said = new Date(m.at / 1000);
  const time = element("time", "", said.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}));
  time.title = said.toLocaleString();
  const body = element("span", "body", m.text);
  body.dir = "auto";
  entry.append(who, time, body);
  add(entry);
}

export function notice(text, kind = "") {
  add(element("div", "notice " + kind, text));
}

export function people(members, me) {
  $("people").replaceChildren(...members.map(m => {
    const li = element("li", m.name === me ? "me" : "", m.name);
    colour(li, m.hue);
    return li;
  }));
  $("here").textContent = members.length ? "Here · " + members.length : "Here";
}

// Whatever people have typed becomes text and nothing else: only textContent is ever
// set, so that nobody can put markup into somebody else's page.
function element(tag, className, text = "") {
  const e = document.createElement(tag);
  e.className = className;
  e.textContent = text;
  return e;
}

const colour = (e, hue) => e.style.setProperty("--hue", hue || 0);

function add(entry) {
  $("log").append(entry);
  while ($("log").children.length > keep) $("log").firstElementChild.remove();
  follow();
}

// The end of the log stays in sight, but who reads further up is left alone.
let atEnd = true;
const scroll = $("scroll");
const follow = () => { if (atEnd) scroll.scrollTop = scroll.scrollHeight; };
scroll.onscroll = () => { atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80; };
new ResizeObserver(follow).observe(scroll);
