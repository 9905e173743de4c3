// The page at /: documents in, their text as it comes, each page with its boxes. What a document says is only ever set as
// text: no markup is made of it, and the content security policy would run none.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const WITH_WORDS = ["Locate Object by Reference", "Read Region"];
const FURNITURE = ["header", "footer", "page_number"];
const UNREACHABLE = "The gateway cannot be reached. Is it still running?";

let reading = null; // the AbortController of what is being read
let read = []; // the documents that came: {name, id, pages}

function make(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

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

async function fillChoices() {
  const choices = await (await ask("page/choices.json")).json();
  for (const [id, values] of Object.entries(choices)) {
    $(id).append(...values.map(([value, label]) => make("option", { value, textContent: label })));
  }
}

function showError(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

async function readAll(files) {
  if (reading || !files.length) return;
  forget();
  reading = new AbortController();
  setBusy(true);
  try {
    for (const file of files) await readOne(file, reading.signal);
    const count = read.reduce((sum, one) => sum + one.pages.length, 0);
    $("status").textContent = `Done: ${count} ${count === 1 ? "page" : "pages"}.`;
  } catch (error) {
    const cancelled = error.name === "AbortError";
    $("status").textContent = cancelled ? "Cancelled. What had come stays." : "";
    if (!cancelled) showError(error.message);
  } finally {
    reading = null;
    setBusy(false);
  }
}

function forget() {
  for (const one of read) ask(`v1/files/${one.id}`, { method: "DELETE" }).catch(() => {});
  for (const image of document.querySelectorAll(".picture img")) URL.revokeObjectURL(image.src);
  read = [];
  $("documents").replaceChildren();
  showError("");
}

function setBusy(isBusy) {
  $("bar").hidden = false;
  $("cancel").disabled = !isBusy;
  for (const id of ["copy", "save-markdown", "save-json"]) $(id).disabled = isBusy || !read.some((one) => one.pages.length);
}

async function readOne(file, signal) {
  $("status").textContent = `Sending ${file.name} …`;
  const form = new FormData();
  form.append("purpose", "user_data");
  form.append("file", file, file.name || "pasted.png");
  const { id } = await (await ask("v1/files", { method: "POST", body: form, signal })).json();
  const one = { name: file.name || "pasted picture", id, pages: [] };
  read.push(one);
  const section = make("section", { className: "document" }, make("h2", { textContent: one.name }));
  $("documents").append(section);
  $("status").textContent = `Reading ${one.name} …`;
  const sheets = new Map();
  for await (const event of events(id, signal)) take(event, one, section, sheets, signal);
}

// The gateway's events of a document, out of the chat's stream.
async function* events(id, signal) {
  const task = $("task").value;
  const ocr = { output_format: "events", task };
  if ($("pages").value.trim()) ocr.pages = $("pages").value.trim();
  if (WITH_WORDS.includes(task)) ocr.reference_text = $("reference").value;
  const content = [{ type: "file", file: { file_id: id } }];
  const model = $("model").value + ($("preset").value ? `:${$("preset").value}` : "");
  const body = JSON.stringify({ model, stream: true, ocr, messages: [{ role: "user", content }] });
  const headers = { "Content-Type": "application/json" };
  const answer = await ask("v1/chat/completions", { method: "POST", body, headers, signal });
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

function take(event, one, section, sheets, signal) {
  if (event.event === "end") return;
  let sheet = sheets.get(event.page);
  if (!sheet) {
    sheet = newSheet(event, one, signal);
    sheets.set(event.page, sheet);
    section.append(sheet.node);
  }
  if (event.event === "markdown") {
    sheet.markdown += event.text;
    sheet.live.textContent = sheet.markdown;
  } else if (event.event === "element") {
    sheet.elements.push(element(event));
    addBox(sheet, event);
  } else if (event.event === "retry") {
    Object.assign(sheet, { markdown: "", elements: [] });
    sheet.svg.replaceChildren();
    sheet.live.textContent = "";
  } else if (event.event === "result") {
    finish(sheet, event, one);
  }
}

const element = ({ type, label, bbox, text }) => ({ type, label, bbox, text });

function newSheet(event, one, signal) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${event.width || 1} ${event.height || 1}`);
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", `Places on page ${event.page}`);
  const image = make("img", { alt: `Page ${event.page} of ${one.name}` });
  if (event.width) Object.assign(image, { width: event.width, height: event.height });
  const live = make("div", { className: "live" });
  const text = make("div", { className: "text" }, live);
  const node = make("article", { className: "sheet" }, make("div", { className: "picture" }, image, svg), text);
  if (event.event === "page") showPicture(image, one.id, event.page, signal);
  return { node, svg, live, text, markdown: "", elements: [] };
}

async function showPicture(image, id, page, signal) {
  try {
    image.src = URL.createObjectURL(await (await ask(`v1/files/${id}/pages/${page}`, { signal })).blob());
  } catch {
    image.alt = "This page has no picture here; its text stands beside.";
  }
}

function addBox(sheet, { number, type, bbox }) {
  if (!bbox) return;
  const [left, top, right, bottom] = bbox;
  const rect = document.createElementNS(SVG, "rect");
  const place = { x: left, y: top, width: Math.max(right - left, 1), height: Math.max(bottom - top, 1) };
  const said = { "data-number": number, "data-type": type, tabindex: 0, role: "img", "aria-label": `${number} ${type}` };
  for (const [name, value] of Object.entries({ ...place, ...said })) rect.setAttribute(name, value);
  sheet.svg.append(rect);
}

function finish(sheet, result, one) {
  const { event, ...rest } = result;
  one.pages.push({ ...rest, markdown: sheet.markdown, elements: sheet.elements });
  sheet.live.remove();
  const blocks = sheet.elements.length
    ? sheet.elements.map((it, index) => block(it, index + 1))
    : sheet.markdown.split(/\n{2,}/).filter(Boolean).map((text) => make("div", {}, ...markdownNodes(text)));
  sheet.text.append(...blocks);
  if (result.error) sheet.text.append(make("p", { className: "problems failed", textContent: result.error }));
  if (result.finish_reason === "blank") sheet.text.append(make("p", { className: "furniture", textContent: "Nothing is on this page." }));
  const problems = [...result.problems, ...cutShort(result.finish_reason)];
  if (problems.length) {
    sheet.text.prepend(make("ul", { className: "problems" }, ...problems.map((text) => make("li", { textContent: text }))));
  }
}

function cutShort(reason) {
  const told = {
    length: "The page needed more tokens than it may get: its end is missing.",
    repetition: "The model began to repeat itself: the page may be incomplete.",
    deadline: "The time for the page was used up: its end is missing.",
  };
  return told[reason] ? [told[reason]] : [];
}

function block(it, number) {
  const node = make("div", { className: "block", tabIndex: it.bbox ? 0 : -1 });
  Object.assign(node.dataset, { number, type: it.type });
  if (it.type === "title") node.append(make("h3", {}, it.text));
  else if (it.type === "heading") node.append(make("h4", {}, it.text));
  else if (it.type === "formula") node.append(make("code", {}, it.text));
  else if (it.type === "picture") node.append(make("p", { className: "furniture", textContent: it.text || "Picture" }));
  else node.append(...markdownNodes(it.text));
  if (FURNITURE.includes(it.type)) node.classList.add("furniture");
  return node;
}

function markdownNodes(text) {
  const heading = /^(#{1,6}) (.*)$/s.exec(text.trim());
  if (heading) return [make(heading[1].length === 1 ? "h3" : "h4", {}, heading[2])];
  if (/<table[\s>]/i.test(text)) return tables(text);
  if (/^\|.*\|\n\|[-| :]+\|/.test(text.trim())) return [pipes(text.trim())];
  return [make("p", { textContent: text.trim() })];
}

// The tables in some HTML, made anew: rows, cells, their spans and text, and nothing else of it.
function tables(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const made = [...parsed.querySelectorAll("table")].map((table) =>
    make("table", {}, ...[...table.rows].map((row) => make("tr", {}, ...[...row.cells].map(cell)))),
  );
  for (const table of parsed.querySelectorAll("table")) table.remove();
  const rest = parsed.body.textContent.trim();
  return rest ? [...made, make("p", { textContent: rest })] : made;
}

function cell(it) {
  const spans = { colSpan: Math.min(it.colSpan, 100), rowSpan: Math.min(it.rowSpan, 1000) };
  return make(it.tagName === "TH" ? "th" : "td", { ...spans, textContent: it.textContent });
}

function pipes(text) {
  const rows = text.split("\n").filter((_, index) => index !== 1);
  const cells = (row) => row.replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((it) => it.trim().replaceAll("\\|", "|"));
  return make("table", {}, ...rows.map((row) => make("tr", {}, ...cells(row).map((textContent) => make("td", { textContent })))));
}

function light(target, isLit) {
  const linked = target.closest?.("[data-number]");
  if (!linked) return;
  for (const node of linked.closest(".sheet").querySelectorAll(`[data-number="${linked.dataset.number}"]`)) {
    node.classList.toggle("lit", isLit);
    if (isLit && node !== linked && node.scrollIntoViewIfNeeded) node.scrollIntoViewIfNeeded();
  }
}

function wholeMarkdown() {
  return read.flatMap((one) => one.pages.map((page) => page.markdown)).join("\n\n");
}

function save(name, text, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const stem = () => read[0].name.replace(/\.[^.]*$/, "");

async function copy() {
  try {
    await navigator.clipboard.writeText(wholeMarkdown());
    $("status").textContent = "Copied.";
  } catch {
    showError("The browser does not let this page copy. Download the markdown instead.");
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
$("copy").addEventListener("click", copy);
$("save-markdown").addEventListener("click", () => save(`${stem()}.md`, wholeMarkdown(), "text/markdown"));
$("save-json").addEventListener("click", () => {
  const documents = read.map(({ name, pages }) => ({ name, pages }));
  save(`${stem()}.json`, JSON.stringify(documents, null, 1), "application/json");
});
for (const kind of ["pointerover", "focusin"]) $("documents").addEventListener(kind, (event) => light(event.target, true));
for (const kind of ["pointerout", "focusout"]) $("documents").addEventListener(kind, (event) => light(event.target, false));
addEventListener("keydown", (event) => event.key === "Escape" && reading?.abort());
addEventListener("paste", (event) => readAll([...event.clipboardData.files]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") readAll([...event.dataTransfer.files]);
  });
}
fillChoices().catch((error) => showError(error.message));
