// The page at /: documents in, their text as it comes, each page with its boxes. What a document says is only ever set as
// text: no markup is made of it, and the content security policy would run none.

import { Sheet, light, reveal } from "./sheet.js";
import { make } from "./text.js";

const $ = (id) => document.getElementById(id);
const WITH_WORDS = ["Locate Object by Reference", "Read Region"];
const UNREACHABLE = "The gateway cannot be reached. Is it still running?";
const PAGE_SPLIT = "\n\n<--- Page Split --->\n\n"; // as in the package's own markdown

let reading = null; // the AbortController of what is being read
let read = []; // the documents that came: {name, id, section, sheets, end}

async function ask(path, options = {}) {
  const key = $("key").value || sessionStorage.getItem("key") || "";
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(UNREACHABLE);
  }
  if (answer.status === 401) $("key-label").hidden = false;
  if (!answer.ok) throw new Error(await reason(answer));
  if (key) sessionStorage.setItem("key", key);
  return answer;
}

async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The gateway answered ${answer.status}.`;
  }
}

function posted(path, body, signal) {
  return ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });
}

async function fillChoices() {
  const choices = await (await ask("page/choices.json")).json();
  for (const [id, values] of Object.entries(choices)) {
    $(id).append(...values.map(([value, label]) => make("option", { value, textContent: label })));
  }
}

function say(status, error = "") {
  $("bar").hidden = false;
  $("status").textContent = status;
  $("error").textContent = error;
  $("error").hidden = !error;
}

async function readAll(files) {
  if (reading || !files.length) return;
  forget();
  reading = new AbortController();
  $("cancel").hidden = false;
  try {
    for (const file of files) await readOne(file, reading.signal);
    const count = read.reduce((sum, one) => sum + pages(one).length, 0);
    say(`Done: ${count} ${count === 1 ? "page" : "pages"}.`);
  } catch (error) {
    if (error.name === "AbortError") say("Cancelled. What had come stays.");
    else say("", error.message);
  } finally {
    reading = null;
    $("cancel").hidden = true;
  }
}

function forget() {
  for (const one of read) ask(`v1/files/${one.id}`, { method: "DELETE" }).catch(() => {});
  for (const image of document.querySelectorAll(".picture img")) URL.revokeObjectURL(image.src);
  read = [];
  $("documents").replaceChildren();
}

async function readOne(file, signal) {
  const name = file.name || "pasted picture.png";
  say(`Sending ${name} …`);
  const form = new FormData();
  form.append("purpose", "user_data");
  form.append("file", file, name);
  const { id } = await (await ask("v1/files", { method: "POST", body: form, signal })).json();
  const section = make("section", { className: "document" }, make("h2", { textContent: name }));
  const one = { name, id, section, sheets: new Map() };
  read.push(one);
  $("documents").append(section);
  say(`Reading ${name} …`);
  try {
    for await (const event of events(id, signal)) take(event, one, signal);
  } finally {
    if (pages(one).length) section.querySelector("h2").after(takeAway(one));
  }
}

function take(event, one, signal) {
  if (event.event === "end") {
    one.end = event;
    return;
  }
  let sheet = one.sheets.get(event.page);
  if (!sheet) {
    const draw = async (page, turned) => (await ask(`v1/files/${one.id}/pages/${page}?turned=${turned}`, { signal })).blob();
    sheet = new Sheet(event, one.name, draw);
    one.sheets.set(event.page, sheet);
    one.section.append(sheet.node);
  }
  sheet.take(event);
}

// The gateway's events of a document, out of the chat's stream.
async function* events(id, signal) {
  const task = $("task").value;
  const ocr = { output_format: "events", task };
  if ($("pages").value.trim()) ocr.pages = $("pages").value.trim();
  if (WITH_WORDS.includes(task)) ocr.reference_text = $("reference").value;
  if ($("check").checked) ocr.check = true;
  const content = [{ type: "file", file: { file_id: id } }];
  const model = $("model").value + ($("preset").value ? `:${$("preset").value}` : "");
  const answer = await posted("v1/chat/completions", { model, stream: true, ocr, messages: [{ role: "user", content }] }, signal);
  let lines = "";
  for await (const data of sent(answer.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    lines += chunk.choices[0].delta.content ?? "";
    const whole = lines.split("\n");
    lines = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
  throw new Error("The answer broke off before its end.");
}

async function* sent(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n\n");
    rest = whole.pop();
    for (const event of whole) if (event.startsWith("data: ")) yield event.slice(6);
  }
}

// What there is of a document to be taken along: the same as the package's own files.

const pages = (one) => [...one.sheets.values()].filter((sheet) => sheet.result).map((sheet) => sheet.json);

function markdown(one) {
  const failure = (page) => (page.error ? `<!-- Page ${page.page} could not be read: ${page.error.replace(/-(?=-)/g, "- ")} -->` : "");
  return pages(one).map((page) => [page.markdown, failure(page)].filter(Boolean).join("\n\n")).join(PAGE_SPLIT);
}

function json(one) {
  const names = ["prompt_tokens", "completion_tokens", "image_tokens"];
  const sum = (name) => pages(one).reduce((total, page) => total + page.usage[name], 0);
  const usage = Object.fromEntries(names.map((name) => [name, sum(name)]));
  return JSON.stringify({ pages: pages(one), finish_reason: one.end?.finish_reason ?? "cancelled", usage }, null, 1);
}

function takeAway(one) {
  const stem = one.name.replace(/\.[^.]*$/, "");
  const button = (textContent, act) => {
    const made = make("button", { type: "button", className: "quiet", textContent });
    made.addEventListener("click", () => act(made));
    return made;
  };
  const group = make("p", { className: "buttons take", role: "group", ariaLabel: `Copy and download ${one.name}` });
  group.append(
    button("Copy markdown", () => copy(markdown(one))),
    button("Copy JSON", () => copy(json(one))),
    button("Download markdown", () => save(`${stem}.md`, new Blob([markdown(one), "\n"], { type: "text/markdown" }))),
    button("Download JSON", () => save(`${stem}.json`, new Blob([json(one), "\n"], { type: "application/json" }))),
    button("Download searchable PDF", (made) => savePdf(one, `${stem}.searchable.pdf`, made)),
  );
  return group;
}

function save(name, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function savePdf(one, name, button) {
  button.disabled = true;
  say("Making the PDF …");
  try {
    save(name, await (await posted(`v1/files/${one.id}/searchable-pdf`, { pages: pages(one) })).blob());
    say("The PDF is made.");
  } catch (error) {
    say("", error.message);
  } finally {
    button.disabled = false;
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    say("", "The browser does not let this page copy. Download it instead.");
  }
}

for (const id of ["files", "photo"]) {
  $(id).addEventListener("change", (event) => {
    readAll([...event.target.files]);
    event.target.value = "";
  });
}
$("options").addEventListener("submit", (event) => event.preventDefault());
$("task").addEventListener("change", () => ($("reference-label").hidden = !WITH_WORDS.includes($("task").value)));
$("cancel").addEventListener("click", () => reading?.abort());
for (const kind of ["pointerover", "focusin"]) $("documents").addEventListener(kind, (event) => light(event.target, true));
for (const kind of ["pointerout", "focusout"]) $("documents").addEventListener(kind, (event) => light(event.target, false));
$("documents").addEventListener("click", (event) => reveal(event.target));
addEventListener("keydown", (event) => event.key === "Escape" && reading?.abort());
addEventListener("paste", (event) => readAll([...event.clipboardData.files]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") readAll([...event.dataTransfer.files]);
  });
}
fillChoices().catch((error) => say("", error.message));
