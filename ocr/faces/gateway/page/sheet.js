// One page: its picture with a box for each element, its text, and what is doubtful in both, each linked to the other.

import { elementNodes, make, pageNodes } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const FURNITURE = ["header", "footer", "page_number"];
const CUT_SHORT = {
  length: "The page needed more tokens than it may get: its end is missing.",
  repetition: "The model began to repeat itself: the page may be incomplete.",
  deadline: "The time for the page was used up: its end is missing.",
};

const PLACE = /\[(\d+), (\d+), (\d+), (\d+)\]/g; // in a problem: x1, y1, x2, y2 in px of the page

export class Sheet {
  // `event` is the first of the page's; `name` its document's; `draw` gives the picture of a page, as a promise of a Blob.
  constructor(event, name, draw) {
    this.number = event.page;
    this.forget();
    this.image = make("img", { alt: `Page ${event.page} of ${name}` });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("role", "group");
    this.svg.setAttribute("aria-label", `Places on page ${event.page}`);
    this.live = make("div", { className: "live" }, document.createTextNode(""));
    this.text = make("div", { className: "text" }, this.live);
    this.node = make("article", { className: "sheet" }, make("div", { className: "picture" }, this.image, this.svg), this.text);
    if (event.event === "page") this.show(event, draw);
  }

  async show({ width, height, turned = 0 }, draw) {
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    Object.assign(this.image, { width, height });
    try {
      this.image.src = URL.createObjectURL(await draw(this.number, turned));
    } catch {
      this.image.alt = "This page has no picture here; its text stands beside.";
    }
  }

  forget() {
    Object.assign(this, { markdown: "", elements: [] });
    this.svg?.replaceChildren();
    if (this.live) this.live.firstChild.data = "";
  }

  take(event) {
    if (event.event === "markdown") this.write(event.text);
    else if (event.event === "retry") this.forget();
    else if (event.event === "element") this.add(event);
    else if (event.event === "result") this.finish(event);
  }

  write(text) {
    this.markdown += text;
    this.live.firstChild.appendData(text);
  }

  add({ number, type, label, bbox, text }) {
    this.elements.push({ type, label, bbox, text });
    if (bbox) this.frame(bbox, `e${number}`, `${number} ${type}`, { "data-type": type });
  }

  frame([left, top, right, bottom], link, says, more) {
    const rect = document.createElementNS(SVG, "rect");
    const place = { x: left, y: top, width: Math.max(right - left, 1), height: Math.max(bottom - top, 1) };
    const said = { "data-links": link, role: "img", "aria-label": says, ...more };
    for (const [name, value] of Object.entries({ ...place, ...said })) rect.setAttribute(name, value);
    this.svg.append(rect);
  }

  // The page as it stands in the JSON document.
  get json() {
    const { event, ...rest } = this.result;
    return { ...rest, markdown: this.markdown, elements: this.elements };
  }

  finish(result) {
    this.result = result;
    this.live.remove();
    const blocks = this.elements.length ? this.elements.map(block) : pageNodes(this.markdown);
    this.text.append(...this.doubts(result), ...blocks);
    if (result.error) this.text.append(make("p", { className: "problems failed", textContent: result.error }));
    if (result.finish_reason === "blank") this.text.append(make("p", { className: "furniture", textContent: "Nothing is on this page." }));
  }

  *doubts({ problems, finish_reason, check }) {
    const said = [...problems, ...(CUT_SHORT[finish_reason] ? [CUT_SHORT[finish_reason]] : [])];
    if (said.length) yield make("ul", { className: "problems" }, ...said.map((text, index) => this.problem(text, `p${index + 1}`)));
    if (!check) return;
    const found = check.failure ? [] : [...findings(check)];
    const count = found.length === 1 ? "1 place" : `${found.length} places`;
    const told = check.failure ?? (found.length ? `The second reading differs in ${count}. Either may be right.` : "The second reading agrees.");
    yield make("div", { className: "check" }, make("p", { textContent: told }), make("ul", {}, ...found.map((it, index) => this.finding(it, index))));
  }

  problem(text, link) {
    const item = make("li", { textContent: text });
    const places = [...text.matchAll(PLACE)].map(([, ...sides]) => sides.map(Number));
    if (places.length) Object.assign(item, { tabIndex: 0 }).dataset.links = link;
    for (const place of places) this.frame(place, link, text, { "data-kind": "problem" });
    return item;
  }

  finding({ kind, element, bbox, parts }, index) {
    const link = `f${index + 1}`;
    const item = make("li", { tabIndex: 0 }, ...parts);
    Object.assign(item.dataset, { kind, links: element ? `${link} e${element}` : link });
    if (bbox) this.frame(bbox, link, item.textContent, { "data-kind": kind });
    return item;
  }
}

// What a check has found, each in words, with its place on the page and the number of its element.
function* findings({ omitted, unsupported, conflicts }) {
  const quote = (text) => make("q", { textContent: text });
  for (const { text, bbox } of omitted) yield { kind: "omitted", bbox, parts: ["On the page, not in the text: ", quote(text)] };
  for (const { text, bbox, element } of unsupported) {
    yield { kind: "unsupported", bbox, element, parts: ["In the text, not found on the page: ", quote(text)] };
  }
  for (const { line, answer, bbox, element } of conflicts) {
    const parts = ["The text says ", answer ? quote(answer) : "nothing", ", the second reading ", line ? quote(line) : "nothing"];
    yield { kind: "conflict", bbox, element, parts };
  }
}

function block({ type, text, bbox }, index) {
  const node = make("div", { className: "block" }, ...elementNodes(type, text));
  if (bbox) node.tabIndex = 0;
  Object.assign(node.dataset, { links: `e${index + 1}`, type });
  if (FURNITURE.includes(type)) node.classList.add("furniture");
  return node;
}

// Light what a node is linked to, or put the light out.
export function light(target, isLit) {
  const linked = target.closest?.("[data-links]");
  if (!linked) return;
  for (const link of linked.dataset.links.split(" ")) {
    for (const node of linked.closest(".sheet").querySelectorAll(`[data-links~="${link}"]`)) node.classList.toggle("lit", isLit);
  }
}

// A box was pressed: its text comes into sight.
export function reveal(target) {
  const link = target.closest?.("rect")?.dataset.links;
  if (link) target.closest(".sheet").querySelector(`.text [data-links~="${link}"]`)?.scrollIntoView({ block: "nearest", behavior: "smooth" });
}
