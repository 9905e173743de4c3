// LaTeX as MathML, which browsers show without a script or a font of ours. Nodes are made one by one: text of a document is
// only ever the text of one. What is not understood gives null, and its reader sees the LaTeX.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const LONGEST = 10_000; // characters
const DEEPEST = 60; // groups in each other

const words = (text) => text.trim().split(/\s+/);
const pairs = (text) => new Map(words(text).map((pair) => [pair.slice(0, -1).replace(/:$/, ""), pair.slice(-1)]));

const LETTERS = pairs(`alpha:α beta:β gamma:γ delta:δ epsilon:ϵ varepsilon:ε zeta:ζ eta:η theta:θ vartheta:ϑ iota:ι kappa:κ
  lambda:λ mu:μ nu:ν xi:ξ omicron:ο pi:π varpi:ϖ rho:ρ varrho:ϱ sigma:σ varsigma:ς tau:τ upsilon:υ phi:ϕ varphi:φ chi:χ psi:ψ
  omega:ω Gamma:Γ Delta:Δ Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ Upsilon:Υ Phi:Φ Psi:Ψ Omega:Ω infty:∞ ell:ℓ hbar:ℏ imath:ı
  jmath:ȷ Re:ℜ Im:ℑ wp:℘ aleph:ℵ emptyset:∅ varnothing:∅ nabla:∇ partial:∂ top:⊤ bot:⊥ angle:∠ triangle:△ degree:°
  forall:∀ exists:∃ nexists:∄ square:□ Box:□ star:⋆ dag:† ddag:‡ S:§ P:¶ pounds:£ clubsuit:♣ heartsuit:♥ spadesuit:♠`);
const OPERATORS = pairs(`times:× cdot:⋅ div:÷ pm:± mp:∓ ast:∗ circ:∘ bullet:∙ oplus:⊕ ominus:⊖ otimes:⊗ odot:⊙ wedge:∧ land:∧
  vee:∨ lor:∨ cap:∩ cup:∪ setminus:∖ backslash:∖ neg:¬ lnot:¬ leq:≤ le:≤ leqslant:⩽ geq:≥ ge:≥ geqslant:⩾ neq:≠ ne:≠ equiv:≡
  approx:≈ sim:∼ simeq:≃ cong:≅ propto:∝ ll:≪ gg:≫ prec:≺ succ:≻ preceq:⪯ succeq:⪰ in:∈ ni:∋ notin:∉ subset:⊂ supset:⊃
  subseteq:⊆ supseteq:⊇ subsetneq:⊊ perp:⊥ parallel:∥ mid:∣ models:⊨ vdash:⊢ dashv:⊣ to:→ rightarrow:→ longrightarrow:⟶
  leftarrow:← gets:← longleftarrow:⟵ leftrightarrow:↔ longleftrightarrow:⟷ Rightarrow:⇒ Longrightarrow:⟹ implies:⟹ Leftarrow:⇐
  Leftrightarrow:⇔ Longleftrightarrow:⟺ iff:⟺ mapsto:↦ longmapsto:⟼ hookrightarrow:↪ uparrow:↑ downarrow:↓ Uparrow:⇑
  Downarrow:⇓ nearrow:↗ searrow:↘ rightharpoonup:⇀ rightleftharpoons:⇌ ldots:… dots:… dotsc:… cdots:⋯ dotsb:⋯ vdots:⋮ ddots:⋱
  colon:: prime:′ therefore:∴ because:∵ doteq:≐ triangleq:≜ asymp:≍ bowtie:⋈ lhd:⊲ rhd:⊳ diamond:⋄ amalg:⨿ uplus:⊎ sqcup:⊔
  sqcap:⊓ %:% $:$ #:# &:& _:_`);
const BIG = pairs(`sum:∑ prod:∏ coprod:∐ bigcup:⋃ bigcap:⋂ bigoplus:⨁ bigotimes:⨂ bigvee:⋁ bigwedge:⋀ bigsqcup:⨆ biguplus:⨄`);
const INTEGRALS = pairs(`int:∫ iint:∬ iiint:∭ oint:∮`);
const FENCES = pairs(`{:{ }:} lbrace:{ rbrace:} lbrack:[ rbrack:] langle:⟨ rangle:⟩ lfloor:⌊ rfloor:⌋ lceil:⌈ rceil:⌉ vert:| lvert:|
  rvert:| |:‖ Vert:‖ lVert:‖ rVert:‖`);
const UNDER = new Set(words("lim liminf limsup max min sup inf argmax argmin det gcd Pr"));
const FUNCTIONS = new Set(words(`sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp dim ker hom deg arg`));
const ACCENTS = pairs(`hat:^ widehat:^ check:ˇ tilde:~ widetilde:~ bar:¯ overline:¯ vec:→ overrightarrow:→ overleftarrow:←
  dot:˙ ddot:¨ acute:´ grave:\` breve:˘ mathring:˚ overbrace:⏞`);
const BELOW = pairs("underline:_ underbrace:⏟ underrightarrow:→");
const SPACES = { ",": 0.167, ":": 0.222, ">": 0.222, ";": 0.278, "!": -0.167, " ": 0.25, quad: 1, qquad: 2, enspace: 0.5 };
const FRACTIONS = new Set(words("frac dfrac tfrac cfrac"));
const NOTHING = new Set(words(`displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits nonumber notag hline allowbreak
  big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm mathopen mathclose mathrel mathbin mathord mathinner`));
const TEXTS = new Set(words("text textrm textnormal textsf texttt textbf textit mbox hbox"));
const NAMES = new Set(words("mathrm operatorname operatorname* rm"));
const MATRICES = { matrix: "", smallmatrix: "", pmatrix: "()", bmatrix: "[]", Bmatrix: "{}", vmatrix: "||", Vmatrix: "‖‖", cases: "{" };
const ALIGNED = new Set(words(`array aligned alignedat align align* alignat alignat* split gathered gather gather* eqnarray eqnarray*
  equation equation* multline multline* displaymath math subarray`));
const WITH_COLUMNS = new Set(words("array alignedat alignat alignat* subarray"));

// Where the letters of a style begin in Unicode: capitals, small letters, digits; and the capitals that stood elsewhere before.
const STYLES = {
  bold: [0x1d400, 0x1d41a, 0x1d7ce],
  blackboard: [0x1d538, 0x1d552, 0x1d7d8, { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" }],
  script: [0x1d49c, 0x1d4b6, 0, { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" }],
  fraktur: [0x1d504, 0x1d51e, 0, { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" }],
  sans: [0x1d5a0, 0x1d5ba, 0x1d7e2],
  mono: [0x1d670, 0x1d68a, 0x1d7f6],
};
const STYLED = { mathbf: "bold", boldsymbol: "bold", bm: "bold", bf: "bold", mathbb: "blackboard", mathcal: "script", mathscr: "script",
  cal: "script", mathfrak: "fraktur", mathsf: "sans", mathtt: "mono", mathit: "", it: "" };
const SWITCHES = new Set(["rm", "bf", "it", "cal"]); // for the rest of their group

class NotUnderstood extends Error {}

function node(name, attributes, ...children) {
  const made = document.createElementNS(MATHML, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const row = (nodes) => (nodes.length === 1 ? nodes[0] : node("mrow", {}, ...nodes));
const TIGHT = { lspace: "0", rspace: "0" }; // for bars, which would stand apart as relations do
const fence = (sign, isStretchy) => node("mo", { stretchy: isStretchy, fence: "true", ...("|‖".includes(sign) ? TIGHT : {}) }, sign);
const space = (ems) => node("mspace", { width: `${ems}em` });

function inStyle(letter, style) {
  const [capitals, small, digits, others = {}] = STYLES[style] ?? [0, 0, 0];
  const from = (start, first) => (start ? String.fromCodePoint(start + letter.charCodeAt(0) - first.charCodeAt(0)) : letter);
  if (others[letter]) return others[letter];
  if (/[A-Z]/.test(letter)) return from(capitals, "A");
  if (/[a-z]/.test(letter)) return from(small, "a");
  return /[0-9]/.test(letter) ? from(digits, "0") : letter;
}

class Formula {
  constructor(latex) {
    this.tokens = latex.match(/\\[a-zA-Z]+\*?|\\[^]|\s+|\d+(?:\.\d+)*|[^]/gu) ?? [];
    this.at = 0;
    this.depth = 0;
    this.style = "";
  }

  peek() {
    while (/^\s/.test(this.tokens[this.at] ?? "") || this.tokens[this.at] === "%") this.at = this.afterBlank();
    return this.tokens[this.at];
  }

  // Behind white space, or behind a comment, which ends with its line.
  afterBlank() {
    if (this.tokens[this.at] !== "%") return this.at + 1;
    const end = this.tokens.findIndex((token, index) => index > this.at && token.includes("\n"));
    return end < 0 ? this.tokens.length : end;
  }

  next() {
    const token = this.peek();
    this.at += 1;
    return token;
  }

  takes(token) {
    const is = this.peek() === token;
    if (is) this.at += 1;
    return is;
  }

  expect(token) {
    if (!this.takes(token)) throw new NotUnderstood();
  }

  // Nodes up to one of these tokens, which is left.
  until(...ends) {
    const nodes = [];
    const style = this.style;
    if (++this.depth > DEEPEST) throw new NotUnderstood();
    while (!ends.includes(this.peek())) {
      if (this.peek() === undefined) throw new NotUnderstood();
      nodes.push(...this.scripted());
    }
    this.depth -= 1;
    this.style = style;
    return nodes;
  }

  // One thing with what stands above and below of it.
  scripted() {
    const name = (this.peek() ?? "").slice(1);
    const base = "^_'".includes(this.peek()) ? node("mrow", {}) : this.atom();
    if (base === null) return [];
    let below = null;
    let above = null;
    for (;;) {
      if (["\\limits", "\\nolimits"].includes(this.peek())) this.next();
      else if (!below && this.takes("_")) below = this.argument();
      else if (!above && this.peek() === "'") above = this.primes();
      else if (this.takes("^")) above = above ? row([above, this.argument()]) : this.argument();
      else break;
    }
    const isOver = BIG.has(name) || UNDER.has(name) || ["overbrace", "underbrace", "operatorname*"].includes(name);
    const kind = (isOver ? "munderover munder mover" : "msubsup msub msup").split(" ");
    const made = below && above ? node(kind[0], {}, base, below, above)
      : below ? node(kind[1], {}, base, below)
      : above ? node(kind[2], {}, base, above)
      : base;
    const isName = FUNCTIONS.has(name) || UNDER.has(name) || name.startsWith("operatorname");
    return isName && !["(", "[", "\\left", "}", undefined].includes(this.peek()) ? [made, space(0.167)] : [made];
  }

  primes() {
    let signs = "";
    while (this.takes("'")) signs += "′";
    return node("mo", {}, signs);
  }

  // What a command is given: a group, or the one thing that follows.
  argument() {
    if (this.peek() === undefined || ++this.depth > DEEPEST) throw new NotUnderstood();
    const made = this.atom() ?? this.argument();
    this.depth -= 1;
    return made;
  }

  group() {
    const nodes = this.until("}");
    this.expect("}");
    return row(nodes);
  }

  // One thing without scripts; null for what shows nothing.
  atom() {
    const token = this.next();
    if (token === undefined || "}&^_".includes(token) || token === "\\\\") throw new NotUnderstood();
    if (token === "{") return this.group();
    if (token === "~") return space(0.25);
    if (token[0] === "\\") return this.command(token.slice(1));
    if (/^\d/.test(token)) return node("mn", {}, [...token].map((digit) => inStyle(digit, this.style)).join(""));
    if (/\p{L}/u.test(token)) return node("mi", this.style === "upright" ? { mathvariant: "normal" } : {}, inStyle(token, this.style));
    if ("()[]|".includes(token)) return fence(token, false);
    return node("mo", {}, token === "-" ? "−" : token === "*" ? "∗" : token);
  }

  command(name) {
    if (LETTERS.has(name)) return node("mi", {}, LETTERS.get(name));
    if (BIG.has(name)) return node("mo", { largeop: "true", movablelimits: "true" }, BIG.get(name));
    if (INTEGRALS.has(name)) return node("mo", { largeop: "true" }, INTEGRALS.get(name));
    if (FENCES.has(name)) return fence(FENCES.get(name), false);
    if (OPERATORS.has(name)) return node("mo", {}, OPERATORS.get(name));
    if (FUNCTIONS.has(name)) return node("mi", {}, name);
    if (UNDER.has(name)) return node("mo", { movablelimits: "true", rspace: "0" }, name);
    if (Object.hasOwn(SPACES, name)) return space(SPACES[name]);
    if (/^\s/.test(name)) return space(0.25);
    if (NOTHING.has(name)) return null;
    if (FRACTIONS.has(name)) return node("mfrac", {}, this.argument(), this.argument());
    if (TEXTS.has(name)) return node("mtext", {}, this.raw().replace(/^ | $/g, "\u00a0"));
    if (ACCENTS.has(name)) return node("mover", { accent: "true" }, this.argument(), node("mo", {}, ACCENTS.get(name)));
    if (BELOW.has(name)) return node("munder", {}, this.argument(), node("mo", {}, BELOW.get(name)));
    if (SWITCHES.has(name)) return this.switched(name);
    if (NAMES.has(name)) return this.inStyle("upright");
    if (Object.hasOwn(STYLED, name)) return this.inStyle(STYLED[name]);
    return this.other(name);
  }

  other(name) {
    switch (name) {
      case "sqrt": return this.root();
      case "binom": case "dbinom": case "tbinom":
        return row([fence("(", true), node("mfrac", { linethickness: "0" }, this.argument(), this.argument()), fence(")", true)]);
      case "left": return this.fenced();
      case "middle": return fence(this.delimiter(), true);
      case "begin": return this.environment();
      case "overset": case "stackrel": return node("mover", {}, ...[this.argument(), this.argument()].reverse());
      case "underset": return node("munder", {}, ...[this.argument(), this.argument()].reverse());
      case "substack": this.expect("{"); return this.table(["}"], () => this.expect("}"));
      case "not": return this.negated();
      case "pmod": return row([space(1), fence("(", false), node("mi", {}, "mod"), space(0.333), this.argument(), fence(")", false)]);
      case "bmod": return node("mo", { lspace: "0.22em", rspace: "0.22em" }, "mod");
      case "tag": return row([space(2), node("mtext", {}, `(${this.raw()})`)]);
      case "label": this.raw(); return null;
      case "boxed": case "mathop": case "ensuremath": return this.argument();
      default: throw new NotUnderstood();
    }
  }

  // The text of a group as it stands, without the braces in it.
  raw() {
    if (!this.takes("{")) return this.next() ?? "";
    let text = "";
    for (let open = 1; ; ) {
      const token = this.tokens[this.at++];
      if (token === undefined) throw new NotUnderstood();
      if (token === "{") open += 1;
      else if (token === "}" && --open === 0) return text.replaceAll("$", "");
      else if (token !== "}") text += /^\\[^a-zA-Z]/.test(token) ? token[1] : token === "~" ? " " : token;
    }
  }

  inStyle(style) {
    const before = this.style;
    this.style = style;
    const made = this.argument();
    this.style = before;
    const isName = style === "upright" && made.localName === "mrow" && [...made.children].every((it) => it.localName === "mi");
    return isName ? node("mi", { mathvariant: "normal" }, made.textContent) : made;
  }

  switched(name) {
    this.style = name === "rm" ? "upright" : STYLED[name];
    return null;
  }

  root() {
    if (!this.takes("[")) return node("msqrt", {}, this.argument());
    const index = row(this.until("]"));
    this.expect("]");
    return node("mroot", {}, this.argument(), index);
  }

  negated() {
    const made = this.argument();
    made.textContent = `${made.textContent}\u0338`.normalize("NFC"); // the sign itself, where there is one
    return made;
  }

  delimiter() {
    const token = this.next() ?? "";
    if (token === ".") return "";
    const sign = token[0] === "\\" ? FENCES.get(token.slice(1)) ?? OPERATORS.get(token.slice(1)) : { "<": "⟨", ">": "⟩" }[token] ?? token;
    if (!sign || sign.length > 1) throw new NotUnderstood();
    return sign;
  }

  fenced() {
    const opening = this.delimiter();
    const inside = this.until("\\right");
    this.expect("\\right");
    const closing = this.delimiter();
    return node("mrow", {}, ...(opening ? [fence(opening, true)] : []), ...inside, ...(closing ? [fence(closing, true)] : []));
  }

  environment() {
    const name = this.raw();
    if (WITH_COLUMNS.has(name)) this.raw();
    const isMatrix = Object.hasOwn(MATRICES, name);
    if (!isMatrix && !ALIGNED.has(name)) throw new NotUnderstood();
    const end = () => {
      this.expect("\\end");
      if (this.raw() !== name) throw new NotUnderstood();
    };
    const table = this.table(["\\end"], end, isMatrix || name === "array" ? "" : "aligned");
    const [opening, closing] = MATRICES[name] ?? "";
    if (name === "cases") table.setAttribute("class", "cases");
    return opening ? node("mrow", {}, fence(opening, true), table, ...(closing ? [fence(closing, true)] : [])) : table;
  }

  table(ends, takeEnd, kind = "") {
    const rows = [[]];
    for (;;) {
      rows.at(-1).push(node("mtd", {}, ...this.until("&", "\\\\", ...ends)));
      if (this.takes("&")) continue;
      if (!this.takes("\\\\")) break;
      if (this.takes("[")) this.until("]"), this.expect("]"); // the room between rows
      rows.push([]);
    }
    takeEnd();
    const whole = rows.filter((cells) => cells.some((cell) => cell.childNodes.length));
    return node("mtable", kind ? { class: kind } : {}, ...whole.map((cells) => node("mtr", {}, ...cells)));
  }
}

// The MathML of a formula without its frame, or null.
export function formula(latex, isBlock) {
  if (latex.length > LONGEST) return null;
  const reading = new Formula(`${latex.trim()}\n}`);
  try {
    const made = reading.group();
    if (reading.peek() !== undefined || !made.textContent) return null;
    return node("math", isBlock ? { display: "block" } : {}, made);
  } catch (error) {
    if (error instanceof NotUnderstood) return null;
    throw error;
  }
}
