// The page: one stream of state from the server, drawn as phones; every action is one POST.

import { words } from "./words.js";

const $ = (selector, root = document) => root.querySelector(selector);
const ICONS = {
  lock: '<rect x="5" y="11" width="14" height="9" rx="2.500"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>',
  more: '<circle cx="12" cy="5" r="1"/><circle cx="12" cy="12" r="1"/><circle cx="12" cy="19" r="1"/>',
  menu: '<path d="M5 7h14M5 12h14M5 17h9"/>',
  attach: '<path d="m20 11-8.500 8.500a5 5 0 0 1-7-7L13 4a3.300 3.300 0 0 1 4.700 4.700l-8.500 8.500a1.700 1.700 0 0 1-2.400-2.400l7.700-7.700"/>',
  keys: '<rect x="3" y="6" width="18" height="12" rx="2.500"/><path d="M7 10h.01M11 10h.01M15 10h.01M8 14h8"/>',
  go: '<path d="M4 12h15M13 6l6 6-6 6"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
  down: '<path d="M12 5v14M6 13l6 6 6-6"/>',
  file: '<path d="M7 3h7l4 4v14H7zM14 3v4h4"/>',
  voice: '<path d="M5 10v4M9 7v10M13 4v16M17 8v8M21 11v2"/>',
  person: '<circle cx="12" cy="8" r="4"/><path d="M4 20c1.500-4 14.500-4 16 0"/>',
  pin: '<path d="M12 21s7-6.500 7-11a7 7 0 0 0-14 0c0 4.500 7 11 7 11Z"/><circle cx="12" cy="10" r="2.500"/>',
  silent: '<path d="M6 9a6 6 0 0 1 9.500-5M18 9c0 6 2 7 2 7H5s1-1 1-5M10 20h4M3 3l18 18"/>',
  shield: '<path d="M12 3 5 6v5c0 5 3 8 7 10 4-2 7-5 7-10V6z"/>',
};
const LANGUAGES = ["en", "es", "de", "fr", "it", "pt-br", "pl", "ru", "uk", "tr", "ar", "zh-hans"];
const ZONES = ["UTC", "Europe/London", "Europe/Madrid", "Europe/Berlin", "Europe/Athens", "Asia/Dubai",
  "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "America/New_York",
  "America/Chicago", "America/Los_Angeles", "America/Sao_Paulo"];
const STEPS = { next: { to: "next" }, hour: { hours: 1 }, day: { days: 1 } };

let state = null;
let current = null;
const phones = new Map();

const icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = ICONS[name];
  return svg;
};

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function button(className, text, press) {
  const element = make("button", className, text);
  element.type = "button";
  element.addEventListener("click", press);
  return element;
}

const show = (element, shown) => { if (element.hidden === shown) element.hidden = !shown; };
const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function time(moment, zone, options) {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }).format(new Date(moment));
}
const clockTime = (moment, zone) => time(moment, zone, { hour: "2-digit", minute: "2-digit" });
const dayOf = (moment, zone) => time(moment, zone, { weekday: "long", day: "numeric", month: "long" });
const city = (zone) => zone.split("/").pop().replaceAll("_", " ");

function say(text) {
  write($("#status"), text);
}

async function post(path, body = {}) {
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const result = await answer.json();
    say(result.error ? capital(result.error) + "." : "");
    return result;
  } catch {
    say("The demo has stopped. Start it again and reload this page.");
    return { error: "stopped" };
  }
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const data = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(String(reader.result).split(",", 2)[1] || "");
  reader.onerror = reject;
  reader.readAsDataURL(file);
});

// links: to the bot they open on a phone, to anywhere else in a new tab

function toBot(url) {
  try {
    const address = new URL(url);
    if (address.protocol === "tg:") return address.searchParams.get("domain") === state.bot.username;
    return ["t.me", "telegram.me"].includes(address.hostname)
      && address.pathname.replaceAll("/", "").toLowerCase() === state.bot.username.toLowerCase();
  } catch {
    return false;
  }
}

async function open(url, from) {
  if (!toBot(url)) {
    if (/^https?:/.test(url)) window.open(url, "_blank", "noopener,noreferrer");
    return;
  }
  const others = state.people.filter((person) => person.id !== from && !person.deleted);
  // whoever reads a link on the practitioner's phone hands it to a patient; a patient opens it at once
  const isFirst = state.people[0].id === from;
  let target = isFirst && others.length ? others[0].id : from;
  if (isFirst && others.length > 1) target = await choose(others);
  if (target) openOn(target, url);
}

async function openOn(id, url) {
  await post(`/demo/people/${id}/open`, { link: url });
  turnTo(id);
  const phone = phones.get(id);
  phone.unlock();
  phone.element.focus();
}

function choose(people) {
  const dialog = $("#choosing");
  const list = $("#choices");
  list.replaceChildren(...people.map((person) => {
    const choice = make("button", "", `${person.name}’s phone`);
    choice.type = "submit";
    choice.value = String(person.id);
    return choice;
  }));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(Number(dialog.returnValue) || null), { once: true });
  });
}

// one phone

class Phone {
  constructor(id) {
    this.id = id;
    this.element = $("#phone").content.firstElementChild.cloneNode(true);
    this.rows = new Map();
    this.locked = false;
    this.unread = 0;
    this.last = null;
    this.toasts = null;
    this.alerts = [];
    this.keysOpen = true;
    this.context = null;
    this.banners = [];
    this.wire();
  }

  $(selector) { return $(selector, this.element); }
  act(name, body) { return post(`/demo/people/${this.id}/${name}`, body); }

  wire() {
    for (const name of ["lock", "more", "menu", "attach", "keys", "go"]) this.$(`.icon.${name}`).append(icon(name));
    this.$(".context button").append(icon("close"));
    this.$(".down").append(icon("down"));
    this.$(".lock").addEventListener("click", () => this.lock());
    this.$(".unlock").addEventListener("click", () => { this.unlock(); this.$(".lock").focus(); });
    this.toggle(".more", ".settings");
    this.toggle(".menu", ".commands");
    this.toggle(".attach", ".attachments");
    this.$(".start").addEventListener("click", async () => {
      await this.act("start", {});
      this.$(".text").focus();
    });
    this.$(".composer").addEventListener("submit", (submit) => { submit.preventDefault(); this.say(); });
    this.$(".keys").addEventListener("click", () => { this.keysOpen = !this.keysOpen; this.keyboard(); });
    this.$(".context button").addEventListener("click", () => this.about(null));
    this.$(".block").addEventListener("click", () => this.act(this.seen.blocked ? "unblock" : "block", {}));
    this.$(".delete").addEventListener("click", () => { this.shut(); this.act("delete-account", {}); });
    this.$(".invite").addEventListener("click", () => { this.shut(); openOn(this.id, state.invitation.link); });
    this.$(".language").addEventListener("change", (change) => this.act("language", { code: change.target.value }));
    this.$(".zone").addEventListener("change", (change) => this.act("zone", { zone: change.target.value }));
    for (const choice of this.element.querySelectorAll("[data-attach]")) {
      choice.addEventListener("click", () => this.attach(choice.dataset.attach));
    }
    this.$(".photo-file").addEventListener("change", (change) => this.photos(change.target));
    this.$(".document-file").addEventListener("change", async (change) => {
      const [file] = change.target.files;
      if (file) await this.act("document", { name: file.name, mime: file.type, data: await data(file) });
      change.target.value = "";
    });
    const log = this.$(".log");
    log.addEventListener("scroll", () => {
      show(this.$(".down"), !this.atEnd());
      // only a finger scrolls up; a picture that has just been loaded moves the end away
      if (this.atEnd()) this.following = true;
      else if (log.scrollTop < this.top) this.following = false;
      this.top = log.scrollTop;
    });
    this.$(".down").addEventListener("click", () => this.toEnd());
    this.$(".alert button").addEventListener("click", () => { this.alerts.shift(); this.alert(); this.$(".text").focus(); });
    this.element.addEventListener("keydown", (press) => {
      if (press.key === "Escape") { this.shut(true); this.about(null); }
    });
    document.addEventListener("click", (click) => {
      if (!click.target.closest(".settings, .sheet, .more, .menu, .attach") || !this.element.contains(click.target)) this.shut();
    });
  }

  toggle(opener, sheet) {
    this.$(opener).addEventListener("click", () => {
      const shown = this.$(sheet).hidden;
      this.shut();
      this.$(sheet).hidden = !shown;
      this.$(opener).setAttribute("aria-expanded", String(shown));
      if (shown) this.$(sheet).querySelector("button, select, input")?.focus();
    });
  }

  shut(refocus = false) {
    for (const [opener, sheet] of [[".more", ".settings"], [".menu", ".commands"], [".attach", ".attachments"]]) {
      if (this.$(sheet).hidden) continue;
      this.$(sheet).hidden = true;
      this.$(opener).setAttribute("aria-expanded", "false");
      if (refocus) this.$(opener).focus();
    }
  }

  lock() {
    this.locked = true;
    this.banners = [];
    this.$(".banners").replaceChildren();
    show(this.$(".locked"), true);
    this.$(".lock").setAttribute("aria-pressed", "true");
    this.$(".unlock").focus();
    this.inert();
  }

  unlock() {
    this.locked = false;
    show(this.$(".locked"), false);
    this.$(".lock").setAttribute("aria-pressed", "false");
    this.inert();
    this.toEnd();
    this.read();
  }

  inert() {
    for (const part of [".head", ".screen", ".foot"]) this.$(part).inert = this.locked;
  }

  read() {
    this.unread = 0;
    tabs();
  }

  atEnd() {
    const log = this.$(".log");
    return log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  }

  toEnd() {
    this.following = true;
    const log = this.$(".log");
    log.scrollTop = log.scrollHeight;
    show(this.$(".down"), false);
  }

  async say() {
    const field = this.$(".text");
    const text = field.value.trim();
    if (!text) return;
    const context = this.context;
    field.value = "";
    this.about(null);
    const result = context?.edit
      ? await this.act("edit", { message: context.edit, text })
      : await this.act("say", { text, reply_to: context?.reply });
    if (result.error) field.value = text;
    this.toEnd();
  }

  about(context) {
    this.context = context;
    show(this.$(".context"), Boolean(context));
    if (!context) return;
    write(this.$(".context span"), `${context.edit ? "Edit" : "Reply to"}: ${context.text}`);
    if (context.edit) this.$(".text").value = context.text;
    this.$(".text").focus();
  }

  attach(kind) {
    this.shut();
    if (kind === "photo") this.$(".photo-file").click();
    else if (kind === "document") this.$(".document-file").click();
    else this.act(kind, {});
  }

  async photos(input) {
    const files = [...input.files].slice(0, 10);
    input.value = "";
    const all = await Promise.all(files.map(data));
    if (all.length > 1) await this.act("album", { photos: all });
    else if (all.length) await this.act("photo", { data: all[0], caption: this.$(".text").value.trim() });
    this.$(".text").value = "";
  }

  // drawing

  draw(person) {
    const before = this.seen;
    this.seen = person;
    const role = this.$(".role");
    role.replaceChildren(make("b", "", person.name), person.role ? ` · ${person.role}` : "");
    this.element.setAttribute("aria-label", `${person.name}’s phone${person.role ? `, ${person.role}` : ""}`);
    const now = state.clock.now;
    write(this.$(".bar-time"), clockTime(now, person.zone));
    write(this.$(".bar-right"), `${city(person.zone)}${person.language ? ` · ${person.language}` : ""}`);
    write(this.$(".locked-time"), clockTime(now, person.zone));
    write(this.$(".locked-date"), dayOf(now, person.zone));
    write(this.$(".bot-name"), state.bot.name);
    write(this.$(".under"), person.deleted ? "account deleted" : person.blocked ? "blocked" : person.typing ? "typing…" : "bot");
    this.$(".under").classList.toggle("busy", person.typing);
    this.$(".lock").setAttribute("aria-label", `Lock ${person.name}’s phone`);
    this.$(".lock").title = "Lock the phone, to see what its lock screen shows";
    this.$(".more").setAttribute("aria-label", `Settings of ${person.name}’s phone`);
    this.options(".language", LANGUAGES, person.language);
    this.options(".zone", ZONES, person.zone);
    write(this.$(".block"), person.blocked ? "Unblock the bot" : "Block the bot");
    const invitation = state.invitation?.person === person.id ? state.invitation : null;
    show(this.$(".invite"), Boolean(invitation));
    write(this.$(".invite"), invitation?.label || "");
    show(this.$(".delete"), !person.deleted);
    this.messages(person, before);
    this.empty(person, invitation);
    this.bottom(person);
    this.commands(person);
    this.keyboard();
    this.toast(person);
  }

  options(selector, values, chosen) {
    const select = this.$(selector);
    const list = values.includes(chosen) || !chosen ? values : [chosen, ...values];
    if (select.options.length !== list.length) {
      select.replaceChildren(...list.map((value) => new Option(selector === ".zone" ? value.replaceAll("_", " ") : value, value)));
    }
    if (select.value !== chosen && document.activeElement !== select) select.value = chosen;
  }

  empty(person, invitation) {
    const box = this.$(".empty");
    show(box, !person.messages.length);
    const kind = person.deleted ? "deleted" : person.invited ? "invited" : invitation ? "invitation" : "nothing";
    if (box.dataset.kind === kind) return;
    box.dataset.kind = kind;
    const mark = make("img", "mark");
    mark.src = "/demo/static/mark.svg";
    mark.alt = "";
    const text = {
      deleted: "This account is deleted.",
      invited: "The invitation is open. Press Start.",
      invitation: "Begin here: open the practitioner’s own invitation.",
      nothing: "Nothing here yet. Open an invitation from the other phone.",
    }[kind];
    box.replaceChildren(mark, make("p", "", text));
    if (kind === "invitation") box.append(button("", invitation.label, () => openOn(this.id, invitation.link)));
  }

  bottom(person) {
    const waits = person.blocked || !person.started || person.invited;
    show(this.$(".start-bar"), waits && !person.deleted && (person.opened || person.blocked));
    show(this.$(".composer"), !waits && !person.deleted);
    write(this.$(".start"), person.blocked ? "Restart bot" : "Start");
    this.$(".text").placeholder = person.placeholder || "Message";
    this.$(".text").setAttribute("aria-label", `Message as ${person.name}`);
  }

  commands(person) {
    const sheet = this.$(".commands");
    const key = JSON.stringify(person.menu);
    show(this.$(".menu"), person.menu.length > 0);
    if (sheet.dataset.key === key) return;
    sheet.dataset.key = key;
    sheet.replaceChildren(...person.menu.map((command) => {
      const choice = button("", "", () => { this.shut(); this.act("say", { text: `/${command.command}` }); });
      choice.append(make("b", "", `/${command.command}`), make("small", "", command.description));
      return choice;
    }));
  }

  keyboard() {
    const person = this.seen;
    const box = this.$(".keyboard");
    const there = Boolean(person.keyboard) && !person.blocked && !person.deleted && !person.invited;
    show(this.$(".keys"), there);
    this.$(".keys").setAttribute("aria-pressed", String(this.keysOpen));
    const atEnd = this.atEnd();
    const shown = there && this.keysOpen;
    if (box.hidden === shown) { box.hidden = !shown; if (atEnd) this.toEnd(); }
    const key = JSON.stringify(person.keyboard);
    if (box.dataset.key === key) return;
    box.dataset.key = key;
    box.replaceChildren(...(person.keyboard || []).map((row) => {
      const line = make("div");
      line.append(...row.map((one) => button("", one.text, () => { this.act("press", { label: one.text }); this.toEnd(); })));
      return line;
    }));
    if (atEnd) this.toEnd();
  }

  toast(person) {
    const first = this.toasts === null;
    const fresh = first ? [] : person.toasts.slice(this.toasts);
    this.toasts = person.toasts.length;
    for (const one of fresh) {
      if (one.alert) { this.alerts.push(one.text); this.alert(); continue; }
      const line = make("div", "toast", one.text);
      this.$(".toasts").append(line);
      setTimeout(() => line.remove(), 4500);
    }
  }

  alert() {
    const box = this.$(".alert");
    show(box, this.alerts.length > 0);
    if (!this.alerts.length) return;
    write($("p", box), this.alerts[0]);
    box.setAttribute("aria-label", this.alerts[0]);
    $("button", box).focus();
  }

  messages(person, before) {
    const log = this.$(".log");
    const atEnd = this.atEnd();
    const wanted = [];
    let day = "";
    for (const message of person.messages) {
      const on = dayOf(message.date, person.zone);
      if (on !== day) { day = on; wanted.push({ key: `day ${on} ${message.id}`, sign: on, make: () => make("li", "day", on) }); }
      const sign = JSON.stringify([message, person.zone]);
      wanted.push({ key: `message ${message.id}`, sign, make: () => this.message(message, Boolean(before)) });
    }
    const keys = new Set(wanted.map((one) => one.key));
    for (const [key, row] of this.rows) {
      if (!keys.has(key)) { row.element.remove(); this.rows.delete(key); }
    }
    let previous = null;
    for (const one of wanted) {
      let row = this.rows.get(one.key);
      if (!row || row.sign !== one.sign) {
        const element = one.make();
        if (row) this.replace(row.element, element);
        row = { element, sign: one.sign };
        this.rows.set(one.key, row);
      }
      const place = previous ? previous.nextSibling : log.firstChild;
      if (place !== row.element) log.insertBefore(row.element, place);
      previous = row.element;
    }
    this.arrivals(person, before);
    const newest = person.messages.at(-1);
    if (atEnd || (newest?.own && newest.id !== before?.messages.at(-1)?.id)) this.toEnd();
    if (before && newest && newest.id !== before.messages.at(-1)?.id) requestAnimationFrame(() => { if (atEnd || newest.own) this.toEnd(); });
  }

  replace(old, element) {
    const held = old.contains(document.activeElement) ? document.activeElement : null;
    element.classList.remove("fresh");
    const label = held?.dataset.place;
    old.replaceWith(element);
    if (!held) return;
    const next = label && element.querySelector(`[data-place="${label}"]`);
    (next || this.$(".log")).focus({ preventScroll: true });
  }

  arrivals(person, before) {
    const last = this.last ?? person.messages.at(-1)?.id ?? 0;
    const fresh = before ? person.messages.filter((message) => !message.own && message.id > last) : [];
    this.last = Math.max(last, person.messages.at(-1)?.id ?? 0);
    const hidden = this.locked || (narrow.matches && current !== this.id);
    if (!hidden || !fresh.length) return;
    this.unread += fresh.length;
    if (this.locked) for (const message of fresh) this.banner(message, person);
    tabs();
  }

  banner(message, person) {
    const line = make("li", "banner");
    const mark = make("img");
    mark.src = "/demo/static/mark.svg";
    mark.alt = "";
    const name = make("b", "", state.bot.name);
    const when = make("small", "", `${message.silent ? "silent · " : ""}${clockTime(message.date, person.zone)}`);
    line.append(mark, name, when, make("span", "", message.preview));
    this.$(".banners").prepend(line);
  }

  message(message, live) {
    const row = make("li", `message${message.own ? " own" : ""}${message.buttons.length || message.scan ? " keyed" : ""}${live ? " fresh" : ""}`);
    const bubble = make("div", `bubble${message.kind === "sticker" ? " sticker" : ""}`);
    bubble.append(make("span", "hidden-text", message.own ? `${this.seen.name}: ` : `${state.bot.name}: `));
    if (message.reply) {
      const quoted = make("div", "quoted");
      quoted.append(make("b", "", message.reply.name), make("span", "", message.reply.text));
      bubble.append(quoted);
    }
    this.content(bubble, message);
    if (message.text) {
      bubble.append(words(message.text, message.entities, {
        link: (url) => open(url, this.id),
        command: (text) => this.act("say", { text }),
      }));
    }
    bubble.append(this.meta(message));
    row.append(bubble);
    const acts = make("div", "acts");
    acts.append(button("", "Reply", () => this.about({ reply: message.id, text: message.preview })));
    if (message.own && message.kind === "text") acts.append(button("", "Edit", () => this.about({ edit: message.id, text: message.text })));
    row.append(acts);
    if (message.buttons.length || message.scan) row.append(this.inline(message));
    return row;
  }

  content(bubble, message) {
    const file = message.file;
    if (message.kind === "photo") {
      const picture = make("img", "picture");
      picture.src = file.url;
      picture.alt = message.scan ? "A code to scan" : "Photo";
      picture.addEventListener("load", () => {
        picture.classList.toggle("small", picture.naturalWidth < 120);
        if (this.following) this.toEnd();
      });
      bubble.append(picture);
    } else if (message.kind === "sticker") {
      bubble.append(make("span", "", file.name || "🙂"));
    } else if (message.kind !== "text") {
      bubble.append(this.chip(message));
    }
  }

  chip(message) {
    const names = {
      voice: ["voice", "Voice note", "0:03"],
      contact: ["person", "Phone number", message.contact],
      location: ["pin", "Location", message.location && `${message.location.latitude}, ${message.location.longitude}`],
      video: ["file", "Video", ""],
    };
    const size = message.file ? `${Math.max(1, Math.round(message.file.size / 1024))} kB` : "";
    const [name, title, under] = names[message.kind] || ["file", message.file.name || "File", size];
    const chip = make(message.kind === "document" ? "a" : "div", "chip");
    if (message.kind === "document") {
      chip.href = message.file.url;
      chip.download = message.file.name || "file";
    }
    const mark = make("i");
    mark.append(icon(name));
    const text = make("span");
    text.append(make("b", "", title), make("small", "", under || ""));
    chip.append(mark, text);
    return chip;
  }

  meta(message) {
    const meta = make("div", "meta");
    const mark = (name, label) => {
      const span = make("span");
      span.title = label;
      span.append(icon(name), make("span", "hidden-text", `${label} `));
      return span;
    };
    if (message.protected) meta.append(mark("shield", "Protected: cannot be saved or passed on"));
    if (message.silent) meta.append(mark("silent", "Came silently"));
    if (message.edited) meta.append(make("span", "", "edited"));
    const moment = make("time", "", clockTime(message.date, this.seen.zone));
    moment.dateTime = message.date;
    meta.append(moment);
    return meta;
  }

  inline(message) {
    const rows = make("div", "rows");
    message.buttons.forEach((line, row) => {
      const box = make("div");
      line.forEach((one, column) => {
        const element = button(`inline${one.url ? " link" : ""}${one.waiting ? " waiting" : ""}`, one.text, () => {
          if (one.url) open(one.url, this.id);
          else if (one.copy) navigator.clipboard?.writeText(one.copy);
          else this.act("tap", { message: message.id, row, column });
        });
        element.dataset.place = `${row} ${column}`;
        if (one.waiting) element.setAttribute("aria-busy", "true");
        box.append(element);
      });
      rows.append(box);
    });
    if (message.scan) {
      const box = make("div");
      const scan = button("inline scan", "Scan the code", () => open(message.scan, this.id));
      scan.dataset.place = "scan";
      box.append(scan);
      rows.append(box);
    }
    return rows;
  }
}

// the page

const narrow = window.matchMedia("(max-width: 760px)");
narrow.addEventListener("change", () => turnTo(current));

function turnTo(id) {
  current = id;
  for (const phone of phones.values()) phone.element.classList.toggle("current", phone.id === id);
  const phone = phones.get(id);
  if (phone && !phone.locked) { phone.toEnd(); phone.read(); }
  tabs();
}

function tabs() {
  const list = $("#tabs");
  const held = list.contains(document.activeElement);
  list.replaceChildren(...[...phones.values()].map((phone) => {
    const tab = button("tab", phone.seen?.name || "", () => { turnTo(phone.id); $("[aria-selected=true]", list).focus(); });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-selected", String(phone.id === current));
    tab.tabIndex = phone.id === current ? 0 : -1;
    if (phone.unread) {
      const badge = make("span", "badge", String(phone.unread));
      badge.setAttribute("aria-label", `${phone.unread} new`);
      tab.append(badge);
    }
    return tab;
  }));
  if (held) $("[aria-selected=true]", list)?.focus();
  for (const phone of phones.values()) {
    const role = phone.element.querySelector(".role");
    role.querySelector(".badge")?.remove();
    if (phone.unread) role.append(make("span", "badge", String(phone.unread)));
  }
}

$("#tabs").addEventListener("keydown", (press) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[press.key];
  if (!step) return;
  const ids = [...phones.keys()];
  turnTo(ids[(ids.indexOf(current) + step + ids.length) % ids.length]);
});

function drawClock() {
  const { now, steps, busy } = state.clock;
  const zone = state.people[0]?.zone || "UTC";
  const text = time(now, zone, { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  write($("#now"), text);
  $("#now").dateTime = now;
  $("#now").title = `in ${city(zone)}`;
  show($("#steps"), steps);
  $("#clock").setAttribute("aria-busy", String(Boolean(busy)));
  for (const step of document.querySelectorAll(".step")) {
    const mine = { next: busy === "next", hour: busy.endsWith("h"), day: busy.endsWith("d") }[step.dataset.step];
    step.setAttribute("aria-disabled", String(Boolean(busy)));
    step.classList.toggle("working", Boolean(busy) && mine);
    step.classList.toggle("resting", Boolean(busy) && !mine);
  }
}

function draw() {
  document.body.classList.toggle("three", state.people.length > 2);
  const wanted = new Set(state.people.map((person) => person.id));
  for (const [id, phone] of phones) if (!wanted.has(id)) { phone.element.remove(); phones.delete(id); }
  let added = false;
  for (const person of state.people) {
    if (!phones.has(person.id)) {
      const phone = new Phone(person.id);
      phones.set(person.id, phone);
      $("#phones").append(phone.element);
      added = true;
    }
    phones.get(person.id).draw(person);
  }
  if (added) turnTo(current && wanted.has(current) ? current : state.people[0]?.id);
  drawClock();
}

for (const step of document.querySelectorAll(".step")) {
  step.addEventListener("click", async () => {
    if (state.clock.busy) return;
    say("The clock moves on…");
    const result = await post("/demo/clock", STEPS[step.dataset.step]);
    if (result.none) say("No message is planned. Use +1 hour or +1 day, or enroll a patient.");
    else if (result.note) say(result.note);
  });
}

$("#adding .cancel").addEventListener("click", () => $("#adding").close());
$("#add").addEventListener("click", () => { $("#adding-name").value = ""; $("#adding").returnValue = ""; $("#adding").showModal(); });
$("#adding").addEventListener("close", async () => {
  const name = $("#adding-name").value.trim();
  if ($("#adding").returnValue !== "add" || !name) return;
  const result = await post("/demo/people", { first_name: name });
  if (result.id) turnTo(result.id);
});

function listen() {
  const stream = new EventSource("/demo/stream");
  stream.onmessage = (message) => {
    if (state && $("#status").dataset.lost) { delete $("#status").dataset.lost; say(""); }
    state = JSON.parse(message.data);
    draw();
  };
  stream.onerror = () => {
    $("#status").dataset.lost = "yes";
    say("The demo has stopped. Start it again; this page will find it.");
  };
}

listen();
