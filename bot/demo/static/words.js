// Telegram's formatted text as elements: entities are counted in UTF-16 units, as JavaScript counts.

const TAGS = {
  bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", pre: "pre",
  blockquote: "blockquote", expandable_blockquote: "blockquote",
};

/** Words with their formatting; `act.link(url)` and `act.command(text)` are called on taps. */
export function words(text, entities, act) {
  const sorted = [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length);
  const box = document.createElement("div");
  box.className = "words";
  box.dir = "auto";
  fill(box, text, sorted, 0, text.length, act);
  return box;
}

function fill(parent, text, entities, start, end, act) {
  let at = start;
  for (let i = 0; i < entities.length; i++) {
    const entity = entities[i];
    const from = entity.offset;
    const to = Math.min(entity.offset + entity.length, end);
    if (from < at || to <= from) continue;
    parent.append(text.slice(at, from));
    const inner = entities.slice(i + 1).filter((e) => e.offset >= from && e.offset + e.length <= to);
    const element = wrap(entity, text.slice(from, to), act);
    fill(element, text, inner, from, to, act);
    parent.append(element);
    at = to;
  }
  parent.append(text.slice(at, end));
}

function wrap(entity, words, act) {
  if (TAGS[entity.type]) return document.createElement(TAGS[entity.type]);
  if (entity.type === "spoiler") return spoiler();
  if (entity.type === "text_link" || entity.type === "url") return link(entity.url || words, act);
  if (entity.type === "bot_command") {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "command";
    button.addEventListener("click", () => act.command(words));
    return button;
  }
  return document.createElement("span");
}

function spoiler() {
  const element = document.createElement("span");
  element.className = "spoiler";
  element.tabIndex = 0;
  element.setAttribute("role", "button");
  element.setAttribute("aria-expanded", "false");
  element.setAttribute("aria-label", "Hidden text, show it");
  const open = () => {
    element.classList.add("open");
    element.setAttribute("aria-expanded", "true");
    element.removeAttribute("aria-label");
    element.removeAttribute("role");
  };
  element.addEventListener("click", open);
  element.addEventListener("keydown", (press) => {
    if (press.key === "Enter" || press.key === " ") { press.preventDefault(); open(); }
  });
  return element;
}

function link(url, act) {
  const element = document.createElement("a");
  const address = /^[a-z]+:/i.test(url) ? url : `https://${url}`;
  element.href = /^(https?|tg):/i.test(address) ? address : "#";
  element.rel = "noopener noreferrer";
  element.target = "_blank";
  element.addEventListener("click", (click) => {
    click.preventDefault();
    act.link(address);
  });
  return element;
}
