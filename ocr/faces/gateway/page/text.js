// What an element of a page says, as nodes: headings, tables, formulas, bold words, and all else as it stands. No markup is
// made of it: each node is made here, and is given text.

import { formula } from "./formula.js";

// A formula in one of its frames, or bold words. Prices are in dollars too: what stands in single ones neither begins nor ends
// with a space, and no digit follows it.
const INLINE =
  /\\\(([^]{1,2000}?)\\\)|\\\[([^]{1,4000}?)\\\]|\$\$([^]{1,4000}?)\$\$|(?<![\\$])\$(?! )([^$\n]{1,1000}?)(?<![ \\])\$(?![\d$])|\*\*([^*\n]{1,500})\*\*/g;
const FRAME = /^(?:```\w*\s|\$\$?|\\\[|\\\()?([^]*?)(?:\$\$?|\\\]|\\\)|```)?$/;
const PIPES = /^\|.*\|\n\|[-| :]+\|/;

export function make(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

// The nodes of an element of this type.
export function elementNodes(type, text) {
  if (type === "title" || type === "heading") return [make(type === "title" ? "h3" : "h4", {}, ...inline(text.replace(/^#{1,6} /, "")))];
  if (type === "formula") return [math(FRAME.exec(text.trim())[1], text.trim(), true)];
  if (type === "picture") return [make("p", { className: "furniture", textContent: text || "Picture" })];
  return textNodes(text);
}

// The nodes of a whole page's markdown: tables, which may hold blank lines, and paragraphs.
export function pageNodes(markdown) {
  const end = markdown.lastIndexOf("</table>") + 1; // behind it no table is looked for: the time would grow with the square
  const paragraphs = (text) => text.split(/\n{2,}/);
  const tables = markdown.slice(0, end && end + 7).split(/(<table[\s>][^]*?<\/table>)/);
  const parts = [...tables.flatMap((part, index) => (index % 2 ? [part] : paragraphs(part))), ...paragraphs(markdown.slice(end && end + 7))];
  return parts.filter((part) => part.trim()).map((part) => make("div", {}, ...textNodes(part)));
}

function textNodes(text) {
  const heading = /^(#{1,6}) (.*)$/s.exec(text.trim());
  if (heading) return [make(heading[1].length === 1 ? "h3" : "h4", {}, ...inline(heading[2]))];
  if (/<table[\s>]/i.test(text) && /<t[rdh][\s>]/i.test(text)) return tables(text);
  if (PIPES.test(text.trim())) return [pipes(text.trim())];
  return [make("p", {}, ...inline(text.trim()))];
}

function inline(text) {
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, round, square, dollars, dollar, bold] = found;
    nodes.push(text.slice(at, found.index));
    at = found.index + whole.length;
    if (bold !== undefined) nodes.push(make("strong", { textContent: bold }));
    else nodes.push(math(round ?? square ?? dollars ?? dollar, whole, (square ?? dollars) !== undefined));
  }
  return [...nodes, text.slice(at)];
}

const math = (latex, whole, isBlock) => formula(latex, isBlock) ?? make("code", { textContent: whole });

// The tables in some HTML, made anew: rows, cells, their spans and text, and nothing else of it.
function tables(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const made = [...parsed.querySelectorAll("table")].map((table) =>
    make("table", {}, ...[...table.rows].map((row) => make("tr", {}, ...[...row.cells].map(cell)))),
  );
  for (const table of parsed.querySelectorAll("table")) table.remove();
  const rest = parsed.body.textContent.trim();
  return rest ? [...made, make("p", {}, ...inline(rest))] : made;
}

function cell(it) {
  const spans = { colSpan: Math.min(it.colSpan, 100), rowSpan: Math.min(it.rowSpan, 1000) };
  return make(it.tagName === "TH" ? "th" : "td", spans, ...inline(it.textContent));
}

function pipes(text) {
  const rows = text.split("\n").filter((_, index) => index !== 1);
  const cells = (row) => row.replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((it) => it.trim().replaceAll("\\|", "|"));
  return make("table", {}, ...rows.map((row) => make("tr", {}, ...cells(row).map((it) => make("td", {}, ...inline(it))))));
}
